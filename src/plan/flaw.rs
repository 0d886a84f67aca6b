//! What keeps a plan from being run: one that we made has no flaw, but a ledger is whose the target
//! is.

use crate::toc::ChunkRange;

use super::step::{Action, Chunk, Plan, Step, StepId};

/// What a table has at most (source: access/htup_details.h, MaxHeapAttributeNumber).
const MOST_COLUMNS: usize = 1600;

impl Plan {
    /// What is wrong with the plan, if anything is: every number in it must lead somewhere, and no
    /// sum be beyond counting.
    pub fn flaw(&self) -> Option<String> {
        if let Some(table) = self.tables.iter().find(|table| table.columns.len() > MOST_COLUMNS) {
            return Some(format!("{} has too many columns", table.relation));
        }
        let flawed = self.steps.iter().zip(0..).find(|(step, at)| !self.is_sound(step, *at));
        if let Some((_, at)) = flawed {
            return Some(format!("step {at} leads nowhere"));
        }
        let costs = self.steps.iter().try_fold(0, |sum: u64, step| sum.checked_add(step.cost));
        let sizes = self.copies().try_fold(0, |sum: u64, (_, _, c)| sum.checked_add(c.bytes));
        (costs.is_none() || sizes.is_none()).then(|| "it is beyond any size".to_owned())
    }

    fn is_sound(&self, step: &Step, at: u32) -> bool {
        let tables_are_there = match &step.action {
            Action::Copy { chunks } | Action::Verify { chunks } => {
                chunks.iter().all(|chunk| self.is_there(chunk))
            }
            Action::Count { table } => (table.0 as usize) < self.tables.len(),
            _ => true,
        };
        tables_are_there && step.id == StepId(at) && step.needs.iter().all(|need| need.0 < at)
    }

    fn is_there(&self, chunk: &Chunk) -> bool {
        let table = self.tables.get(chunk.table.0 as usize);
        match (table, &chunk.range) {
            (Some(table), ChunkRange::Archived { from, to }) => {
                let parts = table.archived.as_ref().map_or(0, |archived| archived.parts.len());
                from < to && *to as usize <= parts
            }
            (table, _) => table.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Phase, TableId};
    use crate::toc::test_table;

    fn step(id: u32, needs: &[u32], action: Action) -> Step {
        Step {
            id: StepId(id),
            phase: Phase::Data,
            title: String::new(),
            action,
            needs: needs.iter().map(|need| StepId(*need)).collect(),
            cost: 1,
            locks: Vec::new(),
        }
    }

    fn copy(table: u32, bytes: u64) -> Action {
        Action::Copy {
            chunks: vec![Chunk { table: TableId(table), range: ChunkRange::Whole, bytes }],
        }
    }

    fn flaw(steps: Vec<Step>) -> Option<String> {
        Plan { tables: vec![test_table("a")], steps }.flaw()
    }

    #[test]
    fn a_plan_whose_numbers_lead_somewhere_has_no_flaw() {
        let count = Action::Count { table: TableId(0) };
        assert_eq!(flaw(vec![step(0, &[], copy(0, 1)), step(1, &[0], count)]), None);
    }

    #[test]
    fn a_number_that_leads_nowhere_is_a_flaw() {
        for (at, steps) in [
            (0, vec![step(1, &[], Action::Milestone)]),
            (0, vec![step(0, &[0], Action::Milestone)]),
            (1, vec![step(0, &[], Action::Milestone), step(1, &[7], Action::Milestone)]),
            (0, vec![step(0, &[], copy(1, 1))]),
            (0, vec![step(0, &[], Action::Count { table: TableId(1) })]),
        ] {
            assert_eq!(flaw(steps), Some(format!("step {at} leads nowhere")));
        }
    }

    #[test]
    fn what_cannot_be_counted_is_a_flaw() {
        let huge = |id| step(id, &[], copy(0, u64::MAX));
        assert!(flaw(vec![huge(0), huge(1)]).is_some());
        let mut wide = test_table("a");
        wide.columns = vec!["c".into(); MOST_COLUMNS + 1];
        assert!(Plan { tables: vec![wide], steps: vec![] }.flaw().is_some());
    }
}
