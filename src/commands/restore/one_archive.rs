//! One try at restoring an archive, from where the target's ledger says it stands.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalog::target_facts;
use crate::engine::{
    self, ArchivedRows, Claim, Event, Events, Job, JobState, Ledger, Origin, Ours, Receipts, Run,
    Stop, StoredJob,
};
use crate::error::{Error, Kind, Result};
use crate::plan::{self, DefinedBy, Plan, PlanInput, SequencesFrom, Splitting, VerifyMode};
use crate::toc::adapt::{Adapted, adapt, rejoin};
use crate::toc::{Entry, Finding, Kind as EntryKind, Severity, TableData, TargetFacts, named};
use crate::verify::{compare_counts, compare_tables};
use crate::wire::{Conninfo, Session};

use super::super::attempt::{SoFar, announce, render};
use super::super::check::is_refusal_of_a_statement;
use super::super::clearing::{self, Wanted};
use super::super::databases::{self, TargetDatabase};
use super::super::going_on::{
    refuse_changed_definitions, refuse_cut_over, refuse_other_terms, refuse_what_nobody_asked_for,
    too_late_to_copy,
};
use super::super::plan::preparations;
use super::super::report::{DatabaseReport, Verification};
use super::super::request::Beginning;
use super::super::survey::digests;
use super::opened::Opened;
use super::{BOOTSTRAP, RestoreRequest, catalog, findings, standing};

/// Checks, claims, plans or goes on with what is planned, runs that, and judges what came of it.
pub(super) async fn restore_one(
    request: &RestoreRequest,
    opened: &Opened,
    target: &Conninfo,
    so_far: &mut SoFar,
    events: &Events,
    stop: &mut Stop,
) -> Result<DatabaseReport> {
    let session =
        stop.or(Box::pin(checked_target(request, opened, target, so_far, events))).await?;
    so_far.claim = Some(stop.or(Claim::take(&session, so_far.claim.as_ref())).await?);
    let facts = target_facts(&session).await?;
    let mut adapted = adapt(&opened.toc, BOOTSTRAP, &facts);
    let mut found = Ledger::of(&session).read().await?;
    if found.as_ref().is_some_and(|stored| follows(opened, stored)) {
        let note = "the restore in the target's ledger is finished: this one takes its place there";
        events.say(Event::Note(note.to_owned())).await;
        Ledger::of(&session).remove().await?;
        found = None;
    }
    so_far.was_resumed.get_or_insert(found.is_some());
    let goes_on = found.is_some();
    let mut stored = match found {
        Some(stored) => stored,
        None => begin(request, opened, &mut adapted, &facts, &session, events).await?,
    };
    let planned_for = std::mem::take(&mut stored.job.catalog);
    refuse_cut_over(stored.cut_over.as_deref())?;
    let StoredJob { job, mut plan, receipts, state, .. } = stored;
    refuse_another_archive(&job, opened)?;
    refuse_other_terms(&job, &opened.terms).map_err(begin_anew)?;
    if let JobState::Sealed { at, report } = state
        && let Some(report) = so_far.finished_before(at, &report)?
    {
        return Ok(report);
    }
    refuse_changed_definitions(&planned_for, &digests(&opened.toc)).map_err(begin_anew)?;
    drop(planned_for);
    refuse_what_nobody_asked_for(&plan, &adapted.toc, receipts.data_is_complete(&plan))
        .map_err(begin_anew)?;
    adapted.toc.forget_rows();
    if goes_on {
        Ledger::of(&session).begin_again().await?;
        let (mut join, mut leave) = rejoin(&adapted.toc, &facts);
        let owners = standing::owners(&opened.needs, &session).await?;
        let more = standing::joining(&owners, &facts);
        join.extend(more.0);
        leave.extend(more.1);
        Ledger::of(&session).lend(&mut plan, (join, leave)).await?;
    }
    let plan = Arc::new(plan);
    let rows_target = session.same_server().with_client_encoding("UTF8");
    let ours = Ours {
        plan: &plan,
        session: &session,
        target: &rows_target,
        jobs: request.jobs(),
        progress: &events.verified,
    };
    let receipts = match goes_on {
        true => stop.or(Box::pin(take_up(&ours, receipts, events))).await?,
        false => receipts,
    };
    announce(&plan, &receipts, events).await;
    so_far.reached = Some(receipts.0.len());
    let run = Run {
        origin: Origin::Archive(Arc::clone(&opened.rows)),
        target: rows_target.clone(),
        leader: &session,
        plan: Arc::clone(&plan),
        receipts,
        warm: false,
        jobs: request.jobs(),
        toast_compression: job.toast_compression,
        strict: request.strict,
        patience: request.patience,
    };
    engine::run(run, &mut so_far.outcome, events, stop).await?;
    let receipts = Ledger::of(&session).receipts().await?;
    let refused = receipts.left_out().chain(&so_far.outcome.undone).next().is_some();
    let judging = async {
        let mut verification = judge(job.verify, &ours, &receipts, &opened.rows).await?;
        if job.verify != VerifyMode::None || refused {
            catalog::compare(opened, &adapted.toc, &session, &mut verification).await?;
        }
        Ok(verification)
    };
    let verification = stop.or(Box::pin(judging)).await?;
    seal(&session, target.database(), (job, &plan), &adapted, (receipts, verification), so_far)
        .await
}

