//! `pgconvoy webstream status`: what a service would find that starts now.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;

use crate::error::Result;
use crate::pg::QualifiedName;
use crate::wire::Session;

use super::clock;
use super::configuration::Named;
use super::connecting::as_service;
use super::npgsql_version::NpgsqlVersion;
use super::recipe::Recipe;
use super::secrets::Variables;

/// So many round trips are timed.
const PINGS: usize = 20;
/// A table of more bytes isn't counted: what the planner takes it to have is told.
const COUNTED_BYTES: i64 = 64 << 20;

/// What a configuration's connection string leads to.
#[derive(Debug, Clone, Serialize)]
pub struct Reached {
    /// The configuration.
    pub configuration: PathBuf,
    /// The database.
    pub database: String,
    /// The server as the service knows it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The role that the service is there.
    pub role: String,
    /// The server's version.
    pub server: String,
    /// The protocol and cipher of TLS; none where the connection is in the open.
    pub tls: Option<String>,
    /// The median of some round trips, in milliseconds.
    pub latency_ms: f64,
    /// The largest tables that the role may read.
    pub tables: Vec<Counted>,
}

/// A table and its rows.
#[derive(Debug, Clone, Serialize)]
pub struct Counted {
    /// Its name.
    pub table: String,
    /// How many rows it has.
    pub rows: i64,
    /// Whether they were counted, rather than taken from the planner's statistics.
    pub exact: bool,
}

/// A connection string, and what came of it.
#[derive(Debug)]
pub struct Tried {
    /// The configuration.
    pub configuration: PathBuf,
    /// The database that it names.
    pub database: String,
    /// What a service would find.
    pub reached: Result<Reached>,
}

/// Tries every connection string of the configurations, as a service with that Npgsql would.
pub async fn status(recipe: &mut Recipe) -> Result<Vec<Tried>> {
    let (version, variables) = (recipe.npgsql_version()?, recipe.variables().await?);
    let mut all = Vec::new();
    for configuration in &recipe.configurations {
        for named in configuration.named()? {
            let configuration = configuration.path().to_owned();
            let reached = Box::pin(reach(&configuration, &named, version, &variables)).await;
            all.push(Tried { configuration, database: named.database, reached });
        }
    }
    let is_led = recipe.led_to_target()?.len() == recipe.configurations.len();
    let done = &mut recipe.record.done;
    if is_led && !done.repointed.is_empty() && all.iter().all(|tried| tried.reached.is_ok()) {
        done.reached = Some(clock::now());
        recipe.keep()?;
    }
    Ok(all)
}

async fn reach(
    configuration: &Path,
    named: &Named,
    version: NpgsqlVersion,
    variables: &Variables,
) -> Result<Reached> {
    let password = variables.password(named)?;
    let session = Session::connect(&as_service(named, &password, version)?).await?;
    let sql = "SELECT current_user::text, version || ' ' || cipher \
               FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()";
    let row = session.query_one("asking for the connection's TLS", sql, &[]).await?;
    let (role, tls) = (row.get(0), row.get(1));
    Ok(Reached {
        configuration: configuration.to_owned(),
        database: named.database.clone(),
        host: named.host.clone(),
        port: named.port,
        role,
        server: session.version().to_string(),
        tls,
        latency_ms: latency(&session).await?,
        tables: largest(&session).await?,
    })
}

async fn latency(session: &Session) -> Result<f64> {
    let mut times = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        let started = Instant::now();
        session.execute("timing a round trip", "SELECT 1").await?;
        times.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[PINGS / 2])
}

async fn largest(session: &Session) -> Result<Vec<Counted>> {
    let sql = "SELECT n.nspname::text, c.relname::text, c.reltuples::bigint, \
                      pg_catalog.pg_table_size(c.oid) \
               FROM pg_catalog.pg_class c \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               WHERE c.relkind = 'r' AND n.nspname NOT LIKE 'pg\\_%' \
                 AND n.nspname NOT IN ('information_schema', 'pgconvoy') \
                 AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') \
                 AND pg_catalog.has_table_privilege(c.oid, 'SELECT') \
               ORDER BY 4 DESC, 1, 2 LIMIT 5";
    let mut tables = Vec::new();
    for row in session.query("looking for the largest tables", sql, &[]).await? {
        let (schema, name, estimated, bytes): (String, String, i64, i64) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        let table = QualifiedName::new(schema, name);
        let exact = bytes <= COUNTED_BYTES;
        let rows = match exact {
            true => {
                let sql = format!("SELECT pg_catalog.count(*) FROM {}", table.sql());
                session.query_one(&format!("counting {table}"), &sql, &[]).await?.get(0)
            }
            false => estimated,
        };
        tables.push(Counted { table: table.to_string(), rows, exact });
    }
    Ok(tables)
}
