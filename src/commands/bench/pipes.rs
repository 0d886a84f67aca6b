//! Bare pipes: what a patient person does by hand, and the measure of a data plane.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::pg::QualifiedName;
use crate::wire::{Conninfo, Environment, Session};

use super::Job;
use super::tools::{archive, pipe, program, succeed};

/// Tables above this are cut into as many ranges of pages as there are jobs.
const SPLIT_BYTES: i64 = 200 << 20;

/// Definitions, rows, keys and indexes; how long the rows took.
pub(super) async fn run(job: &Job) -> Result<Duration> {
    let schema = archive(job, "schema");
    succeed(program("pg_dump", &["-Fc", "-s", "-f", &schema, "-d", &job.source])).await?;
    let section = |name: &'static str| {
        let jobs = job.jobs.to_string();
        let arguments = ["-j", &jobs, "--section", name, "-d", &job.target, &schema];
        program("pg_restore", &arguments)
    };
    succeed(section("pre-data")).await?;

    let pieces = Mutex::new(pieces(job).await?);
    let started = Instant::now();
    let take = || pieces.lock().ok()?.pop_front();
    let workers = (0..job.jobs).map(|_| async {
        while let Some(piece) = take() {
            let from = ["-Xqc", &piece.copy_out, "-d", &job.source];
            let into = ["-Xqc", &piece.copy_in, "-d", &job.target];
            pipe(program("psql", &from), program("psql", &into)).await?;
        }
        Ok::<(), Error>(())
    });
    futures::future::try_join_all(workers).await?;
    let rows = started.elapsed();
    succeed(section("post-data")).await?;
    Ok(rows)
}

struct Piece {
    copy_out: String,
    copy_in: String,
}

/// The biggest tables first, those above [`SPLIT_BYTES`] in ranges of pages.
async fn pieces(job: &Job) -> Result<VecDeque<Piece>> {
    let doing = "listing the tables";
    let session = Session::connect(&Conninfo::parse(&job.source, &Environment::default())?).await?;
    let sql = "SELECT n.nspname::text, c.relname::text, pg_catalog.pg_table_size(c.oid), \
               pg_catalog.pg_relation_size(c.oid) / 8192 FROM pg_catalog.pg_class c \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
               ORDER BY 3 DESC";
    let rows = session.query(doing, sql, &[]).await?;
    let jobs = i64::try_from(job.jobs).unwrap_or(1);
    let mut pieces = VecDeque::new();
    for row in rows {
        let table = QualifiedName::new(row.get::<_, String>(0), row.get::<_, String>(1)).sql();
        let copy_in = format!("COPY {table} FROM STDIN (FORMAT binary)");
        if row.get::<_, i64>(2) < SPLIT_BYTES {
            let copy_out = format!("COPY {table} TO STDOUT (FORMAT binary)");
            pieces.push_back(Piece { copy_out, copy_in });
            continue;
        }
        let pages: i64 = row.get(3);
        for part in 0..jobs {
            let (from, to) = (pages * part / jobs, pages * (part + 1) / jobs);
            let below = match part + 1 == jobs {
                true => String::new(),
                false => format!(" AND ctid < '({to},0)'"),
            };
            let copy_out = format!(
                "COPY (SELECT * FROM {table} WHERE ctid >= '({from},0)'{below}) \
                 TO STDOUT (FORMAT binary)"
            );
            pieces.push_back(Piece { copy_out, copy_in: copy_in.clone() });
        }
    }
    Ok(pieces)
}
