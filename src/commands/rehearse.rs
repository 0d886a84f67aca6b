//! A rehearsal: the whole job, into databases that are dropped again, while others go on writing to the
//! source. What it took is what the move will take.

use std::collections::BTreeSet;
use std::time::Instant;

use serde::Serialize;

use crate::catalog::{DatabaseFacts, database_facts_of};
use crate::engine::{Event, Events, Ledger, SourceIdentity, Stop};
use crate::error::{Error, Kind, Result};
use crate::pg::quote_ident;
use crate::toc::named;
use crate::wire::{Conninfo, Session};

use super::check::held_objects;
use super::clearing;
use super::databases::{self, TargetDatabase};
use super::migrate::migrate;
use super::report::DatabaseReport;
use super::request::{Beginning, Databases, Request};

/// What is put behind the name of a database that is rehearsed.
const SUFFIX: &str = "_pgconvoy_rehearsal";

/// The longest name that a server takes whole (documentation: "Identifiers and Key Words").
const LONGEST_NAME: usize = 63;

/// What rehearsing a database came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rehearsed {
    /// What moving it came to. Whether the source was written to since says nothing: it isn't fenced.
    #[serde(flatten)]
    pub report: DatabaseReport,
    /// How long it took, from making the database until it was compared and had its statistics.
    pub window_seconds: f64,
    /// Its size on the target.
    pub target_bytes: i64,
    /// The write-ahead log that the target wrote meanwhile, others' too; none where it doesn't tell.
    pub wal_bytes: Option<i64>,
}

/// Rehearses every database of the request, which names them, one after another. Those that are done
/// come back even when a later one fails.
pub async fn rehearse(
    request: &Request,
    events: &Events,
    stop: &mut Stop,
) -> (Vec<Rehearsed>, Result<()>) {
    let mut all = Vec::new();
    let ended = Box::pin(rehearse_all(request, events, stop, &mut all)).await;
    (all, ended)
}

async fn rehearse_all(
    request: &Request,
    events: &Events,
    stop: &mut Stop,
    all: &mut Vec<Rehearsed>,
) -> Result<()> {
    let Databases::Named(names) = &request.databases else {
        return Err(Error::usage("rehearsing the move").because("no databases are named"));
    };
    let before = stop.or(roles(&request.target)).await?;
    let mut ended = Ok(());
    for name in names {
        match Box::pin(rehearse_one(request, name, events, stop)).await {
            Ok(rehearsed) => all.push(rehearsed),
            Err(error) => {
                ended = Err(error.within(format_args!("rehearsing database {name}")));
                break;
            }
        }
    }
    forget_roles(&before, request, events).await;
    ended
}

async fn rehearse_one(
    request: &Request,
    name: &str,
    events: &Events,
    stop: &mut Stop,
) -> Result<Rehearsed> {
    let place = request.target.with_database(&throw_away_name(name)?);
    let job = Request {
        source: request.source.with_database(name),
        target: place.clone(),
        databases: Databases::AsGiven,
        beginning: Beginning::GoOn,
        fence: Vec::new(),
        ..request.clone()
    };
    if let Some(left_over) = stop.or(left_over(&job)).await? {
        let words = format!("dropping database {}: {left_over}", place.database());
        events.say(Event::Note(words)).await;
        clearing::throw_away(&place).await?;
    }
    // As the real one is, where that is there.
    let real = stop.or(databases::target_database(&request.target.with_database(name))).await?;
    let facts = match &real {
        TargetDatabase::There(session) => stop.or(database_facts_of(session, name)).await?,
        TargetDatabase::Missing(_) => {
            let source = stop.or(Session::connect(&job.source)).await?;
            stop.or(database_facts_of(&source, name)).await?
        }
    };
    // From here on nothing is left where it stands: what was made is dropped.
    let worked = Box::pin(work(&job, real.session(), &facts, events, stop)).await;
    let dropped = clearing::throw_away(&place).await;
    match (worked, dropped) {
        (Err(error), Ok(())) if error.kind() == Kind::Interrupted => {
            Err(error.hint("what it had made is dropped; run it again to begin anew"))
        }
        (worked, Ok(())) => worked,
        (worked, Err(error)) => Err(not_dropped(&place, worked.err(), &error)),
    }
}

async fn work(
    job: &Request,
    server: &Session,
    facts: &DatabaseFacts,
    events: &Events,
    stop: &mut Stop,
) -> Result<Rehearsed> {
    let log_before = wal_position(server).await;
    let began = Instant::now();
    databases::create(&job.target, server, facts).await?.close().await;
    let (reports, ended) = Box::pin(migrate(job, events, stop)).await;
    ended?;
    let window_seconds = began.elapsed().as_secs_f64();
    let report = reports.into_iter().next().ok_or_else(|| Error::step("reading the report"))?;
    // Hours may have passed, and an idle session be cut off.
    let target = stop.or(Session::connect(&job.target)).await?;
    let sql = "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())";
    let doing = format!("measuring database {}", job.target.database());
    let target_bytes = stop.or(target.query_one(&doing, sql, &[])).await?.get(0);
    let wal_bytes = match log_before {
        Some(before) => written_since(&target, &before).await,
        None => None,
    };
    target.close().await;
    let report = DatabaseReport {
        database: job.source.database().to_owned(),
        source_since: None,
        // Its login roles go with it.
        passwords_to_set: Vec::new(),
        ..report
    };
    Ok(Rehearsed { report, window_seconds, target_bytes, wal_bytes })
}

