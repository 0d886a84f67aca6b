//! How fast a database grows, by what the source alone tells: an estimate, with its basis.

use serde::Serialize;

use crate::error::Result;
use crate::wire::Session;

use super::timed_table::TimedTable;

/// The days that are counted, as a month.
const MONTH: i64 = 30;
const YEAR: i64 = 365;

/// How fast a database grows, by the largest of its tables whose rows have a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Growth {
    /// The database.
    pub database: String,
    /// The table; none where no table tells.
    pub table: Option<String>,
    /// Its size with indexes.
    pub bytes: i64,
    /// Its rows of the last 30 days; none where counting takes too long.
    pub recent_rows: Option<i64>,
    /// All its rows, likewise.
    pub rows: Option<i64>,
    /// How many days ago its oldest row came.
    pub oldest_days: Option<i64>,
    /// For how long its rows are kept, if they aren't for ever.
    pub kept_days: Option<i32>,
    /// Bytes that a month adds, where that can be told.
    pub monthly_bytes: Option<i64>,
    /// Its size after a year, likewise.
    pub bytes_after_a_year: Option<i64>,
}

/// Counts the rows of a database's table by their times.
pub(super) async fn measure(
    session: &Session,
    database: &str,
    table: Option<&TimedTable>,
    kept_days: Option<i32>,
) -> Result<Growth> {
    let mut growth = Growth {
        database: database.to_owned(),
        table: table.map(|table| table.name.to_string()),
        bytes: table.map_or(0, |table| table.bytes),
        recent_rows: None,
        rows: None,
        oldest_days: None,
        kept_days,
        monthly_bytes: None,
        bytes_after_a_year: None,
    };
    let Some(table) = table else { return Ok(growth) };
    let counts = format!(
        "pg_catalog.count(*) FILTER (WHERE {{time}} BETWEEN pg_catalog.now() \
         - pg_catalog.make_interval(days => {MONTH}) AND pg_catalog.now()), pg_catalog.count(*), \
         pg_catalog.ceil(extract(epoch FROM pg_catalog.now() - pg_catalog.min({{time}})) / 86400) \
         ::pg_catalog.int8"
    );
    if let Some(row) = table.counted(session, (&counts, "")).await? {
        (growth.recent_rows, growth.rows, growth.oldest_days) =
            (row.get(0), row.get(1), row.get(2));
        growth.estimate();
    }
    Ok(growth)
}

impl Growth {
    /// The table grows as its rows of the last month do; where it is younger, of its days.
    fn estimate(&mut self) {
        let (Some(recent), Some(rows @ 1..), Some(oldest)) =
            (self.recent_rows, self.rows, self.oldest_days)
        else {
            return;
        };
        let wide = |number: i64| i128::from(number.max(0));
        let days = wide(oldest.clamp(1, MONTH));
        let monthly = wide(self.bytes) * wide(recent) * wide(MONTH) / wide(rows) / days;
        let for_ever = wide(self.bytes) + monthly * wide(YEAR) / wide(MONTH);
        let after = match self.kept_days {
            // What is deleted gives its place to what comes.
            Some(kept) => {
                for_ever.min(monthly * i128::from(kept) / wide(MONTH)).max(wide(self.bytes))
            }
            None => for_ever,
        };
        self.monthly_bytes = i64::try_from(monthly).ok();
        self.bytes_after_a_year = i64::try_from(after).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growth(recent: i64, rows: i64, oldest: i64, kept_days: Option<i32>) -> Growth {
        let mut growth = Growth {
            database: "metrics".to_owned(),
            table: Some("public.samples".to_owned()),
            bytes: 3_000,
            recent_rows: Some(recent),
            rows: Some(rows),
            oldest_days: Some(oldest),
            kept_days,
            monthly_bytes: None,
            bytes_after_a_year: None,
        };
        growth.estimate();
        growth
    }

    #[test]
    fn a_month_adds_the_share_of_the_last_month() {
        let steady = growth(10, 30, 90, None);
        assert_eq!((steady.monthly_bytes, steady.bytes_after_a_year), (Some(1_000), Some(15_166)));
        assert_eq!(growth(0, 30, 90, None).monthly_bytes, Some(0));
    }

    #[test]
    fn a_young_table_is_taken_by_its_days() {
        assert_eq!(growth(30, 30, 10, None).monthly_bytes, Some(9_000));
        assert_eq!(growth(30, 30, 0, None).monthly_bytes, Some(90_000));
    }

    #[test]
    fn what_is_kept_for_a_while_levels_off() {
        // Ninety days of it are there, and stay.
        assert_eq!(growth(10, 30, 90, Some(90)).bytes_after_a_year, Some(3_000));
        assert_eq!(growth(10, 30, 90, Some(180)).bytes_after_a_year, Some(6_000));
        assert_eq!(growth(10, 30, 90, Some(14)).bytes_after_a_year, Some(3_000));
    }

    #[test]
    fn of_an_empty_table_nothing_is_known() {
        assert_eq!(growth(0, 0, 0, None).monthly_bytes, None);
    }
}
