//! Rows that become others between us and the target, or on the target itself: found, and named
//! down to the key.

use std::time::Duration;

use pgconvoy::commands::{DatabaseReport, Event, Phase, Request, TableVerdict};
use pgconvoy::error::Kind;
use pgconvoy::servers::Cluster;

use crate::kit::{Harm, Proxy, When};
use crate::migration::{between, moved, request};
use crate::random::{self, Random};
use crate::verification::verified;
use crate::{kit, pg_dump, trial};

/// Rows whose bytes can be told on their way: a text, one that is long enough to be stored apart,
/// a number (0x10ce10ce), one in a key ("keys"), and one that travels as text.
const STORE: &str = "
    CREATE TABLE notes (id int PRIMARY KEY, note text);
    INSERT INTO notes SELECT i, 'note of ' || i FROM generate_series(1, 500) i;
    CREATE TABLE pictures (id int PRIMARY KEY, picture bytea);
    INSERT INTO pictures SELECT i, convert_to(repeat(md5(i::text), 9000) || 'end of ' || i, 'UTF8')
        FROM generate_series(1, 9) i;
    CREATE TABLE amounts (id int PRIMARY KEY, amount int);
    INSERT INTO amounts SELECT i, 0x71000000 + i FROM generate_series(1, 100) i;
    CREATE TABLE keyed (code text PRIMARY KEY, n int);
    INSERT INTO keyed SELECT 'key ' || i, i FROM generate_series(1, 100) i;
    CREATE TYPE colour AS ENUM ('red', 'green');
    CREATE TABLE colours (id int PRIMARY KEY, given colour[], said text);
    INSERT INTO colours SELECT i, '{red,green}', 'said by ' || i FROM generate_series(1, 100) i;
";

/// The store on a bundled 15, an empty one, and a proxy before that.
async fn store() -> (Cluster, Cluster, Proxy, Request) {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    let sql = STORE.replace("0x71000000", "1895825408");
    trial::make_database(&source, "store", &sql).await;
    let proxy = Proxy::before(&target).await;
    let through = target.superuser_conninfo_through(proxy.port(), "store");
    let request = between(&source.conninfo("store"), &through);
    let target_conninfo = request.target.with_stall_timeout(Duration::from_secs(1));
    (source, target, proxy, Request { target: target_conninfo, jobs: Some(1), ..request })
}

async fn drop_store(target: &Cluster) {
    let session = target.superuser_session("postgres").await.unwrap();
    let sql = "DROP DATABASE IF EXISTS store WITH (FORCE)";
    session.execute("making room", sql).await.unwrap();
    session.close().await;
}

