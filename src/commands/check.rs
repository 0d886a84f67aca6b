//! `pgconvoy check`: everything that would stop or change the job, all at once, with what mends it.

use crate::error::Result;
use crate::toc::adapt::adapt;
use crate::toc::{Finding, Severity};

use super::databases::{self, TargetDatabase};
use super::request::Request;
use super::survey;

/// What checking a database found.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Checked {
    /// The database on the target.
    pub database: String,
    /// What was found, refusals first.
    pub findings: Vec<Finding>,
}

impl Checked {
    /// Whether the job is refused.
    pub fn is_refused(&self, strict: bool) -> bool {
        self.stopping(strict).next().is_some()
    }

    /// The findings that stop the job.
    pub fn stopping(&self, strict: bool) -> impl Iterator<Item = &Finding> {
        let worst = if strict { Severity::Change } else { Severity::Refusal };
        self.findings.iter().filter(move |finding| finding.severity <= worst)
    }
}

/// Checks every database of the request.
pub async fn check(request: &Request) -> Result<Vec<Checked>> {
    let mut all = Vec::new();
    for pair in databases::pairs(request).await? {
        let source = survey::source(&pair.source).await?;
        let target = databases::target_database(&pair.target).await?;
        let mut findings: Vec<Finding> = source
            .unsupported
            .iter()
            .map(|object| Finding::refusal(&object.object, &object.why))
            .collect();
        let facts = target.facts(pair.target.database()).await?;
        findings.extend(adapt(&source.toc, &source.bootstrap, &facts).findings);
        if let TargetDatabase::Missing(_) = target {
            let what = "isn't there: it will be created";
            findings.push(Finding::note(format!("database {}", pair.target.database()), what));
        }
        findings.sort();
        all.push(Checked { database: pair.target.database().to_owned(), findings });
    }
    Ok(all)
}
