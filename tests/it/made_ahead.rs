//! Targets on which an operator has made schemas and extensions ahead: what holds nothing is taken
//! over, and comes out as the source has it.

use pgconvoy::commands::{Finding, Severity, check};
use pgconvoy::servers::Cluster;

use crate::migration::{moved, request, verify};
use crate::{kit, pg_dump, trial};

const SHOP: &str = "
    CREATE SCHEMA ext; CREATE SCHEMA app; CREATE SCHEMA plain;
    COMMENT ON SCHEMA app IS 'the application'; GRANT USAGE ON SCHEMA app TO PUBLIC;
    CREATE EXTENSION citext SCHEMA ext;
    CREATE TABLE app.t (name ext.citext PRIMARY KEY); INSERT INTO app.t VALUES ('a'), ('b');
";

/// A target of this major on which `sql` was run by the master in an empty database.
async fn prepared(major: u32, sql: &str) -> (Cluster, Cluster) {
    let (source, target) = tokio::join!(kit::bundled(major), kit::rds_like(major));
    trial::make_database(&source, "shop", SHOP).await;
    kit::run(&target.conninfo("postgres"), "CREATE DATABASE shop").await;
    kit::run(&target.conninfo("shop"), sql).await;
    (source, target)
}

async fn refused(source: &Cluster, target: &Cluster) -> Vec<Finding> {
    let checked = check(&request(source, target, &["shop"])).await.unwrap();
    let findings = checked.into_iter().flat_map(|checked| checked.findings);
    findings.filter(|finding| finding.severity == Severity::Refusal).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_that_hold_nothing_but_extensions_become_what_the_source_has() {
    for major in [15, 18] {
        let made = "CREATE SCHEMA ext; CREATE EXTENSION citext SCHEMA ext;
            CREATE ROLE another; CREATE ROLE third;
            CREATE SCHEMA app; GRANT CREATE ON SCHEMA app TO another WITH GRANT OPTION;
            CREATE SCHEMA plain; COMMENT ON SCHEMA plain IS 'made ahead';
            GRANT USAGE ON SCHEMA plain TO PUBLIC, third;";
        let (source, target) = prepared(major, made).await;
        assert_eq!(refused(&source, &target).await, Vec::<Finding>::new());
        let request = request(&source, &target, &["shop"]);
        moved(&request).await;
        let (ours, theirs) = (pg_dump::schema(&source, "shop"), pg_dump::schema(&target, "shop"));
        pg_dump::assert_equal(&ours, &theirs, "shop");
        for report in verify(&request).await.unwrap() {
            assert!(report.verification.is_clean(), "{:#?}", report.verification);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_holds_something_or_that_is_out_of_reach_is_refused() {
    let made = "CREATE SCHEMA app; CREATE TABLE app.t (n int); CREATE SCHEMA others";
    let (source, target) = prepared(15, made).await;
    trial::change(&target, "shop", "CREATE SCHEMA plain").await;
    let told: Vec<String> =
        refused(&source, &target).await.iter().map(ToString::to_string).collect();
    let told = told.join("\n");
    assert!(told.contains("it holds 2 objects: schema others, table app.t"), "{told}");
    assert!(told.contains("SCHEMA plain"), "{told}");
    assert!(told.contains("ALTER SCHEMA \"plain\" OWNER TO \"master\""), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn extensions_of_the_targets_own_are_no_difference() {
    let (source, target) = prepared(15, "CREATE EXTENSION pg_trgm").await;
    let reports = moved(&request(&source, &target, &["shop"])).await;
    let told = reports[0].changes.iter().any(|change| change.object == "EXTENSION pg_trgm");
    assert!(told, "{:#?}", reports[0].changes);
}
