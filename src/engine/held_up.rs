//! A table of the source that somebody else keeps locked: waited for a while, then told by name, with
//! who it is.

use crate::error::{Error, Result};
use crate::pg::quote_literal;
use crate::toc::TableData;
use crate::wire::RawConnection;

use super::reading::ReadFrom;

/// How long a reading connection waits for a lock: longer than most definitions take to change.
pub const LOCK_PATIENCE: &str = "60s";

/// What is being done where the target user becomes a member of the owners.
pub const JOINING: &str = "joining the owners on the target";

/// The error with what takes it to go on, where it came of waiting in vain for one of `tables`.
pub(super) async fn explained(error: Error, from: &ReadFrom, tables: &[&TableData]) -> Error {
    if error.server_error().is_none_or(|server| server.sqlstate != "55P03") {
        return error;
    }
    let waited = format!("it was waited for {LOCK_PATIENCE}");
    let hint = match blocking(from, tables).await {
        Ok(blocking) if !blocking.is_empty() => format!(
            "{waited}: locked by {}; let that finish, or end it with SELECT \
             pg_terminate_backend(pid), then run again: it goes on from here",
            blocking.join(", ")
        ),
        Ok(_) => format!("{waited}, and is free by now: run again, it goes on from here"),
        Err(_) => format!(
            "{waited}: find who holds it with SELECT pid, relation::regclass FROM pg_locks WHERE \
             mode = 'AccessExclusiveLock', let that finish, then run again"
        ),
    };
    error.hint(hint)
}

/// The error of [`JOINING`] with what takes it to go on, where it came of waiting in vain: whoever
/// grants a role holds up all others who do.
pub fn explained_joining(error: Error) -> Error {
    if error.server_error().is_none_or(|server| server.sqlstate != "55P03") {
        return error;
    }
    error.hint(format!(
        "it was waited for {LOCK_PATIENCE}: somebody else, maybe another `pgconvoy verify`, is granting \
         these roles; let that finish, then run again"
    ))
}

/// Who holds, or waits for, a lock that keeps one of `tables` from being read: whoever asks after
/// one that waits, waits too.
async fn blocking(from: &ReadFrom, tables: &[&TableData]) -> Result<Vec<String>> {
    let names: Vec<String> = tables
        .iter()
        .map(|table| {
            let name = &table.relation;
            format!("({}, {})", quote_literal(&name.schema), quote_literal(&name.name))
        })
        .collect();
    let sql = format!(
        "SELECT DISTINCT 'pid ' || l.pid || ' (' || n.nspname || '.' || c.relname || ')' \
         FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' \
         AND (n.nspname::pg_catalog.text, c.relname::pg_catalog.text) IN ({}) \
         AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d \
                           WHERE d.datname = pg_catalog.current_database()) ORDER BY 1",
        names.join(", ")
    );
    let mut asking = RawConnection::connect(&from.conninfo).await?;
    let rows = asking.query("asking who has locked a table", &sql).await?;
    Ok(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
}
