//! Steps: what the scheduler runs. Each is one target transaction, but for what PostgreSQL won't
//! run inside one.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::pg::{LockMode, QualifiedName};
use crate::toc::{ChunkRange, TableData};

/// A step's place in its [`Plan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StepId(pub u32);

/// The part of the job a step belongs to, for people and for the time each part takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Roles, schemas, types, functions, tables, views.
    Definitions,
    /// Rows.
    Data,
    /// Indexes and constraints, triggers, rules, policies.
    Indexes,
    /// Foreign keys.
    ForeignKeys,
    /// The target's rows read back.
    Verification,
    /// Sequences, row security, grants, refreshes; what was granted to ourselves is taken back.
    Settling,
    /// VACUUM and ANALYZE.
    Maintenance,
}

impl Phase {
    /// All phases, in the order they begin.
    pub const ALL: [Phase; 7] = [
        Phase::Definitions,
        Phase::Data,
        Phase::Indexes,
        Phase::ForeignKeys,
        Phase::Verification,
        Phase::Settling,
        Phase::Maintenance,
    ];
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Definitions => "definitions",
            Phase::Data => "data",
            Phase::Indexes => "indexes",
            Phase::ForeignKeys => "foreign keys",
            Phase::Verification => "verification",
            Phase::Settling => "settling",
            Phase::Maintenance => "maintenance",
        })
    }
}

/// SQL to run on the target, and the entry it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The entry's title: `INDEX public.orders_by_day`.
    pub title: String,
    /// The SQL.
    pub sql: String,
    /// What comes of it where the target refuses it.
    #[serde(default)]
    pub when_refused: WhenRefused,
}

impl Statement {
    /// One that the job can't do without.
    pub fn new(title: impl Into<String>, sql: impl Into<String>) -> Statement {
        Statement { title: title.into(), sql: sql.into(), when_refused: WhenRefused::Stop }
    }
}

/// What comes of a job when the target refuses a statement for what the statement or its rows are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenRefused {
    /// It ends there.
    #[default]
    Stop,
    /// It goes on without, and tells so: all rows are there.
    LeaveOut,
    /// The same, and the next run tries it again: it may be done twice.
    TryAgainLater,
}

/// A table, as an index into [`Plan::tables`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableId(pub u32);

/// A part of a table's rows, or all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Whose rows.
    pub table: TableId,
    /// Which of them.
    pub range: ChunkRange,
    /// Bytes, estimated from the source's files, TOAST included.
    pub bytes: u64,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum Action {
    /// Runs DDL in one transaction.
    Apply {
        /// The statements, in order.
        statements: Vec<Statement>,
    },
    /// Copies chunks from the source's snapshot in one transaction. A chunk that is its whole
    /// table goes into a freshly truncated one, so that its rows arrive frozen.
    Copy {
        /// The chunks, in order.
        chunks: Vec<Chunk>,
    },
    /// Waits until every chunk is copied: the snapshot is released, and no table is emptied any
    /// more. Leaves no receipt.
    DataComplete,
    /// Reads chunks of the target and keeps their fingerprints.
    Verify {
        /// The chunks. Only a table's whole sum says anything: rows lie elsewhere on the target.
        chunks: Vec<Chunk>,
    },
    /// Counts a table's rows on the target.
    Count {
        /// The table.
        table: TableId,
    },
    /// A point that others wait for: it keeps the graph's edges few. Leaves no receipt.
    Milestone,
    /// Reads the sequences' values from the source as they are now, and sets them.
    SetSequences {
        /// The sequences.
        sequences: Vec<QualifiedName>,
    },
    /// Takes back what the job gave to ourselves. The leader does it once all is verified, in the
    /// transaction that seals the ledger: until then a run that goes on may need it, even to be let
    /// in. Leaves no receipt.
    TakeBack {
        /// The statements, in order.
        statements: Vec<Statement>,
    },
    /// VACUUM of a table whose rows couldn't arrive frozen; not inside a transaction.
    Vacuum {
        /// The table.
        relation: QualifiedName,
    },
}

/// A lock the step's transaction takes on the target.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Lock {
    /// The relation.
    pub relation: QualifiedName,
    /// How it is locked.
    pub mode: LockMode,
}

/// The title of the step that takes back.
pub(super) const TAKEN_BACK: &str = "our own memberships taken back";

/// A step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its id: its index in [`Plan::steps`].
    pub id: StepId,
    /// The part of the job it belongs to.
    pub phase: Phase,
    /// What it does, for people.
    pub title: String,
    /// What it does.
    pub action: Action,
    /// The steps that must be done first; all have smaller ids.
    pub needs: Vec<StepId>,
    /// How dear it is, in bytes to be moved or read; ready steps run dearest first.
    pub cost: u64,
    /// What it locks on the target.
    pub locks: Vec<Lock>,
}

