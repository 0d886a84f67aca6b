//! Archives that pg_dump made, restored: rows and schemas as PostgreSQL's own words have them, and
//! runs that are cut off and gone on with.

mod compared;
mod kinds;
mod odd;

use std::path::{Path, PathBuf};
use std::process::Command;

use pgconvoy::commands::{
    self, Beginning, DatabaseReport, Event, Events, Part, Phase, RestoreRequest, RestoredPart,
    RoleMap, Stop, VerifyMode,
};
use pgconvoy::error::{Kind, Result};
use pgconvoy::servers::Cluster;
use pgconvoy::wire::{Conninfo, Environment};

use crate::resuming::{finished, started};
use crate::{kit, pg_dump, trial};

/// A little of everything that takes a way of its own: keys, indexes, triggers, sequences, large
/// objects with comments and grants, unlogged and partitioned tables, text that has to be escaped.
const SHOP: &str = r#"
    CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL UNIQUE, stamp int);
    INSERT INTO customers (name, stamp) SELECT 'c' || i, i FROM generate_series(1, 100) i;
    INSERT INTO customers (name) VALUES (E'a\tb\nc\\d'), (''), ('\.'), ('é');
    CREATE TABLE "Or""ders (x)" (id bigint PRIMARY KEY, "From (" text, customer int
        REFERENCES customers, at timestamptz, twice bigint GENERATED ALWAYS AS (id * 2) STORED);
    INSERT INTO "Or""ders (x)" SELECT i, repeat(md5(i::text), 20), 1 + i % 100,
        '2026-03-29 00:00+00'::timestamptz + i * interval '1 minute'
        FROM generate_series(1, 20000) i;
    CREATE INDEX by_text ON "Or""ders (x)" (md5("From ("));
    CREATE TABLE items (id int GENERATED ALWAYS AS IDENTITY, data bytea, amount numeric);
    INSERT INTO items (data, amount) SELECT decode(md5(i::text), 'hex'), i / 7.0
        FROM generate_series(1, 5000) i;
    CREATE UNLOGGED TABLE baskets (id int PRIMARY KEY, what text);
    INSERT INTO baskets SELECT i, 'b' || i FROM generate_series(1, 30) i;
    CREATE TABLE nothing ();
    INSERT INTO nothing SELECT FROM generate_series(1, 7);
    CREATE TABLE visits (day date, who text) PARTITION BY RANGE (day);
    CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
    CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    INSERT INTO visits SELECT '2025-06-01'::date + i, 'v' || i FROM generate_series(1, 300) i;
    CREATE INDEX ON visits (who);
    CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NEW.stamp := -1; RETURN NEW; END $$;
    CREATE TRIGGER stamp BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION stamp();
    ALTER TABLE items ENABLE ROW LEVEL SECURITY;
    CREATE POLICY many ON items TO shop USING (id > 10);
    CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM items;
    SELECT nextval('customers_id_seq');
    SELECT lo_from_bytea(70001, 'one'), lo_from_bytea(70002, repeat('x', 200000)::bytea),
        lo_create(70003);
    COMMENT ON LARGE OBJECT 70002 IS 'it''s big';
    GRANT SELECT ON LARGE OBJECT 70001, 70003 TO clerk;
    GRANT SELECT, INSERT ON customers TO clerk WITH GRANT OPTION;
    GRANT SELECT (id) ON items TO clerk;
    REVOKE INSERT ON items FROM shop;
    SET ROLE clerk;
    GRANT SELECT ON customers TO PUBLIC;
"#;

/// What large objects are but for their names.
const LARGE_OBJECTS: &str = "
    SELECT string_agg(concat_ws(' ', m.oid, md5(lo_get(m.oid)), m.lomowner::regrole, m.lomacl,
        obj_description(m.oid, 'pg_largeobject')), E'\n' ORDER BY m.oid)
    FROM pg_largeobject_metadata m";

const SEQUENCE: &str = "SELECT last_value || ' ' || is_called FROM public.customers_id_seq";

pub(crate) async fn make_shop(cluster: &Cluster) {
    make_clerk(cluster).await;
    trial::make_database(cluster, "shop", SHOP).await;
    // Times are rendered in the zone of pg_dump's session.
    let set = "ALTER DATABASE shop SET work_mem = '5MB'; ALTER DATABASE shop SET timezone = 'Europe/Berlin'";
    trial::change(cluster, "shop", set).await;
}

