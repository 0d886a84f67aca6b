//! `pgconvoy migrate`: databases move from server to server, or go on moving where an earlier run
//! was cut off.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::time::sleep;

use crate::catalog::{self, Scope};
use crate::engine::{
    self, Claim, Event, Events, Job, JobState, Ledger, Outcome, Persistence, ReadFrom, Receipts,
    Remedy, Run, SourceSnapshot, Stop, StoredJob, remedy,
};
use crate::error::{Error, Kind, Result};
use crate::plan::{Plan, Step, VerifyMode};
use crate::toc::adapt::{Adapted, adapt, rejoin};
use crate::toc::{Finding, Toc};
use crate::verify::{
    Sequences, compare_catalogs, compare_counts, compare_large_objects, compare_sequences,
    compare_tables, uncompared,
};
use crate::wire::Session;

use super::check::{Checked, check_and_keep};
use super::databases::{self, Pair, TargetDatabase};
use super::going_on::{
    refuse_another_source, refuse_changed_definitions, refuse_other_compression,
    refuse_other_terms, too_late_to_copy,
};
use super::passwords;
use super::plan::{count_objects, plan_for};
use super::report::{DatabaseReport, Verification};
use super::request::Request;
use super::survey::{self, Source, digests};
use super::verify::locate;

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
    let checked = stop.or(Box::pin(refuse_findings(request))).await?;
    for (pair, (checked, source)) in pairs.into_iter().zip(checked) {
        let name = pair.target.database().to_owned();
        events.say(Event::Database { name: name.clone() }).await;
        let changes = checked.changes();
        let moving = migrate_persistently(request, &pair, changes, source, events, stop);
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
    changes: Vec<Finding>,
    mut source: Option<Source>,
    events: &Events,
    stop: &mut Stop,
) -> Result<DatabaseReport> {
    let mut persistence = Persistence::new(request.patience);
    let mut reached = None;
    let mut restarts = 0;
    loop {
        let before = reached;
        let known = (changes.clone(), source.take());
        let moving = migrate_one(request, pair, known, &mut reached, events, stop);
        let error = match Box::pin(moving).await {
            Ok(report) => return Ok(DatabaseReport { restarts, ..report }),
            Err(error) => error,
        };
        if reached > before {
            persistence.renew();
        }
        let pause = match remedy(&error) {
            Remedy::Stop => None,
            Remedy::Again | Remedy::Resume => persistence.pause(),
        };
        let Some(pause) = pause else { return Err(error) };
        restarts += 1;
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

/// Everything that would stop the job is said at once, before anything is touched.
async fn refuse_findings(request: &Request) -> Result<Vec<(Checked, Option<Source>)>> {
    let checked = check_and_keep(request).await?;
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

async fn migrate_one(
    request: &Request,
    pair: &Pair,
    (changes, source): (Vec<Finding>, Option<Source>),
    reached: &mut Option<usize>,
    events: &Events,
    stop: &mut Stop,
) -> Result<DatabaseReport> {
    let started = Instant::now();
    let mut source = match source {
        Some(source) => source,
        None => stop.or(survey::source(pair)).await?,
    };
    let target = connect_or_create(pair, &source).await?;
    stop.or(Claim::take(&target)).await?;

    let facts = catalog::target_facts(&target).await?;
    let same_major = facts.version.major() == source.identity.version.major();
    let definitions = digests(&source.toc);
    let mut adapted = adapt(&source.toc, &source.bootstrap, &facts);
    // Of many objects there are many bytes: what nobody asks for any more goes.
    source.toc = Toc::default();
    let (mut stored, definitions) = match Ledger::of(&target).read().await? {
        Some(stored) => (stored, Some(definitions)),
        None => {
            let there = (&target, facts.user.as_str());
            let begun = begin(request, &source, definitions, &adapted, changes, there);
            (begun.await?, None)
        }
    };
    adapted.toc.forget_rows();
    let was_resumed = definitions.is_some();
    let planned_for = std::mem::take(&mut stored.job.catalog);
    let StoredJob { job, mut plan, receipts, state } = stored;
    refuse_other_terms(&job, &request.terms())?;
    refuse_other_compression(&job, request.toast_compression)?;
    if let JobState::Sealed { at, report } = state {
        return finished_before(at, &report);
    }
    refuse_another_source(&job, &source)?;
    // With all its rows the source's definitions of that time are there.
    if let Some(definitions) = definitions.filter(|_| !receipts.data_is_complete(&plan)) {
        refuse_changed_definitions(&planned_for, &definitions)?;
    }
    drop(planned_for);

    let large_objects = match receipts.data_is_complete(&plan) && was_resumed {
        true => LargeObjects::OfAnEarlierRun,
        false => LargeObjects::OfThisRun,
    };
    // Memberships are the cluster's: those that the job gave itself may be gone.
    if was_resumed {
        Ledger::of(&target).lend(&mut plan, rejoin(&adapted.toc, &facts)).await?;
    }
    let mut plan = Arc::new(plan);
    let pair = &pair.for_rows(request, &source, &target);
    let snapshot = SourceSnapshot::export(source.session).await?;
    let prepared = prepare_data(request, pair, &plan, receipts, snapshot, &target, events);
    let (receipts, snapshot) = stop.or(Box::pin(prepared)).await?;
    announce(&plan, &receipts, events).await;
    *reached = Some(receipts.0.len());
    let run = Run {
        source: pair.source.clone(),
        target: pair.target.clone(),
        leader: &target,
        plan: Arc::clone(&plan),
        receipts,
        snapshot,
        jobs: request.jobs(),
        toast_compression: job.toast_compression,
        patience: request.patience,
    };
    let outcome = engine::run(run, events, stop).await?;
    let passwords_to_set = match request.carry_passwords {
        true => passwords::carry(pair, &target, job.login_roles).await?,
        false => job.login_roles,
    };

    // The target's catalog is read now, which takes as much again. All workers are gone.
    if let Some(plan) = Arc::get_mut(&mut plan) {
        plan.forget_run();
    }
    let receipts = Ledger::of(&target).receipts().await?;
    let expected = Expected { adapted: &adapted, large_objects, same_major };
    let judged = verify_job(job.verify, &plan, &receipts, &expected, &pair.scope, &target);
    let mut verification = stop.or(judged).await?;
    let locating = async {
        locate(pair, &ReadFrom::target(&pair.target), &plan, &mut verification).await;
        Ok(())
    };
    stop.or(locating).await?;
    let report = DatabaseReport {
        database: pair.target.database().to_owned(),
        was_resumed,
        objects: count_objects(&adapted.toc),
        tables: plan.count_tables(),
        seconds: started.elapsed().as_secs_f64(),
        passwords_to_set,
        retries: outcome.retries,
        changes: job.changes.into_iter().chain(outcome.undone.iter().cloned()).collect(),
        verification,
        ..totals(&plan, &receipts, &outcome)
    };
    let take_back: String = plan.take_back().map(|statement| statement.sql.as_str()).collect();
    if report.verification.is_clean() {
        Ledger::of(&target).seal(&take_back, &render(&report)?).await?;
    } else {
        target.execute("leaving the owners on the target", &take_back).await?;
    }
    Ok(report)
}

async fn connect_or_create(pair: &Pair, source: &Source) -> Result<Session> {
    match databases::target_database(&pair.target).await? {
        TargetDatabase::There(session) => Ok(session),
        TargetDatabase::Missing(server) => {
            databases::create(&pair.target, &server, &source.database).await
        }
    }
}

/// A new job: planned, and written to the ledger before anything is done.
async fn begin(
    request: &Request,
    source: &Source,
    catalog: BTreeMap<String, u64>,
    adapted: &Adapted,
    changes: Vec<Finding>,
    (target, user): (&Session, &str),
) -> Result<StoredJob> {
    let user = Some((user.to_owned(), target.version()));
    let mut plan = plan_for(request, source, adapted, user);
    let mut job = Job {
        source: source.identity.clone(),
        catalog,
        verify: request.verify,
        changes,
        login_roles: passwords::login_roles(&adapted.toc),
        tables: std::mem::take(&mut plan.tables),
        terms: request.terms(),
        toast_compression: request.toast_compression,
    };
    Ledger::of(target).begin(&job, &plan.steps).await?;
    plan.tables = std::mem::take(&mut job.tables);
    Ok(StoredJob { job, plan, receipts: Receipts::default(), state: JobState::Open })
}

fn finished_before(at: String, report: &str) -> Result<DatabaseReport> {
    let mut report: DatabaseReport = serde_json::from_str(report).map_err(|e| {
        Error::new(Kind::Refused, "reading the finished job's report").because(e.to_string())
    })?;
    report.was_finished = true;
    report.finished_at = Some(at);
    Ok(report)
}

/// Brings the data receipts under the new snapshot, unless all rows were copied under one already.
async fn prepare_data(
    request: &Request,
    pair: &Pair,
    plan: &Arc<Plan>,
    mut receipts: Receipts,
    snapshot: SourceSnapshot,
    target: &Session,
    events: &Events,
) -> Result<(Receipts, Option<SourceSnapshot>)> {
    let ledger = Ledger::of(target);
    // The source's sequences may have moved on since; but once grants stand we may lack the right.
    let (setting, beyond) = plan.sequences();
    let stood_upon = receipts.0.keys().any(|(step, _)| beyond.contains(step));
    let mut doubtful: Vec<_> =
        setting.into_iter().filter(|_| !stood_upon).map(|step| (step, 0)).collect();
    doubtful.extend(receipts.of_differing(plan));
    ledger.forget(&doubtful).await?;
    receipts.0.retain(|key, _| !doubtful.contains(key));
    if receipts.data_is_complete(plan) {
        let lost = engine::lost(plan, &receipts, target).await?;
        if lost.is_empty() {
            snapshot.release().await?;
            return Ok((receipts, None));
        }
        let beyond = plan.beyond_data();
        if receipts.0.keys().any(|(step, _)| beyond.contains(step)) {
            return Err(too_late_to_copy(plan, &lost));
        }
    }
    let receipts =
        engine::recheck(plan, receipts, &snapshot, &pair.source, target, request.jobs(), events)
            .await?;
    Ok((receipts, Some(snapshot)))
}

async fn announce(plan: &Plan, receipts: &Receipts, events: &Events) {
    let done = plan.steps.iter().filter(|step| receipts.is_done(step)).count();
    let owed = plan.steps.iter().filter(|step| step.parts() > 0).count();
    let cost = |step: &Step| step.cost;
    let all_cost = plan.steps.iter().map(cost).sum();
    let done_cost = plan.steps.iter().filter(|step| receipts.is_done(step)).map(cost).sum();
    let (mut all, mut there) = (0, 0);
    for (step, part, chunk) in plan.copies() {
        all += chunk.bytes;
        if receipts.0.contains_key(&(step, part)) {
            there += chunk.bytes;
        }
    }
    let event = Event::Planned {
        steps: (owed, done),
        tables: plan.count_tables(),
        bytes: (all, there),
        cost: (all_cost, done_cost),
    };
    events.say(event).await;
}

/// When the large objects were copied: those of an earlier run aren't those that this one has read
/// the owners and grants of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LargeObjects {
    OfThisRun,
    OfAnEarlierRun,
}

/// What the target's catalog is to hold.
struct Expected<'a> {
    adapted: &'a Adapted,
    large_objects: LargeObjects,
    same_major: bool,
}

async fn verify_job(
    mode: VerifyMode,
    plan: &Plan,
    receipts: &Receipts,
    expected: &Expected<'_>,
    scope: &Scope,
    target: &Session,
) -> Result<Verification> {
    let Expected { adapted, large_objects, same_major } = *expected;
    let copied = receipts.copied(plan);
    let tables = match mode {
        VerifyMode::Full => compare_tables(&plan.tables, &copied, &receipts.verified(plan)),
        VerifyMode::Counts => compare_counts(&plan.tables, &copied, &receipts.counted(plan)),
        VerifyMode::None => Vec::new(),
    };
    let mut verification = Verification { mode, tables, ..Verification::default() };
    if mode != VerifyMode::None {
        let facts = catalog::target_facts(target).await?;
        let found = survey::target(target, &adapted.toc, &facts, scope).await?;
        verification.catalog = compare_catalogs(&adapted.toc, &found, same_major);
        verification.notes.extend(uncompared(&adapted.toc, same_major));
        let sequences = compare_sequences(&adapted.toc, &found, Sequences::MovingOn);
        verification.catalog.extend(sequences);
        if large_objects == LargeObjects::OfThisRun {
            verification.catalog.extend(compare_large_objects(&adapted.toc, &found));
        }
    }
    Ok(verification)
}

fn totals(plan: &Plan, receipts: &Receipts, outcome: &Outcome) -> DatabaseReport {
    let copies = plan.copies().filter_map(|(step, part, _)| receipts.0.get(&(step, part)));
    let (rows, bytes) =
        copies.fold((0, 0), |(r, b), receipt| (r + receipt.tally.rows(), b + receipt.tally.bytes));
    let seconds = outcome.phases.iter().map(|(phase, time)| (*phase, time.as_secs_f64()));
    DatabaseReport { rows, bytes, phases: seconds.collect(), ..DatabaseReport::default() }
}

fn render(report: &DatabaseReport) -> Result<String> {
    serde_json::to_string(report)
        .map_err(|e| Error::step("writing the report").because(e.to_string()))
}
