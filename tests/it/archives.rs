//! Archives that pg_dump made, of every major version and in every format and compression that is
//! to be had: what we read of them is what was in the database.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pgconvoy::archive::{Archive, Contents, Item, Place, Version, read_error};
use pgconvoy::pg::Oid;
use pgconvoy::servers::Cluster;

use crate::{kit, pg_dump, trial};

/// Values that COPY escapes, no rows, no columns, many rows, names that try to be something else, and
/// large objects: none at all in one, and more than a block.
const SHOP: &str = r#"
    CREATE TABLE escaped (id int, value text);
    INSERT INTO escaped VALUES (1, E'a\\.b\tc\nd\r\\'), (2, NULL), (3, ''), (4, E'\\.'), (5, '.');
    CREATE TABLE empty (id int);
    CREATE TABLE no_columns ();
    INSERT INTO no_columns DEFAULT VALUES;
    INSERT INTO no_columns DEFAULT VALUES;
    CREATE TABLE many AS SELECT i, 'row ' || i AS value FROM generate_series(1, 50000) i;
    CREATE SCHEMA "../a ""schema""
;--";
    CREATE TABLE "../a ""schema""
;--"."COPY x FROM stdin;
\." ("\." int);
    INSERT INTO "../a ""schema""
;--"."COPY x FROM stdin;
\." VALUES (7);
    SELECT lo_create(60001);
    SELECT lo_from_bytea(60002, '\x0a5c2e0a00');
    SELECT lo_from_bytea(4000000000, convert_to(repeat('several blocks ', 50000), 'UTF8'));
"#;

/// Its tables, and their rows as COPY has them.
fn tables() -> Vec<(&'static str, String)> {
    let many = (1..=50_000).map(|i| format!("{i}\trow {i}\n")).collect();
    let escaped = "1\ta\\\\.b\\tc\\nd\\r\\\\\n2\t\\N\n3\t\n4\t\\\\.\n5\t.\n";
    vec![
        ("escaped", escaped.to_owned()),
        ("empty", String::new()),
        ("no_columns", "\n\n".to_owned()),
        ("many", many),
        ("COPY x FROM stdin;\n\\.", "7\n".to_owned()),
    ]
}

fn large_objects() -> Vec<(Oid, Vec<u8>)> {
    vec![
        (Oid(60001), Vec::new()),
        (Oid(60002), b"\n\\.\n\0".to_vec()),
        (Oid(4_000_000_000), "several blocks ".repeat(50_000).into_bytes()),
    ]
}

/// A way to dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Directory,
    Custom,
    /// Into a pipe, where pg_dump can't go back to note where data is.
    Piped,
    Tar,
}

/// Has a pg_dump make an archive of the database `shop`.
fn dump(program: &Path, cluster: &Cluster, format: Format, flags: &[&str], to: &Path) {
    let name = match format {
        Format::Directory => "directory",
        Format::Custom | Format::Piped => "custom",
        Format::Tar => "tar",
    };
    let mut command = Command::new(program);
    command.args(["--format", name]).args(flags);
    command.arg("--dbname").arg(cluster.socket_conninfo("shop"));
    let output = match format {
        Format::Piped => {
            let output = command.stdout(Stdio::piped()).output().unwrap();
            std::fs::write(to, &output.stdout).unwrap();
            output
        }
        _ => command.arg("--file").arg(to).output().unwrap(),
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Every archive of `shop` that can be made, with what it is and the major version of its pg_dump.
fn dumped(cluster: &Cluster, folder: &Path) -> Vec<(String, u32, Format, PathBuf)> {
    let mut made = Vec::new();
    for (major, program, is_with_all) in pg_dump::of_each_major() {
        for format in [Format::Directory, Format::Custom, Format::Piped, Format::Tar] {
            let compressions = match (format, is_with_all) {
                (Format::Tar, _) => &["0"][..],
                (_, false) => &["0", "6"],
                (_, true) => &["0", "6", "lz4", "zstd", "zstd:long"],
            };
            for compression in compressions {
                let what = format!("{format:?} of pg_dump {major}, {compression}");
                let to = folder.join(what.replace([' ', ','], "-"));
                dump(&program, cluster, format, &["--compress", compression], &to);
                made.push((what, major, format, to));
            }
        }
    }
    made
}

fn item<'a>(contents: &'a Contents, desc: &str, tag: &str) -> &'a Item {
    let mut items = contents.items.iter().filter(|item| item.desc == desc && item.tag == tag);
    items.next().unwrap_or_else(|| panic!("no {desc} {tag}"))
}

fn rows(archive: &Archive, item: &Item) -> String {
    let mut rows = String::new();
    archive.rows(item).unwrap().read_to_string(&mut rows).map_err(read_error).unwrap();
    rows
}

#[tokio::test]
async fn what_pg_dump_dumped_is_read() {
    let cluster = kit::bundled(15).await;
    trial::make_database(&cluster, "shop", SHOP).await;
    let folder = tempfile::tempdir().unwrap();
    let archives = dumped(&cluster, folder.path());
    assert!(archives.len() >= 7, "{archives:?}");
    for (what, major, format, path) in archives {
        let archive = match Archive::open(&path) {
            Ok(archive) => archive,
            Err(error) => panic!("{what}: {error}"),
        };
        let contents = archive.contents();
        let version = match major {
            ..=15 => Version::V1_14,
            16 => Version::V1_15,
            17.. => Version::V1_16,
        };
        assert_eq!(contents.header.version, version, "{what}");
        assert_eq!(contents.header.database, "shop", "{what}");
        assert!(archive.manifest().is_none(), "{what}");
        for (table, expected) in tables() {
            let item = item(contents, "TABLE DATA", table);
            assert_eq!(item.place == Place::Offset(None), format == Format::Piped, "{what}");
            assert!(rows(&archive, item) == expected, "{what}: {table}");
        }
        let mut objects = Vec::new();
        for item in contents.items.iter().filter(|item| item.desc == "BLOBS") {
            archive
                .large_objects(item, &mut |oid, from| {
                    let mut bytes = Vec::new();
                    from.read_to_end(&mut bytes).map_err(read_error)?;
                    objects.push((oid, bytes));
                    Ok(())
                })
                .unwrap();
        }
        objects.sort();
        assert!(objects == large_objects(), "{what}");
    }
}
