//! `pgconvoy webstream retire`: the bundled databases are closed for good, and their service stopped. And
//! `unretire`.

mod host;
mod service;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::commands::{Events, Stop};
use crate::error::{Error, Kind, Result};
use crate::pg::{quote_ident, quote_literal};
use crate::wire::Session;

use super::clock;
use super::proof::refuse_behind;
use super::recipe::Recipe;
use super::sessions::{Connected, connected};
use host::Local;

pub use service::{Dependent, Manager, Service};

/// How long a service that was started may take to let us in.
const STARTING: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);

/// What the bundled instance was like before its databases were closed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// When.
    pub at: String,
    /// The roles that could log in.
    pub roles: Vec<String>,
    /// By database: its CONNECTION LIMIT.
    pub limits: BTreeMap<String, i32>,
    /// By database: its own default_transaction_read_only, where it had one.
    #[serde(default)]
    pub read_only: BTreeMap<String, String>,
    /// Whether they are closed: what was before is on record until then, too.
    #[serde(default)]
    pub is_closed: bool,
    /// Their service, where it was to be stopped: the databases are closed then.
    #[serde(default)]
    pub service: Option<Stopped>,
}

/// A service that was stopped, and is kept from starting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// As it was.
    pub service: Service,
    /// Where its data lies: on its host.
    pub data: PathBuf,
    /// Whether all of that is done.
    pub is_done: bool,
}

/// What the operator says for `retire` alone.
#[derive(Debug, Clone, Default)]
pub struct Retiring {
    /// Whether the service is stopped and disabled, too.
    pub execute: bool,
    /// Its name, where it can't be found.
    pub service: Option<String>,
    /// Whether only what would be done is told.
    pub dry_run: bool,
}

/// Closes the bundled databases: their roles may not log in, nobody but a superuser may connect, and
/// what is there can only be read. Then stops their service, if that is wanted.
pub async fn retire(
    recipe: &mut Recipe,
    retiring: &Retiring,
    events: &Events,
    stop: &mut Stop,
) -> Result<Retired> {
    if let Some(before) = recipe.record.done.retired.clone().filter(|b| b.service.is_some()) {
        // They are closed, and the server may be gone.
        if retiring.execute && !retiring.dry_run {
            stop_service(recipe)?;
        }
        return Ok(recipe.record.done.retired.clone().unwrap_or(before));
    }
    let doing = "closing the bundled databases";
    let refused = |because: String, hint: &str| {
        Err(Error::new(Kind::Refused, doing).because(because).hint(hint))
    };
    if recipe.record.done.verified.is_none() {
        let hint = "run `pgconvoy webstream verify` first";
        return refused("no clean verification is on record".to_owned(), hint);
    }
    if recipe.led_to_target()?.len() < recipe.configurations.len() {
        let hint = "run `pgconvoy webstream repoint` first";
        return refused("the configurations still lead there".to_owned(), hint);
    }
    let named = recipe.databases()?;
    let databases: Vec<String> = named.iter().map(|named| named.database.clone()).collect();
    let roles = recipe.roles()?;
    let source = stop.or(Session::connect(&recipe.source()?.with_database("postgres"))).await?;
    let there = stop.or(connected(recipe, &source)).await?;
    if !there.is_empty() {
        let lines: Vec<String> = there.iter().map(Connected::described).collect();
        let because = format!("somebody is still connected:\n{}", lines.join("\n"));
        return refused(because, "stop whatever that is, then run again; nothing was changed");
    }
    if !recipe.record.done.retired.as_ref().is_some_and(|before| before.is_closed) {
        let hint = "whatever was written there since is on no other server: bring it over by hand, or \
                    take `pgconvoy webstream rollback`; a role that may log in: ALTER ROLE … NOLOGIN; \
                    nothing was changed";
        refuse_behind(recipe, &source, (doing, hint), events, stop).await?;
    }
    let stopped = match retiring.execute {
        true => Some(stop.or(to_stop(&source, retiring.service.as_deref())).await?),
        false => None,
    };
    let mut before = match recipe.record.done.retired.clone() {
        Some(before) => before,
        None => Retired { at: clock::now(), ..stop.or(read(&source, &databases, &roles)).await? },
    };
    if retiring.dry_run {
        before.service = stopped;
        return Ok(before);
    }
    // It is on record before anything is changed.
    recipe.record.done.retired = Some(before.clone());
    recipe.keep()?;
    // The instance itself may be read-only by default.
    let mut sql = String::from("BEGIN READ WRITE;\n");
    for role in &roles {
        sql += &format!("ALTER ROLE {} NOLOGIN;\n", quote_ident(role));
    }
    for database in &databases {
        let database = quote_ident(database);
        sql += &format!("ALTER DATABASE {database} CONNECTION LIMIT 0;\n");
        sql += &format!("ALTER DATABASE {database} SET default_transaction_read_only = on;\n");
    }
    source.execute(doing, &(sql + "COMMIT")).await?;
    source.close().await;
    before.is_closed = true;
    before.service = stopped.or(before.service);
    recipe.record.done.retired = Some(before.clone());
    recipe.keep()?;
    super::report::renew(recipe)?;
    if retiring.execute {
        stop_service(recipe)?;
    }
    Ok(recipe.record.done.retired.clone().unwrap_or(before))
}

