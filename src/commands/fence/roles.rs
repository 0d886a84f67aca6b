//! The roles that a fence keeps out. That is remembered on the source itself, where roles are: those
//! that could log in before are members of a role of ours, which is made, given to them and taken
//! away again by the very transactions that change them. So `unfence` needs nothing else, whichever
//! database it is led to, and nothing is ever half done.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::catalog::{FENCE_ROLE, FENCED};
use crate::engine::failpoint::{self, Act, Point};
use crate::error::{Error, Kind, Result};
use crate::pg::{quote_ident, quote_literal};
use crate::wire::Session;

/// How long sessions may take to end.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(100);

/// A source that is read-only by default is so for those who write to it, not for its fence.
const BEGINNING: &str = "BEGIN READ WRITE;\n";

/// What tells the fence that stands from others; none where none does.
pub(super) async fn id(source: &Session) -> Result<Option<u32>> {
    let sql = "SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = $1";
    let rows = source.query("looking for a fence", sql, &[&FENCE_ROLE]).await?;
    Ok(rows.first().map(|row| row.get(0)))
}

/// Those of the roles that may log in.
pub(super) async fn able(source: &Session, names: &[String]) -> Result<Vec<String>> {
    let sql = "SELECT r.rolname::text FROM pg_catalog.pg_roles r \
               WHERE r.rolname::text = ANY ($1) AND r.rolcanlogin ORDER BY 1";
    let rows = source.query("asking who may log in to the source", sql, &[&names]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Forbids these roles, who may, to log in.
pub(super) async fn keep_out(source: &Session, names: &[String]) -> Result<u32> {
    let doing = "forbidding roles to log in";
    let ours = quote_ident(FENCE_ROLE);
    let mut sql = String::from(BEGINNING);
    if id(source).await?.is_none() {
        let words = "pgconvoy has forbidden the members of this role to log in: `pgconvoy unfence` \
                     lets them in again";
        sql.push_str(&format!(
            "CREATE ROLE {ours} NOLOGIN;\nCOMMENT ON ROLE {ours} IS {};\n",
            quote_literal(words)
        ));
    }
    for role in names.iter().map(|name| quote_ident(name)) {
        sql.push_str(&format!("GRANT {ours} TO {role};\nALTER ROLE {role} NOLOGIN;\n"));
    }
    failpoint::pass(Point::Before(Act::RaiseFence));
    source.execute(doing, &(sql + "COMMIT;\n")).await?;
    failpoint::pass(Point::After(Act::RaiseFence));
    id(source).await?.ok_or_else(|| {
        let error = Error::step(doing).because("somebody has lifted the fence meanwhile");
        error.hint("see that nobody runs `pgconvoy unfence`, then run the same command again")
    })
}

/// Ends the sessions of these roles in these databases, and waits until they are gone; how many
/// there were.
pub(super) async fn end_sessions(
    source: &Session,
    names: &[String],
    databases: &[&str],
) -> Result<usize> {
    let doing = "ending the sessions of the fenced roles";
    let sql = "SELECT a.pid, pg_catalog.pg_terminate_backend(a.pid) \
               FROM pg_catalog.pg_stat_activity a WHERE a.usename::text = ANY ($1) \
               AND a.datname::text = ANY ($2) AND a.pid <> pg_catalog.pg_backend_pid()";
    let until = Instant::now() + PATIENCE;
    let mut ended = std::collections::BTreeSet::new();
    loop {
        let there = source.query(doing, sql, &[&names, &databases]).await?;
        if there.is_empty() {
            return Ok(ended.len());
        }
        let pids: Vec<i32> = there.iter().map(|row| row.get(0)).collect();
        if Instant::now() >= until {
            return Err(Error::new(Kind::Refused, doing)
                .because(format!("server processes {pids:?} are still there"))
                .hint("end them, then run again"));
        }
        ended.extend(pids);
        sleep(PAUSE).await;
    }
}

/// Whom lifting a fence lets in, and whom it doesn't.
#[derive(Default)]
pub(in crate::commands) struct Lifted {
    /// They may log in again.
    pub(in crate::commands) again: Vec<String>,
    /// The fence still keeps them out.
    pub(in crate::commands) stay: Vec<String>,
}

/// Lets the roles in again that a fence keeps out, of them only those of `some` if that is said.
/// With the last one the fence is forgotten. Where none stands there is nothing to do.
pub(in crate::commands) async fn lift(source: &Session, some: Option<&[String]>) -> Result<Lifted> {
    let doing = "lifting the fence on the source";
    if id(source).await?.is_none() {
        return Ok(Lifted::default());
    }
    let sql = format!(
        "SELECT r.rolname::text FROM pg_catalog.pg_roles r WHERE r.oid IN ({FENCED}) ORDER BY 1"
    );
    let rows = source.query(doing, &sql, &[]).await?;
    let (again, stay): (Vec<String>, Vec<String>) = rows
        .iter()
        .map(|row| row.get::<_, String>(0))
        .partition(|name| some.is_none_or(|some| some.contains(name)));
    let ours = quote_ident(FENCE_ROLE);
    let mut sql = String::from(BEGINNING);
    for role in again.iter().map(|name| quote_ident(name)) {
        sql.push_str(&format!("ALTER ROLE {role} LOGIN;\nREVOKE {ours} FROM {role};\n"));
    }
    if stay.is_empty() {
        sql.push_str(&format!("DROP ROLE {ours};\n"));
    }
    failpoint::pass(Point::Before(Act::LiftFence));
    source.execute(doing, &(sql + "COMMIT;\n")).await.map_err(|error| {
        match error.server_error() {
            Some(server) if server.sqlstate == "42501" => {
                error.hint("run `pgconvoy unfence` as the user that raised it, or as a superuser")
            }
            _ => error,
        }
    })?;
    failpoint::pass(Point::After(Act::LiftFence));
    Ok(Lifted { again, stay })
}
