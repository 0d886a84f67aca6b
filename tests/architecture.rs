//! The rooms of `src/` and the arrows between them: what ARCHITECTURE.md draws, held against the
//! `use crate::` lines.

// A test says what it expects; a failure to get so far needs no words of its own.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each room may use, besides `pg` and `error`, which are open to all, and why.
const ARROWS: &[(&str, &[&str], &str)] = &[
    ("cli", &["webstream", "commands"], "presents what commands do, and knows nothing below them"),
    (
        "webstream",
        &["commands", "wire"],
        "the recipe of one application: a story of commands, and a configuration of its own",
    ),
    (
        "commands",
        &["engine", "plan", "verify", "archive", "copy", "catalog", "toc", "servers", "wire"],
        "the only place that joins the others",
    ),
    (
        "engine",
        &["plan", "verify", "archive", "copy", "toc", "wire"],
        "runs plans: it neither reads catalogs nor decides what is in a plan",
    ),
    ("plan", &["toc"], "pure: a plan is made from a table of contents alone"),
    (
        "verify",
        &["copy", "toc", "wire"],
        "reads rows through the data plane, on connections it is handed",
    ),
    (
        "archive",
        &["copy", "toc"],
        "reads and writes files; which, and whither, is others' business",
    ),
    ("copy", &["wire"], "moves bytes; whose they are is not its business"),
    ("catalog", &["toc", "wire"], "reads a catalog into a table of contents"),
    ("toc", &[], "pure"),
    ("servers", &["wire"], "starts servers; what is done with them is others' business"),
    ("wire", &[], "speaks the protocol; knows nothing of what is said"),
    ("error", &[], "open to all, so it knows only pg"),
    ("pg", &[], "pure PostgreSQL knowledge"),
];
const OPEN_TO_ALL: &[&str] = &["pg", "error"];

#[test]
fn arrows_between_rooms_point_downwards_only() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> = ARROWS
        .iter()
        .map(|(room, may, _)| (*room, may.iter().chain(OPEN_TO_ALL).copied().collect()))
        .collect();
    let mut wrong = Vec::new();
    for file in sources(Path::new("src")) {
        let room = room_of(&file);
        let Some(room) = room else { continue };
        let Some(may) = allowed.get(room.as_str()) else {
            wrong.push(format!("{}: room {room} isn't in the table", file.display()));
            continue;
        };
        let text = fs::read_to_string(&file).unwrap();
        for (number, used) in rooms_used(&text) {
            if used != room && !may.contains(used.as_str()) {
                wrong.push(format!("{}:{number}: {room} may not use {used}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "see ARROWS in {}:\n{}", file!(), wrong.join("\n"));
}

#[test]
fn the_tables_name_the_rooms_that_are_there() {
    let listed: BTreeSet<String> = ARROWS
        .iter()
        .flat_map(|(room, may, _)| may.iter().chain([room]))
        .map(|room| room.to_string())
        .collect();
    let there = sources(Path::new("src")).iter().filter_map(|file| room_of(file)).collect();
    assert_eq!(listed, there);
}

#[test]
fn the_document_draws_the_same_arrows() {
    let drawn = drawn(&fs::read_to_string("ARCHITECTURE.md").unwrap());
    let is_open = |room: &str| OPEN_TO_ALL.contains(&room);
    let listed: BTreeMap<String, BTreeSet<String>> = ARROWS
        .iter()
        .filter(|(room, ..)| !is_open(room))
        .map(|(room, may, _)| (room.to_string(), may.iter().map(|used| used.to_string()).collect()))
        .collect();
    assert_eq!(drawn, listed);
}

#[test]
fn the_engine_never_shells_out_to_postgresqls_clients() {
    let clients = ["pg_dump", "pg_restore", "psql"];
    for file in sources(Path::new("src")) {
        let text = fs::read_to_string(&file).unwrap();
        for client in clients {
            let call = format!("Command::new(\"{client}");
            assert!(!text.contains(&call), "{} runs {client}", file.display());
        }
    }
}

/// The room a source file belongs to: its folder, or its own name right under `src`. The crate's
/// two roots belong to none.
fn room_of(file: &Path) -> Option<String> {
    let inside = file.strip_prefix("src").unwrap();
    let first = inside.components().next().unwrap();
    let name = Path::new(first.as_os_str()).file_stem().unwrap().to_string_lossy().into_owned();
    (!matches!(name.as_str(), "lib" | "main")).then_some(name)
}

/// The rooms a text names after `crate::`, with their lines; comments don't count.
fn rooms_used(text: &str) -> Vec<(usize, String)> {
    let mut used = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let code = line.trim_start();
        if code.starts_with("//") {
            continue;
        }
        for (at, _) in code.match_indices("crate::") {
            let path = &code[at + "crate::".len()..];
            let name: String =
                path.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            used.push((index + 1, name));
        }
    }
    used
}

/// The arrows of the table whose last column is "knows", but for the rooms that are open to all.
fn drawn(document: &str) -> BTreeMap<String, BTreeSet<String>> {
    let rows = document.lines().skip_while(|line| !line.ends_with("| knows |")).skip(2);
    let rows: Vec<(String, String)> = rows
        .map_while(|line| {
            let cells: Vec<&str> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
            let room = cells.first()?.trim_matches(['`', '/']);
            Some((room.to_owned(), cells.get(2)?.to_string()))
        })
        .filter(|(_, knows)| knows != "open to all")
        .collect();
    let knows = |(at, (room, knows)): (usize, &(String, String))| {
        let known = match knows.as_str() {
            "all below" => rows[at + 1..].iter().map(|(below, _)| below.clone()).collect(),
            "–" => BTreeSet::new(),
            named => named.split(", ").map(str::to_owned).collect(),
        };
        (room.clone(), known)
    };
    rows.iter().enumerate().map(knows).collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn a_forbidden_arrow_would_be_seen() {
    assert_eq!(rooms_used("use crate::engine::run;\n// use crate::cli"), [(1, "engine".into())]);
    assert_eq!(room_of(Path::new("src/toc/adapt/mod.rs")).as_deref(), Some("toc"));
    assert_eq!(room_of(Path::new("src/main.rs")), None);
}
