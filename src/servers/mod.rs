//! Throw-away PostgreSQL clusters for the demo, the benchmark and the tests: found or fetched,
//! started on a free port, gone when dropped.
//!
//! ```no_run
//! # async fn story() -> pgconvoy::error::Result<()> {
//! use pgconvoy::servers::{Cluster, Sources, Spec};
//!
//! let sources = Sources::from_environment(|line| eprintln!("{line}"))?;
//! let source = Cluster::start(&sources, Spec::bundled().major(13)).await?;
//! let target = Cluster::start(&sources, Spec::rds_like().major(15)).await?;
//! println!("{} -> {}", source.conninfo("postgres"), target.conninfo("postgres"));
//! # Ok(()) }
//! ```
//!
//! Rejected: containers (not everywhere), the crates that download servers (from a code host that
//! build machines often can't reach), one shared server for all tests (a test may crash it).

mod account;
mod apt;
mod bench_data;
mod certificates;
mod cluster;
mod demo_data;
mod fetch;
mod installation;
mod leftovers;
mod login;
mod rds_like;
mod server;
mod sources;
mod spec;
mod template;

pub use bench_data::BenchData;
pub use cluster::{Cluster, StopMode};
pub use demo_data::{DEMO_DATABASES, DemoLogin, DemoSize, make_demo_databases};
pub use installation::Installation;
pub use sources::{Origin, Sources, Wanted};
pub use spec::Spec;
