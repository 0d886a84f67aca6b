//! A part of an archive restored: rows into tables that are there, sections one after another, and
//! what speaks against that before anything is touched.

use std::path::Path;

use pgconvoy::commands::{ItemSection, Part, Phase, RestoreRequest, RestoredPart};
use pgconvoy::error::Kind;
use pgconvoy::servers::Cluster;

use crate::restores::{
    assert_same_rows_of_shop, assert_same_shop, dump, make_roles, make_shop, refused, request,
    restore_until, restored, shop_folder,
};
use crate::resuming::finished;
use crate::{kit, pg_dump, trial};

fn rows(rows: Part) -> RestoredPart {
    RestoredPart { rows, ..RestoredPart::default() }
}

fn section(section: ItemSection) -> RestoredPart {
    RestoredPart { sections: [section].into(), ..RestoredPart::default() }
}

fn part_of(path: &Path, target: &Cluster, part: RestoredPart) -> RestoreRequest {
    RestoreRequest { part, ..request(path, &target.conninfo("shop")) }
}

const TRIGGERS: &str = "ALTER TABLE public.customers";

#[tokio::test(flavor = "multi_thread")]
async fn rows_go_into_tables_that_a_restore_of_definitions_has_made() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    make_shop(&source).await;
    make_roles(&target).await;
    let folder = tempfile::tempdir().unwrap();
    let path = shop_folder(&source, folder.path());
    restored(&part_of(&path, &target, rows(Part::Schema))).await;
    let data = part_of(&path, &target, rows(Part::Data));
    let words = refused(&data).await;
    assert!(words.contains("TABLE public.customers: has triggers") && words.contains("stamp"));
    assert!(words.contains("DISABLE TRIGGER USER"), "{words}");
    trial::change(&target, "shop", &format!("{TRIGGERS} DISABLE TRIGGER USER")).await;
    let report = restored(&data).await;
    assert!(report.rows > 25_000 && !report.was_resumed);
    assert!(restored(&data).await.was_finished);
    trial::change(&target, "shop", &format!("{TRIGGERS} ENABLE TRIGGER USER")).await;
    assert_same_shop(&source, &target).await;
    let analyzed = "SELECT (reltuples > 0)::text FROM pg_class WHERE relname = 'customers'";
    assert_eq!(trial::ask(&target, "shop", analyzed).await, "true");
    // What was made then is refused now: nothing is made twice.
    let words = refused(&part_of(&path, &target, rows(Part::Schema))).await;
    assert!(words.contains("begun with --data-only, not with --schema-only"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sections_are_restored_one_after_another_and_make_the_whole() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    make_shop(&source).await;
    make_roles(&target).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop");
    dump(&pg_dump::newest(), &source, "shop", &["--format=custom"], &path);
    let words = refused(&part_of(&path, &target, section(ItemSection::Data))).await;
    assert!(words.contains("there is no database shop"), "{words}");
    restored(&part_of(&path, &target, section(ItemSection::PreData))).await;
    let indexes = "SELECT count(*)::text FROM pg_index WHERE indrelid >= 16384
        AND indrelid::regclass::text NOT LIKE 'p%'";
    assert_eq!(trial::ask(&target, "shop", indexes).await, "0");
    restored(&part_of(&path, &target, section(ItemSection::Data))).await;
    assert_same_rows_of_shop(&source, &target).await;
    let after = part_of(&path, &target, section(ItemSection::PostData));
    restored(&after).await;
    assert_same_shop(&source, &target).await;
    assert!(restored(&after).await.was_finished);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_superuser_restores_sections_under_other_owners() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::rds_like(15));
    let sql = "CREATE SCHEMA app;
        CREATE TABLE app.customers (id serial PRIMARY KEY, name text);
        INSERT INTO app.customers (name) SELECT 'c' || i FROM generate_series(1, 5000) i;
        CREATE TABLE app.orders (id int PRIMARY KEY, customer int REFERENCES app.customers);
        INSERT INTO app.orders SELECT i, i FROM generate_series(1, 5000) i;
        CREATE INDEX ON app.orders (customer)";
    trial::make_database(&source, "shop", sql).await;
    kit::run(&target.conninfo("postgres"), "CREATE ROLE shop").await;
    let folder = tempfile::tempdir().unwrap();
    let path = shop_folder(&source, folder.path());
    for one in [ItemSection::PreData, ItemSection::Data, ItemSection::PostData] {
        restored(&part_of(&path, &target, section(one))).await;
    }
    let (ours, theirs) = (pg_dump::schema(&source, "shop"), pg_dump::schema(&target, "shop"));
    pg_dump::assert_equal(&ours, &theirs.replace("master", "postgres"), "shop");
    for table in ["app.customers", "app.orders"] {
        let sql =
            format!("SELECT count(*) || ' ' || sum(hashtextextended(t::text, 0)) FROM {table} t");
        let (ours, theirs) =
            (trial::ask(&source, "shop", &sql).await, trial::ask(&target, "shop", &sql).await);
        assert_eq!(ours, theirs, "{table}");
    }
    let member = "SELECT pg_has_role('master', 'shop', 'USAGE')::text";
    assert_eq!(trial::ask(&target, "shop", member).await, "false", "it is taken back");
}

