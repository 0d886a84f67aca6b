//! `pgconvoy migrate`: databases move from server to server, or go on moving where an earlier run
//! was cut off.

mod fenced;
mod judgement;
mod one_database;
mod renewal;

use std::sync::Arc;
use std::time::Instant;

use tokio::time::sleep;

use crate::engine::{Claim, Event, Events, Outcome, Persistence, Remedy, Stop, remedy};
use crate::error::{Error, Kind, Result};
use crate::toc::Finding;

use super::check::{Checked, check_and_keep};
use super::databases::{self, Pair};
use super::fence::Fence;
use super::report::DatabaseReport;
use super::request::{Beginning, Request};
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
/// comes back under the same name elsewhere. Whatever gets further makes the patience whole.
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
        if so_far.reached > before {
            persistence.renew();
        }
        let pause = match remedy(&error) {
            Remedy::Stop => None,
            Remedy::Again | Remedy::Resume => persistence.pause(),
        };
        let Some(pause) = pause else { return Err(error) };
        so_far.restarts += 1;
        let seconds = pause.as_secs_f64();
        let words = format!("{}; begun again from the ledger in {seconds:.1} s", error.message());
        events.say(Event::Note(words)).await;
        stop.or(async {
            sleep(pause).await;
            Ok(())
        })
        .await?;
    }
}

/// What has come of moving a database, however often that was begun again.
struct SoFar {
    started: Instant,
    restarts: u32,
    /// How the next try begins: what was dropped once isn't dropped again.
    beginning: Beginning,
    /// The login roles of a job that was given up for this one: they are there, without passwords.
    roles_of_given_up: Vec<String>,
    /// Whether there was a ledger when it first looked.
    was_resumed: Option<bool>,
    /// The claim it has, or had.
    claim: Option<Claim>,
    /// How many receipts there were when steps were last begun with.
    reached: Option<usize>,
    outcome: Outcome,
    /// The seal is on its way: a job that is found sealed is this one.
    is_sealing: bool,
    /// What keeps others from writing to the source.
    fence: Option<Arc<Fence>>,
}

impl SoFar {
    fn begins(beginning: Beginning, fence: Option<Arc<Fence>>) -> SoFar {
        SoFar {
            started: Instant::now(),
            restarts: 0,
            beginning,
            roles_of_given_up: Vec::new(),
            was_resumed: None,
            claim: None,
            reached: None,
            outcome: Outcome::default(),
            is_sealing: false,
            fence,
        }
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
    Err(Error::new(Kind::Refused, "checking before the start")
        .because(match all.len() {
            1 => format!("one finding stops the job:{}", all.concat()),
            many => format!("{many} findings stop the job:{}", all.concat()),
        })
        .hint("mend these and run again; `pgconvoy check` shows everything it finds"))
}
