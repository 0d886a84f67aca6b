//! Routines that are kept, but whose body names one that is left out. A body that is a string is
//! read when it runs, so pg_depend knows nothing of it. Where an index, a check, a generated column
//! or a materialized view leads to it, the job itself would run it, and fail.

use std::collections::{BTreeMap, BTreeSet};

use crate::toc::clauses::says;
use crate::toc::finding::Finding;
use crate::toc::{Entry, EntryId, Kind, Toc};

use super::losses::Losses;
use super::named_calls::{Name, is_routine, name, named};

/// Names what fails: a refusal where the job comes to run it, else a note.
pub(super) fn findings(toc: &Toc, losses: &Losses) -> Vec<Finding> {
    let lost = only_lost(toc, losses);
    if lost.is_empty() {
        return Vec::new();
    }
    let broken = spread(toc, losses, &lost);
    let run = broken.keys().copied().filter(|id| is_run_by_the_job(toc.entry(*id)));
    let chains: Vec<Vec<EntryId>> = run.map(|id| chain(&broken, id)).collect();
    let told: BTreeSet<EntryId> = chains.iter().flatten().copied().collect();
    let idle = broken.iter().filter(|(id, why)| why.names && !told.contains(id));
    let refused = chains.iter().map(|links| refusal(toc, &broken, links));
    refused.chain(idle.map(|(id, why)| note(toc, *id, why.leads_to))).collect()
}

/// Why an entry fails when it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Why {
    /// What it needs, or names: another that fails, or one that is left out.
    leads_to: EntryId,
    /// Whether its body names that.
    names: bool,
}

/// The routines left out of whose name none is kept: which of several a call means isn't known.
fn only_lost(toc: &Toc, losses: &Losses) -> BTreeMap<Name, EntryId> {
    let mut lost = BTreeMap::new();
    let mut kept = BTreeSet::new();
    for (id, entry) in toc.iter().filter(|(_, entry)| is_routine(entry.kind)) {
        let Some(name) = name(entry) else { continue };
        match losses.has(id) {
            true => _ = lost.insert(name, id),
            false => _ = kept.insert(name),
        }
    }
    lost.retain(|name, _| !kept.contains(name));
    lost
}

/// From the bodies that name what is left out to all that comes to run them.
fn spread(toc: &Toc, losses: &Losses, lost: &BTreeMap<Name, EntryId>) -> BTreeMap<EntryId, Why> {
    let bodies: Vec<(EntryId, BTreeSet<Name>)> = toc
        .iter()
        .filter(|(id, entry)| !losses.has(*id) && is_routine(entry.kind))
        .filter_map(|(id, entry)| Some((id, named(entry)?)))
        .collect();
    let mut runners: BTreeMap<EntryId, Vec<EntryId>> = BTreeMap::new();
    for (id, entry) in toc.iter().filter(|(id, _)| !losses.has(*id)) {
        for needed in entry.depends_on.iter().filter(|needed| runs(entry, toc.entry(**needed))) {
            runners.entry(*needed).or_default().push(id);
        }
    }
    let names: BTreeMap<EntryId, Name> =
        bodies.iter().filter_map(|(id, _)| Some((*id, name(toc.entry(*id))?))).collect();
    let mut broken: BTreeMap<EntryId, Why> = BTreeMap::new();
    let mut open: Vec<(EntryId, Name)> =
        lost.iter().map(|(name, id)| (*id, name.clone())).collect();
    let mut callers: BTreeMap<&Name, Vec<EntryId>> = BTreeMap::new();
    for (id, called) in &bodies {
        called.iter().for_each(|name| callers.entry(name).or_default().push(*id));
    }
    let nameless = || (String::new(), String::new());
    while let Some((id, name)) = open.pop() {
        let by_name = callers.get(&name).into_iter().flatten().map(|caller| (*caller, true));
        let by_need = runners.get(&id).into_iter().flatten().map(|runner| (*runner, false));
        for (next, names_it) in by_name.chain(by_need).collect::<Vec<_>>() {
            if next != id && !broken.contains_key(&next) {
                broken.insert(next, Why { leads_to: id, names: names_it });
                open.push((next, names.get(&next).cloned().unwrap_or_else(nameless)));
            }
        }
    }
    broken
}

