//! The schema `public`, which every new database has: before 15 it belongs to the superuser that
//! initdb made, since then to whoever owns the database (source: CREATE SCHEMA in initdb's
//! template, pg_namespace.dat; documentation: release notes of 15).

use crate::pg::quote_ident;
use crate::toc::finding::Finding;
use crate::toc::target::{DATABASE_OWNER, TargetFacts};
use crate::toc::{Entry, EntryId, Kind, Toc};

/// The comment that initdb gives it.
const PUBLICS_OWN_COMMENT: &str = "standard public schema";

/// What every database gives PUBLIC before 15, as the catalog's reader tells it.
const BEFORE_15: &str = "REVOKE ALL ON SCHEMA \"public\" FROM PUBLIC;\n\
                         GRANT ALL ON SCHEMA \"public\" TO PUBLIC;\n";

/// The entry about `public` as the target may have it. Where it was the superuser's who made the
/// source, and is on the target the one's who made that, nothing differs.
pub(super) fn fit(
    mut entry: Entry,
    was_the_superusers: bool,
    target: &TargetFacts,
    findings: &mut Vec<Finding>,
) -> Entry {
    let Some(public) = &target.holds.public_schema else { return entry };
    // Whom it is to belong to the target user joins, as any owner: after a job it is that one's.
    let its_own = entry.owner.as_ref() == Some(&public.owner) && target.can_join(&public.owner);
    let ours = target.acts_as(&public.owner) || its_own;
    match entry.kind {
        Kind::Schema if entry.name == "public" => {}
        Kind::Acl if !ours && entry.name == "SCHEMA public" => {
            if target.version.major() >= 15 || entry.create != BEFORE_15 {
                findings.push(belongs(&entry, &public.owner, &entry.create));
            }
            // As it isn't changed, the target goes on having what a new database has.
            entry.create = match target.version.major() {
                15.. => String::new(),
                _ => BEFORE_15.to_owned(),
            };
            entry.owner = Some(public.owner.clone());
            return entry;
        }
        Kind::Comment if !ours && entry.schema.is_none() && entry.name == "SCHEMA public" => {
            findings.push(belongs(&entry, &public.owner, &entry.create));
            entry.create = String::new();
            return entry;
        }
        _ => return entry,
    }
    let removal = entry.create.starts_with("DROP SCHEMA");
    if removal && ours && public.is_empty {
        return entry;
    }
    if removal {
        let why = match ours {
            true => "it holds something".to_owned(),
            false => format!("it belongs to {}", public.owner),
        };
        let what = format!("is on the target only, and stays, as {why}");
        findings.push(Finding::change(entry.title(), what).mend(entry.create.trim_end()));
        entry.create = "CREATE SCHEMA IF NOT EXISTS \"public\";\n".to_owned();
    }
    let wanted = entry.owner.clone();
    if !ours && public.owner != DATABASE_OWNER && wanted.as_ref() != Some(&public.owner) {
        let is_a_superusers = target.roles.get(&public.owner).is_some_and(|owner| owner.superuser);
        if let Some(wanted) = wanted.filter(|_| !(was_the_superusers && is_a_superusers)) {
            let alter = format!("ALTER SCHEMA \"public\" OWNER TO {};", quote_ident(&wanted));
            findings.push(belongs(&entry, &public.owner, &alter));
        }
        entry.owner = Some(public.owner.clone());
        entry.drop = String::new();
    }
    entry
}

/// What makes `public` of a target that hasn't got it what it is in a new database: the other entries
/// are told against that.
pub(super) fn as_if_new(toc: &Toc, target: &TargetFacts) -> Option<(EntryId, Vec<String>)> {
    if target.holds.public_schema.is_some() {
        return None;
    }
    let is_it = |entry: &Entry| {
        entry.kind == Kind::Schema
            && entry.name == "public"
            && !entry.create.starts_with("DROP SCHEMA")
    };
    let (id, entry) = toc.iter().find(|(_, entry)| is_it(entry))?;
    let mut statements =
        vec![format!("COMMENT ON SCHEMA \"public\" IS '{PUBLICS_OWN_COMMENT}';\n")];
    let usual = if target.version.major() >= 15 { "USAGE" } else { "ALL" };
    statements.push(format!("GRANT {usual} ON SCHEMA \"public\" TO PUBLIC;\n"));
    if entry.owner.is_none() {
        let owner = quote_ident(DATABASE_OWNER);
        statements.push(format!("ALTER SCHEMA \"public\" OWNER TO {owner};\n"));
    }
    Some((id, statements))
}

fn belongs(entry: &Entry, owner: &str, sql: &str) -> Finding {
    let what = format!("stays as it is on the target, as the schema is {owner}'s there");
    Finding::change(entry.title(), what)
        .mend(format!("as {owner}, in the target database: {}", sql.trim_end()))
}
