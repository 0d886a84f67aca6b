//! One story per command, readable from top to bottom: the only room that joins the others.

mod attempt;
mod bench;
mod check;
mod clearing;
mod databases;
mod demo;
mod dump;
mod fence;
mod finish;
mod going_on;
mod history;
mod inspect;
mod migrate;
mod passwords;
mod plan;
mod rehearse;
mod report;
mod request;
mod restore;
mod source_since;
mod standard_input;
mod status;
mod survey;
mod unfence;
mod verify;

pub use crate::archive::{Compressing, ItemSection, Layout, Part};
pub use crate::catalog::{Choice, Flag, Rule};
pub use crate::copy::Progress;
pub(crate) use crate::engine::failpoint;
pub use crate::engine::{Event, Events, PhaseStanding, Standing, Stop, Stopper};
pub use crate::pg::ToastCompression;
pub use crate::plan::{Action, Chunk, Phase, Plan, Step, StepId, TableId};
pub use crate::servers::{BenchData, DemoSize, Sources};
#[cfg(test)]
pub(crate) use crate::toc::test_table;
pub use crate::toc::{ChunkRange, Finding, RoleMap, Severity};
pub use crate::verify::{CatalogDifference, TableVerdict};
pub use crate::wire::{Conninfo, Environment};
pub use bench::{
    BenchJob, BenchRequest, BenchResults, BenchRun, Machine, Spread, Tool, bench, chart,
};
pub use check::{Checked, check};
pub use demo::{DemoRequest, DemoResult, demo};
pub use dump::{DumpForm, DumpRequest, Dumped, dump};
pub use finish::{Finished, finish};
pub use history::{CopiedTable, History, PhaseTimes, history};
pub use inspect::{Flaw, Inspected, Listed, inspect};
pub use migrate::migrate;
pub use plan::{Planned, plan};
pub use rehearse::{Rehearsed, rehearse};
pub use report::{DatabaseReport, Fenced, Verification};
pub use request::{Beginning, Databases, PATIENCE, Request, Sequel, VerifyMode};
pub use restore::{RestoreRequest, RestoredPart, list_archive, restore};
pub use source_since::SourceSince;
pub use status::{Ending, Latency, Status, status};
pub use unfence::{Unfenced, unfence};
pub use verify::verify;
