//! A worker: two raw connections, and one step at a time. A step's effect and its receipt commit
//! together; nothing here decides what is next.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::copy::{self, CopyPart, Fingerprint, Progress, ReadPart, Tally};
use crate::error::{Error, Result};
use crate::pg::{QualifiedName, ToastCompression, quote_literal};
use crate::plan::{Action, Chunk, Phase, Plan, Statement, Step, TableId};
use crate::toc::{ChunkRange, Finding, LargeObjectGroup, RowsOf, Side, TableData};
use crate::wire::{self, Conninfo, RawConnection, TransactionStatus};

use super::advice::advised;
use super::building;
use super::claim::{Claim, WRITING};
use super::faults::{Remedy, remedy};
use super::held_up;
use super::invalid_text;
use super::large_objects;
use super::reading::ReadFrom;
use super::receipts::{Receipt, Receipts, ask, committed, insert};
use super::rows::{copy_in, copy_out, count, empty_for_copy, stream};
use super::unmoved;

/// So many sequences are read by one statement, which locks them all: the source may have little
/// room for locks.
const SEQUENCES_READ: usize = 20;

/// The snapshot that a run copies under.
#[derive(Debug)]
pub(super) struct SharedSnapshot {
    pub(super) source: ReadFrom,
    pub(super) mark: String,
}

