//! How urgent a step is: what it costs, and all that waits for it at least.

use super::step::{Phase, Plan};

/// For each step, the cost of the dearest path from its start to the plan's end; all indexes of a
/// table together, where they cost more than that. Running the highest rank first keeps a long index
/// build, or a table of many indexes, from being what everybody waits for at the end.
pub fn ranks(plan: &Plan) -> Vec<u64> {
    let mut after = vec![0u64; plan.steps.len()];
    let mut indexes = vec![0u64; plan.steps.len()];
    let mut ranks = vec![0u64; plan.steps.len()];
    // Needs point backwards, so one pass from the end sees every dependent before its need.
    for (index, step) in plan.steps.iter().enumerate().rev() {
        ranks[index] = after[index].max(indexes[index]).saturating_add(step.cost);
        if step.phase == Phase::Indexes
            && let Some(rows) = step.needs.iter().max()
        {
            let builds = indexes[index].saturating_add(step.cost);
            let all = &mut indexes[rows.0 as usize];
            *all = all.saturating_add(builds);
        }
        for need in &step.needs {
            let waits = &mut after[need.0 as usize];
            *waits = (*waits).max(ranks[index]);
        }
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Action, Step, StepId};

    #[test]
    fn a_table_of_many_indexes_goes_before_a_bigger_one_of_few() {
        use Phase::{Data, Indexes};
        // Two tables, the second in two chunks; the first has one index, the second three, of which
        // the last needs the one before it.
        let steps: [(Phase, u64, &[u32]); 9] = [
            (Data, 100, &[]),
            (Data, 30, &[]),
            (Data, 20, &[]),
            (Data, 0, &[1, 2]),
            (Data, 0, &[0, 1, 2]),
            (Indexes, 100, &[0]),
            (Indexes, 70, &[3]),
            (Indexes, 60, &[3]),
            (Indexes, 50, &[3, 7]),
        ];
        let step = |(number, (phase, cost, needs)): (usize, &(Phase, u64, &[u32]))| Step {
            id: StepId(number as u32),
            phase: *phase,
            title: String::new(),
            action: Action::Milestone,
            needs: needs.iter().map(|need| StepId(*need)).collect(),
            cost: *cost,
            locks: Vec::new(),
        };
        let steps = steps.iter().enumerate().map(step).collect();
        let ranks = ranks(&Plan { tables: Vec::new(), steps });
        assert_eq!(ranks, [200, 210, 200, 180, 0, 100, 70, 110, 50]);
    }
}
