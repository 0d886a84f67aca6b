//! Points at which a debug build ends itself as `kill -9` would end it, so that tests can kill it
//! between any two of its acts: `PGCONVOY_FAILPOINT=NAME:COUNT` names one, and at which passing.
//! A release build has none of this.

use std::fmt;

use crate::plan::Phase;

/// Something that a job does to a server, and of which it may be cut off before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// The target database is made.
    CreateDatabase,
    /// The leader claims it.
    Claim,
    /// The sessions of a dead run are ended.
    EndWorkers,
    /// A worker joins.
    Join,
    /// The ledger is made, with the plan.
    WritePlan,
    /// A run that goes on with the job is counted.
    CountRun,
    /// A run that goes on gives itself memberships once more.
    Lend,
    /// Receipts for which it can't vouch are taken back.
    ForgetReceipts,
    /// Receipts are brought under another snapshot.
    RenewReceipts,
    /// Rows that are to be copied anew are removed, with their receipts.
    RemoveRows,
    /// A step of a phase.
    Step(Phase),
    /// A role gets its password.
    CarryPassword,
    /// The ledger is sealed, and what the job gave to itself taken back.
    Seal,
    /// The target database is dropped, to be made anew.
    DropDatabase,
    /// Memberships of a job that is given up are taken back.
    LeaveOwners,
    /// The cut-over is put on record.
    RecordCutOver,
    /// The ledger is removed.
    RemoveLedger,
    /// Roles of the source are kept out.
    RaiseFence,
    /// They are let in again.
    LiftFence,
    /// A dump's journal is begun, in an empty folder.
    BeginDump,
    /// Rows are written to a pack that is synced.
    WritePack,
    /// A pack is noted in the journal.
    NotePack,
    /// Packs are joined into an archive without a name.
    JoinPacks,
    /// The archive gets its name.
    NameArchive,
    /// What it was made of is removed.
    ClearPacks,
    /// A recipe's file takes the place of an application's configuration.
    ReplaceConfiguration,
}

/// A point that a job passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Nothing of it is sent yet.
    Before(Act),
    /// What a step does is done; its receipt isn't written.
    Effect(Phase),
    /// The receipt is written; nothing is committed.
    Receipt(Phase),
    /// It is done and committed.
    After(Act),
}

impl Point {
    /// All that a dump passes.
    pub fn of_dumps() -> Vec<Point> {
        let acts = [
            Act::BeginDump,
            Act::WritePack,
            Act::NotePack,
            Act::JoinPacks,
            Act::NameArchive,
            Act::ClearPacks,
        ];
        acts.into_iter().flat_map(|act| [Point::Before(act), Point::After(act)]).collect()
    }

    /// All that moving databases passes.
    pub fn all() -> Vec<Point> {
        let once = [
            Act::CreateDatabase,
            Act::Claim,
            Act::EndWorkers,
            Act::Join,
            Act::WritePlan,
            Act::CountRun,
            Act::Lend,
            Act::ForgetReceipts,
            Act::RenewReceipts,
            Act::RemoveRows,
            Act::CarryPassword,
            Act::Seal,
            Act::DropDatabase,
            Act::LeaveOwners,
            Act::RecordCutOver,
            Act::RemoveLedger,
            Act::RaiseFence,
            Act::LiftFence,
        ];
        let once = once.into_iter().flat_map(|act| [Point::Before(act), Point::After(act)]);
        let steps = Phase::ALL.into_iter().flat_map(|phase| {
            let step = Act::Step(phase);
            [Point::Before(step), Point::Effect(phase), Point::Receipt(phase), Point::After(step)]
        });
        // What is read back is no transaction: the receipt is committed as it is written.
        steps.filter(|point| *point != Point::Receipt(Phase::Verification)).chain(once).collect()
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Act::CreateDatabase => "create database",
            Act::Claim => "claim",
            Act::EndWorkers => "end workers",
            Act::Join => "join",
            Act::WritePlan => "write plan",
            Act::CountRun => "count run",
            Act::Lend => "lend",
            Act::ForgetReceipts => "forget receipts",
            Act::RenewReceipts => "renew receipts",
            Act::RemoveRows => "remove rows",
            Act::Step(phase) => return write!(f, "{phase} step"),
            Act::CarryPassword => "carry password",
            Act::Seal => "seal",
            Act::DropDatabase => "drop database",
            Act::LeaveOwners => "leave owners",
            Act::RecordCutOver => "record cut-over",
            Act::RemoveLedger => "remove ledger",
            Act::RaiseFence => "raise fence",
            Act::LiftFence => "lift fence",
            Act::BeginDump => "begin dump",
            Act::WritePack => "write pack",
            Act::NotePack => "note pack",
            Act::JoinPacks => "join packs",
            Act::NameArchive => "name archive",
            Act::ClearPacks => "clear packs",
            Act::ReplaceConfiguration => "replace configuration",
        })
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Point::Before(act) => write!(f, "before {act}"),
            Point::Effect(phase) => write!(f, "after {phase} effect"),
            Point::Receipt(phase) => write!(f, "after {phase} receipt"),
            Point::After(act) => write!(f, "after {act}"),
        }
    }
}

#[cfg(debug_assertions)]
pub use armed::{is_armed, pass};
#[cfg(not(debug_assertions))]
pub use unarmed::{is_armed, pass};

#[cfg(debug_assertions)]
mod armed {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::Point;

    struct Armed {
        name: String,
        left: AtomicUsize,
    }

    static ARMED: LazyLock<Option<Armed>> = LazyLock::new(|| {
        let text = std::env::var("PGCONVOY_FAILPOINT").ok()?;
        let (name, count) = text.rsplit_once(':')?;
        Some(Armed { name: name.to_owned(), left: AtomicUsize::new(count.parse().ok()?) })
    });

    /// Whether the process may end at this point.
    pub fn is_armed(point: Point) -> bool {
        ARMED.as_ref().is_some_and(|armed| armed.name == point.to_string())
    }

    /// Passes a point, or ends the process there: nothing is said to anybody, nothing is dropped.
    pub fn pass(point: Point) {
        if let Some(armed) = ARMED.as_ref().filter(|_| is_armed(point))
            && armed.left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            std::process::abort();
        }
    }
}

#[cfg(not(debug_assertions))]
mod unarmed {
    use super::Point;

    /// Never.
    #[inline(always)]
    pub fn is_armed(_: Point) -> bool {
        false
    }

    /// Nothing.
    #[inline(always)]
    pub fn pass(_: Point) {}
}
