//! Catalogs compared by names and owners: for definitions that another program has put into words.

use std::collections::{BTreeMap, BTreeSet};

use crate::toc::{Entry, Kind, Toc, counted};

use super::catalogs::{CatalogDifference, counts, is_the_clusters, of_any_major};
use super::stand_ins::joined;

/// Compares what is expected of the target with what is there, by kind, name and owner.
pub fn compare_names(expected: &Toc, found: &Toc) -> Vec<CatalogDifference> {
    let [expected, found] = [expected, found]
        .map(|toc| joined(toc.entries.iter().map(std::borrow::Cow::Borrowed).collect()));
    let [expected, mut found] =
        [&expected, &found].map(|entries| by_name(entries.iter().map(AsRef::as_ref)));
    let mut differences = Vec::new();
    for (name, ours) in expected {
        let entry = ours.title;
        match found.remove(&name) {
            None => differences.push(CatalogDifference::Missing { entry }),
            // What an archive says no owner of may have one all the same: that of its table, say.
            Some(theirs) if !ours.owners.is_empty() && theirs.owners != ours.owners => {
                let [expected, found] = [ours.owners, theirs.owners].map(told);
                differences.push(CatalogDifference::Owner { entry, expected, found });
            }
            Some(_) => {}
        }
    }
    let more = found.into_values().map(|named| named.title);
    // Every new database has a `public`, of which pg_dump says nothing.
    let more = more.filter(|title| !is_the_clusters(title) && title != "SCHEMA public");
    differences.extend(more.map(|entry| CatalogDifference::Unexpected { entry }));
    differences
}

/// What comparing names leaves out, for people.
pub fn only_named(toc: &Toc) -> String {
    let all = toc.entries.iter().filter(|entry| counts(entry)).count();
    format!(
        "{} compared by name and owner only, as pg_dump and not pgconvoy has put them into words",
        counted(all, "definition")
    )
}

/// All that has one name.
struct Named<'e> {
    title: String,
    owners: BTreeSet<&'e str>,
}

fn told(owners: BTreeSet<&str>) -> String {
    match owners.is_empty() {
        true => "nobody".to_owned(),
        false => owners.into_iter().collect::<Vec<_>>().join(", "),
    }
}

/// The entries by kind, schema and name. Which names are quoted depends on who writes them.
fn by_name<'e>(
    entries: impl Iterator<Item = &'e Entry>,
) -> BTreeMap<(Kind, Option<&'e str>, String), Named<'e>> {
    let mut named = BTreeMap::new();
    for entry in entries.filter(|entry| counts(entry) && !is_cut_off(entry)) {
        let title = entry.title();
        let name = of_any_major(entry).replace('"', "");
        let all = named
            .entry((entry.kind, entry.schema.as_deref(), name))
            .or_insert_with(|| Named { title, owners: BTreeSet::new() });
        all.owners.extend(entry.owner.as_deref());
    }
    named
}

/// Whether an entry may as well be a part of another's: where a circle is cut open, or what a
/// definition waits for, is decided otherwise by every program.
fn is_cut_off(entry: &Entry) -> bool {
    match entry.kind {
        Kind::Default | Kind::CheckConstraint | Kind::ColumnStorage | Kind::WrapperValidator => {
            true
        }
        // Identities, and columns that are not null but not proven so (source: pg_dump.c,
        // dumpSequence and dumpConstraint).
        Kind::Sequence => entry.create.starts_with("ALTER TABLE "),
        Kind::Constraint => entry.create.contains(" NOT NULL "),
        // Since 14 the server says what of a class belongs to its family, which may be the system's.
        Kind::OperatorFamily => entry.schema.as_deref() == Some("pg_catalog"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toc(entries: &[(Kind, &str, &str)]) -> Toc {
        let entry = |(kind, name, owner): &(Kind, &str, &str)| Entry {
            create: format!("whatever {owner} says"),
            owner: Some((*owner).to_owned()).filter(|owner| !owner.is_empty()),
            ..Entry::new(*kind, Some("s"), *name)
        };
        Toc { entries: entries.iter().map(entry).collect() }
    }

    fn told_of(expected: &Toc, found: &Toc) -> Vec<String> {
        compare_names(expected, found).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_missing_more_or_another_owners_is_named_whatever_the_words() {
        let expected = toc(&[
            (Kind::Table, "a", "app"),
            (Kind::Table, "b", "app"),
            (Kind::Comment, "TABLE \"a\"", ""),
            (Kind::Function, "f(integer)", "app"),
        ]);
        let found = toc(&[
            (Kind::Table, "b", "me"),
            (Kind::View, "a", "app"),
            (Kind::Comment, "TABLE a", ""),
            (Kind::Function, "f(integer)", "app"),
        ]);
        assert_eq!(
            told_of(&expected, &found),
            [
                "TABLE s.a is missing on the target",
                "TABLE s.b belongs to me instead of app",
                "VIEW s.a is on the target only",
            ]
        );
    }

    #[test]
    fn a_public_that_nobody_spoke_of_is_no_difference_and_one_that_is_gone_is() {
        let public = Toc { entries: vec![Entry::new(Kind::Schema, None, "public")] };
        assert!(told_of(&Toc::default(), &public).is_empty());
        assert_eq!(told_of(&public, &Toc::default()), ["SCHEMA public is missing on the target"]);
    }

    #[test]
    fn a_default_may_be_an_entry_or_a_part_of_its_table() {
        let table = (Kind::Table, "a", "app");
        let apart = toc(&[table, (Kind::Default, "a x", "app")]);
        assert!(told_of(&apart, &toc(&[table])).is_empty());
        assert!(told_of(&toc(&[table]), &apart).is_empty());
    }
}
