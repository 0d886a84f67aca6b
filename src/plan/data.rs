//! Rows: copied, and read back.

use std::collections::HashMap;

use crate::pg::LockMode;
use crate::toc::{ChunkRange, Entry, EntryId, Kind, LargeObjectGroup, RowsOf, TableData};

use super::build::PlanInput;
use super::chunks::divide;
use super::step::{Action, Chunk, Lock, Phase, Plan, StepId, TableId};
use super::steps::{Steps, TABLE_OVERHEAD};

/// Where each table's rows come to be complete.
pub(super) struct Tables {
    /// The tables, by the entry that creates them.
    pub(super) by_entry: HashMap<EntryId, TableId>,
    /// The step after which a table's rows are complete.
    pub(super) complete: Vec<StepId>,
    /// How the chunks are grouped into copy steps.
    groups: Vec<(Vec<Chunk>, StepId)>,
}

/// Copies every table's rows.
pub(super) fn data(input: &PlanInput<'_>, steps: &mut Steps) -> Tables {
    let mut by_entry = HashMap::new();
    for (id, entry) in input.toc.iter() {
        let Some(table) = &entry.table else { continue };
        let number = TableId(steps.plan.tables.len() as u32);
        let mut table = TableData::clone(table);
        if let RowsOf::LargeObjects { groups } = &mut table.rows_of {
            *groups = large_object_groups(input);
        }
        steps.plan.tables.push(table);
        by_entry.insert(id, number);
        let creators =
            entry.depends_on.iter().filter(|id| input.toc.entry(**id).kind == Kind::Table);
        by_entry.extend(creators.map(|creator| (*creator, number)));
    }
    let mut complete = vec![StepId(0); steps.plan.tables.len()];
    let mut chunk_steps: Vec<Vec<StepId>> = vec![Vec::new(); steps.plan.tables.len()];
    let mut groups = Vec::new();
    for group in divide(&steps.plan.tables, input.splitting, input.jobs) {
        let title = group_title(&steps.plan, &group);
        let id = steps.push(Phase::Data, title, Action::Copy { chunks: group.clone() });
        let defined = steps.defined;
        let locks = group.iter().map(|chunk| lock(steps.plan.table(chunk.table), copy_lock(chunk)));
        let locks = locks.collect();
        let step = steps.step(id);
        step.needs.extend(defined);
        step.cost = group.iter().map(|chunk| chunk.bytes + TABLE_OVERHEAD).sum();
        step.locks = locks;
        for chunk in &group {
            chunk_steps[chunk.table.0 as usize].push(id);
        }
        groups.push((group, id));
    }
    for (table, ids) in chunk_steps.into_iter().enumerate() {
        complete[table] = match ids.as_slice() {
            [one] => *one,
            _ => {
                let title = format!("all rows of {}", steps.plan.tables[table].relation);
                let id = steps.push(Phase::Data, title, Action::Milestone);
                steps.needs(id, ids);
                id
            }
        };
    }
    Tables { by_entry, complete, groups }
}

/// The groups of large objects. What the target user keeps needs no change of owner.
fn large_object_groups(input: &PlanInput<'_>) -> Vec<LargeObjectGroup> {
    let groups = input.toc.entries.iter().filter(|entry| entry.kind == Kind::LargeObjects);
    let group = |entry: &Entry| LargeObjectGroup {
        key: entry.name.clone(),
        owner: entry.owner.clone().filter(|owner| Some(owner.as_str()) != input.target_user),
        grants: entry.create.clone(),
    };
    groups.map(group).collect()
}

fn copy_lock(chunk: &Chunk) -> LockMode {
    match chunk.range {
        ChunkRange::Whole => LockMode::AccessExclusive,
        _ => LockMode::RowExclusive,
    }
}

fn lock(table: &TableData, mode: LockMode) -> Lock {
    Lock { relation: table.relation.clone(), mode }
}

fn group_title(plan: &Plan, group: &[Chunk]) -> String {
    match group {
        [one] => {
            let name = &plan.table(one.table).relation;
            match one.range.condition() {
                Some(condition) => format!("{name} where {condition}"),
                None => name.to_string(),
            }
        }
        [first, .., last] => format!(
            "{} tables from {} to {}",
            group.len(),
            plan.table(first.table).relation,
            plan.table(last.table).relation
        ),
        [] => "no tables".to_owned(),
    }
}

