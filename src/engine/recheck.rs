//! What a resume makes of chunks copied under a snapshot that is gone: they count if the source
//! proves unchanged, or if reading them again yields the same rows. A table in which one differs
//! is copied anew, whole.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::plan::{Action, Chunk, Plan, StepId, TableId};
use crate::toc::{counted, unlink_sql};
use crate::wire::{Conninfo, Session};

use super::events::{Event, Events};
use super::failpoint::{self, Act, Point};
use super::large_objects;
use super::ledger::{Ledger, forget_sql};
use super::ours::Ours;
use super::reading::{ReadFrom, read_chunks};
use super::receipts::Receipts;
use super::rows;
use super::snapshot::{SourceSnapshot, see_equal_rows};

/// Brings the receipts under `snapshot`: those that still hold are renewed, the tables of those
/// that don't are emptied and their receipts taken back. Returns what is left.
///
/// Nothing is emptied that isn't `ours`.
pub async fn recheck(
    ours: &Ours<'_>,
    mut receipts: Receipts,
    snapshot: &SourceSnapshot,
    source: &Conninfo,
    events: &Events,
) -> Result<Receipts> {
    let Ours { plan, session: target, .. } = *ours;
    receipts = without_lost(ours, receipts).await?;
    let stale = stale(plan, &receipts, snapshot);
    if stale.is_empty() {
        return Ok(receipts);
    }
    let differing = differing(ours, &receipts, &stale, snapshot, source, events).await?;
    let (objects, rows): (Vec<_>, Vec<_>) =
        differing.into_iter().partition(|(_, chunk)| plan.table(chunk.table).holds_large_objects());
    let (keys, objects): (Vec<_>, Vec<Chunk>) = objects.into_iter().unzip();
    let written: Vec<_> = keys.iter().map(|key| receipts.0[key].tally.fingerprint).collect();
    ours.refuse_unlinking(&objects, &written).await?;
    if !objects.is_empty() {
        let note = format!(
            "large objects changed on the source since they were copied: copying {} of them \
             anew",
            counted(objects.len(), "chunk")
        );
        events.say(Event::Note(note)).await;
    }
    for chunk in &objects {
        unlink(plan, &mut receipts, chunk, target).await?;
    }
    let differing: BTreeSet<TableId> = rows.iter().map(|(_, chunk)| chunk.table).collect();
    for table in &differing {
        let name = &plan.table(*table).relation;
        let note = format!("{name} changed on the source since it was copied: copying it anew");
        events.say(Event::Note(note)).await;
    }
    let differing = with_those_bound(plan, differing);
    ours.refuse_emptying(&receipts, &differing).await?;
    empty(plan, &mut receipts, &differing, target).await?;
    renew(plan, receipts, snapshot, target).await
}

/// The receipts but for those of tables that have lost rows on the target: these are emptied.
///
/// Nothing is emptied that isn't `ours`.
pub async fn without_lost(ours: &Ours<'_>, mut receipts: Receipts) -> Result<Receipts> {
    let Ours { plan, session: target, .. } = *ours;
    let emptied = with_those_bound(plan, emptied_tables(plan, &receipts, target).await?);
    ours.refuse_emptying(&receipts, &emptied).await?;
    empty(plan, &mut receipts, &emptied, target).await?;
    Ok(receipts)
}

/// Says of all receipts of rows that they hold under `snapshot`.
pub async fn renew(
    plan: &Plan,
    mut receipts: Receipts,
    snapshot: &SourceSnapshot,
    target: &Session,
) -> Result<Receipts> {
    let holding = stale(plan, &receipts, snapshot);
    for key in &holding {
        if let Some(receipt) = receipts.0.get_mut(key) {
            receipt.snapshot.clone_from(&snapshot.mark);
        }
    }
    let renewed: Vec<_> = holding.iter().map(|key| (*key, &receipts.0[key])).collect();
    Ledger::of(target).vouch(&renewed).await?;
    Ok(receipts)
}

