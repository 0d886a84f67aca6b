//! What an operator should know before or after the job: each finding names its object, says what
//! is so, and ends in what to do.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How many objects are named where there are many.
const NAMED: usize = 10;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The job can't be done, or would destroy something: `migrate` refuses.
    Refusal,
    /// The target will differ from the source here; `--strict` refuses.
    Change,
    /// Worth knowing; nothing differs for it.
    Note,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The object it is about: `TABLE public.orders`, `role billing`, `target server`.
    pub object: String,
    /// What is so, and why.
    pub what: String,
    /// What mends it: SQL or an action. None where nothing needs doing.
    pub remedy: Option<String>,
}

impl Finding {
    /// A finding that stops the job.
    pub fn refusal(object: impl Into<String>, what: impl Into<String>) -> Self {
        Finding::new(Severity::Refusal, object, what)
    }

    /// A finding that makes the target differ.
    pub fn change(object: impl Into<String>, what: impl Into<String>) -> Self {
        Finding::new(Severity::Change, object, what)
    }

    /// A finding worth knowing.
    pub fn note(object: impl Into<String>, what: impl Into<String>) -> Self {
        Finding::new(Severity::Note, object, what)
    }

    fn new(severity: Severity, object: impl Into<String>, what: impl Into<String>) -> Self {
        Finding { severity, object: object.into(), what: what.into(), remedy: None }
    }

    /// Says what mends it.
    #[must_use]
    pub fn mend(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// `1 table`, `3 tables`.
pub(crate) fn counted(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// The first few of many names, and how many more there are.
pub(crate) fn named<S: AsRef<str>>(names: &[S]) -> String {
    let first: Vec<&str> = names.iter().take(NAMED).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(NAMED) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.severity {
            Severity::Refusal => "refused",
            Severity::Change => "changed",
            Severity::Note => "note",
        };
        write!(f, "{mark}: {}: {}", self.object, self.what)?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n    do: {}", remedy.replace('\n', "\n        ")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ten_names_are_told_and_the_rest_counted() {
        let names: Vec<String> = (1..=12).map(|n| n.to_string()).collect();
        assert_eq!(named(&names), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more");
        assert_eq!(named(&["a", "b"]), "a, b");
    }
}
