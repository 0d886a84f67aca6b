//! Archives that are damaged, odd, or made to harm.

use std::path::Path;
use std::process::{Command, Stdio};

use pgconvoy::archive::{Contents, Item};
use pgconvoy::servers::Cluster;

use super::{
    assert_same_shop, biggest, drop_shop, dump, make_roles, make_shop, refused, request, restored,
    shop_folder,
};
use crate::{kit, pg_dump, trial};

/// The exit code of `pgconvoy restore`, and what it says.
fn restore_by_command(archive: &Path, target: &Cluster, database: &str) -> (i32, String) {
    restore_into(archive, &target.conninfo(database), &[])
}

fn restore_into(archive: &Path, target: &str, flags: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_pgconvoy"))
        .args(["restore", "-j", "2", "--retry-for", "0"])
        .args(flags)
        .arg("--target")
        .arg(target)
        .arg(archive)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_rows_fails_a_step_and_the_mended_archive_lets_the_job_go_on() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    make_shop(&source).await;
    make_roles(&target).await;
    let folder = tempfile::tempdir().unwrap();
    for format in ["directory", "custom"] {
        let path = folder.path().join(format);
        let flags = [&format!("--format={format}"), "--compress=6"];
        dump(&pg_dump::newest(), &source, "shop", &flags, &path);
        let file = if path.is_dir() { biggest(&path) } else { path.clone() };
        let whole = std::fs::read(&file).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 4;
        std::fs::write(&file, flipped).unwrap();
        for _ in 0..2 {
            let (code, words) = restore_by_command(&path, &target, "shop");
            assert_eq!(code, 5, "{words}");
            let name = file.file_name().unwrap().to_str().unwrap();
            assert!(words.contains("Or\"ders (x)") && words.contains(name), "{words}");
            assert!(words.contains("at byte ") && words.contains("hint: "), "{words}");
        }
        std::fs::write(&file, whole).unwrap();
        let (code, words) = restore_by_command(&path, &target, "shop");
        assert_eq!(code, 0, "{words}");
        assert_same_shop(&source, &target).await;
        drop_shop(&target).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_whole_archive_is_refused_before_a_server_is_asked() {
    let source = kit::bundled(15).await;
    trial::make_database(&source, "shop", "CREATE TABLE t (id int); INSERT INTO t VALUES (1)")
        .await;
    let folder = tempfile::tempdir().unwrap();
    let (custom, directory) = (folder.path().join("custom"), folder.path().join("directory"));
    let newest = pg_dump::newest();
    dump(&newest, &source, "shop", &["--format=custom"], &custom);
    dump(&newest, &source, "shop", &["--format=directory"], &directory);
    let whole = std::fs::read(&custom).unwrap();
    let with = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        bytes
    };
    let odd = folder.path().join("odd");
    let mut cases = vec![
        (Vec::new(), "it is empty"),
        (with(0, b'X'), "begins like no archive"),
        (with(6, 99), "1.99, which is newer"),
        (with(6, 13), "1.13, from before PostgreSQL 12"),
    ];
    cases.extend(
        (6..whole.len() / 2).step_by(97).map(|length| (whole[..length].to_vec(), "cut off")),
    );
    for (bytes, says) in cases {
        std::fs::write(&odd, bytes).unwrap();
        let (code, words) = restore_into(&odd, NOWHERE, &[]);
        assert!(code == 3 && words.contains(says), "{code} {says}: {words}");
        assert!(words.contains("hint: ") && words.contains(odd.to_str().unwrap()), "{words}");
    }
    std::fs::remove_file(directory.join(data_file(&directory))).unwrap();
    let (code, words) = restore_into(&directory, NOWHERE, &[]);
    assert!(code == 3 && words.contains("TABLE DATA t") && words.contains(".dat"), "{words}");
    let (code, words) = restore_into(&directory, NOWHERE, &["--schema-only"]);
    assert_eq!(code, 4, "no rows are wanted: {words}");
}

/// The name of a folder's only file with data.
fn data_file(archive: &Path) -> std::ffi::OsString {
    let files = std::fs::read_dir(archive).unwrap().map(|file| file.unwrap().file_name());
    files.filter(|name| name != "toc.dat").last().unwrap()
}

/// Where no server is.
const NOWHERE: &str = "host=/nowhere dbname=shop user=nobody";

/// Changes the contents of a folder's archive.
fn edit(archive: &Path, change: impl FnOnce(&mut Vec<Item>)) {
    let file = archive.join("toc.dat");
    let mut contents = Contents::read(std::fs::read(&file).unwrap().as_slice()).unwrap();
    change(&mut contents.items);
    let mut bytes = Vec::new();
    contents.write(&mut bytes).unwrap();
    std::fs::write(&file, bytes).unwrap();
}

fn table<'a>(items: &'a mut [Item], name: &str) -> &'a mut Item {
    items.iter_mut().find(|item| item.desc == "TABLE" && item.tag == name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_that_no_pg_dump_writes_are_refused_before_anything_is_touched() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    make_shop(&source).await;
    make_roles(&target).await;
    let folder = tempfile::tempdir().unwrap();
    for (number, sql) in
        ["COMMIT;\n", "SET search_path = evil;\n", "COPY t FROM PROGRAM 'id';\n"].iter().enumerate()
    {
        let path = folder.path().join(number.to_string());
        dump(&pg_dump::newest(), &source, "shop", &["--format=directory"], &path);
        edit(&path, |items| table(items, "items").create.push_str(sql));
        let (code, words) = restore_by_command(&path, &target, "shop");
        assert!(code == 3 && words.contains("TABLE items: "), "{words}");
        let databases = "SELECT count(*)::text FROM pg_database WHERE datname = 'shop'";
        assert_eq!(trial::ask(&target, "postgres", databases).await, "0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_whose_transaction_a_statement_has_ended_leaves_no_receipt() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    make_shop(&source).await;
    make_roles(&target).await;
    let folder = tempfile::tempdir().unwrap();
    let path = shop_folder(&source, folder.path());
    // What looks like a function's body hides what follows.
    edit(&path, |items| {
        table(items, "items").create.push_str(
            "CREATE DOMAIN public.begin AS integer;\nSELECT NULL::public.begin atomic;\nCOMMIT;\n",
        );
    });
    let (code, words) = restore_by_command(&path, &target, "shop");
    assert_eq!(code, 5, "{words}");
    assert!(words.contains("writing the receipt") && words.contains("25P01"), "{words}");
    let receipts = "SELECT count(*)::text FROM pgconvoy.receipt JOIN pgconvoy.step ON id = step \
                    WHERE phase = 'definitions'";
    assert_eq!(trial::ask(&target, "shop", receipts).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_in_another_encoding_comes_out_as_what_was_dumped() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(18));
    let sql = "CREATE TABLE \"caf\u{e9}\" (id int PRIMARY KEY, \"n\u{e4}me\" text);
        COMMENT ON TABLE \"caf\u{e9}\" IS 'cr\u{e8}me; br\u{fb}l\u{e9}e';
        INSERT INTO \"caf\u{e9}\" SELECT i, 'na\u{ef}ve \u{80}\u{ff} \\ ' || chr(9) || i
        FROM generate_series(1, 1000) i";
    trial::make_database(&source, "shop", sql).await;
    let japanese = "CREATE TABLE words (id int, word text);
        INSERT INTO words VALUES (1, '\u{8868}\u{793a}'), (2, E'\u{80fd}\\t\\\\'), (3, 'a')";
    trial::make_database(&source, "words", japanese).await;
    for database in ["shop", "words"] {
        kit::run(&target.conninfo("postgres"), &format!("CREATE ROLE {database}")).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut number = 0;
    for (database, table, encodings) in [
        ("shop", "\"caf\u{e9}\"", &["LATIN1"][..]),
        ("words", "words", &["EUC_JP", "SJIS", "UTF8"]),
    ] {
        for encoding in encodings {
            for (_, dumper, _) in pg_dump::of_each_major() {
                number += 1;
                let path = folder.path().join(number.to_string());
                let flags = ["--format=custom", &format!("--encoding={encoding}")];
                dump(&dumper, &source, database, &flags, &path);
                restored(&request(&path, &target.conninfo(database))).await;
                let ours = trial::rows(&source, database, table).await;
                assert_eq!(trial::rows(&target, database, table).await, ours, "{encoding}");
                let (ours, theirs) =
                    (pg_dump::schema(&source, database), pg_dump::schema(&target, database));
                pg_dump::assert_equal(&ours, &theirs, encoding);
                kit::run(&target.conninfo("postgres"), &format!("DROP DATABASE {database}")).await;
            }
        }
    }
    // What only the server could read is refused, with what to do.
    trial::change(&source, "words", "COMMENT ON TABLE words IS '\u{8868}'").await;
    let path = folder.path().join("definitions");
    dump(&pg_dump::newest(), &source, "words", &["--format=custom", "--encoding=EUC_JP"], &path);
    let words = refused(&request(&path, &target.conninfo("words"))).await;
    assert!(words.contains("EUC_JP") && words.contains("--encoding UTF8"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_large_objects_come_in_several_transactions() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    let objects = "SELECT lo_from_bytea(i, convert_to(repeat('x', i % 5000), 'UTF8'))
        FROM generate_series(100001, 102500) i";
    trial::make_database(&source, "shop", objects).await;
    kit::run(&target.conninfo("postgres"), "CREATE ROLE shop").await;
    let all = "SELECT md5(string_agg(concat_ws(' ', oid, md5(lo_get(oid)), lomowner::regrole), '|' \
               ORDER BY oid)) FROM pg_largeobject_metadata";
    let folder = tempfile::tempdir().unwrap();
    let steps = "SELECT count(*)::text FROM pgconvoy.receipt JOIN pgconvoy.step ON id = step \
                 WHERE phase = 'data'";
    let dumpers = pg_dump::of_each_major();
    let (major, dumper, _) = &dumpers[0];
    assert!(*major <= 16, "it has them in one entry");
    for format in ["directory", "custom"] {
        let path = folder.path().join(format);
        dump(dumper, &source, "shop", &[&format!("--format={format}")], &path);
        restored(&request(&path, &target.conninfo("shop"))).await;
        assert_eq!(trial::ask(&source, "shop", all).await, trial::ask(&target, "shop", all).await);
        assert_eq!(trial::ask(&target, "shop", steps).await, "3", "{format}");
        drop_shop(&target).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_of_the_job_that_filled_a_database_is_left_out() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    make_shop(&source).await;
    make_roles(&target).await;
    let folder = tempfile::tempdir().unwrap();
    let path = shop_folder(&source, folder.path());
    restored(&request(&path, &target.conninfo("shop"))).await;
    let again = folder.path().join("again");
    let conninfo = target.socket_conninfo("shop");
    let mut program = Command::new(pg_dump::newest());
    program.args(["--format=custom", "--file"]).arg(&again).arg("--dbname").arg(conninfo);
    assert!(program.status().unwrap().success());
    drop_shop(&target).await;
    let (code, words) = restore_by_command(&again, &target, "shop");
    assert_eq!(code, 0, "{words}");
    assert_same_shop(&source, &target).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_cannot_steer_a_terminal() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    let sql = "CREATE TABLE \"a\u{1b}[2J\n\\! id\u{202e}\" (id int);
        INSERT INTO \"a\u{1b}[2J\n\\! id\u{202e}\" VALUES (1)";
    trial::make_database(&source, "shop", sql).await;
    let folder = tempfile::tempdir().unwrap();
    let path = shop_folder(&source, folder.path());
    let (code, missing) = restore_by_command(&path, &target, "shop");
    assert_eq!(code, 3, "{missing}");
    kit::run(&target.conninfo("postgres"), "CREATE ROLE shop").await;
    let (code, said) = restore_by_command(&path, &target, "shop");
    assert_eq!(code, 0, "{said}");
    let inspect = Command::new(env!("CARGO_BIN_EXE_pgconvoy")).arg("inspect").arg(&path).output();
    let listed = String::from_utf8(inspect.unwrap().stdout).unwrap();
    assert!(listed.contains(r"a\u{1b}[2J\n\! id"), "{listed}");
    for text in [missing, said, listed] {
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("\\!")), "{text}");
    }
}
