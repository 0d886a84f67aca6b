//! The source's tables kept from changing their definitions while they are read and copied.

use crate::error::{Error, Result};
use crate::pg::QualifiedName;
use crate::wire::Session;

use super::Scope;

/// The size of a server's shared lock table (documentation: "Lock Management").
#[derive(Debug, Clone, Copy)]
pub struct LockTable {
    /// `max_locks_per_transaction`.
    pub per_transaction: i64,
    /// How many transactions that is meant for.
    pub transactions: i64,
}

impl LockTable {
    /// Asks the server for it.
    pub async fn of(session: &Session) -> Result<LockTable> {
        let setting = |name| format!("pg_catalog.current_setting('{name}')::pg_catalog.int8");
        let sql = format!(
            "SELECT {}, {} + {}",
            setting("max_locks_per_transaction"),
            setting("max_connections"),
            setting("max_prepared_transactions")
        );
        let row = session.query_one("asking for the size of the lock table", &sql, &[]).await?;
        Ok(LockTable { per_transaction: row.get(0), transactions: row.get(1) })
    }

    /// So many locks of all sessions together there is surely room for.
    pub fn room(&self) -> i64 {
        self.per_transaction.saturating_mul(self.transactions)
    }

    /// Whether one transaction may take so many locks: it is everybody's, so half of it is the most.
    pub fn bears(&self, locks: i64) -> bool {
        locks <= self.room() / 2
    }
}

/// Which of the source's tables are kept from changing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locked {
    /// All, until the session's transaction ends.
    All,
    /// None: they are more than the server has room to lock.
    None,
}

/// So many tables are locked by one statement: an error names few enough to look at.
const BATCH: usize = 500;

/// How long a table is waited for that somebody has locked for himself: longer than a definition
/// takes to change, shorter than an operator wonders.
const PATIENCE: &str = "30s";

/// lock_not_available: the one error that waiting, or another session's end, mends.
fn held_up(error: Error) -> Error {
    match error.server_error() {
        Some(server) if server.sqlstate == "55P03" => error.hint(format!(
            "another session has held a table locked for {PATIENCE}: find it with SELECT pid, \
             relation::regclass FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted; let \
             it finish, then run again"
        )),
        _ => error,
    }
}

/// Locks every table in scope in ACCESS SHARE mode until the session's transaction ends. Nobody
/// who reads or writes notices; what changes a definition, or moves rows to other pages (VACUUM
/// FULL, CLUSTER), waits. Where the server has no room for so many locks, none is taken: what
/// changes then has to be looked for.
pub async fn lock_all_tables(session: &Session) -> Result<Locked> {
    let doing = "listing the source's tables";
    let sql = format!(
        "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p') AND {} ORDER BY 1, 2",
        Scope::default().schemas("n.nspname")
    );
    let rows = session.query(doing, &sql, &[]).await?;
    let names: Vec<QualifiedName> = rows
        .iter()
        .map(|row| QualifiedName::new(row.get::<_, String>(0), row.get::<_, String>(1)))
        .collect();
    lock_tables(session, &names).await
}

/// The same for these tables.
pub async fn lock_tables(session: &Session, tables: &[QualifiedName]) -> Result<Locked> {
    let doing = "locking the source's tables";
    if !LockTable::of(session).await?.bears(i64::try_from(tables.len()).unwrap_or(i64::MAX)) {
        return Ok(Locked::None);
    }
    session.execute(doing, &format!("SET LOCAL lock_timeout = '{PATIENCE}'")).await?;
    for some in tables.chunks(BATCH) {
        let some: Vec<String> = some.iter().map(QualifiedName::sql).collect();
        let sql = format!("LOCK TABLE {} IN ACCESS SHARE MODE", some.join(", "));
        session.execute(doing, &sql).await.map_err(held_up)?;
    }
    session.execute(doing, "SET LOCAL lock_timeout = 0").await?;
    Ok(Locked::All)
}
