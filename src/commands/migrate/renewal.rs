//! Which receipts of rows hold for this run: what of an earlier one is believed, and what is copied
//! anew.

use std::collections::BTreeSet;

use crate::engine::{self, Event, Events, Ledger, Ours, Receipts, SourceSnapshot, SourceThen};
use crate::error::Result;
use crate::plan::StepId;
use crate::toc::named;
use crate::wire::{Conninfo, Session};

use super::super::going_on::{too_late_to_copy, too_late_to_renew, too_late_to_warm};

/// What a run takes up a job for.
#[derive(Clone, Copy)]
pub(super) struct TakenUp {
    /// Whether the job was there before.
    pub(super) goes_on: bool,
    /// Whether this run has begun with steps before: what it has read back since holds.
    pub(super) is_retried: bool,
    /// Whether rows have to be those of this run's snapshot: nobody writes to the source after it.
    pub(super) is_final: bool,
    /// Whether a later run is to read them again.
    pub(super) is_warm: bool,
}

/// Brings the data receipts under the new snapshot, unless all rows were copied under one already.
pub(super) async fn renew(
    ours: &Ours<'_>,
    source: &Conninfo,
    mut receipts: Receipts,
    TakenUp { goes_on, is_retried, is_final, is_warm }: TakenUp,
    snapshot: SourceSnapshot,
    events: &Events,
) -> Result<(Receipts, Option<SourceSnapshot>)> {
    let Ours { plan, session: target, .. } = *ours;
    let ledger = Ledger::of(target);
    if goes_on {
        ours.refuse_filled(&receipts).await?;
        let strangers = engine::strangers(target).await?;
        if !strangers.is_empty() {
            let words =
                format!("others are connected to the target database: {}", strangers.join(", "));
            events.say(Event::Note(words)).await;
        }
    } else {
        note_source(ours, &snapshot).await?;
    }
    // The source's sequences may have moved on since. Once grants stand we may lack the right to set
    // them: that is tried only where a job that is final needs it.
    let (setting, beyond) = plan.sequences();
    let stood_upon = receipts.0.keys().any(|(step, _)| beyond.contains(step));
    let set_anew = match (stood_upon, is_final) {
        (false, _) => true,
        (true, false) => false,
        (true, true) => {
            // In no transaction: each sequence that is read stays locked until its end.
            let session = Session::connect(source).await?;
            !engine::moved_sequences(&session, target, plan).await?.is_empty()
        }
    };
    let mut doubtful: BTreeSet<_> =
        setting.into_iter().filter(|_| set_anew).map(|step| (step, 0)).collect();
    doubtful.extend(receipts.of_differing(plan));
    let seals_earlier_rows = is_final || receipts.are_warm(plan);
    if goes_on && !is_retried && !is_warm && seals_earlier_rows {
        doubtful.extend(read_long_ago(ours, &receipts, events).await?);
    }
    ledger.forget(&doubtful.iter().copied().collect::<Vec<_>>()).await?;
    receipts.0.retain(|key, _| !doubtful.contains(key));
    let beyond = plan.beyond_data();
    let is_beyond = receipts.0.keys().any(|(step, _)| beyond.contains(step));
    if receipts.data_is_complete(plan) {
        let lost = engine::emptied_tables(plan, &receipts, target).await?;
        if lost.is_empty() && !is_final && !is_warm {
            snapshot.release().await?;
            return Ok((receipts, None));
        }
        if is_beyond && !lost.is_empty() {
            return Err(too_late_to_copy(plan, &lost));
        }
    }
    if is_beyond {
        if is_warm {
            return Err(too_late_to_warm());
        }
        let changed = engine::changed_tables(ours, &receipts, &snapshot, source, events).await?;
        if !changed.is_empty() {
            return Err(too_late_to_renew(&changed));
        }
    }
    let receipts = match is_beyond && receipts.data_is_complete(plan) {
        true => engine::renew(plan, receipts, &snapshot, target).await?,
        false => engine::recheck(ours, receipts, &snapshot, source, events).await?,
    };
    if goes_on {
        note_source(ours, &snapshot).await?;
    }
    Ok((receipts, Some(snapshot)))
}

/// What an earlier run has read back: somebody may have rehearsed on the target since. What can't be
/// read any more is told.
async fn read_long_ago(
    ours: &Ours<'_>,
    receipts: &Receipts,
    events: &Events,
) -> Result<Vec<(StepId, usize)>> {
    let read = receipts.read_back(ours.plan, |_| true);
    if read.is_empty() {
        return Ok(read);
    }
    let closed = ours.unreadable().await?;
    if !closed.is_empty() {
        let name = |table| ours.plan.table(table).relation.to_string();
        let names: Vec<String> = closed.iter().copied().map(name).collect();
        let note = format!(
            "row security or grants keep us from reading {} back again: what an earlier run read \
             counts",
            named(&names)
        );
        events.say(Event::Note(note)).await;
    }
    Ok(receipts.read_back(ours.plan, |table| !closed.contains(&table)))
}

/// Keeps what the source is like, to tell in the end whether it was written to since.
async fn note_source(ours: &Ours<'_>, snapshot: &SourceSnapshot) -> Result<()> {
    let tables = engine::write_counts(snapshot.session(), ours.plan).await?;
    let then = SourceThen { mark: snapshot.mark.clone(), tables };
    Ledger::of(ours.session).keep_source(&then).await
}