/// Whether `entry`, when it is evaluated, comes to run `needed`, by which it is known to need it.
fn runs(entry: &Entry, needed: &Entry) -> bool {
    let carries = matches!(
        needed.kind,
        Kind::Function
            | Kind::Procedure
            | Kind::Aggregate
            | Kind::Operator
            | Kind::OperatorClass
            | Kind::Cast
            | Kind::Domain
            | Kind::View
            | Kind::MaterializedView
    );
    let evaluates = match entry.kind {
        // A string body that needs a routine for a default of its arguments doesn't call it.
        Kind::Function | Kind::Procedure => says(&entry.create, "BEGIN ATOMIC"),
        Kind::MaterializedViewData => needed.kind == Kind::MaterializedView,
        Kind::CheckConstraint => !says(&entry.create, "NOT VALID"),
        Kind::Table => !matches!(needed.kind, Kind::View | Kind::MaterializedView),
        Kind::Index | Kind::Constraint => true,
        Kind::Aggregate
        | Kind::Operator
        | Kind::OperatorClass
        | Kind::Cast
        | Kind::Domain
        | Kind::View
        | Kind::MaterializedView => needed.kind != Kind::MaterializedView,
        _ => false,
    };
    carries && evaluates
}

/// Whether the job itself evaluates what such an entry holds. What a table's own definition runs
/// is generated columns, the key it is partitioned by and the checks of its columns' domains:
/// defaults that call the users' routines are entries of their own, and so are checks.
fn is_run_by_the_job(entry: &Entry) -> bool {
    matches!(
        entry.kind,
        Kind::Index
            | Kind::Constraint
            | Kind::CheckConstraint
            | Kind::MaterializedViewData
            | Kind::Table
    )
}

/// What leads from `id` to what is left out, that last.
fn chain(broken: &BTreeMap<EntryId, Why>, id: EntryId) -> Vec<EntryId> {
    let mut links = vec![id];
    while let Some(why) = links.last().and_then(|last| broken.get(last)) {
        links.push(why.leads_to);
    }
    links
}

fn refusal(toc: &Toc, broken: &BTreeMap<EntryId, Why>, links: &[EntryId]) -> Finding {
    let mut told = String::new();
    let (mut caller, mut lost) = (links[0], links[0]);
    // The rows of a materialized view need its definition: it is the one that is named.
    let of_rows = toc.entry(links[0]).kind == Kind::MaterializedViewData;
    for pair in links[usize::from(of_rows)..].windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let names = broken.get(&from).is_some_and(|why| why.names);
        let (which, verb) =
            (if told.is_empty() { "" } else { ", which " }, if names { "calls" } else { "needs" });
        told.push_str(&format!("{which}{verb} {}", toc.entry(to).title()));
        (caller, lost) = (from, to);
    }
    let (caller, lost) = (toc.entry(caller).title(), toc.entry(lost).title());
    let entry = toc.entry(links[0]);
    let title = match entry.kind {
        Kind::MaterializedViewData => {
            Entry { kind: Kind::MaterializedView, ..entry.clone() }.title()
        }
        _ => entry.title(),
    };
    let mend = format!(
        "on the source, let {caller} call what the target has instead, an extension's function, \
         say; or drop {title} there, and make it on the target once an administrator has made \
         {lost}"
    );
    Finding::refusal(title, format!("{told}, which is left out: it would fail")).mend(mend)
}

fn note(toc: &Toc, id: EntryId, lost: EntryId) -> Finding {
    let lost = toc.entry(lost).title();
    Finding::note(
        toc.entry(id).title(),
        format!("fails on the target when called, as it calls {lost}"),
    )
    .mend(format!("let an administrator of the target make what is left out: {lost}"))
}
