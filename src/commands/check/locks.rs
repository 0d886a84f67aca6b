//! Whether the servers' lock tables are large enough.

use crate::catalog::{LockTable, Scope};
use crate::commands::survey::ChosenNames;
use crate::error::Result;
use crate::pg::QualifiedName;
use crate::toc::Finding;

use super::sides::Sides;

/// What a batch of definitions on the target locks at most, roughly: each of its objects may be a
/// table with its TOAST table, its indexes and its sequence.
const TARGET_BATCH: i64 = 1500;

/// Compares what the job locks at a time with what there is room for.
pub(super) async fn findings(
    sides: &Sides<'_>,
    chosen: Option<&ChosenNames>,
) -> Result<Vec<Finding>> {
    let tables = i64::try_from(tables(sides, chosen).await?).unwrap_or(i64::MAX);
    let mut found = Vec::new();
    found.extend(unlocked(LockTable::of(&sides.source).await?, tables));
    found.extend(judge("target server", LockTable::of(sides.target()).await?, batch(tables)));
    Ok(found)
}

/// How many tables move.
async fn tables(sides: &Sides<'_>, chosen: Option<&ChosenNames>) -> Result<usize> {
    let scope = Scope::default();
    let sql = format!(
        "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p') AND {}",
        scope.schemas("n.nspname")
    );
    let rows = sides.source.query("counting the source's tables", &sql, &[]).await?;
    let Some(chosen) = chosen else { return Ok(rows.len()) };
    let name = |row: &tokio_postgres::Row| {
        QualifiedName::new(row.get::<_, String>(0), row.get::<_, String>(1))
    };
    Ok(rows.iter().filter(|row| chosen.relations.contains(&name(row))).count())
}

/// A job of few tables makes small batches.
fn batch(tables: i64) -> i64 {
    TARGET_BATCH.min(tables.saturating_mul(8).saturating_add(50))
}

/// What it means that the source's tables are too many to be locked for the whole job.
fn unlocked(table: LockTable, tables: i64) -> Option<Finding> {
    let (side, room) = ("source server", table.room());
    let what = format!(
        "its {tables} tables can't all be locked for the time of the job, as there is room for \
         {room} locks of all sessions together: each is locked while it is read, and one that is \
         truncated, rewritten or altered before that stops the job"
    );
    (!table.bears(tables)).then(|| Finding::note(side, what).mend(enlarging(table, tables)))
}

fn enlarging(table: LockTable, needed: i64) -> String {
    let enough = (2 * needed / table.transactions.max(1) / 64 + 1) * 64;
    format!(
        "set max_locks_per_transaction to {enough} (ALTER SYSTEM SET max_locks_per_transaction = \
         {enough}; or the parameter group) and restart that server"
    )
}

fn judge(side: &str, table: LockTable, needed: i64) -> Option<Finding> {
    if table.bears(needed) {
        return None;
    }
    let room = table.room();
    let what = format!(
        "the job locks about {needed} relations at a time; there is room for {room} locks of all \
         sessions together"
    );
    let finding = match needed > room {
        true => Finding::refusal(side, what),
        false => Finding::note(side, what),
    };
    Some(finding.mend(enlarging(table, needed)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toc::Severity;

    const USUAL: LockTable = LockTable { per_transaction: 64, transactions: 100 };

    #[test]
    fn half_of_the_lock_table_is_free_to_take() {
        assert_eq!(judge("target server", USUAL, 3200), None);
    }

    #[test]
    fn more_than_there_is_room_for_is_refused_with_the_setting_needed() {
        let tight = judge("target server", USUAL, 5000).unwrap();
        assert_eq!(tight.severity, Severity::Note);
        let full = judge("target server", USUAL, 10_000).unwrap();
        assert_eq!(full.severity, Severity::Refusal);
        assert!(full.remedy.unwrap().contains("max_locks_per_transaction to 256"));
    }

    #[test]
    fn a_source_of_more_tables_than_locks_is_read_all_the_same() {
        assert_eq!(unlocked(USUAL, 3200), None);
        assert_eq!(unlocked(USUAL, 50_000).unwrap().severity, Severity::Note);
    }
}
