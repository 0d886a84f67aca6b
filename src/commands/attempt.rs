//! A job that is begun again until it is done, or nothing gets any further; and what all jobs report
//! alike.

use std::sync::Arc;
use std::time::Instant;

use tokio::time::sleep;

use crate::engine::{Claim, Event, Events, Outcome, Persistence, Receipts, Remedy, Stop, remedy};
use crate::error::{Error, Result};
use crate::plan::{Plan, Step};
use crate::toc::Toc;

use super::fence::Fence;
use super::plan::count_objects;
use super::report::DatabaseReport;
use super::request::Beginning;

/// What has come of moving a database, however often that was begun again.
pub(super) struct SoFar {
    pub(super) started: Instant,
    pub(super) restarts: u32,
    /// How the next try begins: what was dropped once isn't dropped again.
    pub(super) beginning: Beginning,
    /// The login roles of a job that was given up for this one: they are there, without passwords.
    pub(super) roles_of_given_up: Vec<String>,
    /// Whether there was a ledger when it first looked.
    pub(super) was_resumed: Option<bool>,
    /// The claim it has, or had.
    pub(super) claim: Option<Claim>,
    /// How many receipts there were when steps were last begun with.
    pub(super) reached: Option<usize>,
    pub(super) outcome: Outcome,
    /// The seal is on its way: a job that is found sealed is this one.
    pub(super) is_sealing: bool,
    /// What keeps others from writing to the source.
    pub(super) fence: Option<Arc<Fence>>,
}

impl SoFar {
    pub(super) fn begins(beginning: Beginning, fence: Option<Arc<Fence>>) -> SoFar {
        SoFar {
            started: Instant::now(),
            restarts: 0,
            beginning,
            roles_of_given_up: Vec::new(),
            was_resumed: None,
            claim: None,
            reached: None,
            outcome: Outcome::default(),
            is_sealing: false,
            fence,
        }
    }

    /// Waits to begin again what failed in a way that may pass, and had `before` receipts when it was
    /// begun; or gives the failure back. Whatever gets further makes the patience whole.
    pub(super) async fn outlast(
        &mut self,
        error: Error,
        before: Option<usize>,
        persistence: &mut Persistence,
        events: &Events,
        stop: &mut Stop,
    ) -> Result<()> {
        if self.reached > before {
            persistence.renew();
        }
        pause(error, "begun again from the ledger", persistence, events, stop).await?;
        self.restarts += 1;
        Ok(())
    }

    /// The report of a job that is found sealed; this one's, if only the answer to its seal got lost.
    /// None where its copy wasn't made under the fence that stands: it goes on like any other job, so
    /// that its rows are held against the source once more.
    pub(super) fn finished_before(
        &self,
        at: String,
        report: &str,
    ) -> Result<Option<DatabaseReport>> {
        let mut report = DatabaseReport::parse(report)?;
        if self.is_sealing {
            report.restarts = self.restarts;
            return Ok(Some(report));
        }
        if self.fence.as_ref().is_some_and(|fence| !fence.has_kept(&report)) {
            return Ok(None);
        }
        report.was_finished = true;
        report.finished_at = Some(at);
        Ok(Some(report))
    }

    /// What a job on a database came to, but for what is judged of it.
    pub(super) fn totals(
        &self,
        database: &str,
        toc: &Toc,
        plan: &Plan,
        receipts: &Receipts,
    ) -> DatabaseReport {
        let copies = plan.copies().filter_map(|(step, part, _)| receipts.0.get(&(step, part)));
        let (rows, bytes) = copies
            .fold((0, 0), |(r, b), receipt| (r + receipt.tally.rows(), b + receipt.tally.bytes));
        let phases = self.outcome.phases.iter();
        DatabaseReport {
            database: database.to_owned(),
            was_resumed: self.was_resumed == Some(true),
            objects: count_objects(toc),
            tables: plan.count_tables(),
            rows,
            bytes,
            seconds: self.started.elapsed().as_secs_f64(),
            phases: phases.map(|(phase, time)| (*phase, time.as_secs_f64())).collect(),
            retries: self.outcome.retries,
            restarts: self.restarts,
            ..DatabaseReport::default()
        }
    }
}

/// Waits before what failed in a way that may pass is done again, as it says; or gives the failure
/// back.
pub(super) async fn pause(
    error: Error,
    again: &str,
    persistence: &mut Persistence,
    events: &Events,
    stop: &mut Stop,
) -> Result<()> {
    let pause = match remedy(&error) {
        Remedy::Stop => None,
        Remedy::Again | Remedy::Resume => persistence.pause(),
    };
    let Some(pause) = pause else { return Err(error) };
    let words = format!("{}; {again} in {:.1} s", error.message(), pause.as_secs_f64());
    events.say(Event::Note(words)).await;
    stop.or(async {
        sleep(pause).await;
        Ok(())
    })
    .await
}

/// Tells how much there is to do.
pub(super) async fn announce(plan: &Plan, receipts: &Receipts, events: &Events) {
    let done = plan.steps.iter().filter(|step| receipts.is_done(step)).count();
    let owed = plan.steps.iter().filter(|step| step.parts() > 0).count();
    let cost = |step: &Step| step.cost;
    let all_cost = plan.steps.iter().map(cost).sum();
    let done_cost = plan.steps.iter().filter(|step| receipts.is_done(step)).map(cost).sum();
    let (mut all, mut there) = (0, 0);
    for (step, part, chunk) in plan.copies() {
        all += chunk.bytes;
        if receipts.0.contains_key(&(step, part)) {
            there += chunk.bytes;
        }
    }
    let event = Event::Planned {
        steps: (owed, done),
        tables: plan.count_tables(),
        bytes: (all, there),
        cost: (all_cost, done_cost),
    };
    events.say(event).await;
}

/// A report as a ledger keeps it.
pub(super) fn render(report: &DatabaseReport) -> Result<String> {
    serde_json::to_string(report)
        .map_err(|e| Error::step("writing the report").because(e.to_string()))
}
