//! What a job can end without: an index, a key or a check that the rows don't allow, a materialized
//! view that can't be refreshed, and what stands on one of them. All may fail on the source as well,
//! and its rows have arrived without them.

use crate::toc::{Entry, Kind, Toc};

use super::step::{Action, Phase, WhenRefused};
use super::steps::Steps;

/// Says of each such entry's statement what comes of it when the target refuses it.
pub(super) fn mark(toc: &Toc, steps: &mut Steps) {
    let mut expendable = vec![false; toc.entries.len()];
    for (id, entry) in toc.iter() {
        let stands_on_one = entry.depends_on.iter().any(|need| expendable[need.0 as usize]);
        expendable[id.0 as usize] = is_built_of_rows(entry.kind)
            // Without its policy a table may show more than it should.
            || stands_on_one && !matches!(entry.kind, Kind::Policy | Kind::RowSecurity);
        let Some(&step) = steps.placed.get(&id).filter(|_| expendable[id.0 as usize]) else {
            continue;
        };
        let step = steps.step(step);
        if let (Action::Apply { statements }, true) =
            (&mut step.action, step.phase != Phase::Definitions)
        {
            let title = entry.title();
            for statement in statements.iter_mut().filter(|statement| statement.title == title) {
                statement.when_refused = when_refused(entry);
            }
        }
    }
}

fn is_built_of_rows(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Index
            | Kind::Constraint
            | Kind::CheckConstraint
            | Kind::FkConstraint
            | Kind::MaterializedViewData
    )
}

fn when_refused(entry: &Entry) -> WhenRefused {
    match entry.kind {
        Kind::MaterializedViewData => WhenRefused::TryAgainLater,
        _ => WhenRefused::LeaveOut,
    }
}
