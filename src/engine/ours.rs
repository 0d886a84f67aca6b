//! Whether what the target holds is only what the job's receipts say: proven before any of it is
//! destroyed. Rows that others wrote stop that, by their tables' names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::copy::{Fingerprint, Progress};
use crate::error::{Error, Kind, Result};
use crate::plan::{Chunk, Plan, TableId};
use crate::toc::{ChunkRange, TableData, named};
use crate::wire::{Conninfo, Session};

use super::reading::{ReadFrom, read_chunks};
use super::receipts::Receipts;
use super::strangers::strangers;

/// So many tables are asked for rows by one statement, which locks them all.
const ASKED: usize = 100;

/// A job's target, whose rows are to be proven the job's own.
pub struct Ours<'a> {
    /// The plan.
    pub plan: &'a Arc<Plan>,
    /// A session on the target.
    pub session: &'a Session,
    /// Where more of them are connected to.
    pub target: &'a Conninfo,
    /// How many.
    pub jobs: usize,
    /// What they read.
    pub progress: &'a Arc<Progress>,
}

/// A table as it is on the target.
struct There {
    /// Whether an extension's script has made it, and may have filled it.
    of_extension: bool,
    /// Whether it has, or may have, pages.
    may_have_rows: bool,
    /// Whether we may read all of its rows: row security and grants that stand may keep us from it.
    may_be_read: bool,
}

