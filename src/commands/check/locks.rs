//! Whether the servers' lock tables are large enough.

use crate::catalog::Scope;
use crate::error::Result;
use crate::toc::Finding;
use crate::wire::Session;

use super::sides::Sides;

/// What a batch of definitions on the target locks at most, roughly: each of its objects may be a
/// table with its TOAST table, its indexes and its sequence.
const TARGET_BATCH: i64 = 1500;

/// The size of a server's shared lock table (documentation: "Lock Management").
#[derive(Debug, Clone, Copy)]
struct LockTable {
    per_transaction: i64,
    transactions: i64,
}

/// Compares what the job locks at a time with what there is room for.
pub(super) async fn findings(sides: &Sides<'_>) -> Result<Vec<Finding>> {
    let scope = Scope::default();
    let sql = format!(
        "SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p') AND {}",
        scope.schemas("n.nspname")
    );
    let tables: i64 =
        sides.source.query_one("counting the source's tables", &sql, &[]).await?.get(0);
    let mut found = Vec::new();
    found.extend(judge("source server", lock_table(&sides.source).await?, tables));
    found.extend(judge("target server", lock_table(sides.target()).await?, batch(tables)));
    Ok(found)
}

/// A job of few tables makes small batches.
fn batch(tables: i64) -> i64 {
    TARGET_BATCH.min(tables.saturating_mul(8).saturating_add(50))
}

async fn lock_table(session: &Session) -> Result<LockTable> {
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

/// The lock table is everybody's: half of it is the most that is asked for.
fn judge(side: &str, table: LockTable, needed: i64) -> Option<Finding> {
    let room = table.per_transaction * table.transactions;
    if needed <= room / 2 {
        return None;
    }
    let what = format!(
        "the job locks about {needed} relations at a time; there is room for {room} locks of all \
         sessions together"
    );
    let enough = (2 * needed / table.transactions.max(1) / 64 + 1) * 64;
    let remedy = format!(
        "set max_locks_per_transaction to {enough} (ALTER SYSTEM SET max_locks_per_transaction = \
         {enough}; or the parameter group) and restart that server"
    );
    let finding = match needed > room {
        true => Finding::refusal(side, what),
        false => Finding::note(side, what),
    };
    Some(finding.mend(remedy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toc::Severity;

    const USUAL: LockTable = LockTable { per_transaction: 64, transactions: 100 };

    #[test]
    fn half_of_the_lock_table_is_free_to_take() {
        assert_eq!(judge("source server", USUAL, 3200), None);
    }

    #[test]
    fn more_than_there_is_room_for_is_refused_with_the_setting_needed() {
        let tight = judge("source server", USUAL, 5000).unwrap();
        assert_eq!(tight.severity, Severity::Note);
        let full = judge("source server", USUAL, 10_000).unwrap();
        assert_eq!(full.severity, Severity::Refusal);
        assert!(full.remedy.unwrap().contains("max_locks_per_transaction to 256"));
    }
}
