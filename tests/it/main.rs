//! The integration tests: one binary, so they link once and share what they fetch. They run on
//! real servers, which `kit` finds, fetches and starts.

// A test says what it expects; a failure to get so far needs no words of its own.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod demo_data;
mod kit;
mod migration;
mod pg_dump;
mod preflight;
mod promises;
mod random_tables;
mod resuming;
mod scale;
mod servers;
mod trial;
mod verification;
