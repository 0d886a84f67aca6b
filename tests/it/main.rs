//! The integration tests: one binary, so they link once and share what they fetch. They run on
//! real servers, which `kit` finds, fetches and starts.

// A test says what it expects; a failure to get so far needs no words of its own.
#![allow(clippy::unwrap_used)]

mod anew;
mod archive;
mod archives;
mod bad_input;
mod catalogs;
mod corruption;
mod damaged;
mod default_privileges;
mod demo_data;
mod dump_faults;
mod dumps;
mod every_kind;
mod extension_config;
mod faults;
mod fenced_again;
mod fencing;
mod filters;
mod foretold;
mod grantors;
#[cfg(target_os = "linux")]
mod hostile;
#[cfg(all(debug_assertions, unix))]
mod kill_matrix;
mod killed;
#[cfg(all(debug_assertions, unix))]
mod killed_dumps;
mod kit;
mod large_objects;
mod left_out;
mod legitimate;
mod loops;
mod made_ahead;
mod migration;
mod objects;
mod oracle;
mod partition_roots;
mod partners;
mod pg_dump;
mod preflight;
mod promises;
mod random;
mod random_schemas;
mod random_tables;
mod refusals;
mod restores;
mod restoring_a_part;
mod resuming;
mod scale;
mod schema_generator;
#[cfg(target_os = "linux")]
mod secrets;
mod servers;
mod services;
mod source_since;
mod swapped;
mod trial;
mod verification;
mod warm;
mod webstream;
mod webstream_check;
mod webstream_sign_off;
