//! The locks of a fence, and the session that holds them: whoever writes waits, whoever reads
//! doesn't notice (documentation: "Explicit Locking"). Taken once no transaction is left that has
//! written and not ended.

use std::collections::BTreeSet;

use crate::catalog::{LockTable, Scope};
use crate::error::Result;
use crate::pg::QualifiedName;
use crate::toc::named;
use crate::wire::{Conninfo, Session};

/// So many tables are locked by one statement.
const BATCH: usize = 500;

/// How long those are waited for who are in the midst of writing.
const PATIENCE: &str = "30s";

const LOCKING: &str = "locking the source's tables against writes";

/// A database's locks.
pub(super) struct Locks {
    /// They go with it.
    pub(super) session: Session,
    /// What they were taken in.
    transaction: Transaction,
    /// Which tables are locked.
    pub(super) tables: BTreeSet<QualifiedName>,
}

/// A server process, and when its transaction began. Where both are the same as they were, so is the
/// transaction, and no lock that it took is gone: the other way would be ROLLBACK TO SAVEPOINT.
type Transaction = (i32, String);

/// The tables to be locked: with each those that inherit from it are, partitions among them.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) roots: Vec<QualifiedName>,
    /// Those of them that the user may not lock.
    pub(super) denied: Vec<String>,
    /// All that this locks.
    pub(super) all: BTreeSet<QualifiedName>,
}

impl Tables {
    /// The tables of the database that `source` is connected to. SHARE takes the right to change
    /// rows, or MAINTAIN since 17 (source: commands/lockcmds.c, LockTableAclCheck).
    pub(super) async fn of(source: &Session) -> Result<Tables> {
        let rights = match source.version().major() {
            17.. => "UPDATE, DELETE, TRUNCATE, MAINTAIN",
            _ => "UPDATE, DELETE, TRUNCATE",
        };
        let sql = format!(
            "SELECT n.nspname::text, c.relname::text, c.relispartition, \
             pg_catalog.has_table_privilege(c.oid, '{rights}') \
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND {} ORDER BY 1, 2",
            Scope::default().schemas("n.nspname")
        );
        let mut tables = Tables::default();
        let rows = source.query("listing the source's tables", &sql, &[]).await?;
        for row in rows {
            let name = QualifiedName::new(row.get::<_, String>(0), row.get::<_, String>(1));
            if !row.get::<_, bool>(2) {
                if !row.get::<_, bool>(3) {
                    tables.denied.push(name.to_string());
                }
                tables.roots.push(name.clone());
            }
            tables.all.insert(name);
        }
        Ok(tables)
    }

    /// Whether the server has room for their locks, and for as many of the survey's on top of them.
    pub(super) async fn fit(&self, source: &Session) -> Result<bool> {
        let locks = i64::try_from(self.all.len()).unwrap_or(i64::MAX);
        Ok(LockTable::of(source).await?.bears(locks.saturating_mul(2)))
    }
}

impl Locks {
    /// Locks all tables of the database, those too that others make until then.
    pub(super) async fn take(source: &Conninfo) -> Result<Locks> {
        let session = Session::connect(source).await?;
        // What becomes of the roles has to be seen from within.
        let begin = "BEGIN ISOLATION LEVEL READ COMMITTED";
        session
            .execute(LOCKING, &format!("{begin}; SET LOCAL lock_timeout = '{PATIENCE}'"))
            .await?;
        let transaction = transaction(&session).await?;
        let mut locked = BTreeSet::new();
        let tables = loop {
            let tables = Tables::of(&session).await?;
            let mut new = tables.roots.clone();
            new.retain(|name| !locked.contains(name));
            if new.is_empty() {
                break tables;
            }
            lock(&session, source, &new).await?;
            locked.extend(new);
        };
        session.execute(LOCKING, "SET LOCAL lock_timeout = 0").await?;
        Ok(Locks { session, transaction, tables: tables.all })
    }

    /// Whose tables.
    pub(super) fn database(&self) -> String {
        self.session.same_server().database().to_owned()
    }

    /// The server process that holds them.
    pub(super) fn pid(&self) -> i32 {
        self.transaction.0
    }

    /// Whether they are still held. What stands between us and the server may have led the session
    /// to another server process meanwhile.
    pub(super) async fn are_held(&self) -> Result<bool> {
        Ok(transaction(&self.session).await? == self.transaction)
    }
}

async fn lock(session: &Session, source: &Conninfo, names: &[QualifiedName]) -> Result<()> {
    for some in names.chunks(BATCH) {
        let some: Vec<String> = some.iter().map(QualifiedName::sql).collect();
        let sql = format!("LOCK TABLE {} IN SHARE MODE", some.join(", "));
        if let Err(error) = session.execute(LOCKING, &sql).await {
            return Err(match error.server_error().map(|server| server.sqlstate.as_str()) {
                Some("55P03") => error.hint(format!(
                    "who is in the midst of writing was waited for {PATIENCE}: {}; let that \
                     finish, or end it with SELECT pg_terminate_backend(pid), then run again",
                    named(&writers(source).await?)
                )),
                _ => error,
            });
        }
    }
    Ok(())
}

async fn transaction(session: &Session) -> Result<Transaction> {
    let sql = "SELECT pg_catalog.pg_backend_pid(), pg_catalog.transaction_timestamp()::text";
    let row =
        session.query_one("asking for the transaction that holds the locks", sql, &[]).await?;
    Ok((row.get(0), row.get(1)))
}

/// Who holds locks on the database's tables that keep SHARE locks away.
async fn writers(source: &Conninfo) -> Result<Vec<String>> {
    let session = Session::connect(source).await?;
    let sql = format!(
        "SELECT DISTINCT pg_catalog.format('pid %s (%s.%s)', l.pid, n.nspname, c.relname) \
         FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE l.locktype = 'relation' AND l.granted AND c.relkind IN ('r', 'p') \
         AND l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'ShareLock') \
         AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d \
                           WHERE d.datname = pg_catalog.current_database()) \
         AND {} ORDER BY 1",
        Scope::default().schemas("n.nspname")
    );
    let rows = session.query("asking who is writing to the source", &sql, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
