//! Measurements that are older than the configuration keeps: they needn't move.

use serde::Serialize;

use crate::commands::Finding;
use crate::error::{Error, Kind, Result};
use crate::pg::{QualifiedName, quote_ident};
use crate::wire::Session;

use super::super::configuration::Configuration;

/// The setting that says how long measurements are kept.
const SETTING: &str = "retentionDays";
/// The database that has them.
pub(super) const DATABASE: &str = "webstream_metrics";
/// Counting isn't worth more than this.
const COUNTING: &str = "SET statement_timeout = '10s'";
/// SQLSTATE query_canceled.
const CANCELED: &str = "57014";

/// Rows that are older than they are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outdated {
    /// The table.
    pub table: String,
    /// For how long its rows are kept.
    pub days: i32,
    /// How many rows are older; none where counting takes too long.
    pub rows: Option<i64>,
}

/// The longest time that any of the configurations says.
pub(super) fn days(configurations: &[Configuration]) -> Option<i32> {
    let said = configurations.iter().flat_map(|configuration| configuration.settings(SETTING));
    said.filter_map(|text| text.trim().parse().ok()).filter(|days| *days > 0).max()
}

/// Counts the rows of the largest table that has one time and no more: others don't tell which of
/// their times counts.
pub(super) async fn count(metrics: &Session, days: i32) -> Result<Option<Outdated>> {
    let sql = "SELECT n.nspname::text, c.relname::text, pg_catalog.min(a.attname::text), \
         coalesce((SELECT pg_catalog.sum(pg_catalog.pg_table_size(t.relid)) \
          FROM pg_catalog.pg_partition_tree(c.oid) t), 0) + pg_catalog.pg_table_size(c.oid) AS bytes \
         FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 \
           AND NOT a.attisdropped AND a.atttypid IN ('pg_catalog.timestamptz'::pg_catalog.regtype, \
           'pg_catalog.timestamp'::pg_catalog.regtype) \
         WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname NOT LIKE 'pg\\_%' \
           AND n.nspname NOT IN ('information_schema', 'pgconvoy') \
           AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') \
           AND pg_catalog.has_table_privilege(c.oid, 'SELECT') \
         GROUP BY n.nspname, c.relname, c.oid HAVING pg_catalog.count(*) = 1 \
         ORDER BY bytes DESC NULLS LAST, 1, 2 LIMIT 1";
    let rows = metrics.query("looking for the measurements", sql, &[]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let table = QualifiedName::new(row.get::<_, String>(0), row.get::<_, String>(1));
    let time: String = row.get(2);
    let doing = format!("counting the old rows of {table}");
    metrics.execute(&doing, COUNTING).await?;
    let sql = format!(
        "SELECT pg_catalog.count(*) FROM {} WHERE {} < pg_catalog.now() \
         - pg_catalog.make_interval(days => {days})",
        table.sql(),
        quote_ident(&time)
    );
    let rows = match metrics.query_one(&doing, &sql, &[]).await {
        Ok(row) => Some(row.get(0)),
        Err(error) if error.server_error().is_some_and(|words| words.sqlstate == CANCELED) => None,
        Err(error) => return Err(error),
    };
    Ok(Some(Outdated { table: table.to_string(), days, rows }))
}

/// What needn't move.
pub(super) fn judge(outdated: &Outdated) -> Option<Finding> {
    let Outdated { table, days, rows } = outdated;
    let many = match rows {
        Some(0) => return None,
        Some(rows) => format!("has {rows} rows"),
        None => "may have rows (counting them takes too long)".to_owned(),
    };
    let what = format!("{many} older than the {days} days of {SETTING}, which needn't move");
    Some(
        Finding::note(format!("table {table} in {DATABASE}"), what)
            .mend("let the service delete them before the window: what is gone isn't copied"),
    )
}

/// What a question without an answer comes to; a connection that is gone ends the check.
pub(super) fn unanswered(error: Error) -> Result<Finding> {
    match error.kind() {
        Kind::Connect | Kind::Lost => Err(error),
        _ => Ok(Finding::note(
            format!("database {DATABASE}"),
            format!("old measurements couldn't be counted: {}", error.message()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_kept_are_no_finding() {
        let outdated = |rows| Outdated { table: "public.samples".to_owned(), days: 14, rows };
        assert_eq!(judge(&outdated(Some(0))), None);
        assert!(judge(&outdated(Some(7))).unwrap().what.contains("has 7 rows older than the 14"));
        assert!(judge(&outdated(None)).unwrap().what.contains("takes too long"));
    }
}
