//! Exit codes: what a script can tell of how a command ended.

use crate::commands::{Checked, DatabaseReport};
use crate::error::Kind;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// All is done.
    Done,
    /// A difference was found.
    Different,
    /// The request makes no sense.
    Usage,
    /// The preflight refuses.
    Refused,
    /// A server couldn't be reached.
    NotConnected,
    /// A step failed; the same command goes on.
    StepFailed,
    /// Somebody stopped it; the same command goes on.
    Interrupted,
}

impl Exit {
    /// The process's exit code.
    pub(super) fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Different => 1,
            Exit::Usage => 2,
            Exit::Refused => 3,
            Exit::NotConnected => 4,
            Exit::StepFailed => 5,
            Exit::Interrupted => 130,
        }
    }

    /// The end of a job with these reports.
    pub(super) fn of_reports<'a>(reports: impl IntoIterator<Item = &'a DatabaseReport>) -> Exit {
        match reports.into_iter().all(|report| report.verification.is_clean()) {
            true => Exit::Done,
            false => Exit::Different,
        }
    }

    /// The end of a check that found this.
    pub(super) fn of_checks(checked: &[Checked], strict: bool) -> Exit {
        match checked.iter().any(|checked| checked.is_refused(strict)) {
            true => Exit::Refused,
            false => Exit::Done,
        }
    }
}

impl From<Kind> for Exit {
    fn from(kind: Kind) -> Exit {
        match kind {
            Kind::Usage => Exit::Usage,
            Kind::Refused => Exit::Refused,
            Kind::Connect => Exit::NotConnected,
            Kind::Step | Kind::Lost | Kind::Stale => Exit::StepFailed,
            Kind::Interrupted => Exit::Interrupted,
        }
    }
}

/// A kind of failure, as `--json` names it.
pub(super) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Usage => "usage",
        Kind::Refused => "refused",
        Kind::Connect => "connect",
        Kind::Step => "step",
        Kind::Lost => "lost",
        Kind::Stale => "stale",
        Kind::Interrupted => "interrupted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::{Finding, TableVerdict, Verification};
    use crate::pg::QualifiedName;

    #[test]
    fn every_end_has_the_code_that_scripts_rely_on() {
        let table = [
            (Exit::Done, 0),
            (Exit::Different, 1),
            (Exit::from(Kind::Usage), 2),
            (Exit::from(Kind::Refused), 3),
            (Exit::from(Kind::Connect), 4),
            (Exit::from(Kind::Step), 5),
            (Exit::from(Kind::Lost), 5),
            (Exit::from(Kind::Stale), 5),
            (Exit::from(Kind::Interrupted), 130),
        ];
        for (exit, code) in table {
            assert_eq!(exit.code(), code, "{exit:?}");
        }
    }

    #[test]
    fn one_table_that_differs_is_a_difference() {
        let equal = DatabaseReport::default();
        let table = QualifiedName::new("public", "t");
        let differs = TableVerdict::Differs { table, source_rows: 1, target_rows: 2 };
        let verification = Verification { tables: vec![differs], ..Verification::default() };
        let different = DatabaseReport { verification, ..DatabaseReport::default() };
        assert_eq!(Exit::of_reports(&[]), Exit::Done);
        assert_eq!(Exit::of_reports(std::slice::from_ref(&equal)), Exit::Done);
        assert_eq!(Exit::of_reports(&[equal, different]), Exit::Different);
    }

    #[test]
    fn changes_are_refused_only_if_that_is_asked_for() {
        let findings = vec![Finding::change("role a", "is left out")];
        let checked = [Checked { database: "shop".into(), findings }];
        assert_eq!(Exit::of_checks(&checked, false), Exit::Done);
        assert_eq!(Exit::of_checks(&checked, true), Exit::Refused);
    }
}
