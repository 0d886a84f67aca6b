//! Whether the source was written to since its rows were copied: so that nobody goes over to a copy
//! that is behind without knowing it. It differs in nothing that the job promised, so it is told,
//! and ends no job otherwise.

use serde::{Deserialize, Serialize};

use crate::engine::{
    Ledger, Receipts, SourceSnapshot, SourceThen, has_open_writers, moved_sequences, same_server,
    why_marks_differ, write_counts,
};
use crate::error::Result;
use crate::plan::Plan;
use crate::wire::Session;

use super::check::is_refusal_of_a_statement;
use super::databases::Pair;
use super::fence::Fence;
use super::going_on::changed_definitions;
use super::survey::{self, digests};

/// Whether the source was written to since its rows were copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "verdict")]
pub enum SourceSince {
    /// Nothing was committed on its server, nor is about to be; or a fence stood around it.
    Unchanged,
    /// It was.
    Changed {
        /// What: tables of whose rows the server has counted writes, sequences that stand elsewhere
        /// than on the target, definitions that are others.
        what: Vec<String>,
    },
    /// That can't be ruled out.
    Perhaps {
        /// Why not.
        because: String,
    },
    /// The source didn't say.
    Unknown {
        /// Why not.
        because: String,
    },
}

/// What has become of the source of a job whose rows are copied. Those that a fence has kept from
/// being written needn't be asked after.
pub(super) async fn source_since(
    pair: &Pair,
    plan: &Plan,
    receipts: &Receipts,
    target: &Session,
    fence: Option<&Fence>,
) -> SourceSince {
    let database = pair.source.database();
    let rows_are_fenced = fence.is_some_and(|fence| fence.covers(database, &plan.tables));
    match judge(pair, plan, receipts, target, rows_are_fenced).await {
        Ok(since) => since,
        Err(error) => SourceSince::Unknown { because: error.message() },
    }
}

async fn judge(
    pair: &Pair,
    plan: &Plan,
    receipts: &Receipts,
    target: &Session,
    rows_are_fenced: bool,
) -> Result<SourceSince> {
    let noted = Ledger::of(target).source_then().await?;
    let copied = receipts.mark(plan).map(str::to_owned);
    let Some(mark) = copied.or_else(|| noted.as_ref().map(|then| then.mark.clone())) else {
        let because = "the ledger doesn't say where it stood".to_owned();
        return Ok(SourceSince::Unknown { because });
    };
    let source = Session::connect(&pair.source).await?;
    let now = SourceSnapshot::mark(&source).await?;
    if !same_server(&mark, &now) {
        let because = "another server answers in its place".to_owned();
        return Ok(SourceSince::Unknown { because });
    }
    let (mut what, unasked) = match moved_sequences(&source, target, plan).await {
        Ok(moved) => (moved.into_iter().map(|name| format!("SEQUENCE {name}")).collect(), None),
        Err(error) if is_refusal_of_a_statement(&error) => (Vec::new(), Some(error.message())),
        Err(error) => return Err(error),
    };
    if now != mark {
        let then = noted.filter(|then| then.mark == mark && !rows_are_fenced);
        what.extend(changed(pair, plan, then, &source, target).await?);
    }
    if !what.is_empty() {
        what.sort();
        return Ok(SourceSince::Changed { what });
    }
    let because = match unasked {
        _ if now != mark && !rows_are_fenced => Some(why_marks_differ(&mark, &now).to_owned()),
        Some(words) => Some(format!("its sequences can't be compared: {words}")),
        None if !rows_are_fenced && has_open_writers(&source).await? => {
            Some("transactions that have written, or may yet, are under way on its server".into())
        }
        None => None,
    };
    Ok(because.map_or(SourceSince::Unchanged, |because| SourceSince::Perhaps { because }))
}

/// What the counters and the definitions say.
async fn changed(
    pair: &Pair,
    plan: &Plan,
    then: Option<SourceThen>,
    source: &Session,
    target: &Session,
) -> Result<Vec<String>> {
    let mut what = Vec::new();
    if let Some(then) = then {
        let now = write_counts(source, plan).await?;
        what.extend(then.written_since(&now).into_iter().map(|name| format!("rows of {name}")));
    }
    let planned_for = Ledger::of(target).catalog().await?;
    let now = digests(&survey::source_unlocked(pair).await?.toc);
    what.extend(changed_definitions(&planned_for, &now));
    Ok(what)
}
