//! Receipts: what a committed step left behind, and what they add up to.

use std::collections::BTreeMap;

use crate::copy::{Fingerprint, Tally};
use crate::pg::quote_literal;
use crate::plan::{Action, Plan, Step, StepId, TableId};
use crate::toc::Finding;

use super::checksum::checksum;
use super::origin::whole_mark;
use super::snapshot::is_warm;
use super::worker::Moved;

/// What a step's part left in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Receipt {
    /// Rows and bytes moved or read, and what they were. Of copied large objects the CRC-32 is that
    /// of their owners, comments and grants, which no fingerprint tells.
    pub tally: Tally,
    /// The mark of the snapshot the rows were seen under; empty for what reads no rows.
    pub snapshot: String,
    /// How long it took.
    pub milliseconds: u64,
    /// What the target refused of the step, which was done without.
    pub left_out: Vec<Finding>,
}

impl Receipt {
    /// What the ledger keeps beside the receipt of a step's part, to tell a damaged one.
    pub(super) fn checksum(&self, (step, part): (StepId, usize)) -> i64 {
        let Receipt { tally, snapshot, milliseconds, .. } = self;
        let numbers = format!("{} {part} {} {} {milliseconds}", step.0, tally.bytes, tally.crc32);
        checksum(&[&numbers, &tally.fingerprint.to_string(), snapshot, &self.left_out_text()])
    }

    /// What was left out, as the ledger keeps it.
    fn left_out_text(&self) -> String {
        match self.left_out.as_slice() {
            [] => String::new(),
            all => serde_json::to_string(all).expect("findings are plain text"),
        }
    }
}

/// Reads what was left out; none where the text isn't one of ours.
pub(super) fn left_out(text: &str) -> Option<Vec<Finding>> {
    match text {
        "" => Some(Vec::new()),
        text => serde_json::from_str(text).ok(),
    }
}

/// The receipts of a run so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipts(pub BTreeMap<(StepId, usize), Receipt>);

impl Receipts {
    /// Whether all of a step's parts are there. A milestone leaves none, so it never is: passing
    /// it again costs nothing.
    pub fn is_done(&self, step: &Step) -> bool {
        let parts = step.parts();
        parts > 0 && self.0.range((step.id, 0)..(step.id, parts)).count() == parts
    }

    /// Whether every chunk was copied under one and the same snapshot, as one that is final.
    pub fn data_is_complete(&self, plan: &Plan) -> bool {
        let mut marks = plan.copies().map(|(step, part, _)| {
            self.0.get(&(step, part)).map(|receipt| whole_mark(&receipt.snapshot))
        });
        match marks.next() {
            None => true,
            Some(first) => {
                first.is_some_and(|mark| !is_warm(mark)) && marks.all(|mark| mark == first)
            }
        }
    }

    /// Whether rows of a chunk don't have to be final.
    pub fn are_warm(&self, plan: &Plan) -> bool {
        let mut copies = plan.copies().filter_map(|(step, part, _)| self.0.get(&(step, part)));
        copies.any(|receipt| is_warm(&receipt.snapshot))
    }

    /// What the target refused, and the job was done without.
    pub fn left_out(&self) -> impl Iterator<Item = &Finding> {
        self.0.values().flat_map(|receipt| &receipt.left_out)
    }

    /// The mark of the snapshot that the first chunk was copied under.
    pub fn mark(&self, plan: &Plan) -> Option<&str> {
        let (step, part, _) = plan.copies().next()?;
        self.0.get(&(step, part)).map(|receipt| receipt.snapshot.as_str())
    }

    /// What was copied from the source, by table; none where a chunk is owed.
    pub fn copied(&self, plan: &Plan) -> Vec<Option<Fingerprint>> {
        self.sums(plan, |action| match action {
            Action::Copy { chunks } => Some(chunks.as_slice()),
            _ => None,
        })
    }

    /// How many rows were counted on the target, by table; none where that is owed.
    pub fn counted(&self, plan: &Plan) -> Vec<Option<u64>> {
        let mut counts = vec![None; plan.tables.len()];
        for step in &plan.steps {
            if let Action::Count { table } = step.action {
                let receipt = self.0.get(&(step.id, 0));
                counts[table.0 as usize] = receipt.map(|receipt| receipt.tally.rows());
            }
        }
        counts
    }

