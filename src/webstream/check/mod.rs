//! `pgconvoy webstream check`: everything that would stop the move, or spoil what comes after it.
//!
//! A topic is a file: what is asked, and what it means, are two functions. Nothing is changed on either
//! side.

mod databases;
mod endpoint;
mod growth;
mod hosts;
mod latency;
mod look_ups;
mod pools;
#[cfg(feature = "aws")]
mod provider;
mod reaching;
mod retention;
mod timed_table;
mod tls;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::commands::{self, Checked, Databases, Finding, Severity, Stop};
use crate::error::{Error, Result};
use crate::wire::{Conninfo, Session};

use super::clock;
use super::configuration::Named;
use super::recipe::Recipe;
use super::sessions::{Connected, connected};

pub use databases::DatabaseFacts;
pub use endpoint::{Endpoint, EndpointKind};
pub use growth::Growth;
pub use latency::{Distance, RoundTrips};
pub use look_ups::{LookUp, Topic};
pub use pools::{Pool, Pools, Room};
pub use retention::Outdated;
use timed_table::TimedTable;
pub use tls::Encryption;

/// What the operator says for a check alone.
#[derive(Debug, Clone, Default)]
pub struct Looking {
    /// The authorities by which the target is to be verified.
    pub root_certificate: Option<PathBuf>,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Preflight {
    /// The bundled instance, if it was reached.
    pub source: Option<ServerFacts>,
    /// The managed one.
    pub target: Option<ServerFacts>,
    /// What the target's name tells.
    pub endpoint: Endpoint,
    /// Whether it is public: only the provider's API knows.
    pub public: &'static str,
    /// Its TLS.
    pub tls: Encryption,
    /// How far away it is.
    pub latency: Option<RoundTrips>,
    /// The services' connections.
    pub pools: Pools,
    /// Who is connected to the source.
    pub connected: Vec<Connected>,
    /// The databases to be moved.
    pub databases: Vec<DatabaseFacts>,
    /// How fast they grow, as far as the source tells.
    pub growth: Vec<Growth>,
    /// Measurements that needn't move.
    pub outdated: Option<Outdated>,
    /// What the provider's API tells, and how it is asked.
    pub look_ups: Vec<LookUp>,
    /// What stands in the way, or is worth knowing; refusals first.
    pub findings: Vec<Finding>,
    /// What the engine found for the job, by database; what it found of all is among the findings.
    pub checked: Vec<Checked>,
}

/// A server as its sessions find it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServerFacts {
    /// Host, port and database.
    pub address: String,
    /// Its version.
    pub version: String,
    /// Whether it replays another server.
    pub is_reader: bool,
    /// Whether it is Aurora.
    pub is_aurora: bool,
    /// `rds.force_ssl`, where there is such a setting.
    pub force_ssl: Option<String>,
}

impl Preflight {
    /// Whether the move is refused.
    pub fn is_refused(&self) -> bool {
        let refused = |finding: &Finding| finding.severity == Severity::Refusal;
        self.findings.iter().any(refused) || self.checked.iter().any(|c| c.is_refused(false))
    }

    /// Whether both servers were reached.
    pub fn has_reached_both(&self) -> bool {
        self.source.is_some() && self.target.is_some()
    }

    /// What all databases take together, as far as it is known.
    pub fn bytes(&self) -> i64 {
        self.databases.iter().filter_map(|facts| facts.bytes).sum()
    }
}

/// Looks at everything, and remembers whether the move may go on.
pub async fn check(recipe: &mut Recipe, looking: &Looking, stop: &mut Stop) -> Result<Preflight> {
    let found = stop.or(Box::pin(look(recipe, looking))).await?;
    recipe.record.done.checked = (!found.is_refused()).then(clock::now);
    recipe.keep()?;
    Ok(found)
}

