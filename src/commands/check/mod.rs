//! `pgconvoy check`: everything that would stop or change the job, all at once, with what mends it.
//!
//! A topic is a file. Where a topic has something to decide, reading and deciding are two
//! functions. The source is only read; on the target nothing is made but temporary tables.

mod compression;
mod connections;
mod disk;
mod emptiness;
mod encodings;
mod extensions;
mod gathered;
mod libraries;
mod loading;
mod locales;
mod locks;
mod objects;
mod prepared;
mod reading_rights;
mod routine_names;
mod row_filters;
mod search_paths;
mod servers;
mod session_defaults;
mod sides;
mod standing;
mod surroundings;
mod unreadable;
mod vanished;
mod versions;
mod writing_rights;

use crate::engine::{SourceIdentity, StoredJob};
use crate::error::{Error, Kind, Result};
use crate::toc::adapt::adapt;
use crate::toc::{Finding, Severity};

use super::clearing::{self, Wanted};
use super::databases::{self, Pair, TargetDatabase};
use super::fence;
use super::request::Request;
use super::survey::{self, ChosenNames, Source};

pub(super) use emptiness::objects as held_objects;
use gathered::Gathered;
pub(super) use gathered::is_refusal_of_a_statement;
use sides::Sides;

/// What checking a database found.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Checked {
    /// The database on the target.
    pub database: String,
    /// What was found, refusals first.
    pub findings: Vec<Finding>,
}

impl Checked {
    /// Whether the job is refused.
    pub fn is_refused(&self, strict: bool) -> bool {
        self.stopping(strict).next().is_some()
    }

    /// What will differ on the target.
    pub(super) fn changes(self) -> Vec<Finding> {
        let changes = self.findings.into_iter();
        changes.filter(|finding| finding.severity == Severity::Change).collect()
    }

    /// The findings that stop the job.
    pub fn stopping(&self, strict: bool) -> impl Iterator<Item = &Finding> {
        let worst = if strict { Severity::Change } else { Severity::Refusal };
        self.findings.iter().filter(move |finding| finding.severity <= worst)
    }
}

/// Checks every database of the request.
pub async fn check(request: &Request) -> Result<Vec<Checked>> {
    let checked = check_and_keep(request, &databases::pairs(request).await?).await?;
    Ok(checked.into_iter().map(|(checked, _source)| checked).collect())
}

/// The same of these databases, and what was read of the source where there is but one database: the snapshots of
/// several would stay open while the first ones are moved.
pub(super) async fn check_and_keep(
    request: &Request,
    pairs: &[Pair],
) -> Result<Vec<(Checked, Option<Source>)>> {
    let mut all = Vec::new();
    let only_one = pairs.len() == 1;
    for pair in pairs {
        let database = pair.target.database().to_owned();
        let checked = Box::pin(check_database(request, pair)).await;
        let (findings, source) =
            checked.map_err(|error| error.within(format_args!("checking database {database}")))?;
        all.push((Checked { database, findings }, source.filter(|_| only_one)));
    }
    Ok(all)
}

async fn check_database(request: &Request, pair: &Pair) -> Result<(Vec<Finding>, Option<Source>)> {
    let mut sides = Sides::connect(pair, request.jobs()).await?;
    let mut found = Gathered::default();
    Box::pin(check_clearing(request, &mut sides, &mut found)).await?;
    let job = check_target(&sides, &mut found).await?;
    Box::pin(check_servers(&sides, job.is_some(), &mut found)).await?;
    let compression = compression::findings(&sides, request.toast_compression).await;
    found.vital("how values are compressed", compression)?;
    if !request.fence.is_empty() {
        let database = pair.source.database();
        let fencing = fence::findings(&sides.source, database, &request.fence).await;
        found.vital("whether the source can be fenced", fencing)?;
    }
    let source = read_source(pair, &mut found).await?;
    if let Some(source) = &source {
        Box::pin(check_against(request, &sides, source, job.as_ref(), &mut found)).await?;
        match job {
            Some(job) => found.add([standing::judge(&job, source, request)]),
            // A job that goes on was let through once: its rows are partly there.
            None => found.topic("locales", locales::findings(&sides, source).await)?,
        }
    }
    Ok((found.sorted(), source))
}

/// Whether the target database is to be dropped and made anew, and may be. From then on it counts as
/// one that isn't there.
async fn check_clearing(
    request: &Request,
    sides: &mut Sides<'_>,
    found: &mut Gathered,
) -> Result<()> {
    let TargetDatabase::There(target) = &sides.place else { return Ok(()) };
    let source = SourceIdentity::read(&sides.source, sides.pair.source.database()).await?;
    let wanted = Wanted::migration(request, &source, &sides.source, target);
    let Some(held) = clearing::due(&wanted, target).await? else { return Ok(()) };
    let refusals = clearing::refusals(&wanted, &held, target).await;
    found.vital("whether the target database can be dropped", refusals)?;
    let holds = clearing::words(&held, target).await?;
    found.add([Finding::note(
        "target database",
        format!("is dropped, with its own settings and grants, and made anew: {holds}"),
    )]);
    match sides.clear().await {
        Err(error) if error.server_error().is_some() => {
            let mend = "let the target's user connect to database postgres or template1";
            found.add([Finding::refusal("target server", words(&error)).mend(mend)]);
            Ok(())
        }
        cleared => cleared,
    }
}

