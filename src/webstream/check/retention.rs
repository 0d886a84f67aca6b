//! Measurements that are older than the configuration keeps: they needn't move.

use serde::Serialize;

use crate::commands::Finding;
use crate::error::Result;
use crate::wire::Session;

use super::super::configuration::Configuration;
use super::timed_table::TimedTable;

/// The setting that says how long measurements are kept.
const SETTING: &str = "retentionDays";
/// The database that has them.
pub(super) const DATABASE: &str = "webstream_metrics";

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

/// Counts the rows of a table that are older.
pub(super) async fn count(metrics: &Session, table: &TimedTable, days: i32) -> Result<Outdated> {
    // An index on the time answers that, where a large table is read too slowly.
    let old =
        format!("WHERE {{time}} < pg_catalog.now() - pg_catalog.make_interval(days => {days})");
    let rows = table.counted(metrics, ("pg_catalog.count(*)", &old)).await?.map(|row| row.get(0));
    Ok(Outdated { table: table.name.to_string(), days, rows })
}

/// What needn't move.
pub(super) fn judge(outdated: &Outdated) -> Option<Finding> {
    let Outdated { table, days, rows } = outdated;
    let many = match rows {
        Some(0) => return None,
        Some(1) => "has 1 row".to_owned(),
        Some(rows) => format!("has {rows} rows"),
        None => "may have rows (counting them takes too long)".to_owned(),
    };
    let what = format!("{many} older than the {days} days of {SETTING}, which needn't move");
    Some(
        Finding::note(format!("table {table} in {DATABASE}"), what)
            .mend("let the service delete them before the window: what is gone isn't copied"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_kept_are_no_finding() {
        let outdated = |rows| Outdated { table: "public.samples".to_owned(), days: 14, rows };
        assert_eq!(judge(&outdated(Some(0))), None);
        assert!(judge(&outdated(Some(1))).unwrap().what.contains("has 1 row older"));
        assert!(judge(&outdated(Some(7))).unwrap().what.contains("has 7 rows older than the 14"));
        assert!(judge(&outdated(None)).unwrap().what.contains("takes too long"));
    }
}
