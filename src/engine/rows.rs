//! Rows in SQL: the statements that read, write, count and empty them, on either side.

use crate::copy::{CopyStream, CopyTable, Freeze};
use crate::toc::{ChunkRange, RowsOf, Side, TableData};

fn copy_table<'a>(table: &'a TableData, from: Option<&'a str>) -> CopyTable<'a> {
    let TableData { relation, columns, format, .. } = table;
    CopyTable { relation, columns, format: *format, from, encoding: encoding(table) }
}

/// What a table's rows are encoded in on their way to and from the target, where an archive says so.
pub(super) fn encoding(table: &TableData) -> Option<&str> {
    table.archived.as_ref()?.encoding.as_deref()
}

/// The statement that reads a part of the rows on one side.
pub(super) fn copy_out(table: &TableData, range: &ChunkRange, side: Side) -> String {
    let range = range.condition();
    let conditions: Vec<&str> =
        range.as_deref().into_iter().chain(table.conditions(side)).collect();
    let from = (table.rows_of != RowsOf::Relation).then(|| table.source_sql());
    copy_table(table, from.as_deref()).copy_out(&conditions)
}

/// A table of this size is truncated before its rows come, so that they may arrive frozen. TRUNCATE
/// makes up to three new files and removes as many, which takes longer than the rows of a smaller
/// table do.
const TRUNCATED: u64 = 4 << 20;

/// The statement that writes a part of the rows. A whole table's arrive frozen, which a table
/// truncated in the same transaction allows.
pub(super) fn copy_in(table: &TableData, range: &ChunkRange) -> String {
    let freeze = match *range == ChunkRange::Whole && arrives_frozen(table) {
        true => Freeze::Yes,
        false => Freeze::No,
    };
    let copy = copy_table(table, None);
    CopyTable { columns: columns(table, range), ..copy }.copy_in(freeze)
}

/// The columns in the order in which a part of the rows has them.
fn columns<'a>(table: &'a TableData, range: &ChunkRange) -> &'a [String] {
    let first = table.archived.as_ref().and_then(|archived| archived.parts_of(range).first());
    first.and_then(|part| part.columns.as_deref()).unwrap_or(&table.columns)
}

fn arrives_frozen(table: &TableData) -> bool {
    table.rows_of == RowsOf::Relation
        && table.condition.is_none()
        && !table.in_foreign_keys
        && !table.stands
        && !table.adds_to_an_extensions()
        && table.size.bytes >= TRUNCATED
}

/// Makes sure that a table which is copied whole has no rows, as it hasn't but for those that an
/// extension's script put there. DELETE would fire row triggers that came with those.
pub(super) fn empty_for_copy(table: &TableData) -> String {
    match table.rows_of {
        RowsOf::Relation if !arrives_frozen(table) && !table.of_extension => delete(table),
        _ => empty(table),
    }
}

pub(super) fn stream<'a>(table: &TableData, doing: &'a str) -> CopyStream<'a> {
    CopyStream { format: table.format, columns: table.columns.len(), doing }
}

/// Counts, on the target, the rows that travelled.
pub(super) fn count(table: &TableData) -> String {
    format!("SELECT pg_catalog.count(*) FROM {}{}", table.counted_sql(), condition(table))
}

/// Removes the rows that travel, where a table is emptied as a whole: of a table of which only
/// some do, an extension has brought the others.
pub(super) fn empty(table: &TableData) -> String {
    match (&table.rows_of, &table.condition) {
        // TRUNCATE fails where a foreign key refers to the table.
        _ if table.in_foreign_keys || table.stands => delete(table),
        (RowsOf::Partitions, None) => format!("TRUNCATE {};\n", table.relation.sql()),
        (_, None) => format!("TRUNCATE ONLY {};\n", table.relation.sql()),
        (_, Some(_)) => delete(table),
    }
}

fn delete(table: &TableData) -> String {
    format!("DELETE FROM {}{};\n", table.source_sql(), condition(table))
}

fn condition(table: &TableData) -> String {
    table.condition.as_ref().map(|only| format!(" WHERE ({only})")).unwrap_or_default()
}
