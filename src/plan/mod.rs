//! Planning: a table of contents becomes a graph of steps. Pure: same input, same plan.

mod build;
mod chunks;
mod data;
mod expendable;
mod flaw;
mod kept_names;
mod locks;
mod maintenance;
mod post_data;
mod rank;
mod settling;
mod step;
mod steps;
#[cfg(test)]
mod tests;

pub use build::{DefinedBy, PlanInput, Preparations, SequencesFrom, VerifyMode, build};
pub use chunks::{Splitting, divide};
pub use rank::ranks;
pub use step::{Action, Chunk, Lock, Phase, Plan, Statement, Step, StepId, TableId, WhenRefused};