/// A session in the target database, which is made where it is missing, once nothing speaks against
/// the job.
async fn checked_target(
    request: &RestoreRequest,
    opened: &Opened,
    target: &Conninfo,
    so_far: &mut SoFar,
    events: &Events,
) -> Result<Session> {
    events.say(Event::Database { name: target.database().to_owned() }).await;
    let there = databases::target_database(target).await?;
    if let TargetDatabase::There(session) = &there
        && so_far.beginning == Beginning::GoOn
        && let Some(stored) = Ledger::of(session).read().await?
        && !follows(opened, &stored)
    {
        // It was let through when it was begun.
        return match there {
            TargetDatabase::There(session) | TargetDatabase::Missing(session) => Ok(session),
        };
    }
    let facts = there.facts(target.database()).await?;
    let adapted = adapt(&opened.toc, BOOTSTRAP, &facts);
    let mut found = all_findings(opened, &adapted);
    found.extend(findings::missing_roles(&opened.toc, &facts));
    found.extend(request.roles.unfounded(&opened.toc, &facts));
    found.extend(findings::versions(opened.identity.version, facts.version));
    if let (TargetDatabase::There(session), Beginning::GoOn) = (&there, so_far.beginning) {
        found.extend(match opened.needs.as_slice() {
            [] => findings::emptiness(&opened.toc, session).await?,
            needs => standing::look(&opened.toc, needs, &facts, session).await?.findings,
        });
    }
    found.sort();
    found.dedup();
    findings::refuse(&found, request.strict)?;
    match there {
        TargetDatabase::There(session) if so_far.beginning == Beginning::GoOn => Ok(session),
        TargetDatabase::There(session) => {
            let session = cleared(request, opened, target, session, events).await?;
            let left = findings::emptiness(&opened.toc, &session).await?;
            findings::refuse(&left, request.strict)?;
            so_far.beginning = Beginning::GoOn;
            Ok(session)
        }
        TargetDatabase::Missing(_) if !opened.needs.is_empty() => {
            Err(Error::new(Kind::Refused, "looking for the target database")
                .because(format!(
                    "there is no database {}, and this part of the archive needs {}",
                    target.database(),
                    named(&opened.needs.iter().map(|need| need.title()).collect::<Vec<_>>())
                ))
                .hint("restore what it needs first: --schema-only, or --section pre-data"))
        }
        TargetDatabase::Missing(server) => match &opened.facts {
            Some(facts) => databases::create(target, &server, facts).await,
            None => Err(Error::new(Kind::Refused, "looking for the target database")
                .because(format!(
                    "there is no database {}, and the archive doesn't say how it is made",
                    target.database()
                ))
                .hint("create it, then run again")),
        },
    }
}