async fn look(recipe: &mut Recipe, looking: &Looking) -> Result<Preflight> {
    let named = recipe.databases()?;
    let target = recipe.target()?.with_database("postgres");
    let source = recipe.source()?.with_database("postgres");
    let host = target.host_and_port().map(|(host, _)| host).unwrap_or_default();
    let endpoint = Endpoint::of(&host);
    let now = clock::seconds(&clock::now()).unwrap_or_default();
    let hour = (clock::text(now - 3600.0), clock::text(now));
    let mut found = Preflight {
        source: None,
        target: None,
        public: "unknown",
        tls: Encryption::default(),
        latency: None,
        pools: Pools::of(&recipe.configurations)?,
        connected: Vec::new(),
        databases: Vec::new(),
        growth: Vec::new(),
        outdated: None,
        look_ups: look_ups::for_target(&endpoint, (&hour.0, &hour.1)),
        findings: Vec::new(),
        checked: Vec::new(),
        endpoint,
    };
    if host.is_empty() {
        let what = "--target names a socket, or several hosts: services are led to one endpoint";
        let finding = Finding::refusal("target endpoint", what);
        found.findings.push(finding.mend("give host=NAME of the one endpoint"));
    }
    let authorities = authorities(recipe, looking)?;
    Box::pin(look_at_target(&target, authorities.as_deref(), &named, &mut found)).await?;
    let is_aurora = found.target.as_ref().map(|target| target.is_aurora);
    if !host.is_empty() {
        found.findings.extend(endpoint::judge(&host, &found.endpoint, is_aurora));
    }
    Box::pin(look_at_source(&source, recipe, &named, &mut found)).await?;
    if found.has_reached_both() {
        Box::pin(look_at_job(recipe, &mut found)).await?;
    }
    #[cfg(feature = "aws")]
    Box::pin(provider::ask(&target, now, recipe.rehearsed_minutes()?, &mut found)).await;
    found.findings.sort();
    found.findings.dedup();
    Ok(found)
}

/// The authorities that are said now, or were for the services, or by which we verify ourselves.
fn authorities(recipe: &Recipe, looking: &Looking) -> Result<Option<PathBuf>> {
    if let Some(said) = &looking.root_certificate {
        return Ok(Some(said.clone()));
    }
    let target = recipe.record.target.as_deref().unwrap_or_default();
    let ours = Conninfo::settings(target)?.into_iter().find(|(name, _)| name == "sslrootcert");
    let known =
        recipe.record.root_certificate.clone().into_iter().chain(ours.map(|(_, file)| file));
    // The services' hosts may have theirs where this one has nothing.
    Ok(known.map(PathBuf::from).find(|file| file.is_file()))
}

async fn look_at_target(
    target: &Conninfo,
    authorities: Option<&Path>,
    named: &[Named],
    found: &mut Preflight,
) -> Result<()> {
    if let Some(tls) = tls::ask(target, authorities).await {
        found.tls = tls;
        found.findings.extend(found.tls.judge());
    }
    let session = match Session::connect(target).await {
        Ok(session) => session,
        Err(error) => {
            let what = format!("can't be reached: {}", error.message());
            let remedy = error.hint_text().unwrap_or("mend --target, then check again");
            found.findings.push(Finding::refusal("target server", what).mend(remedy));
            return Ok(());
        }
    };
    found.target = Some(ServerFacts::read(&session, target).await?);
    let trips = latency::measure(&session).await?;
    found.findings.extend(latency::judge(&trips));
    found.latency = Some(trips);
    found.pools.room = Some(Room::ask(&session).await?);
    found.findings.extend(found.pools.judge());
    found.findings.extend(databases::extensions(&session, named).await?);
    session.close().await;
    Ok(())
}

async fn look_at_source(
    source: &Conninfo,
    recipe: &mut Recipe,
    named: &[Named],
    found: &mut Preflight,
) -> Result<()> {
    let session = match Session::connect(source).await {
        Ok(session) => session,
        Err(error) => {
            found.findings.push(reaching::finding(&error, source));
            return Ok(());
        }
    };
    found.source = Some(ServerFacts::read(&session, source).await?);
    found.databases = databases::read(&session, named).await?;
    found.findings.extend(databases::judge(&found.databases));
    found.connected = connected(recipe, &session).await?;
    if !hosts::sees_all(&session).await? {
        let what = "aren't all shown to this user: who is connected can't be told";
        let finding = Finding::note("sessions", what);
        found.findings.push(finding.mend("let --source name the superuser postgres"));
    }
    let said = &recipe.record.known_clients;
    let known = hosts::accounted_for(&recipe.configurations, said).await?;
    found.findings.extend(hosts::judge(&found.connected, &recipe.roles()?, &known));
    session.close().await;
    let kept_days = retention::days(&recipe.configurations);
    let there = found.databases.iter().filter(|facts| facts.owner.is_some());
    for database in there.map(|facts| facts.database.clone()).collect::<Vec<_>>() {
        let session = Session::connect(&source.with_database(&database)).await?;
        let kept_days = kept_days.filter(|_| database == retention::DATABASE);
        if let Err(error) = look_at_rows(&session, &database, kept_days, found).await {
            found.findings.push(timed_table::unanswered(&database, error)?);
        }
        session.close().await;
    }
    Ok(())
}

