//! What a target doesn't let its user create at all, by PostgreSQL's rules for those who are no
//! superusers, or because it lacks what the entry needs (documentation: the page of each CREATE
//! command; source: commands/*.c, wherever superuser() is asked).

use crate::pg::quote_ident;
use crate::toc::clauses::{after, name_after, says};
use crate::toc::sql::{Token, tokens};
use crate::toc::target::TargetFacts;
use crate::toc::{Entry, Kind, Toc};

use super::{retired, routines};

/// Why an entry can't be created, and what would help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Denial {
    pub(super) why: String,
    /// The statement for an administrator; none where the entry's own is it.
    pub(super) mend: Option<String>,
}

fn denied(why: impl Into<String>) -> Option<Denial> {
    Some(Denial { why: why.into(), mend: None })
}

/// Why this entry of `toc` is denied; none where the target user may create it.
pub(super) fn denial(entry: &Entry, toc: &Toc, target: &TargetFacts) -> Option<Denial> {
    if entry.kind == Kind::SecurityLabel {
        return label(entry, target);
    }
    if let Some(denial) = retired::denial(entry, target) {
        return Some(denial);
    }
    if target.superuser {
        return None;
    }
    let by_kind = match entry.kind {
        Kind::ShellType => Some("a base type"),
        Kind::Type if is_base_type(&entry.create) => Some("a base type"),
        Kind::Aggregate if has_internal_state(&entry.create) => {
            Some("an aggregate whose state is of type internal")
        }
        Kind::AccessMethod => Some("an access method"),
        Kind::OperatorFamily => Some("an operator family"),
        Kind::OperatorClass => Some("an operator class"),
        Kind::Language => Some("a procedural language that no extension brings"),
        // Its functions take internal arguments: they are in C, or the system's.
        Kind::Transform => Some("a transform"),
        Kind::TsParser => Some("a text search parser"),
        Kind::TsTemplate => Some("a text search template"),
        Kind::ForeignDataWrapper => Some("a foreign data wrapper"),
        Kind::EventTrigger if !target.is_managed_administrator() => Some("an event trigger"),
        _ => None,
    };
    match (by_kind, entry.kind) {
        (Some(what), _) => denied(format!("{what} takes a superuser")),
        (None, Kind::Cast) => cast(entry, toc, target),
        (None, Kind::Function) if entry.create.starts_with("ALTER ") => {
            denied("another name or schema for a range's own function takes a superuser")
        }
        (None, Kind::Function | Kind::Procedure) => routines::language(&entry.create)
            .filter(|language| !may_write(language, target))
            .and_then(|language| denied(format!("language {language} takes a superuser"))),
        (None, Kind::Subscription) => subscription(&entry.create, target),
        (None, Kind::ForeignServer) => server(&entry.create, target),
        (None, Kind::UserMapping) => user_mapping(&entry.create),
        (None, Kind::RoleMembership) => membership(&entry.create, target),
        _ => None,
    }
}

/// Languages that aren't there yet come with an extension; untrusted ones have a name of that
/// sort (documentation: "Procedural Languages").
fn may_write(language: &str, target: &TargetFacts) -> bool {
    match target.holds.languages.get(language) {
        Some(may) => *may,
        None => !(language == "c" || language == "internal" || language.ends_with('u')),
    }
}

/// A base type is `CREATE TYPE name (…)`; all others are `CREATE TYPE name AS …`.
fn is_base_type(create: &str) -> bool {
    let mut before = tokens(create).take_while(|(_, token)| !matches!(token, Token::Mark('(')));
    !before.any(|(_, token)| token.is_word("AS"))
}

fn has_internal_state(create: &str) -> bool {
    says(create, "STYPE = internal") || says(create, "MSTYPE = internal")
}

/// A cast takes the owner of one of its types: that is whoever creates one of them.
fn cast(entry: &Entry, toc: &Toc, target: &TargetFacts) -> Option<Denial> {
    if says(&entry.create, "WITHOUT FUNCTION") {
        return denied("a cast WITHOUT FUNCTION takes a superuser");
    }
    let is_ours = |needed: &Entry| match needed.kind {
        Kind::Type
        | Kind::Domain
        | Kind::Table
        | Kind::ForeignTable
        | Kind::View
        | Kind::MaterializedView => true,
        Kind::Extension => {
            target.extensions.get(&needed.name).is_some_and(|there| there.members_are_ours)
        }
        _ => false,
    };
    match entry.depends_on.iter().any(|id| is_ours(toc.entry(*id))) {
        true => None,
        false => denied("a cast takes the owner of one of its types, and both are the system's"),
    }
}