/// What differs on the source from what was copied of it: tables by name, and the large objects.
pub async fn changed_tables(
    ours: &Ours<'_>,
    receipts: &Receipts,
    snapshot: &SourceSnapshot,
    source: &Conninfo,
    events: &Events,
) -> Result<Vec<String>> {
    let stale = stale(ours.plan, receipts, snapshot);
    let differing = differing(ours, receipts, &stale, snapshot, source, events).await?;
    let name = |chunk: &Chunk| match ours.plan.table(chunk.table) {
        table if table.holds_large_objects() => "the large objects".to_owned(),
        table => table.relation.to_string(),
    };
    let names: BTreeSet<String> = differing.iter().map(|(_, chunk)| name(chunk)).collect();
    Ok(names.into_iter().collect())
}

/// The chunks whose receipts say another mark than this snapshot's, and those of unlogged tables.
fn stale(plan: &Plan, receipts: &Receipts, snapshot: &SourceSnapshot) -> Vec<(StepId, usize)> {
    let is_stale = |(step, part, chunk): &(StepId, usize, &Chunk)| {
        let receipt = receipts.0.get(&(*step, *part));
        receipt.is_some_and(|r| r.snapshot != snapshot.mark || plan.table(chunk.table).unlogged)
    };
    plan.copies().filter(is_stale).map(|(step, part, _)| (step, part)).collect()
}

/// Those of the chunks that are read otherwise on the source now than they were copied.
async fn differing(
    ours: &Ours<'_>,
    receipts: &Receipts,
    stale: &[(StepId, usize)],
    snapshot: &SourceSnapshot,
    source: &Conninfo,
    events: &Events,
) -> Result<Vec<((StepId, usize), Chunk)>> {
    let Ours { plan, jobs, progress, .. } = *ours;
    // Equal marks prove nothing of an unlogged table: a crash empties it, which takes no transaction,
    // and restarts all processes but the postmaster (source: postmaster.c, HandleChildCrash).
    let is_seen = |key: &(StepId, usize), chunk: &Chunk| {
        see_equal_rows(&receipts.0[key].snapshot, &snapshot.mark)
            && !plan.table(chunk.table).unlogged
    };
    let unseen = |key: &(StepId, usize)| match &plan.steps[key.0.0 as usize].action {
        Action::Copy { chunks } if !is_seen(key, &chunks[key.1]) => {
            Some((*key, chunks[key.1].clone()))
        }
        _ => None,
    };
    let (keys, chunks): (Vec<_>, Vec<_>) = stale.iter().filter_map(unseen).unzip();
    if chunks.is_empty() {
        return Ok(Vec::new());
    }
    let number = counted(chunks.len(), "finished chunk");
    let note = format!("reading {number} again: the old snapshot is gone");
    events.say(Event::Note(note)).await;
    let from = ReadFrom::source(source, snapshot);
    let found = read_chunks(plan, chunks.clone(), &from, jobs, progress).await?;
    let read = keys.into_iter().zip(chunks).zip(found);
    let (differing, same): (Vec<_>, Vec<_>) =
        read.partition(|((key, _), found)| receipts.0[key].tally.fingerprint != *found);
    let mut differing: Vec<_> = differing.into_iter().map(|(chunk, _)| chunk).collect();
    let same = same.into_iter().map(|(chunk, _)| chunk);
    let objects = same.filter(|(_, chunk)| plan.table(chunk.table).holds_large_objects());
    differing.extend(settled_otherwise(receipts, objects.collect(), &from).await?);
    Ok(differing)
}

/// Those of the chunks of large objects that have other owners, comments or grants than they were
/// copied with.
async fn settled_otherwise(
    receipts: &Receipts,
    chunks: Vec<((StepId, usize), Chunk)>,
    from: &ReadFrom,
) -> Result<Vec<((StepId, usize), Chunk)>> {
    let mut others = Vec::new();
    if chunks.is_empty() {
        return Ok(others);
    }
    let mut source = from.connect().await?;
    for (key, chunk) in chunks {
        let objects = large_objects::read(&mut source, &chunk.range).await?;
        if receipts.0[&key].tally.crc32 != large_objects::crc32(&objects) {
            others.push((key, chunk));
        }
    }
    Ok(others)
}

/// Tables between which foreign keys stand can only be emptied together.
fn with_those_bound(plan: &Plan, mut tables: BTreeSet<TableId>) -> BTreeSet<TableId> {
    if tables.iter().any(|table| plan.table(*table).in_foreign_keys) {
        let all = plan.tables.iter().zip(0..);
        tables.extend(all.filter(|(table, _)| table.in_foreign_keys).map(|(_, id)| TableId(id)));
    }
    tables
}

