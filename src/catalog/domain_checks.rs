//! What the checks of domains make wait that are added to the domain after its creation. The server
//! refuses to add one that is to hold for all rows as soon as a table's column contains the domain
//! within an array, a row or a range, be the table empty or not (source: get_rels_with_domain in
//! commands/typecmds.c, find_composite_type_dependencies in commands/tablecmds.c). 15.20 refuses it as
//! well once a stored expression or query uses such an array, row or range.

use std::collections::{HashMap, HashSet};

use crate::pg::class;
use crate::toc::{EntryId, Kind};

use super::builder::{Builder, ObjectId};
use super::dependencies::{Dependencies, Edge, Nature};
use super::stand_ins;
use super::unrecorded::closure_through;

/// A check that is added to its domain, and is to hold for all rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Added {
    pub(super) check: ObjectId,
    pub(super) domain: ObjectId,
}

/// Lets the tables whose columns contain such a domain within something else come after its checks.
/// All entries are there.
pub(super) fn precede_containers(added: &[Added], dependencies: &Dependencies, out: &mut Builder) {
    if added.is_empty() {
        return;
    }
    let users = dependencies.users_of_types();
    for Added { check, domain } in added {
        for container in containers(*domain, &users, out) {
            let is_stored =
                matches!(kind(container, out), Some(Kind::Table | Kind::MaterializedView));
            if is_stored
                && container.class == class::PG_CLASS
                && let Some(id) = out.creator(container)
            {
                out.needs(id, *check);
            }
        }
    }
}

/// Lets whatever else uses a type that contains such a domain come after its checks, unless those need
/// it: not every server asks for it, so no circle may come of it but through what has a stand-in. The
/// entries' dependencies are resolved before.
pub(super) fn precede_readers(added: &[Added], dependencies: &Dependencies, out: &mut Builder) {
    if added.is_empty() {
        return;
    }
    let users = dependencies.users_of_types();
    let mut checks_by_type: HashMap<ObjectId, Vec<ObjectId>> = HashMap::new();
    for Added { check, domain } in added {
        let types = containers(*domain, &users, out);
        for found in types.into_iter().filter(|object| object.class == class::PG_TYPE) {
            checks_by_type.entry(found).or_default().push(*check);
        }
    }
    let mut readers: HashMap<EntryId, HashSet<EntryId>> = HashMap::new();
    for (reader, of_type) in dependencies.needing(&checks_by_type) {
        let Some(reader) = out.creator(reader) else { continue };
        for check in checks_by_type[&of_type].iter().filter_map(|check| out.creator(*check)) {
            readers.entry(check).or_default().insert(reader);
        }
    }
    let mut readers: Vec<_> = readers.into_iter().collect();
    readers.sort_unstable_by_key(|(check, _)| *check);
    for (check, readers) in readers {
        let whole = |id: &EntryId| {
            !out.stand_ins.contains_key(&stand_ins::key(&out.entries[id.0 as usize]))
        };
        let needed = closure_through(&out.entries, check, whole);
        for reader in readers.difference(&needed) {
            out.entries[reader.0 as usize].depends_on.push(check);
        }
    }
}

fn kind(object: ObjectId, out: &Builder) -> Option<Kind> {
    out.creator(object).map(|id| out.entries[id.0 as usize].kind)
}

/// The types and relations that contain `domain` otherwise than as a column's own type.
fn containers(
    domain: ObjectId,
    users: &HashMap<ObjectId, Vec<Edge>>,
    out: &Builder,
) -> HashSet<ObjectId> {
    let mut found = HashSet::new();
    let mut seen = HashSet::new();
    // What contains the domain, and whether within something else.
    let mut open = vec![(domain, false)];
    while let Some((object, within)) = open.pop() {
        if !seen.insert((object, within)) {
            continue;
        }
        if within {
            found.insert(object);
        }
        for edge in users.get(&object).into_iter().flatten() {
            // Of a domain, its array has the same entry.
            let is_domain =
                kind(edge.from, out) == Some(Kind::Domain) && edge.nature == Nature::Normal;
            let is_column = edge.from.class == class::PG_CLASS;
            open.push((edge.from, within || !(is_domain || is_column)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toc::Entry;

    #[test]
    fn only_columns_that_contain_the_domain_within_something_else_count() {
        let (object, mut out) = (ObjectId::new, Builder::default());
        let [domain, array, derived] = [1, 2, 3].map(|oid| object(class::PG_TYPE, oid));
        let [plain, row] = [object(class::PG_CLASS, 4), object(class::PG_TYPE, 4)];
        let [of_array, of_row, view] = [5, 6, 7].map(|oid| object(class::PG_CLASS, oid));
        for domain in [domain, derived] {
            out.add(domain, Entry::new(Kind::Domain, Some("s"), "d"));
        }
        for table in [plain, of_array, of_row] {
            out.add(table, Entry::new(Kind::Table, Some("s"), "t"));
        }
        out.add(view, Entry::new(Kind::View, Some("s"), "v"));
        let edge = |from, to, nature| Edge { from, to, to_column: 0, nature };
        let dependencies = Dependencies::new([
            edge(array, domain, Nature::Internal),
            edge(derived, domain, Nature::Normal),
            edge(plain, derived, Nature::Normal),
            edge(row, plain, Nature::Internal),
            edge(of_array, array, Nature::Normal),
            edge(of_row, row, Nature::Normal),
            edge(view, array, Nature::Normal),
        ]);
        let found = containers(domain, &dependencies.users_of_types(), &out);
        assert_eq!(found, [array, row, of_array, of_row, view].into());
    }
}
