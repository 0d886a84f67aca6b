//! The source's snapshot that all workers share, and how to recognise it later.

use crate::error::{Error, Result};
use crate::wire::Session;

/// A snapshot held open on the source, exported to the workers.
pub struct SourceSnapshot {
    session: Session,
    /// The name under which a session of the same database can import it while this lives.
    pub id: String,
    /// What it saw: which server, since which start, which transactions. Equal marks see equal
    /// rows, so work done under an equal mark holds. On a standby no two marks are equal: its
    /// snapshots don't tell running transactions (source: procarray.c, GetSnapshotData).
    pub mark: String,
}

impl SourceSnapshot {
    /// Begins the transaction whose snapshot everything is read under.
    pub async fn begin(session: &Session) -> Result<()> {
        session
            .execute(
                "opening the source's snapshot",
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            )
            .await
    }

    /// Exports the snapshot of the transaction that `session` is in.
    pub async fn export(session: Session) -> Result<SourceSnapshot> {
        let current = match session.version().major() {
            ..=12 => "pg_catalog.txid_current_snapshot()",
            _ => "pg_catalog.pg_current_snapshot()",
        };
        let doing = "exporting the source's snapshot";
        let sql = format!(
            "SELECT pg_catalog.pg_export_snapshot(), \
             pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time())::text \
             || ' ' || {current}::text || CASE WHEN pg_catalog.pg_is_in_recovery() \
             THEN ' ' || pg_catalog.clock_timestamp()::text ELSE '' END"
        );
        let row = session.query_one(doing, &sql, &[]).await?;
        let id: String = row.try_get(0).map_err(|e| unreadable(doing, &e))?;
        let seen: String = row.try_get(1).map_err(|e| unreadable(doing, &e))?;
        let mark = format!("{} {seen}", system_identifier(&session).await?);
        Ok(SourceSnapshot { session, id, mark })
    }

    /// Lets the snapshot go: the source may vacuum what it held back.
    pub async fn release(self) -> Result<()> {
        self.session.execute("releasing the source's snapshot", "COMMIT").await
    }
}

/// The identity of the server's cluster, or the database's OID in it where the server doesn't tell.
pub(super) async fn system_identifier(session: &Session) -> Result<String> {
    let doing = "reading the server's identity";
    let may = session
        .query_one(
            doing,
            "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')",
            &[],
        )
        .await?;
    if !may.try_get::<_, bool>(0).map_err(|e| unreadable(doing, &e))? {
        let sql = "SELECT 'database ' || oid::text FROM pg_catalog.pg_database \
                   WHERE datname = pg_catalog.current_database()";
        let row = session.query_one(doing, sql, &[]).await?;
        return row.try_get(0).map_err(|e| unreadable(doing, &e));
    }
    let row = session
        .query_one(doing, "SELECT system_identifier::text FROM pg_catalog.pg_control_system()", &[])
        .await?;
    row.try_get(0).map_err(|e| unreadable(doing, &e))
}

pub(super) fn unreadable(doing: &str, error: &tokio_postgres::Error) -> Error {
    Error::step(doing).because(format!("the server's answer can't be read: {error}"))
}
