//! `pgconvoy verify`: all rows of both sides read, the catalogs compared, and what differs located.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use crate::catalog;
use crate::copy::Fingerprint;
use crate::engine::{Event, Events, ReadFrom, SourceSnapshot, Stop, read_chunks};
use crate::error::{Error, Kind, Result};
use crate::plan::{Chunk, Plan, VerifyMode};
use crate::toc::adapt::{Adapted, adapt, rejoin};
use crate::toc::{Side, TableData, TargetFacts, Toc, counted};
use crate::verify::{
    self, Located, Sequences, TableVerdict, compare_catalogs, compare_large_objects,
    compare_sequences, compare_tables, uncompared,
};
use crate::wire::Session;

use super::databases::{self, Pair, TargetDatabase};
use super::plan::{count_objects, plan_for};
use super::report::{DatabaseReport, Verification};
use super::request::Request;
use super::survey::{self, Source};

/// So many tables' differing rows are located; the others are named.
const LOCATED: usize = 20;

/// Compares every database of the request.
pub async fn verify(
    request: &Request,
    events: &Events,
    stop: &mut Stop,
) -> Result<Vec<DatabaseReport>> {
    let mut reports = Vec::new();
    for pair in stop.or(databases::pairs(request)).await? {
        let name = pair.target.database().to_owned();
        events.say(Event::Database { name: name.clone() }).await;
        let verified = verify_one(request, &pair, events, stop).await;
        reports.push(verified.map_err(|error| error.within(format_args!("database {name}")))?);
    }
    Ok(reports)
}

async fn verify_one(
    request: &Request,
    pair: &Pair,
    events: &Events,
    stop: &mut Stop,
) -> Result<DatabaseReport> {
    let started = Instant::now();
    let mut source = stop.or(survey::source(pair)).await?;
    let target = match databases::target_database(&pair.target).await? {
        TargetDatabase::There(session) => session,
        TargetDatabase::Missing(_) => {
            return Err(Error::new(Kind::Refused, "connecting to the target database")
                .because("it isn't there")
                .hint(format!("run `{}` first", request.sequel.moves)));
        }
    };
    refuse_itself(&source.session, &target).await?;
    survey::refuse_open_choice(&source)?;
    let facts = catalog::target_facts(&target).await?;
    let adapted = adapt(&source.toc, &source.bootstrap, &facts);
    let chosen = source.findings.clone();
    source.toc = Toc::default();
    let comparing = compare(request, pair, source, (&target, &facts), &adapted, events);
    let (plan, verification) = stop.or(Box::pin(comparing)).await?;
    Ok(DatabaseReport {
        database: pair.target.database().to_owned(),
        objects: count_objects(&adapted.toc),
        tables: plan.count_tables(),
        rows: verification.equal_rows(),
        seconds: started.elapsed().as_secs_f64(),
        changes: chosen.into_iter().chain(adapted.findings).collect(),
        verification,
        ..DatabaseReport::default()
    })
}

/// A database always equals itself: that would say nothing of a copy.
async fn refuse_itself(source: &Session, target: &Session) -> Result<()> {
    // Clones of a cluster share its identifier, and have started at other times.
    let sql = "SELECT pg_catalog.concat_ws(' ', \
                 pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()), \
                 pg_catalog.current_setting('port'), d.oid) \
               FROM pg_catalog.pg_database d \
               WHERE d.datname = pg_catalog.current_database()";
    let doing = "asking whether source and target are two databases";
    let theirs: String = source.query_one(doing, sql, &[]).await?.get(0);
    let ours: String = target.query_one(doing, sql, &[]).await?.get(0);
    match theirs == ours {
        true => Err(Error::new(Kind::Refused, "comparing source and target")
            .because("they are one and the same database")
            .hint("name the database that was copied in --source, and the copy in --target")),
        false => Ok(()),
    }
}

