//! What connects a database to others, or watches it: foreign servers, publications and
//! subscriptions, event triggers. It moves without reaching out, and without its secrets.

use pgconvoy::commands::{Event, Severity};

use crate::kit;
use crate::migration::{moved, request};
use crate::trial::{ask, change, interrupt, make_database};

/// All that the ledger holds, as one text.
const LEDGER: &str = "SELECT string_agg(t, ' ') FROM (SELECT j::text AS t FROM pgconvoy.job j \
     UNION ALL SELECT s::text FROM pgconvoy.step s \
     UNION ALL SELECT r::text FROM pgconvoy.receipt r) l";

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_mappings_and_subscriptions_are_named_and_in_no_ledger() {
    let (source, target) = (kit::bundled(15).await, kit::bundled(18).await);
    make_database(&source, "shop", "").await;
    change(
        &source,
        "shop",
        "CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw;
         CREATE USER MAPPING FOR shop SERVER far OPTIONS (user 'u', password 'hunter2');
         CREATE SUBSCRIPTION sub CONNECTION 'host=h password=hunter2 user=u' PUBLICATION p
         WITH (connect = false, slot_name = NONE);",
    )
    .await;
    let reports = moved(&request(&source, &target, &["shop"])).await;
    let findings = format!("{:?}", reports[0].changes);
    for said in ["ADD \\\"password\\\" '…'", "ALTER SUBSCRIPTION \\\"sub\\\" CONNECTION"] {
        assert!(findings.contains(said), "{said}: {findings}");
    }
    let changes = reports[0].changes.iter().filter(|f| f.severity == Severity::Change);
    assert_eq!(changes.count(), 3, "{findings}");
    let ledger = ask(&target, "shop", LEDGER).await;
    assert!(ledger.contains("USER MAPPING") && ledger.contains("CREATE SUBSCRIPTION"), "{ledger}");
    assert!(!ledger.contains("hunter2") && !findings.contains("hunter2"));
    let there = "SELECT umoptions::text || subconninfo || subenabled \
                 FROM pg_user_mapping, pg_subscription";
    assert_eq!(ask(&target, "shop", there).await, "{user=u}host='h' user='u'false");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_target_user_is_not_shown_of_a_mapping_is_no_difference() {
    let (source, target) = (kit::bundled(15).await, kit::rds_like(16).await);
    make_database(&source, "shop", "").await;
    change(
        &source,
        "shop",
        "CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw;
         CREATE USER MAPPING FOR shop SERVER far OPTIONS (user 'u');",
    )
    .await;
    let session = target.superuser_session("postgres").await.unwrap();
    let sql = "CREATE DATABASE shop OWNER master";
    session.execute("making a database", sql).await.unwrap();
    // Only a superuser may come by a wrapper, and keeps it when he is none any more.
    let granted = "CREATE EXTENSION postgres_fdw; ALTER ROLE master SUPERUSER; \
                   ALTER FOREIGN DATA WRAPPER postgres_fdw OWNER TO master; \
                   ALTER ROLE master NOSUPERUSER";
    change(&target, "shop", granted).await;
    moved(&request(&source, &target, &["shop"])).await;
    let options = "SELECT umoptions::text FROM pg_user_mapping";
    assert_eq!(ask(&target, "shop", options).await, "{user=u}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_trigger_that_refuses_all_definitions_stands_in_no_ones_way() {
    let (source, target) = (kit::bundled(15).await, kit::bundled(15).await);
    make_database(&source, "shop", "CREATE TABLE public.t AS SELECT 1 AS n").await;
    change(
        &source,
        "shop",
        "CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql
         AS 'BEGIN RAISE EXCEPTION ''no % here'', tg_tag; END';
         COMMENT ON FUNCTION f() IS 'no';
         CREATE EVENT TRIGGER a ON ddl_command_start EXECUTE FUNCTION f();
         CREATE EVENT TRIGGER b ON ddl_command_end EXECUTE FUNCTION f();
         COMMENT ON EVENT TRIGGER a IS 'nothing goes';
         ALTER DATABASE shop SET work_mem = '5MB';",
    )
    .await;
    let request = request(&source, &target, &["shop"]);
    let last = |event: &Event| match event {
        Event::StepFinished { title, .. } => title == "the database's own",
        _ => false,
    };
    let cut = interrupt(&request, last).await;
    assert!(cut.ended.is_err(), "the run was to be cut off");
    moved(&request).await;
    assert!(moved(&request).await[0].was_finished);
    let enabled = "SELECT string_agg(format('%s%s', evtname, evtenabled), ' ' ORDER BY evtname) || \
                   obj_description(min(oid), 'pg_event_trigger') FROM pg_event_trigger";
    assert_eq!(ask(&target, "shop", enabled).await, "aO bOnothing goes");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_with_parts_on_other_servers_move_without_reaching_out_for_them() {
    let (source, target) = (kit::bundled(15).await, kit::bundled(18).await);
    make_database(
        &source,
        "shop",
        "CREATE TABLE public.days (d date) PARTITION BY RANGE (d);
         CREATE TABLE public.now PARTITION OF public.days FOR VALUES FROM ('2020-01-01') TO (MAXVALUE);
         CREATE TABLE public.parent (a int);
         INSERT INTO now SELECT '2020-01-01'::date + n FROM generate_series(1, 1000) n;",
    )
    .await;
    // No handler: whoever reads from there fails.
    change(
        &source,
        "shop",
        "CREATE FOREIGN DATA WRAPPER none; CREATE SERVER far FOREIGN DATA WRAPPER none;
         CREATE FOREIGN TABLE past PARTITION OF days
         FOR VALUES FROM (MINVALUE) TO ('2020-01-01') SERVER far;
         CREATE FOREIGN TABLE child () INHERITS (parent) SERVER far;",
    )
    .await;
    moved(&request(&source, &target, &["shop"])).await;
    let analyzed = "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_stats \
                    WHERE schemaname = 'public'";
    assert_eq!(ask(&target, "shop", analyzed).await, "now");
}
