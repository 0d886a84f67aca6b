//! `pgconvoy status`: how far a job is, from the ledger alone, and how far away the target is.

use std::time::Instant;

use serde::Serialize;

use crate::error::{Error, Kind, Result};
use crate::wire::{Conninfo, Session};

/// So many round trips are timed.
const PINGS: usize = 20;

/// A job's state, and the way to its target.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The database.
    pub database: String,
    /// The target server's version.
    pub server: String,
    /// Milliseconds of a round trip: the median of several, and the slowest.
    pub latency_ms: (f64, f64),
    /// The job; none where no ledger is there.
    pub job: Option<JobStatus>,
}

/// How far a job is.
#[derive(Debug, Clone, Serialize)]
pub struct JobStatus {
    /// When it began, by the target's clock.
    pub created_at: String,
    /// When it ended.
    pub sealed_at: Option<String>,
    /// Whether a run is at work on it now.
    pub running: bool,
    /// For each part of the job: its name, the steps done, all steps, the share of cost done.
    pub phases: Vec<(String, i64, i64, f64)>,
    /// Rows copied so far.
    pub rows: i64,
    /// Bytes copied so far.
    pub bytes: i64,
    /// When the last step was done.
    pub last_receipt_at: Option<String>,
}

/// Reads the status of the job in `target`'s ledger.
pub async fn status(target: &Conninfo) -> Result<Status> {
    let session = Session::connect(target).await?;
    Ok(Status {
        database: target.database().to_owned(),
        server: session.version().to_string(),
        latency_ms: latency(&session).await?,
        job: job(&session).await?,
    })
}

async fn latency(session: &Session) -> Result<(f64, f64)> {
    let mut times = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        let started = Instant::now();
        session.execute("timing a round trip", "SELECT 1").await?;
        times.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    Ok((times[PINGS / 2], times[PINGS - 1]))
}

async fn job(session: &Session) -> Result<Option<JobStatus>> {
    let doing = "reading the ledger";
    let there = "SELECT pg_catalog.to_regclass('pgconvoy.receipt') IS NOT NULL, \
                 coalesce(pg_catalog.has_schema_privilege(\
                 pg_catalog.to_regnamespace('pgconvoy'), 'USAGE'), false)";
    let row = session.query_one(doing, there, &[]).await?;
    if !row.get::<_, bool>(0) {
        return Ok(None);
    }
    if !row.get::<_, bool>(1) {
        return Err(Error::new(Kind::Refused, doing)
            .because("this user may not read schema pgconvoy")
            .hint("connect as the user that ran the migration"));
    }
    let sql = "SELECT j.created_at::text, j.sealed_at::text, \
         coalesce((SELECT pg_catalog.sum(rows) FROM pgconvoy.receipt r \
           JOIN pgconvoy.step s ON s.id = r.step WHERE s.phase = 'data'), 0)::bigint, \
         coalesce((SELECT pg_catalog.sum(bytes) FROM pgconvoy.receipt), 0)::bigint, \
         (SELECT pg_catalog.max(finished_at)::text FROM pgconvoy.receipt), \
         EXISTS (SELECT FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d \
           ON d.oid = l.database AND d.datname = pg_catalog.current_database() \
           WHERE l.locktype = 'advisory' AND l.granted AND l.classid = $1 AND l.objid = 1) \
         FROM pgconvoy.job j";
    let class = crate::engine::CLAIM_CLASS as u32;
    let row = session.query_one(doing, sql, &[&class]).await?;
    Ok(Some(JobStatus {
        created_at: row.get(0),
        sealed_at: row.get(1),
        rows: row.get(2),
        bytes: row.get(3),
        last_receipt_at: row.get(4),
        running: row.get(5),
        phases: phases(session).await?,
    }))
}

/// A step is done when all its parts have receipts.
async fn phases(session: &Session) -> Result<Vec<(String, i64, i64, f64)>> {
    let sql = "SELECT s.phase, pg_catalog.count(*) FILTER (WHERE done), pg_catalog.count(*), \
         coalesce(pg_catalog.sum(s.cost) FILTER (WHERE done) \
           / nullif(pg_catalog.sum(s.cost), 0), 0)::float8 \
         FROM (SELECT s.*, s.parts = (SELECT pg_catalog.count(*) FROM pgconvoy.receipt r \
           WHERE r.step = s.id) AS done FROM pgconvoy.step s WHERE s.parts > 0) s \
         GROUP BY s.phase ORDER BY pg_catalog.min(s.id)";
    let rows = session.query("reading the ledger", sql, &[]).await?;
    Ok(rows.iter().map(|r| (r.get(0), r.get(1), r.get(2), r.get(3))).collect())
}