/// What doesn't depend on what the source database holds.
async fn check_servers(sides: &Sides<'_>, goes_on: bool, found: &mut Gathered) -> Result<()> {
    found.add(versions::findings(sides.source.version(), sides.target().version()));
    // These two alone: the first takes another connection, which the second would count, and for
    // which a server may have no room while it answers what takes many locks.
    found.topic("how the servers are reached", servers::findings(sides, goes_on).await)?;
    found.topic("connections", connections::findings(sides).await)?;
    let chosen = chosen_names(sides.pair).await?;
    // Together, as a server far away takes longer to be reached than to answer.
    let (disk, prepared, defaults, paths, locks, rights) = tokio::join!(
        disk::findings(sides),
        prepared::findings(sides),
        session_defaults::findings(sides),
        search_paths::findings(sides),
        locks::findings(sides, chosen.as_ref()),
        reading_rights::findings(sides, chosen.as_ref()),
    );
    found.topic("disk", disk)?;
    found.topic("prepared transactions", prepared)?;
    found.topic("session defaults", defaults)?;
    found.topic("names that a search_path finds", paths)?;
    found.topic("locks", locks)?;
    found.topic("the source user's privileges", rights)
}

/// What a choice comes to, as far as it can be read.
async fn chosen_names(pair: &Pair) -> Result<Option<ChosenNames>> {
    if pair.scope.choice.is_everything() {
        return Ok(None);
    }
    match survey::source_unlocked(pair).await {
        Ok(source) => Ok(source.chosen_names()),
        // Reading it for good tells of it.
        Err(error) if is_refusal_of_a_statement(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What the target database holds: the job that goes on there, or nothing at best.
async fn check_target(sides: &Sides<'_>, found: &mut Gathered) -> Result<Option<StoredJob>> {
    match standing::read(sides).await {
        Ok(Some(job)) => return Ok(Some(job)),
        Ok(None) => {
            let (objects, surroundings) =
                tokio::join!(emptiness::findings(sides), surroundings::findings(sides));
            found.vital("whether the target is empty", objects)?;
            found.topic("what the target adds by itself", surroundings)?;
        }
        Err(error) if error.kind() == Kind::Refused || is_refusal_of_a_statement(&error) => {
            found.add([standing::refusal(&error)]);
        }
        Err(error) => return Err(error),
    }
    Ok(None)
}

/// Reads the source. A source that can't be read is a finding, the last one then.
async fn read_source(pair: &Pair, found: &mut Gathered) -> Result<Option<Source>> {
    // Locking takes privileges, and those that are missing are known by name already.
    let reading = match found.is_refused() {
        true => survey::source_unlocked(pair).await,
        false => survey::source(pair).await,
    };
    match reading {
        Ok(source) => Ok(Some(source)),
        Err(error) if error.kind() == Kind::Refused || is_refusal_of_a_statement(&error) => {
            let what = format!("its catalog can't be read, so this is not all: {error}");
            found.add([Finding::refusal("source database", what)
                .mend("mend what is named here, then check again")]);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// What takes both sides to tell.
async fn check_against(
    request: &Request,
    sides: &Sides<'_>,
    source: &Source,
    job: Option<&StoredJob>,
    found: &mut Gathered,
) -> Result<()> {
    let facts = sides.target_facts().await?;
    found.add(objects::findings(source));
    found.add(adapt(&source.toc, &source.bootstrap, &facts).findings);
    found.add(sides.pair.roles.unfounded(&source.toc, &facts));
    let (loading, extensions, filters, vanished, libraries, unreadable, encodings, rights) = tokio::join!(
        loading::findings(sides, &facts),
        extensions::findings(sides, &source.extensions, &facts),
        row_filters::findings(sides, source),
        vanished::findings(sides, source),
        libraries::findings(sides, source, &facts),
        unreadable::findings(sides, source),
        encodings::findings(sides, source, request.target.client_encoding()),
        writing_rights::findings(sides, source, &facts),
    );
    found.topic("what would speed the load up", loading)?;
    found.topic("extensions", extensions)?;
    found.topic("row filters", filters)?;
    found.topic("what the target's version has no more", vanished)?;
    found.topic("libraries that functions are made of", libraries)?;
    found.topic("values that no server reads", unreadable)?;
    found.topic("encodings", encodings)?;
    // With its definitions a job has given the database to its owner, and creates nothing more.
    if job.is_none_or(|job| !standing::is_defined(job)) {
        found.topic("the target user's privileges", rights)?;
    }
    Ok(())
}

/// Words of an error on one line, for a finding.
fn words(error: &Error) -> String {
    error.to_string().replace('\n', "; ")
}
