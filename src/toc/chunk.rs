//! A piece of a table: which of its rows one step copies.

use serde::{Deserialize, Serialize};

use crate::pg::{quote_ident, quote_literal};

/// The rows of a table that belong to one chunk. Lower bounds belong to it, upper bounds to the
/// next; a bound that isn't there leaves that side open, as a table's first and last chunks must.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChunkRange {
    /// The whole table.
    Whole,
    /// Pages of the heap. The last chunk is open-ended: the table may have grown since it was
    /// measured. Servers before 14 scan the whole table for it.
    Pages {
        /// The first page.
        from: u64,
        /// The page after the last one.
        to: Option<u64>,
    },
    /// Values of a column that is never null. Both bounds must stand in the order that the
    /// column's own `<` gives in a session with an empty search_path, or rows would be copied
    /// twice: so a type of pg_catalog, not citext.
    Keys {
        /// The column, unquoted.
        column: String,
        /// The first value, as text.
        from: Option<String>,
        /// The value after the last one, as text.
        to: Option<String>,
    },
    /// Parts of what an archive has of the table, by their places in
    /// [`crate::toc::Archived::parts`].
    Archived {
        /// The first part.
        from: u32,
        /// The part after the last one.
        to: u32,
    },
}

impl ChunkRange {
    /// The condition that a row must meet, or none where every row does, or an archive says which
    /// rows they are.
    pub fn condition(&self) -> Option<String> {
        let (what, from, to) = match self {
            ChunkRange::Whole | ChunkRange::Archived { .. } => return None,
            ChunkRange::Pages { from, to } => (
                "ctid".to_owned(),
                // Page 0 is where a heap begins.
                (*from > 0).then(|| tid(*from)),
                to.map(tid),
            ),
            ChunkRange::Keys { column, from, to } => (
                quote_ident(column),
                from.as_deref().map(quote_literal),
                to.as_deref().map(quote_literal),
            ),
        };
        match (from, to) {
            (None, None) => None,
            (Some(from), None) => Some(format!("{what} >= {from}")),
            (None, Some(to)) => Some(format!("{what} < {to}")),
            (Some(from), Some(to)) => Some(format!("{what} >= {from} AND {what} < {to}")),
        }
    }
}

/// The place before a page's first row: item numbers start at 1.
fn tid(page: u64) -> String {
    format!("'({page},0)'::pg_catalog.tid")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(from: u64, to: Option<u64>) -> Option<String> {
        ChunkRange::Pages { from, to }.condition()
    }

    fn keys(from: Option<&str>, to: Option<&str>) -> Option<String> {
        ChunkRange::Keys {
            column: "Id".to_owned(),
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
        }
        .condition()
    }

    #[test]
    fn a_whole_table_has_no_condition() {
        assert_eq!(ChunkRange::Whole.condition(), None);
        assert_eq!(pages(0, None), None);
        assert_eq!(keys(None, None), None);
    }

    #[test]
    fn pages_are_ranges_of_ctid() {
        assert_eq!(pages(0, Some(10)).as_deref(), Some("ctid < '(10,0)'::pg_catalog.tid"));
        assert_eq!(
            pages(10, Some(20)).as_deref(),
            Some("ctid >= '(10,0)'::pg_catalog.tid AND ctid < '(20,0)'::pg_catalog.tid")
        );
        assert_eq!(pages(20, None).as_deref(), Some("ctid >= '(20,0)'::pg_catalog.tid"));
    }

    #[test]
    fn keys_are_quoted_literals() {
        assert_eq!(
            keys(Some("1"), Some("o'x")).as_deref(),
            Some("\"Id\" >= '1' AND \"Id\" < 'o''x'")
        );
        assert_eq!(keys(None, Some("5")).as_deref(), Some("\"Id\" < '5'"));
        assert_eq!(keys(Some("5"), None).as_deref(), Some("\"Id\" >= '5'"));
    }

    #[test]
    fn a_range_survives_the_ledger() {
        let range =
            ChunkRange::Keys { column: "id".to_owned(), from: Some("7".to_owned()), to: None };
        let json = serde_json::to_string(&range).unwrap();
        assert_eq!(json, r#"{"keys":{"column":"id","from":"7","to":null}}"#);
        assert_eq!(serde_json::from_str::<ChunkRange>(&json).unwrap(), range);
        assert_eq!(serde_json::to_string(&ChunkRange::Whole).unwrap(), "\"whole\"");
    }
}
