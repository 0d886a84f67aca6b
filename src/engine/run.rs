//! The leader: hands steps to workers until none is owed, or the first failure stops everything.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::{join_all, try_join_all};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::error::{Error, Result};
use crate::pg::ToastCompression;
use crate::plan::{Action, Phase, Plan, Step, StepId};
use crate::toc::Finding;
use crate::wire::{Conninfo, Session};

use super::events::{Event, Events};
use super::faults::{Persistence, Remedy, is_cut_off, is_disk_full, remedy};
use super::reading::ReadFrom;
use super::receipts::Receipts;
use super::schedule::Schedule;
use super::snapshot::SourceSnapshot;
use super::stop::Stop;
use super::worker::{Cancel, Moved, Shared, SharedSnapshot, Worker};

/// How long servers get to take our cancel requests.
const CANCEL_TIME: Duration = Duration::from_secs(5);

/// How long a worker tries by itself to reach a server again; then the run ends, to be begun again.
const REACHING_PATIENCE: Duration = Duration::from_secs(15);

/// What is to be run.
pub struct Run<'a> {
    /// Where the rows are.
    pub source: Conninfo,
    /// Where they go.
    pub target: Conninfo,
    /// The session that holds the claim on it.
    pub leader: &'a Session,
    /// The plan, as the ledger has it.
    pub plan: Arc<Plan>,
    /// What is done of it.
    pub receipts: Receipts,
    /// The snapshot to copy under; none where every chunk is copied.
    pub snapshot: Option<SourceSnapshot>,
    /// How many workers.
    pub jobs: usize,
    /// How the target compresses values that are stored apart; none for as it would by itself.
    pub toast_compression: Option<ToastCompression>,
    /// How long what may pass is tried again at most.
    pub patience: Duration,
}

