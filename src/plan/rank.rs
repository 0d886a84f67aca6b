//! How urgent a step is: what it costs, and all that waits for it at least.

use super::step::Plan;

/// For each step, the cost of the dearest path from its start to the plan's end. Running the
/// highest rank first keeps a long index build from being what everybody waits for at the end.
pub fn ranks(plan: &Plan) -> Vec<u64> {
    let mut after = vec![0u64; plan.steps.len()];
    let mut ranks = vec![0u64; plan.steps.len()];
    // Needs point backwards, so one pass from the end sees every dependent before its need.
    for (index, step) in plan.steps.iter().enumerate().rev() {
        ranks[index] = after[index].saturating_add(step.cost);
        for need in &step.needs {
            let waits = &mut after[need.0 as usize];
            *waits = (*waits).max(ranks[index]);
        }
    }
    ranks
}
