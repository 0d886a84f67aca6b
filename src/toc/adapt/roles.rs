//! Which roles of the source stand for others on the target, and which are there already.

use std::collections::{BTreeMap, BTreeSet};

use crate::pg::quote_ident;
use crate::toc::finding::Finding;
use crate::toc::target::TargetFacts;
use crate::toc::{Kind, Toc};

/// The roles that the target user stands in for, each reported.
pub(super) fn mapped(
    toc: &Toc,
    owners: &BTreeSet<&str>,
    bootstrap: &str,
    target: &TargetFacts,
    findings: &mut Vec<Finding>,
) -> BTreeMap<String, String> {
    let brought: BTreeSet<&str> = toc
        .entries
        .iter()
        .filter(|entry| entry.kind == Kind::Role)
        .map(|entry| entry.name.as_str())
        .collect();
    if !target.superuser && !target.create_role {
        for missing in brought.iter().filter(|name| !target.roles.contains_key(**name)) {
            let what = format!("isn't on the target, and {} may not create roles", target.user);
            findings.push(Finding::refusal(format!("role {missing}"), what).mend(format!(
                "as an administrator of the target: CREATE ROLE {}; or ALTER ROLE {} CREATEROLE;",
                quote_ident(missing),
                quote_ident(&target.user)
            )));
        }
    }
    let mut map = BTreeMap::new();
    if bootstrap != target.user && !can_be(bootstrap, false, target) {
        map.insert(bootstrap.to_owned(), target.user.clone());
        if owners.contains(bootstrap) {
            findings.push(stands_in(toc, bootstrap, "is the source's own superuser", target));
        }
    }
    for owner in owners {
        if *owner != bootstrap && !can_be(owner, brought.contains(owner), target) {
            map.insert((*owner).to_owned(), target.user.clone());
            let why = format!("is a role that {} can't become", target.user);
            let finding = stands_in(toc, owner, &why, target);
            let (join, _) = target.joining(owner);
            findings.push(finding.mend(format!(
                "to keep the owner, as an administrator of the target: {}",
                join.trim_end()
            )));
        }
    }
    map
}

fn can_be(role: &str, brought: bool, target: &TargetFacts) -> bool {
    let there = target.roles.contains_key(role);
    if target.superuser {
        return there || brought;
    }
    target.acts_as(role) || ((there || brought) && target.can_join(role))
}

fn stands_in(toc: &Toc, role: &str, why: &str, target: &TargetFacts) -> Finding {
    let owned = toc.entries.iter().filter(|entry| entry.owner.as_deref() == Some(role));
    let count = owned.count();
    let what = match count {
        0 => format!("{why}: what it granted is granted by the objects' owners"),
        _ => format!("{why}: its {count} objects are given to {}", target.user),
    };
    Finding::change(format!("owner {role}"), what)
}

/// Takes out the roles that the target has: they stay as they are, which is told.
pub(super) fn drop_existing(toc: &mut Toc, target: &TargetFacts, findings: &mut Vec<Finding>) {
    *toc = super::keep(toc, |entry| {
        let there = entry.kind == Kind::Role && target.roles.contains_key(&entry.name);
        if there && entry.name != target.user {
            let what = "is on the target already: its attributes and settings stay as they are \
                        there, whatever the source's are";
            findings.push(
                Finding::note(entry.title(), what)
                    .mend(format!("compare with the source's: {}", entry.create.trim_end())),
            );
        }
        (!there).then(|| entry.clone())
    });
}
