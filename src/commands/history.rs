//! What the ledger of a job tells of it when it is over: how long which part took, and what the rows
//! of each table were.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::copy::Fingerprint;
use crate::engine::{JobState, Ledger};
use crate::error::Result;
use crate::pg::quote_ident;
use crate::toc::Finding;
use crate::wire::{Conninfo, Session};

use super::databases;
use super::report::DatabaseReport;

/// A job as its ledger has it. Times are seconds since 1970, by the target's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// The database.
    pub database: String,
    /// The version of pgconvoy that began it.
    pub tool: String,
    /// The source server's version then.
    pub source_version: String,
    /// The target server's version now.
    pub target_version: String,
    /// When it began.
    pub began: f64,
    /// When it was finished.
    pub sealed: Option<f64>,
    /// Its parts, in order; they overlap.
    pub phases: Vec<PhaseTimes>,
    /// What was copied of each table.
    pub tables: Vec<CopiedTable>,
    /// What was changed or left out, and why.
    pub changes: Vec<Finding>,
}

/// When a part of a job was at work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseTimes {
    /// Its name.
    pub phase: String,
    /// When its first step began.
    pub began: f64,
    /// When its last one ended.
    pub ended: f64,
}

/// What was copied of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiedTable {
    /// The table.
    pub table: String,
    /// Its rows.
    pub rows: u64,
    /// Their bytes, as they travelled.
    pub bytes: u64,
    /// Their fingerprint, which doesn't depend on their order.
    pub fingerprint: String,
}

/// Reads the ledger in `target`; none where there is none.
pub async fn history(target: &Conninfo) -> Result<Option<History>> {
    let session = Session::connect(target).await.map_err(|e| databases::closed(e, target))?;
    let Some(stored) = Ledger::of(&session).read().await? else { return Ok(None) };
    let mut sums: BTreeMap<u32, (Fingerprint, u64)> = BTreeMap::new();
    for (step, part, chunk) in stored.plan.copies() {
        let Some(receipt) = stored.receipts.0.get(&(step, part)) else { continue };
        let sum = sums.entry(chunk.table.0).or_default();
        sum.0 += receipt.tally.fingerprint;
        sum.1 += receipt.tally.bytes;
    }
    let copied = |(table, (fingerprint, bytes)): (u32, (Fingerprint, u64))| {
        let known = stored.plan.tables.get(table as usize)?;
        Some(CopiedTable {
            table: known.relation.to_string(),
            rows: fingerprint.rows,
            bytes,
            fingerprint: fingerprint.to_string(),
        })
    };
    let mut tables: Vec<CopiedTable> = sums.into_iter().filter_map(copied).collect();
    tables.sort_by(|one, other| one.table.cmp(&other.table));
    let changes = match &stored.state {
        JobState::Sealed { report, .. } => changes(DatabaseReport::parse(report)?),
        JobState::Open => stored.job.changes.clone(),
    };
    let (tool, began, sealed) = times(&session).await?;
    Ok(Some(History {
        database: target.database().to_owned(),
        tool,
        source_version: stored.job.source.version.to_string(),
        target_version: session.version().to_string(),
        began,
        sealed,
        phases: phases(&session).await?,
        tables,
        changes,
    }))
}

/// What a finished job has changed. A role without its password is another one than before, too.
fn changes(report: DatabaseReport) -> Vec<Finding> {
    let locked_out = report.passwords_to_set.iter().map(|role| {
        Finding::change(format!("role {role}"), "it was made without a password")
            .mend(format!("ALTER ROLE {} PASSWORD '…';", quote_ident(role)))
    });
    let locked_out: Vec<Finding> = locked_out.collect();
    report.changes.into_iter().chain(locked_out).collect()
}

async fn times(session: &Session) -> Result<(String, f64, Option<f64>)> {
    let sql = "SELECT tool, pg_catalog.date_part('epoch', created_at), \
               pg_catalog.date_part('epoch', sealed_at) FROM pgconvoy.job";
    let row = session.query_one("reading when the job was at work", sql, &[]).await?;
    Ok((row.get(0), row.get(1), row.get(2)))
}

async fn phases(session: &Session) -> Result<Vec<PhaseTimes>> {
    let sql = "SELECT s.phase, \
         pg_catalog.min(pg_catalog.date_part('epoch', r.finished_at) - r.milliseconds / 1000.0), \
         pg_catalog.max(pg_catalog.date_part('epoch', r.finished_at)) \
         FROM pgconvoy.step s JOIN pgconvoy.receipt r ON r.step = s.id \
         GROUP BY s.phase ORDER BY pg_catalog.min(s.id)";
    let rows = session.query("reading when its parts were at work", sql, &[]).await?;
    let times = |row: &tokio_postgres::Row| PhaseTimes {
        phase: row.get(0),
        began: row.get(1),
        ended: row.get(2),
    };
    Ok(rows.iter().map(times).collect())
}
