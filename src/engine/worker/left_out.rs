//! What the target refuses, and the job can end without: the rest of its step is done, and it is
//! told. Verification then finds it missing.

use std::time::Instant;

use crate::error::{Error, Result};
use crate::plan::{Phase, Statement, Step, WhenRefused};
use crate::toc::Finding;
use crate::wire::TransactionStatus;

use super::{Moved, SharedOrigin, Worker, plain};
use crate::engine::faults::is_its_own_fault;
use crate::engine::receipts::Receipt;

/// What is told of VACUUM or ANALYZE of a table.
pub(super) fn of_maintenance(title: &str, error: &Error) -> Finding {
    refused(title, error)
        .mend("mend what it fails on, then run VACUUM (ANALYZE) of the table on the target")
}

fn of_statement(statement: &Statement, error: &Error, is_archived: bool) -> Finding {
    let dropping = |words| if is_archived { "" } else { words };
    let remedy = match statement.when_refused {
        WhenRefused::TryAgainLater => {
            let or = dropping(", or drop it on both sides");
            format!("mend what it fails on{or}; then run the same command again")
        }
        _ => {
            let or = dropping("or drop it on the source; ");
            let sql = statement.sql.trim_end();
            format!(
                "mend what it fails on, then run on the target:\n{sql}\n{or}then run the same \
                 command again"
            )
        }
    };
    refused(&statement.title, error).mend(remedy)
}

fn refused(title: &str, error: &Error) -> Finding {
    Finding::change(title, format!("left out, as the target refused it: {}", error.message()))
}

/// Whether the job can go on where one of `statements` was refused with `error`.
pub(super) fn may_be(statements: &[Statement], error: &Error) -> bool {
    is_its_own_fault(error) && statements.iter().any(|s| s.when_refused != WhenRefused::Stop)
}

/// The error of a job that may leave nothing out.
pub(super) fn but_strict(error: Error) -> Error {
    error.hint(
        "mend what it fails on, then run the same command again; or run it without --strict, \
         which leaves this out and reports it",
    )
}

impl Worker {
    /// Does what can be done of a step that failed as a whole. What may be done twice, which is a step
    /// of its own, is tried again by the next run, so there is no receipt then; else that says what
    /// was left out.
    pub(super) async fn leave_out(
        &mut self,
        step: &Step,
        statements: &[Statement],
    ) -> Result<Moved> {
        let started = Instant::now();
        if self.target.transaction() != TransactionStatus::Idle {
            self.target.execute("giving up", "ROLLBACK").await?;
        }
        self.target.execute("beginning a transaction", "BEGIN").await?;
        let mut refused = self.apply_each(step, statements.iter()).await?;
        // Definitions may only stand in an order that doesn't hold.
        let mut before = statements.len();
        while step.phase == Phase::Definitions && !refused.is_empty() && refused.len() < before {
            before = refused.len();
            refused = self.apply_each(step, refused.into_iter().map(|(s, _)| s)).await?;
        }
        let is_archived = matches!(self.shared.origin, SharedOrigin::Archive(_));
        let (mut left_out, mut later) = (Vec::new(), Vec::new());
        for (statement, error) in refused {
            match statement.when_refused {
                WhenRefused::Stop => return Err(error),
                WhenRefused::LeaveOut => &mut left_out,
                WhenRefused::TryAgainLater => &mut later,
            }
            .push(of_statement(statement, &error, is_archived));
        }
        if later.is_empty() {
            let receipt = Receipt { left_out, ..plain(started) };
            self.commit(step, Vec::new(), &[(0, receipt)]).await?;
        } else {
            self.target.execute("committing", "COMMIT").await?;
            self.undone.append(&mut later);
        }
        Ok(Moved::default())
    }

    /// Runs statements, each for itself; those that were refused, and why. What comes before rows may be
    /// in order once others are done, even where the job can't go on without it.
    async fn apply_each<'s>(
        &mut self,
        step: &Step,
        statements: impl Iterator<Item = &'s Statement>,
    ) -> Result<Vec<(&'s Statement, Error)>> {
        let mut refused = Vec::new();
        for statement in statements {
            let Statement { title, sql, when_refused } = statement;
            if *when_refused == WhenRefused::Stop && step.phase != Phase::Definitions {
                self.target.execute(title, sql).await?;
                continue;
            }
            self.target.execute("setting a savepoint", "SAVEPOINT before_it").await?;
            match self.target.execute(title, sql).await {
                Err(error) if self.outlives(&error) && is_its_own_fault(&error) => {
                    let back = "ROLLBACK TO SAVEPOINT before_it";
                    self.target.execute("leaving it out", back).await?;
                    refused.push((statement, error));
                }
                done => done?,
            }
            self.target.execute("going on", "RELEASE SAVEPOINT before_it").await?;
        }
        Ok(refused)
    }
}
