//! What to do now, when a step has failed and nobody who was closer to it has said so.

use crate::error::Error;

/// Where a job has its rows from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RowsFrom {
    Server,
    Archive,
}

/// The error with a hint that ends in an action.
pub(super) fn advised(error: Error, from: RowsFrom) -> Error {
    if error.hint_text().is_some() {
        return error;
    }
    let state = error.server_error().map(|server| server.sqlstate.as_str()).unwrap_or_default();
    if let (RowsFrom::Archive, Some(hint)) = (from, of_archive(state)) {
        return error.hint(hint);
    }
    let hint = match (state, state.get(..2).unwrap_or_default()) {
        ("22P05", _) => {
            "the target's encoding lacks a character of the source's text: replace it on the \
             source, then run again; or make the target database with ENCODING 'UTF8'"
        }
        // A check is created with its table, and judges rows that the source's no longer does.
        ("23502" | "23514", _) => {
            "the source's own rows break it: mend them there, and run again; or make the check NOT \
             VALID there (DROP CONSTRAINT, then ADD CONSTRAINT … NOT VALID), and run again with \
             --restart"
        }
        ("3F000" | "42P01" | "42703", _) => {
            "somebody may have dropped from the target what the job has made: put it back as it \
             was and run again, or begin anew with --restart"
        }
        ("53100", _) => "make room on the server's disk, then run again: it goes on from here",
        ("53200", _) => "the server is out of memory: give it more, or run again with fewer --jobs",
        ("42501", _) => "grant what is missing, then run again: it goes on from here",
        (_, "53" | "57" | "58" | "08") => {
            "see to the server, then run the same command again: it goes on from here"
        }
        _ => "mend the cause, then run the same command again: it goes on from here",
    };
    error.hint(hint)
}

/// What rows come from can't be mended, and a restore drops nothing.
fn of_archive(sqlstate: &str) -> Option<&'static str> {
    match sqlstate {
        "22P05" => Some(
            "the target's encoding lacks a character of the archive's text: drop the target \
             database, make it with ENCODING 'UTF8', then run again",
        ),
        "23502" | "23514" => Some(
            "the archive's own rows break it: drop that check on the target and run the same \
             command again, which goes on from here",
        ),
        "3F000" | "42P01" | "42703" => Some(
            "somebody may have dropped from the target what the job has made: put it back as it \
             was and run again; or, to begin anew, drop the target database, then run again",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_that_is_there_stays_and_none_is_missing() {
        let bare = advised(Error::step("copying t"), RowsFrom::Server);
        assert!(bare.hint_text().is_some_and(|hint| hint.contains("run the same command again")));
        let known = advised(Error::step("copying t").hint("drop the trigger"), RowsFrom::Server);
        assert_eq!(known.hint_text(), Some("drop the trigger"));
    }

    #[test]
    fn nobody_is_told_to_mend_what_an_archive_holds_or_to_restart_a_restore() {
        for sqlstate in ["22P05", "23502", "23514", "3F000", "42P01", "42703"] {
            let hint = of_archive(sqlstate).unwrap();
            assert!(!hint.contains("--restart") && !hint.contains("source"), "{hint}");
        }
    }
}
