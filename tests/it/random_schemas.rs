//! Random objects that need each other in random ways move without a statement that fails, and come
//! out as they were.
//!
//! Unasked, it is the same seeds each time, from 1 on for some seconds. `PGCONVOY_TEST_SEED` and
//! `PGCONVOY_TEST_ROUNDS` say which seeds instead, and `PGCONVOY_TEST_STATEMENTS` how many statements
//! make a database; `PGCONVOY_TEST_PAIR` which majors (15-18, 12-18), `rds18` being an RDS-like target.
//! What made a database that failed is left in the temporary folder.

use std::time::{Duration, Instant};

use pgconvoy::commands::{self, Finding, Severity};
use pgconvoy::servers::{Cluster, Spec};

use crate::migration::{migrate, request};
use crate::oracle::{self, Side};
use crate::random::{Random, from_environment};
use crate::schema_generator::{self, Generator};
use crate::{catalogs, kit};

/// Statements tried for a database; about two of three succeed.
const STATEMENTS: u64 = 150;

/// How long a pair of majors is tried unasked, and with how many seeds at most.
const UNASKED: (Duration, u64) = (Duration::from_secs(12), 40);

#[tokio::test(flavor = "multi_thread")]
async fn random_schemas_move_from_15_to_15() {
    random_schemas_move(15, Spec::bundled().major(15)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_schemas_move_from_15_to_18_or_between_the_majors_asked_for() {
    let pair = std::env::var("PGCONVOY_TEST_PAIR").unwrap_or_else(|_| "15-18".to_owned());
    let (from, to) = pair.split_once('-').unwrap();
    let to = match to.strip_prefix("rds") {
        Some(major) => Spec::rds_like().major(major.parse().unwrap()),
        None => Spec::bundled().major(to.parse().unwrap()),
    };
    random_schemas_move(from.parse().unwrap(), to).await;
}

async fn random_schemas_move(from: u32, to: Spec) {
    let (source, target) = tokio::join!(kit::bundled(from), kit::start(to));
    let to = target.installation().major();
    let (first, rounds) =
        (from_environment("PGCONVOY_TEST_SEED"), from_environment("PGCONVOY_TEST_ROUNDS"));
    let asked = first.is_some() || rounds.is_some();
    let first = first.unwrap_or(1);
    let rounds = rounds.unwrap_or(if asked { 1 } else { UNASKED.1 });
    let begun = Instant::now();
    let mut failures = Vec::new();
    for seed in first..first + rounds {
        if !asked && begun.elapsed() > UNASKED.0 {
            break;
        }
        eprintln!("random schema from {from} to {to}: PGCONVOY_TEST_SEED={seed}");
        if let Err(words) = random_schema_moves(&source, &target, seed).await {
            eprintln!("PGCONVOY_TEST_SEED={seed}: {words}");
            failures.push(seed);
        }
    }
    assert!(failures.is_empty(), "from {from} to {to}, PGCONVOY_TEST_SEED of {failures:?} failed");
}

async fn random_schema_moves(source: &Cluster, target: &Cluster, seed: u64) -> Result<(), String> {
    let database = format!("random_{seed}");
    let run = async |cluster: &Cluster, sql: &str| {
        let session = cluster.superuser_session("postgres").await.unwrap();
        session.execute("preparing a random schema", sql).await.unwrap();
    };
    run(source, &format!("CREATE DATABASE {database}")).await;
    let session = source.superuser_session(&database).await.unwrap();
    let mut generator = Generator::new(Random::of_seed(seed), source.installation().major());
    let tries = from_environment("PGCONVOY_TEST_STATEMENTS").unwrap_or(STATEMENTS);
    let made = generator.run(&session, tries).await;
    session.close().await;
    assert!(made.len() as u64 * 3 > tries, "{} of {tries} statements succeed", made.len());

    let judged = judge(source, target, &database).await;
    if judged.is_err() {
        let path = std::env::temp_dir().join(format!("pgconvoy-random-schema-{seed}.sql"));
        std::fs::write(&path, made.join(";\n") + ";\n").unwrap();
        eprintln!("what made the database is in {}", path.display());
    }
    run(source, &format!("DROP DATABASE {database}")).await;
    run(target, &format!("DROP DATABASE IF EXISTS {database}")).await;
    judged
}

async fn judge(source: &Cluster, target: &Cluster, database: &str) -> Result<(), String> {
    let original = Side { cluster: source, database };
    let request = request(source, target, &[database]);
    let is_rds_like = target.conninfo(database) != target.superuser_conninfo(database);
    let (reports, ended) = migrate(&request).await;
    if let Err(error) = ended {
        let checked = commands::check(&request).await.map_err(|error| error.to_string())?;
        let findings = checked.into_iter().flat_map(|checked| checked.findings);
        let refusals: Vec<Finding> =
            findings.filter(|finding| finding.severity == Severity::Refusal).collect();
        return match refusals.is_empty() {
            true => Err(error.to_string()),
            false => judge_refusals(&refusals, original, target, is_rds_like).await,
        };
    }
    for report in &reports {
        if !report.verification.is_clean() {
            let verification = &report.verification;
            let tables = verification.tables.iter().filter(|table| !table.is_equal());
            let tables: Vec<_> = tables.collect();
            return Err(format!("{tables:#?} {:#?}", verification.catalog));
        }
    }
    // What such a target says no to is missing there: the verification is the witness then.
    if is_rds_like {
        return Ok(());
    }
    let told: Vec<_> = reports.into_iter().flat_map(|report| report.changes).collect();
    let mut verdict = oracle::judge(original, Side { cluster: target, database }, &told).await;
    if !verdict.control_lacks.is_empty() {
        eprintln!("PostgreSQL's own restore fails: {}", first_line(&verdict.control_lacks));
    }
    if original.cluster.installation().major() == target.installation().major() {
        let copy = Side { cluster: target, database };
        verdict.differences.extend(catalogs::differences_of_same_major(original, copy).await);
    }
    // The order isn't judged: pg_dump cuts circles by OIDs. What needs what is compared anyhow.
    match verdict.differences.is_empty() {
        true => Ok(()),
        false => Err(verdict.differences.join("\n")),
    }
}

/// Nobody can restore some circles, such as tables that have columns of each other's type: they are
/// refused before anything is done. So is a new order of columns of which values are stored, and what
/// a managed service says no to.
async fn judge_refusals(
    refusals: &[Finding],
    original: Side<'_>,
    target: &Cluster,
    is_rds_like: bool,
) -> Result<(), String> {
    let session = target.superuser_session("postgres").await.unwrap();
    for sql in schema_generator::make_roles() {
        let _made_or_there = session.execute("making roles for a control", &sql).await;
    }
    for refusal in refusals {
        if refusal.what.contains("in a circle") {
            let Some(words) = oracle::circles_that_postgresql_cuts(original, target).await else {
                return Err(format!("PostgreSQL can restore it: {refusal}"));
            };
            eprintln!("PostgreSQL can't restore it either: {words}");
        } else if refusal.object.starts_with("column order of ") || is_rds_like {
            eprintln!("refused: {}: {}", refusal.object, refusal.what);
        } else {
            return Err(refusal.to_string());
        }
    }
    Ok(())
}

fn first_line(text: &str) -> &str {
    text.lines().find(|line| line.contains("ERROR")).unwrap_or("nothing fails")
}
