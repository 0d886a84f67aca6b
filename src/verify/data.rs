//! Tables' fingerprints compared.

use serde::{Deserialize, Serialize};

use crate::copy::Fingerprint;
use crate::pg::QualifiedName;
use crate::toc::{LARGE_OBJECTS_VIEW, TableData};

/// What comparing a table came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum TableVerdict {
    /// The same rows on both sides.
    Equal {
        /// The table.
        table: QualifiedName,
        /// How many rows.
        rows: u64,
    },
    /// Not the same rows.
    Differs {
        /// The table.
        table: QualifiedName,
        /// Rows on the source.
        source_rows: u64,
        /// Rows on the target.
        target_rows: u64,
    },
    /// One side wasn't read.
    Unread {
        /// The table.
        table: QualifiedName,
    },
}

impl TableVerdict {
    /// The table that it is about.
    pub fn table(&self) -> &QualifiedName {
        let (TableVerdict::Equal { table, .. }
        | TableVerdict::Differs { table, .. }
        | TableVerdict::Unread { table }) = self;
        table
    }

    /// Whether it is about the large objects, whose pieces travel as rows of a view.
    pub fn is_about_large_objects(&self) -> bool {
        let table = self.table();
        (table.schema.as_str(), table.name.as_str()) == LARGE_OBJECTS_VIEW
    }

    /// Whether the rows are proven equal.
    pub fn is_equal(&self) -> bool {
        matches!(self, TableVerdict::Equal { .. })
    }
}

/// Compares what was read of each table on the source and on the target.
pub fn compare_tables(
    tables: &[TableData],
    source: &[Option<Fingerprint>],
    target: &[Option<Fingerprint>],
) -> Vec<TableVerdict> {
    let sides = source.iter().zip(target);
    tables.iter().zip(sides).map(|(table, (source, target))| judge(table, source, target)).collect()
}

/// Compares what was read of each table on the source with the target's counts.
pub fn compare_counts(
    tables: &[TableData],
    source: &[Option<Fingerprint>],
    target: &[Option<u64>],
) -> Vec<TableVerdict> {
    let only_rows = |rows: u64| Fingerprint { rows, ..Fingerprint::default() };
    let source: Vec<_> = source.iter().map(|f| f.map(|f| only_rows(f.rows))).collect();
    let target: Vec<_> = target.iter().map(|rows| rows.map(only_rows)).collect();
    compare_tables(tables, &source, &target)
}

fn judge(
    table: &TableData,
    source: &Option<Fingerprint>,
    target: &Option<Fingerprint>,
) -> TableVerdict {
    let name = table.relation.clone();
    match (source, target) {
        (Some(source), Some(target)) if source == target => {
            TableVerdict::Equal { table: name, rows: source.rows }
        }
        (Some(source), Some(target)) => TableVerdict::Differs {
            table: name,
            source_rows: source.rows,
            target_rows: target.rows,
        },
        _ => TableVerdict::Unread { table: name },
    }
}
