//! The ledger: schema `pgconvoy` in the target database. It holds the job, its plan, and a receipt
//! for every part of every step that is done, each written by the transaction that did it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::copy::Tally;
use crate::error::{Error, Kind, Result};
use crate::pg::{ServerVersion, ToastCompression, quote_literal};
use crate::plan::{Plan, Step, StepId, VerifyMode};
use crate::toc::{Finding, TableData};
use crate::wire::Session;

use super::checksum::checksum;
use super::failpoint::{self, Act, Point};
use super::large_objects::view_sql;
use super::receipts::{Receipt, Receipts, left_out};
use super::snapshot::system_identifier;

pub(super) const READING: &str = "reading the ledger (schema pgconvoy on the target)";

/// The layout of the ledger and of what is stored in it. A ledger of another one is refused.
const FORMAT: i32 = 3;
const TOOL: &str = env!("CARGO_PKG_VERSION");
/// No part has more rows or bytes, nor takes more milliseconds: what receipts say is added up.
const MOST_OF_A_PART: u64 = 1 << 48;
/// So many bytes of steps go into one statement at most.
const STEPS_BYTES: usize = 1 << 20;

const CREATE: &str = "
CREATE SCHEMA pgconvoy;
COMMENT ON SCHEMA pgconvoy IS 'The ledger of pgconvoy: the job, its plan, its receipts';
CREATE TABLE pgconvoy.job (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    format integer NOT NULL,
    tool text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    begun_again integer NOT NULL DEFAULT 0,
    sealed_at timestamptz,
    cut_over_at timestamptz,
    body text NOT NULL,
    checksum bigint NOT NULL,
    report text,
    report_checksum bigint
);
CREATE TABLE pgconvoy.step (
    id integer PRIMARY KEY,
    phase text NOT NULL,
    title text NOT NULL,
    parts integer NOT NULL,
    cost bigint NOT NULL,
    body text NOT NULL,
    checksum bigint NOT NULL
);
CREATE TABLE pgconvoy.receipt (
    step integer NOT NULL,
    part integer NOT NULL,
    rows bigint NOT NULL,
    bytes bigint NOT NULL,
    crc32 bigint NOT NULL,
    fingerprint text NOT NULL,
    snapshot text NOT NULL,
    milliseconds bigint NOT NULL,
    left_out text NOT NULL,
    checksum bigint NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (step, part)
);
CREATE TABLE pgconvoy.source (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    mark text NOT NULL,
    tables text NOT NULL,
    checksum bigint NOT NULL
);
";

/// Which source a job is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceIdentity {
    /// The cluster's system identifier.
    pub system: String,
    /// The database.
    pub database: String,
    /// The server's version when the job began.
    pub version: ServerVersion,
}

impl SourceIdentity {
    /// The identity of the database that `session` is connected to.
    pub async fn read(session: &Session, database: &str) -> Result<SourceIdentity> {
        Ok(SourceIdentity {
            system: system_identifier(session).await?,
            database: database.to_owned(),
            version: session.version(),
        })
    }
}

/// The job as the ledger keeps it, beside its steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The source.
    pub source: SourceIdentity,
    /// A digest of each entry of the source's table of contents, by title: a changed catalog is
    /// refused by name.
    pub catalog: BTreeMap<String, u64>,
    /// How far the rows are read back: steps of the plan do it.
    pub verify: VerifyMode,
    /// What was changed or left out for this target when the job began.
    pub changes: Vec<Finding>,
    /// The login roles it creates: they have no passwords yet.
    pub login_roles: Vec<String>,
    /// The plan's tables, on their way to and from the ledger; in between the plan has them.
    pub tables: Vec<TableData>,
    /// Which part of the source moves, under which owners, in the words of the command line.
    pub terms: Vec<String>,
    /// How values that are stored apart are compressed, where that was said.
    #[serde(default)]
    pub toast_compression: Option<ToastCompression>,
    /// How many steps the plan had when it was written: none may be missing.
    pub steps: usize,
}

/// A job found in a ledger.
#[derive(Debug)]
pub struct StoredJob {
    /// The job.
    pub job: Job,
    /// Its plan.
    pub plan: Plan,
    /// What is done of it.
    pub receipts: Receipts,
    /// Whether it goes on or is over.
    pub state: JobState,
    /// Since when the target is in use, as its clock said; none where no cut-over is on record.
    pub cut_over: Option<String>,
}

