//! What operators name one another as commutator and negator, where only one names the other: in
//! which order servers take that, and which of them do.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::pg::class;
use crate::toc::{Entry, OneSided, Retired};

use super::builder::{Builder, ObjectId};
use super::operators::Operator;

/// Orders the entries of `operators`, and notes which servers refuse them. `links` holds each one's
/// commutator and negator, `partners` whom these name as theirs.
pub(super) fn settle(
    mut operators: BTreeMap<u32, Operator>,
    links: &HashMap<u32, [u32; 2]>,
    partners: &HashMap<u32, [Option<u32>; 2]>,
    out: &mut Builder,
) {
    let order = Order::of(links);
    for (first, later) in order.pairs {
        if let Some(id) = out.creator(ObjectId::new(class::PG_OPERATOR, later)) {
            out.needs(id, ObjectId::new(class::PG_OPERATOR, first));
        }
    }
    for refused in order.refused.into_iter().chain(of_others(links, partners)) {
        if let Some(entry) = entry(out, refused) {
            entry.retired = Some(Retired {
                since: 17,
                why: "since 17 its commutator or negator can't be one that belongs to another \
                      operator already"
                    .to_owned(),
                mend: "create it anew without that commutator or negator".to_owned(),
            });
        }
    }
    for (namer, named, side) in order.backs {
        if order.taken.contains(&namer) {
            continue;
        }
        let name = operators[&namer].in_an_option();
        let Some(operator) = operators.get_mut(&named) else { continue };
        match side {
            0 => operator.commutator = Some(name),
            _ => operator.negator = Some(name),
        }
        if let Some(entry) = entry(out, named) {
            entry.one_sided = Some(OneSided::Back(operator.entry().create));
        }
    }
    for namer in order.taken {
        if let Some(entry) = entry(out, namer) {
            entry.one_sided = Some(OneSided::Taken);
        }
    }
}

fn entry(out: &mut Builder, oid: u32) -> Option<&mut Entry> {
    let id = out.creator(ObjectId::new(class::PG_OPERATOR, oid))?;
    out.entries.get_mut(id.0 as usize)
}

/// Those that name an operator which the job doesn't make and which names another: it is the
/// system's, an extension's, or was only ever named. `partners` holds whom an operator's commutator
/// and negator name.
fn of_others(
    links: &HashMap<u32, [u32; 2]>,
    partners: &HashMap<u32, [Option<u32>; 2]>,
) -> Vec<u32> {
    let is_refused = |namer: &u32| {
        let named = links[namer].into_iter().zip(partners[namer]);
        let mut others = named.filter(|(named, _)| !links.contains_key(named));
        others.any(|(_, partner)| partner.is_some_and(|partner| partner != 0 && partner != *namer))
    };
    links.keys().copied().filter(is_refused).collect()
}

/// In which order operators are created that name another which doesn't name them.
#[derive(Debug, Default)]
struct Order {
    /// The one that comes first, and the one that comes later.
    pairs: Vec<(u32, u32)>,
    /// Those that no order gets past a server of 17 or later.
    refused: Vec<u32>,
    /// Those that name one which names another.
    taken: Vec<u32>,
    /// The first that names one which names none, that one, and which link it is.
    backs: Vec<(u32, u32, usize)>,
}

impl Order {
    /// `links` holds each operator's commutator and negator. The one that is named comes after its
    /// namer: before it, the naming would be made mutual, or since 17 be refused where it has a
    /// partner of its own. That one comes last, as what was only named so far belongs to its namer
    /// (source: OperatorUpd in catalog/pg_operator.c).
    fn of(links: &HashMap<u32, [u32; 2]>) -> Order {
        let mut namers: Vec<&u32> = links.keys().collect();
        namers.sort_unstable();
        let mut order = Order::default();
        let mut taken = HashSet::new();
        for &namer in namers {
            for side in 0..2 {
                let named = links[&namer][side];
                let Some(partner) = links.get(&named).map(|back| back[side]) else { continue };
                if partner == namer {
                    continue;
                }
                let is_first = taken.insert((named, side));
                let is_placed = (is_first || partner == 0) && order.put(namer, named);
                if !is_first || !is_placed {
                    order.refused.push(namer);
                }
                match partner {
                    0 if is_first => order.backs.push((namer, named, side)),
                    _ => order.taken.push(namer),
                }
                let is_mutual = links.get(&partner).is_some_and(|back| back[side] == named);
                if is_mutual && partner != named && !order.put(named, partner) {
                    order.refused.push(partner);
                }
            }
        }
        order
    }

    /// Lets `later` come after `first`, unless it has to come before it.
    fn put(&mut self, first: u32, later: u32) -> bool {
        let fits = !follows(&self.pairs, first, later);
        if fits && !self.pairs.contains(&(first, later)) {
            self.pairs.push((first, later));
        }
        fits
    }
}

/// Whether `later` already comes after `first`, by way of any of the `pairs` (first, later).
fn follows(pairs: &[(u32, u32)], later: u32, first: u32) -> bool {
    let mut seen = HashSet::new();
    let mut open = vec![first];
    while let Some(at) = open.pop() {
        if at == later {
            return true;
        }
        if seen.insert(at) {
            open.extend(pairs.iter().filter(|(from, _)| *from == at).map(|(_, to)| *to));
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_that_does_not_name_its_namer_comes_after_it() {
        let order = |links: &[(u32, [u32; 2])]| {
            let order = Order::of(&links.iter().copied().collect());
            (order.pairs, order.refused)
        };
        let nothing = (vec![], vec![]);
        assert_eq!(order(&[(1, [1, 2]), (2, [2, 1])]), nothing);
        let shell = [(1, [9, 0])];
        assert_eq!(order(&shell), nothing);
        assert_eq!(order(&[(1, [0, 0]), (2, [0, 1])]), (vec![(2, 1)], vec![]));
        let circle = [(1, [2, 0]), (2, [3, 0]), (3, [1, 0])];
        assert_eq!(order(&circle), (vec![(1, 2), (2, 3)], vec![3]));
    }

    #[test]
    fn the_partner_of_an_operator_that_others_name_comes_last_and_one_of_them_is_kept() {
        let links = [(1, [2, 0]), (2, [1, 0]), (3, [1, 0]), (4, [1, 0])];
        let order = Order::of(&links.into());
        assert_eq!(order.pairs, [(3, 1), (1, 2)]);
        assert_eq!(order.refused, [4]);
    }
}
