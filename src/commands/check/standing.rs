//! Whether the target holds a job already: this one, to go on with, or another.

use crate::commands::going_on::{
    refuse_another_source, refuse_changed_definitions, refuse_cut_over, refuse_other_compression,
    refuse_other_terms,
};
use crate::commands::request::Request;
use crate::commands::survey::{Source, digests};
use crate::engine::{JobState, Ledger, StoredJob};
use crate::error::{Error, Kind, Result};
use crate::plan::Phase;
use crate::toc::Finding;

use super::sides::Sides;

/// The job in the target's ledger. A ledger that can't be read is an error of kind
/// [`Kind::Refused`], or the server's.
pub(super) async fn read(sides: &Sides<'_>) -> Result<Option<StoredJob>> {
    if sides.target_is_missing() {
        return Ok(None);
    }
    let stored = Ledger::of(sides.target()).read().await?;
    if stored.is_none() {
        refuse_schema_without_job(sides).await?;
    }
    Ok(stored)
}

/// What the stored job means for moving this source.
pub(super) fn judge(stored: &StoredJob, source: &Source, request: &Request) -> Finding {
    let is_the_same = refuse_cut_over(stored.cut_over.as_deref())
        .and_then(|()| refuse_other_terms(&stored.job, &request.terms()))
        .and_then(|()| refuse_other_compression(&stored.job, request.toast_compression))
        .and_then(|()| refuse_another_source(&stored.job, &source.identity))
        .and_then(|()| match stored.state {
            JobState::Open if !stored.receipts.data_is_complete(&stored.plan) => {
                refuse_changed_definitions(&stored.job.catalog, &digests(&source.toc))
            }
            JobState::Open | JobState::Sealed { .. } => Ok(()),
        });
    if let Err(error) = is_the_same {
        return refusal(&error);
    }
    match &stored.state {
        JobState::Open => {
            let done = stored.plan.steps.iter().filter(|step| stored.receipts.is_done(step));
            let what = format!(
                "this job was begun before: it goes on, {} of {} steps being done",
                done.count(),
                stored.plan.steps.len()
            );
            Finding::note("target database", what)
        }
        JobState::Sealed { at, .. } => {
            let what = format!("this job was finished at {at}: nothing is left to do");
            let remedy = "once the target is in use: `pgconvoy finish`; to drop it and move \
                          everything again: --restart";
            Finding::note("target database", what).mend(remedy)
        }
    }
}

/// Whether the job has created all its definitions.
pub(super) fn is_defined(stored: &StoredJob) -> bool {
    let steps = stored.plan.steps.iter();
    let mut definitions = steps.filter(|step| step.phase == Phase::Definitions);
    definitions.all(|step| stored.receipts.is_done(step))
}

async fn refuse_schema_without_job(sides: &Sides<'_>) -> Result<()> {
    let sql = "SELECT pg_catalog.to_regnamespace('pgconvoy') IS NOT NULL";
    let there = sides.target().query_one("looking for a ledger", sql, &[]).await?;
    if !there.get::<_, bool>(0) {
        return Ok(());
    }
    Err(Error::new(Kind::Refused, "reading the ledger (schema pgconvoy on the target)")
        .because("the schema is there, but holds no job")
        .hint("DROP SCHEMA pgconvoy; if nothing of yours is in it"))
}

/// A ledger that stops the job.
pub(super) fn refusal(error: &Error) -> Finding {
    let story = error.to_string();
    let what = story.split_once("\nhint: ").map_or(story.as_str(), |(story, _)| story);
    let finding = Finding::refusal("target database", what);
    match error.hint_text() {
        Some(hint) => finding.mend(hint),
        None => finding.mend("drop the target database if nobody needs it, then run again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_becomes_the_remedy() {
        let error = Error::new(Kind::Refused, "reading").because("no").hint("drop it");
        let finding = refusal(&error);
        assert_eq!(finding.what, "reading: no");
        assert_eq!(finding.remedy.as_deref(), Some("drop it"));
    }
}