/// What a run did, and those before it that it had to begin again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How long each part of the job took, from its first step's start to its last one's end; the
    /// parts overlap.
    pub phases: BTreeMap<Phase, Duration>,
    /// The maintenance that the target refused of late: what is left out is tried by each run.
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
        source, target, leader, plan, receipts, mut snapshot, jobs, toast_compression, ..
    } = job;
    let shared_snapshot = snapshot.as_ref().map(|snapshot| SharedSnapshot {
        source: ReadFrom::source(&source, snapshot),
        mark: snapshot.mark.clone(),
    });
    let receipts = Arc::new(receipts);
    let mut schedule = Schedule::new(&plan, |id| receipts.is_done(&plan.steps[id.0 as usize]));
    let shared = Arc::new(Shared {
        source,
        target,
        leader: leader.process_id(),
        snapshot: shared_snapshot,
        plan: Arc::clone(&plan),
        receipts: Arc::clone(&receipts),
        jobs,
        toast_compression,
        patience: job.patience,
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
                    schedule.finished(step);
                }
                _ => crew.assign(step, &plan, events, &mut clock).await,
            }
        }
        if schedule.is_done() {
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

/// All rows are there, so a source that is gone by now takes nothing with it.
async fn release(snapshot: &mut Option<SourceSnapshot>, events: &Events) {
    if let Some(snapshot) = snapshot.take()
        && let Err(error) = snapshot.release().await
    {
        events.say(Event::Note(format!("{error}; all rows had been copied before"))).await;
    }
}

enum Order {
    /// The step, and how many workers are idle meanwhile.
    Do(StepId, usize),
    ReleaseSource,
}

/// What a worker tells the leader.
enum Told {
    /// A step has failed in a way that may pass: the worker tries it again.
    SetBack { failure: String, pause: Duration },
    /// A step is over.
    Done(Report),
}

struct Report {
    worker: usize,
    step: StepId,
    /// What the target said of it unasked: that a grant granted nothing, say.
    warnings: Vec<String>,
    /// The maintenance that the target refused.
    undone: Vec<Finding>,
    took: Duration,
    result: Result<Moved>,
}

/// The workers, each a task of its own.
struct Crew {
    tasks: JoinSet<()>,
    orders: Vec<mpsc::Sender<Order>>,
    told: mpsc::Receiver<Told>,
    cancels: Vec<Cancel>,
    /// The highest number is hired last and idles first.
    idle: Vec<usize>,
}

impl Crew {
    async fn hire(jobs: usize, shared: &Arc<Shared>) -> Result<Crew> {
        let (tell, told) = mpsc::channel(jobs);
        let mut crew = Crew {
            tasks: JoinSet::new(),
            orders: Vec::new(),
            told,
            cancels: Vec::new(),
            idle: (0..jobs).rev().collect(),
        };
        let hired = (0..jobs).map(|_| Worker::connect(Arc::clone(shared)));
        for (number, worker) in try_join_all(hired).await?.into_iter().enumerate() {
            crew.cancels.push(worker.cancel());
            // One order is under way and one may wait: letting the source go.
            let (sender, orders) = mpsc::channel(2);
            crew.orders.push(sender);
            crew.tasks.spawn(work(number, worker, Arc::clone(shared), orders, tell.clone()));
        }
        Ok(crew)
    }

    fn has_idle(&self) -> bool {
        !self.idle.is_empty()
    }

    async fn assign(&mut self, step: StepId, plan: &Plan, events: &Events, clock: &mut Clock) {
        let Some(worker) = self.idle.pop() else {
            return;
        };
        let step = &plan.steps[step.0 as usize];
        clock.started(step.phase);
        let (title, cost) = (step.title.clone(), step.cost);
        let event = Event::StepStarted { worker, step: step.id, phase: step.phase, title, cost };
        events.say(event).await;
        // That a worker is gone shows where its task ends.
        let _ = self.orders[worker].send(Order::Do(step.id, self.idle.len())).await;
    }

    async fn release_source(&self) {
        for orders in &self.orders {
            // A worker that is gone holds no source.
            let _ = orders.send(Order::ReleaseSource).await;
        }
    }

    /// Ends all workers. Those that were in the midst of something are stopped on the server too:
    /// a backend doesn't notice that its client is gone until it wants to speak to it.
    async fn dismiss(mut self, midway: bool) {
        self.orders.clear();
        if midway {
            self.tasks.abort_all();
            // A session may be gone already, and it ends in any case.
            let handles: Vec<_> = self.cancels.iter().map(Cancel::handle).collect();
            let cancels = handles.iter().map(|handle| handle.cancel());
            let _ = tokio::time::timeout(CANCEL_TIME, join_all(cancels)).await;
        }
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn work(
    number: usize,
    mut worker: Worker,
    shared: Arc<Shared>,
    mut orders: mpsc::Receiver<Order>,
    tell: mpsc::Sender<Told>,
) {
    while let Some(order) = orders.recv().await {
        match order {
            Order::ReleaseSource => worker.release_source(),
            Order::Do(step, idle) => {
                let started = Instant::now();
                let planned = &shared.plan.steps[step.0 as usize];
                let result = persist(&mut worker, planned, idle, &shared, &tell).await;
                let failed = result.is_err();
                let warnings = worker.take_warnings();
                let undone = worker.take_undone();
                let took = started.elapsed();
                let report = Report { worker: number, step, warnings, undone, took, result };
                if tell.send(Told::Done(report)).await.is_err() || failed {
                    return;
                }
            }
        }
    }
}

/// Does a step, and tries again what may pass, for as long as the patience lasts.
async fn persist(
    worker: &mut Worker,
    step: &Step,
    idle: usize,
    shared: &Shared,
    tell: &mpsc::Sender<Told>,
) -> Result<Moved> {
    let mut persistence = Persistence::new(shared.patience);
    let mut result = worker.run(step, idle).await;
    loop {
        let error = match result {
            Ok(moved) => return Ok(moved),
            Err(error) => error,
        };
        let pause = match remedy(&error) {
            Remedy::Again if is_cut_off(&error) => persistence.pause_within(REACHING_PATIENCE),
            Remedy::Again => persistence.pause(),
            Remedy::Resume | Remedy::Stop => None,
        };
        let Some(pause) = pause else { return worker.do_without(step, error).await };
        // Steps that lacked room come again one after the other, and without helpers.
        let _alone = match is_disk_full(&error) {
            true => Some(shared.short_of_disk.lock().await),
            false => None,
        };
        // The leader that isn't there any more has ended this task.
        let _ = tell.send(Told::SetBack { failure: error.message(), pause }).await;
        sleep(pause).await;
        result = match worker.recover(step).await {
            Ok(Some(moved)) => Ok(moved),
            Ok(None) => worker.run(step, 0).await,
            Err(error) => Err(error),
        };
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
