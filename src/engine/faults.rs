//! What a failure asks for: the same once more, a fresh start from the ledger, or an end. The one
//! table of SQLSTATE classes (documentation: "PostgreSQL Error Codes") and of our own kinds.

use crate::error::{Error, Kind};

/// What a failure asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// It passes: the step again, on whole connections.
    Again,
    /// What the run stands on is gone: all again, from the ledger.
    Resume,
    /// It would fail again.
    Stop,
}

/// What `error` asks for.
pub fn remedy(error: &Error) -> Remedy {
    match error.kind() {
        Kind::Usage | Kind::Refused | Kind::Interrupted => Remedy::Stop,
        Kind::Lost => Remedy::Again,
        Kind::Stale => Remedy::Resume,
        Kind::Connect => match error.server_error() {
            // A server that starts, stops or is full says so; what doesn't answer may be on its way
            // to another address.
            None => Remedy::Again,
            Some(words) => of_sqlstate(&words.sqlstate),
        },
        Kind::Step => match (error.server_error(), error.is_io()) {
            (Some(words), _) => of_sqlstate(&words.sqlstate),
            (None, true) => Remedy::Again,
            (None, false) => Remedy::Stop,
        },
    }
}

/// By class; within some, codes that differ.
fn of_sqlstate(sqlstate: &str) -> Remedy {
    match (sqlstate.get(..2).unwrap_or_default(), sqlstate) {
        // Connection exceptions; the operator's and the server's own ends of a session.
        ("08", _) => Remedy::Again,
        ("57", "57014" | "57P04") => Remedy::Stop,
        ("57", _) => Remedy::Again,
        // A writer that has become a reader: its name may lead to the new writer by now.
        ("25", "25006") => Remedy::Resume,
        ("25", "25P03" | "25P04") => Remedy::Again,
        ("25", _) => Remedy::Stop,
        // Serialization failures, deadlocks, a commit of which nobody knows.
        ("40", "40002") => Remedy::Stop,
        ("40", _) => Remedy::Again,
        // No disk, memory or connections: somebody may make room.
        ("53", "53400") => Remedy::Stop,
        ("53", _) => Remedy::Again,
        // Objects in use. Locks have been waited for, as long as we wait for any.
        ("55", "55006") => Remedy::Again,
        ("55", _) => Remedy::Stop,
        // The disk under the server.
        ("58", "58030" | "58000") => Remedy::Again,
        ("58", _) => Remedy::Stop,
        // The snapshot is too old.
        ("72", _) => Remedy::Resume,
        // All others are about what was asked, who asked, or what is there: data, rights, names,
        // limits, corruption.
        _ => Remedy::Stop,
    }
}

/// Whether a statement was refused for what it says or what its rows are, so that a job may go on
/// without it: not for what the server lacks, who asked, or what is there already.
pub(super) fn is_its_own_fault(error: &Error) -> bool {
    let Some(words) = error.server_error().filter(|_| remedy(error) == Remedy::Stop) else {
        return false;
    };
    match (words.class(), words.sqlstate.as_str()) {
        // A materialized view that reads one that wasn't refreshed.
        ("55", "55000") => true,
        ("25" | "28" | "53" | "55" | "57" | "58", _) => false,
        // Rights that are missing, names that are taken, corruption.
        (_, "42501" | "42710" | "42P07" | "XX001" | "XX002") => false,
        _ => true,
    }
}

/// Whether the server may be gone from where it was: then its name is to be looked up again, which
/// a fresh start does. Whatever else passes is better waited for where one stands.
pub(super) fn is_cut_off(error: &Error) -> bool {
    match error.server_error() {
        None => true,
        Some(words) => words.sqlstate.starts_with("08") || words.sqlstate.starts_with("57"),
    }
}

/// Whether the server lacked room on its disk.
pub(super) fn is_disk_full(error: &Error) -> bool {
    error.server_error().is_some_and(|words| words.sqlstate == "53100")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::ServerError;

    fn said(sqlstate: &str) -> Error {
        Error::step("copying t").server(ServerError {
            sqlstate: sqlstate.to_owned(),
            message: String::new(),
            detail: None,
            hint: None,
            context: None,
            table: None,
            constraint: None,
        })
    }

    #[test]
    fn what_passes_is_tried_again_and_what_stays_is_not() {
        for passes in ["08006", "40001", "40P01", "53100", "53200", "53300", "55006", "57P01"] {
            assert_eq!(remedy(&said(passes)), Remedy::Again, "{passes}");
        }
        for stays in
            ["22021", "23505", "28P01", "42501", "42P07", "55P03", "57014", "XX001", "QQ000", ""]
        {
            assert_eq!(remedy(&said(stays)), Remedy::Stop, "{stays}");
        }
        for own in ["22012", "23505", "42883", "55000", "P0001", "XX000", "QQ000"] {
            assert!(is_its_own_fault(&said(own)), "{own}");
        }
        for other in ["40P01", "42501", "42P07", "53100", "55P03", "57014", "XX001"] {
            assert!(!is_its_own_fault(&said(other)), "{other}");
        }
        assert_eq!(remedy(&said("25006")), Remedy::Resume);
        assert_eq!(remedy(&Error::new(Kind::Lost, "x")), Remedy::Again);
        assert_eq!(remedy(&Error::new(Kind::Stale, "x")), Remedy::Resume);
        assert_eq!(remedy(&said("57P03").as_kind(Kind::Connect)), Remedy::Again);
        assert_eq!(remedy(&said("28P01").as_kind(Kind::Connect)), Remedy::Stop);
        assert_eq!(remedy(&Error::new(Kind::Refused, "x")), Remedy::Stop);
    }
}
