//! Where sequences stand: reading it, and setting it.
//!
//! Nobody holds a sequence: who owns it may put another relation in its place at any time. So they are
//! read where nothing can be written and no view is read, and what comes back is a number or an error.

use crate::error::{Error, Result};
use crate::pg::{ONLY_STORED, QualifiedName, quote_literal};

pub(super) const READING: &str = "reading sequences";

/// So many sequences are read by one statement, which locks them all: a server may have little room
/// for locks.
const READ_TOGETHER: usize = 20;

/// Begins the transaction that they are read in.
pub(super) fn beginning() -> String {
    format!("BEGIN READ ONLY; {ONLY_STORED}")
}

/// What reads them: of each its name in SQL, its last value, and whether that was drawn.
pub(super) fn reads<'a>(names: impl Iterator<Item = &'a QualifiedName>) -> Vec<String> {
    let read = |name: &QualifiedName| {
        let sql = name.sql();
        let title = quote_literal(&sql);
        format!("SELECT {title}::pg_catalog.text, last_value, is_called FROM {sql}")
    };
    let reads: Vec<String> = names.map(read).collect();
    reads.chunks(READ_TOGETHER).map(|some| some.join(" UNION ALL ")).collect()
}

/// The statement that sets a sequence as a row of what was read says.
pub(super) fn setting(row: &[Option<String>]) -> Result<String> {
    let [Some(name), Some(value), Some(called)] = row else { return Err(replaced()) };
    let value: i64 = value.parse().map_err(|_| replaced())?;
    let called = match called.as_str() {
        "t" => true,
        "f" => false,
        _ => return Err(replaced()),
    };
    Ok(format!("SELECT pg_catalog.setval({}, {value}, {called})", quote_literal(name)))
}

/// What was read is nothing that a sequence says.
pub(super) fn replaced() -> Error {
    Error::step(READING)
        .because("what answers in the place of a sequence is none")
        .hint("put the sequence back that was replaced while the job ran, then run again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_and_a_boolean_are_set() {
        let set = |value: &str, called: &str| {
            setting(&["s.q", value, called].map(|text| Some(text.to_owned())))
        };
        assert_eq!(set("-7", "f").unwrap(), "SELECT pg_catalog.setval('s.q', -7, false)");
        for (value, called) in [("1, true); DROP TABLE t; --", "t"), ("1", "true"), ("", "t")] {
            assert!(set(value, called).is_err(), "{value} {called}");
        }
    }
}
