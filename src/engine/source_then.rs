//! What the source was like when its rows were copied, and what tells whether it was written to
//! since.
//!
//! Two snapshots with equal marks see equal rows. Where marks differ, something was committed on
//! the server, or given up, in this database or another: the counters of rows written, which each
//! session reports a while later and a crash forgets, then name tables, but prove nothing. Sequences
//! move without a transaction's number: they are compared with where they stand on the target.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::error::Result;
use crate::pg::{QualifiedName, quote_literal};
use crate::plan::{Action, Plan};
use crate::toc::TableData;
use crate::wire::Session;

use super::checksum::checksum;
use super::ledger::{Ledger, READING, damaged, field, render};
use super::sequences;

/// So many statements that read sequences are under way at once.
const UNDER_WAY: usize = 20;

/// The source when a snapshot of it was taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceThen {
    /// The snapshot's mark.
    pub mark: String,
    /// What the server had counted, by table.
    pub tables: BTreeMap<String, Written>,
}

/// What a server has counted of writes to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Rows inserted, updated and deleted.
    rows: i64,
    /// What stands for its files: TRUNCATE gives it others.
    files: i64,
}

impl SourceThen {
    /// The tables of which the server has counted writes since.
    pub fn written_since(&self, now: &BTreeMap<String, Written>) -> Vec<String> {
        let is_written = |table: &String, now: &Written| {
            self.tables
                .get(table)
                .is_some_and(|then| now.rows > then.rows || now.files != then.files)
        };
        now.iter()
            .filter(|(table, now)| is_written(table, now))
            .map(|(table, _)| table.clone())
            .collect()
    }
}

/// What the server behind `source` has counted of writes to the plan's tables.
pub async fn write_counts(source: &Session, plan: &Plan) -> Result<BTreeMap<String, Written>> {
    let name = |table: &TableData| match table.holds_large_objects() {
        true => QualifiedName::new("pg_catalog", "pg_largeobject"),
        false => table.relation.clone(),
    };
    let names: Vec<QualifiedName> = plan.tables.iter().map(name).collect();
    let schemas: Vec<&str> = names.iter().map(|name| name.schema.as_str()).collect();
    let relations: Vec<&str> = names.iter().map(|name| name.name.as_str()).collect();
    let sql = "SELECT wanted.number, sums.rows, sums.files \
         FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), \
         pg_catalog.unnest($2::pg_catalog.text[])) \
         WITH ORDINALITY wanted (schema, name, number) \
         JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.schema::pg_catalog.name \
         JOIN pg_catalog.pg_class c \
           ON c.relnamespace = n.oid AND c.relname = wanted.name::pg_catalog.name, \
         LATERAL (SELECT pg_catalog.sum(pg_catalog.pg_stat_get_tuples_inserted(f.oid) \
             + pg_catalog.pg_stat_get_tuples_updated(f.oid) \
             + pg_catalog.pg_stat_get_tuples_deleted(f.oid))::pg_catalog.int8 AS rows, \
             pg_catalog.hashtextextended(pg_catalog.string_agg(f.relfilenode::pg_catalog.text, ' ' \
             ORDER BY f.oid), 0) AS files \
             FROM pg_catalog.pg_class f WHERE f.oid = c.oid OR c.relkind = 'p' AND f.oid IN \
             (SELECT t.relid FROM pg_catalog.pg_partition_tree(c.oid) t)) sums";
    let doing = "asking the source what was written";
    let rows = source.query(doing, sql, &[&schemas, &relations]).await?;
    let told = |row: &Row| {
        let number = row.get::<_, i64>(0) - 1;
        let table = plan.tables.get(usize::try_from(number).ok()?)?;
        let name = match table.holds_large_objects() {
            true => "the large objects".to_owned(),
            false => table.relation.to_string(),
        };
        Some((name, Written { rows: row.get(1), files: row.get(2) }))
    };
    Ok(rows.iter().filter_map(told).collect())
}

