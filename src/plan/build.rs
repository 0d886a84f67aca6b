//! The story of a job, from its table of contents to the steps.
//!
//! Definitions come first, in the Toc's order. A table's indexes and keys start when its rows are
//! complete; foreign keys only after the last chunk of all, since a resume may have to empty a
//! table. Row security comes after verification, as its reads would be filtered; grants after
//! that, as a revoked owner's INSERT would break the load; refreshes last, as a materialized view
//! is refreshed with its owner's grants.

use std::collections::HashMap;

use crate::pg::{LockMode, QualifiedName};
use crate::toc::{Entry, EntryId, Kind, Toc};

use super::chunks::{Splitting, divide};
use super::post_data::PostData;
use super::step::{Action, Chunk, Lock, Phase, Plan, Statement, Step, StepId, TableId};

/// So many entries of the definitions go into one transaction at most: each holds a few locks
/// until it commits, and max_locks_per_transaction is 64 unless changed.
const BATCH_ENTRIES: usize = 200;
/// What a table without rows is taken to cost: a file made, a few catalog rows.
const TABLE_OVERHEAD: u64 = 16 << 10;

/// What planning works from.
#[derive(Debug)]
pub struct PlanInput<'a> {
    /// What is to be moved, as the target may hold it.
    pub toc: &'a Toc,
    /// How the source lets tables be split.
    pub splitting: Splitting,
    /// How many workers there will be.
    pub jobs: usize,
    /// How far the target's rows are to be read back.
    pub verify: VerifyMode,
    /// Who creates the objects: what it keeps needs no change of owner.
    pub target_user: Option<&'a str>,
    /// What is granted to ourselves and others for the time of the job.
    pub preparations: &'a Preparations,
}

/// How far the target's rows are read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyMode {
    /// Every row, compared by fingerprint.
    Full,
    /// Rows are counted.
    Counts,
    /// Not at all.
    None,
}

/// What is granted for the time of the job, and what takes it back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preparations {
    /// Run once the roles are there: memberships of our own.
    pub first: Vec<Statement>,
    /// Run once the entry is there: a schema's CREATE right for those who own objects in it.
    pub after: HashMap<EntryId, Vec<Statement>>,
    /// Runs before the grants: the schemas' rights are taken back.
    pub take_back_rights: Vec<Statement>,
    /// Runs as the last step: our own memberships are taken back.
    pub take_back_roles: Vec<Statement>,
}

/// When an entry's turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Definitions,
    Data,
    Indexes,
    ForeignKeys,
    Settling,
    Refreshing,
}

/// The plan for a table of contents in restoring order.
pub fn build(input: &PlanInput<'_>) -> Plan {
    let stages = stages(input.toc);
    let mut builder = Steps::default();
    definitions(input, &stages, &mut builder);
    let tables = data(input, &mut builder);
    let complete = builder.wait_for(Phase::Data, "all rows copied", Action::DataComplete, 0);
    match input.verify {
        VerifyMode::Full => verification(&tables, &mut builder),
        VerifyMode::Counts => counts(&tables, &mut builder),
        VerifyMode::None => {}
    }
    post_data(input, &stages, &tables, complete, &mut builder);
    builder.wait_for(
        Phase::Verification,
        "all data settled",
        Action::Milestone,
        complete.0 as usize,
    );
    settling(input, &stages, &mut builder);
    builder.plan
}

/// Where each table's rows come to be complete.
pub(super) struct Tables {
    /// The tables, by the entry that creates them.
    pub(super) by_entry: HashMap<EntryId, TableId>,
    /// The step after which a table's rows are complete.
    pub(super) complete: Vec<StepId>,
    /// How the chunks are grouped into copy steps.
    groups: Vec<(Vec<Chunk>, StepId)>,
}

/// The steps so far.
#[derive(Default)]
pub(super) struct Steps {
    pub(super) plan: Plan,
    /// The last step of the definitions: everything after needs it.
    pub(super) defined: Option<StepId>,
    /// Which step creates which entry.
    pub(super) placed: HashMap<EntryId, StepId>,
}

impl Steps {
    pub(super) fn push(&mut self, phase: Phase, title: String, action: Action) -> StepId {
        let id = StepId(self.plan.steps.len() as u32);
        let step = Step { id, phase, title, action, needs: Vec::new(), cost: 0, locks: Vec::new() };
        self.plan.steps.push(step);
        id
    }

    /// A step that waits for all steps from `first` on.
    fn wait_for(&mut self, phase: Phase, title: &str, action: Action, first: usize) -> StepId {
        let all = (first..self.plan.steps.len()).map(|index| StepId(index as u32)).collect();
        let id = self.push(phase, title.to_owned(), action);
        let defined = self.defined;
        let step = self.step(id);
        step.needs = all;
        step.needs.extend(defined);
        step.needs.sort_unstable();
        step.needs.dedup();
        id
    }

    pub(super) fn step(&mut self, id: StepId) -> &mut Step {
        &mut self.plan.steps[id.0 as usize]
    }

