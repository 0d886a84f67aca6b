//! A part of an archive restored: rows into tables that are there, sections one after another, and
//! what speaks against that before anything is touched.

use std::path::Path;
use std::process::Command;

use pgconvoy::commands::{
    Beginning, Choice, Flag, ItemSection, Part, Phase, Request, RestoreRequest, RestoredPart, Rule,
};
use pgconvoy::error::Kind;
use pgconvoy::servers::Cluster;

use crate::restores::{
    assert_same_rows_of_shop, assert_same_shop, dump, make_roles, make_shop, refused, request,
    restore_until, restored, shop_folder,
};
use crate::resuming::finished;
use crate::{kit, migration, pg_dump, trial};

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
    assert!(words.contains("needs") && words.contains("TABLE public."), "{words}");
    restored(&part_of(&path, &target, section(ItemSection::PreData))).await;
    let indexes = "SELECT count(*)::text FROM pg_index WHERE indrelid >= 16384
        AND indrelid::regclass::text NOT LIKE 'p%'";
    assert_eq!(trial::ask(&target, "shop", indexes).await, "0");
    // What is somebody else's is none of the job's business: nobody is told to drop it.
    trial::change(&target, "shop", "CREATE EXTENSION citext").await;
    let strictly =
        RestoreRequest { strict: true, ..part_of(&path, &target, section(ItemSection::Data)) };
    assert_eq!(restored(&strictly).await.changes, []);
    trial::change(&target, "shop", "DROP EXTENSION citext").await;
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
    let (source, target) = filled_and_made(folder.path(), MADE).await;
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
            "to_customer of public.bills, circle of public.customers",
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
    // An archive of rows alone needs no flag for it.
    let of_rows = folder.path().join("rows");
    dump(&pg_dump::newest(), &source, "shop", &["--format=custom", "--data-only"], &of_rows);
    let report = restored(&request(&of_rows, &target.conninfo("shop"))).await;
    assert_eq!(report.rows, 200_000);
}

/// The lines of a list that name entries, but for those of the database as a whole, which pg_restore
/// shows with --create alone.
fn entries(list: &str) -> Vec<&str> {
    let is_entry = |line: &&str| line.starts_with(|c: char| c.is_ascii_digit());
    let of_database = |line: &&str| line.contains(" DATABASE");
    list.lines().filter(is_entry).filter(|line| !of_database(line)).collect()
}

