//! The largest table of a database that has one time and no more: others don't tell which of their times
//! counts. Its rows tell how fast the database grows, and which of them are too old to move.

use crate::commands::Finding;
use crate::error::{Error, Kind, Result};
use crate::pg::{QualifiedName, quote_ident};
use crate::wire::Session;

/// Counting isn't worth more than this.
const COUNTING: &str = "SET statement_timeout = '10s'";
/// SQLSTATE query_canceled.
const CANCELED: &str = "57014";

/// A table whose rows have a time each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TimedTable {
    pub(super) name: QualifiedName,
    pub(super) time: String,
    /// Its size with indexes and partitions.
    pub(super) bytes: i64,
}

impl TimedTable {
    /// Looks for it in the session's database.
    pub(super) async fn largest(session: &Session) -> Result<Option<TimedTable>> {
        let sql = "SELECT n.nspname::text, c.relname::text, pg_catalog.min(a.attname::text), \
             (coalesce((SELECT pg_catalog.sum(pg_catalog.pg_total_relation_size(t.relid)) \
              FROM pg_catalog.pg_partition_tree(c.oid) t), pg_catalog.pg_total_relation_size(c.oid)) \
             )::pg_catalog.int8 AS bytes \
             FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 \
               AND NOT a.attisdropped AND a.atttypid IN \
               ('pg_catalog.timestamptz'::pg_catalog.regtype, \
               'pg_catalog.timestamp'::pg_catalog.regtype) \
             WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition \
               AND n.nspname NOT LIKE 'pg\\_%' \
               AND n.nspname NOT IN ('information_schema', 'pgconvoy') \
               AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') \
               AND pg_catalog.has_table_privilege(c.oid, 'SELECT') \
             GROUP BY n.nspname, c.relname, c.oid HAVING pg_catalog.count(*) = 1 \
             ORDER BY bytes DESC NULLS LAST, 1, 2 LIMIT 1";
        let rows = session.query("looking for a table with a time", sql, &[]).await?;
        Ok(rows.first().map(|row| TimedTable {
            name: QualifiedName::new(row.get::<_, String>(0), row.get::<_, String>(1)),
            time: row.get(2),
            bytes: row.get(3),
        }))
    }

    /// Reads one row of a SELECT's list over the rows that a WHERE leaves: in both `{time}` stands for
    /// the column. None where it takes too long.
    pub(super) async fn counted(
        &self,
        session: &Session,
        (list, narrowed): (&str, &str),
    ) -> Result<Option<tokio_postgres::Row>> {
        let doing = format!("counting the rows of {} by their times", self.name);
        session.execute(&doing, COUNTING).await?;
        let [list, narrowed] =
            [list, narrowed].map(|part| part.replace("{time}", &quote_ident(&self.time)));
        let sql = format!("SELECT {list} FROM {} {narrowed}", self.name.sql());
        match session.query_one(&doing, &sql, &[]).await {
            Ok(row) => Ok(Some(row)),
            Err(error) if error.server_error().is_some_and(|w| w.sqlstate == CANCELED) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What a question without an answer comes to; a connection that is gone ends the check.
pub(super) fn unanswered(database: &str, error: Error) -> Result<Finding> {
    match error.kind() {
        Kind::Connect | Kind::Lost => Err(error),
        _ => Ok(Finding::note(
            format!("database {database}"),
            format!("how it grows couldn't be told: {}", error.message()),
        )),
    }
}
