//! Grants and comments on what the job doesn't create: the system's objects, extensions and what
//! they bring, languages, parameters, roles and schemas that are there already. Only who owns
//! these may (documentation: GRANT, COMMENT), and a REVOKE by another is but a warning. The
//! constructors of ranges come with their type, but belong to the bootstrap superuser (source:
//! makeRangeConstructors in commands/typecmds.c).

use crate::pg::{quote_ident, quote_literal};
use crate::toc::finding::Finding;
use crate::toc::target::TargetFacts;
use crate::toc::{Entry, EntryId, Kind, Toc};

/// What becomes of such an entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The target user may.
    Allowed,
    /// It is so already.
    Given,
    /// It may not, for this reason.
    Refused(String),
}

/// Judges a grant, comment or label of `toc`; everything else is allowed.
pub(super) fn judge(entry: &Entry, toc: &Toc, target: &TargetFacts) -> Verdict {
    match entry.kind {
        Kind::Comment if is_comment_there(entry, target) => Verdict::Given,
        _ if target.superuser => Verdict::Allowed,
        Kind::Acl | Kind::Comment | Kind::SecurityLabel if is_on_a_constructor(entry, toc) => {
            let why = "a range's constructors belong to the server's own superuser";
            Verdict::Refused(why.to_owned())
        }
        Kind::Acl => refused_or_allowed(grant(entry, toc, target)),
        Kind::Comment => refused_or_allowed(comment(entry, toc, target)),
        _ => Verdict::Allowed,
    }
}

/// Whether what stands on this function was made by the entry of a range.
fn is_on_a_constructor(entry: &Entry, toc: &Toc) -> bool {
    let is_type = |id: &EntryId| toc.entry(*id).kind == Kind::Type;
    entry.name.starts_with("FUNCTION ") && entry.depends_on.iter().any(is_type)
}

fn refused_or_allowed(why: Option<String>) -> Verdict {
    why.map_or(Verdict::Allowed, Verdict::Refused)
}

/// What is told of an entry that is left out.
pub(super) fn left_out(entry: &Entry, why: &str) -> Finding {
    Finding::change(entry.title(), format!("left out, as {why}"))
        .mend(format!("as an administrator of the target: {}", entry.create.trim_end()))
}

fn grant(entry: &Entry, toc: &Toc, target: &TargetFacts) -> Option<String> {
    let system = matches!(entry.schema.as_deref(), Some("pg_catalog" | "information_schema"));
    let object = |word: &str| entry.name.strip_prefix(word);
    if system || object("SCHEMA ").is_some_and(|name| name == "pg_catalog") {
        return Some("only the system's owner may grant on it".to_owned());
    }
    if object("PARAMETER ").is_some() {
        return Some("granting a parameter takes a superuser".to_owned());
    }
    if object("LANGUAGE ").is_some() {
        return Some("only its owner, a superuser, may grant a language".to_owned());
    }
    if object("DATABASE ").is_some() {
        return database(toc, target);
    }
    let needed = entry.depends_on.iter().map(|id| toc.entry(*id));
    for extension in needed.filter(|needed| needed.kind == Kind::Extension) {
        let there = target.extensions.get(&extension.name);
        if there.is_some_and(|there| !there.members_are_ours) {
            let name = &extension.name;
            return Some(format!("what extension {name} brings belongs to a superuser"));
        }
    }
    None
}

/// Whether the target has the very comment: from the extension's script, or from somebody where the
/// target user may not give it. One that the job gave is given again, so that it isn't thought of as
/// something that only the target has.
fn is_comment_there(entry: &Entry, target: &TargetFacts) -> bool {
    let Some(name) = entry.name.strip_prefix("EXTENSION ") else { return false };
    let Some(there) = target.extensions.get(name) else { return false };
    let is = |comment: &Option<String>| {
        comment.as_deref().is_some_and(|comment| {
            let stands = quote_literal(comment);
            entry.create == format!("COMMENT ON EXTENSION {} IS {stands};\n", quote_ident(name))
        })
    };
    is(&there.own_comment) || (!target.superuser && !there.is_ours && is(&there.comment))
}

fn comment(entry: &Entry, toc: &Toc, target: &TargetFacts) -> Option<String> {
    let object = |word: &str| entry.name.strip_prefix(word);
    if let Some(name) = object("EXTENSION ") {
        let there = target.extensions.get(name)?;
        return (!there.is_ours).then(|| format!("{} doesn't own the extension", target.user));
    }
    if let Some(name) = object("ROLE ") {
        return role(name, target);
    }
    match entry.schema {
        None if object("DATABASE ").is_some() => database(toc, target),
        None if object("LANGUAGE ").is_some() => {
            Some("only its owner, a superuser, may comment on a language".to_owned())
        }
        _ => None,
    }
}

fn role(name: &str, target: &TargetFacts) -> Option<String> {
    let may = match target.roles.get(name) {
        None => target.create_role,
        Some(there) if target.version.major() >= 16 => !there.superuser && there.can_grant,
        Some(there) => !there.superuser && target.create_role,
    };
    (!may).then(|| format!("{} may not change role {name}", target.user))
}

fn database(toc: &Toc, target: &TargetFacts) -> Option<String> {
    let owner = &target.database_owner;
    // The job makes its user a member of every role that owns something.
    let joined = || {
        let owns = toc.entries.iter().any(|entry| entry.owner.as_ref() == Some(owner));
        owns && target.can_join(owner)
    };
    let may = target.acts_as(owner) || joined();
    (!may).then(|| format!("the database belongs to {owner}"))
}
