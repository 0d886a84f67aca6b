//! Databases whose own settings, grants and policies stand in a migration's way, or would hide
//! that it went wrong.

use pgconvoy::commands::{Event, Phase, Request};
use pgconvoy::wire::{Conninfo, Environment};

use crate::migration::{moved, request};
use crate::trial::{ask, change, make_database, run};
use crate::{kit, migration, trial};

/// What `verify` finds: the verdict, and all of it as text.
async fn verified(request: &Request) -> (bool, String) {
    let reports = migration::verify(request).await.unwrap();
    let verification = &reports[0].verification;
    (verification.is_clean(), format!("{verification:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_whose_owner_may_do_little_in_it_still_moves_into_an_rds_like_server() {
    let (source, target) = (kit::bundled(15).await, kit::rds_like(16).await);
    make_database(
        &source,
        "shop",
        "CREATE TABLE public.orders (id serial PRIMARY KEY, tenant int NOT NULL);
         INSERT INTO orders (tenant) SELECT n % 3 FROM generate_series(1, 100) n;
         ALTER TABLE orders ENABLE ROW LEVEL SECURITY; ALTER TABLE orders FORCE ROW LEVEL SECURITY;
         CREATE POLICY one_tenant ON orders USING (tenant = 1);
         SET row_security = on;
         CREATE MATERIALIZED VIEW seen AS SELECT * FROM orders;
         REVOKE ALL ON SEQUENCE orders_id_seq FROM shop;",
    )
    .await;
    change(
        &source,
        "shop",
        "ALTER DATABASE shop CONNECTION LIMIT 5;
         ALTER DATABASE shop SET default_transaction_read_only = on;",
    )
    .await;
    let request = request(&source, &target, &["shop"]);
    moved(&request).await;
    let count = "SELECT count(*)::text FROM public.seen";
    assert_eq!(ask(&target, "shop", count).await, ask(&source, "shop", count).await);
    let next = "SELECT last_value::text FROM public.orders_id_seq";
    assert_eq!(ask(&target, "shop", next).await, "100");
    let limit = "SELECT datconnlimit::text FROM pg_database WHERE datname = 'shop'";
    assert_eq!(ask(&target, "shop", limit).await, "5");
    // What the job set doesn't keep the same command from saying that it is done.
    assert!(moved(&request).await[0].was_finished);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_the_ledgers_name_on_the_source_is_refused_unless_it_is_a_ledger() {
    let (source, target) = (kit::bundled(15).await, kit::bundled(15).await);
    make_database(&source, "shop", "CREATE TABLE public.t AS SELECT 1 AS n").await;
    make_database(&source, "other", "").await;
    change(&source, "other", "CREATE SCHEMA pgconvoy; CREATE TABLE pgconvoy.mine (n int)").await;
    let refused = run(&request(&source, &target, &["other"])).await;
    let error = refused.error().to_string();
    assert!(error.contains("schema pgconvoy") && error.contains("mine"), "{error}");

    moved(&request(&source, &target, &["shop"])).await;
    let third = kit::bundled(15).await;
    moved(&request(&target, &third, &["shop"])).await;
}

/// Stops a run at the first event for which `when` holds; the same command is to end it cleanly.
async fn goes_on_after(settings: &str, when: impl FnMut(&Event) -> bool) {
    let (source, target) = (kit::bundled(15).await, kit::rds_like(15).await);
    make_database(&source, "shop", "CREATE TABLE public.t AS SELECT 1 AS n").await;
    change(&source, "shop", settings).await;
    let request = request(&source, &target, &["shop"]);
    let cut = trial::interrupt(&request, when).await;
    assert!(cut.ended.is_err(), "the run was to be cut off");
    moved(&request).await;
    let count = "SELECT count(*)::text FROM public.t";
    assert_eq!(ask(&target, "shop", count).await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_cut_off_midway_is_not_kept_out_by_the_databases_own_settings() {
    let settings = "ALTER DATABASE shop CONNECTION LIMIT 0;
         ALTER DATABASE shop SET default_transaction_read_only = on;";
    let copied = |event: &Event| matches!(event, Event::StepFinished { phase: Phase::Data, .. });
    goes_on_after(settings, copied).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_cut_off_at_its_last_step_writes_to_a_database_it_made_read_only() {
    let settings = "ALTER DATABASE shop SET default_transaction_read_only = on;";
    let last = |event: &Event| match event {
        Event::StepFinished { title, .. } => title == "the database's own",
        _ => false,
    };
    goes_on_after(settings, last).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_not_damaged_by_the_encodings_that_the_ends_were_told() {
    let (source, target) = (kit::bundled(15).await, kit::bundled(18).await);
    make_database(&source, "shop", "CREATE TABLE public.t AS SELECT 'café'::text AS word").await;
    let mut request = request(&source, &target, &["shop"]);
    let told = format!("{}&client_encoding=LATIN1", target.conninfo("postgres"));
    request.target = Conninfo::parse(&told, &Environment::default()).unwrap();
    moved(&request).await;
    let bytes = "SELECT encode(convert_to(word, 'UTF8'), 'hex') FROM public.t";
    assert_eq!(ask(&target, "shop", bytes).await, ask(&source, "shop", bytes).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_definitions_are_found_between_servers_of_different_majors() {
    let (source, target) = (kit::bundled(13).await, kit::bundled(18).await);
    make_database(
        &source,
        "shop",
        "CREATE TABLE public.t (n int NOT NULL DEFAULT 1, w text);
         CREATE TABLE public.u (n int); CREATE TABLE public.c (n int);
         CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'select 1';",
    )
    .await;
    let request = request(&source, &target, &["shop"]);
    moved(&request).await;
    assert!(verified(&request).await.0);
    change(
        &target,
        "shop",
        "ALTER TABLE t ALTER COLUMN n SET DEFAULT 2; ALTER TABLE u ALTER COLUMN n SET NOT NULL;
         ALTER TABLE c ADD CHECK (n > 0);
         CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'select 2';
         GRANT SELECT ON t TO PUBLIC;",
    )
    .await;
    let (clean, found) = verified(&request).await;
    assert!(!clean);
    for what in ["TABLE public.t", "TABLE public.u", "TABLE public.c", "FUNCTION public.f()"] {
        assert!(found.contains(&format!("entry: \"{what}")), "{what}: {found}");
    }
    assert!(found.contains("ACL public.TABLE t"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_granted_by_a_role_that_had_been_granted_it_is_granted_by_it_again() {
    let (source, target) = (kit::bundled(15).await, kit::rds_like(15).await);
    make_database(
        &source,
        "shop",
        "CREATE TABLE public.p (a int, b int); CREATE SCHEMA inner_part;
         CREATE TABLE inner_part.q (a int);",
    )
    .await;
    change(
        &source,
        "shop",
        "CREATE ROLE lender; CREATE ROLE borrower;
         GRANT UPDATE (a) ON p TO lender WITH GRANT OPTION;
         GRANT USAGE ON SCHEMA inner_part TO lender;
         GRANT SELECT ON inner_part.q TO lender WITH GRANT OPTION;
         SET ROLE lender; GRANT UPDATE (a) ON public.p TO borrower;
         GRANT SELECT ON inner_part.q TO borrower; RESET ROLE;
         REVOKE ALL ON SCHEMA public FROM PUBLIC;",
    )
    .await;
    moved(&request(&source, &target, &["shop"])).await;
    let acl = "SELECT (SELECT attacl FROM pg_attribute WHERE attrelid = 'public.p'::regclass \
               AND attname = 'a')::text || (SELECT relacl FROM pg_class \
               WHERE oid = 'inner_part.q'::regclass)::text \
               || (SELECT string_agg(nspacl::text, ' ' ORDER BY nspname) FROM pg_namespace \
               WHERE nspname IN ('public', 'inner_part'))";
    assert_eq!(ask(&target, "shop", acl).await, ask(&source, "shop", acl).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_schema_of_another_role_is_no_difference_once_it_has_moved() {
    let (source, target) = (kit::bundled(15).await, kit::rds_like(15).await);
    make_database(&source, "shop", "CREATE TABLE public.orders (id int);").await;
    change(
        &source,
        "shop",
        "CREATE ROLE keeper; ALTER SCHEMA public OWNER TO keeper;
         COMMENT ON SCHEMA public IS 'kept';
         REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO PUBLIC;",
    )
    .await;
    let request = request(&source, &target, &["shop"]);
    moved(&request).await;
    let (clean, found) = verified(&request).await;
    assert!(clean, "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_that_can_t_be_made_are_reported_and_end_no_job() {
    let (source, target) = (kit::bundled(15).await, kit::rds_like(15).await);
    make_database(
        &source,
        "shop",
        "CREATE TABLE public.t AS SELECT n FROM generate_series(0, 99) n;
         CREATE TABLE public.u AS SELECT n FROM generate_series(0, 99) n;
         CREATE STATISTICS public.of_t ON (1 / n), n FROM t;",
    )
    .await;
    let report = &moved(&request(&source, &target, &["shop"])).await[0];
    let told = report.changes.iter().find(|change| change.object.contains("public.t"));
    let told = told.unwrap_or_else(|| panic!("{:#?}", report.changes));
    assert!(told.what.contains("division by zero"), "{told}");
    let analyzed = "SELECT count(*)::text FROM pg_stats WHERE tablename = 'u'";
    assert_eq!(ask(&target, "shop", analyzed).await, "1");
    assert!(moved(&request(&source, &target, &["shop"])).await[0].was_finished);
}
