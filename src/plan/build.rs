//! The story of a job, from its table of contents to the steps.
//!
//! Definitions come first, in the Toc's order. A table's indexes and keys start when its rows are
//! complete; foreign keys and triggers only after the last chunk of all, since a resume may have to
//! empty a table and copy it anew. Row security comes after verification, as its reads would be filtered; grants after
//! that, as a revoked owner's INSERT would break the load; refreshes last, as a materialized view
//! is refreshed with its owner's grants.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::pg::ServerVersion;
use crate::toc::{Entry, EntryId, Kind, Section, Toc};

use super::chunks::Splitting;
use super::data;
use super::expendable;
use super::locks::Relations;
use super::maintenance::maintenance;
use super::post_data::PostData;
use super::settling::settling;
use super::step::{Action, Phase, Plan, Statement, TAKEN_BACK};
use super::steps::{BATCH, Gathered, Steps};

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
    /// Whether the target's planner gets its statistics.
    pub analyze: bool,
    /// Who creates the objects: what it keeps needs no change of owner.
    pub target_user: Option<&'a str>,
    /// The target's version, where there is a target.
    pub target_version: Option<ServerVersion>,
    /// Where sequences stand.
    pub sequences: SequencesFrom,
    /// Whose words the entries are in.
    pub defined_by: DefinedBy,
    /// What is granted to ourselves and others for the time of the job.
    pub preparations: &'a Preparations,
}

/// Where it is known from where sequences stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SequencesFrom {
    /// From the source, as they are when they are set.
    Source,
    /// From the entries' statements, which an archive has.
    Entries,
}

/// Who has put the entries into words, and in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefinedBy {
    /// Our own reading of a catalog.
    Us,
    /// pg_dump.
    PgDump,
}

/// How far the target's rows are read back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VerifyMode {
    /// Every row, compared by fingerprint.
    #[default]
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
    /// Run in place of creating the entry: a schema that is there already.
    pub taken_over: HashMap<EntryId, String>,
    /// Run once the entry is there: a schema's CREATE right for those who own objects in it.
    pub after: HashMap<EntryId, Vec<Statement>>,
    /// Runs before the grants: the schemas' rights are taken back.
    pub take_back_rights: Vec<Statement>,
    /// Runs last of all, when all is verified: our own memberships are taken back.
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
    Closing,
}

/// The plan for a table of contents in restoring order.
pub fn build(input: &PlanInput<'_>) -> Plan {
    let stages = stages(input.toc);
    let of = |stage| {
        let entries = input.toc.iter();
        let made = entries.filter(|(_, entry)| !entry.stands);
        made.filter(|(id, _)| stages[id.0 as usize] == stage).collect::<Vec<_>>()
    };
    let relations = Relations::of(input.toc);
    let mut steps = Steps::default();
    definitions(input, of(Stage::Definitions), &mut steps);
    let tables = data::data(input, &mut steps);
    let complete = steps.wait_for(Phase::Data, "all rows copied", Action::DataComplete, 0);
    match input.verify {
        VerifyMode::Full => data::verification(&tables, &mut steps),
        VerifyMode::Counts => data::counts(&tables, &mut steps),
        VerifyMode::None => {}
    }
    let mut post_data = PostData::new(input, &tables, &relations, &mut steps);
    post_data.indexes(of(Stage::Indexes), complete);
    post_data.foreign_keys(of(Stage::ForeignKeys), complete);
    let from = complete.0 as usize;
    let settled = steps.wait_for(Phase::Verification, "all data settled", Action::Milestone, from);
    settling(input, &relations, of(Stage::Settling), of(Stage::Refreshing), settled, &mut steps);
    maintenance(input, &relations, settled, &mut steps);
    close(input, of(Stage::Closing), &mut steps);
    expendable::mark(input.toc, input.defined_by, &mut steps);
    if !input.preparations.take_back_roles.is_empty() {
        let statements = input.preparations.take_back_roles.clone();
        let action = Action::TakeBack { statements };
        steps.wait_for(Phase::Settling, TAKEN_BACK, action, 0);
    }
    steps.plan
}

/// Each entry's stage: its kind's, or later where it depends on something later. What a table can't
/// be created without comes before all rows, a key too, as where a column has the row type of a view
/// that groups by that key.
fn stages(toc: &Toc) -> Vec<Stage> {
    let before_rows = needed_by_rows(toc);
    let mut stages: Vec<Stage> = Vec::with_capacity(toc.entries.len());
    for (id, entry) in toc.iter() {
        if before_rows[id.0 as usize] {
            stages.push(Stage::Definitions);
            continue;
        }
        let latest = entry.depends_on.iter().filter_map(|id| stages.get(id.0 as usize)).max();
        let latest = latest.copied().unwrap_or(Stage::Definitions);
        stages.push(match entry.kind {
            Kind::Comment if latest == Stage::Definitions => Stage::Definitions,
            Kind::Comment => latest.max(Stage::Settling),
            _ if entry.after_rows => Stage::Indexes.max(latest),
            kind => own_stage(kind).max(latest),
        });
    }
    stages
}

