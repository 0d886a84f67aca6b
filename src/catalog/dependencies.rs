//! pg_depend: which object needs which (documentation: "pg_depend"), and what that means between
//! entries.

use std::collections::{HashMap, HashSet};

use tokio_postgres::Row;

use crate::error::Result;
use crate::pg::{Oid, class, quote_ident};
use crate::toc::{EntryId, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};

/// A row of pg_depend: `from` needs `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) from: ObjectId,
    pub(super) to: ObjectId,
    /// The column of `to` that is needed, or 0 for all of it.
    pub(super) to_column: i32,
    pub(super) nature: Nature,
}

/// What becomes of the one when the other is dropped: `deptype`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    /// Dropping the other is refused.
    Normal,
    /// It goes with the other.
    Auto,
    /// It is part of the other's implementation.
    Internal,
    /// It belongs to a partition's parent object.
    Partition,
    /// An extension brings it.
    Extension,
    /// `DEPENDS ON EXTENSION`.
    AutoExtension,
}

impl Nature {
    fn from_code(code: &str) -> Self {
        match code {
            "a" => Nature::Auto,
            "i" | "I" => Nature::Internal,
            "P" | "S" => Nature::Partition,
            "e" => Nature::Extension,
            "x" => Nature::AutoExtension,
            _ => Nature::Normal,
        }
    }
}

/// All of a database's dependencies, by the object that has them.
#[derive(Debug, Default)]
pub(super) struct Dependencies {
    edges: Vec<Edge>,
    by_object: HashMap<ObjectId, std::ops::Range<usize>>,
    extensions: HashMap<Oid, String>,
}

impl Dependencies {
    /// Reads those of the users' objects, and which objects extensions bring.
    pub(super) async fn read(session: &Session) -> Result<Self> {
        let sql = format!(
            "SELECT classid, objid, refclassid, refobjid, refobjsubid, deptype::text \
             FROM pg_catalog.pg_depend \
             WHERE deptype <> 'p' AND (objid >= {} OR deptype = 'e')",
            Oid::FIRST_NORMAL
        );
        let mut edges = Vec::new();
        let take = |row: Row| {
            edges.push(Edge {
                from: ObjectId::new(Oid(row.get(0)), row.get(1)),
                to: ObjectId::new(Oid(row.get(2)), row.get(3)),
                to_column: row.get(4),
                nature: Nature::from_code(row.get(5)),
            });
            Ok(())
        };
        session.query_each("reading dependencies", &sql, &[], take).await?;
        let mut dependencies = Dependencies::new(edges);
        let sql = "SELECT oid, extname FROM pg_catalog.pg_extension";
        let rows = session.query("reading extensions", sql, &[]).await?;
        dependencies.extensions = rows.iter().map(|row| (Oid(row.get(0)), row.get(1))).collect();
        Ok(dependencies)
    }

    pub(super) fn new(edges: impl IntoIterator<Item = Edge>) -> Self {
        let mut edges: Vec<Edge> = edges.into_iter().map(forwards).collect();
        edges.extend(classes_of_member_types(&edges));
        edges.sort_unstable_by_key(|edge| (edge.from, edge.to, edge.to_column));
        let mut by_object: HashMap<ObjectId, std::ops::Range<usize>> = HashMap::new();
        for (i, edge) in edges.iter().enumerate() {
            by_object.entry(edge.from).or_insert(i..i).end = i + 1;
        }
        Dependencies { edges, by_object, extensions: HashMap::new() }
    }

    /// What `object` needs.
    pub(super) fn of(&self, object: ObjectId) -> &[Edge] {
        self.by_object.get(&object).map_or(&[], |range| &self.edges[range.clone()])
    }

    /// The types in which values are stored: those of columns and of domains, and an array's
    /// elements'. Views' columns don't count: `is_view` tells them.
    pub(super) fn stored_types(&self, is_view: impl Fn(ObjectId) -> bool) -> HashSet<Oid> {
        let of_types = || self.edges.iter().filter(|edge| edge.to.class == class::PG_TYPE);
        let is_element =
            |edge: &Edge| edge.from.class == class::PG_TYPE && edge.nature == Nature::Internal;
        let stores = |edge: &Edge| {
            matches!(edge.from.class, class::PG_CLASS | class::PG_TYPE)
                && !is_element(edge)
                && !is_view(edge.from)
        };
        let mut stored: HashSet<Oid> = of_types().filter(|e| stores(e)).map(|e| e.to.oid).collect();
        for edge in of_types().filter(|edge| is_element(edge)) {
            if stored.contains(&edge.from.oid) {
                stored.insert(edge.to.oid);
            }
        }
        stored
    }

    /// By type, or by relation that has a row type: the types made of it, and the relations that
    /// have it in a column.
    pub(super) fn users_of_types(&self) -> HashMap<ObjectId, Vec<Edge>> {
        let mut users: HashMap<ObjectId, Vec<Edge>> = HashMap::new();
        for edge in &self.edges {
            let of_type = matches!(edge.from.class, class::PG_CLASS | class::PG_TYPE)
                && edge.to.class == class::PG_TYPE;
            let row_type = edge.from.class == class::PG_TYPE && edge.to.class == class::PG_CLASS;
            if of_type || row_type {
                users.entry(edge.to).or_default().push(*edge);
            }
        }
        users
    }

