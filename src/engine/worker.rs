//! A worker: two raw connections, and one step at a time. A step's effect and its receipt commit
//! together; nothing here decides what is next.

mod archived;
mod left_out;
mod rows;

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::copy::Progress;
use crate::error::{Error, Result};
use crate::pg::{QualifiedName, ToastCompression};
use crate::plan::{Action, Phase, Plan, Statement, Step};
use crate::toc::Finding;
use crate::wire::{self, Conninfo, RawConnection, TransactionStatus};

use super::advice::{RowsFrom, advised};
use super::building;
use super::claim::{Claim, WRITING};
use super::failpoint::{self, Act, Point};
use super::faults::{Remedy, remedy};
use super::origin::ArchivedRows;
use super::reading::ReadFrom;
use super::receipts::{Receipt, Receipts, ask, committed, insert};
use super::sequences;

/// The snapshot that a run copies under.
#[derive(Debug)]
pub(super) struct SharedSnapshot {
    pub(super) source: ReadFrom,
    pub(super) mark: String,
}

/// Where all workers of a run have rows from.
pub(super) enum SharedOrigin {
    /// A server's database; without a snapshot once no chunk is owed.
    Server { source: Box<Conninfo>, snapshot: Option<Box<SharedSnapshot>> },
    /// An archive.
    Archive(Arc<ArchivedRows>),
}

/// What all workers of a run share.
pub(super) struct Shared {
    pub(super) origin: SharedOrigin,
    pub(super) target: Conninfo,
    /// The server process whose session holds the claim on the target.
    pub(super) leader: i32,
    pub(super) plan: Arc<Plan>,
    pub(super) receipts: Arc<Receipts>,
    pub(super) jobs: usize,
    pub(super) toast_compression: Option<ToastCompression>,
    /// Whether what would be left out ends the job.
    pub(super) strict: bool,
    /// How long a step is tried again.
    pub(super) patience: Duration,
    /// Held by whoever does a step again for which the target's disk had no room.
    pub(super) short_of_disk: Mutex<()>,
    pub(super) copied: Arc<Progress>,
    pub(super) verified: Arc<Progress>,
}

impl Shared {
    async fn connect_target(&self) -> Result<RawConnection> {
        let mut target = RawConnection::connect(&self.target).await?;
        Claim::join(&mut target, self.leader).await?;
        let mut settings = vec![
            sent("preparing to write", WRITING),
            sent("preparing to build", &building::memory(self.jobs)),
        ];
        if let Some(compression) = self.toast_compression {
            settings.push(sent("choosing a compression", &compression.set()));
        }
        target.execute_all(&settings).await?;
        Ok(target)
    }
}

/// What went through a worker's hands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Rows copied or read.
    pub rows: u64,
    /// Bytes of COPY data; 0 where none were copied.
    pub bytes: u64,
}

impl Moved {
    pub(super) fn add(&mut self, more: Moved) {
        self.rows += more.rows;
        self.bytes += more.bytes;
    }
}

/// A worker's connections.
pub(super) struct Worker {
    shared: Arc<Shared>,
    target: RawConnection,
    /// Connected when the first chunk comes, let go when the last is copied.
    source: Option<RawConnection>,
    /// What the target refused, and the next run tries again.
    undone: Vec<Finding>,
    cancel: Cancel,
}

/// How to stop what a worker's target works on, on whichever connection it does now.
#[derive(Clone)]
pub(super) struct Cancel(Arc<std::sync::Mutex<wire::CancelHandle>>);

impl Cancel {
    /// What is stopped now.
    pub(super) fn handle(&self) -> wire::CancelHandle {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lead_to(&self, connection: &RawConnection) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = connection.cancel_handle();
    }
}

impl Worker {
    pub(super) async fn connect(shared: Arc<Shared>) -> Result<Worker> {
        let target = shared.connect_target().await?;
        let cancel = Cancel(Arc::new(std::sync::Mutex::new(target.cancel_handle())));
        Ok(Worker { shared, target, source: None, undone: Vec::new(), cancel })
    }

