//! Who else is connected to the target database: its own users, whose work no run may destroy.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::Result;
use crate::wire::Session;

use super::claim;

/// How long sessions may take to end by themselves: those that we have just closed do.
const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(100);

/// The sessions of others in the database that `session` is connected to, each with its process,
/// user and application. A run's own hold its locks; a managed service's and those that send
/// changes to a replica are no users.
pub async fn strangers(session: &Session) -> Result<Vec<String>> {
    let until = Instant::now() + PATIENCE;
    loop {
        let there = now(session).await?;
        if there.is_empty() || Instant::now() >= until {
            return Ok(there);
        }
        sleep(PAUSE).await;
    }
}

/// What a session is, is hidden from ordinary users; background processes have no user.
async fn now(session: &Session) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT pg_catalog.format('server process %s (user %s, application %s)', a.pid, \
         a.usename, coalesce(nullif(a.application_name, ''), 'unnamed')) \
         FROM pg_catalog.pg_stat_activity a \
         WHERE a.datname = pg_catalog.current_database() \
         AND a.pid <> pg_catalog.pg_backend_pid() \
         AND a.usename IS NOT NULL AND a.usename <> 'rdsadmin' \
         AND coalesce(a.backend_type, 'client backend') = 'client backend' \
         AND a.pid NOT IN (SELECT r.pid FROM pg_catalog.pg_stat_replication r \
                           WHERE r.pid IS NOT NULL) \
         AND a.pid NOT IN (SELECT l.pid {} AND l.classid = {}) ORDER BY a.pid",
        claim::HOLDERS,
        claim::CLASS
    );
    let rows = session.query("asking who else is connected to the target", &sql, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