/// The target database made anew, where that is asked for and nothing speaks against it.
async fn cleared(
    request: &RestoreRequest,
    opened: &Opened,
    target: &Conninfo,
    session: Session,
    events: &Events,
) -> Result<Session> {
    let refused =
        |because: &str| Error::new(Kind::Refused, "dropping the target database").because(because);
    if !opened.needs.is_empty() {
        return Err(refused("this part of the archive needs what is in there")
            .hint("run it without --restart and --clean; or restore the whole archive with them"));
    }
    let Some(database) = &opened.facts else {
        return Err(refused("the archive doesn't say how to make it anew")
            .hint("drop and create it by hand, then run again without --restart and --clean"));
    };
    let wanted = Wanted {
        beginning: request.beginning,
        terms: opened.terms.clone(),
        source: &opened.identity,
        encoding: "UTF8".to_owned(),
        jobs: request.jobs(),
    };
    Ok(clearing::clear(&wanted, (target, database), session, events).await?.0)
}

/// Whether a restore comes after the one in the ledger: that one is finished, and this one brings
/// another part to what is there.
fn follows(opened: &Opened, stored: &StoredJob) -> bool {
    let is_restore = stored.job.source.system.starts_with("archive ");
    let is_finished = matches!(stored.state, JobState::Sealed { .. }) && stored.cut_over.is_none();
    let is_another =
        stored.job.terms != opened.terms || stored.job.source.system != opened.identity.system;
    !opened.needs.is_empty() && is_restore && is_finished && is_another
}

fn all_findings(opened: &Opened, adapted: &Adapted) -> Vec<Finding> {
    let mut found: Vec<Finding> =
        opened.findings.iter().chain(&adapted.findings).cloned().collect();
    if !opened.needs.is_empty() {
        // What such a part leans on are extensions as well, and others' are none of its business.
        let extensions = opened.toc.entries.iter().filter(|e| e.kind == EntryKind::Extension);
        let brought: BTreeSet<String> = extensions.map(Entry::title).collect();
        let tag = format!("{} ", EntryKind::Extension);
        found.retain(|f| !f.object.starts_with(&tag) || brought.contains(&f.object));
    }
    found.sort();
    found.dedup();
    found
}

