//! What a choice leaves open, in words.

use std::collections::BTreeMap;

use crate::toc::finding::Finding;
use crate::toc::{Entry, Kind};

use super::Selection;

/// `path` leads from what was chosen to what needs the missing entry.
pub(super) fn refusal(
    path: Vec<String>,
    root: &Entry,
    missing: &Entry,
    selection: &Selection,
) -> Finding {
    let mut titles = path.into_iter().chain([missing.title()]);
    let object = titles.next().unwrap_or_default();
    let chain: Vec<String> = titles.collect();
    let what = format!("needs {}, {}", chain.join(", which needs "), which(selection));
    Finding::refusal(object, what).mend(remedy(root, missing, selection))
}

/// What stays behind as well, although nobody said so.
pub(super) fn stays(entry: &Entry, lacks: &Entry, selection: &Selection) -> Finding {
    let without = match entry.kind {
        Kind::TableAttach => ": the partition is a table of its own, without its triggers and keys",
        Kind::SequenceOwnedBy => ": the sequence belongs to no column",
        _ => "",
    };
    // Of foreign keys there may be hundreds, which are told together where they say the same: the
    // table is in what mends it.
    let needs = match (entry.kind, lacks.kind) {
        (Kind::FkConstraint, Kind::Table) => "the table that it refers to".to_owned(),
        _ => lacks.title(),
    };
    let what = format!("stays behind{without}, as it needs {needs}, {}", which(selection));
    let finding = Finding::change(entry.title(), what);
    match lacks.kind {
        Kind::Table => finding.mend(format!("to keep it: {}", have_table(lacks, selection))),
        _ => finding,
    }
}

/// What belongs to the database rather than to the chosen part, and isn't needed by that.
pub(super) fn of_the_whole(entries: &[Entry], kept: &[bool]) -> Option<Finding> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (entry, kept) in entries.iter().zip(kept) {
        let is_global = matches!(entry.kind, Kind::Role | Kind::RoleMembership | Kind::Extension);
        let goes_along = matches!(entry.kind, Kind::Comment | Kind::Acl | Kind::SecurityLabel);
        let is_part = matches!(entry.kind, Kind::Schema | Kind::LargeObjectData);
        let counts_here = entry.schema.is_none() && !is_part;
        if !kept && counts_here && !is_global && !goes_along {
            let objects = entry.large_objects.map_or(1, |sum| sum.count as usize);
            *counts.entry(entry.kind.tag()).or_default() += objects;
        }
    }
    let all: Vec<String> = counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    (!all.is_empty()).then(|| {
        Finding::note(
            "filters",
            format!(
                "only a part of the database moves: what belongs to the whole and isn't needed \
                 stays behind, as with pg_dump ({})",
                all.join(", ")
            ),
        )
    })
}

fn which(selection: &Selection) -> String {
    match selection {
        Selection::Excluded(flag) => format!("which {flag} leaves behind"),
        Selection::Chosen | Selection::Open => "which isn't chosen".to_owned(),
    }
}

fn remedy(root: &Entry, missing: &Entry, selection: &Selection) -> String {
    let have = match (missing.kind, selection) {
        (Kind::Table, _) => have_table(missing, selection),
        (_, Selection::Excluded(flag)) => format!("take {flag} away"),
        _ => format!("choose {} as well", missing.title()),
    };
    match root.kind {
        Kind::Table | Kind::ForeignTable | Kind::View | Kind::MaterializedView | Kind::Sequence => {
            format!("{have}; or leave {} behind too: --exclude-table {}", root.title(), flag(root))
        }
        Kind::Extension => {
            format!("{have}; or leave it behind too: --exclude-extension {}", quoted(&root.name))
        }
        _ => have,
    }
}

/// How to have a table, or at least its definition.
fn have_table(table: &Entry, selection: &Selection) -> String {
    let name = flag(table);
    match selection {
        Selection::Excluded(said) => {
            format!("--exclude-table-data {name} instead of {said} moves the table without rows")
        }
        _ => format!(
            "--include {name} moves the table, with --exclude-table-data {name} without its rows"
        ),
    }
}

/// A relation's name as a pattern that matches nothing else.
fn flag(relation: &Entry) -> String {
    match &relation.schema {
        Some(schema) => format!("{}.{}", quoted(schema), quoted(&relation.name)),
        None => quoted(&relation.name),
    }
}

fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    match !name.is_empty() && name.chars().all(plain) {
        true => name.to_owned(),
        false => crate::pg::quote_ident(name),
    }
}
