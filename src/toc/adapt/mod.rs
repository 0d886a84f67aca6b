//! A table of contents made fit for its target: what the target user may not do is rewritten
//! where an equal result can be had, or reported. `check` predicts with this what `migrate` does.

mod broken_calls;
mod bystanders;
mod database;
mod defaults;
mod denied;
mod entries;
mod grantors;
mod identities;
mod losses;
mod memberships;
mod named_calls;
mod operators;
mod owners;
mod public;
mod publications;
mod retired;
mod roles;
mod routines;
mod standing;
mod subscriptions;
mod words;

use std::collections::{BTreeSet, HashMap};

pub(crate) use grantors::as_told;
pub use owners::rejoin;

use losses::Losses;

use super::entry::{EntryId, Toc};
use super::finding::Finding;
use super::target::TargetFacts;

/// A table of contents as the target may hold it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Adapted {
    /// The entries.
    pub toc: Toc,
    /// What was changed or left out, and what can't be done at all.
    pub findings: Vec<Finding>,
    /// Run once the roles are there: memberships of the target user's own.
    pub join: Vec<String>,
    /// Takes those back.
    pub leave: Vec<String>,
    /// Run in place of creating the entry, a schema that the target has already.
    pub taken_over: HashMap<EntryId, String>,
    /// Run once the entry, a schema, is there: its CREATE right for owners of objects in it, and what
    /// a new database's `public` has.
    pub lend: HashMap<EntryId, Vec<String>>,
    /// Takes those back.
    pub take_back: Vec<String>,
    /// Run first: the target user's default privileges put aside, lest its objects get them.
    pub set_aside: Vec<String>,
    /// Makes those anew that the source has nothing in the place of.
    pub restore: Vec<String>,
}

/// Makes `toc` fit for the target. `bootstrap` is the source's bootstrap superuser: it stands for
/// the target user unless the target user can become it.
pub fn adapt(toc: &Toc, bootstrap: &str, target: &TargetFacts) -> Adapted {
    let mut findings = Vec::new();
    let toc: &Toc = &publications::spelled_out(toc, target, &mut findings);
    let grantors: Vec<String> = toc.entries.iter().flat_map(owners::grantors).collect();
    let owners = toc.entries.iter().filter_map(|entry| entry.owner.as_deref());
    let owners: BTreeSet<&str> = owners.chain(grantors.iter().map(String::as_str)).collect();
    let role_map = roles::mapped(toc, &owners, bootstrap, target, &mut findings);
    findings.extend(memberships::circles(&owners, toc, target));
    findings.extend(memberships::of_the_targets_own(toc, target));
    let mut losses = Losses::default();
    let adapted_toc = keep(toc, |id, entry| {
        let mapped = owners::remap(entry, &role_map);
        let mapped = database::fit(mapped, target, &mut findings);
        if losses.take(id, &mapped, toc, target, &mut findings) {
            return None;
        }
        let was_the_superusers = entry.owner.as_deref() == Some(bootstrap);
        let mapped = public::fit(mapped, was_the_superusers, target, &mut findings);
        let mapped = owners::fit(mapped, toc, target, &mut findings);
        let mapped = subscriptions::fit(mapped, target);
        let mapped = identities::fit(mapped, target);
        let mapped = words::fit(mapped, target);
        let mut context = entries::Context { toc, losses: &losses, role_map: &role_map, target };
        context.fit(mapped, &mut findings)
    });
    findings.extend(broken_calls::findings(toc, &losses));
    let adapted_toc = grantors::as_owners(adapted_toc, target);
    let (mut join, leave) = owners::memberships(&adapted_toc, target);
    let (mut lend, mut take_back) = owners::schema_rights(&adapted_toc, target);
    if let Some((public, mut statements)) = public::as_if_new(&adapted_toc, target) {
        statements.append(lend.entry(public).or_default());
        lend.insert(public, statements);
    }
    for (lent, taken_back) in owners::database_rights(&adapted_toc, target) {
        join.push(lent);
        take_back.push(taken_back);
    }
    let (set_aside, restore) = defaults::put_aside(&adapted_toc, target, &mut findings);
    findings.extend(standing::extensions(toc, target));
    let taken_over = standing::schemas(&adapted_toc, target);
    findings.sort();
    findings.dedup();
    Adapted {
        toc: adapted_toc,
        findings,
        join,
        leave,
        taken_over,
        lend,
        take_back,
        set_aside,
        restore,
    }
}

/// The entries for which `fit` yields one, renumbered; what depended on one that is left out
/// depends on what that depended on.
pub(super) fn keep(
    toc: &Toc,
    mut fit: impl FnMut(EntryId, &super::Entry) -> Option<super::Entry>,
) -> Toc {
    let mut kept = Toc { entries: Vec::with_capacity(toc.entries.len()) };
    let mut stands_for: Vec<Vec<EntryId>> = Vec::with_capacity(toc.entries.len());
    for (id, entry) in toc.iter() {
        let mut needs: Vec<EntryId> = entry
            .depends_on
            .iter()
            .flat_map(|id| stands_for.get(id.0 as usize).cloned().unwrap_or_default())
            .collect();
        needs.sort_unstable();
        needs.dedup();
        match fit(id, entry) {
            Some(mut entry) => {
                entry.depends_on = needs;
                stands_for.push(vec![EntryId(kept.entries.len() as u32)]);
                kept.entries.push(entry);
            }
            None => stands_for.push(needs),
        }
    }
    kept
}

#[cfg(test)]
mod tests;