    /// Which objects need which of these: who needs, and what.
    pub(super) fn needing<T>(
        &self,
        needed: &HashMap<ObjectId, T>,
    ) -> impl Iterator<Item = (ObjectId, ObjectId)> {
        self.edges
            .iter()
            .filter(|edge| needed.contains_key(&edge.to))
            .map(|edge| (edge.from, edge.to))
    }

    /// The objects that extensions bring.
    pub(super) fn extension_members(&self) -> HashSet<ObjectId> {
        self.edges
            .iter()
            .filter(|edge| edge.nature == Nature::Extension)
            .map(|edge| edge.from)
            .collect()
    }

    /// The statements by which the object that SQL calls `name` goes with an extension when that is
    /// dropped: `ALTER INDEX … DEPENDS ON EXTENSION …`.
    pub(super) fn extension_ties(&self, object: ObjectId, name: &str) -> String {
        self.of(object)
            .iter()
            .filter(|edge| edge.nature == Nature::AutoExtension)
            .filter_map(|edge| self.extensions.get(&edge.to.oid))
            .map(|extension| {
                let extension = quote_ident(extension);
                format!("ALTER {name} DEPENDS ON EXTENSION {extension};\n")
            })
            .collect()
    }

    /// Turns needs of objects into dependencies of entries. An object without an entry (an array
    /// type, a rule, what is out of scope) passes on what it needs itself, as in pg_dump
    /// (source: pg_dump.c, findDumpableDependencies).
    pub(super) fn resolve(&self, out: &mut Builder) {
        self.credit_extensions(out);
        let mut found = Vec::new();
        for (object, id) in out.created() {
            for edge in self.of(object) {
                if self.shapes_order(out, id, edge) {
                    found.extend(self.reach(edge.to, out).into_iter().map(|first| (id, first)));
                }
            }
        }
        for &(id, object) in out.extra_needs() {
            found.extend(self.reach(object, out).into_iter().map(|first| (id, first)));
        }
        out.settle(found);
    }

    /// What an extension brings is created by the extension's entry.
    fn credit_extensions(&self, out: &mut Builder) {
        for edge in &self.edges {
            if edge.nature == Nature::Extension
                && out.creator(edge.from).is_none()
                && let Some(id) = out.creator(edge.to)
            {
                out.also_creates(id, edge.from);
            }
        }
    }

    /// A sequence belongs to its column, yet is created before the column's table, whose default
    /// needs it: belonging is an entry of its own. And a member of an operator family is created
    /// by whom it belongs to: what it needs beyond that is its operator or function.
    fn shapes_order(&self, out: &Builder, id: EntryId, edge: &Edge) -> bool {
        let owned_by_column = out.entries[id.0 as usize].kind == Kind::Sequence
            && edge.to.class == class::PG_CLASS
            && matches!(edge.nature, Nature::Auto | Nature::Internal);
        let member_of = matches!(edge.from.class, class::PG_AMOP | class::PG_AMPROC)
            && edge.to.class == class::PG_OPCLASS;
        !owned_by_column && !member_of && edge.nature != Nature::Extension
    }

    fn reach(&self, object: ObjectId, out: &Builder) -> Vec<EntryId> {
        let mut reached = Vec::new();
        let mut seen = HashSet::new();
        let mut open = vec![object];
        while let Some(object) = open.pop() {
            if let Some(id) = out.creator(object) {
                reached.push(id);
            } else if seen.insert(object) {
                open.extend(self.of(object).iter().map(|edge| edge.to));
            }
        }
        reached
    }
}

/// A composite type's pg_class row needs the pg_type row in the catalog, but it is the class that
/// knows the columns' types: turned round (source: pg_dump.c, getDependencies).
fn forwards(edge: Edge) -> Edge {
    let reversed = edge.nature == Nature::Internal
        && edge.from.class == class::PG_CLASS
        && edge.to.class == class::PG_TYPE;
    match reversed {
        true => Edge { from: edge.to, to: edge.from, to_column: 0, ..edge },
        false => edge,
    }
}

