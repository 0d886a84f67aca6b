//! What fuzzing feeds: a ledger whose texts and checksums whoever owns the target has made up.

use crate::plan::{Action, Plan, Step, StepId};
use crate::toc::{ChunkRange, Side};

use super::checksum::checksum;
use super::ledger::{Job, parse, render};
use super::receipts::{Receipt, Receipts};
use super::rows;
use super::schedule::Schedule;

/// A job, the steps of its plan and its receipts, separated by NULs, as the ledger's columns have
/// them.
///
/// # Panics
/// If what was read isn't what would be written again, or if it can't be gone on with although it
/// was found sound.
pub fn ledger(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.split('\0');
    let Ok(mut job) = parse::<Job>(parts.next().unwrap_or("")) else { return };
    let written = render(&job).expect("a job can be written");
    assert_eq!(parse::<Job>(&written).expect("what was written can be read"), job);
    assert_ne!(checksum(&[&written]), checksum(&[&written[1..]]));

    let mut plan = Plan { tables: std::mem::take(&mut job.tables), steps: Vec::new() };
    let mut receipts = Receipts::default();
    for part in parts {
        match parse::<Step>(part) {
            Ok(step) => {
                let written = render(&step).expect("a step can be written");
                assert_eq!(parse::<Step>(&written).expect("what was written can be read"), step);
                plan.steps.push(step);
            }
            Err(_) => receipts.0.extend(receipt(part)),
        }
    }
    if plan.flaw().is_none() {
        go_on(&plan, &receipts);
    }
}

/// A receipt's columns, separated by blanks.
fn receipt(part: &str) -> Option<((StepId, usize), Receipt)> {
    let columns: Vec<&str> = part.split(' ').collect();
    let number = |at: usize| columns.get(at)?.parse::<i64>().ok();
    let fingerprint = columns.get(2)?.parse().ok()?;
    let key = (StepId(u32::try_from(number(0)?).ok()?), usize::try_from(number(1)?).ok()?);
    let mut receipt = Receipt::default();
    receipt.tally.fingerprint = fingerprint;
    let _of_all_columns = receipt.checksum(key);
    Some((key, receipt))
}

/// What a run does with a ledger before it does anything.
fn go_on(plan: &Plan, receipts: &Receipts) {
    let _whether = receipts.data_is_complete(plan);
    let _sums = (receipts.copied(plan), receipts.verified(plan), receipts.counted(plan));
    let _again = (receipts.of_differing(plan), plan.beyond_data(), plan.sequences());
    let _sizes = plan.copies().map(|(_, _, chunk)| chunk.bytes).sum::<u64>();
    let _costs = plan.steps.iter().map(|step| step.cost).sum::<u64>();
    for step in &plan.steps {
        if let Action::Copy { chunks } | Action::Verify { chunks } = &step.action {
            for chunk in chunks {
                let table = plan.table(chunk.table);
                let sql = rows::copy_out(table, &chunk.range, Side::Target);
                assert!(sql.starts_with("COPY "), "{sql}");
                let _into = rows::copy_in(table, &ChunkRange::Whole);
            }
        }
    }
    let is_done = |id: StepId| receipts.is_done(&plan.steps[id.0 as usize]);
    let mut schedule = Schedule::new(plan, is_done);
    while let Some(step) = schedule.next() {
        schedule.finished(step);
    }
    assert!(schedule.is_done(), "it never ends");
}
