//! `pgconvoy demo`: two throw-away servers, WebStream's three databases, the whole job.

use crate::catalog::Choice;
use crate::engine::{Event, Events, Stop};
use crate::error::Result;
use crate::plan::VerifyMode;
use crate::servers::{Cluster, DEMO_DATABASES, DemoSize, Sources, Spec, make_demo_databases};
use crate::toc::RoleMap;
use crate::wire::{Conninfo, Environment};

use super::migrate::migrate;
use super::report::DatabaseReport;
use super::request::{Beginning, Databases, PATIENCE, Request, Sequel};

/// What the demo is asked for.
#[derive(Debug, Clone)]
pub struct DemoRequest {
    /// How much data.
    pub size: DemoSize,
    /// How many workers.
    pub jobs: Option<usize>,
    /// Whether the servers stay up.
    pub keep: bool,
}

/// What the demo did.
#[derive(Debug, Clone)]
pub struct DemoResult {
    /// The reports on the three databases.
    pub reports: Vec<DatabaseReport>,
    /// How to connect to the servers that stay up, and how to be rid of them.
    pub kept: Vec<String>,
}

/// Starts both servers, fills the source, migrates and verifies.
pub async fn demo(
    request: &DemoRequest,
    sources: &Sources,
    events: &Events,
    stop: &mut Stop,
) -> Result<DemoResult> {
    let say = |text: String| events.say(Event::Note(text));
    say("starting a bundled-like source and an RDS-like target".to_owned()).await;
    let (source, target) = tokio::try_join!(
        Cluster::start(sources, Spec::bundled()),
        Cluster::start(sources, Spec::rds_like()),
    )?;
    say(format!(
        "source: PostgreSQL {} on port {}; target: PostgreSQL {} on port {}, TLS only, its master \
         user no superuser",
        source.installation().version(),
        source.port(),
        target.installation().version(),
        target.port()
    ))
    .await;
    say(format!("making WebStream's databases: {}", DEMO_DATABASES.join(", "))).await;
    make_demo_databases(&source, request.size).await?;

    // The servers' addresses are whole: nothing of the caller's environment plays a part.
    let nothing = Environment::default();
    let migration = Request {
        source: Conninfo::parse(&source.conninfo("postgres"), &nothing)?,
        target: Conninfo::parse(&target.conninfo("postgres"), &nothing)?,
        databases: Databases::Named(DEMO_DATABASES.map(str::to_owned).to_vec()),
        choice: Choice::default(),
        roles: RoleMap::default(),
        beginning: Beginning::GoOn,
        jobs: request.jobs,
        verify: VerifyMode::Full,
        deep: false,
        strict: false,
        carry_passwords: true,
        patience: PATIENCE,
        analyze: true,
        warm: false,
        fence: Vec::new(),
        toast_compression: None,
        sequel: Sequel::OF_MIGRATE,
    };
    let (reports, ended) = migrate(&migration, events, stop).await;
    ended?;
    let mut kept = Vec::new();
    if request.keep {
        for database in DEMO_DATABASES {
            kept.push(format!("source: psql '{}'", source.conninfo(database)));
            kept.push(format!("target: psql '{}'", target.conninfo(database)));
        }
        kept.push(source.keep()?);
        kept.push(target.keep()?);
    }
    Ok(DemoResult { reports, kept })
}
