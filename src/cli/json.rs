//! What `--json` prints besides events: results and errors, each with a stable `event` field.

use std::path::Path;

use serde::Serialize;

use crate::commands::{
    BenchResults, Checked, DatabaseReport, Dumped, Finished, Inspected, Planned, Rehearsed, Status,
    Unfenced,
};
use crate::error::Error;
use crate::webstream::{Preflight, Provisioned, Reached, Retired, Rewritten, RolledBack};

use super::exit::{Exit, kind_name};

/// A result, or how the command failed.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum ResultLine<'a> {
    /// A database's report, of `migrate`, `verify` or `demo`.
    Report {
        /// Whether everything that was compared is equal.
        clean: bool,
        /// The report.
        #[serde(flatten)]
        report: &'a DatabaseReport,
    },
    /// What `check` found about a database.
    Check {
        /// Whether `migrate` would refuse.
        refused: bool,
        /// The findings.
        #[serde(flatten)]
        checked: &'a Checked,
    },
    /// A database's plan.
    Plan(&'a Planned),
    /// How far a database is.
    Status(&'a Status),
    /// What finishing a database came to.
    Finish(&'a Finished),
    /// What a dump came to.
    Dump(&'a Dumped),
    /// What lifting a fence came to.
    Unfence(&'a Unfenced),
    /// What an archive holds.
    Inspect {
        /// Whether nothing is wrong with it.
        sound: bool,
        /// Its entries and flaws.
        #[serde(flatten)]
        inspected: &'a Inspected,
    },
    /// The demo's servers that stay up: how to connect, and how to be rid of them.
    Kept {
        /// A line each.
        servers: &'a [String],
    },
    /// What `webstream check` found.
    Preflight {
        /// Whether the move is refused.
        refused: bool,
        /// Everything.
        #[serde(flatten)]
        found: &'a Preflight,
    },
    /// A database and its owner's role on the target.
    Provisioned(&'a Provisioned),
    /// What rehearsing a database came to.
    Rehearsed {
        /// Whether everything that was compared is equal.
        clean: bool,
        /// The report, and what it predicts.
        #[serde(flatten)]
        rehearsed: &'a Rehearsed,
    },
    /// The report that a move is signed off with.
    SignOff {
        /// Where it is.
        path: &'a Path,
    },
    /// What becomes of a configuration.
    Repoint(&'a Rewritten),
    /// The way back.
    Rollback(&'a RolledBack),
    /// What a service would find behind a connection string.
    Reached(&'a Reached),
    /// The bundled databases as they were before they were closed.
    Retire(&'a Retired),
    /// Likewise, and are again.
    Unretire(&'a Retired),
    /// What was measured.
    Bench(&'a BenchResults),
    /// The command failed.
    Error {
        /// What kind of failure it is.
        kind: &'static str,
        /// What was being done, and why it failed.
        message: String,
        /// What to do.
        hint: Option<&'a str>,
        /// The exit code.
        exit_code: u8,
    },
}

impl<'a> ResultLine<'a> {
    /// A report.
    pub(super) fn report(report: &'a DatabaseReport) -> ResultLine<'a> {
        ResultLine::Report { clean: report.verification.is_clean(), report }
    }

    /// What `webstream check` found.
    pub(super) fn preflight(found: &'a Preflight) -> ResultLine<'a> {
        ResultLine::Preflight { refused: found.is_refused(), found }
    }

    /// A failure.
    pub(super) fn error(error: &'a Error) -> ResultLine<'a> {
        ResultLine::Error {
            kind: kind_name(error.kind()),
            message: error.message(),
            hint: error.hint_text(),
            exit_code: Exit::from(error.kind()).code(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn render(line: &ResultLine<'_>) -> serde_json::Value {
        serde_json::to_value(line).unwrap()
    }

    #[test]
    fn an_error_says_its_kind_and_the_exit_code() {
        let error = Error::new(Kind::Connect, "connecting to db").because("refused").hint("start");
        assert_eq!(
            render(&ResultLine::error(&error)).to_string(),
            r#"{"event":"error","exit_code":4,"hint":"start","kind":"connect","message":"connecting to db: refused"}"#
        );
    }

    #[test]
    fn a_report_is_one_flat_object() {
        let report = DatabaseReport { database: "shop".into(), rows: 3, ..Default::default() };
        let line = render(&ResultLine::report(&report));
        assert_eq!(line["event"], "report");
        assert_eq!(line["clean"], true);
        assert_eq!((&line["database"], &line["rows"]), (&"shop".into(), &3.into()));
    }
}