    pub(super) fn needs(&mut self, id: StepId, mut needs: Vec<StepId>) {
        let step = self.step(id);
        needs.append(&mut step.needs);
        needs.sort_unstable();
        needs.dedup();
        step.needs = needs;
    }

    /// Gathers `entries` into chained transactions.
    fn batches(
        &mut self,
        phase: Phase,
        title: &str,
        statements: impl Iterator<Item = (Option<EntryId>, Statement)>,
        mut previous: Option<StepId>,
    ) -> Option<StepId> {
        let mut open: Option<(StepId, usize)> = None;
        for (entry, statement) in statements {
            let (id, count) = match open {
                Some((id, count)) if count < BATCH_ENTRIES => (id, count),
                _ => {
                    let action = Action::Apply { statements: Vec::new() };
                    let id = self.push(phase, title.to_owned(), action);
                    self.needs(id, previous.into_iter().collect());
                    previous = Some(id);
                    (id, 0)
                }
            };
            open = Some((id, count + 1));
            if let Some(entry) = entry {
                self.placed.insert(entry, id);
            }
            let step = self.step(id);
            step.cost += TABLE_OVERHEAD;
            if let Action::Apply { statements } = &mut step.action {
                statements.push(statement);
            }
        }
        previous
    }
}

/// Each entry's stage: its kind's, or later where it depends on something later.
fn stages(toc: &Toc) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::with_capacity(toc.entries.len());
    for entry in &toc.entries {
        let latest = entry.depends_on.iter().filter_map(|id| stages.get(id.0 as usize)).max();
        let latest = latest.copied().unwrap_or(Stage::Definitions);
        stages.push(match entry.kind {
            Kind::Comment if latest == Stage::Definitions => Stage::Definitions,
            Kind::Comment => Stage::Settling,
            kind => own_stage(kind).max(latest),
        });
    }
    stages
}

fn own_stage(kind: Kind) -> Stage {
    use crate::toc::Section;
    match kind {
        Kind::FkConstraint => Stage::ForeignKeys,
        Kind::RowSecurity | Kind::Acl | Kind::DefaultAcl => Stage::Settling,
        Kind::MaterializedViewData => Stage::Refreshing,
        other => match other.section() {
            Section::PreData => Stage::Definitions,
            Section::Data => Stage::Data,
            Section::PostData => Stage::Indexes,
        },
    }
}

/// The statement that creates an entry and gives it to its owner. What the target user has just
/// created is its own already.
pub(super) fn statement(input: &PlanInput<'_>, entry: &Entry) -> Statement {
    let ours = |owner: &&str| Some(*owner) == input.target_user && !was_there_before(entry);
    let owner = entry.owner.as_deref().filter(|owner| !ours(owner));
    let owner_sql = owner.and_then(|owner| entry.owner_sql(owner)).unwrap_or_default();
    Statement { title: entry.title(), sql: format!("{}{owner_sql}", entry.create) }
}

/// What every new database has, and the database itself.
fn was_there_before(entry: &Entry) -> bool {
    entry.kind == Kind::DatabaseProperties || (entry.kind == Kind::Schema && entry.name == "public")
}

fn definitions(input: &PlanInput<'_>, stages: &[Stage], steps: &mut Steps) {
    let globals = |kind: Kind| matches!(kind, Kind::Role | Kind::RoleMembership);
    let of_stage = || {
        let entries = input.toc.iter();
        entries.filter(|(id, _)| stages[id.0 as usize] == Stage::Definitions)
    };
    let roles = of_stage()
        .filter(|(_, entry)| globals(entry.kind))
        .map(|(id, entry)| (Some(id), statement(input, entry)));
    let granted = input.preparations.first.iter().map(|s| (None, s.clone()));
    let roles_there = steps.batches(Phase::Definitions, "roles", roles.chain(granted), None);
    let rest = of_stage().filter(|(_, entry)| !globals(entry.kind)).flat_map(|(id, entry)| {
        let then = input.preparations.after.get(&id).into_iter().flatten();
        let created = (Some(id), statement(input, entry));
        std::iter::once(created).chain(then.map(|s| (None, s.clone())))
    });
    steps.defined = steps.batches(Phase::Definitions, "definitions", rest, roles_there);
}

