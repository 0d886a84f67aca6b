//! ANALYZE everywhere, unless it is left to the user: autovacuum would come late, and never to a
//! partitioned parent. VACUUM only where autovacuum doesn't come to rows that are merely inserted:
//! elsewhere it comes by itself, and would only make the job longer.

use std::collections::HashSet;

use crate::pg::{LockMode, QualifiedName};
use crate::toc::{ChunkRange, Entry, EntryId, Kind};

use super::build::PlanInput;
use super::locks::Relations;
use super::step::{Action, Lock, Phase, Statement, StepId, WhenRefused};
use super::steps::{Steps, TABLE_OVERHEAD};

/// Tables are analyzed together up to so many bytes of theirs.
const BATCH_BYTES: u64 = 64 << 20;
/// And up to so many: each is locked until the transaction ends.
const BATCH_TABLES: usize = 100;

/// From this major on autovacuum comes to tables that only get rows (documentation:
/// autovacuum_vacuum_insert_threshold).
const VACUUMS_INSERTS: u32 = 13;

/// Places VACUUM and ANALYZE after `settled`.
pub(super) fn maintenance(
    input: &PlanInput<'_>,
    relations: &Relations,
    settled: StepId,
    steps: &mut Steps,
) {
    if input.target_version.is_some_and(|version| version.major() < VACUUMS_INSERTS) {
        vacuum(settled, steps);
    }
    if input.analyze {
        statistics(input, relations, settled, steps);
        refreshed(input, steps);
    }
}

fn statistics(input: &PlanInput<'_>, relations: &Relations, settled: StepId, steps: &mut Steps) {
    // ANALYZE of a partitioned table goes on to its partitions, so theirs is no work of its own.
    let hindered = above_foreign(input, relations);
    let partitions = relations.partitions_of(|parent| !hindered.contains(&parent));
    let sizes: std::collections::HashMap<QualifiedName, u64> =
        steps.plan.tables.iter().map(|t| (t.relation.clone(), t.size.bytes)).collect();
    let tables = input
        .toc
        .iter()
        .filter(|(id, entry)| entry.kind == Kind::Table && !partitions.contains(id))
        .filter(|(id, _)| !hindered.contains(id));
    // Since 18 it goes on to inheritance children too, unless told not to: they are analyzed by
    // themselves, and in other transactions, which would wait for this one, and it for them.
    let descends = input.target_version.is_some_and(|version| version.major() >= 18);
    let mut open: Option<(StepId, u64, usize)> = None;
    for (id, entry) in tables {
        let locks = relations.tree(id, LockMode::ShareUpdateExclusive);
        let bytes: u64 = locks.iter().filter_map(|lock| sizes.get(&lock.relation)).sum();
        let step = match open {
            Some((step, sum, count)) if sum + bytes <= BATCH_BYTES && count < BATCH_TABLES => {
                open = Some((step, sum + bytes, count + 1));
                step
            }
            _ => {
                let action = Action::Apply { statements: Vec::new() };
                let step = steps.push(Phase::Maintenance, "statistics".to_owned(), action);
                steps.needs(step, vec![settled]);
                open = Some((step, bytes, 1));
                step
            }
        };
        let step = steps.step(step);
        if let Action::Apply { statements } = &mut step.action {
            statements.push(analyze(entry, descends && !relations.has_partitions(id)));
        }
        step.cost += bytes / 8 + TABLE_OVERHEAD;
        step.lock(locks);
    }
}

/// The tables with a foreign table among their partitions or children: ANALYZE would fetch rows
/// from the other server, which the target may not reach yet (source: acquire_inherited_sample_rows
/// in analyze.c).
fn above_foreign(input: &PlanInput<'_>, relations: &Relations) -> HashSet<EntryId> {
    let foreign = |(_, entry): &(EntryId, &Entry)| entry.kind == Kind::ForeignTable;
    let mut open: Vec<EntryId> = input.toc.iter().filter(foreign).map(|(id, _)| id).collect();
    let mut above = HashSet::new();
    while let Some(id) = open.pop() {
        let needs = input.toc.entry(id).depends_on.iter().copied();
        let parents = needs.filter(|&id| input.toc.entry(id).kind == Kind::Table);
        open.extend(parents.chain(relations.parent(id)).filter(|&parent| above.insert(parent)));
    }
    above
}

fn vacuum(settled: StepId, steps: &mut Steps) {
    let in_parts: HashSet<_> = steps
        .plan
        .copies()
        .filter(|(_, _, chunk)| chunk.range != ChunkRange::Whole)
        .map(|(_, _, chunk)| chunk.table)
        .collect();
    let mut in_parts: Vec<_> = in_parts.into_iter().collect();
    in_parts.sort();
    for table in in_parts {
        let table = steps.plan.table(table);
        if table.holds_large_objects() {
            continue;
        }
        let (relation, bytes) = (table.relation.clone(), table.size.bytes);
        let action = Action::Vacuum { relation: relation.clone() };
        let id = steps.push(Phase::Maintenance, format!("vacuum {relation}"), action);
        steps.needs(id, vec![settled]);
        let step = steps.step(id);
        step.cost = bytes / 2;
        step.lock(vec![Lock { relation, mode: LockMode::ShareUpdateExclusive }]);
    }
}

/// Statistics of materialized views, after their refresh.
fn refreshed(input: &PlanInput<'_>, steps: &mut Steps) {
    let refreshed = input.toc.iter().filter(|(_, entry)| entry.kind == Kind::MaterializedViewData);
    for (id, entry) in refreshed {
        let statement = analyze(entry, false);
        let title = statement.title.clone();
        let action = Action::Apply { statements: vec![statement] };
        let step = steps.push(Phase::Maintenance, title, action);
        let needs = steps.placed.get(&id).copied().into_iter().collect();
        steps.needs(step, needs);
    }
}

fn analyze(entry: &Entry, alone: bool) -> Statement {
    let name = QualifiedName::new(entry.schema.clone().unwrap_or_default(), &entry.name);
    let only = if alone { "ONLY " } else { "" };
    Statement {
        title: format!("statistics of {name}"),
        sql: format!("ANALYZE {only}{};\n", name.sql()),
        when_refused: WhenRefused::TryAgainLater,
    }
}