    /// Makes the connections whole again after a step has failed. What the step did all the same,
    /// if it was committed and only the answer got lost.
    pub(super) async fn recover(&mut self, step: &Step) -> Result<Option<Moved>> {
        self.source = None;
        let open = self.target.transaction() != TransactionStatus::Idle;
        if !self.target.is_broken() && open {
            // One that can't even be told so is broken from then on.
            let _ = self.target.execute("giving up", "ROLLBACK").await;
        }
        if self.target.is_broken() {
            let predecessor = self.target.process_id();
            let mut target = self.shared.connect_target().await?;
            Claim::succeed(&mut target, predecessor).await?;
            self.cancel.lead_to(&target);
            self.target = target;
        }
        let answer = self.target.query("asking what is done of a step", &ask(step.id)).await?;
        Ok(committed(step.parts(), &answer))
    }

    /// Lets the source's snapshot go.
    pub(super) fn release_source(&mut self) {
        self.source = None;
    }

    /// What the target has said unasked.
    pub(super) fn take_warnings(&mut self) -> Vec<String> {
        self.target.take_warnings()
    }

    /// What the target has refused, and the next run tries again.
    pub(super) fn take_undone(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.undone)
    }

    /// How to stop what the target works on.
    pub(super) fn cancel(&self) -> Cancel {
        self.cancel.clone()
    }

    /// Does a step, while so many workers are `idle`. On success its effect and its receipts are
    /// committed.
    pub(super) async fn run(&mut self, step: &Step, idle: usize) -> Result<Moved> {
        let started = Instant::now();
        failpoint::pass(Point::Before(Act::Step(step.phase)));
        let done = match &step.action {
            Action::Apply { statements } => self.apply(step, statements, idle, started).await,
            Action::Copy { chunks } => {
                let shared = Arc::clone(&self.shared);
                match &shared.origin {
                    SharedOrigin::Server { snapshot, .. } => {
                        self.copy(step, chunks, snapshot.as_deref()).await
                    }
                    SharedOrigin::Archive(rows) => self.load(step, chunks, rows).await,
                }
            }
            Action::Verify { chunks } => self.verify(step, chunks).await,
            Action::Count { table } => self.count(step, *table, started).await,
            Action::SetSequences { sequences } => {
                self.set_sequences(step, sequences, started).await
            }
            Action::Vacuum { relation } => self.vacuum(step, relation, started).await,
            Action::Milestone | Action::DataComplete | Action::TakeBack { .. } => {
                Ok(Moved::default())
            }
        };
        let done = match done {
            Err(error) if remedy(&error) == Remedy::Stop => self.do_without(step, error).await,
            done => done,
        };
        let from = match self.shared.origin {
            SharedOrigin::Server { .. } => RowsFrom::Server,
            SharedOrigin::Archive(_) => RowsFrom::Archive,
        };
        done.map_err(|error| {
            advised(error, from).within(format_args!("{}: {}", step.phase, step.title))
        })
    }

    /// Nothing will mend what a step failed on, or nothing has for as long as the patience lasts: what
    /// the job can end without is left out.
    pub(super) async fn do_without(&mut self, step: &Step, error: Error) -> Result<Moved> {
        if !self.outlives(&error) {
            return Err(error);
        }
        match &step.action {
            _ if step.phase == Phase::Maintenance => self.maintain(step, &error).await,
            Action::Apply { statements } if left_out::may_be(statements, &error) => {
                if self.shared.strict {
                    return Err(left_out::but_strict(error));
                }
                self.leave_out(step, statements).await
            }
            _ => Err(error),
        }
    }

    /// Whether the target has refused a statement, and is still there.
    fn outlives(&self, error: &Error) -> bool {
        error.server_error().is_some() && !self.target.is_broken()
    }

    /// Does what can be done of a step of maintenance that failed as a whole. The data is complete
    /// without it, so what can't be done is told, and the job goes on. There is no receipt: a
    /// resume tries again, and tells again.
    async fn maintain(&mut self, step: &Step, failed: &Error) -> Result<Moved> {
        match &step.action {
            Action::Apply { statements } => {
                for Statement { title, sql, .. } in statements {
                    match self.target.execute(title, sql).await {
                        Err(error) if self.outlives(&error) => {
                            self.undone.push(left_out::of_maintenance(title, &error));
                        }
                        done => done?,
                    }
                }
            }
            _ => self.undone.push(left_out::of_maintenance(&step.title, failed)),
        }
        Ok(Moved::default())
    }

    async fn apply(
        &mut self,
        step: &Step,
        statements: &[Statement],
        idle: usize,
        started: Instant,
    ) -> Result<Moved> {
        let mut all = vec![sent("beginning a transaction", "BEGIN")];
        if step.phase == Phase::Indexes && idle > 0 {
            all.push(sent("preparing to build", &building::processes(idle)));
        }
        all.extend(statements.iter().map(|s| sent(&s.title, &s.sql)));
        self.commit(step, all, &[(0, plain(started))]).await?;
        Ok(Moved::default())
    }

    /// Sends what is unsent of a step's transaction, its receipts and COMMIT, in one round trip.
    async fn commit(
        &mut self,
        step: &Step,
        mut unsent: Vec<wire::Statement>,
        receipts: &[(usize, Receipt)],
    ) -> Result<()> {
        self.reach(Point::Effect(step.phase), &mut unsent).await?;
        unsent.push(sent("writing the receipt", &within_transaction(&insert(step.id, receipts))));
        self.reach(Point::Receipt(step.phase), &mut unsent).await?;
        unsent.push(sent("committing", "COMMIT"));
        self.target.execute_all(&unsent).await?;
        failpoint::pass(Point::After(Act::Step(step.phase)));
        Ok(())
    }

    /// Comes to a point with statements that aren't sent: they are where the process may end there.
    async fn reach(&mut self, point: Point, unsent: &mut Vec<wire::Statement>) -> Result<()> {
        if failpoint::is_armed(point) {
            self.target.execute_all(&std::mem::take(unsent)).await?;
            failpoint::pass(point);
        }
        Ok(())
    }

    /// Writes the receipts of what was done in no transaction.
    async fn write_receipts(&mut self, step: &Step, receipts: &[(usize, Receipt)]) -> Result<()> {
        failpoint::pass(Point::Effect(step.phase));
        self.target.execute("writing the receipt", &insert(step.id, receipts)).await?;
        failpoint::pass(Point::After(Act::Step(step.phase)));
        Ok(())
    }

    async fn set_sequences(
        &mut self,
        step: &Step,
        sequences: &[QualifiedName],
        started: Instant,
    ) -> Result<Moved> {
        let SharedOrigin::Server { source, .. } = &self.shared.origin else {
            let words = "an archive says itself where they stand";
            return Err(Error::step(sequences::READING).because(words));
        };
        let mut source = RawConnection::connect(source).await?;
        source.execute(sequences::READING, &sequences::beginning()).await?;
        let mut all = vec![sent("beginning a transaction", "BEGIN")];
        for sql in sequences::reads(sequences.iter()) {
            for row in source.query(sequences::READING, &sql).await? {
                all.push(sent("setting sequences", &sequences::setting(&row)?));
            }
        }
        self.commit(step, all, &[(0, plain(started))]).await?;
        Ok(Moved::default())
    }

    async fn vacuum(
        &mut self,
        step: &Step,
        relation: &QualifiedName,
        started: Instant,
    ) -> Result<Moved> {
        // Not in a transaction, so not in one round trip: its receipt is written once it is done.
        // Inheritance children, to which it would go on since 18, have steps of their own.
        let only = if self.target.version().major() >= 18 { "ONLY " } else { "" };
        self.target.execute("vacuuming", &format!("VACUUM {only}{}", relation.sql())).await?;
        self.write_receipts(step, &[(0, plain(started))]).await?;
        Ok(Moved::default())
    }
}

fn sent(doing: &str, sql: &str) -> wire::Statement {
    wire::Statement { doing: doing.to_owned(), sql: sql.to_owned() }
}

/// `sql` that fails where no transaction has been begun: a receipt that stands by itself, because a
/// statement of the step has ended the transaction, would speak of what may have failed behind that.
fn within_transaction(sql: &str) -> String {
    format!("SAVEPOINT receipt; RELEASE SAVEPOINT receipt; {sql}")
}

/// A receipt for what moves no rows.
fn plain(started: Instant) -> Receipt {
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Receipt { milliseconds, ..Receipt::default() }
}