/// What all workers of a run share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) source: Conninfo,
    pub(super) target: Conninfo,
    /// The server process whose session holds the claim on the target.
    pub(super) leader: i32,
    /// None once no chunk is owed.
    pub(super) snapshot: Option<SharedSnapshot>,
    pub(super) plan: Arc<Plan>,
    pub(super) receipts: Arc<Receipts>,
    pub(super) jobs: usize,
    pub(super) toast_compression: Option<ToastCompression>,
    /// How long a step is tried again.
    pub(super) patience: Duration,
    /// Held by whoever does a step again for which the target's disk had no room.
    pub(super) short_of_disk: Mutex<()>,
    pub(super) copied: Arc<Progress>,
    pub(super) verified: Arc<Progress>,
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
    /// The maintenance that the target refused.
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

    /// The maintenance that the target has refused.
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
        let done = match &step.action {
            Action::Apply { statements } => self.apply(step, statements, idle, started).await,
            Action::Copy { chunks } => self.copy(step, chunks).await,
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
        done.map_err(|error| advised(error).within(format_args!("{}: {}", step.phase, step.title)))
    }

    /// Nothing will mend what a step failed on: of maintenance is done what can be.
    pub(super) async fn do_without(&mut self, step: &Step, error: Error) -> Result<Moved> {
        match step.phase == Phase::Maintenance && self.outlives(&error) {
            true => self.maintain(step, &error).await,
            false => Err(error),
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
                for Statement { title, sql } in statements {
                    match self.target.execute(title, sql).await {
                        Err(error) if self.outlives(&error) => {
                            self.undone.push(undone(title, &error));
                        }
                        done => done?,
                    }
                }
            }
            _ => self.undone.push(undone(&step.title, failed)),
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
        all.push(sent("writing the receipt", &insert(step.id, &[(0, plain(started))])));
        all.push(sent("committing", "COMMIT"));
        self.target.execute_all(&all).await?;
        Ok(Moved::default())
    }

    async fn copy(&mut self, step: &Step, chunks: &[Chunk]) -> Result<Moved> {
        let shared = Arc::clone(&self.shared);
        let snapshot = shared.snapshot.as_ref().ok_or_else(|| {
            Error::step("copying rows").because("no snapshot of the source is open")
        })?;
        let mut source = match self.source.take() {
            Some(source) => source,
            None => snapshot.source.connect().await?,
        };
        let owed = owed(&shared, step, chunks);
        let doing: Vec<String> =
            owed.iter().map(|(_, _, table)| format!("copying {}", table.relation)).collect();
        let statements: Vec<(String, String)> = owed
            .iter()
            .map(|(_, chunk, table)| {
                (copy_out(table, &chunk.range, Side::Source), copy_in(table, &chunk.range))
            })
            .collect();
        let parts: Vec<CopyPart<'_>> = owed
            .iter()
            .zip(&statements)
            .zip(&doing)
            .map(|(((_, _, table), (copy_out, copy_in)), doing)| CopyPart {
                copy_out,
                copy_in,
                stream: stream(table, doing),
            })
            .collect();
        let tables: Vec<&TableData> = owed.iter().map(|(_, _, table)| *table).collect();
        let started = Instant::now();
        let progress = Progress::part_of(&shared.copied);
        let copying = async {
            unmoved::hold(&mut source, Side::Source, &tables).await?;
            self.target.execute_all(&beginning(&owed)).await?;
            copy::forward(&mut source, &mut self.target, &parts, &progress).await
        };
        let tallies = match copying.await {
            Ok(tallies) => tallies,
            Err(error) => {
                progress.take_back();
                let encoding = snapshot.source.conninfo.client_encoding();
                let error = invalid_text::explained(error, &tables, encoding);
                return Err(held_up::explained(error, &snapshot.source, &tables).await);
            }
        };
        for (_, chunk, table) in &owed {
            if let RowsOf::LargeObjects { groups } = &table.rows_of {
                self.settle_large_objects(&mut source, groups, &chunk.range).await?;
            }
        }
        unmoved::settle(&mut source, Side::Source, &tables).await?;
        let mut sum = Moved::default();
        let receipt = |(part, tally): (usize, Tally)| {
            sum.add(Moved { rows: tally.rows(), bytes: tally.bytes });
            let receipt = share(started, owed.len());
            (part, Receipt { tally, snapshot: snapshot.mark.clone(), ..receipt })
        };
        let receipts: Vec<(usize, Receipt)> =
            owed.iter().map(|(part, ..)| *part).zip(tallies).map(receipt).collect();
        let commit = [
            sent("writing the receipt", &insert(step.id, &receipts)),
            sent("committing", "COMMIT"),
        ];
        self.target.execute_all(&commit).await?;
        self.source = Some(source);
        Ok(sum)
    }

    /// Gives the large objects of a range their owners, comments and grants, as the snapshot has
    /// them.
    async fn settle_large_objects(
        &mut self,
        source: &mut RawConnection,
        groups: &[LargeObjectGroup],
        range: &ChunkRange,
    ) -> Result<()> {
        let statements = large_objects::settling(source, groups, range).await?;
        let doing = "giving large objects their owners and grants";
        let all: Vec<wire::Statement> = statements.iter().map(|sql| sent(doing, sql)).collect();
        self.target.execute_all(&all).await
    }

    async fn verify(&mut self, step: &Step, chunks: &[Chunk]) -> Result<Moved> {
        let shared = Arc::clone(&self.shared);
        let owed = owed(&shared, step, chunks);
        let doing: Vec<String> =
            owed.iter().map(|(_, _, table)| format!("reading {} back", table.relation)).collect();
        let statements: Vec<String> = owed
            .iter()
            .map(|(_, chunk, table)| copy_out(table, &chunk.range, Side::Target))
            .collect();
        let parts: Vec<ReadPart<'_>> = owed
            .iter()
            .zip(&statements)
            .zip(&doing)
            .map(|(((_, _, table), copy_out), doing)| ReadPart {
                copy_out,
                stream: stream(table, doing),
            })
            .collect();
        let started = Instant::now();
        let progress = Progress::part_of(&shared.verified);
        let read = match copy::fingerprints(&mut self.target, &parts, &progress).await {
            Ok(read) => read,
            Err(error) => {
                progress.take_back();
                return Err(error);
            }
        };
        let mut sum = Moved::default();
        let receipt = |(part, fingerprint): (usize, Fingerprint)| {
            sum.add(Moved { rows: fingerprint.rows, bytes: 0 });
            let tally = Tally { fingerprint, ..Tally::default() };
            (part, Receipt { tally, ..share(started, owed.len()) })
        };
        let receipts: Vec<(usize, Receipt)> =
            owed.iter().map(|(part, ..)| *part).zip(read).map(receipt).collect();
        self.target.execute("writing the receipt", &insert(step.id, &receipts)).await?;
        Ok(sum)
    }

    async fn count(&mut self, step: &Step, table: TableId, started: Instant) -> Result<Moved> {
        let shared = Arc::clone(&self.shared);
        let table = shared.plan.table(table);
        let counted = self.target.query("counting rows", &count(table)).await?;
        let rows = counted.first().and_then(|row| row.first()?.as_ref()?.parse().ok());
        let rows = rows.ok_or_else(|| Error::step("counting rows").because("no count came"))?;
        let fingerprint = Fingerprint { rows, ..Fingerprint::default() };
        let tally = Tally { fingerprint, ..Tally::default() };
        let receipt = Receipt { tally, ..plain(started) };
        self.target.execute("writing the receipt", &insert(step.id, &[(0, receipt)])).await?;
        Ok(Moved { rows, bytes: 0 })
    }

    async fn set_sequences(
        &mut self,
        step: &Step,
        sequences: &[QualifiedName],
        started: Instant,
    ) -> Result<Moved> {
        let doing = "setting sequences";
        let mut source = RawConnection::connect(&self.shared.source).await?;
        let mut all = vec![sent("beginning a transaction", "BEGIN")];
        let reads: Vec<String> = sequences
            .iter()
            .map(|name| {
                let title = quote_literal(&name.sql());
                format!("SELECT {title}, last_value, is_called FROM {}", name.sql())
            })
            .collect();
        let mut rows = Vec::new();
        for some in reads.chunks(SEQUENCES_READ) {
            rows.extend(source.query("reading sequences", &some.join(" UNION ALL ")).await?);
        }
        for row in rows {
            let [Some(name), Some(value), Some(called)] = row.as_slice() else {
                return Err(Error::step("reading sequences").because("a value is missing"));
            };
            let sql = format!(
                "SELECT pg_catalog.setval({}, {value}, {called:?})",
                quote_literal(name),
                called = called == "t"
            );
            all.push(sent(doing, &sql));
        }
        all.push(sent("writing the receipt", &insert(step.id, &[(0, plain(started))])));
        all.push(sent("committing", "COMMIT"));
        self.target.execute_all(&all).await?;
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
        let receipt = insert(step.id, &[(0, plain(started))]);
        self.target.execute("writing the receipt", &receipt).await?;
        Ok(Moved::default())
    }
}

