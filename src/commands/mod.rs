//! One story per command, readable from top to bottom: the only room that joins the others.

mod check;
mod databases;
mod demo;
mod migrate;
mod passwords;
mod plan;
mod report;
mod request;
mod status;
mod survey;
mod verify;

pub use crate::engine::{Event, Events, Stop, Stopper};
pub use crate::plan::Phase;
pub use crate::servers::{DemoSize, Sources};
pub use crate::toc::{Finding, Severity};
pub use crate::wire::{Conninfo, Environment};
pub use check::{Checked, check};
pub use demo::{DemoRequest, DemoResult, demo};
pub use migrate::migrate;
pub use plan::{Planned, plan};
pub use report::{DatabaseReport, Verification};
pub use request::{Databases, Request, VerifyMode};
pub use status::{Status, status};
pub use verify::verify;
