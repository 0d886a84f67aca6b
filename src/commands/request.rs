//! What is asked of a command, validated.

use std::time::Duration;

use crate::catalog::Choice;
use crate::pg::ToastCompression;
pub use crate::plan::VerifyMode;
use crate::toc::RoleMap;
use crate::wire::Conninfo;

/// Which databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Databases {
    /// The one that each connection string names; the source's, where the target's names none.
    AsGiven,
    /// These, under the same names on both sides.
    Named(Vec<String>),
    /// Every database of the source that isn't a template, under the same names; `postgres` only
    /// where it holds something.
    All,
}

/// How a job begins where its target holds something already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Beginning {
    /// It goes on, or is refused.
    #[default]
    GoOn,
    /// The job in the target's ledger is forgotten, and what it has made is dropped.
    Restart,
    /// It goes on if it is this very job; else all that is there is dropped.
    Clean,
}

/// What goes on from a job, for errors and summaries: the engine's own commands, or a recipe's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequel {
    /// What tells everything that stands in the way.
    pub checks: &'static str,
    /// What moves the databases.
    pub moves: &'static str,
    /// What compares both sides.
    pub compares: &'static str,
    /// What lets the fenced roles in again.
    pub lifts_fence: &'static str,
}

impl Sequel {
    /// Of `pgconvoy migrate`.
    pub const OF_MIGRATE: Sequel = Sequel {
        checks: "pgconvoy check",
        moves: "pgconvoy migrate",
        compares: "pgconvoy verify",
        lifts_fence: "pgconvoy unfence",
    };
    /// Of `pgconvoy webstream`, whose record knows of the fence.
    pub const OF_WEBSTREAM: Sequel = Sequel {
        checks: "pgconvoy webstream check",
        moves: "pgconvoy webstream migrate",
        compares: "pgconvoy webstream verify",
        lifts_fence: "pgconvoy webstream rollback",
    };
}

/// A job between two servers.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where the databases are.
    pub source: Conninfo,
    /// Where they go.
    pub target: Conninfo,
    /// Which of them.
    pub databases: Databases,
    /// Which part of each.
    pub choice: Choice,
    /// Whom the source's roles stand for.
    pub roles: RoleMap,
    /// How it begins where the target holds something already.
    pub beginning: Beginning,
    /// How many workers; none for as many as this machine has cores.
    pub jobs: Option<usize>,
    /// How far the target is read back.
    pub verify: VerifyMode,
    /// Whether `verify` has the target's indexes checked too.
    pub deep: bool,
    /// How long a run that gets no further tries again by itself.
    pub patience: Duration,
    /// Whether the target's planner gets its statistics at once; else ANALYZE is left to the user.
    pub analyze: bool,
    /// Whether anything that would differ on the target is refused rather than reported.
    pub strict: bool,
    /// Whether new roles get the source's password verifiers.
    pub carry_passwords: bool,
    /// Whether only that is done which a later run can renew where the source has changed.
    pub warm: bool,
    /// The source's roles that may not log in until the copy is final; none where others may go on
    /// writing.
    pub fence: Vec<String>,
    /// How the target compresses values that are stored apart; none for as it would by itself.
    pub toast_compression: Option<ToastCompression>,
    /// What goes on from it.
    pub sequel: Sequel,
}

/// How long a run that gets no further tries again by itself, unless something else is said: longer
/// than a managed service takes to fail over.
pub const PATIENCE: Duration = Duration::from_secs(600);

impl Request {
    /// What of the sources moves under which owners, in words: equal for equal jobs.
    pub fn terms(&self) -> Vec<String> {
        self.choice.words().into_iter().chain(self.roles.words()).collect()
    }

    /// How many workers.
    pub fn jobs(&self) -> usize {
        self.jobs.unwrap_or_else(default_jobs)
    }
}

/// As many workers as this machine has cores.
pub(super) fn default_jobs() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}
