//! Needs that pg_depend doesn't record. An expression that casts is recorded to need the cast's
//! function or type, but not the cast; one that sorts needs the operator, but not the operator
//! class by which it is found (source: find_expr_references_walker in catalog/dependency.c). Most
//! such definitions are of kinds that come later than casts and classes, but not where these have to
//! wait: for a view that a function of theirs reads, say.

use std::collections::HashSet;

use crate::toc::{Entry, EntryId, Kind};

use super::builder::Builder;

/// Lets what may use casts and operator classes come after them, unless those need it. The entries'
/// dependencies are resolved before. Kinds that come before casts and classes are seen to first, as
/// they surely would be created too early; the others are only where a cast or class waits for some
/// of their kind.
pub(super) fn add(out: &mut Builder) {
    let mut needed_by: Vec<Vec<EntryId>> = vec![Vec::new(); out.entries.len()];
    for (at, entry) in out.entries.iter().enumerate().filter(|(_, entry)| is_user(entry.kind)) {
        for first in &entry.depends_on {
            needed_by[first.0 as usize].push(EntryId(at as u32));
        }
    }
    for is_before in [true, false] {
        for at in 0..out.entries.len() {
            let (id, kind) = (EntryId(at as u32), out.entries[at].kind);
            if !matches!(kind, Kind::Cast | Kind::OperatorClass) {
                continue;
            }
            let needed = closure(&out.entries, id);
            for first in out.entries[at].depends_on.clone() {
                if !tells_use(kind, out.entries[first.0 as usize].kind) {
                    continue;
                }
                for &user in &needed_by[first.0 as usize] {
                    let entry = &mut out.entries[user.0 as usize];
                    if (entry.kind < kind) == is_before && !needed.contains(&user) {
                        entry.depends_on.push(id);
                    }
                }
            }
        }
    }
}

/// Kinds with expressions in them.
fn is_user(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Domain
            | Kind::Function
            | Kind::Procedure
            | Kind::Table
            | Kind::ForeignTable
            | Kind::View
            | Kind::MaterializedView
            | Kind::Default
            | Kind::Constraint
            | Kind::CheckConstraint
            | Kind::Index
            | Kind::Statistics
            | Kind::Rule
            | Kind::Trigger
            | Kind::Policy
    )
}

/// Whether what needs a `shared` that a cast or class needs too may use that cast or class.
fn tells_use(of: Kind, shared: Kind) -> bool {
    match of {
        Kind::Cast => matches!(shared, Kind::Type | Kind::Domain | Kind::Function),
        _ => shared == Kind::Operator,
    }
}

/// What `from` needs, if only by way of others, and itself.
pub(super) fn closure(entries: &[Entry], from: EntryId) -> HashSet<EntryId> {
    closure_through(entries, from, |_| true)
}

/// The same, but by way of those only for which `goes_on` holds.
pub(super) fn closure_through(
    entries: &[Entry],
    from: EntryId,
    goes_on: impl Fn(&EntryId) -> bool,
) -> HashSet<EntryId> {
    let mut seen = HashSet::new();
    let mut open = vec![from];
    while let Some(id) = open.pop() {
        if seen.insert(id) && goes_on(&id) {
            open.extend(&entries[id.0 as usize].depends_on);
        }
    }
    seen
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

    #[test]
    fn a_view_that_sorts_comes_after_the_class_though_that_waits_for_another_view() {
        let order = order(vec![
            entry(Kind::View, "a", &[2]),
            entry(Kind::View, "z", &[]),
            entry(Kind::Operator, "<", &[]),
            entry(Kind::Function, "compare", &[1]),
            entry(Kind::OperatorClass, "class", &[2, 3]),
        ]);
        assert_eq!(order, ["<", "z", "compare", "class", "a"]);
    }
}
