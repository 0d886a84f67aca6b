//! The crew: workers as tasks, what the leader tells them, and what they tell it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{join_all, try_join_all};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::error::{Error, Result};
use crate::plan::{Step, StepId};
use crate::toc::Finding;

use super::events::{Event, Events};
use super::faults::{Remedy, is_cut_off, is_disk_full, remedy};
use super::persistence::Persistence;
use super::worker::{Cancel, Moved, Shared, Worker};

/// How long servers get to take our cancel requests.
const CANCEL_TIME: Duration = Duration::from_secs(5);
/// How long a worker tries by itself to reach a server again; then the run ends, to be begun again.
pub(super) const REACHING_PATIENCE: Duration = Duration::from_secs(15);

/// What a worker tells the leader.
pub(super) enum Told {
    /// A step has failed in a way that may pass: the worker tries it again.
    SetBack { failure: String, pause: Duration },
    /// A step is over.
    Done(Report),
}

/// How a step went.
pub(super) struct Report {
    pub(super) worker: usize,
    pub(super) step: StepId,
    /// What the target said of it unasked: that a grant granted nothing, say.
    pub(super) warnings: Vec<String>,
    /// What the target refused, and the next run tries again.
    pub(super) undone: Vec<Finding>,
    pub(super) took: Duration,
    pub(super) result: Result<Moved>,
}

/// The workers, each a task of its own.
pub(super) struct Crew {
    pub(super) tasks: JoinSet<()>,
    orders: Vec<mpsc::Sender<Order>>,
    pub(super) told: mpsc::Receiver<Told>,
    cancels: Vec<Cancel>,
    /// The highest number is hired last and idles first.
    pub(super) idle: Vec<usize>,
}

impl Crew {
    /// Connects so many workers.
    pub(super) async fn hire(jobs: usize, shared: &Arc<Shared>) -> Result<Crew> {
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

    pub(super) fn has_idle(&self) -> bool {
        !self.idle.is_empty()
    }

    /// Gives a step to an idle worker.
    pub(super) async fn assign(&mut self, step: &Step, events: &Events) {
        let Some(worker) = self.idle.pop() else {
            return;
        };
        let (title, cost) = (step.title.clone(), step.cost);
        let event = Event::StepStarted { worker, step: step.id, phase: step.phase, title, cost };
        events.say(event).await;
        // That a worker is gone shows where its task ends.
        let _ = self.orders[worker].send(Order::Do(step.id, self.idle.len())).await;
    }

    /// Lets all workers let the source's snapshot go.
    pub(super) async fn release_source(&self) {
        for orders in &self.orders {
            // A worker that is gone holds no source.
            let _ = orders.send(Order::ReleaseSource).await;
        }
    }

    /// Ends all workers. Those that were in the midst of something are stopped on the server too:
    /// a backend doesn't notice that its client is gone until it wants to speak to it.
    pub(super) async fn dismiss(mut self, midway: bool) {
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

/// What the leader tells a worker.
enum Order {
    /// The step, and how many workers are idle meanwhile.
    Do(StepId, usize),
    ReleaseSource,
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
                let doing = persist(&mut worker, planned, idle, &shared, &tell);
                let result = unless_it_panics(&planned.title, doing).await;
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

/// The leader waits for word of every step, of one that panicked too.
async fn unless_it_panics<T>(title: &str, doing: impl Future<Output = Result<T>>) -> Result<T> {
    let ended = AssertUnwindSafe(doing).catch_unwind().await;
    ended.unwrap_or_else(|panic| Err(Error::panicked(title, &*panic)))
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
            // What could be done without it is done.
            Remedy::Resume | Remedy::Stop => return Err(error),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_step_that_panics_is_told_as_one_that_failed() {
        let panicking = async { panic!("no such column") };
        let error = unless_it_panics::<()>("copying public.a", panicking).await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("copying public.a: ") && text.contains("no such column"),
            "{text}"
        );
    }
}
