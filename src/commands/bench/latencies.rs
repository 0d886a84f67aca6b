//! How long the chunks of a job took, from the receipts in its ledger.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

use super::ends::Ends;

/// Percentiles of the chunks' times, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkTimes {
    /// How many chunks there were.
    pub chunks: u64,
    /// Half of them took this long at most.
    pub p50: u64,
    /// Nine in ten.
    pub p90: u64,
    /// Ninety-nine in a hundred.
    pub p99: u64,
    /// The slowest.
    pub max: u64,
}

pub(super) async fn read(ends: &Ends<'_>, database: &str) -> Result<ChunkTimes> {
    let doing = "reading the chunks' times";
    let session = ends.target_session(database).await?;
    let sql = "SELECT milliseconds FROM pgconvoy.receipt WHERE bytes > 0";
    let mut times =
        Histogram::<u64>::new(3).map_err(|error| Error::step(doing).because(error.to_string()))?;
    for row in session.query(doing, sql, &[]).await? {
        let milliseconds = u64::try_from(row.get::<_, i64>(0)).unwrap_or_default();
        times.saturating_record(milliseconds);
    }
    Ok(ChunkTimes {
        chunks: times.len(),
        p50: times.value_at_quantile(0.5),
        p90: times.value_at_quantile(0.9),
        p99: times.value_at_quantile(0.99),
        max: times.max(),
    })
}