/// The tables that differ, and where.
fn told(report: &DatabaseReport) -> (Vec<String>, String) {
    let differing = report.verification.tables.iter().filter_map(|verdict| match verdict {
        TableVerdict::Differs { table, .. } => Some(table.name.clone()),
        _ => None,
    });
    (differing.collect(), report.verification.located.join("\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bit_that_flips_between_us_and_the_target_is_found_and_its_row_named() {
    let (_source, target, proxy, request) = store().await;
    for (text, bit, table, located) in [
        ("note of 77", 0, "notes", "1 row with other values, id (77)"),
        ("end of 7", 2, "pictures", "1 row with other values, id (7)"),
        ("q\0\0\u{11}", 1, "amounts", "1 row with other values, id (17)"),
        ("key 55", 1, "keyed", "1 row missing on the target, code (key 55)"),
        ("said by 44", 0, "colours", "1 row with other values, id (44)"),
    ] {
        proxy.will(When::Says(text, 1), Harm::FlipBit(bit));
        let struck = proxy.struck();
        let run = trial::run(&request).await;
        assert_eq!(proxy.struck(), struck + 1, "{text} never went by");
        if table == "keyed" {
            // The key is another row's now, which the target itself refuses.
            assert_eq!(run.error().kind(), Kind::Step, "{}", run.error());
        } else {
            let [report] = &run.reports[..] else { panic!("{text}: {:?}", run.ended) };
            let (differing, words) = told(report);
            assert_eq!(differing, [table], "{text}: {words}");
            assert!(words.contains(located), "{text}: {words}");
        }
        drop_store(&target).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bit_that_flips_anywhere_on_the_way_to_the_target_changes_nothing_unnoticed() {
    let seed = random::seed();
    eprintln!("flipped bits: PGCONVOY_TEST_SEED={seed}");
    let mut random = Random::of_seed(seed);
    let (source, target, proxy, request) = store().await;
    // What a whole job sends, and is told, through the proxy.
    let bytes = 900_000;
    let (mut clean, mut found) = (0, 0);
    for _ in 0..random::from_environment("PGCONVOY_TEST_FLIPS").unwrap_or(8) {
        let (at, bit) = (random.below(bytes), random.below(8) as u8);
        let what = format!("bit {bit} at {at}, PGCONVOY_TEST_SEED={seed}");
        proxy.will(When::After(at), Harm::FlipBit(bit));
        let run = tokio::time::timeout(Duration::from_secs(60), trial::run(&request)).await;
        let run = run.unwrap_or_else(|_| panic!("{what}: the run hangs"));
        let is_clean = run.reports.iter().all(|report| report.verification.is_clean());
        match run.ended.is_ok() && is_clean {
            true => {
                clean += 1;
                trial::assert_same_rows(&source, &target, "store").await;
                let schemas = [&source, &target].map(|side| pg_dump::schema(side, "store"));
                pg_dump::assert_equal(&schemas[0], &schemas[1], &what);
            }
            false => found += 1,
        }
        proxy.relent();
        drop_store(&target).await;
    }
    eprintln!("{found} flipped bits found, {clean} that changed nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bit_that_flips_in_a_targets_row_after_the_job_is_found_and_its_row_named() {
    let (_source, target, _proxy, request) = store().await;
    moved(&request).await;
    for (table, flip, back, located) in [
        ("pictures", "picture = set_bit(picture, 77777, 1 - get_bit(picture, 77777))", None, "(5)"),
        ("amounts", "amount = amount # 1024", None, "(5)"),
        ("notes", "note = overlay(note placing chr(ascii(note) # 1) from 1)", None, "(5)"),
        ("colours", "given = '{green,green}'", Some("given = '{red,green}'"), "(5)"),
    ] {
        trial::change(&target, "store", &format!("UPDATE {table} SET {flip} WHERE id = 5")).await;
        let report = verified(&request).await;
        let (differing, words) = told(&report);
        assert_eq!(differing, [table], "{words}");
        assert!(words.contains("1 row with other values") && words.contains(located), "{words}");
        let back = back.unwrap_or(flip);
        trial::change(&target, "store", &format!("UPDATE {table} SET {back} WHERE id = 5")).await;
    }
    assert!(verified(&request).await.verification.is_clean());
}

/// What a trigger makes of a row on its way in.
const MEDDLER: &str = "
    CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN IF NEW.id = 7 THEN NEW.note := 'meddled with'; END IF; RETURN NEW; END $$;
    CREATE TRIGGER meddler BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION meddle();
";

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_changes_rows_while_they_are_loaded_is_found_and_so_is_what_it_did() {
    let (_source, target, _proxy, request) = store().await;
    let defined = |event: &Event| {
        matches!(event, Event::StepFinished { phase: Phase::Definitions, title, .. }
            if title.contains("definitions"))
    };
    let first = trial::interrupt(&request, defined).await;
    assert_eq!(first.error().kind(), Kind::Interrupted, "{}", first.error());
    trial::change(&target, "store", MEDDLER).await;
    let run = trial::run(&request).await;
    let [report] = &run.reports[..] else { panic!("{:?}", run.ended) };
    let (differing, words) = told(report);
    assert_eq!(differing, ["notes"], "{words}");
    assert!(words.contains("1 row with other values, id (7)"), "{words}");
    let catalog = format!("{:?}", report.verification.catalog);
    assert!(catalog.contains("TRIGGER public.notes meddler"), "{catalog}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_holds_other_rows_than_its_table_is_found_by_a_deep_verification() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::rds_like(15));
    let sql = "
        CREATE FUNCTION folded(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT lower($1)';
        CREATE TABLE people (id int PRIMARY KEY, name text);
        INSERT INTO people SELECT i, 'Name ' || i FROM generate_series(1, 1000) i;
        CREATE INDEX by_name ON people (folded(name));
        CREATE MATERIALIZED VIEW names AS SELECT name FROM people;
        CREATE INDEX ON names (name)";
    trial::make_database(&source, "store", sql).await;
    let request = request(&source, &target, &["store"]);
    moved(&request).await;
    let deep = Request { deep: true, ..request.clone() };

    // Who is no superuser is told what is missing.
    let report = verified(&deep).await;
    assert!(report.verification.is_clean(), "{:#?}", report.verification);
    let notes = report.verification.notes.join("\n");
    assert!(notes.contains("indexes weren't checked") && notes.contains("amcheck"), "{notes}");
    let install = "CREATE EXTENSION amcheck SCHEMA pg_catalog;
        GRANT EXECUTE ON FUNCTION pg_catalog.bt_index_check(regclass, boolean) TO master";
    let as_superuser = Request {
        deep: true,
        ..between(&source.conninfo("store"), &target.superuser_conninfo("store"))
    };
    let report = verified(&as_superuser).await;
    let notes = report.verification.notes.join("\n");
    assert!(notes.contains("3 B-trees checked"), "{notes}");
    let left = "SELECT count(*)::text FROM pg_extension WHERE extname = 'amcheck'";
    assert_eq!(trial::ask(&target, "store", left).await, "0");

    // The definitions are the same again, and the rows ever were.
    let replace = |words: &str| {
        format!(
            "CREATE OR REPLACE FUNCTION folded(text) RETURNS text IMMUTABLE LANGUAGE sql AS {words}"
        )
    };
    let harm = format!(
        "SET ROLE store; {}; REINDEX INDEX by_name; {}",
        replace("'SELECT CASE $1 WHEN ''Name 77'' THEN ''other'' ELSE lower($1) END'"),
        replace("'SELECT lower($1)'")
    );
    trial::change(&target, "store", &harm).await;
    let lost = "SELECT count(*)::text FROM public.people WHERE public.folded(name) = 'name 77'";
    let session = target.superuser_session("store").await.unwrap();
    session.execute("asking the index", "SET enable_seqscan = off").await.unwrap();
    let row = session.query_one("asking the index", lost, &[]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), "0");
    assert!(verified(&request).await.verification.is_clean());
    for installed in [false, true] {
        let report = match installed {
            false => verified(&as_superuser).await,
            true => {
                trial::change(&target, "store", install).await;
                verified(&deep).await
            }
        };
        let found: Vec<String> =
            report.verification.catalog.iter().map(ToString::to_string).collect();
        assert!(
            found.iter().any(|words| words.starts_with("INDEX public.by_name is damaged")),
            "{found:?} {:?}",
            report.verification.notes
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn constraints_that_are_only_said_to_hold_are_found_by_their_rows_or_by_what_is_said() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    let sql = "
        CREATE TABLE orders (id int PRIMARY KEY);
        INSERT INTO orders SELECT generate_series(1, 100);
        CREATE TABLE lines (id int PRIMARY KEY, orders_id int REFERENCES orders, amount int);
        INSERT INTO lines SELECT i, i, i - 5 FROM generate_series(1, 100) i;
        ALTER TABLE lines ADD CONSTRAINT positive CHECK (amount > 0) NOT VALID";
    trial::make_database(&source, "store", sql).await;
    let request = request(&source, &target, &["store"]);
    moved(&request).await;

    // Neither fires a trigger nor asks a constraint.
    let delete = "SET session_replication_role = replica; DELETE FROM orders WHERE id = 50";
    trial::change(&target, "store", delete).await;
    let report = verified(&request).await;
    let (differing, words) = told(&report);
    assert_eq!(differing, ["orders"], "{words}");
    assert!(words.contains("1 row missing on the target, id (50)"), "{words}");
    trial::change(&target, "store", "INSERT INTO orders VALUES (50)").await;

    let say = "UPDATE pg_constraint SET convalidated = true WHERE conname = 'positive'";
    trial::change(&target, "store", say).await;
    let report = verified(&request).await;
    assert!(told(&report).0.is_empty());
    let catalog: Vec<String> =
        report.verification.catalog.iter().map(ToString::to_string).collect();
    assert!(catalog.iter().any(|words| words.contains("positive")), "{catalog:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_constraint_that_doesnt_hold_on_the_source_stops_a_strict_job_with_its_name() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    let sql = "
        CREATE TABLE orders (id int PRIMARY KEY);
        INSERT INTO orders SELECT generate_series(1, 100);
        CREATE TABLE lines (id int PRIMARY KEY, orders_id int REFERENCES orders);
        INSERT INTO lines SELECT i, i FROM generate_series(1, 100) i";
    trial::make_database(&source, "store", sql).await;
    let delete = "SET session_replication_role = replica; DELETE FROM orders WHERE id = 50";
    trial::change(&source, "store", delete).await;
    let request = Request { strict: true, ..request(&source, &target, &["store"]) };
    let run = trial::run(&request).await;
    let error = run.error();
    assert_eq!(error.kind(), Kind::Step, "{error}");
    assert!(error.to_string().contains("lines_orders_id_fkey"), "{error}");
}