pub(crate) async fn make_clerk(cluster: &Cluster) {
    kit::run(&cluster.conninfo("postgres"), "CREATE ROLE clerk").await;
}

/// The roles that the shop's archive names: an archive doesn't bring them.
pub(crate) async fn make_roles(cluster: &Cluster) {
    make_clerk(cluster).await;
    kit::run(&cluster.conninfo("postgres"), "CREATE ROLE shop").await;
}

/// Dumps a database by a pg_dump into `path`.
pub(crate) fn dump(program: &Path, cluster: &Cluster, database: &str, flags: &[&str], path: &Path) {
    let output = Command::new(program)
        .args(flags)
        .args(["--exclude-schema=pgconvoy", "--file"])
        .arg(path)
        .arg("--dbname")
        .arg(cluster.socket_conninfo(database))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{flags:?}: {errors}");
}

/// A folder of the shop by the newest pg_dump.
pub(crate) fn shop_folder(source: &Cluster, folder: &Path) -> PathBuf {
    let path = folder.join("shop");
    dump(&pg_dump::newest(), source, "shop", &["--format=directory"], &path);
    path
}

pub(crate) fn request(archive: &Path, target: &str) -> RestoreRequest {
    RestoreRequest {
        archive: archive.to_owned(),
        target: Conninfo::parse(target, &Environment::default()).unwrap(),
        roles: RoleMap::default(),
        part: RestoredPart::default(),
        beginning: Beginning::GoOn,
        jobs: Some(2),
        verify: VerifyMode::Full,
        patience: std::time::Duration::ZERO,
        analyze: true,
        strict: false,
    }
}

/// Runs a restore, and stops it at the first event for which `when` holds.
pub(crate) async fn restore_until(
    request: &RestoreRequest,
    mut when: impl FnMut(&Event) -> bool,
) -> Result<DatabaseReport> {
    let (stopper, mut stop) = Stop::new();
    let (events, mut heard) = Events::new();
    let restoring = async {
        let restored = commands::restore(request, &events, &mut stop).await;
        drop(events);
        restored
    };
    let watching = async {
        while let Some(event) = heard.recv().await {
            if when(&event) {
                stopper.stop();
            }
        }
    };
    tokio::join!(restoring, watching).0
}

pub(crate) async fn restored(request: &RestoreRequest) -> DatabaseReport {
    match restore_until(request, |_| false).await {
        Ok(report) => {
            assert!(report.verification.is_clean(), "{:#?}", report.verification);
            report
        }
        Err(error) => panic!("{error}"),
    }
}

pub(crate) async fn refused(request: &RestoreRequest) -> String {
    match restore_until(request, |_| false).await {
        Ok(report) => panic!("it isn't refused: {:?}", report.verification),
        Err(error) => error.to_string(),
    }
}

/// Fails unless both sides hold the same shop.
pub(crate) async fn assert_same_shop(source: &Cluster, target: &Cluster) {
    assert_same_rows_of_shop(source, target).await;
    let (ours, theirs) = (pg_dump::schema(source, "shop"), pg_dump::schema(target, "shop"));
    pg_dump::assert_equal(&ours, &theirs.replace("master", "postgres"), "shop");
}

