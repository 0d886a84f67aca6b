//! A worker: two raw connections, and one step at a time. A step's effect and its receipt commit
//! together; nothing here decides what is next.

use std::sync::Arc;
use std::time::Instant;

use crate::copy::{self, CopyEnd, Fingerprint, Freeze, Progress, Tally};
use crate::error::{Error, Result};
use crate::pg::{QualifiedName, quote_literal};
use crate::plan::{Action, Chunk, Plan, Statement, Step, TableId};
use crate::toc::{ChunkRange, TableData};
use crate::wire::{self, Conninfo, RawConnection};

use super::advice::advised;
use super::claim::{Claim, WRITING};
use super::reading::ReadFrom;
use super::receipts::{Receipt, Receipts, insert};
use super::rows::{copy_out, copy_table, count, stream};
use super::unmoved;

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
    /// None once no chunk is owed.
    pub(super) snapshot: Option<SharedSnapshot>,
    pub(super) plan: Arc<Plan>,
    pub(super) receipts: Arc<Receipts>,
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
}

impl Worker {
    pub(super) async fn connect(shared: Arc<Shared>) -> Result<Worker> {
        let mut target = RawConnection::connect(&shared.target).await?;
        Claim::join(&mut target).await?;
        target.execute("preparing to write", WRITING).await?;
        Ok(Worker { shared, target, source: None })
    }

    /// Lets the source's snapshot go.
    pub(super) fn release_source(&mut self) {
        self.source = None;
    }

    /// What the target has said unasked.
    pub(super) fn take_warnings(&mut self) -> Vec<String> {
        self.target.take_warnings()
    }

    /// How to stop what the target works on.
    pub(super) fn cancel_handle(&self) -> wire::CancelHandle {
        self.target.cancel_handle()
    }

    /// Does a step. On success its effect and its receipts are committed.
    pub(super) async fn run(&mut self, step: &Step) -> Result<Moved> {
        let started = Instant::now();
        let done = match &step.action {
            Action::Apply { statements } => self.apply(step, statements, started).await,
            Action::Copy { chunks } => self.copy(step, chunks).await,
            Action::Verify { chunks } => self.verify(step, chunks).await,
            Action::Count { table } => self.count(step, *table, started).await,
            Action::SetSequences { sequences } => {
                self.set_sequences(step, sequences, started).await
            }
            Action::Vacuum { relation } => self.vacuum(step, relation, started).await,
            Action::Milestone | Action::DataComplete => Ok(Moved::default()),
        };
        done.map_err(|error| advised(error).within(format_args!("{}: {}", step.phase, step.title)))
    }

    async fn apply(
        &mut self,
        step: &Step,
        statements: &[Statement],
        started: Instant,
    ) -> Result<Moved> {
        let mut all = vec![sent("beginning a transaction", "BEGIN")];
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
        let read = chunks.iter().enumerate();
        let read = read.filter(|(part, _)| !shared.receipts.0.contains_key(&(step.id, *part)));
        let tables: Vec<_> =
            read.map(|(_, chunk)| &shared.plan.table(chunk.table).relation).collect();
        unmoved::hold(&mut source, "the source", &tables).await?;
        self.target.execute("beginning a transaction", "BEGIN").await?;
        let mut receipts = Vec::new();
        let mut sum = Moved::default();
        for (part, chunk) in chunks.iter().enumerate() {
            if shared.receipts.0.contains_key(&(step.id, part)) {
                continue;
            }
            let started = Instant::now();
            let table = shared.plan.table(chunk.table);
            let tally = self.copy_chunk(&mut source, table, &chunk.range).await?;
            sum.add(Moved { rows: tally.rows(), bytes: tally.bytes });
            let receipt = Receipt { tally, snapshot: snapshot.mark.clone(), ..plain(started) };
            receipts.push((part, receipt));
        }
        unmoved::settle(&mut source, "the source", &tables).await?;
        let commit = [
            sent("writing the receipt", &insert(step.id, &receipts)),
            sent("committing", "COMMIT"),
        ];
        self.target.execute_all(&commit).await?;
        self.source = Some(source);
        Ok(sum)
    }

    async fn copy_chunk(
        &mut self,
        source: &mut RawConnection,
        table: &TableData,
        range: &ChunkRange,
    ) -> Result<Tally> {
        let doing = format!("copying {}", table.relation);
        let whole = *range == ChunkRange::Whole && table.condition.is_none();
        // A whole table's rows arrive frozen, which a table emptied in the same transaction allows.
        let freeze = if whole { Freeze::Yes } else { Freeze::No };
        if whole {
            let truncate = format!("TRUNCATE ONLY {}", table.relation.sql());
            self.target.execute(&doing, &truncate).await?;
        }
        let out = copy_out(table, range);
        let copy_in = copy_table(table).copy_in(freeze);
        let source = CopyEnd { connection: source, statement: &out };
        let target = CopyEnd { connection: &mut self.target, statement: &copy_in };
        copy::forward(source, target, &stream(table, &doing), &self.shared.copied).await
    }

    async fn verify(&mut self, step: &Step, chunks: &[Chunk]) -> Result<Moved> {
        let shared = Arc::clone(&self.shared);
        let mut receipts = Vec::new();
        let mut sum = Moved::default();
        for (part, chunk) in chunks.iter().enumerate() {
            // A resume takes back the receipts of those tables only that are copied anew.
            if shared.receipts.0.contains_key(&(step.id, part)) {
                continue;
            }
            let started = Instant::now();
            let table = shared.plan.table(chunk.table);
            let doing = format!("reading {} back", table.relation);
            let out = copy_out(table, &chunk.range);
            let target = CopyEnd { connection: &mut self.target, statement: &out };
            let stream = stream(table, &doing);
            let fingerprint = copy::fingerprint(target, &stream, &shared.verified).await?;
            sum.add(Moved { rows: fingerprint.rows, bytes: 0 });
            let tally = Tally { fingerprint, ..Tally::default() };
            receipts.push((part, Receipt { tally, ..plain(started) }));
        }
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
        for row in source.query("reading sequences", &reads.join(" UNION ALL ")).await? {
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
        self.target.execute("vacuuming", &format!("VACUUM {}", relation.sql())).await?;
        let receipt = insert(step.id, &[(0, plain(started))]);
        self.target.execute("writing the receipt", &receipt).await?;
        Ok(Moved::default())
    }
}

fn sent(doing: &str, sql: &str) -> wire::Statement {
    wire::Statement { doing: doing.to_owned(), sql: sql.to_owned() }
}

/// A receipt for what moves no rows.
fn plain(started: Instant) -> Receipt {
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Receipt { milliseconds, ..Receipt::default() }
}
