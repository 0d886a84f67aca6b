//! Databases of many tables: what grows with their number, and what mustn't. A source whose lock
//! table has no room for all of them is copied all the same, and what changes there meanwhile is
//! noticed by name: no rows are lost silently.

use std::time::Duration;

use pgconvoy::commands::{self, Event, Request};
use pgconvoy::error::Kind;
use pgconvoy::servers::{Cluster, Spec};
use tokio::time::sleep;

use crate::kit;
use crate::migration::request;
use crate::trial::{self, Watched};

/// Makes tables named `t1`, `t2` and so on, so many to a transaction that a small lock table does.
fn tables(count: usize) -> String {
    format!(
        "DO $$ BEGIN FOR i IN 1..{count} LOOP \
             EXECUTE format('CREATE TABLE public.%I (id int, n int DEFAULT %s)', 't' || i, i); \
             EXECUTE format('INSERT INTO public.%I VALUES (1), (%s)', 't' || i, i); \
             IF i % 20 = 0 THEN COMMIT; END IF; \
         END LOOP; END $$"
    )
}

/// A server with the smallest lock table there is.
async fn of_few_locks(major: u32) -> Cluster {
    let spec = Spec::bundled().major(major);
    kit::start(spec.setting("max_locks_per_transaction", "10").setting("max_connections", "20"))
        .await
}

