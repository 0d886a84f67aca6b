//! The WebStream recipe: its configuration file, its databases, its steps.

mod access;
#[cfg(feature = "aws")]
mod aws;
mod backup;
mod check;
mod clock;
mod configuration;
mod connecting;
mod dpapi;
mod migrate;
mod next;
mod npgsql_version;
mod proof;
mod provision;
mod recipe;
mod record;
mod rehearse;
mod repoint;
mod report;
mod retire;
mod secrets;
mod sessions;
mod status;
mod verify;
#[cfg(windows)]
mod windows;

pub use backup::backup;
pub use check::{
    DatabaseFacts, Distance, Encryption, Endpoint, EndpointKind, Growth, LookUp, Looking, Outdated,
    Pool, Pools, Preflight, Room, RoundTrips, ServerFacts, Topic, check,
};
pub use configuration::{Configuration, ConnectionString, Keyword, Moved, Named, PasswordRef};
pub use migrate::{Moving, migrate};
pub use next::{Next, SignedIn};
pub use npgsql_version::{NpgsqlVersion, Tls};
pub use provision::{Provisioned, provision};
pub use recipe::{Recipe, Said};
pub use record::Record;
pub use rehearse::rehearse;
pub use repoint::{ChangedLine, Leading, PasswordPlace, Rewritten, RolledBack, repoint, rollback};
pub use report::renew as renew_sign_off;
pub use retire::{Dependent, Manager, Retired, Retiring, Service, Stopped, retire, unretire};
pub use secrets::{Secrets, Variables, variable_of};
pub use sessions::Connected;
pub use status::{Counted, Reached, Tried, status};
pub use verify::verify;