/// Reads every table's rows back from the target. What an archive has in parts lies anywhere there:
/// such a table is read as a whole, once.
pub(super) fn verification(tables: &Tables, steps: &mut Steps) {
    let mut groups: Vec<Vec<Chunk>> = Vec::with_capacity(tables.groups.len());
    for (group, _) in &tables.groups {
        let read = group.iter().filter_map(|chunk| match chunk.range {
            _ if steps.plan.table(chunk.table).adds_to_an_extensions() => None,
            ChunkRange::Archived { from: 0, .. } => {
                let bytes = steps.plan.table(chunk.table).size.bytes;
                Some(Chunk { range: ChunkRange::Whole, bytes, ..chunk.clone() })
            }
            ChunkRange::Archived { .. } => None,
            _ => Some(chunk.clone()),
        });
        groups.push(read.collect());
    }
    for group in groups.iter().filter(|group| !group.is_empty()) {
        let title = group_title(&steps.plan, group);
        let needs = group.iter().map(|chunk| tables.complete[chunk.table.0 as usize]).collect();
        let locks = group
            .iter()
            .map(|chunk| lock(steps.plan.table(chunk.table), LockMode::AccessShare))
            .collect();
        let id = steps.push(Phase::Verification, title, Action::Verify { chunks: group.clone() });
        steps.needs(id, needs);
        let step = steps.step(id);
        step.cost = group.iter().map(|chunk| chunk.bytes / 2).sum();
        step.locks = locks;
    }
}

/// Counts every table's rows on the target.
pub(super) fn counts(tables: &Tables, steps: &mut Steps) {
    for (index, complete) in tables.complete.iter().enumerate() {
        let table = TableId(index as u32);
        if steps.plan.table(table).adds_to_an_extensions() {
            continue;
        }
        let title = format!("count {}", steps.plan.table(table).relation);
        let locks = vec![lock(steps.plan.table(table), LockMode::AccessShare)];
        let cost = steps.plan.table(table).size.bytes / 8;
        let id = steps.push(Phase::Verification, title, Action::Count { table });
        steps.needs(id, vec![*complete]);
        let step = steps.step(id);
        step.cost = cost;
        step.locks = locks;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{DefinedBy, Preparations, SequencesFrom, Splitting, VerifyMode, build};
    use crate::toc::{Archived, ArchivedPart, Toc, test_table};

    #[test]
    fn an_archives_chunks_are_copied_apart_and_read_back_as_one_and_its_sequences_say_themselves() {
        let part = ArchivedPart { item: 7, chunk: None, bytes: 40 << 20, columns: None };
        let mut table = test_table("big");
        table.size.bytes = 120 << 20;
        table.archived = Some(Archived { parts: vec![part; 3], encoding: None });
        let rows = Entry {
            table: Some(Box::new(table)),
            ..Entry::new(Kind::TableData, Some("public"), "big")
        };
        let set = Entry {
            create: "SELECT pg_catalog.setval('public.s', 5, true);\n".to_owned(),
            ..Entry::new(Kind::SequenceSet, Some("public"), "s")
        };
        let plan = build(&PlanInput {
            toc: &Toc { entries: vec![rows, set] },
            splitting: Splitting::Pages,
            jobs: 2,
            verify: VerifyMode::Full,
            analyze: false,
            target_user: None,
            target_version: None,
            sequences: SequencesFrom::Entries,
            defined_by: DefinedBy::Us,
            preparations: &Preparations::default(),
        });
        assert_eq!(plan.flaw(), None);
        assert_eq!(plan.copies().count(), 3);
        let read: Vec<&ChunkRange> = plan
            .steps
            .iter()
            .filter_map(|step| match &step.action {
                Action::Verify { chunks } => Some(chunks.iter().map(|chunk| &chunk.range)),
                _ => None,
            })
            .flatten()
            .collect();
        assert_eq!(read, [&ChunkRange::Whole]);
        let sets = |step: &&crate::plan::Step| match &step.action {
            Action::Apply { statements } => statements.iter().any(|s| s.sql.contains("setval")),
            _ => false,
        };
        assert_eq!(plan.steps.iter().filter(sets).count(), 1);
    }
}
