//! A migration while nobody else writes to the source.

use std::pin::pin;
use std::sync::Arc;

use crate::engine::{Event, Events, JobState, Ledger, Stop};
use crate::error::{Error, Result};
use crate::toc::named;
use crate::wire::Conninfo;

use super::super::databases::{self, Pair, TargetDatabase};
use super::super::fence::{self, Fence};
use super::super::report::DatabaseReport;
use super::super::request::{Beginning, Request};
use super::{Checked, move_all};

/// Raises the fence, moves all databases, and leaves the roles kept out where all came out equal.
/// However else it ends, the fence is lifted: the service goes on with the source.
pub(super) async fn migrate_fenced(
    request: &Request,
    mut pairs: Vec<Pair>,
    checked: Vec<Checked>,
    events: &Events,
    stop: &mut Stop,
    reports: &mut Vec<DatabaseReport>,
) -> Result<()> {
    let checked = checked.into_iter().map(|checked| (checked, None)).collect();
    let names = &request.fence;
    if request.beginning == Beginning::GoOn && stop.or(all_sealed(&pairs)).await? {
        // What was copied under a fence that still stands is final; all else is refused.
        let fence = stop.or(Fence::standing(names, &request.source)).await?;
        return move_all(request, pairs, checked, Some(Arc::new(fence)), events, stop, reports)
            .await;
    }
    let open = stop.or(Box::pin(Fence::refuse(names, &mut pairs))).await?;
    let server = pairs.first().map(|pair| pair.source.clone());
    let raising = Fence::raise(names, &open, &pairs, events);
    let ended = match stop.or(Box::pin(raising)).await {
        Ok(fence) => {
            let fence = Arc::new(fence);
            Box::pin(move_guarded(request, pairs, checked, fence, events, stop, reports)).await
        }
        Err(error) => Err(error),
    };
    let is_clean = reports.iter().all(|report| report.verification.is_clean());
    if let (true, Some(server)) = (ended.is_err() || !is_clean, server) {
        lift(&server, &open, events).await;
    }
    ended
}

/// Stops at once when the fence breaks, and says so.
async fn move_guarded(
    request: &Request,
    pairs: Vec<Pair>,
    checked: Vec<(Checked, Option<super::Source>)>,
    fence: Arc<Fence>,
    events: &Events,
    stop: &mut Stop,
    reports: &mut Vec<DatabaseReport>,
) -> Result<()> {
    let (stopper, mut inner) = Stop::new();
    let mut broken = None;
    let mut stopped = false;
    let ended = {
        let fenced = Some(Arc::clone(&fence));
        let moving = move_all(request, pairs, checked, fenced, events, &mut inner, reports);
        let mut moving = pin!(moving);
        loop {
            tokio::select! {
                ended = &mut moving => break ended,
                error = fence.breaks(), if broken.is_none() => {
                    broken = Some(error);
                    stopper.stop();
                }
                () = stop.stopped(), if !stopped => {
                    stopped = true;
                    stopper.stop();
                }
            }
        }
    };
    match (ended, broken) {
        (Err(_), Some(error)) => Err(error),
        (ended, _) => ended,
    }
}

/// Whether every database's job is finished already.
async fn all_sealed(pairs: &[Pair]) -> Result<bool> {
    for pair in pairs {
        let TargetDatabase::There(target) = databases::target_database(&pair.target).await? else {
            return Ok(false);
        };
        let state = Ledger::of(&target).read().await?.map(|stored| stored.state);
        if !matches!(state, Some(JobState::Sealed { .. })) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Lifts what this run has raised. An earlier one's fence may be what another copy's being final
/// stands on.
async fn lift(server: &Conninfo, open: &[String], events: &Events) {
    let lifted = async {
        let source = databases::maintenance(server).await?;
        let lifted = fence::lift(&source, Some(open)).await?;
        Ok::<_, Error>((lifted, fence::stands(&source).await?))
    };
    let words = match lifted.await {
        Ok((lifted, _)) if !lifted.is_empty() => {
            format!("the fence on the source is lifted: {} may log in again", named(&lifted))
        }
        Ok((_, true)) => {
            "the fence of an earlier run still stands on the source; `pgconvoy unfence` lifts it"
                .to_owned()
        }
        // It was never raised.
        Ok((_, false)) => return,
        Err(error) => format!(
            "the fence on the source still stands, as {}; `pgconvoy unfence` lifts it",
            error.message()
        ),
    };
    events.say(Event::Note(words)).await;
}
