//! Which roles a part of a database names.

use std::collections::{HashMap, HashSet};

use crate::toc::clauses::name_after;
use crate::toc::role_names::{introducing, named_in};
use crate::toc::{Entry, EntryId, Kind};

/// The roles among `entries` that the kept ones name, what those are members of, and who granted
/// that.
pub(super) fn named(entries: &[Entry], kept: &[bool]) -> Vec<EntryId> {
    let mut names: HashSet<String> = HashSet::new();
    for (entry, _) in entries.iter().zip(kept).filter(|(_, kept)| **kept) {
        names.extend(entry.owner.clone());
        names.extend(named_in(&entry.create, introducing(entry)));
    }
    let mut found = HashSet::new();
    let roles = ids(entries).filter(|(_, e)| e.kind == Kind::Role && names.contains(&e.name));
    let mut open: Vec<EntryId> = roles.map(|(id, _)| id).collect();
    let mut memberships: HashMap<String, Vec<EntryId>> = HashMap::new();
    for (id, entry) in ids(entries).filter(|(_, entry)| entry.kind == Kind::RoleMembership) {
        memberships.entry(member(entry).unwrap_or_default()).or_default().push(id);
    }
    while let Some(id) = open.pop() {
        if !found.insert(id) {
            continue;
        }
        let role = &entries[id.0 as usize].name;
        for &membership in memberships.get(role).into_iter().flatten() {
            found.insert(membership);
            let roles = entries[membership.0 as usize].depends_on.iter().copied();
            open.extend(roles.filter(|id| entries[id.0 as usize].kind == Kind::Role));
        }
    }
    let mut found: Vec<EntryId> = found.into_iter().collect();
    found.sort_unstable();
    found
}

fn ids(entries: &[Entry]) -> impl Iterator<Item = (EntryId, &Entry)> {
    entries.iter().enumerate().map(|(i, entry)| (EntryId(i as u32), entry))
}

/// Who is made a member: the name after TO.
fn member(membership: &Entry) -> Option<String> {
    name_after(&membership.create, "TO")
}
