//! Where a key's values lie, from the source's own statistics: sources before PostgreSQL 14 have
//! no TID range scans, so their big tables are cut by ranges of the key.

use std::collections::HashMap;

use crate::error::Result;
use crate::wire::Session;

use super::scope::Scope;

/// Tables below this are never cut.
const WORTH_CUTTING: i64 = 64 << 20;

/// The histogram bounds of columns of big tables, as text, by table and column name.
pub(super) struct KeyBounds(HashMap<(u32, String), Vec<String>>);

impl KeyBounds {
    /// Reads them where they are needed. Only types of pg_catalog, as those of users may compare by
    /// operators that a session with an empty search_path doesn't find; and none with a collation,
    /// as the ranges are read back on a target that may sort otherwise.
    pub(super) async fn read(session: &Session, scope: &Scope) -> Result<KeyBounds> {
        if session.version().major() >= 14 {
            return Ok(KeyBounds(HashMap::new()));
        }
        let sql = format!(
            "SELECT c.oid, a.attname::text, s.histogram_bounds::text::text[] \
             FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 \
               AND a.attnotnull AND NOT a.attisdropped \
             JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
               AND t.typnamespace = 'pg_catalog'::regnamespace AND t.typcollation = 0 \
             JOIN pg_catalog.pg_stats s ON s.schemaname = n.nspname \
               AND s.tablename = c.relname AND s.attname = a.attname AND NOT s.inherited \
             WHERE c.relkind = 'r' AND {} AND s.histogram_bounds IS NOT NULL \
               AND pg_catalog.pg_table_size(c.oid) >= {WORTH_CUTTING}",
            scope.schemas("n.nspname")
        );
        let rows = session.query("reading the keys' statistics", &sql, &[]).await?;
        let bounds = |row: &tokio_postgres::Row| ((row.get(0), row.get(1)), row.get(2));
        Ok(KeyBounds(rows.iter().map(bounds).collect()))
    }

    /// The bounds of a table's column, if they are known.
    pub(super) fn of(&self, table: u32, column: &str) -> Vec<String> {
        self.0.get(&(table, column.to_owned())).cloned().unwrap_or_default()
    }
}