/// From 16 on a predefined role may, with a password in the connection string
/// (documentation: CREATE SUBSCRIPTION, "password_required").
fn subscription(create: &str, target: &TargetFacts) -> Option<Denial> {
    if target.is_managed_administrator() {
        return None;
    }
    let role = "pg_create_subscription";
    let may = target.roles.get(role).is_some_and(|role| role.inherits);
    let mend = |sql: String| Some(sql);
    let user = quote_ident(&target.user);
    if target.version.major() < 16 {
        return Some(Denial {
            why: "a subscription takes a superuser before PostgreSQL 16".to_owned(),
            mend: mend("create it as an administrator of the target".to_owned()),
        });
    }
    if !may {
        return Some(Denial {
            why: format!("a subscription takes a member of {role}, which {} isn't", target.user),
            mend: mend(format!("as an administrator of the target: GRANT {role} TO {user};")),
        });
    }
    let without_password = match after(create, "CONNECTION") {
        Some(Token::String(conninfo)) => !conninfo.replace(' ', "").contains("password="),
        _ => false,
    };
    let not_required =
        says(create, "password_required = false") || says(create, "password_required = 'false'");
    if !without_password && !not_required {
        return None;
    }
    Some(Denial {
        why: "a subscription whose connection needs no password takes a superuser".to_owned(),
        mend: mend("create it as an administrator of the target".to_owned()),
    })
}

fn server(create: &str, target: &TargetFacts) -> Option<Denial> {
    let wrapper = wrapper_of(create)?;
    if may_use(&wrapper, &target.user, target) || target.is_managed_administrator() {
        return None;
    }
    let why =
        format!("it takes USAGE on foreign data wrapper {wrapper}, which {} hasn't", target.user);
    let mend = format!(
        "as an administrator of the target: GRANT USAGE ON FOREIGN DATA WRAPPER {} TO {};",
        quote_ident(&wrapper),
        quote_ident(&target.user)
    );
    Some(Denial { why, mend: Some(mend) })
}

/// Whether `role` may make servers of the wrapper. One that is not there yet comes with an
/// extension, and belongs to the superuser in whose name that is made.
pub(super) fn may_use(wrapper: &str, role: &str, target: &TargetFacts) -> bool {
    target.holds.wrappers.get(wrapper).is_some_and(|roles| roles.contains(role))
}

/// The wrapper that a server is of.
pub(super) fn wrapper_of(create: &str) -> Option<String> {
    name_after(create, "WRAPPER")
}

/// postgres_fdw leaves these options to superusers (documentation: postgres_fdw, "Connection
/// Options").
fn user_mapping(create: &str) -> Option<Denial> {
    let options = ["password_required", "sslcert", "sslkey"];
    let option = tokens(create).find_map(|(_, token)| {
        let name = token.name()?;
        options.into_iter().find(|option| *option == name)
    })?;
    Some(Denial {
        why: format!("the option {option} takes a superuser"),
        mend: Some("create it as an administrator of the target".to_owned()),
    })
}

/// Before 16 who may create roles may grant them all but superusers; from 16 on only those it
/// made, or was given with ADMIN OPTION (documentation: CREATE ROLE).
fn membership(create: &str, target: &TargetFacts) -> Option<Denial> {
    let role = name_after(create, "GRANT")?;
    let may = match target.roles.get(&role) {
        None => target.create_role,
        Some(there) => {
            !there.superuser
                && (there.can_grant || target.version.major() < 16 && target.create_role)
        }
    };
    match may {
        true => None,
        false => denied(format!("{} may not grant {role}", target.user)),
    }
}

/// A provider is a library that the server has loaded: it then has settings under its name
/// (documentation: SECURITY LABEL). SELinux's are called otherwise.
fn label(entry: &Entry, target: &TargetFacts) -> Option<Denial> {
    let provider = name_after(&entry.create, "FOR")?;
    let prefix = match provider.as_str() {
        "selinux" => "sepgsql.".to_owned(),
        other => format!("{}.", other.to_lowercase()),
    };
    let loaded = target.known_settings.range(prefix.clone()..).next();
    if loaded.is_some_and(|setting| setting.starts_with(&prefix)) {
        return None;
    }
    denied(format!("the target has not loaded the label provider {provider}"))
}

#[cfg(test)]
mod tests {
    use super::super::tests;
    use super::*;
    use crate::toc::EntryId;

    #[test]
    fn a_ranges_own_function_is_changed_by_superusers_only() {
        let create = "ALTER FUNCTION \"s\".\"r\"(integer, integer) RENAME TO \"q\";\n".to_owned();
        let entry = Entry { create, ..Entry::new(Kind::Function, Some("s"), "q") };
        let denied = |superuser| {
            let target = TargetFacts { superuser, ..tests::target() };
            denial(&entry, &Toc::default(), &target).is_some()
        };
        assert!(denied(false) && !denied(true));
    }

    #[test]
    fn a_cast_of_a_time_without_time_zone_is_no_cast_without_function() {
        let denied = |sql: &str| {
            let ours = Entry::new(Kind::Type, Some("s"), "t");
            let create =
                format!("CREATE CAST (timestamp without time zone AS \"s\".\"t\") {sql};\n");
            let depends_on = vec![EntryId(0)];
            let entry = Entry { create, depends_on, ..Entry::new(Kind::Cast, None, "c") };
            let toc = Toc { entries: vec![ours, entry] };
            cast(&toc.entries[1], &toc, &tests::target()).is_some()
        };
        assert!(!denied("WITH FUNCTION \"s\".\"f\"(timestamp without time zone)"));
        assert!(denied("WITHOUT FUNCTION"));
    }
}