fn undone(title: &str, error: &Error) -> Finding {
    Finding::change(title, format!("left out, as the target refused it: {}", error.message()))
        .mend("mend what it fails on, then run VACUUM (ANALYZE) of the table on the target")
}

/// The parts of a step that have no receipt. A resume takes back the receipts of those tables only
/// that are copied anew.
fn owed<'a>(
    shared: &'a Shared,
    step: &Step,
    chunks: &'a [Chunk],
) -> Vec<(usize, &'a Chunk, &'a TableData)> {
    let numbered = chunks.iter().enumerate();
    numbered
        .filter(|(part, _)| !shared.receipts.0.contains_key(&(step.id, *part)))
        .map(|(part, chunk)| (part, chunk, shared.plan.table(chunk.table)))
        .collect()
}

/// A copy's transaction begins with the emptying of the tables that are copied whole: in the
/// reverse order, for those between which foreign keys stand.
fn beginning(owed: &[(usize, &Chunk, &TableData)]) -> Vec<wire::Statement> {
    let whole = owed.iter().rev().filter(|(_, chunk, _)| chunk.range == ChunkRange::Whole);
    let emptied = whole
        .map(|(_, _, table)| sent(&format!("emptying {}", table.relation), &empty_for_copy(table)));
    std::iter::once(sent("beginning a transaction", "BEGIN")).chain(emptied).collect()
}

fn sent(doing: &str, sql: &str) -> wire::Statement {
    wire::Statement { doing: doing.to_owned(), sql: sql.to_owned() }
}

/// A receipt for one of several parts that were under way together: each is given its share of
/// the time.
fn share(started: Instant, parts: usize) -> Receipt {
    let whole = plain(started);
    Receipt { milliseconds: whole.milliseconds / parts.max(1) as u64, ..whole }
}

/// A receipt for what moves no rows.
fn plain(started: Instant) -> Receipt {
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Receipt { milliseconds, ..Receipt::default() }
}