fn data(input: &PlanInput<'_>, steps: &mut Steps) -> Tables {
    let mut by_entry = HashMap::new();
    for (id, entry) in input.toc.iter() {
        let Some(table) = &entry.table else { continue };
        let number = TableId(steps.plan.tables.len() as u32);
        steps.plan.tables.push(table.clone());
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

fn copy_lock(chunk: &Chunk) -> LockMode {
    match chunk.range {
        crate::toc::ChunkRange::Whole => LockMode::AccessExclusive,
        _ => LockMode::RowExclusive,
    }
}

pub(super) fn lock(table: &crate::toc::TableData, mode: LockMode) -> Lock {
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

fn verification(tables: &Tables, steps: &mut Steps) {
    for (group, _) in &tables.groups {
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

fn counts(tables: &Tables, steps: &mut Steps) {
    for (index, complete) in tables.complete.iter().enumerate() {
        let table = TableId(index as u32);
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

fn post_data(
    input: &PlanInput<'_>,
    stages: &[Stage],
    tables: &Tables,
    complete: StepId,
    steps: &mut Steps,
) {
    let of = |stage| {
        let entries = input.toc.iter();
        entries.filter(move |(id, _)| stages[id.0 as usize] == stage)
    };
    let mut post_data = PostData::new(input, tables, steps);
    post_data.indexes(of(Stage::Indexes).collect());
    post_data.foreign_keys(of(Stage::ForeignKeys).collect(), complete);
}

fn settling(input: &PlanInput<'_>, stages: &[Stage], steps: &mut Steps) {
    let of = |stage| {
        let entries = input.toc.iter();
        entries.filter(move |(id, _)| stages[id.0 as usize] == stage)
    };
    let settled = Some(StepId(steps.plan.steps.len() as u32 - 1));
    sequences(input, settled, steps);

    let back = input.preparations.take_back_rights.iter().map(|s| (None, s.clone()));
    let grants = of(Stage::Settling).map(|(id, entry)| (Some(id), statement(input, entry)));
    let granted = steps.batches(Phase::Settling, "grants", back.chain(grants), settled);

    for (id, entry) in of(Stage::Refreshing) {
        let step = steps.push(
            Phase::Settling,
            entry.title(),
            Action::Apply { statements: vec![statement(input, entry)] },
        );
        let upstream = entry.depends_on.iter().filter_map(|id| steps.placed.get(id)).copied();
        let needs: Vec<StepId> = upstream.chain(granted).collect();
        steps.needs(step, needs);
        steps.placed.insert(id, step);
    }
    maintenance(input, settled, steps);

    if !input.preparations.take_back_roles.is_empty() {
        let statements = input.preparations.take_back_roles.clone();
        let action = Action::Apply { statements };
        steps.wait_for(Phase::Settling, "our own memberships taken back", action, 0);
    }
}

fn sequences(input: &PlanInput<'_>, settled: Option<StepId>, steps: &mut Steps) {
    let sequences: Vec<QualifiedName> = input
        .toc
        .entries
        .iter()
        .filter(|entry| entry.kind == Kind::SequenceSet)
        .map(|entry| QualifiedName::new(entry.schema.clone().unwrap_or_default(), &entry.name))
        .collect();
    if !sequences.is_empty() {
        let action = Action::SetSequences { sequences };
        let id = steps.push(Phase::Settling, "sequences".to_owned(), action);
        steps.needs(id, settled.into_iter().collect());
    }
}

/// VACUUM where rows couldn't arrive frozen, ANALYZE everywhere, partitioned parents included:
/// autovacuum never analyzes those.
fn maintenance(input: &PlanInput<'_>, settled: Option<StepId>, steps: &mut Steps) {
    let mut small = Vec::new();
    let split: Vec<bool> = {
        let mut split = vec![false; steps.plan.tables.len()];
        for (_, _, chunk) in steps.plan.copies() {
            split[chunk.table.0 as usize] |= chunk.range != crate::toc::ChunkRange::Whole;
        }
        split
    };
    for (index, split) in split.into_iter().enumerate() {
        let table = steps.plan.tables[index].clone();
        if !split {
            small.push(table.relation);
            continue;
        }
        let title = format!("vacuum {}", table.relation);
        let action = Action::Vacuum { relation: table.relation.clone() };
        let id = steps.push(Phase::Maintenance, title, action);
        steps.needs(id, settled.into_iter().collect());
        let step = steps.step(id);
        step.cost = table.size.bytes / 2;
        step.locks = vec![lock(&table, LockMode::ShareUpdateExclusive)];
    }
    let with_rows: std::collections::HashSet<&QualifiedName> =
        steps.plan.tables.iter().map(|table| &table.relation).collect();
    let parents = input
        .toc
        .entries
        .iter()
        .filter(|entry| matches!(entry.kind, Kind::Table))
        .map(|entry| QualifiedName::new(entry.schema.clone().unwrap_or_default(), &entry.name))
        .filter(|name| !with_rows.contains(name));
    small.extend(parents.collect::<Vec<_>>());
    let statements = small.iter().map(|name| {
        (None, Statement { title: format!("statistics of {name}"), sql: analyze(name) })
    });
    steps.batches(Phase::Maintenance, "statistics", statements, settled);
    let refreshed: Vec<_> = input
        .toc
        .iter()
        .filter(|(_, entry)| entry.kind == Kind::MaterializedViewData)
        .map(|(id, entry)| {
            (id, QualifiedName::new(entry.schema.clone().unwrap_or_default(), &entry.name))
        })
        .collect();
    for (id, name) in refreshed {
        let statement = Statement { title: format!("statistics of {name}"), sql: analyze(&name) };
        let title = statement.title.clone();
        let step =
            steps.push(Phase::Maintenance, title, Action::Apply { statements: vec![statement] });
        let needs = steps.placed.get(&id).copied().into_iter().collect();
        steps.needs(step, needs);
    }
}

fn analyze(name: &QualifiedName) -> String {
    format!("ANALYZE {};\n", name.sql())
}
