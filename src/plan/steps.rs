//! Steps while they are gathered.

use std::collections::HashMap;

use crate::toc::EntryId;

use super::step::{Action, Lock, Phase, Plan, Statement, Step, StepId};

/// So many statements go into one transaction at most: each holds a few locks until it commits,
/// and max_locks_per_transaction is 64 unless changed.
pub(super) const BATCH: usize = 200;
/// What a catalog change is taken to cost: a file made, a few catalog rows.
pub(super) const TABLE_OVERHEAD: u64 = 16 << 10;

/// A statement to be gathered into a transaction with others.
pub(super) struct Gathered {
    /// The entry it creates.
    pub(super) entry: Option<EntryId>,
    pub(super) statement: Statement,
    pub(super) locks: Vec<Lock>,
}

/// The steps so far.
#[derive(Default)]
pub(super) struct Steps {
    pub(super) plan: Plan,
    /// The last step of the definitions: everything after needs it.
    pub(super) defined: Option<StepId>,
    /// Which step creates which entry.
    pub(super) placed: HashMap<EntryId, StepId>,
}

impl Steps {
    pub(super) fn push(&mut self, phase: Phase, title: String, action: Action) -> StepId {
        let id = StepId(self.plan.steps.len() as u32);
        let step = Step { id, phase, title, action, needs: Vec::new(), cost: 0, locks: Vec::new() };
        self.plan.steps.push(step);
        id
    }

    /// A step that waits for all steps from `first` on.
    pub(super) fn wait_for(
        &mut self,
        phase: Phase,
        title: &str,
        action: Action,
        first: usize,
    ) -> StepId {
        let all = (first..self.plan.steps.len()).map(|index| StepId(index as u32)).collect();
        let id = self.push(phase, title.to_owned(), action);
        let defined = self.defined;
        let step = self.step(id);
        step.needs = all;
        step.needs.extend(defined);
        step.needs.sort_unstable();
        step.needs.dedup();
        id
    }

    pub(super) fn step(&mut self, id: StepId) -> &mut Step {
        &mut self.plan.steps[id.0 as usize]
    }

    pub(super) fn needs(&mut self, id: StepId, mut needs: Vec<StepId>) {
        let step = self.step(id);
        needs.append(&mut step.needs);
        needs.sort_unstable();
        needs.dedup();
        step.needs = needs;
    }

    /// Gathers statements into transactions that run one after another, the first after
    /// `previous`. Returns the last.
    pub(super) fn batches(
        &mut self,
        phase: Phase,
        title: &str,
        statements: impl Iterator<Item = Gathered>,
        mut previous: Option<StepId>,
    ) -> Option<StepId> {
        let mut open: Option<(StepId, usize)> = None;
        for Gathered { entry, statement, locks } in statements {
            let (id, count) = match open {
                Some((id, count)) if count < BATCH => (id, count),
                _ => {
                    let action = Action::Apply { statements: Vec::new() };
                    let id = self.push(phase, title.to_owned(), action);
                    self.needs(id, previous.into_iter().collect());
                    previous = Some(id);
                    (id, 0)
                }
            };
            open = Some((id, count + 1));
            if let Some(entry) = entry {
                self.placed.insert(entry, id);
            }
            let step = self.step(id);
            step.cost += TABLE_OVERHEAD;
            step.lock(locks);
            if let Action::Apply { statements } = &mut step.action {
                statements.push(statement);
            }
        }
        previous
    }

    /// Gathers statements that lock nothing in common into transactions that run beside one another
    /// after `previous`. Returns what all of them come before.
    pub(super) fn batches_beside(
        &mut self,
        phase: Phase,
        title: &str,
        statements: impl Iterator<Item = Gathered>,
        previous: Option<StepId>,
    ) -> Option<StepId> {
        let first = self.plan.steps.len();
        let mut statements = statements.peekable();
        while statements.peek().is_some() {
            self.batches(phase, title, statements.by_ref().take(BATCH), previous);
        }
        match self.plan.steps.len() - first {
            0 => previous,
            _ => Some(self.wait_for(phase, title, Action::Milestone, first)),
        }
    }
}
