//! The WebStream recipe: its configuration file, its databases, its steps.

mod configuration;
mod connecting;
mod npgsql_version;
mod record;
mod repoint;
mod secrets;
mod status;

pub use configuration::{Configuration, ConnectionString, Keyword, Moved, Named, PasswordRef};
pub use npgsql_version::{NpgsqlVersion, Tls};
pub use secrets::{Variables, variable_of};
pub use status::{Counted, Reached, Tried, status};
