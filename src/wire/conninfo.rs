//! Connection strings, as libpq takes them (documentation: "Connection Strings").

use std::collections::BTreeMap;

use crate::error::Result;

/// The PG* variables and files that fill in what a connection string leaves out, read once at the
/// program's edge.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// The PG* variables, by name.
    pub variables: BTreeMap<String, String>,
    /// The user's home directory (or `%APPDATA%` on Windows), where the password file lies.
    pub home: Option<std::path::PathBuf>,
    /// The operating system's user name: the default user.
    pub user: Option<String>,
}

/// Where and how to connect: parsed, completed and validated.
#[derive(Debug, Clone)]
pub struct Conninfo {}

impl Conninfo {
    /// Parses a URI or keyword/value string and completes it from `environment`.
    pub fn parse(_text: &str, _environment: &Environment) -> Result<Conninfo> {
        unimplemented!()
    }

    /// The same server, another database.
    #[must_use]
    pub fn with_database(&self, _database: &str) -> Conninfo {
        unimplemented!()
    }

    /// The database connected to.
    pub fn database(&self) -> &str {
        unimplemented!()
    }

    /// The user connected as.
    pub fn user(&self) -> &str {
        unimplemented!()
    }

    /// The encoding text travels in.
    pub fn client_encoding(&self) -> &str {
        unimplemented!()
    }

    /// Host, port and database for people and logs: never the password.
    pub fn display(&self) -> String {
        unimplemented!()
    }
}