/// The tables of which the target has lost rows that receipts speak of: an unlogged table is empty
/// after its server crashed. Their rows are counted.
pub async fn emptied_tables(
    plan: &Plan,
    receipts: &Receipts,
    target: &Session,
) -> Result<BTreeSet<TableId>> {
    let mut copied: BTreeMap<TableId, u64> = BTreeMap::new();
    for (step, part, chunk) in plan.copies() {
        if let Some(receipt) = receipts.0.get(&(step, part)) {
            *copied.entry(chunk.table).or_default() += receipt.tally.rows();
        }
    }
    let mut emptied = BTreeSet::new();
    let unlogged = plan.tables.iter().enumerate().filter(|(_, table)| table.unlogged);
    for (index, table) in unlogged {
        let id = TableId(index as u32);
        let expected = copied.get(&id).copied().unwrap_or_default();
        let doing = format!("counting the rows of {}", table.relation);
        if expected > 0 {
            let there: i64 = target.query_one(&doing, &rows::count(table), &[]).await?.get(0);
            if there as u64 != expected {
                emptied.insert(id);
            }
        }
    }
    Ok(emptied)
}

/// So many tables are emptied in one transaction: each is locked until its end.
const EMPTIED: usize = 100;

/// Empties tables, and takes all their receipts back in the transaction that does. Those between
/// which foreign keys stand are emptied as they were copied, in one transaction however many they
/// are.
async fn empty(
    plan: &Plan,
    receipts: &mut Receipts,
    tables: &BTreeSet<TableId>,
    target: &Session,
) -> Result<()> {
    let (bound, others): (Vec<TableId>, Vec<TableId>) =
        tables.iter().partition(|table| plan.table(**table).in_foreign_keys);
    for some in others.chunks(EMPTIED).chain((!bound.is_empty()).then_some(bound.as_slice())) {
        empty_some(plan, receipts, &some.iter().copied().collect(), target).await?;
    }
    Ok(())
}

async fn empty_some(
    plan: &Plan,
    receipts: &mut Receipts,
    tables: &BTreeSet<TableId>,
    target: &Session,
) -> Result<()> {
    let of_tables = |chunk: &Chunk| tables.contains(&chunk.table);
    let keys = parts(plan, of_tables, |table| tables.contains(&table));
    let truncates = tables.iter().rev().map(|id| rows::empty(plan.table(*id)));
    let truncates: String = truncates.collect();
    take_back(receipts, &keys, &truncates, target).await
}

/// Removes the large objects of a chunk and takes its receipts back. What OIDs it has never
/// changes, so the other chunks hold.
async fn unlink(
    plan: &Plan,
    receipts: &mut Receipts,
    chunk: &Chunk,
    target: &Session,
) -> Result<()> {
    let keys = parts(plan, |other| other == chunk, |table| table == chunk.table);
    let unlink = unlink_sql(chunk.range.condition().as_deref());
    take_back(receipts, &keys, &unlink, target).await
}

/// The parts of steps that copied, read back or counted these chunks and tables.
fn parts(
    plan: &Plan,
    of_chunk: impl Fn(&Chunk) -> bool,
    of_table: impl Fn(TableId) -> bool,
) -> Vec<(StepId, usize)> {
    let mut keys = Vec::new();
    for step in &plan.steps {
        match &step.action {
            Action::Copy { chunks } | Action::Verify { chunks } => {
                let parts = chunks.iter().enumerate();
                let theirs = parts.filter(|(_, chunk)| of_chunk(chunk));
                keys.extend(theirs.map(|(part, _)| (step.id, part)));
            }
            Action::Count { table } if of_table(*table) => keys.push((step.id, 0)),
            _ => {}
        }
    }
    keys
}

/// Removes rows and the receipts that speak of them, in one transaction.
async fn take_back(
    receipts: &mut Receipts,
    keys: &[(StepId, usize)],
    removal: &str,
    target: &Session,
) -> Result<()> {
    let sql = format!("BEGIN;\n{removal}{}COMMIT;\n", forget_sql(keys));
    failpoint::pass(Point::Before(Act::RemoveRows));
    target.execute("removing rows that are to be copied anew", &sql).await?;
    failpoint::pass(Point::After(Act::RemoveRows));
    for key in keys {
        receipts.0.remove(key);
    }
    Ok(())
}
