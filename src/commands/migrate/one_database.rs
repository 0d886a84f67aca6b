//! One try at moving one database, from where the ledger says it stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog;
use crate::engine::{
    self, Claim, Events, Job, JobState, Ledger, Origin, Ours, ReadFrom, Receipts, Run,
    SourceSnapshot, Stop, StoredJob,
};
use crate::error::Result;
use crate::plan::{Plan, VerifyMode};
use crate::toc::adapt::{Adapted, adapt, rejoin};
use crate::toc::{Finding, Toc};
use crate::wire::Session;

use super::super::attempt::{SoFar, announce, render};
use super::super::clearing::{self, Wanted};
use super::super::databases::{self, Pair, TargetDatabase};
use super::super::going_on::{
    refuse_another_source, refuse_changed_definitions, refuse_cut_over, refuse_other_compression,
    refuse_other_terms, refuse_what_nobody_asked_for,
};
use super::super::passwords;
use super::super::plan::plan_for;
use super::super::report::{DatabaseReport, Fenced, Verification};
use super::super::request::{Beginning, Request};
use super::super::source_since::source_since;
use super::super::survey::{self, Source, digests};
use super::super::verify::locate;
use super::judgement::{Expected, LargeObjects, Reading, judge};
use super::renewal::{TakenUp, renew};

/// Surveys, claims, plans or goes on with what is planned, runs that, and judges what came of it.
pub(super) async fn migrate_one(
    request: &Request,
    pair: &Pair,
    (changes, source): (Vec<Finding>, Option<Source>),
    so_far: &mut SoFar,
    events: &Events,
    stop: &mut Stop,
) -> Result<DatabaseReport> {
    let mut source = match source {
        Some(source) => source,
        None => stop.or(survey::source(pair)).await?,
    };
    let connecting = connect_or_create(request, pair, &source, so_far, events);
    let target = stop.or(Box::pin(connecting)).await?;
    so_far.claim = Some(stop.or(Claim::take(&target, so_far.claim.as_ref())).await?);

    let facts = catalog::target_facts(&target).await?;
    let same_major = facts.version.major() == source.identity.version.major();
    let definitions = digests(&source.toc);
    let mut adapted = adapt(&source.toc, &source.bootstrap, &facts);
    // Of many objects there are many bytes: what nobody asks for any more goes.
    source.toc = Toc::default();
    let found = Ledger::of(&target).read().await?;
    so_far.was_resumed.get_or_insert(found.is_some());
    let (mut stored, definitions) = match found {
        Some(stored) => (stored, Some(definitions)),
        None => {
            let there = (&target, facts.user.as_str());
            let mut login_roles = passwords::login_roles(&adapted.toc);
            login_roles.extend_from_slice(&so_far.roles_of_given_up);
            let known = (definitions, login_roles);
            let begun = begin(request, &source, known, &adapted, changes, there);
            (begun.await?, None)
        }
    };
    let goes_on = definitions.is_some();
    let planned_for = std::mem::take(&mut stored.job.catalog);
    refuse_cut_over(stored.cut_over.as_deref())?;
    let StoredJob { job, mut plan, receipts, state, .. } = stored;
    refuse_other_terms(&job, &request.terms())?;
    refuse_other_compression(&job, request.toast_compression)?;
    if let JobState::Sealed { at, report } = state
        && let Some(mut report) = so_far.finished_before(at, &report)?
    {
        if report.was_finished {
            let since = source_since(pair, &plan, &receipts, &target, None);
            report.source_since = Some(stop.or(async { Ok(since.await) }).await?);
        }
        return Ok(report);
    }
    refuse_another_source(&job, &source.identity)?;
    let data_is_complete = receipts.data_is_complete(&plan);
    // With all its rows the source's definitions of that time are there.
    let is_final = so_far.fence.is_some();
    let may_differ = is_final || !data_is_complete;
    if let Some(definitions) = definitions.filter(|_| may_differ) {
        refuse_changed_definitions(&planned_for, &definitions)?;
    }
    drop(planned_for);
    refuse_what_nobody_asked_for(&plan, &adapted.toc, data_is_complete)?;
    adapted.toc.forget_rows();

    let large_objects = match data_is_complete && goes_on {
        true => LargeObjects::OfAnEarlierRun,
        false => LargeObjects::OfThisRun,
    };
    // Memberships are the cluster's: those that the job gave itself may be gone.
    if goes_on {
        Ledger::of(&target).begin_again().await?;
        Ledger::of(&target).lend(&mut plan, rejoin(&adapted.toc, &facts)).await?;
    }
    let plan = Arc::new(plan);
    let pair = &pair.for_rows(request, &source, &target);
    let snapshot = SourceSnapshot::export(source.session).await?;
    let snapshot = if request.warm { snapshot.warm() } else { snapshot };
    let ours = Ours {
        plan: &plan,
        session: &target,
        target: &pair.target,
        jobs: request.jobs(),
        progress: &events.verified,
    };
    let is_retried = so_far.reached.is_some();
    let taken_up = TakenUp { goes_on, is_retried, is_final, is_warm: request.warm };
    let renewing = renew(&ours, &pair.source, receipts, taken_up, snapshot, events);
    let (receipts, snapshot) = stop.or(Box::pin(renewing)).await?;
    announce(&plan, &receipts, events).await;
    so_far.reached = Some(receipts.0.len());
    let run = Run {
        origin: Origin::Server {
            source: Box::new(pair.source.clone()),
            snapshot: snapshot.map(Box::new),
        },
        target: pair.target.clone(),
        leader: &target,
        plan: Arc::clone(&plan),
        receipts,
        warm: request.warm,
        jobs: request.jobs(),
        toast_compression: job.toast_compression,
        strict: request.strict,
        patience: request.patience,
    };
    engine::run(run, &mut so_far.outcome, events, stop).await?;
    if request.warm {
        let receipts = Ledger::of(&target).receipts().await?;
        let undone = receipts.left_out().chain(&so_far.outcome.undone).cloned();
        return Ok(DatabaseReport {
            is_warm: true,
            changes: job.changes.into_iter().chain(undone).collect(),
            verification: Verification { mode: VerifyMode::None, ..Verification::default() },
            ..so_far.totals(pair.target.database(), &adapted.toc, &plan, &receipts)
        });
    }
    let expected = Expected { adapted: &adapted, large_objects, same_major };
    Box::pin(verify_and_seal(request, pair, &target, (job, plan), expected, so_far, stop)).await
}

