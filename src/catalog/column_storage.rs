//! Columns whose values were told to be stored plainly. What came in before may be too long for that,
//! and would be refused if it came in after: it stays where it is when this is set (documentation:
//! ALTER TABLE, "SET STORAGE"). pg_dump sets it before the rows, and fails.

use crate::pg::quote_ident;
use crate::toc::{Entry, Kind};

use super::builder::Builder;
use super::relations::{Relation, RelationKind};
use super::tables::Parts;

/// Adds COLUMN STORAGE entries. `has_long_values` tells whether a table keeps values outside of its
/// rows; those of types that compress may be longer than they look. All others are set before the
/// rows, so that these are stored as on the source.
pub(super) fn add(
    parts: Parts<'_>,
    has_long_values: impl Fn(&Relation) -> bool,
    out: &mut Builder,
) {
    for table in parts.relations.iter().filter(|table| table.kind == RelationKind::Table) {
        for column in parts.columns.of(table.oid).iter().filter(|column| column.is_made_plain()) {
            let alter =
                format!("{} ALTER COLUMN {}", table.alter_only(), quote_ident(&column.name));
            let id = out.add_part(Entry {
                create: format!("{alter} SET STORAGE {};\n", column.storage),
                after_rows: column.compressible || has_long_values(table),
                ..Entry::new(
                    Kind::ColumnStorage,
                    Some(&table.name.schema),
                    table.tag_of(&column.name),
                )
            });
            out.needs(id, table.object());
        }
    }
}