/// An extension's composite type is its member, the type's pg_class row only a part of that, which
/// being turned round hides: the row is made a member, too.
fn classes_of_member_types(edges: &[Edge]) -> Vec<Edge> {
    let of_extensions = edges.iter().filter(|edge| edge.nature == Nature::Extension);
    let members: HashMap<ObjectId, Edge> = of_extensions.map(|edge| (edge.from, *edge)).collect();
    let classes = edges.iter().filter(|edge| {
        edge.nature == Nature::Internal
            && edge.from.class == class::PG_TYPE
            && edge.to.class == class::PG_CLASS
    });
    let member = |edge: &Edge| Some(Edge { from: edge.to, ..*members.get(&edge.from)? });
    classes.filter_map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toc::Entry;

    const TABLE: u32 = 20_000;
    const SEQUENCE: u32 = 20_001;

    fn edge(from: (Oid, u32), to: (Oid, u32), code: &str) -> Edge {
        Edge {
            from: ObjectId::new(from.0, from.1),
            to: ObjectId::new(to.0, to.1),
            to_column: 0,
            nature: Nature::from_code(code),
        }
    }

    fn add(out: &mut Builder, kind: Kind, class: Oid, oid: u32) -> EntryId {
        let entry = Entry::new(kind, Some("s"), format!("o{oid}"));
        out.add(ObjectId::new(class, oid), entry)
    }

    #[test]
    fn an_array_type_passes_on_what_its_element_needs() {
        let mut out = Builder::default();
        let table = add(&mut out, Kind::Table, class::PG_CLASS, TABLE);
        let element = add(&mut out, Kind::Type, class::PG_TYPE, 30_000);
        Dependencies::new([
            edge((class::PG_CLASS, TABLE), (class::PG_TYPE, 30_001), "n"),
            edge((class::PG_TYPE, 30_001), (class::PG_TYPE, 30_000), "i"),
        ])
        .resolve(&mut out);
        assert_eq!(out.entries[table.0 as usize].depends_on, [element]);
    }

    #[test]
    fn a_serial_sequence_comes_before_its_table_although_it_belongs_to_it() {
        let mut out = Builder::default();
        let sequence = add(&mut out, Kind::Sequence, class::PG_CLASS, SEQUENCE);
        let table = add(&mut out, Kind::Table, class::PG_CLASS, TABLE);
        out.also_creates(table, ObjectId::new(class::PG_ATTRDEF, 40_000));
        Dependencies::new([
            edge((class::PG_CLASS, SEQUENCE), (class::PG_CLASS, TABLE), "a"),
            edge((class::PG_ATTRDEF, 40_000), (class::PG_CLASS, TABLE), "a"),
            edge((class::PG_ATTRDEF, 40_000), (class::PG_CLASS, SEQUENCE), "n"),
        ])
        .resolve(&mut out);
        assert_eq!(out.entries[table.0 as usize].depends_on, [sequence]);
        assert!(out.entries[sequence.0 as usize].depends_on.is_empty());
    }

    #[test]
    fn what_an_extension_brings_is_a_need_of_the_extension() {
        let mut out = Builder::default();
        let extension = add(&mut out, Kind::Extension, class::PG_EXTENSION, 50_000);
        let table = add(&mut out, Kind::Table, class::PG_CLASS, TABLE);
        let dependencies = Dependencies::new([
            edge((class::PG_CLASS, TABLE), (class::PG_TYPE, 30_000), "n"),
            edge((class::PG_TYPE, 30_000), (class::PG_EXTENSION, 50_000), "e"),
        ]);
        dependencies.resolve(&mut out);
        assert_eq!(out.entries[table.0 as usize].depends_on, [extension]);
        let member = ObjectId::new(class::PG_TYPE, 30_000);
        assert!(dependencies.extension_members().contains(&member));
    }

    #[test]
    fn the_class_of_an_extensions_composite_type_is_the_extensions() {
        let mut out = Builder::default();
        let extension = add(&mut out, Kind::Extension, class::PG_EXTENSION, 50_000);
        let dependencies = Dependencies::new([
            edge((class::PG_CLASS, 30_001), (class::PG_TYPE, 30_000), "i"),
            edge((class::PG_TYPE, 30_000), (class::PG_EXTENSION, 50_000), "e"),
        ]);
        dependencies.resolve(&mut out);
        let class = ObjectId::new(class::PG_CLASS, 30_001);
        assert_eq!(out.creator(class), Some(extension));
        assert!(dependencies.extension_members().contains(&class));
    }

    #[test]
    fn a_composite_type_needs_the_types_of_its_columns() {
        let mut out = Builder::default();
        let composite = add(&mut out, Kind::Type, class::PG_TYPE, 30_000);
        let column = add(&mut out, Kind::Domain, class::PG_TYPE, 30_009);
        Dependencies::new([
            edge((class::PG_CLASS, 30_001), (class::PG_TYPE, 30_000), "i"),
            edge((class::PG_CLASS, 30_001), (class::PG_TYPE, 30_009), "n"),
        ])
        .resolve(&mut out);
        assert_eq!(out.entries[composite.0 as usize].depends_on, [column]);
    }

    #[test]
    fn dependencies_are_each_named_once_and_never_on_itself() {
        let mut out = Builder::default();
        let table = add(&mut out, Kind::Table, class::PG_CLASS, TABLE);
        let data = out.add_part(Entry::new(Kind::TableData, Some("s"), "t"));
        out.needs(data, ObjectId::new(class::PG_CLASS, TABLE));
        out.comes_after(data, table);
        out.comes_after(table, table);
        Dependencies::default().resolve(&mut out);
        assert_eq!(out.entries[data.0 as usize].depends_on, [table]);
        assert!(out.entries[table.0 as usize].depends_on.is_empty());
    }
}
