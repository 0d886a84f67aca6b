//! Which part of a table's rows: the ranges a big table is cut into.

use serde::{Deserialize, Serialize};

use crate::pg::{quote_ident, quote_literal};

/// A part of a table's rows. The ranges of one table are disjoint and together cover it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChunkRange {
    /// All rows.
    Whole,
    /// The rows whose ctid lies on pages `from..to` (TID range scans: PostgreSQL 14).
    Pages {
        /// The first page.
        from: u64,
        /// The page after the last; none for the table's end.
        to: Option<u64>,
    },
    /// The rows whose key lies in `from..to`, compared as the column's type compares.
    Keys {
        /// The column, unquoted: NOT NULL, and first in an index.
        column: String,
        /// Its type, as `format_type` renders it.
        type_name: String,
        /// The first value, as text; none for the smallest.
        from: Option<String>,
        /// The value after the last, as text; none for the greatest.
        to: Option<String>,
    },
}

impl ChunkRange {
    /// The range as a condition on the table's rows; none for all of them.
    pub fn condition(&self) -> Option<String> {
        let (subject, from, to) = match self {
            ChunkRange::Whole => return None,
            ChunkRange::Pages { from, to } => {
                let tid = |page: &u64| format!("'({page},0)'::pg_catalog.tid");
                ("ctid".to_owned(), Some(tid(from)), to.as_ref().map(tid))
            }
            ChunkRange::Keys {
                column,
                type_name,
                from,
                to,
            } => {
                let value = |text: &String| format!("{}::{type_name}", quote_literal(text));
                (
                    quote_ident(column),
                    from.as_ref().map(value),
                    to.as_ref().map(value),
                )
            }
        };
        let at_least = from.map(|from| format!("{subject} >= {from}"));
        let below = to.map(|to| format!("{subject} < {to}"));
        let both: Vec<String> = at_least.into_iter().chain(below).collect();
        (!both.is_empty()).then(|| both.join(" AND "))
    }
}

#[cfg(test)]
mod tests {
    use super::ChunkRange;

    #[test]
    fn a_range_becomes_a_half_open_condition() {
        let pages = ChunkRange::Pages {
            from: 8,
            to: Some(16),
        };
        assert_eq!(
            pages.condition().unwrap(),
            "ctid >= '(8,0)'::pg_catalog.tid AND ctid < '(16,0)'::pg_catalog.tid"
        );
        let keys = ChunkRange::Keys {
            column: "Id".into(),
            type_name: "text".into(),
            from: None,
            to: Some("o'x".into()),
        };
        assert_eq!(keys.condition().unwrap(), "\"Id\" < 'o''x'::text");
        assert_eq!(ChunkRange::Whole.condition(), None);
    }
}
