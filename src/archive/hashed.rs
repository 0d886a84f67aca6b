//! Partitions by a hash of users' types. An enum's hash is of its labels' OIDs, which are others on the
//! target, so that rows may belong into other partitions there. pg_dump sees to columns of an enum
//! (source: pg_dump.c, forcePartitionRootLoad), not to arrays of one, ranges or composites.
//!
//! Rows that go through a table are read back from it, so those of all its partitions do.

use std::collections::{HashMap, HashSet};

use crate::pg::QualifiedName;
use crate::toc::{Token, tokens};

use super::contents::Item;
use super::spelling::copied;

/// No tree of partitions is deeper, but for one of a damaged archive, which may go in circles.
const DEEPEST: usize = 100;

/// Which partitions' rows go through another table.
#[derive(Debug, Default)]
pub(super) struct Hashed {
    parents: HashMap<QualifiedName, QualifiedName>,
    /// The tables that are partitioned so, and those that pg_dump has rows go through.
    roots: HashSet<QualifiedName>,
}

impl Hashed {
    pub(super) fn of(items: &[Item]) -> Hashed {
        let of = |desc: &'static str| items.iter().filter(move |item| item.desc == desc);
        let name = |item: &Item| Some(QualifiedName::new(item.schema.as_deref()?, &item.tag));
        let by_users_types =
            of("TABLE").filter(|item| hashes_users_types(&item.create)).filter_map(name);
        let through = of("TABLE DATA").filter_map(|item| {
            let (relation, _) = copied(item.copy.as_deref()?)?;
            (name(item).as_ref() != Some(&relation)).then_some(relation)
        });
        let roots: HashSet<_> = by_users_types.chain(through).collect();
        let parents = match roots.is_empty() {
            true => HashMap::new(),
            false => of("TABLE ATTACH")
                .filter_map(|item| Some((name(item)?, parent(&item.create)?)))
                .collect(),
        };
        Hashed { parents, roots }
    }

    /// The topmost such table above a partition.
    pub(super) fn root(&self, partition: &Item) -> Option<&QualifiedName> {
        let partition = QualifiedName::new(partition.schema.as_deref()?, &partition.tag);
        let above = std::iter::successors(self.parents.get(&partition), |at| self.parents.get(at));
        above.take(DEEPEST).filter(|table| self.roots.contains(*table)).last()
    }
}

/// Types that aren't the system's are named with their schema, as little else is in a table's
/// definition: at worst rows take the longer way.
fn hashes_users_types(create: &str) -> bool {
    let Some((columns, _)) = create.rsplit_once(")\nPARTITION BY HASH (") else { return false };
    let columns = columns.split_once(" (\n").map_or("", |(_, columns)| columns);
    tokens(columns).any(|(_, token)| token == Token::Mark('.'))
}

/// The table of `ALTER TABLE ONLY s.t ATTACH PARTITION …`.
fn parent(attach: &str) -> Option<QualifiedName> {
    let mut rest =
        tokens(attach).map(|(_, token)| token).skip_while(|token| !token.is_word("ONLY"));
    let schema = rest.nth(1)?.name()?;
    rest.next().filter(|token| *token == Token::Mark('.'))?;
    Some(QualifiedName::new(schema, rest.next()?.name()?))
}

#[cfg(test)]
mod tests {
    use super::super::contents::{ItemId, ItemSection};
    use super::*;

    fn item(desc: &str, tag: &str, create: &str) -> Item {
        Item {
            create: create.into(),
            schema: Some("s".into()),
            owner: "app".into(),
            ..Item::new(ItemId(1), desc, tag, ItemSection::PreData)
        }
    }

    #[test]
    fn only_rows_below_a_hash_of_users_types_go_through_the_table_that_has_it() {
        let hashed = |name: &str, column: &str| {
            let columns = format!("    k {column},\n    n numeric DEFAULT 1");
            let create = format!("CREATE TABLE s.{name} (\n{columns}\n)\nPARTITION BY HASH (k);\n");
            item("TABLE", name, &create)
        };
        let attach = |child: &str, parent: &str| {
            let create =
                format!("ALTER TABLE ONLY s.{parent} ATTACH PARTITION s.{child} DEFAULT;\n");
            item("TABLE ATTACH", child, &create)
        };
        let found = Hashed::of(&[
            hashed("moods", "s.mood[]"),
            hashed("numbers", "integer"),
            attach("moods_0", "moods"),
            attach("deep", "moods_0"),
            attach("numbers_0", "numbers"),
        ]);
        let root = |name| found.root(&item("TABLE DATA", name, "")).map(|root| root.name.as_str());
        assert_eq!([root("moods_0"), root("deep")], [Some("moods"); 2]);
        assert_eq!([root("numbers_0"), root("moods"), root("none")], [None; 3]);
        let circle = Hashed::of(&[hashed("a", "s.t"), attach("a", "b"), attach("b", "a")]);
        assert!(circle.root(&item("TABLE DATA", "a", "")).is_some());
    }

    #[test]
    fn rows_beside_those_that_pg_dump_has_go_through_a_table_do_so_too() {
        let attach = |child: &str| {
            let create = format!("ALTER TABLE ONLY s.days ATTACH PARTITION s.{child} DEFAULT;\n");
            item("TABLE ATTACH", child, &create)
        };
        let rows = |partition: &str, of: &str| Item {
            copy: Some(format!("COPY s.{of} (day) FROM stdin;\n")),
            ..item("TABLE DATA", partition, "")
        };
        let one = rows("days_1", "days");
        let found = Hashed::of(&[
            attach("days_1"),
            attach("days_2"),
            one.clone(),
            rows("days_2", "days_2"),
        ]);
        let days = QualifiedName::new("s", "days");
        assert_eq!([found.root(&one), found.root(&rows("days_2", "days_2"))], [Some(&days); 2]);
        assert_eq!(found.root(&rows("weeks", "weeks")), None);
    }
}