async fn make_many(source: &Cluster, count: usize, more: &str) {
    trial::make_database(source, "many", "SELECT 1").await;
    let session = source.superuser_session("many").await.unwrap();
    session.execute("making many tables", &tables(count)).await.unwrap();
    session.execute("making more", more).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn more_tables_than_the_source_has_locks_move_all_the_same() {
    let (source, target) = tokio::join!(of_few_locks(15), kit::bundled(15));
    make_many(&source, 1000, "").await;
    let session = source.superuser_session("many").await.unwrap();
    let lock_all = "DO $$ DECLARE t regclass; BEGIN FOR t IN SELECT oid FROM pg_class \
                    WHERE relnamespace = 'public'::regnamespace LOOP \
                    EXECUTE format('LOCK TABLE %s IN ACCESS SHARE MODE', t); END LOOP; END $$";
    let full = session.execute("locking all tables", lock_all).await.unwrap_err();
    assert_eq!(full.server_error().unwrap().sqlstate, "53200", "{full}");
    // A server says that a statement failed before it lets its locks go.
    session.execute("waiting until the locks are gone", "SELECT 1").await.unwrap();

    let request = request(&source, &target, &["many"]);
    let checked = commands::check(&request).await.unwrap();
    let told =
        checked[0].findings.iter().any(|f| f.what.contains("1000 tables can't all be locked"));
    assert!(told, "{checked:#?}");
    // Rows and catalogs are compared by the run itself: pg_dump can't read such a source.
    assert_eq!(trial::run(&request).await.clean().rows, 2000);
}

/// A hundred tables and some, more than are locked there, and one that something happens to once
/// the snapshot is taken: before its rows are copied, as definitions come first.
async fn change_meanwhile(harm: &'static str) -> (Cluster, Cluster, Request, Watched) {
    change_on(15, harm).await
}

async fn change_on(major: u32, harm: &'static str) -> (Cluster, Cluster, Request, Watched) {
    let (source, target) = tokio::join!(of_few_locks(major), kit::bundled(15));
    let victim = "CREATE TABLE public.victim (id int, a text, b text); \
                  INSERT INTO public.victim SELECT i, 'a', 'b' FROM generate_series(1, 50) i";
    make_many(&source, 150, victim).await;
    let request = Request { jobs: Some(1), ..request(&source, &target, &["many"]) };
    let planned = |event: &Event| matches!(event, Event::Planned { .. });
    let watched = trial::harm(&request, planned, || trial::change(&source, "many", harm)).await;
    (source, target, request, watched)
}

fn assert_victim_named(watched: &Watched) {
    let error = watched.error();
    assert_eq!(error.kind(), Kind::Step, "{error}");
    assert!(error.to_string().contains("public.victim"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_truncated_before_its_rows_are_read_is_never_taken_for_an_empty_one() {
    let (source, target, request, first) = change_meanwhile("TRUNCATE victim").await;
    assert_victim_named(&first);
    assert_eq!(trial::run(&request).await.clean().rows, 300);
    trial::assert_same_rows(&source, &target, "many").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_truncated_on_a_12_whose_copy_keeps_no_lock_is_noticed_too() {
    let (source, target, request, first) = change_on(12, "TRUNCATE victim").await;
    assert_victim_named(&first);
    assert_eq!(trial::run(&request).await.clean().rows, 300);
    trial::assert_same_rows(&source, &target, "many").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_rewritten_before_its_rows_are_read_is_noticed() {
    let harm = "ALTER TABLE victim ALTER COLUMN id TYPE bigint";
    let (.., first) = change_meanwhile(harm).await;
    assert_victim_named(&first);
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_that_swapped_names_before_they_are_read_are_noticed() {
    let harm = "ALTER TABLE victim RENAME a TO c; ALTER TABLE victim RENAME b TO a; \
                ALTER TABLE victim RENAME c TO b";
    let (_source, _target, request, first) = change_meanwhile(harm).await;
    assert_victim_named(&first);
    let again = trial::run(&request).await;
    assert_eq!(again.error().kind(), Kind::Refused, "{}", again.error());
    assert!(again.error().to_string().contains("TABLE public.victim"), "{}", again.error());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_dropped_before_its_rows_are_read_is_noticed() {
    let (.., first) = change_meanwhile("DROP TABLE victim").await;
    assert_victim_named(&first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_dropped_and_made_anew_before_its_rows_are_read_is_noticed() {
    let harm = "DROP TABLE victim; CREATE TABLE victim (id int, a text, b text); \
                INSERT INTO victim VALUES (1, 'a', 'b')";
    let (.., first) = change_meanwhile(harm).await;
    assert_victim_named(&first);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_a_table_that_is_copied_already_is_no_matter() {
    let (source, target) = tokio::join!(of_few_locks(15), kit::bundled(15));
    make_many(&source, 150, "").await;
    let request = Request { jobs: Some(1), ..request(&source, &target, &["many"]) };
    let mut copies = 0;
    let copied = |event: &Event| {
        let copied = matches!(event, Event::StepFinished { phase: commands::Phase::Data, .. });
        copies += usize::from(copied);
        copied && copies == 3
    };
    let harm = || trial::change(&source, "many", "TRUNCATE t1; ALTER TABLE t2 ADD x int");
    assert_eq!(trial::harm(&request, copied, harm).await.clean().rows, 300);
}

/// How many statements the server was sent for planning a database's move.
async fn statements(source: &Cluster, target: &Cluster, name: &str) -> usize {
    let before = logged(source, name, "before").await;
    commands::plan(&request(source, target, &[name]), None).await.unwrap();
    logged(source, name, "after").await - before
}

/// The statements that the server has logged of a database, once its log has come so far.
async fn logged(source: &Cluster, name: &str, mark: &str) -> usize {
    let mark = format!("{mark}, said once");
    let session = source.superuser_session(name).await.unwrap();
    session.execute("marking the log", &format!("SELECT '{mark}'")).await.unwrap();
    loop {
        let log = trial::ask(source, "postgres", "SELECT pg_read_file('log/all')").await;
        let of_database = log.lines().filter(|line| line.starts_with(&format!("{name} said ")));
        let sent: Vec<&str> = of_database
            .filter(|line| line.contains("statement: ") || line.contains("execute "))
            .collect();
        if let Some(at) = sent.iter().position(|line| line.contains(&mark)) {
            return at;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_a_catalog_takes_as_many_statements_for_many_objects_as_for_few() {
    let logging = [
        ("logging_collector", "on"),
        ("log_directory", "log"),
        ("log_filename", "all"),
        ("log_statement", "all"),
        ("log_line_prefix", "%d said "),
    ];
    let spec = logging
        .into_iter()
        .fold(Spec::bundled().major(15), |spec, (name, value)| spec.setting(name, value));
    let (source, target) = tokio::join!(kit::start(spec), kit::bundled(15));
    for (name, count) in [("few", 2), ("many", 150)] {
        let sql = format!(
            "DO $$ BEGIN FOR i IN 1..{count} LOOP EXECUTE format( \
                 'CREATE TABLE t%1$s (id serial PRIMARY KEY, a text DEFAULT 1, b int CHECK (b > 0)); \
                  CREATE INDEX ON t%1$s (b); CREATE VIEW v%1$s AS SELECT a FROM t%1$s; \
                  COMMENT ON TABLE t%1$s IS ''x''; GRANT SELECT ON t%1$s TO PUBLIC; \
                  ALTER TABLE t%1$s ADD FOREIGN KEY (b) REFERENCES t%1$s; \
                  CREATE TYPE e%1$s AS ENUM (''a''); CREATE DOMAIN d%1$s AS int; \
                  CREATE FUNCTION f%1$s() RETURNS int LANGUAGE sql AS ''SELECT 1''', i); \
             END LOOP; END $$"
        );
        trial::make_database(&source, name, &sql).await;
    }
    let few = statements(&source, &target, "few").await;
    assert!(few > 20, "{few}");
    assert_eq!(statements(&source, &target, "many").await, few);
}
