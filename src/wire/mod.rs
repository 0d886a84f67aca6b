//! Connections: conninfo as libpq takes it, TLS, authentication; ordinary sessions for SQL on
//! tokio-postgres, and raw connections of our own for the data plane.

mod authenticate;
mod cancel;
mod certificate;
mod channel;
mod channel_binding;
mod connect;
mod conninfo;
mod dial;
mod endpoint;
mod environment;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod handover;
mod keyword_value;
mod legible;
mod link;
mod message;
mod parameters;
mod passfile;
mod raw;
#[cfg(test)]
pub(crate) mod scripted;
mod secret;
mod server_words;
mod session;
mod session_setup;
mod sieve;
mod silence;
mod startup;
mod tls;
mod tls_settings;
mod typed_value;
mod uri;

pub(crate) use authenticate::PASSWORD_MISSING;
pub use cancel::CancelHandle;
pub use conninfo::Conninfo;
pub use environment::Environment;
pub(crate) use message::{Header, tag};
pub use raw::{RawConnection, Statement, TransactionStatus};
pub use session::Session;
pub use typed_value::TypedValue;
