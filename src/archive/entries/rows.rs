//! Rows and large objects' contents, as what a table is filled with.

use crate::error::{Error, Kind as ErrorKind, Result};
use crate::pg::{QualifiedName, RowFormat};
use crate::toc::{
    Archived, ArchivedPart, Entry, EntryId, Finding, KeyColumn, Kind, LARGE_OBJECTS_VIEW, RowsOf,
    TableData, TableSize,
};

use super::super::format::contents::{Item, Place, UTF8};
use super::super::format::manifest::Manifest;
use super::large::OBJECTS_AT_ONCE;
use super::spelling::copied;
use super::vetting::is_the_systems;
use super::{Gathering, READING, title};

/// Rows in text take about as much room as in a table.
const PAGE: u64 = 8 << 10;

/// What says that rows go through their table's root.
const THROUGH_ROOT: &str = "-- load via partition root";

impl Gathering<'_> {
    pub(super) fn rows(
        &mut self,
        item: &Item,
        manifest: Option<&Manifest>,
        length: &impl Fn(&Item) -> u64,
    ) -> Result<()> {
        // What has no rows has no such entry.
        if item.place == Place::Nowhere {
            return Err(Error::new(ErrorKind::Refused, READING)
                .because(format!("it has no data of {}, which should have some", title(item)))
                .hint("the archive is damaged: copy it again, or make it anew"));
        }
        let Some((relation, columns)) = item.copy.as_deref().and_then(copied) else {
            return Err(Error::new(ErrorKind::Refused, READING)
                .because(format!("the rows of {} aren't there for COPY", title(item)))
                .hint("make the archive anew without --inserts, or restore it with pg_restore"));
        };
        let relation = self.hashed.root(item).cloned().unwrap_or(relation);
        let mut parts = parts(item, manifest, length(item));
        let bytes = parts.iter().map(|part| part.bytes).sum();
        let needs = self.needs(item);
        if let Some(id) = self.rows.get(&relation).copied() {
            self.ids.insert(item.id, id);
            let entry = &mut self.gathered.toc.entries[id.0 as usize];
            entry.depends_on.extend(needs);
            if let Some(table) = &mut entry.table {
                if table.columns != columns {
                    parts.iter_mut().for_each(|part| part.columns = Some(columns.clone()));
                }
                table.size.bytes += bytes;
                table.size.pages += bytes / PAGE;
                table.archived.get_or_insert_default().parts.extend(parts);
            }
            return Ok(());
        }
        let of = |kind: Kind| needs.iter().any(|id| self.gathered.toc.entry(*id).kind == kind);
        let through_root = item.create.starts_with(THROUGH_ROOT)
            || Some(&relation.schema) != item.schema.as_ref()
            || relation.name != item.tag;
        let encoding = Some(&self.gathered.encoding).filter(|name| *name != UTF8).cloned();
        let table = TableData {
            rows_of: match through_root {
                true => RowsOf::Partitions,
                false => RowsOf::Relation,
            },
            size: TableSize { pages: bytes / PAGE, bytes },
            unlogged: item.depends_on.iter().any(|id| self.unlogged.contains(id)),
            // What else could have made it?
            of_extension: is_the_systems(&relation) || self.has_tables && !of(Kind::Table),
            archived: Some(Archived { parts, encoding }),
            ..table(relation.clone(), columns)
        };
        if of(Kind::ForeignTable) {
            let what = "are another server's: they are left out";
            self.gathered.findings.push(Finding::change(format!("rows of {}", title(item)), what));
            return Ok(());
        }
        let entry = Entry {
            depends_on: needs,
            table: Some(Box::new(table)),
            ..Entry::new(Kind::TableData, Some(&relation.schema), relation.name.as_str())
        };
        self.rows.insert(relation, EntryId(self.gathered.toc.entries.len() as u32));
        self.add(item, entry);
        Ok(())
    }
}

/// Until 16 all large objects are one entry's, but each takes a lock until its transaction ends.
pub(super) fn divided(parts: Vec<ArchivedPart>, objects: usize) -> Vec<ArchivedPart> {
    let count = objects.div_ceil(OBJECTS_AT_ONCE) as u32;
    match parts.as_slice() {
        [all] if count > 1 => {
            let bytes = all.bytes / u64::from(count);
            let part = |number| ArchivedPart { chunk: Some(number), bytes, ..all.clone() };
            (0..count).map(part).collect()
        }
        _ => parts,
    }
}

/// The contents of all large objects, as rows of the view that the ledger has for them.
pub(super) fn contents_entry(parts: Vec<ArchivedPart>) -> Entry {
    let relation = QualifiedName::new(LARGE_OBJECTS_VIEW.0, LARGE_OBJECTS_VIEW.1);
    let bytes = parts.iter().map(|part| part.bytes).sum();
    let key = |name: &str, type_name: &str| KeyColumn {
        name: name.to_owned(),
        type_name: type_name.to_owned(),
    };
    let table = TableData {
        rows_of: RowsOf::LargeObjects { groups: Vec::new() },
        size: TableSize { pages: 0, bytes },
        key: vec![key("oid", "oid"), key("at", "bigint")],
        heap: false,
        archived: Some(Archived { parts, encoding: None }),
        ..table(relation, ["oid", "at", "piece"].map(str::to_owned).to_vec())
    };
    Entry {
        table: Some(Box::new(table)),
        ..Entry::new(Kind::LargeObjectData, None, "LARGE OBJECTS")
    }
}

fn table(relation: QualifiedName, columns: Vec<String>) -> TableData {
    TableData {
        relation,
        rows_of: RowsOf::Relation,
        columns,
        format: RowFormat::Text,
        text_because: None,
        size: TableSize::default(),
        key: Vec::new(),
        unlogged: false,
        heap: true,
        key_bounds: Vec::new(),
        condition: None,
        filter: None,
        of_extension: false,
        in_foreign_keys: false,
        stands: false,
        archived: None,
    }
}

/// The parts in which an entry's rows can be read.
fn parts(item: &Item, manifest: Option<&Manifest>, length: u64) -> Vec<ArchivedPart> {
    let chunks = manifest.and_then(|manifest| manifest.rows_of(item.id)).map(|rows| &rows.chunks);
    match chunks.filter(|chunks| chunks.len() > 1) {
        None => vec![ArchivedPart { item: item.id.0, chunk: None, bytes: length, columns: None }],
        Some(chunks) => (0..)
            .zip(chunks)
            .map(|(number, chunk)| ArchivedPart {
                item: item.id.0,
                chunk: Some(number),
                bytes: chunk.bytes,
                columns: None,
            })
            .collect(),
    }
}