/// How fast a database grows, and which of its rows are too old to move.
async fn look_at_rows(
    session: &Session,
    database: &str,
    kept_days: Option<i32>,
    found: &mut Preflight,
) -> Result<()> {
    let table = TimedTable::largest(session).await?;
    if let (Some(table), Some(days)) = (&table, kept_days) {
        let outdated = retention::count(session, table, days).await?;
        found.findings.extend(retention::judge(&outdated));
        found.outdated = Some(outdated);
    }
    found.growth.push(growth::measure(session, database, table.as_ref(), kept_days).await?);
    Ok(())
}

/// What the engine would refuse or change of the job itself.
async fn look_at_job(recipe: &Recipe, found: &mut Preflight) -> Result<()> {
    let there = found.databases.iter().filter(|facts| facts.owner.is_some());
    let there: Vec<String> = there.map(|facts| facts.database.clone()).collect();
    if there.is_empty() {
        return Ok(());
    }
    let mut request = recipe.job()?;
    request.databases = Databases::Named(there);
    request.fence = recipe.roles()?;
    match Box::pin(commands::check(&request)).await {
        Ok(mut checked) => {
            found.findings.extend(taken_together(&mut checked));
            found.checked = checked;
        }
        Err(error) => found.findings.push(unchecked(&error)),
    }
    Ok(())
}

/// Takes out what was found of every database, which is of the servers then, so that it is told once.
fn taken_together(checked: &mut [Checked]) -> Vec<Finding> {
    let [first, others @ ..] = &*checked else { return Vec::new() };
    if others.is_empty() {
        return Vec::new();
    }
    let everywhere = |finding: &&Finding| others.iter().all(|o| o.findings.contains(finding));
    let common: Vec<Finding> = first.findings.iter().filter(everywhere).cloned().collect();
    for one in checked {
        one.findings.retain(|finding| !common.contains(finding));
    }
    common
}

fn unchecked(error: &Error) -> Finding {
    let what = format!("couldn't be checked: {}", error.message());
    let finding = Finding::refusal("the job", what);
    finding.mend(error.hint_text().unwrap_or("mend that, then check again"))
}

impl ServerFacts {
    async fn read(session: &Session, conninfo: &Conninfo) -> Result<ServerFacts> {
        let sql = "SELECT pg_catalog.pg_is_in_recovery(), \
             pg_catalog.to_regproc('pg_catalog.aurora_version') IS NOT NULL, \
             pg_catalog.current_setting('rds.force_ssl', true)";
        let row = session.query_one("asking what kind of server it is", sql, &[]).await?;
        Ok(ServerFacts {
            address: conninfo.display(),
            version: session.version().to_string(),
            is_reader: row.get(0),
            is_aurora: row.get(1),
            force_ssl: row.get(2),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_for_every_database_is_told_once() {
        let checked = |database: &str, notes: &[&str]| Checked {
            database: database.to_owned(),
            findings: notes.iter().map(|note| Finding::note(*note, "is so")).collect(),
        };
        let mut all = [checked("a", &["server", "x"]), checked("b", &["server"])];
        assert_eq!(taken_together(&mut all), [Finding::note("server", "is so")]);
        assert_eq!(all[0].findings, [Finding::note("x", "is so")]);
        assert!(all[1].findings.is_empty());
        let mut alone = [checked("a", &["server"])];
        assert!(taken_together(&mut alone).is_empty() && alone[0].findings.len() == 1);
        assert!(taken_together(&mut []).is_empty());
    }
}
