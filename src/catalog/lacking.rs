//! Entries that lack something: what was asked to be left behind is needed by more than was asked
//! for. They stay behind too, and are named.

use std::collections::BTreeMap;

use crate::toc::{Entry, EntryId, Kind};

use super::LeftOut;

/// The `entries` that neither lack anything (by their ids, with what they lack) nor need one that
/// does, renumbered; and those left out.
pub(super) fn without(
    entries: Vec<Entry>,
    mut lacking: BTreeMap<EntryId, String>,
) -> (Vec<Entry>, Vec<LeftOut>) {
    if lacking.is_empty() {
        return (entries, Vec::new());
    }
    spread(&entries, &mut lacking);
    let mut place = vec![None; entries.len()];
    let mut next = 0;
    for (i, place) in place.iter_mut().enumerate() {
        if !lacking.contains_key(&EntryId(i as u32)) {
            *place = Some(EntryId(next));
            next += 1;
        }
    }
    let mut kept = Vec::with_capacity(next as usize);
    let mut left_out = Vec::new();
    for (i, mut entry) in entries.into_iter().enumerate() {
        match lacking.get(&EntryId(i as u32)) {
            None => {
                entry.depends_on =
                    entry.depends_on.iter().filter_map(|id| place[id.0 as usize]).collect();
                kept.push(entry);
            }
            Some(what) if is_worth_a_line(&entry) => left_out.push(LeftOut {
                object: entry.title(),
                why: format!("it needs {what}, which is excluded"),
            }),
            Some(_) => {}
        }
    }
    (kept, left_out)
}

/// What needs an entry that lacks something lacks it as well.
fn spread(entries: &[Entry], lacking: &mut BTreeMap<EntryId, String>) {
    let mut needed_by: Vec<Vec<EntryId>> = vec![Vec::new(); entries.len()];
    for (i, entry) in entries.iter().enumerate() {
        for first in &entry.depends_on {
            needed_by[first.0 as usize].push(EntryId(i as u32));
        }
    }
    let mut open: Vec<EntryId> = lacking.keys().copied().collect();
    while let Some(id) = open.pop() {
        let what = lacking.get(&id).cloned().unwrap_or_default();
        for &after in &needed_by[id.0 as usize] {
            lacking.entry(after).or_insert_with(|| {
                open.push(after);
                what.clone()
            });
        }
    }
}

/// A comment, a label or a grant goes without saying where its object goes.
fn is_worth_a_line(entry: &Entry) -> bool {
    !matches!(entry.kind, Kind::Comment | Kind::SecurityLabel | Kind::Acl)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_an_excluded_table_goes_and_so_does_what_needs_that() {
        let entry = |kind, name: &str, needs: &[u32]| Entry {
            depends_on: needs.iter().copied().map(EntryId).collect(),
            ..Entry::new(kind, Some("s"), name)
        };
        let entries = vec![
            entry(Kind::View, "lacks", &[]),
            entry(Kind::Table, "kept", &[]),
            entry(Kind::View, "needs", &[0, 1]),
            entry(Kind::Comment, "VIEW needs", &[2]),
            entry(Kind::TableData, "kept", &[1]),
        ];
        let lacking = [(EntryId(0), "table s.gone".to_owned())].into();
        let (kept, left_out) = without(entries, lacking);
        let titles: Vec<String> = kept.iter().map(Entry::title).collect();
        assert_eq!(titles, ["TABLE s.kept", "TABLE DATA s.kept"]);
        assert_eq!(kept[1].depends_on, [EntryId(0)]);
        let left: Vec<&str> = left_out.iter().map(|l| l.object.as_str()).collect();
        assert_eq!(left, ["VIEW s.lacks", "VIEW s.needs"]);
        assert_eq!(left_out[1].why, "it needs table s.gone, which is excluded");
    }
}
