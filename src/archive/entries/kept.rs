//! The entries that are restored, of all that an archive has, and what these need of the others: that
//! has to be on the target already.

use std::collections::{BTreeMap, BTreeSet};

use crate::toc::closure::Ties;
use crate::toc::{Entry, EntryId, Kind, Section, Toc};

use super::super::format::contents::{Contents, Item, ItemId};
use super::large::is_about_large_objects;
use super::{ArchivedToc, PUBLIC};

/// An object that isn't restored, and is needed all the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Need {
    /// What it is.
    pub(crate) kind: Kind,
    /// Its schema.
    pub(crate) schema: Option<String>,
    /// Its name.
    pub(crate) name: String,
    /// What needs it.
    pub(crate) by: String,
}

impl Need {
    /// What it is called for people.
    pub(crate) fn title(&self) -> String {
        Entry::new(self.kind, self.schema.as_deref(), self.name.as_str()).title()
    }
}

impl ArchivedToc {
    /// The items of the entries that are kept, before others are left out; whatever is said of large
    /// objects goes with what they hold.
    pub(crate) fn items_of(&self, kept: &[bool], contents: &Contents) -> BTreeSet<ItemId> {
        let is_kept = |id: &EntryId| kept.get(id.0 as usize) == Some(&true);
        let mut of_objects = self.toc.iter().filter(|(_, e)| e.kind == Kind::LargeObjectData);
        let objects_are = of_objects.any(|(id, _)| is_kept(&id));
        let goes = |item: &&Item| match self.of_item.get(&item.id) {
            Some(entry) => is_kept(entry),
            None => objects_are && is_about_large_objects(item),
        };
        contents.items.iter().filter(goes).map(|item| item.id).collect()
    }

    /// Leaves of the entries those that are kept, and says what they need of the others. Tables
    /// that are needed stay as what stands on the target: who works on them has to know that.
    pub(crate) fn keep(&mut self, kept: &[bool]) -> Vec<Need> {
        let entries = std::mem::take(&mut self.toc.entries);
        let made: BTreeSet<(Kind, Option<String>, String)> =
            entries.iter().zip(kept).filter(|(_, kept)| **kept).map(|(e, _)| key(e)).collect();
        let mut needs: BTreeMap<(Kind, Option<String>, String), String> = BTreeMap::new();
        let mut standing = vec![false; entries.len()];
        let ties = Ties::of(&entries);
        for (at, entry) in entries.iter().enumerate().filter(|(at, _)| kept[*at]) {
            let above = ties.lineage(EntryId(at as u32));
            let needed = entry.depends_on.iter().filter(|id| !above.contains(id));
            for id in needed.filter(|id| !kept[id.0 as usize]) {
                let need = &entries[id.0 as usize];
                if is_object(need.kind) {
                    standing[id.0 as usize] |= need.kind == Kind::Table;
                    needs.entry(key(need)).or_insert_with(|| entry.title());
                }
            }
            let is_set_with_its_own = entry.depends_on.iter().any(|id| kept[id.0 as usize]);
            let filled = filled(entry, is_set_with_its_own);
            if let Some(filled) = filled.filter(|filled| !made.contains(filled)) {
                needs.entry(filled).or_insert_with(|| entry.title());
            }
        }
        let mut places = Vec::with_capacity(entries.len());
        let mut next = 0;
        for (kept, stands) in kept.iter().zip(&standing) {
            places.push((*kept || *stands).then_some(EntryId(next)));
            next += u32::from(*kept || *stands);
        }
        for (at, entry) in entries.into_iter().enumerate().filter(|(at, _)| places[*at].is_some()) {
            let depends_on = entry.depends_on.iter().filter_map(|id| places[id.0 as usize]);
            let depends_on = depends_on.collect();
            let mut entry = match kept[at] {
                true => Entry { depends_on, ..entry },
                false => Entry {
                    stands: true,
                    depends_on,
                    ..Entry::new(entry.kind, entry.schema.as_deref(), entry.name)
                },
            };
            if let Some(table) = &mut entry.table {
                let (schema, name) = (&table.relation.schema, &table.relation.name);
                let is_made = made.contains(&(Kind::Table, Some(schema.clone()), name.clone()));
                let is_apart = table.of_extension || table.holds_large_objects();
                table.stands = !is_apart && !is_made;
            }
            self.toc.entries.push(entry);
        }
        add_public(&mut self.toc);
        let need = |((kind, schema, name), by)| Need { kind, schema, name, by };
        needs.into_iter().map(need).collect()
    }
}

fn key(entry: &Entry) -> (Kind, Option<String>, String) {
    (entry.kind, entry.schema.clone(), entry.name.clone())
}

/// What an entry fills or sets, whether or not the archive has that. An extension brings its tables,
/// and an identity's sequence comes with its table.
fn filled(entry: &Entry, with_its_own: bool) -> Option<(Kind, Option<String>, String)> {
    let kind = match (entry.kind, &entry.table) {
        (Kind::TableData, Some(table)) if !table.of_extension => Kind::Table,
        (Kind::SequenceSet, _) if !with_its_own => Kind::Sequence,
        (Kind::MaterializedViewData, _) => Kind::MaterializedView,
        _ => return None,
    };
    Some((kind, entry.schema.clone(), entry.name.clone()))
}

/// Whether an entry makes something that others can need, rather than fills or alters it.
fn is_object(kind: Kind) -> bool {
    let alters = matches!(
        kind,
        Kind::TableAttach
            | Kind::SequenceOwnedBy
            | Kind::Default
            | Kind::ColumnStorage
            | Kind::DatabaseProperties
            | Kind::Constraint
            | Kind::CheckConstraint
            | Kind::Index
    );
    kind.section() == Section::PreData && !alters
}

/// pg_dump doesn't speak of a `public` as every new database has it, and what is in there may belong
/// to roles that have to be let in.
fn add_public(toc: &mut Toc) {
    let is_it = |entry: &Entry| entry.kind == Kind::Schema && entry.name == "public";
    let is_in = |entry: &Entry| {
        let is_made = !entry.stands && entry.section() != Section::Data;
        is_made && entry.schema.as_deref() == Some("public")
    };
    if toc.entries.iter().any(is_it) || !toc.entries.iter().any(is_in) {
        return;
    }
    for entry in &mut toc.entries {
        for id in &mut entry.depends_on {
            id.0 += 1;
        }
    }
    let public = Entry { create: PUBLIC.to_owned(), ..Entry::new(Kind::Schema, None, "public") };
    toc.entries.insert(0, public);
}
