//! How far a job is, by its ledger alone.

use serde::Serialize;

use crate::error::Result;
use crate::wire::Session;

use super::claim::Claim;
use super::ledger::{Ledger, READING, field};

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// When it began, by the target's clock.
    pub created_at: String,
    /// When it was finished.
    pub sealed_at: Option<String>,
    /// Since when the target is in use, where that is on record.
    pub cut_over_at: Option<String>,
    /// How often a run went on with it.
    pub begun_again: i32,
    /// Whether a run is at work on it now.
    pub running: bool,
    /// The parts of the job, in order.
    pub phases: Vec<PhaseStanding>,
    /// Rows copied so far.
    pub rows: i64,
    /// Bytes copied so far.
    pub bytes: i64,
    /// When the last step was done.
    pub last_receipt_at: Option<String>,
}

/// How far a part of a job is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PhaseStanding {
    /// Its name.
    pub phase: String,
    /// Steps done.
    pub done: i64,
    /// All its steps.
    pub steps: i64,
    /// The share of its cost that is done, from 0 to 1.
    pub share: f64,
}

impl Standing {
    /// How far the job in `target`'s ledger is; none where there is no ledger.
    pub async fn read(target: &Session) -> Result<Option<Standing>> {
        if !Ledger::of(target).is_there().await? {
            return Ok(None);
        }
        let sql = "SELECT j.created_at::text, j.sealed_at::text, \
             coalesce((SELECT pg_catalog.sum(rows) FROM pgconvoy.receipt r \
               JOIN pgconvoy.step s ON s.id = r.step WHERE s.phase = 'data'), 0)::bigint, \
             coalesce((SELECT pg_catalog.sum(bytes) FROM pgconvoy.receipt), 0)::bigint, \
             (SELECT pg_catalog.max(finished_at)::text FROM pgconvoy.receipt), \
             j.cut_over_at::text, j.begun_again \
             FROM pgconvoy.job j";
        let row = target.query_one(READING, sql, &[]).await?;
        Ok(Some(Standing {
            created_at: field(&row, 0)?,
            sealed_at: field(&row, 1)?,
            rows: field(&row, 2)?,
            bytes: field(&row, 3)?,
            last_receipt_at: field(&row, 4)?,
            cut_over_at: field(&row, 5)?,
            begun_again: field(&row, 6)?,
            running: Claim::is_held(target).await?,
            phases: phases(target).await?,
        }))
    }
}

/// A step is done when all its parts have receipts.
async fn phases(target: &Session) -> Result<Vec<PhaseStanding>> {
    let sql = "SELECT s.phase, pg_catalog.count(*) FILTER (WHERE done), pg_catalog.count(*), \
         coalesce(pg_catalog.sum(s.cost) FILTER (WHERE done) \
           / nullif(pg_catalog.sum(s.cost), 0), 0)::float8 \
         FROM (SELECT s.*, s.parts = (SELECT pg_catalog.count(*) FROM pgconvoy.receipt r \
           WHERE r.step = s.id) AS done FROM pgconvoy.step s WHERE s.parts > 0) s \
         GROUP BY s.phase ORDER BY pg_catalog.min(s.id)";
    let rows = target.query(READING, sql, &[]).await?;
    let standing = |row| {
        Ok(PhaseStanding {
            phase: field(row, 0)?,
            done: field(row, 1)?,
            steps: field(row, 2)?,
            share: field(row, 3)?,
        })
    };
    rows.iter().map(standing).collect()
}
