//! What fails on the source as well, and the job ends without: it is told, and verification finds it
//! missing.

use pgconvoy::commands::{Beginning, DatabaseReport, Event, Finding, Phase, Request, VerifyMode};
use pgconvoy::servers::Cluster;

use crate::kit;
use crate::migration::{migrate, moved, request};
use crate::trial::{assert_same_rows, change, interrupt, make_database, run};

/// A function that indexes and materialized views were made with, and that has changed since.
const MAKES_ONE: &str = "CREATE OR REPLACE FUNCTION public.one(n int) RETURNS int IMMUTABLE \
                         LANGUAGE plpgsql AS 'BEGIN RETURN n; END'";
const FAILS: &str = "CREATE OR REPLACE FUNCTION public.one(n int) RETURNS int IMMUTABLE \
                     LANGUAGE plpgsql AS 'BEGIN RETURN 1 / (n - n); END'";
/// One whose results were unique.
const MAKES_MANY: &str = "CREATE OR REPLACE FUNCTION public.many(n int) RETURNS int IMMUTABLE \
                          LANGUAGE sql AS 'SELECT n'";
const MAKES_FEW: &str = "CREATE OR REPLACE FUNCTION public.many(n int) RETURNS int IMMUTABLE \
                         LANGUAGE sql AS 'SELECT n % 2'";

fn objects() -> String {
    format!(
        "{MAKES_ONE}; {MAKES_MANY};
         CREATE TABLE public.t AS SELECT n FROM generate_series(1, 100) n;
         CREATE INDEX by_one ON t (one(n)); COMMENT ON INDEX by_one IS 'slow';
         CREATE INDEX of_few ON t (n) WHERE one(n) > 3;
         CREATE UNIQUE INDEX by_many ON t (many(n));
         CREATE INDEX by_n ON t (n);
         ALTER TABLE t ADD CHECK (n > 0);
         CREATE MATERIALIZED VIEW ones AS SELECT one(n) AS n FROM t;
         CREATE INDEX ones_n ON ones (n);
         CREATE MATERIALIZED VIEW more AS SELECT n + 1 AS n FROM ones;
         CREATE MATERIALIZED VIEW whole AS SELECT n FROM t;
         CREATE TABLE public.child (n int);
         CREATE UNIQUE INDEX t_n ON t (n);
         ALTER TABLE t ADD CONSTRAINT t_key UNIQUE USING INDEX t_n;
         ALTER TABLE child ADD CONSTRAINT parent FOREIGN KEY (n) REFERENCES t (n);
         {FAILS}; {MAKES_FEW};"
    )
}

const LEFT_OUT: [&str; 7] = [
    "INDEX public.by_one",
    "COMMENT public.INDEX by_one",
    "INDEX public.of_few",
    "INDEX public.by_many",
    "FK CONSTRAINT public.child parent",
    "MATERIALIZED VIEW DATA public.ones",
    "MATERIALIZED VIEW DATA public.more",
];

async fn source() -> Cluster {
    let source = kit::bundled(15).await;
    make_database(&source, "shop", &objects()).await;
    let orphan = "SET session_replication_role = replica; INSERT INTO child VALUES (-1)";
    change(&source, "shop", orphan).await;
    source
}

/// The report of a run that ends, and finds differences.
async fn differs(request: &Request) -> DatabaseReport {
    let (mut reports, ended) = migrate(request).await;
    if let Err(error) = ended {
        panic!("{error}");
    }
    let report = reports.remove(0);
    assert!(!report.verification.is_clean());
    report
}