/// Two tables that an application's own migrations have made, with a key between them.
const MADE: &str = "CREATE TABLE bills (id int PRIMARY KEY, customer int NOT NULL, note text);
    CREATE TABLE customers (id int PRIMARY KEY, name text, chief int REFERENCES customers);
    ALTER TABLE bills ADD CONSTRAINT to_customer FOREIGN KEY (customer) REFERENCES customers;
    CREATE SEQUENCE numbers;";

const FILLED: &str =
    "INSERT INTO customers SELECT i, 'c' || i, 100001 - i FROM generate_series(1, 100000) i;
    INSERT INTO bills SELECT i, i, repeat('x', 100) FROM generate_series(1, 100000) i;
    SELECT setval('numbers', 77)";

/// An archive of [`MADE`] with rows, and a server with a database to fill.
async fn filled_and_made(folder: &Path, made: &str) -> (Cluster, Cluster) {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(18));
    trial::make_database(&source, "shop", &format!("{MADE}{FILLED}")).await;
    trial::make_database(&target, "shop", made).await;
    dump(&pg_dump::newest(), &source, "shop", &["--format=directory"], &folder.join("a"));
    (source, target)
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_in_the_order_of_the_foreign_keys_that_stand_and_a_cut_off_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let more = format!("{MADE} ALTER TABLE customers ADD since date DEFAULT '2026-01-01'");
    let (source, target) = filled_and_made(folder.path(), &more).await;
    let data = part_of(&folder.path().join("a"), &target, rows(Part::Data));
    let error = restore_until(&data, finished(Phase::Data, 1)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Interrupted, "{error}");
    let report = restored(&data).await;
    assert!(report.was_resumed && report.rows == 200_000);
    for sql in [
        "SELECT sum(hashtextextended(concat_ws(' ', id, name, chief), 0))::text FROM public.customers",
        "SELECT sum(hashtextextended(o::text, 0))::text FROM public.bills o",
        "SELECT last_value::text FROM public.numbers",
    ] {
        let (ours, theirs) =
            (trial::ask(&source, "shop", sql).await, trial::ask(&target, "shop", sql).await);
        assert_eq!(ours, theirs, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rows_need_and_the_target_lacks_is_named_before_anything_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let (_source, target) = filled_and_made(folder.path(), MADE).await;
    let data = part_of(&folder.path().join("a"), &target, rows(Part::Data));
    for (change, words, undo) in [
        (
            "INSERT INTO customers VALUES (1)",
            "TABLE public.customers: holds rows",
            "DELETE FROM customers",
        ),
        (
            "ALTER TABLE bills RENAME TO b",
            "TABLE public.bills: isn't on the target",
            "ALTER TABLE b RENAME TO bills",
        ),
        (
            "DROP SEQUENCE numbers",
            "SEQUENCE public.numbers: isn't on the target",
            "CREATE SEQUENCE numbers",
        ),
        (
            "ALTER TABLE bills RENAME note TO notes",
            "TABLE public.bills: has no column on the target that takes note",
            "ALTER TABLE bills RENAME notes TO note",
        ),
        (
            "ALTER TABLE bills ADD price numeric NOT NULL",
            "must have values on the target that the archive lacks: price",
            "ALTER TABLE bills DROP price",
        ),
        (
            "ALTER TABLE customers ADD CONSTRAINT circle FOREIGN KEY (chief) REFERENCES bills",
            "circle of public.customers, to_customer of public.bills",
            "ALTER TABLE customers DROP CONSTRAINT circle",
        ),
    ] {
        trial::change(&target, "shop", change).await;
        let told = refused(&data).await;
        assert!(told.contains(words), "{change}: {told}");
        let ledger = "SELECT (to_regnamespace('pgconvoy') IS NULL)::text";
        assert_eq!(trial::ask(&target, "shop", ledger).await, "true");
        trial::change(&target, "shop", undo).await;
    }
    restored(&data).await;
}