/// How far a stored job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// Begun, not finished.
    Open,
    /// Finished; the report as JSON.
    Sealed {
        /// When, as the target's clock said.
        at: String,
        /// The report.
        report: String,
    },
}

/// The ledger of the database a session is connected to.
pub struct Ledger<'a> {
    pub(super) target: &'a Session,
}

impl<'a> Ledger<'a> {
    /// The ledger behind `target`.
    pub fn of(target: &'a Session) -> Self {
        Ledger { target }
    }

    /// Reads the stored job, if there is one.
    pub async fn read(&self) -> Result<Option<StoredJob>> {
        if !self.is_there().await? {
            return Ok(None);
        }
        let sql = "SELECT body, sealed_at::text, report, checksum, report_checksum, \
                   cut_over_at::text, format::text, tool FROM pgconvoy.job";
        let row = self.target.query_one(READING, sql, &[]).await?;
        let body: &str = field(&row, 0)?;
        if field::<i64>(&row, 3)? != checksum(&[field(&row, 6)?, field(&row, 7)?, body]) {
            return Err(damaged("the job"));
        }
        let mut job: Job = parse(body)?;
        let state = match (field(&row, 1)?, field::<Option<String>>(&row, 2)?) {
            (Some(at), report) => {
                let report = report.unwrap_or_default();
                if field::<Option<i64>>(&row, 4)? != Some(checksum(&[&report])) {
                    return Err(damaged("the finished job's report"));
                }
                JobState::Sealed { at, report }
            }
            (None, _) => JobState::Open,
        };
        let steps = self.steps().await?;
        if steps.len() < job.steps {
            let (there, all) = (steps.len(), job.steps);
            return Err(damaged(&format!("the plan, of which {there} of {all} steps are there")));
        }
        let plan = Plan { tables: std::mem::take(&mut job.tables), steps };
        if let Some(flaw) = plan.flaw() {
            return Err(damaged(&format!("the plan, as {flaw},")));
        }
        let receipts = self.receipts().await?;
        Ok(Some(StoredJob { job, plan, receipts, state, cut_over: field(&row, 5)? }))
    }

    /// What the job was planned for: a digest of each definition of the source, by title.
    pub async fn catalog(&self) -> Result<BTreeMap<String, u64>> {
        let sql = "SELECT (j.body::pg_catalog.json -> 'catalog')::pg_catalog.text \
                   FROM pgconvoy.job j";
        parse(field(&self.target.query_one(READING, sql, &[]).await?, 0)?)
    }

    async fn steps(&self) -> Result<Vec<Step>> {
        let sql = "SELECT id, phase, title, parts::text, cost::text, body, checksum \
                   FROM pgconvoy.step ORDER BY id";
        let mut steps: Vec<Step> = Vec::new();
        let take = |row: Row| {
            let id: i32 = field(&row, 0)?;
            let body: &str = field(&row, 5)?;
            let (phase, title): (&str, &str) = (field(&row, 1)?, field(&row, 2)?);
            let (parts, cost): (&str, &str) = (field(&row, 3)?, field(&row, 4)?);
            let written = checksum(&[&id.to_string(), phase, title, parts, cost, body]);
            // Steps are found by their numbers.
            if field::<i64>(&row, 6)? != written || id as usize != steps.len() {
                return Err(damaged(&format!("step {id} of the plan")));
            }
            steps.push(parse(body)?);
            Ok(())
        };
        self.target.query_each(READING, sql, &[], take).await?;
        Ok(steps)
    }

    /// Whether there is a ledger, one that this version reads and this user may believe.
    pub(super) async fn is_there(&self) -> Result<bool> {
        let schema = "SELECT pg_catalog.has_schema_privilege(oid, 'USAGE') \
                      FROM pg_catalog.pg_namespace WHERE nspname = 'pgconvoy'";
        let rows = self.target.query(READING, schema, &[]).await?;
        let Some(row) = rows.first() else { return Ok(false) };
        if !field(row, 0)? {
            return Err(Error::new(Kind::Refused, READING)
                .because("this user may not read schema pgconvoy")
                .hint("connect as the user that ran the migration"));
        }
        self.refuse_others().await?;
        let job = "SELECT pg_catalog.to_regclass('pgconvoy.job') IS NOT NULL";
        if !field::<bool>(&self.target.query_one(READING, job, &[]).await?, 0)? {
            return Err(foreign("it holds no job"));
        }
        let sql = "SELECT format, tool FROM pgconvoy.job";
        let rows = self.target.query(READING, sql, &[]).await?;
        let Some(row) = rows.first() else { return Err(foreign("it holds no job")) };
        let (format, tool): (i32, &str) = (field(row, 0)?, field(row, 1)?);
        if format != FORMAT {
            return Err(foreign(&format!("it has format {format}, written by pgconvoy {tool}")));
        }
        Ok(true)
    }

