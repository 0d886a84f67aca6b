//! What surrounds the program: read once at its edge, so that nothing below depends on it unseen.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The PG* variables and files that fill in what a connection string leaves out, read once at the
/// program's edge.
#[derive(Clone, Default)]
pub struct Environment {
    /// The PG* variables, by name.
    pub variables: BTreeMap<String, String>,
    /// The user's home directory (or `%APPDATA%` on Windows), where the password file lies.
    pub home: Option<PathBuf>,
    /// The operating system's user name: the default user.
    pub user: Option<String>,
}

impl Environment {
    /// The environment of this process.
    pub fn capture() -> Environment {
        let home = if cfg!(windows) { "APPDATA" } else { "HOME" };
        Environment {
            variables: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
                .filter(|(name, _)| name.starts_with("PG"))
                .filter_map(|(name, value)| Some((name, value.into_string().ok()?)))
                .collect(),
            home: std::env::var_os(home).filter(|home| !home.is_empty()).map(PathBuf::from),
            user: whoami::username().ok().filter(|user| !user.is_empty()),
        }
    }

    /// The password file, unless PGPASSFILE or `passfile` names another.
    pub(super) fn default_passfile(&self) -> Option<PathBuf> {
        let home = self.home.as_ref()?;
        Some(if cfg!(windows) {
            home.join("postgresql").join("pgpass.conf")
        } else {
            home.join(".pgpass")
        })
    }

    /// A file in the user's folder for libpq: `root.crt`, `postgresql.crt`, `postgresql.key`.
    pub(super) fn user_file(&self, name: &str) -> Option<PathBuf> {
        let folder = if cfg!(windows) { "postgresql" } else { ".postgresql" };
        Some(self.home.as_ref()?.join(folder).join(name))
    }
}

/// PGPASSWORD is among the variables, so only names are shown.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment")
            .field("variables", &self.variables.keys())
            .field("home", &self.home)
            .field("user", &self.user)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_holds_no_variable_s_value() {
        let environment = Environment {
            variables: [("PGPASSWORD".to_owned(), "hunter2".to_owned())].into(),
            ..Environment::default()
        };
        let text = format!("{environment:?}");
        assert!(text.contains("PGPASSWORD") && !text.contains("hunter2"));
    }
}
