//! The leader: hands steps to workers until none is owed, or the first failure stops everything.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::error::{Error, Result};
use crate::pg::ToastCompression;
use crate::plan::{Action, Phase, Plan, StepId};
use crate::toc::Finding;
use crate::wire::{Conninfo, Session};

use super::crew::{Crew, Told};
use super::events::{Event, Events};
use super::origin::Origin;
use super::reading::ReadFrom;
use super::receipts::Receipts;
use super::schedule::Schedule;
use super::snapshot::SourceSnapshot;
use super::stop::Stop;
use super::worker::{Shared, SharedOrigin, SharedSnapshot};

/// What is to be run.
pub struct Run<'a> {
    /// Where the rows are.
    pub origin: Origin,
    /// Where they go.
    pub target: Conninfo,
    /// The session that holds the claim on it.
    pub leader: &'a Session,
    /// The plan, as the ledger has it.
    pub plan: Arc<Plan>,
    /// What is done of it.
    pub receipts: Receipts,
    /// Whether it ends with what can be done while tables may still be copied anew.
    pub warm: bool,
    /// How many workers.
    pub jobs: usize,
    /// How the target compresses values that are stored apart; none for as it would by itself.
    pub toast_compression: Option<ToastCompression>,
    /// Whether what would be left out ends the job.
    pub strict: bool,
    /// How long what may pass is tried again at most.
    pub patience: Duration,
}

/// What a run did, and those before it that it had to begin again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How long each part of the job took, from its first step's start to its last one's end; the
    /// parts overlap.
    pub phases: BTreeMap<Phase, Duration>,
    /// What the target refused of late, and each run tries again.
    pub undone: Vec<Finding>,
    /// How often a step was tried again.
    pub retries: u32,
}

/// Runs all that is owed, and adds to `outcome` what came of it, however it ends.
pub async fn run(
    job: Run<'_>,
    outcome: &mut Outcome,
    events: &Events,
    stop: &mut Stop,
) -> Result<()> {
    let Run {
        origin,
        target,
        leader,
        plan,
        receipts,
        warm,
        jobs,
        toast_compression,
        strict,
        patience,
    } = job;
    let (shared_origin, mut snapshot) = shared(origin);
    let receipts = Arc::new(receipts);
    // A later run reads the target back, as it is then.
    let is_done = |id: StepId| {
        let step = &plan.steps[id.0 as usize];
        receipts.is_done(step) || warm && step.reads_back()
    };
    let mut schedule = Schedule::new(&plan, is_done);
    let shared = Arc::new(Shared {
        origin: shared_origin,
        target,
        leader: leader.process_id(),
        plan: Arc::clone(&plan),
        receipts: Arc::clone(&receipts),
        jobs,
        toast_compression,
        strict,
        patience,
        short_of_disk: Mutex::default(),
        copied: Arc::clone(&events.copied),
        verified: Arc::clone(&events.verified),
    });
    let mut crew = Crew::hire(jobs.max(1), &shared).await?;
    outcome.undone.clear();
    let mut clock = Clock::default();
    let mut warned: HashSet<String> = HashSet::new();
    let ended = loop {
        while let Some(step) = crew.has_idle().then(|| schedule.next()).flatten() {
            match &plan.steps[step.0 as usize].action {
                Action::Milestone | Action::TakeBack { .. } => schedule.finished(step),
                Action::DataComplete => {
                    crew.release_source().await;
                    release(&mut snapshot, events).await;
                    if !warm {
                        schedule.finished(step);
                    }
                }
                _ => {
                    let step = &plan.steps[step.0 as usize];
                    clock.started(step.phase);
                    crew.assign(step, events).await;
                }
            }
        }
        // All that stands on complete data is left to a later run.
        if schedule.is_done() || warm && crew.idle.len() == jobs.max(1) {
            break Ok(());
        }
        // Reports first: a worker that fails reports why, and then ends.
        let told = tokio::select! {
            biased;
            Some(told) = crew.told.recv() => told,
            Some(ended) = crew.tasks.join_next() => {
                let why = ended.err().map_or_else(|| "it ended".to_owned(), |e| e.to_string());
                break Err(Error::step("running steps").because(format!("a worker is gone: {why}")));
            }
            () = stop.stopped() => break Err(Stop::error()),
        };
        let report = match told {
            Told::Done(report) => report,
            Told::SetBack { failure, pause } => {
                outcome.retries += 1;
                let seconds = pause.as_secs_f64();
                let words = format!("{failure}; tried again in {seconds:.1} s");
                events.say(Event::Note(words)).await;
                continue;
            }
        };
        crew.idle.push(report.worker);
        // Definitions that are alike are warned of in the same words.
        for warning in report.warnings {
            if !warned.insert(warning.clone()) {
                continue;
            }
            let title = &plan.steps[report.step.0 as usize].title;
            events.say(Event::Note(format!("{title}: the target warns: {warning}"))).await;
        }
        outcome.undone.extend(report.undone);
        match report.result {
            Err(error) => break Err(error),
            Ok(moved) => {
                let step = &plan.steps[report.step.0 as usize];
                clock.ended(step.phase);
                events
                    .say(Event::StepFinished {
                        worker: report.worker,
                        step: step.id,
                        phase: step.phase,
                        title: step.title.clone(),
                        cost: step.cost,
                        rows: moved.rows,
                        bytes: moved.bytes,
                        took: report.took,
                    })
                    .await;
                schedule.finished(report.step);
            }
        }
    };
    crew.dismiss(ended.is_err()).await;
    for (phase, time) in clock.spans() {
        *outcome.phases.entry(phase).or_default() += time;
    }
    ended
}

/// What the workers need of the origin, and the snapshot that the leader holds.
fn shared(origin: Origin) -> (SharedOrigin, Option<Box<SourceSnapshot>>) {
    match origin {
        Origin::Archive(rows) => (SharedOrigin::Archive(rows), None),
        Origin::Server { source, snapshot } => {
            let shared = snapshot.as_ref().map(|snapshot| {
                let mark = snapshot.mark.clone();
                Box::new(SharedSnapshot { source: ReadFrom::source(&source, snapshot), mark })
            });
            (SharedOrigin::Server { source, snapshot: shared }, snapshot)
        }
    }
}

/// All rows are there, so a source that is gone by now takes nothing with it.
async fn release(snapshot: &mut Option<Box<SourceSnapshot>>, events: &Events) {
    if let Some(snapshot) = snapshot.take()
        && let Err(error) = snapshot.release().await
    {
        events.say(Event::Note(format!("{error}; all rows had been copied before"))).await;
    }
}

/// When each part of the job began and last ended something.
#[derive(Default)]
struct Clock(BTreeMap<Phase, (Instant, Instant)>);

impl Clock {
    fn started(&mut self, phase: Phase) {
        let now = Instant::now();
        self.0.entry(phase).or_insert((now, now));
    }

    fn ended(&mut self, phase: Phase) {
        if let Some((_, end)) = self.0.get_mut(&phase) {
            *end = Instant::now();
        }
    }

    fn spans(&self) -> BTreeMap<Phase, Duration> {
        self.0.iter().map(|(phase, (start, end))| (*phase, end.duration_since(*start))).collect()
    }
}