    /// What was read back from the target, by table; none where that is owed.
    pub fn verified(&self, plan: &Plan) -> Vec<Option<Fingerprint>> {
        self.sums(plan, |action| match action {
            Action::Verify { chunks } => Some(chunks.as_slice()),
            _ => None,
        })
    }

    /// What was read back of tables that came out different: it is read again when the job goes on,
    /// as the target may have been mended.
    pub fn of_differing(&self, plan: &Plan) -> Vec<(StepId, usize)> {
        let (copied, verified, counted) =
            (self.copied(plan), self.verified(plan), self.counted(plan));
        let differs = |table: TableId| {
            let index = table.0 as usize;
            let Some(ours) = copied[index] else { return false };
            verified[index].is_some_and(|theirs| theirs != ours)
                || counted[index].is_some_and(|rows| rows != ours.rows)
        };
        self.read_back(plan, differs)
    }

    /// What was read back or counted of the tables for which `of` holds.
    pub fn read_back(&self, plan: &Plan, of: impl Fn(TableId) -> bool) -> Vec<(StepId, usize)> {
        let mut parts = Vec::new();
        for step in &plan.steps {
            match &step.action {
                Action::Verify { chunks } => {
                    let theirs = chunks.iter().enumerate().filter(|(_, chunk)| of(chunk.table));
                    parts.extend(theirs.map(|(part, _)| (step.id, part)));
                }
                Action::Count { table } if of(*table) => parts.push((step.id, 0)),
                _ => {}
            }
        }
        parts.retain(|key| self.0.contains_key(key));
        parts
    }

    fn sums<'p>(
        &self,
        plan: &'p Plan,
        chunks: impl Fn(&'p Action) -> Option<&'p [crate::plan::Chunk]>,
    ) -> Vec<Option<Fingerprint>> {
        let mut sums = vec![None; plan.tables.len()];
        let mut owed = vec![false; plan.tables.len()];
        for step in &plan.steps {
            for (part, chunk) in chunks(&step.action).into_iter().flatten().enumerate() {
                let TableId(table) = chunk.table;
                match self.0.get(&(step.id, part)) {
                    Some(receipt) => {
                        let sum = sums[table as usize].get_or_insert_with(Fingerprint::default);
                        *sum += receipt.tally.fingerprint;
                    }
                    None => owed[table as usize] = true,
                }
            }
        }
        for (sum, owed) in sums.iter_mut().zip(owed) {
            if owed {
                *sum = None;
            }
        }
        sums
    }
}

/// The statement that asks what a step's receipts say of its rows; see [`committed`].
pub(super) fn ask(step: StepId) -> String {
    format!(
        "SELECT pg_catalog.count(*), coalesce(pg_catalog.sum(rows), 0), \
         coalesce(pg_catalog.sum(bytes), 0) FROM pgconvoy.receipt WHERE step = {}",
        step.0
    )
}

/// What a step of so many parts has moved, if all of them have receipts.
pub(super) fn committed(parts: usize, answer: &[Vec<Option<String>>]) -> Option<Moved> {
    let number = |column: usize| answer.first()?.get(column)?.as_deref()?.parse::<u64>().ok();
    let all = parts > 0 && number(0) == Some(parts as u64);
    all.then_some(Moved { rows: number(1)?, bytes: number(2)? })
}

/// The statement that writes receipts: run in the transaction that did what they say.
pub(super) fn insert(step: StepId, receipts: &[(usize, Receipt)]) -> String {
    let values: Vec<String> = receipts
        .iter()
        .map(|(part, receipt)| {
            let Receipt { tally, snapshot, milliseconds, .. } = receipt;
            format!(
                "({}, {part}, {}, {}, {}, {}, {}, {milliseconds}, {}, {})",
                step.0,
                tally.rows(),
                tally.bytes,
                tally.crc32,
                quote_literal(&tally.fingerprint.to_string()),
                quote_literal(snapshot),
                quote_literal(&receipt.left_out_text()),
                receipt.checksum((step, *part)),
            )
        })
        .collect();
    format!(
        "INSERT INTO pgconvoy.receipt \
         (step, part, rows, bytes, crc32, fingerprint, snapshot, milliseconds, \
         left_out, checksum) \
         VALUES {}",
        values.join(", ")
    )
}
