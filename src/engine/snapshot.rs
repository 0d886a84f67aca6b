//! The source's snapshot that all workers share, and how to recognise it later.

use crate::error::{Error, Result};
use crate::wire::Session;

/// A snapshot held open on the source, exported to the workers.
pub struct SourceSnapshot {
    session: Session,
    /// The name under which a session of the same database can import it while this lives.
    pub id: String,
    /// What it saw: which server, since which start, which transactions. Equal marks see equal
    /// rows, so work done under an equal mark holds, but for unlogged tables, which a crash empties.
    /// On a standby no two marks are equal: its snapshots don't tell running transactions (source:
    /// procarray.c, GetSnapshotData).
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
        let doing = "exporting the source's snapshot";
        let sql = "SELECT pg_catalog.pg_export_snapshot()";
        let row = session.query_one(doing, sql, &[]).await?;
        let id: String = row.try_get(0).map_err(|e| unreadable(doing, &e))?;
        let mark = SourceSnapshot::mark(&session).await?;
        Ok(SourceSnapshot { session, id, mark })
    }

    /// The mark of what `session` sees.
    pub async fn mark(session: &Session) -> Result<String> {
        let current = match session.version().major() {
            ..=12 => "pg_catalog.txid_current_snapshot()",
            _ => "pg_catalog.pg_current_snapshot()",
        };
        let doing = "asking which transactions the source has seen";
        let sql = format!(
            "SELECT pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time())::text \
             || ' ' || {current}::text || CASE WHEN pg_catalog.pg_is_in_recovery() \
             THEN ' ' || pg_catalog.clock_timestamp()::text ELSE '' END"
        );
        let row = session.query_one(doing, &sql, &[]).await?;
        let seen: String = row.try_get(0).map_err(|e| unreadable(doing, &e))?;
        Ok(format!("{} {seen}", system_identifier(session).await?))
    }

    /// The same for rows that don't have to be final: the source lives on, and a later run reads
    /// them again, unless nothing was committed until then.
    #[must_use]
    pub fn warm(mut self) -> SourceSnapshot {
        self.mark.insert_str(0, WARM);
        self
    }

    /// The session that holds it open.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Lets the snapshot go: the source may vacuum what it held back.
    pub async fn release(self) -> Result<()> {
        self.session.execute("releasing the source's snapshot", "COMMIT").await
    }
}

/// What the marks of rows begin with that don't have to be final.
const WARM: &str = "warm ";

/// Whether the rows seen under a mark don't have to be final.
pub(super) fn is_warm(mark: &str) -> bool {
    mark.starts_with(WARM)
}

/// Whether two marks see equal rows, final or not.
pub(super) fn see_equal_rows(one: &str, other: &str) -> bool {
    let bare = |mark: &str| mark.strip_prefix(WARM).unwrap_or(mark).to_owned();
    bare(one) == bare(other)
}

/// What a mark is made of: the server, its start, and whether it was a standby.
fn parts(mark: &str) -> (String, &str, bool) {
    let mut words: Vec<&str> = mark.split(' ').collect();
    // A standby's ends in a date and a time.
    let is_standby = words.iter().nth_back(1).is_some_and(|word| word.contains('-'));
    if is_standby {
        words.truncate(words.len() - 2);
    }
    words.pop();
    let start = words.pop().unwrap_or_default();
    (words.join(" "), start, is_standby)
}

/// Whether two marks are one server's.
pub fn same_server(then: &str, now: &str) -> bool {
    parts(then).0 == parts(now).0
}

/// Why two marks of one server that differ prove nothing.
pub fn why_marks_differ(then: &str, now: &str) -> &'static str {
    let ((_, started, was_standby), (_, starts, is_standby)) = (parts(then), parts(now));
    match (was_standby || is_standby, started == starts) {
        (true, _) => "it is a standby, whose snapshots don't tell what was committed",
        (false, false) => "its server was started again since",
        (false, true) => "transactions ended on its server since, in this database or another",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_rows_are_equal_but_not_final() {
        let mark = "7 1700000000.5 750:750:";
        let warm = format!("{WARM}{mark}");
        assert!(is_warm(&warm) && !is_warm(mark));
        assert!(see_equal_rows(&warm, mark) && see_equal_rows(mark, &warm));
        assert!(!see_equal_rows(&warm, "7 1700000000.5 751:751:"));
    }

    #[test]
    fn a_mark_tells_its_server_its_start_and_a_standby() {
        let mark = "7 1700000000.5 750:750:";
        assert!(same_server(mark, "7 1800000000 760:760:"));
        assert!(!same_server("database 5 17 1:1:", "database 6 17 1:1:"));
        assert!(why_marks_differ(mark, "7 1700000000.5 751:751:").contains("transactions ended"));
        assert!(why_marks_differ(mark, "7 1800000000 750:750:").contains("started again"));
        let standby = "7 1700000000.5 750:750: 2026-01-02 03:04:05.6+00";
        assert!(same_server(mark, standby));
        assert!(why_marks_differ(standby, mark).contains("standby"));
    }
}