async fn compare(
    request: &Request,
    pair: &Pair,
    source: Source,
    (target, facts): (&Session, &TargetFacts),
    adapted: &Adapted,
    events: &Events,
) -> Result<(Arc<Plan>, Verification)> {
    let expected = &adapted.toc;
    let plan = Arc::new(plan_for(request, &source, adapted, None));
    let chunks: Vec<Chunk> = plan.copies().map(|(_, _, chunk)| chunk.clone()).collect();
    let same_major = source.identity.version.major() == target.version().major();
    let found = survey::target(target, expected, facts, &source.scope).await?;
    let mut catalog = compare_catalogs(expected, &found, same_major);
    catalog.extend(compare_sequences(expected, &found, Sequences::Still));
    catalog.extend(compare_large_objects(expected, &found));

    // A role that isn't there owns nothing there, which comparing tells.
    let (joins, _) = rejoin(expected, facts);
    let jobs = request.jobs().div_ceil(2);
    if !joins.is_empty() && jobs > 1 {
        let note = format!(
            "reading the target by one connection, as it joins {} in a transaction of its own: \
             members of these roles read by {jobs}",
            counted(joins.len(), "owner")
        );
        events.say(Event::Note(note)).await;
    }
    let bytes = chunks.iter().map(|chunk| chunk.bytes).sum();
    events.say(Event::Reading { tables: plan.count_tables(), bytes }).await;
    let pair = &pair.for_rows(request, &source, target);
    let snapshot = SourceSnapshot::export(source.session).await?;
    let ours = ReadFrom::source(&pair.source, &snapshot);
    let theirs = ReadFrom::target(&pair.target).joined(joins.concat());
    let present = present_tables(&plan, &found);
    let there: Vec<Chunk> =
        chunks.iter().filter(|chunk| present.contains(&chunk.table.0)).cloned().collect();
    let (copied, verified) = tokio::try_join!(
        read_chunks(&plan, chunks.clone(), &ours, jobs, &events.copied),
        read_chunks(&plan, there.clone(), &theirs, jobs, &events.verified),
    )?;
    let (copied, verified) = (sums(&plan, &chunks, &copied), sums(&plan, &there, &verified));
    snapshot.release().await?;
    let mut verification = Verification {
        mode: VerifyMode::Full,
        tables: compare_tables(&plan.tables, &copied, &verified),
        catalog,
        notes: uncompared(expected, same_major).into_iter().collect(),
        ..Verification::default()
    };
    locate(pair, &theirs, &plan, &mut verification).await;
    if request.deep {
        events.say(Event::Note("checking the target's indexes".to_owned())).await;
        let indexes = verify::check_indexes(target, expected).await?;
        verification.catalog.extend(indexes.differences);
        verification.notes.extend(indexes.notes);
    }
    Ok((plan, verification))
}

/// The tables that the target has: the others are missing, which the catalogs' comparison says.
fn present_tables(plan: &Plan, found: &Toc) -> BTreeSet<u32> {
    let there: BTreeSet<_> = found
        .entries
        .iter()
        .filter_map(|entry| entry.table.as_ref())
        .map(|t| &t.relation)
        .collect();
    let tables = plan.tables.iter().enumerate();
    tables.filter(|(_, table)| there.contains(&table.relation)).map(|(i, _)| i as u32).collect()
}

/// What chunks add up to, by table.
fn sums(plan: &Plan, chunks: &[Chunk], found: &[Fingerprint]) -> Vec<Option<Fingerprint>> {
    let mut sums = vec![None; plan.tables.len()];
    for (chunk, fingerprint) in chunks.iter().zip(found) {
        let sum = sums[chunk.table.0 as usize].get_or_insert_with(Fingerprint::default);
        *sum += *fingerprint;
    }
    sums
}

/// Finds the rows in which tables differ, as both sides are now. Where their texts, which are all
/// that a dump carries, are the same, the table is equal: an array that had a NULL says so in binary
/// even when it is overwritten, and a copy doesn't (source: array_set_element in arrayfuncs.c). That
/// rows can't be found is told in their place: it changes no verdict.
pub(super) async fn locate(
    pair: &Pair,
    target: &ReadFrom,
    plan: &Plan,
    verification: &mut Verification,
) {
    for verdict in &mut verification.tables {
        let TableVerdict::Differs { table, source_rows, target_rows } = verdict else { continue };
        let found = plan.tables.iter().find(|known| known.relation == *table);
        let Some(known) = found.filter(|_| verification.located.len() < LOCATED) else { continue };
        let told = match locate_in(pair, target, known).await {
            Ok(located) if located.is_equal_as_text() && source_rows == target_rows => {
                let (table, rows) = (table.clone(), *target_rows);
                verification.notes.push(format!("the rows of {table} differ in binary form only"));
                *verdict = TableVerdict::Equal { table, rows };
                continue;
            }
            Ok(located) => located.to_string(),
            Err(error) => format!("{table}: which rows differ isn't known: {error}"),
        };
        verification.located.push(told);
    }
}

async fn locate_in(pair: &Pair, target: &ReadFrom, table: &TableData) -> Result<Located> {
    let mut source = ReadFrom::now(Side::Source, &pair.source).connect().await?;
    let mut target = target.connect().await?;
    verify::locate(table, &mut source, &mut target).await
}
