//! One trial: the source's values of a few columns in a temporary table on the target, and what
//! the target makes of them. Values are counted, never shown.

use crate::copy::{self, CopyPart, CopyStream, Progress, Tally};
use crate::error::{Error, Result};
use crate::pg::{QualifiedName, RowFormat, quote_ident};
use crate::toc::counted;
use crate::wire::{Conninfo, RawConnection};

/// How many rows are tried at most: enough for any list of users, not the whole of a huge table
/// before a job that has a window.
const ROWS: u64 = 5_000_000;

/// The temporary table.
const TABLE: &str = "pg_temp.pgconvoy_tried";

/// What is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trial {
    /// What would break, as people name it.
    pub(super) object: String,
    /// Where the values are.
    pub(super) table: QualifiedName,
    /// The columns, and the types that they have in the temporary table.
    pub(super) columns: Vec<(String, String)>,
    /// Which rows matter, in the source's SQL.
    pub(super) filter: Option<String>,
    /// What must hold.
    pub(super) rule: Rule,
}

/// What must hold of the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rule {
    /// No two rows have equal keys.
    Unique {
        /// The keys as the target would compare them.
        keys: Vec<String>,
        /// Whether NULLs equal each other.
        nulls_are_equal: bool,
    },
    /// No row makes this false.
    Holds(String),
}

/// How a trial went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The rows tried.
    pub(super) rows: u64,
    /// The rows that fail.
    pub(super) failing: i64,
}

impl Outcome {
    /// Whether there are more rows than were tried.
    pub(super) fn is_cut_short(&self) -> bool {
        self.rows >= ROWS
    }
}

impl Trial {
    /// Tries the source's rows in a database that has the target's locale.
    pub(super) async fn run(&self, source: &Conninfo, target: &Conninfo) -> Result<Outcome> {
        let doing = format!("trying {} under the target's locale", self.object);
        let mut source = RawConnection::connect(source).await?;
        let mut target = RawConnection::connect(target).await?;
        target.execute(&doing, &self.create()).await?;
        let stream =
            CopyStream { doing: &doing, format: RowFormat::Text, columns: self.columns.len() };
        let part = CopyPart {
            copy_out: &self.copy_out(),
            copy_in: &format!("COPY {TABLE} FROM STDIN (FORMAT text)"),
            stream,
        };
        let progress = Progress::default();
        let tallies = copy::forward(&mut source, &mut target, &[part], &progress).await?;
        let rows = tallies.iter().map(Tally::rows).sum();
        let answer = target.query(&doing, &self.question()).await?;
        let count = answer.first().and_then(|row| row.first()).and_then(Option::as_deref);
        let failing = count.and_then(|count| count.parse().ok()).ok_or_else(|| {
            Error::step(&doing).because("the target's answer isn't the number asked for")
        })?;
        source.close().await?;
        target.close().await?;
        Ok(Outcome { rows, failing })
    }

    /// What the failing rows mean.
    pub(super) fn failure(&self, outcome: &Outcome) -> String {
        let rows = outcome.failing;
        match &self.rule {
            Rule::Unique { .. } => format!(
                "{rows} rows of {} have keys that are equal to another's under the target's locale",
                self.table
            ),
            Rule::Holds(_) => {
                let met_by = if rows == 1 { "doesn't meet" } else { "don't meet" };
                let rows = counted(rows as usize, "row");
                format!("{rows} of {} {met_by} it under the target's locale", self.table)
            }
        }
    }

    fn create(&self) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|(name, kind)| format!("{} {kind}", quote_ident(name)))
            .collect();
        format!("CREATE TEMPORARY TABLE {TABLE} ({})", columns.join(", "))
    }

    fn copy_out(&self) -> String {
        let columns: Vec<String> = self.columns.iter().map(|(name, _)| quote_ident(name)).collect();
        let filter = self.filter.as_deref().map_or_else(String::new, |f| format!(" WHERE ({f})"));
        format!(
            "COPY (SELECT {} FROM ONLY {}{filter} LIMIT {ROWS}) TO STDOUT (FORMAT text)",
            columns.join(", "),
            self.table.sql()
        )
    }

    fn question(&self) -> String {
        match &self.rule {
            Rule::Holds(rule) => {
                format!("SELECT pg_catalog.count(*) FROM {TABLE} WHERE ({rule}) IS FALSE")
            }
            Rule::Unique { keys, nulls_are_equal } => {
                let some: Vec<String> =
                    keys.iter().map(|key| format!("({key}) IS NOT NULL")).collect();
                let filter = match nulls_are_equal {
                    true => String::new(),
                    false => format!(" WHERE {}", some.join(" AND ")),
                };
                // Numbers in GROUP BY would be positions; a key in parentheses never is one.
                let keys: Vec<String> = keys.iter().map(|key| format!("({key})")).collect();
                format!(
                    "SELECT coalesce(pg_catalog.sum(rows), 0) FROM (SELECT pg_catalog.count(*) AS \
                     rows FROM {TABLE}{filter} GROUP BY {} HAVING pg_catalog.count(*) > 1) same",
                    keys.join(", ")
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(rule: Rule) -> Trial {
        Trial {
            object: "INDEX s.i".to_owned(),
            table: QualifiedName::new("s", "t"),
            columns: vec![("e".to_owned(), "text".to_owned())],
            filter: Some("e <> ''".to_owned()),
            rule,
        }
    }

    #[test]
    fn keys_that_are_null_equal_nothing_unless_it_is_said() {
        let unique = |nulls_are_equal| {
            trial(Rule::Unique { keys: vec!["lower(e)".to_owned()], nulls_are_equal }).question()
        };
        assert!(unique(false).contains("WHERE (lower(e)) IS NOT NULL GROUP BY (lower(e))"));
        assert!(!unique(true).contains("WHERE"));
    }

    #[test]
    fn a_rule_is_broken_by_false_alone() {
        assert_eq!(
            trial(Rule::Holds("e > 'a'".to_owned())).question(),
            "SELECT pg_catalog.count(*) FROM pg_temp.pgconvoy_tried WHERE (e > 'a') IS FALSE"
        );
    }

    #[test]
    fn only_the_rows_that_matter_travel() {
        assert_eq!(
            trial(Rule::Holds("true".to_owned())).copy_out(),
            "COPY (SELECT \"e\" FROM ONLY \"s\".\"t\" WHERE (e <> '') LIMIT 5000000) TO STDOUT \
             (FORMAT text)"
        );
    }
}