/// What a job came to whose steps are done: its ledger is sealed where all is equal.
async fn verify_and_seal(
    request: &Request,
    pair: &Pair,
    target: &Session,
    (job, mut plan): (Job, Arc<Plan>),
    expected: Expected<'_>,
    so_far: &mut SoFar,
    stop: &mut Stop,
) -> Result<DatabaseReport> {
    let outcome = &so_far.outcome;
    let passwords_to_set = match request.carry_passwords {
        true => passwords::carry(pair, target, job.login_roles).await?,
        false => job.login_roles,
    };

    // The target's catalog is read now, which takes as much again. All workers are gone.
    if let Some(plan) = Arc::get_mut(&mut plan) {
        plan.forget_run();
    }
    let receipts = Ledger::of(target).receipts().await?;
    let refused = receipts.left_out().chain(&outcome.undone).next().is_some();
    let reading = Reading { rows: job.verify, catalog: refused };
    let judged = judge(reading, &plan, &receipts, &expected, &pair.scope, target);
    let mut verification = stop.or(judged).await?;
    let locating = async {
        locate(pair, &ReadFrom::target(&pair.target), &plan, &mut verification).await;
        Ok(())
    };
    stop.or(locating).await?;
    // What was left out may have been made by hand since.
    let left_out = receipts.left_out().filter(|_| !verification.is_clean());
    let undone = left_out.chain(&outcome.undone).cloned().collect::<Vec<_>>();
    let fence = so_far.fence.as_deref();
    let since = source_since(pair, &plan, &receipts, target, fence);
    let since = stop.or(async { Ok(since.await) }).await?;
    if let Some(fence) = fence {
        stop.or(fence.held()).await?;
    }
    let report = DatabaseReport {
        passwords_to_set,
        changes: job.changes.into_iter().chain(undone).collect(),
        verification,
        source_since: Some(since),
        fence: fence.map(|fence| Fenced { id: fence.id, roles: fence.roles.clone() }),
        ..so_far.totals(pair.target.database(), &expected.adapted.toc, &plan, &receipts)
    };
    let take_back: String = plan.take_back().map(|statement| statement.sql.as_str()).collect();
    if report.verification.is_clean() {
        so_far.is_sealing = true;
        Ledger::of(target).seal(&take_back, &render(&report)?).await?;
    } else {
        target.execute("leaving the owners on the target", &take_back).await?;
    }
    Ok(report)
}

async fn connect_or_create(
    request: &Request,
    pair: &Pair,
    source: &Source,
    so_far: &mut SoFar,
    events: &Events,
) -> Result<Session> {
    let session = match databases::target_database(&pair.target).await? {
        TargetDatabase::There(session) if so_far.beginning == Beginning::GoOn => session,
        TargetDatabase::There(session) => {
            let wanted = Wanted::migration(request, &source.identity, &source.session, &session);
            let place = (&pair.target, &source.database);
            let cleared = clearing::clear(&wanted, place, session, events).await?;
            so_far.roles_of_given_up = cleared.1;
            cleared.0
        }
        TargetDatabase::Missing(server) => {
            databases::create(&pair.target, &server, &source.database).await?
        }
    };
    so_far.beginning = Beginning::GoOn;
    Ok(session)
}

/// A new job: planned, and written to the ledger before anything is done.
async fn begin(
    request: &Request,
    source: &Source,
    (catalog, login_roles): (BTreeMap<String, u64>, Vec<String>),
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
        login_roles,
        tables: std::mem::take(&mut plan.tables),
        terms: request.terms(),
        toast_compression: request.toast_compression,
        steps: plan.steps.len(),
    };
    Ledger::of(target).begin(&job, &plan.steps).await?;
    plan.tables = std::mem::take(&mut job.tables);
    Ok(StoredJob {
        job,
        plan,
        receipts: Receipts::default(),
        state: JobState::Open,
        cut_over: None,
    })
}
