//! `pgconvoy webstream rehearse`: the whole job while the services work, into databases that are dropped
//! again. It predicts the window, the storage, and what will be found.

use crate::commands::{self, Events, Rehearsed, Stop};
use crate::error::{Error, Kind, Result};

use super::clock;
use super::recipe::Recipe;
use super::record::Rehearsal;

/// Rehearses the move of every database. Those that are done come back even when a later one fails.
pub async fn rehearse(
    recipe: &mut Recipe,
    events: &Events,
    stop: &mut Stop,
) -> (Vec<Rehearsed>, Result<()>) {
    let request = match ready(recipe).and_then(|()| recipe.job()) {
        Ok(request) => request,
        Err(error) => return (Vec::new(), Err(error)),
    };
    let (all, ended) = Box::pin(commands::rehearse(&request, events, stop)).await;
    let at = clock::now();
    for Rehearsed { report, window_seconds, target_bytes, wal_bytes } in &all {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few days")]
        let rehearsal = Rehearsal {
            at: at.clone(),
            window_seconds: window_seconds.ceil() as u64,
            target_bytes: *target_bytes,
            wal_bytes: *wal_bytes,
            rows: report.rows,
            findings: report.changes.len(),
            was_equal: report.verification.is_clean(),
        };
        recipe.record.done.rehearsed.insert(report.database.clone(), rehearsal);
    }
    let kept = recipe.keep();
    (all, ended.and(kept))
}

/// Owners, locales and memberships are to be those of the move.
fn ready(recipe: &Recipe) -> Result<()> {
    let named = recipe.databases()?;
    match named.iter().find(|n| !recipe.record.done.provisioned.contains_key(&n.database)) {
        None => Ok(()),
        Some(missing) => Err(Error::new(Kind::Refused, "rehearsing the move")
            .because(format!("database {} isn't provisioned", missing.database))
            .hint("run `pgconvoy webstream provision` first: its roles own what is rehearsed")),
    }
}