/// Whether a transaction that has a number, so that it may have written, is under way on the server:
/// each holds its own lock. Those that are prepared do, too.
pub async fn has_open_writers(source: &Session) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_locks l \
               WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted)";
    Ok(source.query_one("looking for transactions that write", sql, &[]).await?.get(0))
}

/// The plan's sequences that stand elsewhere on the source than on the target.
pub async fn moved_sequences(
    source: &Session,
    target: &Session,
    plan: &Plan,
) -> Result<Vec<String>> {
    let mut names: Vec<&QualifiedName> = Vec::new();
    for step in &plan.steps {
        if let Action::SetSequences { sequences } = &step.action {
            names.extend(sequences);
        }
    }
    let (theirs, ours) = tokio::try_join!(places(source, &names), places(target, &names))?;
    let differs = |name: &QualifiedName| theirs.get(&name.sql()) != ours.get(&name.sql());
    Ok(names.into_iter().filter(|name| differs(name)).map(ToString::to_string).collect())
}

/// Where sequences stand, by their names in SQL.
async fn places(
    session: &Session,
    names: &[&QualifiedName],
) -> Result<BTreeMap<String, (i64, bool)>> {
    session.execute(sequences::READING, &sequences::beginning()).await?;
    let read = read_places(session, names).await;
    session.execute(sequences::READING, "ROLLBACK").await?;
    read
}

async fn read_places(
    session: &Session,
    names: &[&QualifiedName],
) -> Result<BTreeMap<String, (i64, bool)>> {
    let mut found = BTreeMap::new();
    for some in sequences::reads(names.iter().copied()).chunks(UNDER_WAY) {
        let asked = some.iter().map(|sql| session.query(sequences::READING, sql, &[]));
        for row in try_join_all(asked).await?.into_iter().flatten() {
            found.insert(value(&row, 0)?, (value(&row, 1)?, value(&row, 2)?));
        }
    }
    Ok(found)
}

fn value<'r, T: FromSql<'r>>(row: &'r Row, index: usize) -> Result<T> {
    row.try_get(index).map_err(|_| sequences::replaced())
}

impl Ledger<'_> {
    /// Keeps what the source is like under the snapshot that its rows are copied under.
    pub async fn keep_source(&self, then: &SourceThen) -> Result<()> {
        let tables = render(&then.tables)?;
        let sum = checksum(&[&then.mark, &tables]);
        let (mark, tables) = (quote_literal(&then.mark), quote_literal(&tables));
        let sql = format!(
            "INSERT INTO pgconvoy.source (mark, tables, checksum) VALUES ({mark}, {tables}, {sum}) \
             ON CONFLICT (only_one) DO UPDATE SET mark = excluded.mark, \
             tables = excluded.tables, checksum = excluded.checksum"
        );
        self.target.execute("noting what the source is like", &sql).await
    }

    /// What the source was like when its rows were copied, if that was noted.
    pub async fn source_then(&self) -> Result<Option<SourceThen>> {
        let sql = "SELECT mark, tables, checksum FROM pgconvoy.source";
        let rows = self.target.query(READING, sql, &[]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let (mark, tables): (String, &str) = (field(row, 0)?, field(row, 1)?);
        let what = "what was noted of the source";
        if field::<i64>(row, 2)? != checksum(&[&mark, tables]) {
            return Err(damaged(what));
        }
        let tables = serde_json::from_str(tables).map_err(|_| damaged(what))?;
        Ok(Some(SourceThen { mark, tables }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_named_whose_counters_grew_or_whose_files_are_others() {
        let at = |rows, files| Written { rows, files };
        let tables = |all: [(&str, Written); 4]| all.map(|(name, w)| (name.to_owned(), w)).into();
        let then = SourceThen {
            mark: String::new(),
            tables: tables([("a", at(1, 7)), ("b", at(5, 8)), ("c", at(9, 9)), ("d", at(2, 2))]),
        };
        // A crash of the server makes counters begin anew: that says nothing.
        let now = tables([("a", at(2, 7)), ("b", at(5, 3)), ("c", at(0, 9)), ("e", at(2, 2))]);
        assert_eq!(then.written_since(&now), ["a", "b"]);
    }
}