impl Ours<'_> {
    /// The tables without any receipt that hold rows all the same: a copy's rows and its receipt
    /// come together.
    pub async fn filled(&self, receipts: &Receipts) -> Result<Vec<TableId>> {
        let expected = self.expected(receipts);
        let there = self.there().await?;
        let suspects = there.iter().filter(|(id, table)| {
            !expected.contains_key(id) && table.may_have_rows && !table.of_extension
        });
        let suspects: Vec<TableId> = suspects.map(|(id, _)| *id).collect();
        self.with_rows(&suspects).await
    }

    /// The tables that we may not read whole any more, as their row security or grants stand.
    pub async fn unreadable(&self) -> Result<BTreeSet<TableId>> {
        let there = self.there().await?;
        Ok(there.iter().filter(|(_, table)| !table.may_be_read).map(|(id, _)| *id).collect())
    }

    /// Those of `tables` with receipts whose rows aren't those that the receipts speak of. An
    /// unlogged table without rows has lost them in a crash of its server.
    pub async fn differing(
        &self,
        receipts: &Receipts,
        tables: &BTreeSet<TableId>,
    ) -> Result<Vec<TableId>> {
        let expected = self.expected(receipts);
        let there = self.there().await?;
        let wanted = |id: &TableId| {
            tables.contains(id) && expected.contains_key(id) && there.contains_key(id)
        };
        // What an archive has in parts lies anywhere: it is read as a whole, once.
        let is_more = |chunk: &Chunk| matches!(chunk.range, ChunkRange::Archived { from: 1.., .. });
        let copies = self.plan.copies().map(|(_, _, chunk)| chunk);
        let copies = copies.filter(|chunk| !is_more(chunk));
        let chunks: Vec<Chunk> = copies.filter(|chunk| wanted(&chunk.table)).cloned().collect();
        let mut found: BTreeMap<TableId, Fingerprint> = BTreeMap::new();
        for (chunk, fingerprint) in chunks.iter().zip(self.read(chunks.clone()).await?) {
            *found.entry(chunk.table).or_default() += fingerprint;
        }
        let differs = |id: &TableId, rows: &Fingerprint| {
            let crashed = self.plan.table(*id).unlogged && rows.rows == 0;
            expected[id] != *rows && !crashed
        };
        Ok(found.iter().filter(|(id, rows)| differs(id, rows)).map(|(id, _)| *id).collect())
    }

    /// Refuses to go on where a table that is to be copied holds rows already.
    pub async fn refuse_filled(&self, receipts: &Receipts) -> Result<()> {
        let filled = self.filled(receipts).await?;
        self.refuse(&filled, "holds rows that the job hasn't copied")
    }

    /// Refuses to empty `tables` while others are connected, or if they have changed the rows.
    pub(super) async fn refuse_emptying(
        &self,
        receipts: &Receipts,
        tables: &BTreeSet<TableId>,
    ) -> Result<()> {
        if tables.is_empty() {
            return Ok(());
        }
        self.refuse_strangers().await?;
        let differing = self.differing(receipts, tables).await?;
        self.refuse(
            &differing,
            "has to be copied anew, but its rows were changed since by others than the job",
        )
    }

    /// Refuses to remove chunks' large objects while others are connected, or if they have changed
    /// them.
    pub(super) async fn refuse_unlinking(
        &self,
        chunks: &[Chunk],
        written: &[Fingerprint],
    ) -> Result<()> {
        if chunks.is_empty() {
            return Ok(());
        }
        self.refuse_strangers().await?;
        let found = self.read(chunks.to_vec()).await?;
        let changed: Vec<TableId> = chunks
            .iter()
            .zip(found.iter().zip(written))
            .filter(|(_, (found, written))| found != written)
            .map(|(chunk, _)| chunk.table)
            .take(1)
            .collect();
        self.refuse(
            &changed,
            "have to be copied anew, but were changed since by others than the job",
        )
    }

    async fn refuse_strangers(&self) -> Result<()> {
        let strangers = strangers(self.session).await?;
        match strangers.is_empty() {
            true => Ok(()),
            false => Err(Error::new(Kind::Refused, "making sure that nobody else's work is lost")
                .because(format!(
                    "tables have to be emptied and copied anew, and others are connected to the \
                     target: {}",
                    named(&strangers)
                ))
                .hint(
                    "end these, or have SELECT pg_terminate_backend(pid) end them; then run the \
                     same command again",
                )),
        }
    }

    fn refuse(&self, tables: &[TableId], what: &str) -> Result<()> {
        if tables.is_empty() {
            return Ok(());
        }
        let name = |id: &TableId| match self.plan.table(*id) {
            table if table.holds_large_objects() => "the large objects".to_owned(),
            table => table.relation.to_string(),
        };
        let names: Vec<String> = tables.iter().map(name).collect();
        Err(Error::new(Kind::Refused, "making sure that nobody else's work is lost")
            .because(format!("on the target {} {what}", named(&names)))
            .hint(
                "save what is needed of it and undo what was done to it, then run again; or, if \
                 nobody needs what is in the target database, drop it and begin anew",
            ))
    }

    /// What the rows of each table with receipts add up to.
    fn expected(&self, receipts: &Receipts) -> BTreeMap<TableId, Fingerprint> {
        let mut sums: BTreeMap<TableId, Fingerprint> = BTreeMap::new();
        for (step, part, chunk) in self.plan.copies() {
            if let Some(receipt) = receipts.0.get(&(step, part)) {
                *sums.entry(chunk.table).or_default() += receipt.tally.fingerprint;
            }
        }
        sums
    }

    /// The plan's tables that the target has: a job that was cut off early has made few.
    async fn there(&self) -> Result<BTreeMap<TableId, There>> {
        let names = |of: fn(&TableData) -> &String| -> Vec<&str> {
            self.plan.tables.iter().map(|table| of(table).as_str()).collect()
        };
        let (schemas, relations) =
            (names(|table| &table.relation.schema), names(|table| &table.relation.name));
        let sql = "SELECT wanted.number, EXISTS (SELECT FROM pg_catalog.pg_depend d \
             WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
             AND d.objid = c.oid AND d.deptype = 'e'), \
             c.relkind <> 'r' OR pg_catalog.pg_relation_size(c.oid) > 0, \
             pg_catalog.has_table_privilege(c.oid, 'SELECT') \
             AND NOT pg_catalog.row_security_active(c.oid) \
             FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), \
             pg_catalog.unnest($2::pg_catalog.text[])) \
             WITH ORDINALITY wanted (schema, name, number) \
             JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.schema \
             JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name";
        let doing = "looking for the tables on the target";
        let rows = self.session.query(doing, sql, &[&schemas, &relations]).await?;
        let table = |row: &tokio_postgres::Row| {
            let id = TableId((row.get::<_, i64>(0) - 1) as u32);
            let there = There {
                of_extension: row.get(1),
                may_have_rows: row.get(2),
                may_be_read: row.get(3),
            };
            (id, there)
        };
        Ok(rows.iter().map(table).collect())
    }

    /// Those of `tables` that hold a row.
    async fn with_rows(&self, tables: &[TableId]) -> Result<Vec<TableId>> {
        let mut found = Vec::new();
        for some in tables.chunks(ASKED) {
            let asked: Vec<String> = some
                .iter()
                .map(|id| {
                    let table = self.plan.table(*id).counted_sql();
                    format!("SELECT {}::int8 WHERE EXISTS (SELECT FROM {table})", id.0)
                })
                .collect();
            let doing = "looking for rows that the job hasn't copied";
            let rows = self.session.query(doing, &asked.join(" UNION ALL "), &[]).await?;
            found.extend(rows.iter().map(|row| TableId(row.get::<_, i64>(0) as u32)));
        }
        Ok(found)
    }

    async fn read(&self, chunks: Vec<Chunk>) -> Result<Vec<Fingerprint>> {
        if chunks.is_empty() {
            return Ok(Vec::new());
        }
        let from = ReadFrom::target(self.target);
        read_chunks(self.plan, chunks, &from, self.jobs, self.progress).await
    }
}