    /// Begins a job: the ledger is made with the whole plan in one transaction.
    pub async fn begin(&self, job: &Job, steps: &[Step]) -> Result<()> {
        let doing = "writing the plan to the ledger";
        let body = render(job)?;
        let mut sql = format!(
            "{CREATE}INSERT INTO pgconvoy.job (format, tool, body, checksum) \
             VALUES ({FORMAT}, {}, {}, {});\n",
            quote_literal(TOOL),
            quote_literal(&body),
            checksum(&[&FORMAT.to_string(), TOOL, &body])
        );
        if job.tables.iter().any(TableData::holds_large_objects) {
            sql.push_str(&view_sql());
        }
        failpoint::pass(Point::Before(Act::WritePlan));
        self.target.execute(doing, "BEGIN").await?;
        for step in steps {
            if sql.len() > STEPS_BYTES {
                self.target.execute(doing, &sql).await?;
                sql.clear();
            }
            sql.push_str(&format!("{};\n", step_sql(step)?));
        }
        sql.push_str("COMMIT;\n");
        self.target.execute(doing, &sql).await?;
        failpoint::pass(Point::After(Act::WritePlan));
        Ok(())
    }

    /// Gives to ourselves, with the first statements, what the job needs once more. The plan is to
    /// take it back with the second ones, and says so in the transaction that gives it.
    pub async fn lend(
        &self,
        plan: &mut Plan,
        (lending, taking_back): (Vec<String>, Vec<String>),
    ) -> Result<()> {
        let doing = "joining the owners on the target";
        let sql = match plan.also_take_back(doing, taking_back) {
            None => lending.concat(),
            Some(step) => format!(
                "BEGIN;\n{}{} ON CONFLICT (id) DO UPDATE \
                 SET body = excluded.body, checksum = excluded.checksum;\nCOMMIT;\n",
                lending.concat(),
                step_sql(step)?
            ),
        };
        failpoint::pass(Point::Before(Act::Lend));
        self.target.execute(doing, &sql).await?;
        failpoint::pass(Point::After(Act::Lend));
        Ok(())
    }

    /// All receipts.
    pub async fn receipts(&self) -> Result<Receipts> {
        let sql = "SELECT step::bigint, part::bigint, rows, bytes, crc32, fingerprint, snapshot, \
                   milliseconds, left_out, checksum FROM pgconvoy.receipt";
        let mut receipts = BTreeMap::new();
        let take = |row: Row| {
            let number = |index| field::<i64>(&row, index).map(i64::cast_unsigned);
            let key = (StepId(number(0)? as u32), number(1)? as usize);
            let named = || damaged(&format!("the receipt of step {}, part {}", key.0.0, key.1));
            let crc32 = u32::try_from(number(4)?).map_err(|_| named())?;
            let fingerprint = field::<&str>(&row, 5)?.parse().map_err(|_| named())?;
            let tally = Tally { bytes: number(3)?, crc32, fingerprint };
            let left_out = left_out(field(&row, 8)?).ok_or_else(named)?;
            let (snapshot, milliseconds) = (field(&row, 6)?, number(7)?);
            let receipt = Receipt { tally, snapshot, milliseconds, left_out };
            let rows = receipt.tally.rows();
            let most = rows.max(receipt.tally.bytes).max(receipt.milliseconds);
            if rows != number(2)?
                || receipt.checksum(key) != field::<i64>(&row, 9)?
                || most > MOST_OF_A_PART
            {
                return Err(named());
            }
            receipts.insert(key, receipt);
            Ok(())
        };
        self.target.query_each("reading the ledger's receipts", sql, &[], take).await?;
        Ok(Receipts(receipts))
    }

    /// Takes back the receipts for which a resume can't vouch.
    pub async fn forget(&self, parts: &[(StepId, usize)]) -> Result<()> {
        if parts.is_empty() {
            return Ok(());
        }
        failpoint::pass(Point::Before(Act::ForgetReceipts));
        self.target.execute("taking receipts back", &forget_sql(parts)).await?;
        failpoint::pass(Point::After(Act::ForgetReceipts));
        Ok(())
    }

