//! A table's rows in SQL: the statements that read, count and empty them, on either side.

use crate::copy::{CopyStream, CopyTable, Freeze};
use crate::toc::{ChunkRange, Side, TableData};

fn copy_table(table: &TableData) -> CopyTable<'_> {
    CopyTable { relation: &table.relation, columns: &table.columns, format: table.format }
}

/// The statement that reads a part of a table on one side.
pub(super) fn copy_out(table: &TableData, range: &ChunkRange, side: Side) -> String {
    let range = range.condition();
    let conditions: Vec<&str> =
        range.as_deref().into_iter().chain(table.conditions(side)).collect();
    copy_table(table).copy_out(&conditions)
}

/// The statements that write a part of a table. A whole table's rows arrive frozen, which a table
/// emptied in the same transaction allows.
pub(super) fn copy_in(table: &TableData, range: &ChunkRange) -> String {
    match *range == ChunkRange::Whole && table.condition.is_none() {
        true => format!(
            "TRUNCATE ONLY {};\n{}",
            table.relation.sql(),
            copy_table(table).copy_in(Freeze::Yes)
        ),
        false => copy_table(table).copy_in(Freeze::No),
    }
}

pub(super) fn stream<'a>(table: &TableData, doing: &'a str) -> CopyStream<'a> {
    CopyStream { format: table.format, columns: table.columns.len(), doing }
}

/// Counts, on the target, the rows that travelled.
pub(super) fn count(table: &TableData) -> String {
    format!("SELECT pg_catalog.count(*) FROM ONLY {}{}", table.relation.sql(), condition(table))
}

/// Removes the rows that travel: of a table of which only some do, an extension has brought the
/// others.
pub(super) fn empty(table: &TableData) -> String {
    match table.condition {
        None => format!("TRUNCATE ONLY {};\n", table.relation.sql()),
        Some(_) => format!("DELETE FROM ONLY {}{};\n", table.relation.sql(), condition(table)),
    }
}

fn condition(table: &TableData) -> String {
    table.condition.as_ref().map(|only| format!(" WHERE ({only})")).unwrap_or_default()
}
