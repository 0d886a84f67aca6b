//! Reading where sequences stand.

use crate::pg::{QualifiedName, quote_literal};

/// So many sequences are read by one statement, which locks them all: a server may have little room
/// for locks.
const READ_TOGETHER: usize = 20;

/// What reads them: of each its name in SQL, its last value, and whether that was drawn.
pub(super) fn reads<'a>(names: impl Iterator<Item = &'a QualifiedName>) -> Vec<String> {
    let read = |name: &QualifiedName| {
        let sql = name.sql();
        let title = quote_literal(&sql);
        format!("SELECT {title}::pg_catalog.text, last_value, is_called FROM {sql}")
    };
    let reads: Vec<String> = names.map(read).collect();
    reads.chunks(READ_TOGETHER).map(|some| some.join(" UNION ALL ")).collect()
}
