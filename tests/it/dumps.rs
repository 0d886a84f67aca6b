//! Archives of ours, restored by PostgreSQL's own pg_restore, of several versions and by several
//! workers: the copy is what pg_dump and every row say the original is.

mod going_on;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use pgconvoy::commands::{
    self, Choice, Compressing, DumpForm, DumpRequest, Dumped, Event, Events, Layout, Part, RoleMap,
    Stop, TableVerdict,
};
use pgconvoy::error::{Kind, Result};
use pgconvoy::servers::{Cluster, DEMO_DATABASES, DemoSize, Spec, make_demo_databases};
use pgconvoy::wire::{Conninfo, Environment};
use tempfile::TempDir;

use crate::oracle::{self, Side};
use crate::restores::{request as request_to_restore, restored};
use crate::{kit, migration, objects, pg_dump, random, restores, trial};

pub(crate) fn request(cluster: &Cluster, database: &str, path: &Path) -> DumpRequest {
    let source = cluster.superuser_conninfo(database);
    DumpRequest {
        source: Conninfo::parse(&source, &Environment::default()).unwrap(),
        choice: Choice::default(),
        roles: RoleMap::default(),
        part: Part::Everything,
        path: Some(path.to_owned()),
        form: DumpForm::Archive(Layout::Directory),
        compressing: Compressing::parse("gzip:1").unwrap(),
        for_pg_restore: None,
        jobs: Some(2),
        patience: Duration::ZERO,
    }
}

/// Dumps, stopping where `stops_at` says so; what was said meanwhile.
pub(crate) async fn watched(
    request: &DumpRequest,
    stops_at: impl Fn(&Event) -> bool,
) -> (Result<Dumped>, Vec<Event>) {
    let (events, mut heard) = Events::new();
    let (stopper, mut stop) = Stop::new();
    let dumping = async {
        let dumped = commands::dump(request, &events, &mut stop).await;
        drop(events);
        dumped
    };
    let listening = async {
        let mut all = Vec::new();
        while let Some(event) = heard.recv().await {
            if stops_at(&event) {
                stopper.stop();
            }
            all.push(event);
        }
        all
    };
    tokio::join!(dumping, listening)
}

async fn dumped(request: &DumpRequest) -> Dumped {
    match watched(request, |_| false).await.0 {
        Ok(dumped) => dumped,
        Err(error) => panic!("{error}"),
    }
}

pub(crate) fn archive() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    (folder, path)
}

/// A server for copies, with the roles of another.
pub(crate) async fn beside(cluster: &Cluster) -> Cluster {
    let copies = kit::bundled(cluster.installation().major()).await;
    pg_dump::carry_roles(cluster, &copies);
    copies
}

/// Restores a database with all that is its own, and compares it with the one that was dumped.
pub(crate) async fn assert_restored(
    database: &str,
    (cluster, copies): (&Cluster, &Cluster),
    archive: &Path,
    restorer: &Path,
    jobs: &str,
) {
    let what = format!("{} -j {jobs} {}", restorer.display(), archive.display());
    let flags = ["--create", "--exit-on-error", "--jobs", jobs];
    if let Err(words) = pg_dump::restore_by(restorer, archive, &flags, copies, "postgres") {
        panic!("{what}: {words}");
    }
    assert_same(database, (cluster, copies), &what).await;
}

/// Compares a restored database with the one that was dumped, and drops it.
async fn assert_same(database: &str, (cluster, copies): (&Cluster, &Cluster), what: &str) {
    let (ours, theirs) = (pg_dump::schema(cluster, database), pg_dump::schema(copies, database));
    if ours != theirs {
        // It knows what may differ.
        let side = |cluster| Side { cluster, database };
        oracle::assert_same(side(cluster), side(copies)).await;
    }
    let sides = migration::between(
        &cluster.superuser_conninfo(database),
        &copies.superuser_conninfo(database),
    );
    let reports = migration::verify(&sides).await.unwrap();
    let tables = &reports[0].verification.tables;
    let are_equal = tables.iter().all(|table| matches!(table, TableVerdict::Equal { .. }));
    assert!(are_equal, "{what}: {tables:?}");
    assert_eq!(sequences(cluster, database).await, sequences(copies, database).await, "{what}");
    let large = (large_objects(cluster, database).await, large_objects(copies, database).await);
    assert_eq!(large.0, large.1, "{what}");
    oracle::drop_with_subscriptions(Side { cluster: copies, database }).await;
}

