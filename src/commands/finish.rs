//! `pgconvoy finish`: the target is put to use. From then on no run touches it.

use serde::Serialize;

use crate::engine::{Claim, JobState, Ledger, StoredJob};
use crate::error::{Error, Kind, Result};
use crate::wire::{Conninfo, Session};

use super::databases;

/// What finishing a database came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finished {
    /// The database.
    pub database: String,
    /// Since when it is in use, by the target's clock; none where its ledger is removed without
    /// that.
    pub cut_over_at: Option<String>,
    /// Whether that was on record before.
    pub was_recorded: bool,
    /// Whether the ledger, and all record with it, is removed.
    pub ledger_dropped: bool,
}

/// Puts the cut-over of a finished job on record, or removes its ledger.
pub async fn finish(target: &Conninfo, drop_ledger: bool) -> Result<Finished> {
    let session = Session::connect(target).await.map_err(|e| databases::closed(e, target))?;
    Claim::take(&session, None).await?;
    let ledger = Ledger::of(&session);
    let stored = ledger.read().await?.ok_or_else(|| {
        Error::new(Kind::Refused, "looking for a finished job")
            .because("there is no ledger (schema pgconvoy) in this database")
            .hint("name the target database of a migration, in --target or with --database")
    })?;
    refuse_open(&stored)?;
    let mut finished = Finished {
        database: target.database().to_owned(),
        was_recorded: stored.cut_over.is_some(),
        cut_over_at: stored.cut_over,
        ledger_dropped: drop_ledger,
    };
    if drop_ledger {
        ledger.remove().await?;
    } else if !finished.was_recorded {
        finished.cut_over_at = Some(ledger.record_cut_over().await?);
    }
    Ok(finished)
}

fn refuse_open(stored: &StoredJob) -> Result<()> {
    match stored.state {
        JobState::Sealed { .. } => Ok(()),
        JobState::Open => {
            Err(Error::new(Kind::Refused, "finishing the job in the target's ledger")
                .because("it isn't done, or differences were found")
                .hint("run the same `pgconvoy migrate` again, until it says that all is equal"))
        }
    }
}
