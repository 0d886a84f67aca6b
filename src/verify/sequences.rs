//! Where sequences stand on both sides.

use std::collections::HashMap;

use crate::toc::{Entry, Kind, Toc};

use super::catalogs::CatalogDifference;

/// Whether the source's sequences may have moved on between being read and being set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequences {
    /// No: each must stand at the same value.
    Still,
    /// Yes: none may be behind.
    MovingOn,
}

/// The sequences that don't stand where they should.
pub fn compare_sequences(expected: &Toc, found: &Toc, are: Sequences) -> Vec<CatalogDifference> {
    let theirs: HashMap<Name<'_>, Place> = places(found).collect();
    let mut differences = Vec::new();
    for (name, ours) in places(expected) {
        let entry = title(name);
        let Some(theirs) = theirs.get(&name) else {
            differences.push(CatalogDifference::Missing { entry });
            continue;
        };
        let stands = match are {
            Sequences::Still => (theirs.value, theirs.called) == (ours.value, ours.called),
            Sequences::MovingOn if ours.descends => theirs.key() <= ours.key(),
            Sequences::MovingOn => theirs.key() >= ours.key(),
        };
        if !stands {
            differences.push(CatalogDifference::Differs {
                entry,
                expected: ours.to_string(),
                found: theirs.to_string(),
            });
        }
    }
    differences
}

/// A sequence's schema and name.
type Name<'a> = (Option<&'a str>, &'a str);

fn title((schema, name): Name<'_>) -> String {
    Entry::new(Kind::SequenceSet, schema, name).title()
}

/// Where a sequence stands: whether its last value has been handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    value: i64,
    called: bool,
    descends: bool,
}

impl Place {
    /// Grows with the values handed out; shrinks where the sequence descends.
    fn key(&self) -> (i64, bool) {
        (self.value, self.called != self.descends)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let called = if self.called { "" } else { ", not yet handed out" };
        write!(f, "at {}{called}", self.value)
    }
}

fn places(toc: &Toc) -> impl Iterator<Item = (Name<'_>, Place)> {
    let descending = descending(toc);
    let set = toc.entries.iter().filter(|entry| entry.kind == Kind::SequenceSet);
    set.filter_map(move |entry| {
        let (value, called) = arguments(&entry.create)?;
        let name = (entry.schema.as_deref(), entry.name.as_str());
        Some((name, Place { value, called, descends: descends(&descending, entry) }))
    })
}

/// The value and whether it is handed out: the last arguments of `setval(…, 7, true);`.
fn arguments(sql: &str) -> Option<(i64, bool)> {
    let mut arguments = sql.trim_end().strip_suffix(");")?.rsplit(", ");
    let called = arguments.next()?.parse().ok()?;
    Some((arguments.next()?.parse().ok()?, called))
}

/// What the definitions say of sequences that may count downwards, each from the sequence's name
/// on: its own, or that of the table whose identity it is. They are few, however many sequences
/// there are.
fn descending(toc: &Toc) -> Vec<&str> {
    let mut found = Vec::new();
    for entry in toc.entries.iter().filter(|entry| entry.create.contains(DOWNWARDS)) {
        let introduces = match entry.kind {
            Kind::Sequence => "SEQUENCE ",
            Kind::Table => "SEQUENCE NAME ",
            _ => continue,
        };
        let places = entry.create.match_indices(introduces);
        let named = places.map(|(at, _)| &entry.create[at + introduces.len()..]);
        found.extend(named.filter(|rest| rest.contains(DOWNWARDS)));
    }
    found
}

const DOWNWARDS: &str = "INCREMENT BY -";

fn descends(descending: &[&str], sequence: &Entry) -> bool {
    let name =
        crate::pg::QualifiedName::new(sequence.schema.clone().unwrap_or_default(), &sequence.name);
    let name = format!("{}\n", name.sql());
    let mut definitions = descending.iter().filter_map(|rest| rest.strip_prefix(name.as_str()));
    definitions.any(|rest| rest.split(';').next().is_some_and(|sql| sql.contains(DOWNWARDS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toc(value: &str, increment: i64) -> Toc {
        let entry = |kind, create: String| Entry { create, ..Entry::new(kind, Some("s"), "q") };
        Toc {
            entries: vec![
                entry(
                    Kind::Table,
                    format!(
                        "CREATE TABLE \"s\".\"q\" ();\nALTER TABLE x ADD GENERATED ALWAYS AS IDENTITY (\n    \
                     SEQUENCE NAME \"s\".\"q\"\n    INCREMENT BY {increment}\n);\n"
                    ),
                ),
                entry(
                    Kind::SequenceSet,
                    format!(
                        "SELECT pg_catalog.setval('\"s\".\"q\"'::pg_catalog.regclass, {value});\n"
                    ),
                ),
            ],
        }
    }

    fn differ(ours: &str, theirs: &str, increment: i64, are: Sequences) -> bool {
        !compare_sequences(&toc(ours, increment), &toc(theirs, increment), are).is_empty()
    }

    #[test]
    fn a_sequence_that_stands_elsewhere_is_named_with_both_places() {
        let told = compare_sequences(&toc("7, true", 1), &toc("7, false", 1), Sequences::Still);
        assert_eq!(
            told[0].to_string(),
            "SEQUENCE SET s.q differs:\n    expected: at 7\n    found:    at 7, not yet handed out"
        );
        assert!(!differ("7, true", "7, true", 1, Sequences::Still));
        assert!(differ("7, true", "8, true", 1, Sequences::Still));
        assert_eq!(
            compare_sequences(&toc("7, true", 1), &Toc::default(), Sequences::Still).len(),
            1
        );
    }

    #[test]
    fn one_that_moves_on_may_be_ahead_and_never_behind() {
        let table = [
            ("7, true", "8, true", 1, false),
            ("7, false", "7, true", 1, false),
            ("7, true", "7, false", 1, true),
            ("7, true", "6, true", 1, true),
            ("-7, true", "-8, true", -1, false),
            ("-7, false", "-7, true", -1, false),
            ("-7, true", "-7, false", -1, true),
            ("-7, true", "-6, true", -1, true),
        ];
        for (ours, theirs, increment, expected) in table {
            let differs = differ(ours, theirs, increment, Sequences::MovingOn);
            assert_eq!(differs, expected, "{ours} {theirs} {increment}");
        }
    }
}
