//! Runs a plan: a scheduler that alone decides order, workers that do, and the ledger on the
//! target in which a step's receipt is committed with its effect.

mod advice;
mod building;
mod checksum;
mod claim;
mod crew;
mod cut_over;
mod dumping;
mod events;
pub mod failpoint;
mod faults;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod held_up;
mod invalid_text;
mod large_objects;
mod ledger;
mod ledgers_owner;
mod origin;
mod ours;
mod persistence;
mod reading;
mod receipts;
mod recheck;
mod rendered;
mod rows;
mod run;
mod schedule;
mod sequences;
mod snapshot;
mod source_then;
mod standing;
mod stop;
mod strangers;
mod unmoved;
mod worker;

pub use claim::Claim;
pub use dumping::{DumpPlan, Dumping, Left, Partial, dump};
pub use events::{Event, Events};
pub use faults::{Remedy, remedy};
pub use held_up::{JOINING, LOCK_PATIENCE, explained_joining};
pub use ledger::{Job, JobState, Ledger, SourceIdentity, StoredJob};
pub use origin::{ArchivedRows, Origin};
pub use ours::Ours;
pub use persistence::Persistence;
pub use reading::{ReadFrom, read_chunks};
pub use receipts::{Receipt, Receipts};
pub use recheck::{changed_tables, emptied_tables, recheck, renew, without_lost};
pub use rendered::rendered;
pub use run::{Outcome, Run, run};
pub use snapshot::{SourceSnapshot, same_server, why_marks_differ};
pub use source_then::{SourceThen, has_open_writers, moved_sequences, write_counts};
pub use standing::{PhaseStanding, Standing};
pub use stop::{Stop, Stopper};
pub use strangers::strangers;
pub use worker::Moved;
