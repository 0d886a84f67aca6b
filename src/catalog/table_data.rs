//! Tables' rows: which columns travel, in which format, how much there is, and by which key.

use std::collections::{HashMap, HashSet};

use tokio_postgres::Row;

use crate::error::Result;
use crate::pg::Oid;
use crate::toc::{Entry, EntryId, KeyColumn, Kind, RowsOf, TableData, TableSize};
use crate::wire::Session;

use super::builder::Builder;
use super::column_storage;
use super::columns::{Column, Columns};
use super::constraints::ConstraintKind;
use super::extension_config::ExtensionConfig;
use super::indexes::{Index, Indexes};
use super::key_bounds::KeyBounds;
use super::partition_roots::PartitionRoots;
use super::relations::{Relation, RelationKind};
use super::row_format::Types;
use super::scope::Scope;
use super::tables::Parts;

/// Adds TABLE DATA entries: of plain tables and leaf partitions, and of the tables in which
/// extensions keep what is the users'.
pub(super) async fn read(
    session: &Session,
    scope: &Scope,
    parts: Parts<'_>,
    indexes: &Indexes,
    config: &ExtensionConfig,
    out: &mut Builder,
) -> Result<()> {
    let Parts { relations, columns, .. } = parts;
    let roots = PartitionRoots::read(session, scope, relations, out).await?;
    let covered = roots.covered();
    let types = Types::read(session, scope).await?;
    let bounds = KeyBounds::read(session, scope).await?;
    let mut sizes: HashMap<u32, TableSize> = HashMap::new();
    let mut toasted: HashSet<u32> = HashSet::new();
    let take = |row: Row| {
        sizes.insert(row.get("oid"), size_from_row(&row));
        if row.get::<_, Option<i64>>("toast_bytes").is_some_and(|bytes| bytes > 0) {
            toasted.insert(row.get("oid"));
        }
        Ok(())
    };
    session.query_each("reading table sizes", &sizes_sql(scope), &[], take).await?;
    column_storage::add(parts, |table| toasted.contains(&table.oid), out);
    let keys = keys(indexes, columns);
    let mut added: HashMap<u32, EntryId> = HashMap::new();
    let conditioned = config.tables().filter_map(|(oid, condition)| {
        relations
            .any(oid)
            .map(|table| (table, (!condition.is_empty()).then(|| condition.to_owned()), true))
    });
    let own = relations.iter().map(|table| (table, None, false));
    for (table, condition, of_extension) in own.chain(conditioned) {
        if table.kind != RelationKind::Table || covered.contains(&table.oid) {
            continue;
        }
        let travelling = travelling(table, columns);
        let (format, text_because) = types.format(travelling.iter().copied());
        let key = keys.get(&table.oid).map(|index| key_columns(index, columns)).unwrap_or_default();
        let data = TableData {
            relation: table.name.clone(),
            rows_of: RowsOf::Relation,
            columns: travelling.iter().map(|c| c.name.clone()).collect(),
            format,
            text_because,
            size: sizes.get(&table.oid).copied().unwrap_or_default(),
            key_bounds: key.first().map(|k| bounds.of(table.oid, &k.name)).unwrap_or_default(),
            key,
            unlogged: table.unlogged,
            heap: is_heap(table),
            condition,
            filter: None,
            of_extension,
            in_foreign_keys: config.is_in_foreign_keys(table.oid),
            stands: false,
            archived: None,
        };
        let id = out.add_part(entry(table, data));
        out.needs(id, table.object());
        added.insert(table.oid, id);
    }
    for (oid, below) in roots.iter() {
        let Some(root) = relations.any(oid) else { continue };
        let below: Vec<&Relation> = below.iter().filter_map(|&oid| relations.any(oid)).collect();
        let leaves: Vec<&Relation> =
            below.iter().copied().filter(|part| part.kind == RelationKind::Table).collect();
        let sizes = leaves.iter().filter_map(|leaf| sizes.get(&leaf.oid));
        // Each partition has its own pages, and is read in the ranges of the biggest.
        let size = sizes.fold(TableSize::default(), |sum, leaf| TableSize {
            pages: sum.pages.max(leaf.pages),
            bytes: sum.bytes + leaf.bytes,
        });
        let travelling = travelling(root, columns);
        let (format, text_because) = types.format(travelling.iter().copied());
        let data = TableData {
            relation: root.name.clone(),
            rows_of: RowsOf::Partitions,
            columns: travelling.iter().map(|c| c.name.clone()).collect(),
            format,
            text_because,
            size,
            key: keys.get(&oid).map(|index| key_columns(index, columns)).unwrap_or_default(),
            unlogged: leaves.iter().any(|leaf| leaf.unlogged),
            heap: leaves.iter().all(|leaf| is_heap(leaf)),
            key_bounds: Vec::new(),
            condition: None,
            filter: None,
            of_extension: false,
            in_foreign_keys: false,
            stands: false,
            archived: None,
        };
        let id = out.add_part(entry(root, data));
        for relation in [root].into_iter().chain(below) {
            out.needs(id, relation.object());
        }
    }
    for (referring, referenced) in config.references() {
        let in_keys = |oid| config.is_in_foreign_keys(oid);
        if let (Some(&id), Some(&first)) = (added.get(&referring), added.get(&referenced))
            && in_keys(referring)
            && in_keys(referenced)
        {
            out.comes_after(id, first);
        }
    }
    Ok(())
}

