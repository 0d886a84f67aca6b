//! The target's catalog, compared with what the archive was to make there.

use std::collections::BTreeSet;

use crate::catalog::{self, Scope};
use crate::error::Result;
use crate::toc::{Entry, Kind, Toc};
use crate::verify::{
    CatalogDifference, Sequences, compare_catalogs, compare_large_objects, compare_names,
    compare_sequences, only_named, uncompared,
};
use crate::wire::Session;

use super::super::report::Verification;
use super::super::survey;
use super::opened::Opened;

/// Adds how the target's catalog differs from `expected`. Definitions that pg_dump has put into
/// words are compared by name and owner.
pub(super) async fn compare(
    opened: &Opened,
    expected: &Toc,
    target: &Session,
    verification: &mut Verification,
) -> Result<()> {
    let facts = catalog::target_facts(target).await?;
    let found = survey::target(target, expected, &facts, &Scope::default()).await?;
    let mut differences = match opened.in_our_words {
        true => {
            let same_major = opened.identity.version.major() == facts.version.major();
            verification.notes.extend(uncompared(expected, same_major));
            compare_catalogs(expected, &found, same_major)
        }
        false => {
            verification.notes.push(only_named(expected));
            compare_names(expected, &found)
        }
    };
    differences.extend(compare_sequences(expected, &found, Sequences::Still));
    differences.extend(compare_large_objects(expected, &found));
    if !opened.needs.is_empty() {
        // What the restored part leans on is somebody else's, and may be more than that.
        let standing = expected.entries.iter().filter(|entry| entry.stands).map(Entry::title);
        let standing: BTreeSet<String> = standing.collect();
        differences.retain(|difference| {
            !matches!(difference, CatalogDifference::Unexpected { .. })
                && !standing.contains(difference.entry())
        });
    }
    if !expected.entries.iter().any(|entry| entry.kind == Kind::DatabaseProperties) {
        // The restored part leaves the database itself as it is.
        let of_database = databases_own(&found);
        differences.retain(|difference| {
            !matches!(difference, CatalogDifference::Unexpected { .. })
                || !of_database.contains(difference.entry())
        });
    }
    verification.catalog = differences;
    verification.catalog_unread = !opened.in_our_words;
    Ok(())
}

/// The titles of the database's own entry, and of what is granted on it and said of it.
fn databases_own(toc: &Toc) -> BTreeSet<String> {
    let is_its = |entry: &Entry| match entry.kind {
        Kind::DatabaseProperties => true,
        Kind::Acl | Kind::Comment | Kind::SecurityLabel => entry.name.starts_with("DATABASE "),
        _ => false,
    };
    toc.entries.iter().filter(|entry| is_its(entry)).map(Entry::title).collect()
}