/// A new job: planned, and written to the ledger before anything is done.
async fn begin(
    request: &RestoreRequest,
    opened: &Opened,
    adapted: &mut Adapted,
    facts: &TargetFacts,
    target: &Session,
    events: &Events,
) -> Result<StoredJob> {
    if !opened.needs.is_empty() {
        let there = standing::look(&opened.toc, &opened.needs, facts, target).await?;
        findings::refuse(&there.findings, request.strict)?;
        for finding in &there.findings {
            events.say(Event::Note(finding.to_string())).await;
        }
        there.order(&mut adapted.toc);
        let owners = standing::owners(&opened.needs, target).await?;
        let (join, leave) = standing::joining(&owners, facts);
        adapted.join.extend(join);
        adapted.leave.extend(leave);
    }
    let mut plan = plan::build(&PlanInput {
        toc: &adapted.toc,
        // An archive's tables are split as it has them.
        splitting: Splitting::Pages,
        jobs: request.jobs(),
        verify: request.verify,
        analyze: request.analyze,
        target_user: Some(&facts.user),
        target_version: Some(target.version()),
        sequences: SequencesFrom::Entries,
        defined_by: match opened.in_our_words {
            true => DefinedBy::Us,
            false => DefinedBy::PgDump,
        },
        preparations: &preparations(adapted),
    });
    let changes = all_findings(opened, adapted).into_iter();
    let mut job = Job {
        source: opened.identity.clone(),
        catalog: digests(&opened.toc),
        verify: request.verify,
        changes: changes.filter(|finding| finding.severity == Severity::Change).collect(),
        login_roles: Vec::new(),
        tables: std::mem::take(&mut plan.tables),
        terms: opened.terms.clone(),
        toast_compression: None,
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

/// What to do where a job can't go on.
fn begin_anew(error: Error) -> Error {
    error.hint(
        "run it as it was begun; or, to drop the target database with what the job has made, and begin \
         anew: --restart",
    )
}

fn refuse_another_archive(job: &Job, opened: &Opened) -> Result<()> {
    let then = &job.source;
    if (&then.system, &then.database) == (&opened.identity.system, &opened.identity.database) {
        return Ok(());
    }
    let what = match then.system.starts_with("archive ") {
        true => format!("it restores another one, the {} of {}", then.system, then.database),
        false => format!("it copies database {} of a server", then.database),
    };
    Err(Error::new(Kind::Refused, "going on with the job in the target's ledger")
        .because(what)
        .hint("give that archive; or, to drop what it has made and begin anew: --restart"))
}

/// The receipts of an earlier run that hold: an archive never changes, so all of them do, but for rows
/// that the target has lost, or that came out different.
async fn take_up(ours: &Ours<'_>, mut receipts: Receipts, events: &Events) -> Result<Receipts> {
    let Ours { plan, session, .. } = *ours;
    ours.refuse_filled(&receipts).await?;
    let strangers = engine::strangers(session).await?;
    if !strangers.is_empty() {
        let words =
            format!("others are connected to the target database: {}", strangers.join(", "));
        events.say(Event::Note(words)).await;
    }
    let doubtful = receipts.of_differing(plan);
    Ledger::of(session).forget(&doubtful).await?;
    receipts.0.retain(|key, _| !doubtful.contains(key));
    let beyond = plan.beyond_data();
    if receipts.0.keys().any(|(step, _)| beyond.contains(step)) {
        let lost = engine::emptied_tables(plan, &receipts, session).await?;
        return match lost.is_empty() {
            true => Ok(receipts),
            false => Err(begin_anew(too_late_to_copy(plan, &lost))),
        };
    }
    engine::without_lost(ours, receipts).await
}

/// What a job came to whose steps are done: its ledger is sealed where all is equal.
async fn seal(
    target: &Session,
    database: &str,
    (job, plan): (Job, &Plan),
    adapted: &Adapted,
    (receipts, verification): (Receipts, Verification),
    so_far: &mut SoFar,
) -> Result<DatabaseReport> {
    // What was left out may have been made by hand since.
    let left_out = receipts.left_out().filter(|_| !verification.is_clean());
    let undone = left_out.chain(&so_far.outcome.undone).cloned().collect::<Vec<_>>();
    let report = DatabaseReport {
        changes: job.changes.into_iter().chain(undone).collect(),
        verification,
        ..so_far.totals(database, &adapted.toc, plan, &receipts)
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

/// Compares the rows that were read of the archive with those that were read back. What differs may
/// only have been rendered otherwise: that is told by the target itself.
async fn judge(
    mode: VerifyMode,
    ours: &Ours<'_>,
    receipts: &Receipts,
    archive: &Arc<ArchivedRows>,
) -> Result<Verification> {
    let plan = ours.plan;
    let mut copied = receipts.copied(plan);
    let verified = receipts.verified(plan);
    let mut notes = Vec::new();
    // Rows of an extension's tables lie beside those that its script has made.
    let is_mixed = |table: &&TableData| table.adds_to_an_extensions();
    if mode == VerifyMode::Full {
        for ((table, copied), verified) in plan.tables.iter().zip(&mut copied).zip(&verified) {
            let may_be_rendered = !table.holds_large_objects() && !is_mixed(&table);
            let same_count = copied.map(|rows| rows.rows) == verified.map(|rows| rows.rows);
            if may_be_rendered && same_count && copied != verified {
                match engine::rendered(archive, table, ours.target, ours.progress).await {
                    Ok(read) => *copied = Some(read),
                    Err(error) if is_refusal_of_a_statement(&error) => notes.push(format!(
                        "what differs may only be rendered otherwise in the archive, which the \
                         target couldn't tell: {}",
                        error.message()
                    )),
                    Err(error) => return Err(error),
                }
            }
        }
    }
    let tables = match mode {
        VerifyMode::Full => compare_tables(&plan.tables, &copied, &verified),
        VerifyMode::Counts => compare_counts(&plan.tables, &copied, &receipts.counted(plan)),
        VerifyMode::None => Vec::new(),
    };
    let mixed: Vec<String> =
        plan.tables.iter().filter(is_mixed).map(|table| table.relation.to_string()).collect();
    let judged = plan.tables.iter().zip(tables).filter(|(table, _)| !is_mixed(table));
    let tables = judged.map(|(_, verdict)| verdict).collect();
    if !mixed.is_empty() {
        let named = named(&mixed);
        notes.push(format!("rows of {named} lie beside an extension's own and aren't compared"));
    }
    Ok(Verification { mode, tables, notes, ..Verification::default() })
}
