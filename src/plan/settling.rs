//! What comes when all rows are there and checked: sequences, row security, grants, refreshes.

use crate::pg::{LockMode, QualifiedName};
use crate::toc::{Entry, EntryId, Kind};

use super::build::{PlanInput, SequencesFrom, statement};
use super::locks::Relations;
use super::step::{Action, Phase, Statement, StepId};
use super::steps::{Gathered, Steps};

/// So many sequences are set in one transaction: each is locked until its end.
const SEQUENCES: usize = 200;

/// Places row security and grants, in that order of `settling`, and then refreshes, as a
/// materialized view is refreshed with its owner's grants.
pub(super) fn settling(
    input: &PlanInput<'_>,
    relations: &Relations,
    settling: Vec<(EntryId, &Entry)>,
    refreshing: Vec<(EntryId, &Entry)>,
    settled: StepId,
    steps: &mut Steps,
) {
    let set = sequences(input, settled, steps);
    let back = input.preparations.take_back_rights.iter().map(|statement| Gathered {
        entry: None,
        statement: statement.clone(),
        locks: Vec::new(),
    });
    // Rights on schemas and the database were lent to those who grant, or own; what they keep of
    // them comes after.
    let lent = |name: &str| name.starts_with("SCHEMA ") || name.starts_with("DATABASE ");
    let was_lent = |entry: &Entry| entry.kind == Kind::Acl && lent(&entry.name);
    let (schemas, others): (Vec<_>, Vec<_>) =
        settling.into_iter().partition(|(_, entry)| was_lent(entry));
    let gathered = |(id, entry): (EntryId, &Entry)| Gathered {
        entry: Some(id),
        statement: statement(input, entry),
        locks: relations.locks(entry),
    };
    let others = others.into_iter().map(gathered);
    let grants = others.chain(back).chain(schemas.into_iter().map(gathered));
    let granted = steps.batches(Phase::Settling, "grants", grants, Some(set));

    for (id, entry) in refreshing {
        let action = Action::Apply { statements: vec![as_its_owner_sees(statement(input, entry))] };
        let step = steps.push(Phase::Settling, entry.title(), action);
        let upstream = entry.depends_on.iter().filter_map(|id| steps.placed.get(id)).copied();
        let needs: Vec<StepId> = upstream.chain(granted).collect();
        steps.needs(step, needs);
        steps.step(step).lock(relations.locks_in(entry, LockMode::AccessExclusive));
        steps.placed.insert(id, step);
    }
}

/// A refresh runs as the materialized view's owner, and holds what the policies show that role.
/// Everywhere else hiding rows is an error.
fn as_its_owner_sees(mut refresh: Statement) -> Statement {
    refresh.sql =
        format!("SET LOCAL row_security = on;\n{}SET LOCAL row_security = off;\n", refresh.sql);
    refresh
}

/// Sets sequences before the grants, which may take the right to do so away. Returns the step that
/// grants wait for.
fn sequences(input: &PlanInput<'_>, settled: StepId, steps: &mut Steps) -> StepId {
    let entries = input.toc.entries.iter();
    let entries: Vec<&Entry> = entries.filter(|entry| entry.kind == Kind::SequenceSet).collect();
    if entries.is_empty() {
        return settled;
    }
    let name =
        |entry: &&Entry| QualifiedName::new(entry.schema.clone().unwrap_or_default(), &entry.name);
    let mut set = Vec::new();
    for some in entries.chunks(SEQUENCES) {
        let action = match input.sequences {
            SequencesFrom::Source => {
                Action::SetSequences { sequences: some.iter().map(name).collect() }
            }
            SequencesFrom::Entries => {
                let statements = some.iter().map(|entry| statement(input, entry)).collect();
                Action::Apply { statements }
            }
        };
        let id = steps.push(Phase::Settling, "sequences".to_owned(), action);
        steps.needs(id, vec![settled]);
        set.push(id);
    }
    if let [only] = set.as_slice() {
        return *only;
    }
    let all = steps.push(Phase::Settling, "all sequences set".to_owned(), Action::Milestone);
    steps.needs(all, set);
    all
}