impl Step {
    /// Adds locks.
    pub(super) fn lock(&mut self, locks: Vec<Lock>) {
        self.locks.extend(locks);
        self.locks.sort();
        self.locks.dedup();
    }

    /// Whether it reads or counts rows on the target.
    pub fn reads_back(&self) -> bool {
        matches!(self.action, Action::Verify { .. } | Action::Count { .. })
    }

    /// How many receipts the finished step has: one a chunk, one for anything else that has an
    /// effect.
    pub fn parts(&self) -> usize {
        match &self.action {
            Action::Copy { chunks } | Action::Verify { chunks } => chunks.len(),
            Action::DataComplete | Action::Milestone | Action::TakeBack { .. } => 0,
            Action::Apply { .. }
            | Action::Count { .. }
            | Action::SetSequences { .. }
            | Action::Vacuum { .. } => 1,
        }
    }
}

/// A plan: the whole job as a graph of steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The tables whose rows move.
    pub tables: Vec<TableData>,
    /// The steps, each after all it needs.
    pub steps: Vec<Step>,
}

impl Plan {
    /// The table with this id.
    ///
    /// # Panics
    /// If the id is another plan's.
    pub fn table(&self, id: TableId) -> &TableData {
        &self.tables[id.0 as usize]
    }

    /// Lets go of what only running it takes, SQL and locks, once that is done.
    pub fn forget_run(&mut self) {
        for step in &mut self.steps {
            step.locks = Vec::new();
            if let Action::Apply { statements } = &mut step.action {
                *statements = Vec::new();
            }
        }
    }

    /// How many tables' rows it moves. Large objects are none, though their pieces travel as rows.
    pub fn count_tables(&self) -> usize {
        self.tables.iter().filter(|table| !table.holds_large_objects()).count()
    }

    /// The steps that stand only on complete data: once one is done, no table may be emptied.
    pub fn beyond_data(&self) -> BTreeSet<StepId> {
        self.from(|action| matches!(action, Action::DataComplete))
    }

    /// The steps that set sequences, and those that stand on sequences being set.
    pub fn sequences(&self) -> (BTreeSet<StepId>, BTreeSet<StepId>) {
        let sets = |action: &Action| matches!(action, Action::SetSequences { .. });
        self.from(sets).into_iter().partition(|id| sets(&self.steps[id.0 as usize].action))
    }

    /// What takes back what the job gave to ourselves.
    pub fn take_back(&self) -> impl Iterator<Item = &Statement> {
        self.steps.iter().flat_map(|step| match &step.action {
            Action::TakeBack { statements } => statements.as_slice(),
            _ => &[],
        })
    }

    /// Has the plan take back, with these statements, what was given since it was made. Returns
    /// the step that will, where it is another than before.
    pub fn also_take_back(&mut self, title: &str, statements: Vec<String>) -> Option<&Step> {
        let known: BTreeSet<&str> = self.take_back().map(|known| known.sql.as_str()).collect();
        let new = statements.into_iter().filter(|sql| !known.contains(sql.as_str()));
        let new: Vec<Statement> = new.map(|sql| Statement::new(title, sql)).collect();
        if new.is_empty() {
            return None;
        }
        let takes_back = |step: &Step| matches!(step.action, Action::TakeBack { .. });
        let at = self.steps.iter().position(takes_back).unwrap_or_else(|| {
            self.steps.push(Step {
                id: StepId(self.steps.len() as u32),
                phase: Phase::Settling,
                title: TAKEN_BACK.to_owned(),
                action: Action::TakeBack { statements: Vec::new() },
                needs: Vec::new(),
                cost: 0,
                locks: Vec::new(),
            });
            self.steps.len() - 1
        });
        if let Action::TakeBack { statements } = &mut self.steps[at].action {
            statements.extend(new);
        }
        Some(&self.steps[at])
    }

    /// The steps for whose action `first` holds, and all that need one of them.
    fn from(&self, first: impl Fn(&Action) -> bool) -> BTreeSet<StepId> {
        let mut found = BTreeSet::new();
        for step in &self.steps {
            if first(&step.action) || step.needs.iter().any(|need| found.contains(need)) {
                found.insert(step.id);
            }
        }
        found
    }

    /// All chunks to copy, with their step and part.
    pub fn copies(&self) -> impl Iterator<Item = (StepId, usize, &Chunk)> {
        self.steps.iter().flat_map(|step| {
            let chunks = match &step.action {
                Action::Copy { chunks } => chunks.as_slice(),
                _ => &[],
            };
            chunks.iter().enumerate().map(|(part, chunk)| (step.id, part, chunk))
        })
    }
}
