//! What becomes of a ledger once its job is finished: the target is put to use, which goes on
//! record, and the ledger may be removed.

use crate::error::{Error, Result};

use super::checksum::checksum;
use super::failpoint::{self, Act, Point};
use super::ledger::{Ledger, READING, damaged, field};

impl Ledger<'_> {
    /// Since when the target is in use, whatever version has written that down; none where no
    /// cut-over is on record.
    pub async fn cut_over(&self) -> Result<Option<String>> {
        let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c \
                   JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                   WHERE n.nspname = 'pgconvoy' AND c.relname = 'job')";
        if !self.target.query_one(READING, sql, &[]).await?.get::<_, bool>(0) {
            return Ok(None);
        }
        self.refuse_others().await?;
        // A ledger of another layout may lack the column.
        let sql = "SELECT pg_catalog.to_jsonb(j) ->> 'cut_over_at' FROM pgconvoy.job j";
        let rows = self.target.query(READING, sql, &[]).await?;
        Ok(rows.iter().find_map(|row| row.get(0)))
    }

    /// Puts the cut-over on record; when, by the target's clock.
    pub async fn record_cut_over(&self) -> Result<String> {
        let doing = "recording the cut-over in the ledger";
        let sql = "UPDATE pgconvoy.job SET cut_over_at = pg_catalog.clock_timestamp() \
                   WHERE sealed_at IS NOT NULL RETURNING cut_over_at::text";
        failpoint::pass(Point::Before(Act::RecordCutOver));
        let rows = self.target.query(doing, sql, &[]).await?;
        failpoint::pass(Point::After(Act::RecordCutOver));
        let row = rows.first();
        row.map(|row| row.get(0))
            .ok_or_else(|| Error::step(doing).because("the job isn't finished"))
    }

    /// Removes the ledger. What others have put into its schema, or built on it, stops that.
    pub async fn remove(&self) -> Result<()> {
        let sql = "BEGIN; DROP VIEW IF EXISTS pgconvoy.\"large objects\"; \
                   DROP FUNCTION IF EXISTS pgconvoy.put_piece(); \
                   DROP TABLE IF EXISTS pgconvoy.source; \
                   DROP TABLE pgconvoy.receipt, pgconvoy.step, pgconvoy.job; \
                   DROP SCHEMA pgconvoy; COMMIT";
        failpoint::pass(Point::Before(Act::RemoveLedger));
        let removed = self.target.execute("removing the ledger (schema pgconvoy)", sql).await;
        if removed.is_err() {
            self.target.execute("giving up", "ROLLBACK").await?;
        }
        failpoint::pass(Point::After(Act::RemoveLedger));
        removed.map_err(|error| {
            error.hint("move what isn't pgconvoy's out of schema pgconvoy, then run again")
        })
    }

    /// The report of the finished job, as JSON.
    pub async fn report(&self) -> Result<Option<String>> {
        let sql = "SELECT report, report_checksum FROM pgconvoy.job WHERE sealed_at IS NOT NULL";
        let rows = self.target.query(READING, sql, &[]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let report: String = field::<Option<String>>(row, 0)?.unwrap_or_default();
        match field::<Option<i64>>(row, 1)? == Some(checksum(&[&report])) {
            true => Ok(Some(report)),
            false => Err(damaged("the finished job's report")),
        }
    }
}
