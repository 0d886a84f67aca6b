//! Connections: conninfo as libpq takes it, TLS, authentication; ordinary sessions for SQL on
//! tokio-postgres, and raw connections of our own for the data plane.

mod conninfo;
mod raw;
mod session;

pub use conninfo::{Conninfo, Environment};
pub use raw::RawConnection;
pub use session::Session;
