//! `pgconvoy status`: how far a job is, from the ledger alone, and how far away the target is.

use std::time::Instant;

use serde::Serialize;

use crate::engine::{Ledger, Standing};
use crate::error::Result;
use crate::wire::{Conninfo, Session};

use super::databases;
use super::report::DatabaseReport;
use super::request::VerifyMode;

/// So many round trips are timed.
const PINGS: usize = 20;

/// A job's state, and the way to its target.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The database.
    pub database: String,
    /// The target server's version.
    pub server: String,
    /// How long a round trip takes.
    pub latency: Latency,
    /// The job; none where no ledger is there.
    pub job: Option<Standing>,
    /// What the job came to, once it is finished.
    pub ending: Option<Ending>,
}

/// The report of a finished job in short.
#[derive(Debug, Clone, Serialize)]
pub struct Ending {
    /// How far the rows were read back; what was compared was equal.
    pub verified: VerifyMode,
    /// How many tables' rows moved.
    pub tables: usize,
    /// How many findings say what was changed or left out.
    pub changes: usize,
    /// Seconds that the last run took.
    pub seconds: f64,
}

/// Milliseconds of a round trip, of several that were timed.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// The median.
    pub median_ms: f64,
    /// The slowest.
    pub slowest_ms: f64,
}

/// Reads the status of the job in `target`'s ledger.
pub async fn status(target: &Conninfo) -> Result<Status> {
    let session = Session::connect(target).await.map_err(|e| databases::closed(e, target))?;
    let job = Standing::read(&session).await?;
    let ending = match job.as_ref().is_some_and(|job| job.sealed_at.is_some()) {
        true => ending(&session).await?,
        false => None,
    };
    Ok(Status {
        database: target.database().to_owned(),
        server: session.version().to_string(),
        latency: latency(&session).await?,
        job,
        ending,
    })
}

async fn ending(session: &Session) -> Result<Option<Ending>> {
    let Some(report) = Ledger::of(session).report().await? else { return Ok(None) };
    let report = DatabaseReport::parse(&report)?;
    Ok(Some(Ending {
        verified: report.verification.mode,
        tables: report.tables,
        changes: report.changes.len(),
        seconds: report.seconds,
    }))
}

async fn latency(session: &Session) -> Result<Latency> {
    let mut times = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        let started = Instant::now();
        session.execute("timing a round trip", "SELECT 1").await?;
        times.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    Ok(Latency { median_ms: times[PINGS / 2], slowest_ms: times[PINGS - 1] })
}
