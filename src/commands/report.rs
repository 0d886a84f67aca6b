//! What a job came to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::plan::{Phase, VerifyMode};
use crate::toc::Finding;
use crate::verify::{CatalogDifference, TableVerdict};

use super::source_since::SourceSince;

/// The report on one database.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DatabaseReport {
    /// The database.
    pub database: String,
    /// Whether an earlier run had finished it already: then nothing was done.
    pub was_finished: bool,
    /// When that run finished it, by the target's clock.
    #[serde(default)]
    pub finished_at: Option<String>,
    /// Whether the job went on from an earlier run.
    pub was_resumed: bool,
    /// Whether it was copied while the source lives on, and a later run is to end the job.
    #[serde(default)]
    pub is_warm: bool,
    /// How many objects of each kind moved.
    pub objects: BTreeMap<String, usize>,
    /// How many tables' rows moved.
    pub tables: usize,
    /// Rows on the target that came from the source, earlier runs included.
    pub rows: u64,
    /// Bytes of COPY data, earlier runs included.
    pub bytes: u64,
    /// How often a step of this run was tried again.
    #[serde(default)]
    pub retries: u32,
    /// How often this run was begun again from the ledger.
    #[serde(default)]
    pub restarts: u32,
    /// Seconds from start to end of this run.
    pub seconds: f64,
    /// Seconds per part of the job, in this run; the parts overlap.
    pub phases: BTreeMap<Phase, f64>,
    /// What was changed or left out, and why.
    pub changes: Vec<Finding>,
    /// Login roles that were created without a password.
    pub passwords_to_set: Vec<String>,
    /// What verification found.
    pub verification: Verification,
    /// Whether the source was written to since its rows were copied; none where nothing was copied.
    #[serde(default)]
    pub source_since: Option<SourceSince>,
    /// The fence under which it was copied, if there was one.
    #[serde(default)]
    pub fence: Option<Fenced>,
}

/// A fence around the source, which stays when the job is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fenced {
    /// What tells it from another one on that server.
    pub id: u32,
    /// Who may not log in.
    pub roles: Vec<String>,
}

impl DatabaseReport {
    /// A report as a ledger keeps it.
    pub(super) fn parse(text: &str) -> Result<DatabaseReport> {
        serde_json::from_str(text).map_err(|e| {
            Error::new(Kind::Refused, "reading the finished job's report").because(e.to_string())
        })
    }
}

/// What verification found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// How far the rows were read back.
    pub mode: VerifyMode,
    /// Each table's verdict.
    pub tables: Vec<TableVerdict>,
    /// Where the rows of tables that differ do so.
    pub located: Vec<String>,
    /// How the catalogs differ.
    pub catalog: Vec<CatalogDifference>,
    /// What couldn't be compared, and why.
    pub notes: Vec<String>,
    /// Whether definitions weren't compared, as those that pg_dump has put into words can't be: only
    /// names and owners were.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub catalog_unread: bool,
}

impl Verification {
    /// The rows that are proven equal.
    pub(super) fn equal_rows(&self) -> u64 {
        let rows = self.tables.iter().map(|verdict| match verdict {
            TableVerdict::Equal { rows, .. } => *rows,
            _ => 0,
        });
        rows.sum()
    }

    /// Whether everything that was compared is equal.
    pub fn is_clean(&self) -> bool {
        self.catalog.is_empty() && self.tables.iter().all(TableVerdict::is_equal)
    }
}
