//! Fences that were raised before: around several databases of which one failed, and around sources
//! that refuse writes anyway.

use pgconvoy::commands::{Databases, Event, Phase, Request, SourceSince, unfence};
use pgconvoy::error::Kind;
use pgconvoy::servers::Cluster;
use pgconvoy::wire::{Conninfo, Environment};

use crate::migration::request;
use crate::{kit, trial};

const ORDERS: &str = "
    CREATE TABLE orders (id bigserial PRIMARY KEY, note text);
    INSERT INTO orders (note) SELECT repeat(md5(i::text), 60) FROM generate_series(1, 5000) i;
    CREATE TABLE lines (id int PRIMARY KEY, orders_id bigint REFERENCES orders);
    INSERT INTO lines SELECT i, i FROM generate_series(1, 100) i;
    SELECT lo_from_bytea(0, 'a picture');
";

/// A depot and a shop, whose services log in under these names, and the request that fences both.
async fn depot_and_shop() -> (Cluster, Cluster, Request) {
    let (source, target) = tokio::join!(kit::bundled(15), kit::rds_like(15));
    let names = ["depot", "shop"];
    for name in names {
        trial::make_database(&source, name, ORDERS).await;
    }
    let request = request(&source, &target, &names);
    let fence = names.map(str::to_owned).to_vec();
    (source, target, Request { jobs: Some(1), fence, ..request })
}

async fn able(source: &Cluster) -> String {
    let sql = "SELECT coalesce(string_agg(rolname, ' ' ORDER BY rolname), '') FROM pg_roles
               WHERE rolcanlogin AND rolname IN ('depot', 'shop')";
    trial::ask(source, "postgres", sql).await
}

/// Holds once the second database's rows are copied.
fn rows_of_the_second() -> impl FnMut(&Event) -> bool {
    let mut databases = 0;
    move |event| {
        databases += usize::from(matches!(event, Event::Database { .. }));
        let copied = matches!(event, Event::StepFinished { phase: Phase::Data, .. });
        databases == 2 && copied
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_finished_before_another_database_failed_is_proven_again_behind_the_next_fence() {
    let (source, target, request) = depot_and_shop().await;
    let cut = trial::interrupt(&request, rows_of_the_second()).await;
    assert_eq!(cut.error().kind(), Kind::Interrupted, "{}", cut.error());
    assert_eq!(cut.reports.len(), 1);
    assert_eq!(able(&source).await, "depot shop");

    trial::change(&source, "shop", "INSERT INTO orders (note) VALUES ('meanwhile')").await;
    let run = trial::run(&request).await;
    run.ended.as_ref().unwrap();
    let fence = run.reports[0].fence.as_ref().unwrap();
    assert_ne!(fence, cut.reports[0].fence.as_ref().unwrap());
    for report in &run.reports {
        assert!(report.verification.is_clean() && report.was_resumed, "{report:#?}");
        assert_eq!(report.source_since, Some(SourceSince::Unchanged), "{}", run.notes());
        assert_eq!(report.fence.as_ref(), Some(fence));
        trial::assert_same_rows(&source, &target, &report.database).await;
    }
    assert_eq!(able(&source).await, "");

    // All are final now.
    let last = trial::run(&request).await;
    last.ended.as_ref().unwrap();
    assert!(last.reports.iter().all(|report| report.was_finished));
    let members = "SELECT count(*)::text FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid
                   JOIN pg_roles u ON u.oid = m.member
                   WHERE u.rolname = 'master' AND r.rolname IN ('depot', 'shop')
                   AND NOT m.admin_option";
    assert_eq!(trial::ask(&target, "postgres", members).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_finished_and_written_to_since_is_named_behind_the_next_fence() {
    let (source, target, request) = depot_and_shop().await;
    let cut = trial::interrupt(&request, rows_of_the_second()).await;
    assert_eq!(cut.error().kind(), Kind::Interrupted, "{}", cut.error());
    for (late, undone, named) in [
        (
            "UPDATE orders SET note = 'late' WHERE id = 7",
            "UPDATE orders SET note = repeat(md5('7'), 60) WHERE id = 7",
            "public.orders",
        ),
        (
            "SET ROLE depot; SELECT lo_from_bytea(77, 'late')",
            "SELECT lo_unlink(77)",
            "large objects",
        ),
        ("ALTER TABLE lines ADD late int", "ALTER TABLE lines DROP late", "public.lines"),
    ] {
        trial::change(&source, "depot", late).await;
        let run = trial::run(&request).await;
        let text = run.error().to_string();
        assert_eq!(run.error().kind(), Kind::Refused, "{text}");
        assert!(text.contains(named) && text.contains("--restart"), "{text}");
        assert_eq!(able(&source).await, "depot shop");
        trial::change(&source, "depot", undone).await;
    }
    // Numbers that were drawn and given to nobody are no reason to begin anew.
    trial::change(&source, "depot", "SELECT nextval('orders_id_seq')").await;
    let run = trial::run(&request).await;
    run.ended.as_ref().unwrap();
    for name in ["depot", "shop"] {
        trial::assert_same_rows(&source, &target, name).await;
        let next = "SELECT nextval('public.orders_id_seq')::text";
        assert_eq!(trial::ask(&source, name, next).await, trial::ask(&target, name, next).await);
    }
    let databases = Databases::Named(vec!["depot".to_owned()]);
    let one = trial::run(&Request { databases, ..request }).await;
    assert!(one.clean().was_finished, "one of two that were fenced together is final alone, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_read_only_by_default_is_fenced_and_let_go() {
    let (source, target, request) = depot_and_shop().await;
    let sql = "ALTER SYSTEM SET default_transaction_read_only = on";
    let session = source.superuser_session("postgres").await.unwrap();
    session.execute("closing the source", sql).await.unwrap();
    session.execute("closing the source", "SELECT pg_reload_conf()").await.unwrap();
    session.close().await;
    let run = trial::run(&request).await;
    run.ended.as_ref().unwrap();
    for name in ["depot", "shop"] {
        trial::assert_same_rows(&source, &target, name).await;
    }
    assert_eq!(able(&source).await, "");
    let source_conninfo = source.conninfo("postgres");
    let server = Conninfo::parse(&source_conninfo, &Environment::default()).unwrap();
    assert_eq!(unfence(&server).await.unwrap().roles, ["depot", "shop"]);
}
