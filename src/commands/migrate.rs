//! `pgconvoy migrate`: databases move from server to server, or go on moving where an earlier run
//! was cut off.

mod fenced;
mod judgement;
mod one_database;
mod renewal;

use std::sync::Arc;

use crate::engine::{Event, Events, Persistence, Stop};
use crate::error::{Error, Kind, Result};
use crate::toc::Finding;

use super::attempt::SoFar;
use super::check::{Checked, check_and_keep};
use super::databases::{self, Pair};
use super::fence::Fence;
use super::report::DatabaseReport;
use super::request::Request;
use super::survey::Source;
use fenced::migrate_fenced;
use one_database::migrate_one;

/// Moves every database of the request. The reports of those that are done come back even when a
/// later one fails.
pub async fn migrate(
    request: &Request,
    events: &Events,
    stop: &mut Stop,
) -> (Vec<DatabaseReport>, Result<()>) {
    let mut reports = Vec::new();
    let ended = Box::pin(migrate_all(request, events, stop, &mut reports)).await;
    (reports, ended)
}

async fn migrate_all(
    request: &Request,
    events: &Events,
    stop: &mut Stop,
    reports: &mut Vec<DatabaseReport>,
) -> Result<()> {
    let pairs = stop.or(databases::pairs(request)).await?;
    let checked = stop.or(Box::pin(refuse_findings(request, &pairs))).await?;
    if !request.fence.is_empty() {
        // What was read of the source is from before the fence.
        let checked = checked.into_iter().map(|(checked, _)| checked).collect();
        return migrate_fenced(request, pairs, checked, events, stop, reports).await;
    }
    move_all(request, pairs, checked, None, events, stop, reports).await
}

async fn move_all(
    request: &Request,
    pairs: Vec<Pair>,
    checked: Vec<(Checked, Option<Source>)>,
    fence: Option<Arc<Fence>>,
    events: &Events,
    stop: &mut Stop,
    reports: &mut Vec<DatabaseReport>,
) -> Result<()> {
    for (pair, (checked, source)) in pairs.into_iter().zip(checked) {
        let name = pair.target.database().to_owned();
        events.say(Event::Database { name: name.clone() }).await;
        let known = (checked.changes(), source);
        let so_far = SoFar::begins(request.beginning, fence.clone());
        let moving = migrate_persistently(request, &pair, known, so_far, events, stop);
        let moved = Box::pin(moving).await;
        reports.push(moved.map_err(|error| error.within(format_args!("database {name}")))?);
    }
    Ok(())
}

/// Begins again, from the ledger, what failed in a way that may pass: a server that restarts, or
/// comes back under the same name elsewhere.
async fn migrate_persistently(
    request: &Request,
    pair: &Pair,
    (changes, mut source): (Vec<Finding>, Option<Source>),
    mut so_far: SoFar,
    events: &Events,
    stop: &mut Stop,
) -> Result<DatabaseReport> {
    let mut persistence = Persistence::new(request.patience);
    loop {
        let before = so_far.reached;
        let known = (changes.clone(), source.take());
        let moving = migrate_one(request, pair, known, &mut so_far, events, stop);
        let error = match Box::pin(moving).await {
            Ok(report) => return Ok(report),
            Err(error) => error,
        };
        so_far.outlast(error, before, &mut persistence, events, stop).await?;
    }
}

/// Everything that would stop the job is said at once, before anything is touched.
async fn refuse_findings(
    request: &Request,
    pairs: &[Pair],
) -> Result<Vec<(Checked, Option<Source>)>> {
    let checked = check_and_keep(request, pairs).await?;
    let refusing = checked.iter().map(|(checked, _)| checked);
    let refusing = refusing.filter(|checked| checked.is_refused(request.strict));
    let all: Vec<String> = refusing
        .flat_map(|checked| {
            let name = &checked.database;
            let stops = checked.stopping(request.strict);
            stops.map(move |finding| format!("\n  database {name}: {finding}"))
        })
        .collect();
    if all.is_empty() {
        return Ok(checked);
    }
    let checks = request.sequel.checks;
    Err(refused(&all)
        .hint(format!("mend these and run again; `{checks}` shows everything it finds")))
}

/// What stops a job before it is begun, each on lines of its own.
pub(super) fn refused(findings: &[String]) -> Error {
    let all = findings.concat();
    Error::new(Kind::Refused, "checking before the start").because(match findings.len() {
        1 => format!("one finding stops the job:{all}"),
        many => format!("{many} findings stop the job:{all}"),
    })
}
