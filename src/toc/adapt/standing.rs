//! What the target has already of what is to be made there: schemas, and extensions of its own.

use std::collections::{BTreeSet, HashMap};

use crate::pg::quote_ident;
use crate::toc::finding::Finding;
use crate::toc::target::TargetFacts;
use crate::toc::{EntryId, Kind, Toc};

/// The schemas that are there, each with the statements that make of it what a new one of its owner
/// is: grants, comments and labels follow as they would.
pub(super) fn schemas(toc: &Toc, target: &TargetFacts) -> HashMap<EntryId, String> {
    let entries = toc.iter().filter(|(_, entry)| entry.kind == Kind::Schema);
    let taken_over = entries.filter_map(|(id, entry)| {
        let there = target.holds.schemas.get(&entry.name)?;
        let given = entry.owner.as_ref().filter(|owner| **owner != there.owner);
        let given = given.and_then(|owner| entry.owner_sql(owner)).unwrap_or_default();
        Some((id, format!("{}{given}", there.as_new.concat())))
    });
    taken_over.collect()
}

/// The extensions that stay, though they aren't among what moves.
pub(super) fn extensions(toc: &Toc, target: &TargetFacts) -> Vec<Finding> {
    let moved = toc.entries.iter().filter(|entry| entry.kind == Kind::Extension);
    let moved: BTreeSet<&str> = moved.map(|entry| entry.name.as_str()).collect();
    let there = target.extensions.iter().filter(|(_, there)| there.installed.is_some());
    // Every new database has PL/pgSQL.
    let more = there.filter(|(name, _)| *name != "plpgsql" && !moved.contains(name.as_str()));
    let told = more.map(|(name, _)| {
        let what = "is on the target, isn't among what moves, and stays";
        Finding::change(format!("{} {name}", Kind::Extension), what)
            .mend(format!("in the target database: DROP EXTENSION {};", quote_ident(name)))
    });
    told.collect()
}
