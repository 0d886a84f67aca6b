//! What a job can end without: an index, a key or a check that the rows don't allow, a materialized
//! view that can't be refreshed, and what stands on one of them. All may fail on the source as well,
//! and its rows have arrived without them.
//!
//! pg_dump's definitions may fail by themselves: it knows neither all needs nor all words of a newer
//! server. What no rows need is then left out, as pg_restore does.

use crate::toc::{Entry, Kind, Toc};

use super::build::{DefinedBy, needed_by_rows};
use super::step::{Action, Phase, WhenRefused};
use super::steps::Steps;

/// Says of each such entry's statement what comes of it when the target refuses it.
pub(super) fn mark(toc: &Toc, defined_by: DefinedBy, steps: &mut Steps) {
    let needed = match defined_by {
        DefinedBy::Us => vec![true; toc.entries.len()],
        DefinedBy::PgDump => needed_by_rows(toc),
    };
    let mut expendable = vec![false; toc.entries.len()];
    for (id, entry) in toc.iter() {
        let stands_on_one = entry.depends_on.iter().any(|need| expendable[need.0 as usize]);
        let may_fail = stands_on_one || !needed[id.0 as usize];
        expendable[id.0 as usize] = is_built_of_rows(entry.kind) || may_fail && !guards(entry.kind);
        let Some(&step) = steps.placed.get(&id).filter(|_| expendable[id.0 as usize]) else {
            continue;
        };
        let step = steps.step(step);
        if let (Action::Apply { statements }, true) =
            (&mut step.action, step.phase != Phase::Definitions || defined_by == DefinedBy::PgDump)
        {
            let title = entry.title();
            for statement in statements.iter_mut().filter(|statement| statement.title == title) {
                statement.when_refused = when_refused(entry);
            }
        }
    }
}

/// Whether others may see or do more where it is missing; or nothing has its place.
fn guards(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Policy
            | Kind::RowSecurity
            | Kind::Acl
            | Kind::DefaultAcl
            | Kind::SecurityLabel
            | Kind::Schema
            | Kind::DatabaseProperties
    )
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