/// By entry, whether some table's rows need it, directly or not.
pub(super) fn needed_by_rows(toc: &Toc) -> Vec<bool> {
    let mut needed = vec![false; toc.entries.len()];
    for (id, entry) in toc.iter().collect::<Vec<_>>().into_iter().rev() {
        if entry.kind == Kind::TableData || needed[id.0 as usize] {
            for first in &entry.depends_on {
                needed[first.0 as usize] |= toc.entry(*first).section() != Section::Data;
            }
        }
    }
    needed
}

fn own_stage(kind: Kind) -> Stage {
    match kind {
        Kind::FkConstraint => Stage::ForeignKeys,
        Kind::RowSecurity | Kind::Acl | Kind::DefaultAcl | Kind::SecurityLabel => Stage::Settling,
        Kind::Publication
        | Kind::PublicationTable
        | Kind::PublicationSchema
        | Kind::Subscription => Stage::Settling,
        Kind::MaterializedViewData => Stage::Refreshing,
        // A connection limit, or a database that is read-only by default, would keep a run that
        // goes on out.
        // An event trigger would fire on the definitions before it.
        Kind::DatabaseProperties | Kind::EventTrigger => Stage::Closing,
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
    Statement::new(entry.title(), format!("{}{owner_sql}", entry.create))
}

/// What every new database has, and the database itself.
fn was_there_before(entry: &Entry) -> bool {
    entry.kind == Kind::DatabaseProperties || (entry.kind == Kind::Schema && entry.name == "public")
}

fn definitions(input: &PlanInput<'_>, entries: Vec<(EntryId, &Entry)>, steps: &mut Steps) {
    // Nothing else runs yet, so their locks are nobody's business.
    let gathered = |entry: Option<EntryId>, statement: Statement| Gathered {
        entry,
        statement,
        locks: Vec::new(),
    };
    let is_global = |entry: &Entry| matches!(entry.kind, Kind::Role | Kind::RoleMembership);
    let (roles, rest): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|(_, entry)| is_global(entry));
    let roles = roles.into_iter().map(|(id, entry)| gathered(Some(id), statement(input, entry)));
    let joined = input.preparations.first.iter().map(|s| gathered(None, s.clone()));
    let roles_there = steps.batches(Phase::Definitions, "roles", roles.chain(joined), None);
    let created = |&(id, entry): &(EntryId, &Entry)| {
        let then = input.preparations.after.get(&id).into_iter().flatten();
        let created = match input.preparations.taken_over.get(&id) {
            Some(sql) => Statement::new(entry.title(), sql),
            None => statement(input, entry),
        };
        let created = gathered(Some(id), created);
        std::iter::once(created).chain(then.map(|s| gathered(None, s.clone()))).collect::<Vec<_>>()
    };
    let mut last = roles_there;
    let mut in_order = Vec::new();
    for run in
        rest.chunk_by(|one, next| stands_alone(input.toc, one) == stands_alone(input.toc, next))
    {
        let all = run.iter().flat_map(created);
        if run.len() <= BATCH || !stands_alone(input.toc, &run[0]) {
            in_order.extend(all);
            continue;
        }
        let before = std::mem::take(&mut in_order).into_iter();
        last = steps.batches(Phase::Definitions, "definitions", before, last);
        last = steps.batches_beside(Phase::Definitions, "tables", all, last);
    }
    let rest = in_order.into_iter();
    steps.defined = steps.batches(Phase::Definitions, "definitions", rest, last);
}

/// Whether creating an entry locks nothing that creating others of its kind does: a table, unless it
/// needs another one.
fn stands_alone(toc: &Toc, (_, entry): &(EntryId, &Entry)) -> bool {
    let is_table = |need: &EntryId| toc.entry(*need).kind == Kind::Table;
    entry.kind == Kind::Table && !entry.depends_on.iter().any(is_table)
}

/// What holds for the database as a whole comes when everything in it is done.
fn close(input: &PlanInput<'_>, entries: Vec<(EntryId, &Entry)>, steps: &mut Steps) {
    let statements: Vec<Statement> =
        entries.iter().map(|(_, entry)| statement(input, entry)).collect();
    if !statements.is_empty() {
        let action = Action::Apply { statements };
        steps.wait_for(Phase::Settling, "the database's own", action, 0);
    }
}
