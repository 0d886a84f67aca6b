//! Which relations an entry's SQL locks on the target, and how (documentation: "Explicit
//! Locking"), so that steps that would wait for each other, or deadlock, don't run together.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::pg::{LockMode, QualifiedName};
use crate::toc::{Entry, EntryId, Kind, Toc};

use super::step::Lock;

/// The relations of a table of contents, and which partitions hang on which table.
pub(super) struct Relations {
    names: HashMap<EntryId, QualifiedName>,
    partitions: HashMap<EntryId, Vec<EntryId>>,
}

impl Relations {
    pub(super) fn of(toc: &Toc) -> Relations {
        let name = |entry: &Entry| {
            QualifiedName::new(entry.schema.clone().unwrap_or_default(), &entry.name)
        };
        let relation =
            |kind: Kind| matches!(kind, Kind::Table | Kind::ForeignTable | Kind::MaterializedView);
        let names: HashMap<EntryId, QualifiedName> = toc
            .iter()
            .filter(|(_, entry)| relation(entry.kind))
            .map(|(id, entry)| (id, name(entry)))
            .collect();
        let mut partitions: HashMap<EntryId, Vec<EntryId>> = HashMap::new();
        for entry in toc.entries.iter().filter(|entry| entry.kind == Kind::TableAttach) {
            let ends = entry.depends_on.iter().filter(|id| names.contains_key(*id));
            let (child, parents): (Vec<&EntryId>, Vec<&EntryId>) =
                ends.partition(|id| names[*id] == name(entry));
            if let ([child], [parent]) = (child.as_slice(), parents.as_slice()) {
                partitions.entry(**parent).or_default().push(**child);
            }
        }
        Relations { names, partitions }
    }

    /// What creating `entry` locks: the tables it is about, and their partitions, in the mode of
    /// its kind.
    pub(super) fn locks(&self, entry: &Entry) -> Vec<Lock> {
        self.locks_in(entry, mode(entry.kind))
    }

    /// The same in a given mode.
    pub(super) fn locks_in(&self, entry: &Entry, mode: LockMode) -> Vec<Lock> {
        self.trees(entry.depends_on.clone(), mode)
    }

    /// A table and its partitions.
    pub(super) fn tree(&self, table: EntryId, mode: LockMode) -> Vec<Lock> {
        self.trees(vec![table], mode)
    }

    /// The tables that are partitions of such tables.
    pub(super) fn partitions_of(&self, such: impl Fn(EntryId) -> bool) -> HashSet<EntryId> {
        let parents = self.partitions.iter().filter(|(parent, _)| such(**parent));
        parents.flat_map(|(_, children)| children).copied().collect()
    }

    /// Whether the table has partitions.
    pub(super) fn has_partitions(&self, table: EntryId) -> bool {
        self.partitions.contains_key(&table)
    }

    /// The table that this one is a partition of.
    pub(super) fn parent(&self, table: EntryId) -> Option<EntryId> {
        self.partitions.iter().find(|(_, children)| children.contains(&table)).map(|(id, _)| *id)
    }

    fn trees(&self, mut pending: Vec<EntryId>, mode: LockMode) -> Vec<Lock> {
        pending.retain(|id| self.names.contains_key(id));
        let mut found = BTreeMap::new();
        while let Some(id) = pending.pop() {
            let relation = self.names[&id].clone();
            if found.insert(relation.clone(), Lock { relation, mode }).is_none() {
                pending.extend(self.partitions.get(&id).into_iter().flatten());
            }
        }
        found.into_values().collect()
    }
}

/// The lock an entry of this kind takes on its table. What only touches catalogs takes none.
fn mode(kind: Kind) -> LockMode {
    match kind {
        Kind::Index => LockMode::Share,
        Kind::Trigger | Kind::FkConstraint => LockMode::ShareRowExclusive,
        Kind::Statistics | Kind::Comment => LockMode::ShareUpdateExclusive,
        Kind::Acl | Kind::DefaultAcl => LockMode::AccessShare,
        _ => LockMode::AccessExclusive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_concerns_a_partitioned_table_locks_its_partitions_at_every_level() {
        let table = |name: &str| Entry::new(Kind::Table, Some("s"), name);
        let attach = |child: &str, ends: [u32; 2]| Entry {
            depends_on: ends.map(EntryId).to_vec(),
            ..Entry::new(Kind::TableAttach, Some("s"), child)
        };
        let trigger = Entry {
            depends_on: vec![EntryId(0)],
            ..Entry::new(Kind::Trigger, Some("s"), "root t")
        };
        let entries = vec![
            table("root"),
            table("middle"),
            table("leaf"),
            attach("middle", [0, 1]),
            attach("leaf", [1, 2]),
            trigger,
        ];
        let toc = Toc { entries };
        let locks = Relations::of(&toc).locks(&toc.entries[5]);
        let names: Vec<&str> = locks.iter().map(|lock| lock.relation.name.as_str()).collect();
        assert_eq!(names, ["leaf", "middle", "root"]);
        assert!(locks.iter().all(|lock| lock.mode == LockMode::ShareRowExclusive));
    }
}