async fn sequences(cluster: &Cluster, database: &str) -> String {
    let sql = "SELECT coalesce(string_agg(s::text, E'\\n' ORDER BY s::text), '') \
               FROM (SELECT schemaname, sequencename, last_value FROM pg_catalog.pg_sequences) s";
    trial::ask(cluster, database, sql).await
}

async fn every_kind_of_object_is_restored(major: u32) {
    let cluster = kit::bundled(major).await;
    objects::make(&cluster, "objects").await;
    let copies = beside(&cluster).await;
    let (_folder, path) = archive();
    for layout in [Layout::Directory, Layout::Custom] {
        let path = path.with_extension(format!("{layout:?}"));
        let form = DumpForm::Archive(layout);
        let request = DumpRequest { form, ..request(&cluster, "objects", &path) };
        dumped(&request).await;
        for restorer in restorers_for(major) {
            for jobs in ["1", "4"] {
                assert_restored("objects", (&cluster, &copies), &path, &restorer, jobs).await;
            }
            assert_never_held_up("objects", &copies, &path, &restorer).await;
        }
        restored(&request_to_restore(&path, &copies.superuser_conninfo("objects"))).await;
        assert_eq!(script(&cluster, "objects"), script(&copies, "objects"), "{layout:?}");
        assert_same("objects", (&cluster, &copies), "our own restore").await;
    }
}

/// Restores by several workers again, as often as `PGCONVOY_RESTORES` says: what is wrong with the
/// order of items, or with what they lock, shows once in a while.
async fn assert_never_held_up(database: &str, copies: &Cluster, archive: &Path, restorer: &Path) {
    let flags = ["--create", "--exit-on-error", "--jobs", "4"];
    for round in 0..random::from_environment("PGCONVOY_RESTORES").unwrap_or(0) {
        if let Err(words) = pg_dump::restore_by(restorer, archive, &flags, copies, "postgres") {
            panic!("{} {} round {round}: {words}", restorer.display(), archive.display());
        }
        oracle::drop_with_subscriptions(Side { cluster: copies, database }).await;
    }
}

/// Our own dump of the definitions.
fn script(cluster: &Cluster, database: &str) -> String {
    let script = piped(cluster, database, &["--format", "plain", "--schema-only"]);
    String::from_utf8(script).unwrap()
}

fn newest_restorer() -> PathBuf {
    pg_dump::restorers().pop().unwrap()
}

