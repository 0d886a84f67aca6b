//! Which step is next: the one place that decides order. Pure.

use std::collections::{BTreeSet, HashMap};

use crate::pg::{LockMode, QualifiedName};
use crate::plan::{Plan, StepId, ranks};

/// The steps still owed, and those under way.
#[derive(Debug)]
pub(super) struct Schedule<'a> {
    plan: &'a Plan,
    ranks: Vec<u64>,
    /// How many of each step's needs are owed.
    waits_for: Vec<usize>,
    dependents: Vec<Vec<StepId>>,
    /// Steps that could start: the highest rank first, the lowest id among equals.
    ready: BTreeSet<(std::cmp::Reverse<u64>, StepId)>,
    /// The locks of the steps under way.
    held: HashMap<&'a QualifiedName, Vec<(StepId, LockMode)>>,
    owed: usize,
}

impl<'a> Schedule<'a> {
    /// The schedule of what is owed of `plan`: the steps for which `done` doesn't hold.
    pub(super) fn new(plan: &'a Plan, done: impl Fn(StepId) -> bool) -> Self {
        let count = plan.steps.len();
        let mut schedule = Schedule {
            plan,
            ranks: ranks(plan),
            waits_for: vec![0; count],
            dependents: vec![Vec::new(); count],
            ready: BTreeSet::new(),
            held: HashMap::new(),
            owed: 0,
        };
        for step in plan.steps.iter().filter(|step| !done(step.id)) {
            schedule.owed += 1;
            let owed_needs = step.needs.iter().filter(|need| !done(**need));
            for need in owed_needs {
                schedule.dependents[need.0 as usize].push(step.id);
                schedule.waits_for[step.id.0 as usize] += 1;
            }
            if schedule.waits_for[step.id.0 as usize] == 0 {
                schedule.make_ready(step.id);
            }
        }
        schedule
    }

    /// Takes the next step that can start now, if there is one.
    pub(super) fn next(&mut self) -> Option<StepId> {
        let entry = self.ready.iter().find(|(_, step)| self.is_free(*step)).copied()?;
        self.ready.remove(&entry);
        let step = entry.1;
        let plan = self.plan;
        for lock in &plan.steps[step.0 as usize].locks {
            self.held.entry(&lock.relation).or_default().push((step, lock.mode));
        }
        Some(step)
    }

    /// Says that a step taken from [`Schedule::next`] is done.
    pub(super) fn finished(&mut self, step: StepId) {
        let plan = self.plan;
        for lock in &plan.steps[step.0 as usize].locks {
            if let Some(holders) = self.held.get_mut(&lock.relation) {
                holders.retain(|(holder, _)| *holder != step);
                if holders.is_empty() {
                    self.held.remove(&lock.relation);
                }
            }
        }
        for dependent in std::mem::take(&mut self.dependents[step.0 as usize]) {
            let waits = &mut self.waits_for[dependent.0 as usize];
            *waits -= 1;
            if *waits == 0 {
                self.make_ready(dependent);
            }
        }
        self.owed -= 1;
    }

    /// Whether nothing is owed any more.
    pub(super) fn is_done(&self) -> bool {
        self.owed == 0
    }

    fn make_ready(&mut self, step: StepId) {
        self.ready.insert((std::cmp::Reverse(self.ranks[step.0 as usize]), step));
    }

    fn is_free(&self, step: StepId) -> bool {
        self.plan.steps[step.0 as usize].locks.iter().all(|lock| {
            let holders = self.held.get(&lock.relation).into_iter().flatten();
            holders.into_iter().all(|(_, mode)| !mode.conflicts_with(lock.mode))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Action, Lock, Phase, Step};

    fn step(id: u32, needs: &[u32], cost: u64, locks: &[(&str, LockMode)]) -> Step {
        Step {
            id: StepId(id),
            phase: Phase::Data,
            title: format!("step {id}"),
            action: Action::Milestone,
            needs: needs.iter().map(|need| StepId(*need)).collect(),
            cost,
            locks: locks
                .iter()
                .map(|(name, mode)| Lock { relation: QualifiedName::new("s", *name), mode: *mode })
                .collect(),
        }
    }

    fn plan(steps: Vec<Step>) -> Plan {
        Plan { tables: Vec::new(), steps }
    }

    #[test]
    fn the_step_with_the_dearest_path_to_the_end_goes_first() {
        let plan =
            plan(vec![step(0, &[], 50, &[]), step(1, &[], 10, &[]), step(2, &[1], 100, &[])]);
        let mut schedule = Schedule::new(&plan, |_| false);
        assert_eq!(schedule.next(), Some(StepId(1)));
        assert_eq!(schedule.next(), Some(StepId(0)));
        assert_eq!(schedule.next(), None);
        schedule.finished(StepId(1));
        assert_eq!(schedule.next(), Some(StepId(2)));
    }

    #[test]
    fn steps_whose_locks_conflict_never_run_together() {
        let plan = plan(vec![
            step(0, &[], 3, &[("t", LockMode::AccessExclusive)]),
            step(1, &[], 2, &[("t", LockMode::Share)]),
            step(2, &[], 1, &[("t", LockMode::Share)]),
        ]);
        let mut schedule = Schedule::new(&plan, |_| false);
        assert_eq!(schedule.next(), Some(StepId(0)));
        assert_eq!(schedule.next(), None);
        schedule.finished(StepId(0));
        assert_eq!(schedule.next(), Some(StepId(1)));
        assert_eq!(schedule.next(), Some(StepId(2)));
    }

    #[test]
    fn done_steps_are_neither_run_nor_waited_for() {
        let plan = plan(vec![step(0, &[], 1, &[]), step(1, &[0], 1, &[])]);
        let mut schedule = Schedule::new(&plan, |id| id == StepId(0));
        assert_eq!(schedule.next(), Some(StepId(1)));
        assert!(!schedule.is_done());
        schedule.finished(StepId(1));
        assert!(schedule.is_done());
    }
}
