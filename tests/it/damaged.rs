//! Catalogs that hold what PostgreSQL itself would never write: told by name, and no panic.

use pgconvoy::commands::{
    Choice, Conninfo, Databases, Environment, Request, RoleMap, Severity, VerifyMode, check,
};

use crate::kit;

/// What stands in the way of moving what `sql` makes and damages: (object, what).
async fn refusals(sql: &str) -> Vec<(String, String)> {
    found(sql, Severity::Refusal).await
}

/// What is said, this severely, of what `sql` makes and damages: (object, what).
async fn found(sql: &str, severity: Severity) -> Vec<(String, String)> {
    let cluster = kit::bundled(18).await;
    let session = cluster.superuser_session("postgres").await.unwrap();
    session.execute("making a database", "CREATE DATABASE source").await.unwrap();
    let sql = format!("SET allow_system_table_mods = on; {sql}");
    kit::run(&cluster.superuser_conninfo("source"), &sql).await;
    let conninfo = |database: &str| {
        Conninfo::parse(&cluster.conninfo(database), &Environment::default()).unwrap()
    };
    let checked = check(&Request {
        source: conninfo("source"),
        target: conninfo("new"),
        databases: Databases::AsGiven,
        choice: Choice::default(),
        roles: RoleMap::default(),
        jobs: Some(1),
        verify: VerifyMode::Full,
        strict: false,
        carry_passwords: false,
        toast_compression: None,
    })
    .await
    .unwrap();
    let found = checked.into_iter().flat_map(|checked| checked.findings);
    found
        .filter(|finding| finding.severity == severity)
        .map(|finding| (finding.object, finding.what))
        .collect()
}

#[tokio::test]
async fn what_lost_a_part_is_refused_by_name() {
    let found = refusals(
        "CREATE VIEW hollow AS SELECT 1 AS x; CREATE TABLE nobodys (); \
         CREATE TABLE p (a integer) PARTITION BY LIST (a); \
         CREATE TABLE lone PARTITION OF p FOR VALUES IN (1); \
         DELETE FROM pg_rewrite WHERE ev_class = 'hollow'::regclass; \
         UPDATE pg_class SET relowner = 99999 WHERE relname = 'nobodys'; \
         DELETE FROM pg_inherits WHERE inhrelid = 'lone'::regclass",
    )
    .await;
    for (object, what) in [
        ("view public.hollow", "no query"),
        ("TABLE public.nobodys", "99999"),
        ("table public.lone", "of no table"),
    ] {
        let named = |(o, w): &(String, String)| o == object && w.contains(what);
        assert!(found.iter().any(named), "{object}: {found:?}");
    }
}

#[tokio::test]
async fn what_the_server_renders_nothing_for_is_refused_by_name() {
    for (sql, object) in [
        (
            "CREATE TABLE p (a integer) PARTITION BY LIST (a); \
             CREATE TABLE boundless PARTITION OF p FOR VALUES IN (1); \
             UPDATE pg_class SET relpartbound = NULL WHERE relname = 'boundless'",
            "partition public.boundless",
        ),
        (
            "CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; \
             CREATE EVENT TRIGGER idle ON sql_drop EXECUTE FUNCTION f(); \
             DELETE FROM pg_proc WHERE proname = 'f'",
            "event trigger idle",
        ),
        (
            "CREATE TYPE gone AS ENUM (); CREATE TABLE t (typeless gone); \
             DELETE FROM pg_type WHERE typname = 'gone'",
            "column typeless",
        ),
        (
            "CREATE TYPE gone AS ENUM (); CREATE TYPE typeless AS (a gone); \
             DELETE FROM pg_type WHERE typname = 'gone'",
            "type public.typeless",
        ),
        (
            "CREATE TYPE gone AS ENUM (); CREATE DOMAIN baseless AS gone; \
             DELETE FROM pg_type WHERE typname = 'gone'",
            "domain public.baseless",
        ),
    ] {
        let found = refusals(sql).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].1.contains(object), "{found:?}");
    }
}

#[tokio::test]
async fn what_no_family_reads_is_refused_by_name_and_its_parts_are_not() {
    let found = refusals(
        "CREATE TABLE public.of_the_future (id serial, t text);
         UPDATE pg_class SET relkind = 'x' WHERE oid = 'public.of_the_future'::regclass;",
    )
    .await;
    let objects: Vec<&str> = found.iter().map(|(object, _)| object.as_str()).collect();
    assert_eq!(objects, ["relation public.of_the_future"], "{found:?}");
}

#[tokio::test]
async fn what_users_put_among_the_system_s_objects_stays_behind_and_is_told() {
    let found = found(
        "CREATE FUNCTION pg_catalog.own() RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE VIEW information_schema.own AS SELECT 1 AS n;",
        Severity::Change,
    )
    .await;
    let objects: Vec<&str> = found.iter().map(|(object, _)| object.as_str()).collect();
    assert_eq!(objects, ["function own()", "view information_schema.own"], "{found:?}");
}
