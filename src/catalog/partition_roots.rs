//! Partitioned tables whose rows may belong into other partitions on the target: they are copied
//! through the partitioned table, which routes them anew.
//!
//! The hash of an enum's value is made of its OID, which differs between clusters (source:
//! forcePartitionRootLoad in pg_dump.c). Here the same holds for what may have enums inside
//! (arrays, records, ranges), for operator classes of users, of whose hash nothing is known, and
//! for text under a nondeterministic collation, whose hash is made of a sort key that differs
//! between versions of ICU.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::wire::Session;

use super::builder::Builder;
use super::relations::{RelationKind, Relations};
use super::scope::Scope;

/// The topmost such tables, each with all tables below it, by oid.
#[derive(Debug, Default)]
pub(super) struct PartitionRoots {
    below: BTreeMap<u32, Vec<u32>>,
}

impl PartitionRoots {
    pub(super) async fn read(
        session: &Session,
        scope: &Scope,
        relations: &Relations,
        out: &mut Builder,
    ) -> Result<Self> {
        let rows = session.query("reading hash partitions", &sql(scope), &[]).await?;
        let pairs = rows.iter().map(|row| (row.get(0), row.get(1)));
        let roots = PartitionRoots::of(pairs);
        for (root, below) in &roots.below {
            for part in below.iter().filter_map(|&oid| relations.any(oid)) {
                if part.kind != RelationKind::Foreign {
                    continue;
                }
                let root = relations.any(*root).map(|root| root.name.to_string());
                out.unsupported(
                    format!("partition {}", part.name),
                    format!(
                        "it is a foreign table, and rows of {} find their partitions anew on the \
                         target",
                        root.unwrap_or_default()
                    ),
                );
            }
        }
        Ok(roots)
    }

    /// The roots that aren't below another, of pairs of a root and a table below it.
    fn of(pairs: impl Iterator<Item = (u32, u32)>) -> Self {
        let mut below: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (root, part) in pairs {
            below.entry(root).or_default().push(part);
        }
        let covered: BTreeSet<u32> = below.values().flatten().copied().collect();
        below.retain(|root, _| !covered.contains(root));
        PartitionRoots { below }
    }

    /// Each root with all tables below it.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &[u32])> {
        self.below.iter().map(|(&root, below)| (root, below.as_slice()))
    }

    /// The tables whose rows travel with those of a root.
    pub(super) fn covered(&self) -> BTreeSet<u32> {
        self.below.values().flatten().copied().collect()
    }
}

/// Pairs of a partitioned table and a table below it, at any level.
fn sql(scope: &Scope) -> String {
    format!(
        "WITH RECURSIVE tree(root, oid) AS ( \
             SELECT c.oid, c.oid FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = c.oid AND p.partstrat = 'h' \
             WHERE {} AND (EXISTS (SELECT FROM pg_catalog.pg_opclass k \
                 WHERE k.oid = ANY (p.partclass::pg_catalog.oid[]) \
                 AND (k.opcnamespace <> 'pg_catalog'::pg_catalog.regnamespace \
                      OR k.opcintype IN (SELECT t.oid FROM pg_catalog.pg_type t \
                          WHERE t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace \
                          AND t.typname IN ('anyenum', 'anyarray', 'anyrange', 'anymultirange', \
                                            'record')))) \
                 OR EXISTS (SELECT FROM pg_catalog.pg_collation l \
                     WHERE l.oid = ANY (p.partcollation::pg_catalog.oid[]) \
                     AND NOT l.collisdeterministic)) \
             UNION \
             SELECT t.root, i.inhrelid FROM tree t \
             JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid) \
         SELECT root, oid FROM tree WHERE oid <> root ORDER BY root, oid",
        scope.schemas("n.nspname")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topmost_root_covers_those_below_it() {
        let pairs = [(1, 2), (1, 3), (2, 3), (9, 10)];
        let roots = PartitionRoots::of(pairs.into_iter());
        let found: Vec<(u32, &[u32])> = roots.iter().collect();
        assert_eq!(found, [(1, &[2, 3][..]), (9, &[10][..])]);
        assert_eq!(roots.covered(), [2, 3, 10].into());
    }
}