pub(crate) async fn assert_same_rows_of_shop(source: &Cluster, target: &Cluster) {
    let sql = "SELECT string_agg(quote_ident(c.relname), '|' ORDER BY c.relname) FROM pg_class c \
               WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace";
    let tables = trial::ask(source, "shop", sql).await;
    for table in tables.split('|') {
        let (ours, theirs) =
            (trial::rows(source, "shop", table).await, trial::rows(target, "shop", table).await);
        assert_eq!(ours, theirs, "{table}");
    }
    for sql in [LARGE_OBJECTS, SEQUENCE] {
        assert_eq!(
            trial::ask(source, "shop", sql).await,
            trial::ask(target, "shop", sql).await.replace("master", "postgres"),
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_of_every_format_are_restored_into_a_database_that_is_made_for_them() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    make_shop(&source).await;
    make_roles(&target).await;
    let folder = tempfile::tempdir().unwrap();
    for (number, flags) in [
        ["--format=directory", "--compress=6"],
        ["--format=directory", "--compress=0"],
        ["--format=custom", "--compress=6"],
        ["--format=custom", "--compress=0"],
        ["--format=tar", "--compress=0"],
    ]
    .iter()
    .enumerate()
    {
        let path = folder.path().join(number.to_string());
        dump(&pg_dump::newest(), &source, "shop", flags, &path);
        let report = restored(&request(&path, &target.conninfo("shop"))).await;
        assert!(report.rows > 25_000, "{flags:?}");
        assert_same_shop(&source, &target).await;
        drop_shop(&target).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_of_our_own_come_back_as_what_they_were_made_of() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::rds_like(15));
    make_shop(&source).await;
    make_roles(&target).await;
    let folder = tempfile::tempdir().unwrap();
    for (number, flags) in [
        ["--format=directory", "--compress=zstd"],
        ["--format=directory", "--compress=lz4"],
        ["--format=custom", "--compress=zstd:1"],
        ["--format=custom", "--compress=gzip"],
        ["--format=custom", "--compress=none"],
    ]
    .iter()
    .enumerate()
    {
        let path = folder.path().join(number.to_string());
        let mut program = Command::new(env!("CARGO_BIN_EXE_pgconvoy"));
        program.arg("dump").args(flags).args(["-j", "2", "--file"]).arg(&path).arg("--source");
        let dumped = program.arg(source.superuser_conninfo("shop")).output().unwrap();
        let words = String::from_utf8_lossy(&dumped.stderr);
        assert!(dumped.status.success(), "{flags:?}: {words}");
        let report = restored(&request(&path, &target.conninfo("shop"))).await;
        assert!(report.rows > 25_000, "{flags:?}");
        assert_same_shop(&source, &target).await;
        drop_shop(&target).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_goes_into_an_rds_like_server_under_the_owners_that_it_has() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::rds_like(15));
    make_shop(&source).await;
    make_roles(&target).await;
    let folder = tempfile::tempdir().unwrap();
    let path = shop_folder(&source, folder.path());
    let report = restored(&request(&path, &target.conninfo("shop"))).await;
    assert!(!report.was_resumed && report.rows > 25_000);
    assert_same_shop(&source, &target).await;
    let again = restored(&request(&path, &target.conninfo("shop"))).await;
    assert!(again.was_finished);
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_that_the_target_lacks_are_named_before_anything_is_touched() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::rds_like(15));
    make_shop(&source).await;
    let folder = tempfile::tempdir().unwrap();
    let path = shop_folder(&source, folder.path());
    let words = refused(&request(&path, &target.conninfo("shop"))).await;
    assert!(words.contains("role clerk") && words.contains("CREATE ROLE \"clerk\""), "{words}");
    let databases = "SELECT count(*)::text FROM pg_database WHERE datname = 'shop'";
    assert_eq!(trial::ask(&target, "postgres", databases).await, "0");
    let roles = ["clerk=master", "shop=master"].map(str::to_owned);
    let mapped = RestoreRequest {
        roles: RoleMap::parse(&roles).unwrap(),
        ..request(&path, &target.conninfo("shop"))
    };
    restored(&mapped).await;
    let owner = "SELECT relowner::regrole::text FROM pg_class WHERE relname = 'customers'";
    assert_eq!(trial::ask(&target, "shop", owner).await, "master");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_definitions_are_restored_where_that_is_asked_for() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    make_shop(&source).await;
    make_roles(&target).await;
    let folder = tempfile::tempdir().unwrap();
    let path = shop_folder(&source, folder.path());
    let part = RestoredPart { rows: Part::Schema, ..RestoredPart::default() };
    let only = RestoreRequest { part, ..request(&path, &target.conninfo("shop")) };
    assert_eq!(restored(&only).await.rows, 0);
    let (ours, theirs) = (pg_dump::schema(&source, "shop"), pg_dump::schema(&target, "shop"));
    pg_dump::assert_equal(&ours, &theirs, "shop");
    let words = refused(&request(&path, &target.conninfo("shop"))).await;
    assert!(words.contains("begun with --schema-only, not with no filters"), "{words}");
}

/// Writes what one of our own archives has beside it: the biggest file's chunks, each of so many
/// bytes at least.
fn write_manifest(archive: &Path, chunk_bytes: usize) -> usize {
    let file = biggest(archive);
    let item: i32 = file.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let data = std::fs::read(&file).unwrap();
    let rows = data.strip_suffix(b"\\.\n\n\n").unwrap();
    let (mut chunks, mut start) = (Vec::new(), 0);
    while start < rows.len() {
        let least = (start + chunk_bytes).min(rows.len()) - 1;
        let end = least + rows[least..].iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let chunk = &rows[start..end];
        chunks.push(serde_json::json!({
            "offset": start, "length": chunk.len(), "bytes": chunk.len(),
            "crc32": crc32fast::hash(chunk),
            "rows": chunk.iter().filter(|byte| **byte == b'\n').count(),
        }));
        start = end;
    }
    let count = chunks.len();
    let contents = std::fs::read(archive.join("toc.dat")).unwrap();
    let manifest = serde_json::json!({
        "format": 1, "tool": "test", "contents_crc32": crc32fast::hash(&contents),
        "rows": [{ "item": item, "fingerprint": "", "chunks": chunks }],
    });
    std::fs::write(archive.join("pgconvoy.json"), manifest.to_string()).unwrap();
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chunks_of_a_big_table_are_restored_by_several_workers_and_gone_on_with() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    let big = "CREATE TABLE big (id int PRIMARY KEY, note text);
        INSERT INTO big SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, 150000) i";
    trial::make_database(&source, "shop", big).await;
    kit::run(&target.conninfo("postgres"), "CREATE ROLE shop").await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop");
    let flags = ["--format=directory", "--compress=0"];
    dump(&pg_dump::newest(), &source, "shop", &flags, &path);
    assert_eq!(write_manifest(&path, 17 << 20), 6);
    let one = RestoreRequest { jobs: Some(1), ..request(&path, &target.conninfo("shop")) };
    restore_until(&one, finished(Phase::Data, 2)).await.unwrap_err();
    let done = "SELECT count(*)::text FROM pgconvoy.receipt JOIN pgconvoy.step ON id = step \
                WHERE phase = 'data'";
    let before: u32 = trial::ask(&target, "shop", done).await.parse().unwrap();
    // The last two are small enough to go together.
    assert!((2..5).contains(&before), "{before}");
    let report = restored(&request(&path, &target.conninfo("shop"))).await;
    assert!(report.was_resumed);
    assert_eq!(report.rows, 150_000);
    assert_eq!(trial::ask(&target, "shop", done).await, "5");
    trial::assert_same_rows(&source, &target, "shop").await;
    drop_shop(&target).await;
    // A manifest that speaks of other rows is damage.
    let file = biggest(&path);
    let mut data = std::fs::read(&file).unwrap();
    let at = data.len() / 2;
    data[at] = if data[at] == b'0' { b'1' } else { b'0' };
    std::fs::write(&file, data).unwrap();
    let words = refused(&request(&path, &target.conninfo("shop"))).await;
    assert!(words.contains("public.big") && words.contains("CRC-32"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_restore_goes_on_and_nothing_is_done_twice() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::rds_like(15));
    make_shop(&source).await;
    make_roles(&target).await;
    let folder = tempfile::tempdir().unwrap();
    let path = shop_folder(&source, folder.path());
    let request = RestoreRequest { jobs: Some(1), ..request(&path, &target.conninfo("shop")) };
    // Times in another zone are read back each time: only in the end the target says what they are.
    let receipts = "SELECT coalesce(string_agg(concat_ws(' ', step, part, finished_at), E'\n' \
                    ORDER BY step, part), '') FROM pgconvoy.receipt \
                    WHERE step NOT IN (SELECT id FROM pgconvoy.step WHERE phase = 'verification')";
    let mut done: Vec<String> = Vec::new();
    type Point = Box<dyn FnMut(&Event) -> bool>;
    let points: [Point; 4] = [
        Box::new(finished(Phase::Definitions, 1)),
        Box::new(finished(Phase::Data, 1)),
        Box::new(started(Phase::ForeignKeys)),
        Box::new(started(Phase::Settling)),
    ];
    for when in points {
        let error = restore_until(&request, when).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Interrupted, "{error}");
        let now: Vec<String> =
            trial::ask(&target, "shop", receipts).await.lines().map(str::to_owned).collect();
        assert!(now.len() > done.len(), "{now:#?}");
        assert!(done.iter().all(|one| now.contains(one)), "{done:#?} {now:#?}");
        done = now;
    }
    assert!(restored(&request).await.was_resumed);
    assert_same_shop(&source, &target).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_of_every_pg_dump_and_compression_go_into_18() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(18));
    make_shop(&source).await;
    make_roles(&target).await;
    let folder = tempfile::tempdir().unwrap();
    let mut formats = ["custom", "directory"].into_iter().cycle();
    for (major, dumper, compresses) in pg_dump::of_each_major() {
        let mut all = vec!["6"];
        if compresses {
            all.extend(["zstd:3", "lz4"]);
        }
        for compression in all {
            let format = formats.next().unwrap();
            let path = folder.path().join(format!("{major}-{compression}-{format}"));
            let (format, compress) =
                (format!("--format={format}"), format!("--compress={compression}"));
            let flags = [&format, &compress, "--load-via-partition-root"];
            dump(&dumper, &source, "shop", &flags, &path);
            let report = restored(&request(&path, &target.conninfo("shop"))).await;
            assert!(report.rows > 25_000, "{path:?}");
            assert_same_rows_of_shop(&source, &target).await;
            drop_shop(&target).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_archive_is_refused_by_name_and_a_copy_of_this_one_is_not() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    make_shop(&source).await;
    make_roles(&target).await;
    let folder = tempfile::tempdir().unwrap();
    let path = shop_folder(&source, folder.path());
    let first = request(&path, &target.conninfo("shop"));
    restore_until(&first, finished(Phase::Data, 1)).await.unwrap_err();
    trial::change(&source, "shop", "CREATE TABLE more (a int)").await;
    let other = folder.path().join("other");
    dump(&pg_dump::newest(), &source, "shop", &["--format=directory"], &other);
    let words = refused(&request(&other, &target.conninfo("shop"))).await;
    assert!(words.contains("restores another one, the archive of 20"), "{words}");
    let moved = folder.path().join("moved");
    std::fs::rename(&path, &moved).unwrap();
    assert!(restored(&request(&moved, &target.conninfo("shop"))).await.was_resumed);
}

async fn drop_shop(target: &Cluster) {
    let session = target.superuser_session("postgres").await.unwrap();
    session.execute("dropping it", "DROP DATABASE shop").await.unwrap();
}

/// The biggest file of a folder: the data of the shop's biggest table.
fn biggest(folder: &Path) -> PathBuf {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.max_by_key(|file| std::fs::metadata(file).unwrap().len()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_cut_off_ends_the_run_and_the_whole_one_lets_it_go_on() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    make_shop(&source).await;
    make_roles(&target).await;
    let folder = tempfile::tempdir().unwrap();
    for compress in ["--compress=0", "--compress=6"] {
        let path = folder.path().join(compress);
        dump(&pg_dump::newest(), &source, "shop", &["--format=directory", compress], &path);
        let file = biggest(&path);
        let whole = std::fs::read(&file).unwrap();
        for length in [whole.len() / 2, whole.len() - 6, 0] {
            std::fs::write(&file, &whole[..length]).unwrap();
            let words = refused(&request(&path, &target.conninfo("shop"))).await;
            assert!(words.contains("Or\"ders (x)"), "{words}");
            let sql = "SELECT count(*)::text FROM public.\"Or\"\"ders (x)\"";
            assert_eq!(trial::ask(&target, "shop", sql).await, "0");
        }
        std::fs::write(&file, &whole).unwrap();
        assert!(restored(&request(&path, &target.conninfo("shop"))).await.was_resumed);
        assert_same_shop(&source, &target).await;
        drop_shop(&target).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_killed_is_gone_on_with() {
    use std::io::{BufRead, BufReader};
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    make_shop(&source).await;
    make_roles(&target).await;
    let folder = tempfile::tempdir().unwrap();
    let path = shop_folder(&source, folder.path());
    for words in [["step_finished", "definitions"], ["step_started", "data"]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pgconvoy"))
            .args(["restore", "--json", "-j", "1", "--target"])
            .arg(target.conninfo("shop"))
            .arg(&path)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let mut lines = said.lines().map(|line| line.unwrap());
        let point = lines.find(|line| words.iter().all(|word| line.contains(word)));
        assert!(point.is_some(), "{words:?} never came");
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(restored(&request(&path, &target.conninfo("shop"))).await.was_resumed);
    assert_same_shop(&source, &target).await;
}