fn told<'r>(report: &'r DatabaseReport, object: &str) -> &'r Finding {
    let told = report.changes.iter().find(|change| change.object == object);
    told.unwrap_or_else(|| panic!("{object}: {:#?}", report.changes))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_on_the_source_as_well_is_left_out_told_and_found_missing() {
    let (source, target) = (source().await, kit::rds_like(15).await);
    let request = request(&source, &target, &["shop"]);
    let report = differs(&request).await;
    let missing = format!("{:#?}", report.verification.catalog);
    for object in LEFT_OUT {
        assert!(told(&report, object).what.contains("left out"), "{object}");
        assert!(missing.contains(&format!("\"{object}\"")), "{object}: {missing}");
    }
    assert_eq!(report.verification.catalog.len(), LEFT_OUT.len(), "{missing}");
    assert_same_rows(&source, &target, "shop").await;

    // A later run, which doesn't try them again, tells the same.
    let again = differs(&request).await;
    for object in LEFT_OUT {
        assert_eq!(told(&again, object), told(&report, object));
    }

    // What is mended by hand, as the report says, is right when the command is run again.
    for side in [&source, &target] {
        change(side, "shop", &format!("{MAKES_ONE}; {MAKES_MANY}")).await;
        change(side, "shop", "DELETE FROM child WHERE n = -1").await;
    }
    for object in &LEFT_OUT[..5] {
        let remedy = told(&report, object).remedy.as_deref().unwrap();
        let (_, sql) = remedy.split_once("on the target:\n").unwrap();
        change(&target, "shop", sql.split_once("\nor drop it").unwrap().0).await;
    }
    let changes = &moved(&request).await[0].changes;
    assert!(!changes.iter().any(|change| change.what.contains("left out")), "{changes:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_t_be_mended_is_dropped_on_the_source_and_the_job_ends() {
    let (source, target) = (source().await, kit::bundled(18).await);
    let request = request(&source, &target, &["shop"]);
    differs(&request).await;
    change(
        &source,
        "shop",
        "DROP INDEX by_one, of_few, by_many; ALTER TABLE child DROP CONSTRAINT parent",
    )
    .await;
    for side in [&source, &target] {
        change(side, "shop", "DROP MATERIALIZED VIEW ones CASCADE").await;
    }
    moved(&request).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_job_ends_where_it_would_leave_something_out_and_says_so() {
    let (source, target) = (source().await, kit::bundled(15).await);
    let mut request = Request { strict: true, ..request(&source, &target, &["shop"]) };
    let refused = run(&request).await;
    let error = refused.error().to_string();
    assert!(error.contains("INDEX public.") && error.contains("without --strict"), "{error}");
    request.strict = false;
    differs(&request).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_break_a_check_on_the_source_are_told_with_a_way_that_ends_the_job() {
    let (source, target) = (kit::bundled(15).await, kit::rds_like(15).await);
    let broken = "CREATE TABLE public.t AS SELECT -1 AS n;
        ALTER TABLE t ADD CONSTRAINT positive CHECK (n > 0) NOT VALID;
        RESET ROLE; UPDATE pg_constraint SET convalidated = true WHERE conname = 'positive';";
    make_database(&source, "shop", broken).await;
    let request = request(&source, &target, &["shop"]);
    let refused = run(&request).await;
    let error = refused.error().to_string();
    assert!(error.contains("positive") && error.contains("NOT VALID"), "{error}");
    let check = "ALTER TABLE t DROP CONSTRAINT positive, \
                 ADD CONSTRAINT positive CHECK (n > 0) NOT VALID";
    change(&source, "shop", check).await;
    moved(&Request { beginning: Beginning::Restart, ..request }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_somebody_drops_from_the_target_midway_is_told_with_a_way_to_go_on() {
    let (source, target) = (kit::bundled(15).await, kit::rds_like(15).await);
    make_database(&source, "shop", "CREATE TABLE public.t AS SELECT 1 AS n").await;
    let request = request(&source, &target, &["shop"]);
    let defined = |event: &Event| match event {
        Event::StepStarted { phase, .. } => *phase == Phase::Data,
        _ => false,
    };
    let cut = interrupt(&request, defined).await;
    assert!(cut.ended.is_err());
    change(&target, "shop", "DROP TABLE t").await;
    let refused = run(&request).await;
    let error = refused.error().to_string();
    assert!(error.contains("public.t") && error.contains("--restart"), "{error}");
    moved(&Request { beginning: Beginning::Restart, ..request }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_is_a_difference_though_nothing_is_verified() {
    let (source, target) = (source().await, kit::bundled(15).await);
    let verify = VerifyMode::None;
    let report = differs(&Request { verify, ..request(&source, &target, &["shop"]) }).await;
    assert_eq!(report.verification.catalog.len(), LEFT_OUT.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_warm_run_leaves_out_is_told_by_it() {
    let (source, target) = (source().await, kit::rds_like(15).await);
    let request = Request { warm: true, ..request(&source, &target, &["shop"]) };
    let watched = run(&request).await;
    for object in ["INDEX public.by_one", "INDEX public.of_few", "INDEX public.by_many"] {
        assert!(told(watched.clean(), object).what.contains("left out"), "{object}");
    }
}
