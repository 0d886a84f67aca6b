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
    /// What else is there already, and what its user may do with it.
    pub holds: TargetHoldings,
}

/// What a target has before the job, as far as it stands in the way of what the job brings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetHoldings {
    /// Whether the target user has the attribute REPLICATION: from 16 on it may then give it.
    pub replication: bool,
    /// The same of BYPASSRLS.
    pub bypass_rls: bool,
    /// The languages, each with whether the target user may write functions in it.
    pub languages: BTreeMap<String, bool>,
    /// The foreign data wrappers, each with the roles that may make servers of it.
    pub wrappers: BTreeMap<String, BTreeSet<String>>,
    /// The roles, each with the statements that would create it as it is.
    pub role_definitions: BTreeMap<String, String>,
    /// The memberships: role, member, and the options.
    pub memberships: BTreeMap<(String, String), MembershipOptions>,
    /// By role, the target user's membership that a GRANT by itself, or by a role it acts as,
    /// would change the options of. Before 16 no GRANT does.
    pub own_grants: BTreeMap<String, OwnGrant>,
    /// The roles that are members of the target user: it can't become a member of theirs.
    pub members_of_user: BTreeSet<String>,
    /// The schema `public`, where it is there.
    pub public_schema: Option<PublicSchema>,
    /// The other schemas of its own, by name: those that the source has too are taken over.
    pub schemas: BTreeMap<String, StandingSchema>,
    /// The roles that may create in the database.
    pub database_creators: BTreeSet<String>,
    /// Whether the server is built without lz4.
    pub lacks_lz4: bool,
    /// The target user's own default privileges in the database.
    pub default_privileges: Vec<StandingDefaults>,
}

/// Default privileges that stand on a target, and would act on what the job creates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StandingDefaults {
    /// What an entry of them is called: it says for which kind of object they hold.
    pub name: String,
    /// The schema they hold in; none where they hold everywhere.
    pub schema: Option<String>,
    /// The statements after which there are none.
    pub set_aside: String,
    /// The statements that make them anew.
    pub restore: String,
}

/// What a membership allows. Before 16 only ADMIN is an option.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MembershipOptions {
    /// Whether the member may grant it on.
    pub admin: bool,
    /// Whether the member has the role's privileges as it is.
    pub inherit: Option<bool>,
    /// Whether the member may SET ROLE to it.
    pub set: Option<bool>,
}

/// A membership of the target user that it may grant anew with other options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnGrant {
    /// Who granted it.
    pub grantor: String,
    /// Whether the target user has the role's privileges by it.
    pub inherit: bool,
    /// Whether it may SET ROLE by it.
    pub set: bool,
}

/// The schema `public` of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicSchema {
    /// Who owns it.
    pub owner: String,
    /// Whether nothing is in it.
    pub is_empty: bool,
}

/// A schema that was there before the job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StandingSchema {
    /// Who owns it.
    pub owner: String,
    /// The statements that leave of its grants and comment what a new schema has.
    pub as_new: Vec<String>,
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
    /// Whether the target user owns it, or will.
    pub is_ours: bool,
    /// Whether what it brings belongs to the target user too. What a trusted extension brings
    /// belongs to the superuser that initdb made (documentation: CREATE EXTENSION).
    pub members_are_ours: bool,
    /// The comment it has, or will have.
    pub comment: Option<String>,
    /// The comment that its script gives it.
    pub own_comment: Option<String>,
}

/// The role whose only member is, by itself, whoever owns the database (from PostgreSQL 14 on).
/// Who owns that, or is joined to who will, acts as this role too.
pub(super) const DATABASE_OWNER: &str = "pg_database_owner";

/// The role that stands for a superuser on Amazon RDS and Aurora.
const MANAGED_SUPERUSER: &str = "rds_superuser";

impl TargetFacts {
    /// Whether the server is Amazon's.
    pub(crate) fn is_managed(&self) -> bool {
        self.roles.contains_key(MANAGED_SUPERUSER)
    }

    /// Whether the target user is the administrator of a managed server that is patched to let it
    /// do some of what else takes a superuser.
    pub(crate) fn is_managed_administrator(&self) -> bool {
        self.known_settings.contains("rds.extensions")
            && self.roles.get(MANAGED_SUPERUSER).is_some_and(|role| role.inherits)
    }

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
            Some(there) if there.superuser => false,
            Some(_) if self.holds.members_of_user.contains(role) => false,
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
        let stands = self.holds.own_grants.get(role);
        let (role, user) = (quote_ident(role), quote_ident(&self.user));
        if let Some(OwnGrant { grantor, inherit, set }) = stands {
            let grantor = quote_ident(grantor);
            let with = |inherit: bool, set: bool| {
                format!(
                    "GRANT {role} TO {user} WITH INHERIT {inherit}, SET {set} GRANTED BY {grantor};\n"
                )
            };
            return (with(true, true), with(*inherit, *set));
        }
        let options = match self.version.major() {
            16.. => " WITH INHERIT TRUE, SET TRUE",
            _ => "",
        };
        (format!("GRANT {role} TO {user}{options};\n"), format!("REVOKE {role} FROM {user};\n"))
    }
}