    /// Says that receipts hold under another snapshot as well.
    pub async fn vouch(&self, renewed: &[((StepId, usize), &Receipt)]) -> Result<()> {
        for some in renewed.chunks(1000) {
            let values: Vec<String> = some
                .iter()
                .map(|(key, receipt)| {
                    let snapshot = quote_literal(&receipt.snapshot);
                    format!("({}, {}, {snapshot}, {})", key.0.0, key.1, receipt.checksum(*key))
                })
                .collect();
            let sql = format!(
                "UPDATE pgconvoy.receipt r SET snapshot = new.snapshot, checksum = new.checksum \
                 FROM (VALUES {}) new (step, part, snapshot, checksum) \
                 WHERE (r.step, r.part) = (new.step, new.part)",
                values.join(", ")
            );
            failpoint::pass(Point::Before(Act::RenewReceipts));
            self.target.execute("renewing receipts", &sql).await?;
            failpoint::pass(Point::After(Act::RenewReceipts));
        }
        Ok(())
    }

    /// Notes that a run goes on with the job, which isn't finished any more if it was.
    pub async fn begin_again(&self) -> Result<()> {
        let sql = "UPDATE pgconvoy.job SET begun_again = begun_again + 1, sealed_at = NULL, \
                   report = NULL, report_checksum = NULL";
        failpoint::pass(Point::Before(Act::CountRun));
        self.target.execute("noting in the ledger that the job goes on", sql).await?;
        failpoint::pass(Point::After(Act::CountRun));
        Ok(())
    }

    /// Closes a finished job with its report, as JSON, in the transaction that takes back what the
    /// job gave to ourselves.
    pub async fn seal(&self, take_back: &str, report: &str) -> Result<()> {
        let sql = format!(
            "BEGIN;\n{take_back}\
             UPDATE pgconvoy.job SET sealed_at = pg_catalog.clock_timestamp(), report = {}, \
             report_checksum = {};\n\
             COMMIT;\n",
            quote_literal(report),
            checksum(&[report])
        );
        failpoint::pass(Point::Before(Act::Seal));
        self.target.execute("sealing the ledger", &sql).await?;
        failpoint::pass(Point::After(Act::Seal));
        Ok(())
    }
}

/// The statement that writes a step of the plan.
fn step_sql(step: &Step) -> Result<String> {
    let (id, phase) = (step.id.0.to_string(), step.phase.to_string());
    let (parts, cost) = (step.parts().to_string(), step.cost.to_string());
    let body = render(step)?;
    Ok(format!(
        "INSERT INTO pgconvoy.step VALUES ({id}, {}, {}, {parts}, {cost}, {}, {})",
        quote_literal(&phase),
        quote_literal(&step.title),
        quote_literal(&body),
        checksum(&[&id, &phase, &step.title, &parts, &cost, &body])
    ))
}

/// The statement that takes receipts back.
pub(super) fn forget_sql(parts: &[(StepId, usize)]) -> String {
    let deletes = parts.chunks(1000).map(|some| {
        format!("DELETE FROM pgconvoy.receipt WHERE (step, part) IN ({});\n", keys(some))
    });
    deletes.collect()
}

fn keys(parts: &[(StepId, usize)]) -> String {
    let keys: Vec<String> =
        parts.iter().map(|(step, part)| format!("({}, {part})", step.0)).collect();
    keys.join(", ")
}

pub(super) fn render<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|e| Error::step("writing the ledger").because(e.to_string()))
}

pub(super) fn parse<T: for<'d> Deserialize<'d>>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| foreign(&e.to_string()))
}

/// A column of a row; one of another type than ours is another's table.
pub(super) fn field<'r, T: FromSql<'r>>(row: &'r Row, index: usize) -> Result<T> {
    row.try_get(index).map_err(|e| foreign(&e.to_string()))
}

/// A ledger that isn't one of ours, or another version's.
fn foreign(why: &str) -> Error {
    Error::new(Kind::Refused, READING).because(why).hint(
        "finish with the version of pgconvoy that wrote it; or, if nobody needs what is in the \
         target database, have it made anew: `migrate --clean`",
    )
}

/// A part of a ledger of ours isn't as it was written.
pub(super) fn damaged(part: &str) -> Error {
    Error::new(Kind::Refused, READING)
        .because(format!("it is damaged: {part} isn't as it was written"))
        .hint(
            "look after the target's disk and memory; then, if nobody needs what is in the target \
             database, have it made anew: `migrate --clean`",
        )
}
