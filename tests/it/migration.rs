//! Whole migrations between real servers: rows, schemas and reports, by PostgreSQL's own word.

use pgconvoy::commands::{
    self, Beginning, Choice, DatabaseReport, Databases, Events, Request, RoleMap, Sequel, Stop,
    VerifyMode,
};
use pgconvoy::error::Result;
use pgconvoy::servers::{Cluster, DEMO_DATABASES, DemoSize, make_demo_databases};
use pgconvoy::wire::{Conninfo, Environment};

use crate::{kit, pg_dump};

/// A request to move databases between clusters, with full verification.
pub(crate) fn request(source: &Cluster, target: &Cluster, databases: &[&str]) -> Request {
    Request {
        databases: Databases::Named(databases.iter().map(ToString::to_string).collect()),
        ..between(&source.conninfo("postgres"), &target.conninfo("postgres"))
    }
}

/// A request to move the database of one connection string to that of another.
pub(crate) fn between(source: &str, target: &str) -> Request {
    let conninfo = |text: &str| Conninfo::parse(text, &Environment::default()).unwrap();
    Request {
        source: conninfo(source),
        target: conninfo(target),
        databases: Databases::AsGiven,
        choice: Choice::default(),
        roles: RoleMap::default(),
        beginning: Beginning::GoOn,
        jobs: Some(2),
        verify: VerifyMode::Full,
        deep: false,
        strict: false,
        carry_passwords: false,
        patience: std::time::Duration::ZERO,
        analyze: true,
        warm: false,
        fence: Vec::new(),
        toast_compression: None,
        sequel: Sequel::OF_MIGRATE,
    }
}

/// Runs a migration whose events nobody listens to.
pub(crate) async fn migrate(request: &Request) -> (Vec<DatabaseReport>, Result<()>) {
    unheard(async |events, stop| commands::migrate(request, events, stop).await).await
}

/// Verifies, with events that nobody listens to.
pub(crate) async fn verify(request: &Request) -> Result<Vec<DatabaseReport>> {
    unheard(async |events, stop| commands::verify(request, events, stop).await).await
}

async fn unheard<T>(job: impl AsyncFnOnce(&Events, &mut Stop) -> T) -> T {
    let (events, mut heard) = Events::new();
    let listener = tokio::spawn(async move { while heard.recv().await.is_some() {} });
    let (_stopper, mut stop) = Stop::new();
    let done = job(&events, &mut stop).await;
    drop(events);
    listener.await.unwrap();
    done
}

/// Runs a migration that is to succeed, with nothing found different.
pub(crate) async fn moved(request: &Request) -> Vec<DatabaseReport> {
    let (reports, ended) = migrate(request).await;
    if let Err(error) = ended {
        panic!("{error}");
    }
    for report in &reports {
        let verification = &report.verification;
        assert!(verification.is_clean(), "{}: {verification:#?}", report.database);
    }
    reports
}

async fn the_demo_moves(source_major: u32, target: Cluster) {
    let source = kit::bundled(source_major).await;
    make_demo_databases(&source, DemoSize(8_000_000)).await.unwrap();
    let reports = moved(&request(&source, &target, &DEMO_DATABASES)).await;
    assert_eq!(reports.len(), 3);
    assert!(reports.iter().all(|report| report.rows > 0 && !report.was_resumed));
    if source.installation().major() == target.installation().major() {
        for database in DEMO_DATABASES {
            let (ours, theirs) =
                (pg_dump::schema(&source, database), pg_dump::schema(&target, database));
            pg_dump::assert_equal(&ours, &theirs, database);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_moves_from_15_into_an_rds_like_15_with_equal_schemas() {
    the_demo_moves(15, kit::rds_like(15).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_moves_from_13_to_18() {
    the_demo_moves(13, kit::bundled(18).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_moves_from_15_into_an_rds_like_17() {
    the_demo_moves(15, kit::rds_like(17).await).await;
}
