//! What a live source knows of a table's rows.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::pg::{QualifiedName, RowFormat};

use super::chunk::ChunkRange;
use super::large_objects::{LargeObjectGroup, pieces_sql, places_sql};

/// A table's rows: which columns travel, how, and how much there is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableData {
    /// The table.
    pub relation: QualifiedName,
    /// What its rows are rows of.
    #[serde(default)]
    pub rows_of: RowsOf,
    /// The columns that travel, in the source's order, unquoted; generated ones don't. Where none
    /// is left, COPY takes no list at all and still carries as many rows as there are.
    pub columns: Vec<String>,
    /// The format the rows travel in.
    pub format: RowFormat,
    /// Why not binary: the column and what about its type, for people.
    pub text_because: Option<String>,
    /// How big it is.
    pub size: TableSize,
    /// The columns of the primary key, or else of a unique index over NOT NULL columns.
    pub key: Vec<KeyColumn>,
    /// An unlogged table is empty after a crash of its server.
    pub unlogged: bool,
    /// Whether ctid ranges make sense: a table of the heap access method.
    pub heap: bool,
    /// Quantiles of the key's first column, as text, ends included, from the source's statistics:
    /// where sources before PostgreSQL 14 are cut. Empty where not known or not needed.
    pub key_bounds: Vec<String>,
    /// Only the rows that meet this condition travel (an extension's configuration table).
    pub condition: Option<String>,
    /// Only the source's rows that meet this condition travel: the target holds nothing else, so
    /// the condition, which may read other tables, is never asked there.
    #[serde(default)]
    pub filter: Option<String>,
    /// An extension has brought it, and with it maybe rows and triggers.
    #[serde(default)]
    pub of_extension: bool,
    /// Foreign keys may stand between it and others when its rows arrive, as an extension has
    /// brought them: such tables are copied together, each after those it refers to, and emptied
    /// in the reverse order.
    #[serde(default)]
    pub in_foreign_keys: bool,
    /// Somebody else has made it on the target: its rows come to those that are there, which the job
    /// begins without, and it is never truncated.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stands: bool,
    /// Where an archive has them, if that is where they come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<Archived>,
}

/// Where an archive has rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archived {
    /// The parts that can be read by themselves: together they are all rows.
    pub parts: Vec<ArchivedPart>,
    /// What their text is encoded in, where that isn't UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
}

impl Archived {
    /// The parts of a range; all where it isn't an archive's.
    pub fn parts_of(&self, range: &ChunkRange) -> &[ArchivedPart] {
        match range {
            ChunkRange::Archived { from, to } => {
                self.parts.get(*from as usize..*to as usize).unwrap_or_default()
            }
            _ => &self.parts,
        }
    }
}

/// Rows that an archive has in one piece.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivedPart {
    /// The number of the archive's entry.
    pub item: i32,
    /// Which of its chunks, or which so many of its large objects; none for all of it.
    pub chunk: Option<u32>,
    /// Bytes, in the archive or of its rows.
    pub bytes: u64,
    /// The columns in the order that these rows have them in, where that isn't the table's:
    /// partitions' that go through their root may differ in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
}

/// What rows are rows of: how they are read and written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowsOf {
    /// The relation itself, not those that inherit from it.
    #[default]
    Relation,
    /// All partitions of the relation. They are written through it, as rows may belong into other
    /// partitions on the target.
    Partitions,
    /// Large objects, in pieces: the relation is a view in the ledger's schema that takes them.
    LargeObjects {
        /// Those that the objects belong to.
        groups: Vec<LargeObjectGroup>,
    },
}

/// An end of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Where rows come from.
    Source,
    /// Where they go.
    Target,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Source => "the source",
            Side::Target => "the target",
        })
    }
}

impl TableData {
    /// The conditions that a row must meet to be one of those that travel, on either side.
    pub fn conditions(&self, side: Side) -> impl Iterator<Item = &str> {
        let filter = self.filter.as_deref().filter(|_| side == Side::Source);
        self.condition.as_deref().into_iter().chain(filter)
    }

    /// Whether its rows are pieces of large objects.
    pub fn holds_large_objects(&self) -> bool {
        matches!(self.rows_of, RowsOf::LargeObjects { .. })
    }

    /// Whether its rows come beside others that an extension's script has made: an archive doesn't say
    /// what tells them apart.
    pub fn adds_to_an_extensions(&self) -> bool {
        self.of_extension && self.archived.is_some()
    }

    /// What stands after FROM to read the rows, on either side.
    pub fn source_sql(&self) -> String {
        match self.rows_of {
            RowsOf::Relation => format!("ONLY {}", self.relation.sql()),
            RowsOf::Partitions => self.relation.sql(),
            RowsOf::LargeObjects { .. } => format!("({}) pieces", pieces_sql()),
        }
    }

    /// The same, where the rows are only counted.
    pub fn counted_sql(&self) -> String {
        match self.rows_of {
            RowsOf::LargeObjects { .. } => format!("({}) pieces", places_sql()),
            _ => self.source_sql(),
        }
    }
}

/// A table's size, as its catalog knows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSize {
    /// Pages of the heap itself, 8 KiB each as a rule, from the file's length.
    pub pages: u64,
    /// Bytes of heap and TOAST.
    pub bytes: u64,
}

/// A column of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyColumn {
    /// The column, unquoted.
    pub name: String,
    /// Its type, as `format_type` renders it.
    pub type_name: String,
}

/// A table for unit tests: binary, two columns, no size.
#[cfg(test)]
pub(crate) fn test_table(name: &str) -> TableData {
    TableData {
        relation: QualifiedName::new("public", name),
        rows_of: RowsOf::Relation,
        columns: vec!["id".into(), "note".into()],
        format: RowFormat::Binary,
        text_because: None,
        size: TableSize::default(),
        key: vec![KeyColumn { name: "id".into(), type_name: "integer".into() }],
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
