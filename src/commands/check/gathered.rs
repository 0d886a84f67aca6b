//! The findings of all topics, whatever becomes of a single one.

use crate::error::{Error, Kind, Result};
use crate::toc::{Finding, Severity};

pub(in crate::commands) use crate::toc::named;

use super::words;

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Gathered(Vec<Finding>);

impl Gathered {
    /// Adds findings.
    pub(super) fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.0.extend(findings);
    }

    /// Adds a topic's findings. One that the server wouldn't answer is itself worth knowing; the
    /// others go on. A lost connection ends them all.
    pub(super) fn topic(&mut self, topic: &str, found: Result<Vec<Finding>>) -> Result<()> {
        self.take(topic, found, Finding::note)
    }

    /// The same for a topic without which the job can't be let go ahead.
    pub(super) fn vital(&mut self, topic: &str, found: Result<Vec<Finding>>) -> Result<()> {
        self.take(topic, found, Finding::refusal)
    }

    fn take(
        &mut self,
        topic: &str,
        found: Result<Vec<Finding>>,
        finding: fn(String, String) -> Finding,
    ) -> Result<()> {
        match found {
            Ok(found) => self.0.extend(found),
            Err(error) if is_refusal_of_a_statement(&error) => {
                let what = format!("couldn't be checked: {}", words(&error));
                self.0.push(finding(topic.to_owned(), what));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Whether anything found so far stops the job.
    pub(super) fn is_refused(&self) -> bool {
        self.0.iter().any(|finding| finding.severity == Severity::Refusal)
    }

    /// Everything, refusals first, each once.
    pub(super) fn sorted(mut self) -> Vec<Finding> {
        self.0.sort();
        self.0.dedup();
        self.0
    }
}

/// Whether a server that is still there said no to a statement. Classes 08 and 57P say that the
/// connection is gone (documentation: "PostgreSQL Error Codes").
pub(in crate::commands) fn is_refusal_of_a_statement(error: &Error) -> bool {
    error.kind() != Kind::Connect
        && error
            .server_error()
            .is_some_and(|server| server.class() != "08" && !server.sqlstate.starts_with("57P"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::ServerError;

    fn refused(sqlstate: &str) -> Error {
        Error::step("asking").server(ServerError {
            sqlstate: sqlstate.to_owned(),
            message: "no".to_owned(),
            detail: None,
            hint: None,
            context: None,
            table: None,
            constraint: None,
        })
    }

    #[test]
    fn a_topic_that_fails_is_a_note_and_the_others_go_on() {
        let mut found = Gathered::default();
        found.topic("disk", Err(refused("42501"))).unwrap();
        found.vital("emptiness", Err(refused("42501"))).unwrap();
        let severities: Vec<_> = found.sorted().iter().map(|f| f.severity).collect();
        assert_eq!(severities, [Severity::Refusal, Severity::Note]);
    }

    #[test]
    fn a_lost_connection_ends_the_check() {
        let mut found = Gathered::default();
        assert!(found.topic("disk", Err(refused("57P01"))).is_err());
        assert!(found.topic("disk", Err(Error::new(Kind::Connect, "asking"))).is_err());
    }
}