/// The service that is to be stopped. Nobody else's is stopped with it unasked.
async fn to_stop(source: &Session, said: Option<&str>) -> Result<Stopped> {
    let local = Local::of(source).await?;
    let service = local.service(said)?;
    let running = service.running_dependents();
    match running.is_empty() {
        true => Ok(Stopped { service, data: local.data, is_done: false }),
        false => Err(Error::new(Kind::Refused, format!("stopping the service {}", service.name))
            .because(format!("{} would be stopped with it, and runs", running.join(", ")))
            .hint(format!("{}; nothing was changed", service.freeing()))),
    }
}

/// Stops the service that is on record.
fn stop_service(recipe: &mut Recipe) -> Result<()> {
    let Some(Retired { service: Some(stopped), .. }) = &mut recipe.record.done.retired else {
        return Ok(());
    };
    if !stopped.is_done {
        host::refuse_elsewhere(&stopped.data)?;
        host::run(&stopped.service.stops())
            .map_err(|error| error.within("the databases are closed, and their service isn't"))?;
        stopped.is_done = true;
    }
    recipe.keep()
}

/// Opens the bundled databases again, as they were; their service first, with `execute`.
pub async fn unretire(recipe: &mut Recipe, execute: bool, stop: &mut Stop) -> Result<Retired> {
    let doing = "opening the bundled databases again";
    let before = recipe.record.done.retired.clone().ok_or_else(|| {
        Error::new(Kind::Refused, doing)
            .because("the plan file knows of none that were closed")
            .hint("name the plan file with --plan")
    })?;
    let source = stop.or(reopened(recipe, &before, execute)).await?;
    // The instance itself may be read-only by default.
    let mut sql = String::from("BEGIN READ WRITE;\n");
    for role in &before.roles {
        sql += &format!("ALTER ROLE {} LOGIN;\n", quote_ident(role));
    }
    for (name, limit) in &before.limits {
        let database = quote_ident(name);
        sql += &format!("ALTER DATABASE {database} CONNECTION LIMIT {limit};\n");
        sql += &match before.read_only.get(name) {
            Some(value) => format!(
                "ALTER DATABASE {database} SET default_transaction_read_only = {};\n",
                quote_literal(value)
            ),
            None => format!("ALTER DATABASE {database} RESET default_transaction_read_only;\n"),
        };
    }
    source.execute(doing, &(sql + "COMMIT")).await?;
    recipe.record.done.retired = None;
    recipe.keep()?;
    Ok(before)
}

/// A session in the maintenance database, of a service that may have to be started.
async fn reopened(recipe: &Recipe, before: &Retired, execute: bool) -> Result<Session> {
    let place = recipe.source()?.with_database("postgres");
    let Some(Stopped { service, data, .. }) = &before.service else {
        return Session::connect(&place).await;
    };
    if !execute {
        return Session::connect(&place).await.map_err(|error| {
            let lines: Vec<String> = service.starts().iter().map(|words| words.join(" ")).collect();
            error.hint(format!(
                "start the service, or let --execute do it on its host, then run again: {}",
                lines.join(", then ")
            ))
        });
    }
    host::refuse_elsewhere(data)?;
    host::run(&service.starts())?;
    let until = Instant::now() + STARTING;
    loop {
        match Session::connect(&place).await {
            Err(error) if error.kind() == Kind::Connect && Instant::now() < until => {
                tokio::time::sleep(PAUSE).await;
            }
            connected => return connected,
        }
    }
}

async fn read(source: &Session, databases: &[String], roles: &[String]) -> Result<Retired> {
    let sql = "SELECT rolname::text FROM pg_catalog.pg_roles \
               WHERE rolname = ANY ($1) AND rolcanlogin ORDER BY 1";
    let rows = source.query("asking who may log in", sql, &[&roles]).await?;
    let roles = rows.iter().map(|row| row.get(0)).collect();
    let sql = "SELECT datname::text, datconnlimit FROM pg_catalog.pg_database \
               WHERE datname = ANY ($1)";
    let rows = source.query("asking for connection limits", sql, &[&databases]).await?;
    let limits = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let sql = "SELECT d.datname::text, pg_catalog.split_part(c.text, '=', 2) \
               FROM pg_catalog.pg_db_role_setting s \
               JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase \
               CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) c(text) \
               WHERE s.setrole = 0 AND d.datname = ANY ($1) \
                 AND c.text LIKE 'default\\_transaction\\_read\\_only=%'";
    let rows = source.query("asking what is read-only", sql, &[&databases]).await?;
    let read_only = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    Ok(Retired { roles, limits, read_only, ..Retired::default() })
}