fn travelling<'c>(table: &Relation, columns: &'c Columns) -> Vec<&'c Column> {
    columns.of(table.oid).iter().filter(|column| column.generated.is_none()).collect()
}

fn is_heap(table: &Relation) -> bool {
    table.access_method.as_deref() == Some("heap")
}

fn entry(table: &Relation, data: TableData) -> Entry {
    Entry {
        table: Some(Box::new(data)),
        ..Entry::new(Kind::TableData, Some(&table.name.schema), &table.name.name)
    }
}

/// Each table's best key: its primary key, else the shortest unique index over NOT NULL columns.
fn keys<'a>(indexes: &'a Indexes, columns: &Columns) -> HashMap<u32, &'a Index> {
    let mut keys: HashMap<u32, &Index> = HashMap::new();
    for index in indexes.iter().filter(|index| is_key(index, columns)) {
        keys.entry(index.table)
            .and_modify(|best| {
                if rank(index) < rank(best) {
                    *best = index;
                }
            })
            .or_insert(index);
    }
    keys
}

fn rank(index: &Index) -> (bool, usize, &str) {
    (!is_primary(index), index.key().len(), &index.name.name)
}

fn is_primary(index: &Index) -> bool {
    index
        .constraint
        .as_ref()
        .is_some_and(|constraint| constraint.kind == ConstraintKind::PrimaryKey)
}

fn is_key(index: &Index, columns: &Columns) -> bool {
    let not_null = |number: &i16| {
        columns
            .numbered(index.table, *number)
            .is_some_and(|column| column.not_null && column.generated.is_none())
    };
    index.usable && index.unique && index.plain && index.key().iter().all(not_null)
}

fn key_columns(index: &Index, columns: &Columns) -> Vec<KeyColumn> {
    index
        .key()
        .iter()
        .filter_map(|&number| columns.numbered(index.table, number))
        .map(|column| KeyColumn { name: column.name.clone(), type_name: column.type_name.clone() })
        .collect()
}

/// Sizes by the files' lengths: what the catalog remembers is as old as the last VACUUM. Where a
/// table has no pages, its TOAST table isn't asked: opening relations is what takes time.
fn sizes_sql(scope: &Scope) -> String {
    format!(
        "SELECT c.oid, heap.bytes AS heap_bytes, \
                CASE WHEN heap.bytes > 0 THEN pg_catalog.pg_relation_size( \
                    nullif(c.reltoastrelid, 0)) END AS toast_bytes, \
                pg_catalog.current_setting('block_size')::int8 AS block_size \
         FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         CROSS JOIN LATERAL (SELECT pg_catalog.pg_relation_size(c.oid) AS bytes OFFSET 0) heap \
         WHERE c.relkind = 'r' AND c.oid >= {} AND {}",
        Oid::FIRST_NORMAL,
        scope.schemas("n.nspname")
    )
}

fn size_from_row(row: &Row) -> TableSize {
    let number = |name: &str| {
        let value: Option<i64> = row.get(name);
        value.and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
    };
    let heap = number("heap_bytes");
    TableSize { pages: heap / number("block_size").max(1), bytes: heap + number("toast_bytes") }
}

#[cfg(test)]
mod tests {
    use super::super::constraints::Constraint;
    use super::super::indexes::sample;
    use super::*;

    fn column(number: i16, not_null: bool) -> (u32, Column) {
        let column = Column {
            number,
            name: format!("c{number}"),
            type_name: "integer".to_owned(),
            not_null,
            ..Column::default()
        };
        (1, column)
    }

    fn chosen(indexes: Vec<Index>) -> Option<Vec<String>> {
        let columns = Columns::new([column(1, true), column(2, true), column(3, false)]);
        let indexes = Indexes::new(indexes);
        let keys = keys(&indexes, &columns);
        let index = keys.get(&1)?;
        Some(key_columns(index, &columns).into_iter().map(|key| key.name).collect())
    }

    fn over(oid: u32, columns: &[i16]) -> Index {
        Index {
            columns: columns.to_vec(),
            key_columns: columns.len(),
            ..sample::index(oid, 1, &format!("i{oid}"))
        }
    }

    #[test]
    fn the_primary_key_is_the_key_and_else_the_shortest_unique_index() {
        let primary = Index {
            constraint: Some(Constraint {
                oid: 5,
                name: "pk".to_owned(),
                kind: ConstraintKind::PrimaryKey,
                deferrable: false,
                deferred: false,
                period: false,
                definition: None,
            }),
            ..over(12, &[1, 2])
        };
        assert_eq!(chosen(vec![over(10, &[2, 1]), over(11, &[2])]).unwrap(), ["c2"]);
        assert_eq!(chosen(vec![over(11, &[2]), primary]).unwrap(), ["c1", "c2"]);
    }

    #[test]
    fn no_index_that_may_hold_nulls_or_misses_rows_is_a_key() {
        let partial = Index { plain: false, ..over(10, &[1]) };
        let several = Index { unique: false, ..over(11, &[1]) };
        assert_eq!(chosen(vec![partial, several, over(12, &[3])]), None);
    }
}