/// A longer name would be cut off by the server, and be another database's.
fn throw_away_name(name: &str) -> Result<String> {
    let throw_away = format!("{name}{SUFFIX}");
    match throw_away.len() <= LONGEST_NAME {
        true => Ok(throw_away),
        false => Err(Error::new(Kind::Refused, format!("rehearsing database {name}"))
            .because(format!("{throw_away} is longer than a database's name may be"))
            .hint("take `migrate` without a rehearsal")),
    }
}

/// Why a database that has the throw-away's name may be dropped: its ledger is of such a job, or it is
/// empty. Anything else isn't ours.
async fn left_over(job: &Request) -> Result<Option<&'static str>> {
    let TargetDatabase::There(target) = databases::target_database(&job.target).await? else {
        return Ok(None);
    };
    let stored = Ledger::of(&target).read().await?;
    if let Some(stored) = &stored {
        let source = Session::connect(&job.source).await?;
        let source = SourceIdentity::read(&source, job.source.database()).await?;
        let theirs = &stored.job.source;
        if (&theirs.system, &theirs.database) == (&source.system, &source.database) {
            return Ok(Some("an earlier rehearsal was cut off and left it over"));
        }
    }
    let held = held_objects(&target, &[]).await?;
    let name = job.target.database();
    match held.is_empty() && stored.is_none() {
        true => Ok(Some("it is empty")),
        false => Err(Error::new(Kind::Refused, format!("making database {name}"))
            .because(format!(
                "one of that name is there, and no rehearsal of this source has made it; it holds {}",
                named(&held)
            ))
            .hint(format!(
                "save what anybody needs of it, then, on the target: DROP DATABASE {};",
                quote_ident(name)
            ))),
    }
}

fn not_dropped(place: &Conninfo, failed: Option<Error>, error: &Error) -> Error {
    let name = place.database();
    let told = format!("database {name} is left over on the target: {}", error.message());
    let hint = format!(
        "run `rehearse` again, which drops it; or, on the target: DROP DATABASE {};",
        quote_ident(name)
    );
    let error = match failed {
        Some(failed) => Error::new(failed.kind(), failed.message()),
        None => Error::step("cleaning up after a rehearsal"),
    };
    error.because(told).hint(hint)
}

/// Who is a role of a server.
async fn roles(server: &Conninfo) -> Result<BTreeSet<String>> {
    let session = databases::maintenance(server).await?;
    let sql = "SELECT rolname::text FROM pg_catalog.pg_roles";
    let rows = session.query("listing the server's roles", sql, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Drops the roles that the rehearsal has brought from the source: the move brings them again. What
/// can't be dropped does no harm, and is told.
async fn forget_roles(before: &BTreeSet<String>, request: &Request, events: &Events) {
    let forgetting = async {
        let theirs = roles(&request.source).await?;
        let there = roles(&request.target).await?;
        let brought = there.difference(before).filter(|role| theirs.contains(*role));
        let server = databases::maintenance(&request.target).await?;
        for role in brought {
            let doing = format!("dropping role {role}, which the rehearsal has brought");
            server.execute(&doing, &format!("DROP ROLE {}", quote_ident(role))).await?;
        }
        Ok::<_, Error>(())
    };
    if let Err(error) = forgetting.await {
        events.say(Event::Note(format!("left over on the target: {}", error.message()))).await;
    }
}

/// Where the target's log stands; Aurora has none of its own to tell.
async fn wal_position(server: &Session) -> Option<String> {
    let sql = "SELECT pg_catalog.pg_current_wal_insert_lsn()::text";
    let row = server.query_one("asking for the target's log", sql, &[]).await.ok()?;
    Some(row.get(0))
}

async fn written_since(server: &Session, before: &str) -> Option<i64> {
    let sql = "SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), \
               $1::text::pg_catalog.pg_lsn)::pg_catalog.int8";
    let row = server.query_one("asking for the target's log", sql, &[&before]).await.ok()?;
    Some(row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_cut_off_to_another_databases() {
        assert_eq!(throw_away_name("iam").unwrap(), "iam_pgconvoy_rehearsal");
        assert!(throw_away_name(&"x".repeat(44)).is_ok());
        assert!(throw_away_name(&"x".repeat(45)).is_err());
    }

    #[test]
    fn what_is_left_over_is_told_with_what_failed() {
        let place = Conninfo::parse("host=h user=u dbname=a", &crate::wire::Environment::default());
        let (failed, error) = (Error::step("copying t"), Error::step("dropping a"));
        let told = not_dropped(&place.unwrap(), Some(failed), &error).to_string();
        assert!(told.starts_with("copying t: database a is left over"), "{told}");
    }
}