fn run(program: &Path, args: &[&std::ffi::OsStr]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_pg_restores_and_each_side_takes_the_others() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    make_shop(&source).await;
    make_roles(&target).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop");
    let dumpers = pg_dump::of_each_major();
    let (_, dumper, _) = dumpers.iter().find(|(major, ..)| *major == 15).unwrap();
    dump(dumper, &source, "shop", &["--format=custom"], &path);
    let ours = Path::new(env!("CARGO_BIN_EXE_pgconvoy"));
    let list = run(ours, &["restore".as_ref(), "--list".as_ref(), path.as_os_str()]);
    let theirs = dumper.with_file_name("pg_restore");
    let control = run(&theirs, &["--list".as_ref(), path.as_os_str()]);
    assert_eq!(entries(&list), entries(&control));
    for section in ["pre-data", "post-data"] {
        let flag = format!("--section={section}");
        let args: [&std::ffi::OsStr; 3] = ["--list".as_ref(), flag.as_ref(), path.as_os_str()];
        let ours = run(ours, &[&["restore".as_ref()], &args[..]].concat());
        let theirs = run(&theirs, &args);
        let without_large = |list: &str| -> Vec<String> {
            let lines = entries(list)
                .into_iter()
                .filter(|line| !line.contains(" LARGE OBJECT") && !line.contains(" BLOB"));
            lines.map(str::to_owned).collect()
        };
        assert_eq!(without_large(&ours), without_large(&theirs), "{section}");
    }
    // Ours, with customers and what stands on them commented out, read by pg_restore.
    let is_out = |line: &&str| line.contains("customers") || line.contains("_customer_fkey");
    let edit = |list: &str| -> String {
        let line = |line| if is_out(&line) { format!(";{line}\n") } else { format!("{line}\n") };
        list.lines().map(line).collect()
    };
    let edited = folder.path().join("list");
    std::fs::write(&edited, edit(&list)).unwrap();
    let session = target.superuser_session("postgres").await.unwrap();
    session.execute("making a control", "CREATE DATABASE control").await.unwrap();
    let flags = ["--use-list", edited.to_str().unwrap()];
    pg_dump::restore_by(&theirs, &path, &flags, &target, "control").unwrap();
    // Theirs, edited alike, read by us.
    std::fs::write(&edited, edit(&control)).unwrap();
    let part = RestoredPart { list: Some(edited.clone()), ..RestoredPart::default() };
    let listed = part_of(&path, &target, part);
    restored(&listed).await;
    let (control, ours) = (pg_dump::schema(&target, "control"), pg_dump::schema(&target, "shop"));
    assert!(ours.contains("visits") && !ours.contains("TABLE public.customers"));
    pg_dump::assert_equal(&control, &ours, "a part of the shop");
    // Another list is another job, and one that names what isn't there is none.
    std::fs::write(&edited, "; nothing but\n1000000; 0 0 TABLE\n").unwrap();
    let words = refused(&listed).await;
    assert!(words.contains("line 2 of the list: the archive has no entry 1000000"), "{words}");
    std::fs::write(&edited, &list).unwrap();
    let words = refused(&listed).await;
    assert!(words.contains("begun with --use-list ("), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_without_what_it_needs_is_refused_by_name_unless_the_target_has_that() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    make_shop(&source).await;
    make_roles(&target).await;
    kit::run(&target.conninfo("postgres"), "CREATE DATABASE shop").await;
    let folder = tempfile::tempdir().unwrap();
    let path = shop_folder(&source, folder.path());
    let ours = Path::new(env!("CARGO_BIN_EXE_pgconvoy"));
    let list = run(ours, &["restore".as_ref(), "--list".as_ref(), path.as_os_str()]);
    let index = list.lines().find(|line| line.contains(" INDEX public by_text")).unwrap();
    let file = folder.path().join("list");
    std::fs::write(&file, index).unwrap();
    let part = RestoredPart { list: Some(file), ..RestoredPart::default() };
    let words = refused(&part_of(&path, &target, part.clone())).await;
    let needs = "TABLE public.Or\"ders (x): isn't on the target, isn't restored, and is needed by \
                 INDEX public.by_text";
    assert!(words.contains(needs), "{words}");
    let make = "CREATE TABLE \"Or\"\"ders (x)\" (\"From (\" text)";
    trial::change(&target, "shop", make).await;
    restored(&part_of(&path, &target, part)).await;
    let there = "SELECT pg_get_indexdef('public.by_text'::regclass)";
    assert!(trial::ask(&target, "shop", there).await.contains("md5"));
}

fn chosen(rules: &[(Flag, &str)]) -> RestoredPart {
    let rules = rules.iter().map(|(flag, pattern)| Rule::new(*flag, pattern).unwrap());
    RestoredPart { choice: Choice::new(rules.collect()), ..RestoredPart::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns_choose_of_an_archive_what_they_choose_of_a_server() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    make_shop(&source).await;
    make_roles(&target).await;
    let folder = tempfile::tempdir().unwrap();
    let path = shop_folder(&source, folder.path());
    for (number, rules) in [
        &[(Flag::Table, "cust*")][..],
        &[(Flag::Schema, "public"), (Flag::ExcludeTable, "public.visits")],
        &[(Flag::Include, "items"), (Flag::Include, "totals"), (Flag::ExcludeTableData, "items")],
        &[(Flag::ExcludeTable, "cust*")],
    ]
    .into_iter()
    .enumerate()
    {
        let moved = format!("moved{number}");
        let choice = chosen(rules).choice;
        let moving = Request {
            choice: choice.clone(),
            ..migration::between(&source.superuser_conninfo("shop"), &target.conninfo(&moved))
        };
        let watched = trial::run(&moving).await;
        watched.clean();
        let part = chosen(rules);
        let report = restored(&part_of(&path, &target, part)).await;
        let (ours, theirs) = (pg_dump::schema(&target, "shop"), pg_dump::schema(&target, &moved));
        pg_dump::assert_equal(&theirs, &ours, &format!("{rules:?}"));
        assert_eq!(report.rows, watched.clean().rows, "{rules:?}");
        let session = target.superuser_session("postgres").await.unwrap();
        session.execute("dropping it", "DROP DATABASE shop").await.unwrap();
    }
    let view = chosen(&[(Flag::Table, "totals")]);
    let words = refused(&part_of(&path, &target, view)).await;
    assert!(words.contains("needs TABLE public.items, which isn't chosen"), "{words}");
}

/// Runs pgconvoy with an archive on its standard input, up to the first line that says so, where it is
/// killed; or to its end.
#[cfg(unix)]
fn pipe(archive: &Path, folder: &Path, args: &[&str], kill_at: Option<&str>) -> (bool, String) {
    use std::io::{BufRead, BufReader};
    let mut child = Command::new(env!("CARGO_BIN_EXE_pgconvoy"))
        .args(args)
        .env("TMPDIR", folder)
        .stdin(std::fs::File::open(archive).unwrap())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        said.push_str(&line);
        said.push('\n');
        if kill_at.is_some_and(|words| line.contains(words)) {
            child.kill().unwrap();
            break;
        }
    }
    (child.wait().unwrap().success(), said)
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_on_standard_input_is_restored_and_gone_on_with_and_nothing_of_it_stays() {
    use std::os::unix::fs::PermissionsExt;
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    make_shop(&source).await;
    make_roles(&target).await;
    let (folder, aside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = folder.path().join("shop");
    dump(&pg_dump::newest(), &source, "shop", &["--format=custom"], &path);
    let kept = || -> Vec<std::path::PathBuf> {
        let files = std::fs::read_dir(aside.path()).unwrap();
        files.map(|file| file.unwrap().path()).collect()
    };
    let (sound, said) = pipe(&path, aside.path(), &["inspect", "-", "--json"], None);
    assert!(sound && said.contains("\"standard input\""), "{said}");
    assert_eq!(kept(), [""; 0].map(std::path::PathBuf::from));
    let conninfo = target.conninfo("shop");
    let args = ["restore", "-", "--json", "-j", "1", "--target", conninfo.as_str()];
    let (ended, said) = pipe(&path, aside.path(), &args, Some("step_finished"));
    assert!(!ended && said.contains("standard input is kept in"), "{said}");
    // Who is killed can't remove it; nobody else can read it.
    let left = kept();
    assert_eq!(left.len(), 1);
    assert_eq!(std::fs::metadata(&left[0]).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read(&left[0]).unwrap(), std::fs::read(&path).unwrap());
    std::fs::remove_file(&left[0]).unwrap();
    let (ended, said) = pipe(&path, aside.path(), &args, None);
    assert!(ended && said.contains("\"was_resumed\":true"), "{said}");
    assert_eq!(kept().len(), 0);
    assert_same_shop(&source, &target).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_begins_anew_where_only_its_own_work_is_dropped() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    make_shop(&source).await;
    make_roles(&target).await;
    let folder = tempfile::tempdir().unwrap();
    let path = shop_folder(&source, folder.path());
    let begun = part_of(&path, &target, rows(Part::Schema));
    restore_until(&begun, finished(Phase::Definitions, 1)).await.unwrap_err();
    let whole = request(&path, &target.conninfo("shop"));
    let words = refused(&whole).await;
    assert!(words.contains("begun with --schema-only") && words.contains("--restart"), "{words}");
    let anew = RestoreRequest { beginning: Beginning::Restart, ..whole.clone() };
    trial::change(&target, "shop", "CREATE TABLE somebodys (a int)").await;
    let words = refused(&anew).await;
    assert!(words.contains("TABLE public.somebodys"), "{words}");
    // Rows alone can't begin anew: what they go into would be gone.
    let data = RestoreRequest { part: rows(Part::Data), ..anew.clone() };
    let words = refused(&data).await;
    assert!(words.contains("needs what is in there"), "{words}");
    trial::change(&target, "shop", "DROP TABLE somebodys").await;
    restored(&anew).await;
    assert_same_shop(&source, &target).await;
    let clean = RestoreRequest { beginning: Beginning::Clean, part: rows(Part::Schema), ..whole };
    trial::change(&target, "shop", "CREATE TABLE somebodys (a int)").await;
    assert_eq!(restored(&clean).await.rows, 0);
    let gone = "SELECT (to_regclass('public.somebodys') IS NULL)::text";
    assert_eq!(trial::ask(&target, "shop", gone).await, "true");
}
