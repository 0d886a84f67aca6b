//! Large objects: their contents, owners, grants and comments arrive, also of a job that was cut
//! off, and whoever may not read one is told beforehand.

use pgconvoy::commands::{Event, Phase, Request, Severity, check};
use pgconvoy::error::Kind;
use pgconvoy::servers::Cluster;

use crate::migration::request;
use crate::verification::verified;
use crate::{kit, trial};

/// Of no byte, of one, of exactly one piece and one byte more, of several, and one that was written
/// beyond its end; with comments and grants, one of them by who was granted the right to grant.
const OBJECTS: &str = "
    SELECT lo_create(60001);
    SELECT lo_from_bytea(60002, '\\x00');
    SELECT lo_from_bytea(60003, convert_to(repeat('p', 65536), 'UTF8'));
    SELECT lo_from_bytea(60004, convert_to(repeat('q', 65537), 'UTF8'));
    SELECT lo_from_bytea(60005, convert_to(repeat('several pieces ', 200000), 'UTF8'));
    SELECT lo_create(60006);
    SELECT lo_put(60006, 300000, 'the end');
    COMMENT ON LARGE OBJECT 60001 IS 'it''s empty';
    GRANT SELECT ON LARGE OBJECT 60002 TO reader WITH GRANT OPTION;
    GRANT UPDATE ON LARGE OBJECT 60002 TO PUBLIC;
    RESET ROLE;
    SET ROLE reader;
    GRANT SELECT ON LARGE OBJECT 60002 TO archive;
    SELECT lo_from_bytea(60010, 'a reader''s');
    RESET ROLE;
";

/// Everything about all large objects of a database.
async fn objects(cluster: &Cluster) -> String {
    let sql = "SELECT string_agg(concat_ws(' ', o.oid, pg_catalog.md5(pg_catalog.lo_get(o.oid)), \
               o.lomowner::regrole, o.lomacl, d.description), E'\\n' ORDER BY o.oid) \
               FROM pg_catalog.pg_largeobject_metadata o \
               LEFT JOIN pg_catalog.pg_description d ON d.objoid = o.oid \
               AND d.classoid = 'pg_catalog.pg_largeobject'::pg_catalog.regclass";
    trial::ask(cluster, "shop", sql).await
}

async fn source_of(major: u32) -> Cluster {
    let source = kit::bundled(major).await;
    trial::change(&source, "postgres", "CREATE ROLE reader; CREATE ROLE archive").await;
    trial::make_database(&source, "shop", OBJECTS).await;
    source
}

async fn they_move(source: Cluster, target: Cluster) {
    let request = request(&source, &target, &["shop"]);
    let report = trial::run(&request).await;
    assert_eq!(report.clean().verification.tables.len(), 1);
    let (ours, theirs) = (objects(&source).await, objects(&target).await);
    assert_eq!(ours.lines().count(), 7);
    assert_eq!(ours, theirs);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_objects_move_from_15_into_an_rds_like_15() {
    let (source, target) = tokio::join!(source_of(15), kit::rds_like(15));
    they_move(source, target).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_objects_move_from_13_to_18() {
    let (source, target) = tokio::join!(source_of(13), kit::bundled(18));
    they_move(source, target).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_objects_that_change_between_two_runs_arrive_as_they_are_then() {
    let (source, target) = tokio::join!(source_of(15), kit::rds_like(16));
    let more = "SET ROLE shop; SELECT count(lo_from_bytea(70000 + i, convert_to('n' || i, 'UTF8'))) \
                FROM generate_series(1, 900) i; RESET ROLE;";
    trial::change(&source, "shop", more).await;
    let request = Request { jobs: Some(1), ..request(&source, &target, &["shop"]) };
    let mut copied = 0;
    let first = trial::interrupt(&request, |event| {
        copied += usize::from(matches!(event, Event::StepFinished { phase: Phase::Data, .. }));
        copied == 2
    })
    .await;
    assert_eq!(first.error().kind(), Kind::Interrupted, "{}", first.error());

    let chunks = "SELECT string_agg(s.title || ' ' || r.finished_at, E'\\n' ORDER BY s.id) \
                  FROM pgconvoy.step s JOIN pgconvoy.receipt r ON r.step = s.id \
                  WHERE s.phase = 'data'";
    let before = trial::ask(&target, "shop", chunks).await;
    assert_eq!(before.lines().count(), 2, "{before}");
    // In the first chunk, in the second, in one that is still owed, and beyond all.
    let changes = "SELECT lo_put(60003, 10, 'changed'); SELECT lo_unlink(60004); \
                   SELECT lo_unlink(70600); SET ROLE shop; SELECT lo_from_bytea(60011, 'new'); \
                   SELECT lo_from_bytea(99999, 'newest'); RESET ROLE;";
    trial::change(&source, "shop", changes).await;

    let second = trial::run(&request).await;
    assert!(second.clean().was_resumed);
    assert!(second.notes().contains("copying 1 chunk of them anew"), "{}", second.notes());
    assert_eq!(objects(&source).await, objects(&target).await);
    let after = trial::ask(&target, "shop", chunks).await;
    let kept = before.lines().filter(|line| after.lines().any(|other| other == *line));
    assert_eq!(kept.count(), 1, "before:\n{before}\nafter:\n{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn large_objects_whose_owner_or_comment_changes_between_two_runs_are_copied_anew() {
    let (source, target) = tokio::join!(source_of(15), kit::rds_like(16));
    let last = request(&source, &target, &["shop"]);
    trial::run(&Request { warm: true, ..last.clone() }).await.clean();
    let changes = "COMMENT ON LARGE OBJECT 60001 IS NULL; COMMENT ON LARGE OBJECT 60003 IS 'new'; \
                   ALTER LARGE OBJECT 60006 OWNER TO reader";
    trial::change(&source, "shop", changes).await;
    let run = trial::run(&last).await;
    assert!(run.clean().was_resumed);
    assert!(run.notes().contains("copying 1 chunk of them anew"), "{}", run.notes());
    assert_eq!(objects(&source).await, objects(&target).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_object_that_differs_on_the_target_is_found_and_named() {
    let (source, target) = tokio::join!(source_of(15), kit::rds_like(15));
    let request = request(&source, &target, &["shop"]);
    trial::run(&request).await.clean();
    let change = "SELECT lo_put(60005, 70000, 'other'); COMMENT ON LARGE OBJECT 60003 IS 'new'";
    trial::change(&target, "shop", change).await;
    let report = verified(&request).await;
    assert!(!report.verification.is_clean());
    let [difference] = report.verification.catalog.as_slice() else { panic!("{report:#?}") };
    let difference = difference.to_string();
    assert!(difference.starts_with("large objects of shop without grants"), "{difference}");
    let located = report.verification.located.join("\n");
    assert!(located.contains("oid, at (60005, 65536)"), "{located}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_read_a_large_object_is_told_by_check() {
    for major in [15, 18] {
        let source = source_of(major).await;
        let request = request(&source, &source, &["shop"]);
        let as_shop = source.conninfo_as("shop", "of shop", "shop");
        let parse = |text: &str| {
            let environment = pgconvoy::wire::Environment::default();
            pgconvoy::wire::Conninfo::parse(text, &environment).unwrap()
        };
        let request = Request { source: parse(&as_shop), ..request };
        let checked = check(&request).await.unwrap();
        let finding = checked[0].findings.iter().find(|f| f.object == "source large objects");
        let finding = finding.unwrap_or_else(|| panic!("{major}: {checked:#?}"));
        assert_eq!(finding.severity, Severity::Refusal);
        assert_eq!(finding.what, "shop may not read large object 60010");
    }
}