/// A newer pg_restore sets what an older server doesn't know, and says so.
fn restorers_for(major: u32) -> Vec<PathBuf> {
    let restorers = pg_dump::restorers();
    match major {
        17.. => restorers,
        _ => restorers.into_iter().take(1).collect(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_object_of_15_is_restored_by_pg_restore() {
    every_kind_of_object_is_restored(15).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_object_of_18_is_restored_by_pg_restore() {
    every_kind_of_object_is_restored(18).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demos_databases_come_back_from_our_archives_and_pg_dumps() {
    let cluster = kit::bundled(15).await;
    make_demo_databases(&cluster, DemoSize(3_000_000)).await.unwrap();
    let copies = beside(&cluster).await;
    let formats = ["--format=directory", "--format=custom", "--format=tar"];
    for (database, format) in DEMO_DATABASES.into_iter().zip(formats) {
        let (_folder, path) = archive();
        dumped(&request(&cluster, database, &path)).await;
        assert_restored(database, (&cluster, &copies), &path, &restorers_for(15)[0], "4").await;
        let theirs = path.with_extension("theirs");
        restores::dump(&pg_dump::newest(), &cluster, database, &[format], &theirs);
        for path in [path, theirs] {
            restored(&request_to_restore(&path, &copies.superuser_conninfo(database))).await;
            assert_same(database, (&cluster, &copies), &path.display().to_string()).await;
        }
    }
}

/// A table of several chunks, with what COPY has to say in another way; rows that find their
/// partitions anew; materialized views that need each other; large objects; hostile names.
pub(crate) const SHOP: &str = r#"
    CREATE TABLE big (id bigint PRIMARY KEY, note text, twice bigint GENERATED ALWAYS AS (id * 2) STORED);
    INSERT INTO big SELECT g, repeat(md5(g::text), 30) || E'\t\\.\n' || g
        FROM generate_series(1, 70000) g;
    CREATE INDEX ON big (left(note, 20));
    CREATE TABLE "o'dd ""t
able" ("A b" text, "c,d" bytea, e text[], "$f" money);
    INSERT INTO "o'dd ""t
able" VALUES (E'tab\there\nnl\\back', '\x0001ff', '{a,NULL,"b c"}', 1.5), (NULL, NULL, NULL, NULL),
        ('\.', '', '{}', -1234567.89);
    CREATE TABLE parts (k int PRIMARY KEY, v text) PARTITION BY RANGE (k);
    CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (100);
    CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (100) TO (200);
    INSERT INTO parts SELECT g, 'v' || g FROM generate_series(0, 199) g;
    CREATE TYPE colour AS ENUM ('r', 'g', 'b');
    CREATE TABLE hashed (c colour, n int) PARTITION BY HASH (c);
    CREATE TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE hashed_1 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    INSERT INTO hashed SELECT (ARRAY['r', 'g', 'b']::colour[])[1 + g % 3], g
        FROM generate_series(1, 20000) g;
    CREATE INDEX ON hashed (n);
    CREATE TABLE no_columns ();
    INSERT INTO no_columns DEFAULT VALUES;
    INSERT INTO no_columns DEFAULT VALUES;
    CREATE TABLE "nothing in it" (id int);
    CREATE TABLE child (big bigint REFERENCES big (id));
    INSERT INTO child SELECT generate_series(1, 1000);
    CREATE VIEW grouped AS SELECT id, note FROM big GROUP BY id;
    CREATE MATERIALIZED VIEW z_first AS SELECT count(*) AS n FROM big;
    CREATE MATERIALIZED VIEW a_second AS SELECT n + 1 AS m FROM z_first;
    CREATE SEQUENCE drawn;
    SELECT nextval('drawn'), nextval('drawn');
    COMMENT ON TABLE big IS 'it''s big';
    GRANT SELECT ON big TO PUBLIC;
    SELECT lo_create(60001);
    SELECT lo_from_bytea(60002, '\x00');
    SELECT lo_from_bytea(60005, convert_to(repeat('several pieces ', 200000), 'UTF8'));
    COMMENT ON LARGE OBJECT 60001 IS 'it''s empty';
    GRANT SELECT ON LARGE OBJECT 60002 TO PUBLIC;
"#;

/// A server with the shop.
pub(crate) async fn shop(major: u32) -> Cluster {
    quiet(major, SHOP).await
}

/// One with this as its shop, where nobody gathers statistics: that is a transaction, too.
pub(crate) async fn quiet(major: u32, shop: &str) -> Cluster {
    let cluster = kit::start(Spec::bundled().major(major).setting("autovacuum", "off")).await;
    trial::make_database(&cluster, "shop", shop).await;
    cluster
}

async fn large_objects(cluster: &Cluster, database: &str) -> String {
    let sql = "SELECT coalesce(string_agg(concat_ws(' ', o.oid, \
               pg_catalog.md5(pg_catalog.lo_get(o.oid)), o.lomowner::regrole, o.lomacl, \
               d.description), E'\\n' ORDER BY o.oid), '') \
               FROM pg_catalog.pg_largeobject_metadata o \
               LEFT JOIN pg_catalog.pg_description d ON d.objoid = o.oid \
               AND d.classoid = 'pg_catalog.pg_largeobject'::pg_catalog.regclass";
    trial::ask(cluster, database, sql).await
}

/// The streams of one table's chunks are one to pg_restore, in each format and compression.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_in_several_chunks_is_restored_from_every_format_and_compression() {
    let cluster = shop(18).await;
    let (_folder, path) = archive();
    let copies = beside(&cluster).await;
    let restorer = pg_dump::restorer_of_all_compressions();
    for layout in [Layout::Directory, Layout::Custom] {
        for compress in ["none", "gzip:1", "zstd:1", "lz4"] {
            let path = path.with_extension(format!("{layout:?}.{compress}"));
            let compressing = Compressing::parse(compress).unwrap();
            let form = DumpForm::Archive(layout);
            let request = DumpRequest { form, compressing, ..request(&cluster, "shop", &path) };
            let dumped = dumped(&request).await;
            let oldest = if compress.starts_with(['z', 'l']) { 16 } else { 12 };
            assert_eq!(dumped.pg_restore, Some(oldest));
            assert!(chunks_of_the_biggest(&path, layout) > 1, "the big table is in one chunk");
            let jobs = if layout == Layout::Custom { "4" } else { "1" };
            assert_restored("shop", (&cluster, &copies), &path, &restorer, jobs).await;
        }
    }
}

/// Before 14 a table is read by ranges of its key.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_an_older_source_is_dumped_in_several_chunks_and_restored_by_both() {
    let cluster = shop(12).await;
    // By its statistics.
    trial::change(&cluster, "shop", "ANALYZE big").await;
    let (_folder, path) = archive();
    let copies = beside(&cluster).await;
    dumped(&request(&cluster, "shop", &path)).await;
    assert!(chunks_of_the_biggest(&path, Layout::Directory) > 1, "the big table is in one chunk");
    assert_restored("shop", (&cluster, &copies), &path, &restorers_for(12)[0], "4").await;
    restored(&request_to_restore(&path, &copies.superuser_conninfo("shop"))).await;
    assert_same("shop", (&cluster, &copies), "our own restore").await;
}

/// How many chunks the manifest has of the table that has most.
fn chunks_of_the_biggest(path: &Path, layout: Layout) -> usize {
    let manifest = pgconvoy::archive::Manifest::path(path, layout);
    let manifest = std::fs::read(manifest).unwrap();
    let manifest: pgconvoy::archive::Manifest = serde_json::from_slice(&manifest).unwrap();
    manifest.rows.iter().map(|rows| rows.chunks.len()).max().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_dumped_alone() {
    let cluster = shop(18).await;
    let (_folder, path) = archive();
    let (schema, data) = (path.with_extension("schema"), path.with_extension("data"));
    let shop = |part, path: &Path| DumpRequest { part, ..request(&cluster, "shop", path) };
    assert_eq!(dumped(&shop(Part::Schema, &schema)).await.rows, 0);
    assert!(dumped(&shop(Part::Data, &data)).await.rows > 70_000);
    let copies = beside(&cluster).await;
    let restore = |archive: &Path, flags: &[&str], into: &str| {
        let flags = [&["--exit-on-error", "--jobs=4"], flags].concat();
        pg_dump::restore_by(&newest_restorer(), archive, &flags, &copies, into).unwrap();
    };
    restore(&schema, &["--create"], "postgres");
    let (ours, theirs) = (pg_dump::schema(&cluster, "shop"), pg_dump::schema(&copies, "shop"));
    pg_dump::assert_equal(&ours, &theirs, "schema only");
    // Rows come in any order, as pg_restore has no foreign keys to look at.
    trial::change(&copies, "shop", "ALTER TABLE child DROP CONSTRAINT child_big_fkey").await;
    restore(&data, &[], "shop");
    for table in ["big", "child", "no_columns"] {
        let (ours, theirs) =
            (trial::rows(&cluster, "shop", table).await, trial::rows(&copies, "shop", table).await);
        assert_eq!(ours, theirs, "{table}");
    }
    assert_eq!(large_objects(&cluster, "shop").await, large_objects(&copies, "shop").await);
}

/// What the program writes to standard output.
fn piped(cluster: &Cluster, database: &str, flags: &[&str]) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_pgconvoy"))
        .args(["dump", "--file", "-", "--source"])
        .arg(cluster.superuser_conninfo(database))
        .args(flags)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_archive_and_a_script_can_be_piped() {
    let cluster = shop(18).await;
    let copies = beside(&cluster).await;
    let (_folder, path) = archive();
    std::fs::write(&path, piped(&cluster, "shop", &["--format", "custom", "-Z", "gzip:1"]))
        .unwrap();
    assert_restored("shop", (&cluster, &copies), &path, &newest_restorer(), "4").await;

    let session = copies.superuser_session("postgres").await.unwrap();
    session.execute("making a database", "CREATE DATABASE shop OWNER shop").await.unwrap();
    let script = script(&cluster, "shop");
    pg_dump::run_script(&copies, "shop", "script", &script).unwrap();
    let (ours, theirs) = (pg_dump::schema(&cluster, "shop"), pg_dump::schema(&copies, "shop"));
    pg_dump::assert_equal(&ours, &theirs, "a script");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_dumped_is_refused_before_anything_is_written() {
    let cluster = kit::bundled(15).await;
    let sql = "CREATE TABLE t (id int); INSERT INTO t VALUES (1)";
    trial::make_database(&cluster, "shop", sql).await;
    let (folder, path) = archive();
    let refused = async |request: &DumpRequest| watched(request, |_| false).await.0.unwrap_err();

    std::fs::write(&path, "something").unwrap();
    let error = refused(&request(&cluster, "shop", &path)).await;
    assert!(error.to_string().contains("is there already"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"something");
    std::fs::remove_file(&path).unwrap();

    let zstd = DumpRequest {
        compressing: Compressing::parse("zstd").unwrap(),
        for_pg_restore: Some(15),
        ..request(&cluster, "shop", &path)
    };
    let error = refused(&zstd).await;
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.to_string().contains("--compress gzip"), "{error}");

    let to_stdout = DumpRequest { path: None, ..request(&cluster, "shop", &path) };
    assert_eq!(refused(&to_stdout).await.kind(), Kind::Usage);

    // Each value alone could be carried.
    let long = "CREATE TABLE long (id int, one bytea, other bytea); INSERT INTO long \
                SELECT 1, v, v FROM (SELECT convert_to(repeat('x', 270000000), 'UTF8') AS v) v";
    trial::change(&cluster, "shop", long).await;
    let error = refused(&request(&cluster, "shop", &path)).await;
    assert_eq!(error.kind(), Kind::Refused);
    assert!(error.to_string().contains("public.long;"), "{error}");

    // Nor may they together be too long where they lie in another value, however deep.
    let within =
        "CREATE DOMAIN blob AS bytea; CREATE TYPE pair AS (n int, \"of its\" blob, other blob[]);
        ALTER TABLE long RENAME TO in_array; ALTER TABLE in_array ADD all_of_it bytea[];
        UPDATE in_array SET all_of_it = ARRAY[one, NULL, other], one = NULL, other = NULL;
        CREATE TABLE in_pairs (id int, pairs pair[]);
        INSERT INTO in_pairs SELECT id, ARRAY[(1, all_of_it[1], ARRAY[all_of_it[3]])::pair, NULL]
            FROM in_array;
        CREATE TABLE not_too_long (v bytea[]);
        INSERT INTO not_too_long SELECT all_of_it[1:1] FROM in_array";
    trial::change(&cluster, "shop", within).await;
    let error = refused(&request(&cluster, "shop", &path)).await;
    let named = "bytea in: public.in_array, public.in_pairs;";
    assert!(error.to_string().contains(named), "{error}");
    trial::change(&cluster, "shop", "DROP TABLE in_array, in_pairs").await;

    // What others take as text shows only then.
    let escaped = r"CREATE TABLE escaped AS SELECT repeat('\', 600000000) AS v";
    trial::change(&cluster, "shop", escaped).await;
    let error = refused(&request(&cluster, "shop", &path)).await;
    assert!(error.to_string().contains("dumping public.escaped"), "{error}");
    assert!(error.hint_text().is_some_and(|hint| hint.contains("--where")), "{error}");
    assert!(!path.exists());
    std::fs::remove_dir_all(path.with_extension("partial")).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
