//! What a target server allows and has: what adapting a table of contents works from.

use std::collections::{BTreeMap, BTreeSet};

use crate::pg::ServerVersion;

/// What is known of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetFacts {
    /// The server's version.
    pub version: ServerVersion,
    /// Whom we are connected as.
    pub user: String,
    /// Whether that is a superuser.
    pub superuser: bool,
    /// Whether that may create roles.
    pub create_role: bool,
    /// Whether that may create databases.
    pub create_database: bool,
    /// The database.
    pub database: String,
    /// Who owns it.
    pub database_owner: String,
    /// The roles there are.
    pub roles: BTreeMap<String, TargetRole>,
    /// The extensions there are to be had.
    pub extensions: BTreeMap<String, TargetExtension>,
    /// The settings that only a superuser may set.
    pub superuser_settings: BTreeSet<String>,
    /// The settings the server knows: an unknown `prefix.name` takes a superuser to store.
    pub known_settings: BTreeSet<String>,
}

/// A role on the target, as the target user sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TargetRole {
    /// Whether it is a superuser: nobody else may become it.
    pub superuser: bool,
    /// Whether the target user may SET ROLE to it.
    pub can_set: bool,
    /// Whether the target user has its privileges without that.
    pub inherits: bool,
    /// Whether the target user may grant it.
    pub can_grant: bool,
}

/// An extension to be had on the target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetExtension {
    /// The version CREATE EXTENSION takes.
    pub default_version: String,
    /// The version installed in this database.
    pub installed: Option<String>,
    /// Whether it takes no superuser to create it.
    pub trusted: bool,
}

/// The role whose only member is, by itself, whoever owns the database (from PostgreSQL 14 on).
/// Who owns that, or is joined to who will, acts as this role too.
const DATABASE_OWNER: &str = "pg_database_owner";

impl TargetFacts {
    /// Whether the target user acts with this role's privileges as it is.
    pub(crate) fn acts_as(&self, role: &str) -> bool {
        self.superuser
            || role == DATABASE_OWNER
            || role == self.user
            || self.roles.get(role).is_some_and(|role| role.can_set && role.inherits)
    }

    /// Whether the target user can make itself a member of this role, which exists or will have
    /// been created by it (documentation: CREATE ROLE, "CREATEROLE").
    pub(crate) fn can_join(&self, role: &str) -> bool {
        match self.roles.get(role) {
            Some(role) if role.superuser => false,
            // A membership that there is and isn't inherited can't be granted over before 16.
            Some(role) if self.version.major() < 16 && role.can_set && !role.inherits => false,
            Some(role) if self.version.major() >= 16 => role.can_grant,
            Some(role) => role.can_grant || self.create_role,
            None => self.create_role,
        }
    }

    /// The statements that make the target user a full member of `role`, and undo that.
    pub(crate) fn joining(&self, role: &str) -> (String, String) {
        use crate::pg::quote_ident;
        let (role, user) = (quote_ident(role), quote_ident(&self.user));
        let options = match self.version.major() {
            16.. => " WITH INHERIT TRUE, SET TRUE",
            _ => "",
        };
        (format!("GRANT {role} TO {user}{options};\n"), format!("REVOKE {role} FROM {user};\n"))
    }
}
