//! The fixture that holds every kind of object: fixtures/objects, a file per family. Its README
//! says how the files are written.

use std::path::Path;

use pgconvoy::servers::Cluster;

use crate::pg_dump;

/// The folder of files.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/objects");

/// Makes `database` and runs every file in it, those named in `PGCONVOY_TEST_OBJECTS` only where
/// that is set (a comma list of the beginnings of their names; the roles are always made).
pub(crate) async fn make(cluster: &Cluster, database: &str) {
    let session = cluster.superuser_session("postgres").await.unwrap();
    session.execute("making a database", &format!("CREATE DATABASE {database}")).await.unwrap();
    session.close().await;
    let major = cluster.installation().major();
    let mut failures = Vec::new();
    for (name, text) in files(Path::new(FOLDER)) {
        if !is_wanted(&name) {
            continue;
        }
        let script = for_major(&text, major).unwrap_or_else(|error| panic!("{name}: {error}"));
        if let Err(words) = pg_dump::run_script(cluster, database, &name, &script) {
            failures.push(words);
        }
    }
    assert!(failures.is_empty(), "on PostgreSQL {major}:\n{}", failures.join("\n"));
}

fn is_wanted(name: &str) -> bool {
    match std::env::var("PGCONVOY_TEST_OBJECTS") {
        Ok(wanted) => name.starts_with("00_") || wanted.split(',').any(|w| name.starts_with(w)),
        Err(_) => true,
    }
}

fn files(folder: &Path) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    files.sort();
    files
}

/// What of a file this major version runs. Lines keep their numbers.
fn for_major(text: &str, major: u32) -> Result<String, String> {
    let mut runs = true;
    let mut script = String::new();
    for line in text.lines() {
        if let Some(versions) = line.strip_prefix("--@") {
            runs = covers(versions.trim(), major)
                .ok_or_else(|| format!("{line:?} names no versions"))?;
        } else if runs {
            script.push_str(line);
        }
        script.push('\n');
    }
    Ok(script)
}

fn covers(versions: &str, major: u32) -> Option<bool> {
    if versions == "all" {
        return Some(true);
    }
    let (from, to) = versions.split_once("..")?;
    let bound = |text: &str, otherwise: u32| match text {
        "" => Some(otherwise),
        number => number.parse().ok(),
    };
    let (from, to) = (bound(from, 0)?, bound(to, u32::MAX)?);
    Some((from..=to).contains(&major))
}

#[test]
fn a_file_s_blocks_run_on_the_versions_they_name_and_lines_keep_their_numbers() {
    let text = "a\n--@ 15..\nb\n--@ ..13\nc\n--@ 14..16\nd\n--@ all\ne\n";
    let run = |major| for_major(text, major).unwrap();
    assert_eq!(run(13), "a\n\n\n\nc\n\n\n\ne\n");
    assert_eq!(run(15), "a\n\nb\n\n\n\nd\n\ne\n");
    assert_eq!(run(18), "a\n\nb\n\n\n\n\n\ne\n");
    assert!(for_major("--@ 15\n", 15).is_err());
}
