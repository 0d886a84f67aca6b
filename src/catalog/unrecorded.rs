//! Needs that pg_depend doesn't record. An expression that casts is recorded to need the cast's
//! function or type, but not the cast; one that sorts needs the operator, but not the operator
//! class by which it is found (source: find_expr_references_walker in catalog/dependency.c). Most
//! such definitions are created later than casts and classes anyway, by their kind; these are not.

use std::collections::HashSet;

use crate::toc::{Entry, EntryId, Kind};

use super::builder::Builder;

/// Lets domains come after the casts, and domains and routines after the operator classes, that
/// they may use, unless those need them. The entries' dependencies are resolved before.
pub(super) fn add(out: &mut Builder) {
    let mut needed_by: Vec<Vec<EntryId>> = vec![Vec::new(); out.entries.len()];
    for (at, entry) in out.entries.iter().enumerate().filter(|(_, entry)| is_user(entry.kind)) {
        for first in &entry.depends_on {
            needed_by[first.0 as usize].push(EntryId(at as u32));
        }
    }
    for at in 0..out.entries.len() {
        let (id, kind) = (EntryId(at as u32), out.entries[at].kind);
        if !matches!(kind, Kind::Cast | Kind::OperatorClass) {
            continue;
        }
        for first in out.entries[at].depends_on.clone() {
            if !tells_use(kind, out.entries[first.0 as usize].kind) {
                continue;
            }
            for &user in &needed_by[first.0 as usize] {
                let before = out.entries[user.0 as usize].kind < kind;
                if before && !reaches(&out.entries, id, user) {
                    out.entries[user.0 as usize].depends_on.push(id);
                }
            }
        }
    }
}

/// Kinds with expressions in them that are created before operator classes.
fn is_user(kind: Kind) -> bool {
    matches!(kind, Kind::Domain | Kind::Function | Kind::Procedure)
}

/// Whether what needs a `shared` that a cast or class needs too may use that cast or class.
fn tells_use(of: Kind, shared: Kind) -> bool {
    match of {
        Kind::Cast => matches!(shared, Kind::Type | Kind::Domain | Kind::Function),
        _ => shared == Kind::Operator,
    }
}

/// Whether `from` needs `to`, if only by way of others.
fn reaches(entries: &[Entry], from: EntryId, to: EntryId) -> bool {
    let mut seen = HashSet::new();
    let mut open = vec![from];
    while let Some(id) = open.pop() {
        if id == to {
            return true;
        }
        if seen.insert(id) {
            open.extend(&entries[id.0 as usize].depends_on);
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toc::in_restoring_order;

    fn entry(kind: Kind, name: &str, needs: &[u32]) -> Entry {
        Entry {
            depends_on: needs.iter().copied().map(EntryId).collect(),
            ..Entry::new(kind, Some("s"), name)
        }
    }

    fn order(entries: Vec<Entry>) -> Vec<String> {
        let mut out = Builder::default();
        out.entries = entries;
        add(&mut out);
        let sorted = in_restoring_order(out.entries);
        assert!(sorted.loops.is_empty(), "{:?}", sorted.loops);
        sorted.toc.entries.into_iter().map(|entry| entry.name).collect()
    }

    #[test]
    fn a_domain_that_shares_a_casts_function_comes_after_the_cast() {
        let order = order(vec![
            entry(Kind::Domain, "domain", &[1]),
            entry(Kind::Function, "function", &[]),
            entry(Kind::Cast, "cast", &[1]),
        ]);
        assert_eq!(order, ["function", "cast", "domain"]);
    }

    #[test]
    fn a_domain_that_a_cast_is_about_comes_before_it() {
        let order = order(vec![
            entry(Kind::Type, "type", &[]),
            entry(Kind::Domain, "domain", &[0]),
            entry(Kind::Cast, "cast", &[0, 1]),
        ]);
        assert_eq!(order, ["type", "domain", "cast"]);
    }

    #[test]
    fn domains_that_two_casts_would_put_after_each_other_are_not_tied_into_a_circle() {
        let order = order(vec![
            entry(Kind::Type, "type", &[]),
            entry(Kind::Domain, "a", &[0]),
            entry(Kind::Domain, "b", &[0]),
            entry(Kind::Cast, "of a", &[0, 1]),
            entry(Kind::Cast, "of b", &[0, 2]),
        ]);
        assert_eq!(order.len(), 5);
    }

    #[test]
    fn a_function_whose_body_sorts_comes_after_the_class_but_the_classs_own_before() {
        let order = order(vec![
            entry(Kind::Function, "body", &[2]),
            entry(Kind::Function, "less", &[]),
            entry(Kind::Operator, "<", &[1]),
            entry(Kind::OperatorClass, "class", &[2, 4]),
            entry(Kind::Function, "compare", &[2]),
        ]);
        assert_eq!(order, ["less", "<", "compare", "class", "body"]);
    }
}
