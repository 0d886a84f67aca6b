//! The steps that rows go through: copying them, reading them back, counting them.

use std::sync::Arc;
use std::time::Instant;

use crate::copy::{self, CopyPart, Fingerprint, Progress, ReadPart, Tally};
use crate::error::{Error, Result};
use crate::plan::{Chunk, Step, TableId};
use crate::toc::{ChunkRange, LargeObject, LargeObjectGroup, RowsOf, Side, TableData};
use crate::wire;

use super::{Moved, Shared, SharedSnapshot, Worker, plain, sent};
use crate::engine::receipts::Receipt;
use crate::engine::rows::{copy_in, copy_out, count, empty_for_copy, stream};
use crate::engine::{held_up, invalid_text, large_objects, unmoved};

impl Worker {
    pub(super) async fn copy(
        &mut self,
        step: &Step,
        chunks: &[Chunk],
        snapshot: Option<&SharedSnapshot>,
    ) -> Result<Moved> {
        let shared = Arc::clone(&self.shared);
        let snapshot = snapshot.ok_or_else(|| {
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
        let mut tallies = match copying.await {
            Ok(tallies) => tallies,
            Err(error) => {
                progress.take_back();
                let encoding = snapshot.source.conninfo.client_encoding();
                let error = invalid_text::explained(error, &tables, encoding);
                return Err(held_up::explained(error, &snapshot.source, &tables).await);
            }
        };
        for ((_, chunk, table), tally) in owed.iter().zip(&mut tallies) {
            if let RowsOf::LargeObjects { groups } = &table.rows_of {
                let objects = large_objects::read(&mut source, &chunk.range).await?;
                self.settle_large_objects(groups, &objects).await?;
                tally.crc32 = large_objects::crc32(&objects);
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
        self.commit(step, Vec::new(), &receipts).await?;
        self.source = Some(source);
        Ok(sum)
    }

    /// Gives large objects their owners, comments and grants.
    pub(super) async fn settle_large_objects(
        &mut self,
        groups: &[LargeObjectGroup],
        objects: &[LargeObject],
    ) -> Result<()> {
        let statements = large_objects::settling(groups, objects)?;
        let doing = "giving large objects their owners and grants";
        let all: Vec<wire::Statement> = statements.iter().map(|sql| sent(doing, sql)).collect();
        self.target.execute_all(&all).await
    }

    pub(super) async fn verify(&mut self, step: &Step, chunks: &[Chunk]) -> Result<Moved> {
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
        self.write_receipts(step, &receipts).await?;
        Ok(sum)
    }

    pub(super) async fn count(
        &mut self,
        step: &Step,
        table: TableId,
        started: Instant,
    ) -> Result<Moved> {
        let shared = Arc::clone(&self.shared);
        let table = shared.plan.table(table);
        let counted = self.target.query("counting rows", &count(table)).await?;
        let rows = counted.first().and_then(|row| row.first()?.as_ref()?.parse().ok());
        let rows = rows.ok_or_else(|| Error::step("counting rows").because("no count came"))?;
        let fingerprint = Fingerprint { rows, ..Fingerprint::default() };
        let tally = Tally { fingerprint, ..Tally::default() };
        let receipt = Receipt { tally, ..plain(started) };
        self.write_receipts(step, &[(0, receipt)]).await?;
        Ok(Moved { rows, bytes: 0 })
    }
}

/// The parts of a step that have no receipt. A resume takes back the receipts of those tables only
/// that are copied anew.
pub(super) fn owed<'a>(
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
/// reverse order, for those between which foreign keys stand. What somebody else has made was empty
/// when the job began, and what has come since isn't ours to remove.
pub(super) fn beginning(owed: &[(usize, &Chunk, &TableData)]) -> Vec<wire::Statement> {
    let whole = owed.iter().rev().filter(|(_, chunk, table)| {
        chunk.range == ChunkRange::Whole && !table.adds_to_an_extensions() && !table.stands
    });
    let emptied = whole
        .map(|(_, _, table)| sent(&format!("emptying {}", table.relation), &empty_for_copy(table)));
    std::iter::once(sent("beginning a transaction", "BEGIN")).chain(emptied).collect()
}

/// A receipt for one of several parts that were under way together: each is given its share of
/// the time.
pub(super) fn share(started: Instant, parts: usize) -> Receipt {
    let whole = plain(started);
    Receipt { milliseconds: whole.milliseconds / parts.max(1) as u64, ..whole }
}
