//! A migration while nobody else writes to the source.

use std::pin::pin;
use std::sync::Arc;

use tokio::time::sleep;

use crate::engine::{Event, Events, JobState, Ledger, Persistence, Remedy, Stop, remedy};
use crate::error::{Error, Kind, Result};
use crate::toc::named;
use crate::wire::Conninfo;

use super::super::databases::{self, Pair, TargetDatabase};
use super::super::fence::{self, Fence, Lifted};
use super::super::report::DatabaseReport;
use super::super::request::{Beginning, Request, Sequel};
use super::{Checked, move_all, refuse_findings};

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
    let names = &request.fence;
    let standing = stop.or(Fence::standing(names, &request.source)).await?;
    let is_final = stop.or(all_final(&pairs, &standing)).await?;
    if let (Beginning::GoOn, true) = (request.beginning, is_final) {
        let checked = checked.into_iter().map(|checked| (checked, None)).collect();
        return move_all(request, pairs, checked, Some(Arc::new(standing)), events, stop, reports)
            .await;
    }
    let open = stop.or(Box::pin(Fence::refuse(names, &mut pairs))).await?;
    let server = pairs.first().map(|pair| pair.source.clone());
    let raised = Box::pin(Fence::raise(names, &open, &pairs, events, stop)).await;
    let ended = match raised {
        Ok(fence) => {
            // What was made before it stood was read by no check.
            match stop.or(Box::pin(refuse_findings(request, &pairs))).await {
                Ok(checked) => {
                    let fence = Arc::new(fence);
                    let moving =
                        move_guarded(request, pairs, checked, fence, events, stop, reports);
                    Box::pin(moving).await
                }
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    };
    let is_clean = reports.iter().all(|report| report.verification.is_clean());
    if let (true, Some(server)) = (ended.is_err() || !is_clean, server) {
        return lift(request, &server, &open, ended, events).await;
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

/// Whether every database's job was finished under this very fence: then its locks aren't needed.
async fn all_final(pairs: &[Pair], fence: &Fence) -> Result<bool> {
    for pair in pairs {
        let TargetDatabase::There(target) = databases::target_database(&pair.target).await? else {
            return Ok(false);
        };
        let state = Ledger::of(&target).read().await?.map(|stored| stored.state);
        let Some(JobState::Sealed { report, .. }) = state else { return Ok(false) };
        if !fence.has_kept(&DatabaseReport::parse(&report)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Lifts what this run has raised, and hands back how the run has `ended`. An earlier one's fence
/// may be what another copy's being final stands on. The same restart of the source that broke the
/// fence may keep it from being lifted, so that is tried again; where nothing helps, it is the
/// error's hint, as the service is locked out until somebody acts.
async fn lift(
    request: &Request,
    server: &Conninfo,
    open: &[String],
    ended: Result<()>,
    events: &Events,
) -> Result<()> {
    let mut persistence = Persistence::new(request.patience);
    let error = loop {
        let error = match lift_once(server, open).await {
            Ok(lifted) => {
                say_lifted(&lifted, request.sequel, events).await;
                return ended;
            }
            Err(error) => error,
        };
        let pause = match remedy(&error) {
            Remedy::Stop => None,
            Remedy::Again | Remedy::Resume => persistence.pause(),
        };
        let Some(pause) = pause else { break error };
        let seconds = pause.as_secs_f64();
        let words = format!("{}; lifting it is tried again in {seconds:.1} s", error.message());
        events.say(Event::Note(words)).await;
        sleep(pause).await;
    };
    let lifting = format!("the fence on the source still stands, as {}", error.message());
    let failed = match ended {
        Err(failed) => failed,
        Ok(()) => Error::new(Kind::Step, "lifting the fence on the source"),
    };
    let because = failed.message();
    let hint = failed.hint_text().map(|hint| format!("; {hint}")).unwrap_or_default();
    Err(Error::new(failed.kind(), because).because(lifting).hint(format!(
        "{} may not log in to the source until `{}` lets them{hint}",
        named(open),
        request.sequel.lifts_fence
    )))
}

async fn lift_once(server: &Conninfo, open: &[String]) -> Result<Lifted> {
    let source = databases::maintenance(server).await?;
    fence::lift(&source, Some(open)).await
}

async fn say_lifted(lifted: &Lifted, sequel: Sequel, events: &Events) {
    if !lifted.again.is_empty() {
        let again = named(&lifted.again);
        let words = format!("the fence on the source is lifted: {again} may log in again");
        events.say(Event::Note(words)).await;
    }
    if !lifted.stay.is_empty() {
        let words = format!(
            "the fence of an earlier run still stands on the source and keeps out {}; `{}` lifts it",
            named(&lifted.stay),
            sequel.lifts_fence
        );
        events.say(Event::Note(words)).await;
    }
}
