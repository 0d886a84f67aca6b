//! Whether the target holds what it should.

use crate::catalog::{self, Scope};
use crate::engine::Receipts;
use crate::error::Result;
use crate::plan::{Plan, VerifyMode};
use crate::toc::adapt::Adapted;
use crate::verify::{
    Sequences, compare_catalogs, compare_counts, compare_large_objects, compare_sequences,
    compare_tables, uncompared,
};
use crate::wire::Session;

use super::super::report::Verification;
use super::super::survey;

/// When the large objects were copied: those of an earlier run aren't those that this one has read
/// the owners and grants of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LargeObjects {
    OfThisRun,
    OfAnEarlierRun,
}

/// What the target's catalog is to hold.
pub(super) struct Expected<'a> {
    pub(super) adapted: &'a Adapted,
    pub(super) large_objects: LargeObjects,
    pub(super) same_major: bool,
}

/// What of the target is looked at.
pub(super) struct Reading {
    /// How far its rows were read back; with them comes the catalog.
    pub(super) rows: VerifyMode,
    /// Whether the catalog is read though no rows are: the target has refused something.
    pub(super) catalog: bool,
}

/// Compares what was read of the target with what it is to hold.
pub(super) async fn judge(
    reading: Reading,
    plan: &Plan,
    receipts: &Receipts,
    expected: &Expected<'_>,
    scope: &Scope,
    target: &Session,
) -> Result<Verification> {
    let Expected { adapted, large_objects, same_major } = *expected;
    let mode = reading.rows;
    let copied = receipts.copied(plan);
    let tables = match mode {
        VerifyMode::Full => compare_tables(&plan.tables, &copied, &receipts.verified(plan)),
        VerifyMode::Counts => compare_counts(&plan.tables, &copied, &receipts.counted(plan)),
        VerifyMode::None => Vec::new(),
    };
    let mut verification = Verification { mode, tables, ..Verification::default() };
    if mode != VerifyMode::None || reading.catalog {
        let facts = catalog::target_facts(target).await?;
        let found = survey::target(target, &adapted.toc, &facts, scope).await?;
        verification.catalog = compare_catalogs(&adapted.toc, &found, same_major);
        verification.notes.extend(uncompared(&adapted.toc, same_major));
        let sequences = compare_sequences(&adapted.toc, &found, Sequences::MovingOn);
        verification.catalog.extend(sequences);
        if large_objects == LargeObjects::OfThisRun {
            verification.catalog.extend(compare_large_objects(&adapted.toc, &found));
        }
    }
    Ok(verification)
}
