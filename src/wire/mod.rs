//! Connections: conninfo as libpq takes it, TLS, authentication; ordinary sessions for SQL on
//! tokio-postgres, and raw connections of our own for the data plane.

mod cancel;
mod channel;
mod connect;
mod conninfo;
mod link;
mod message;
mod raw;
mod server_words;
mod session;
mod session_setup;

pub use cancel::CancelHandle;
pub use conninfo::{Conninfo, Environment};
pub(crate) use message::{Header, tag};
pub use raw::{RawConnection, Statement, TransactionStatus};
pub(crate) use raw::{ReadSide, WriteSide};
pub use session::Session;
