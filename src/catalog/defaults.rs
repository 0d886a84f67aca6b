//! Column defaults: in the table's definition, or in an entry of their own.

use crate::pg::{Oid, class, quote_ident};
use crate::toc::{Entry, Kind};

use super::builder::{Builder, ObjectId};
use super::columns::{Column, Columns};
use super::dependencies::Dependencies;
use super::relations::{Relation, RelationKind, Relations};

/// Tells the expressions that can stand in their table's definition from those that can't.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placement<'a> {
    pub(super) dependencies: &'a Dependencies,
    pub(super) relations: &'a Relations,
    pub(super) out: &'a Builder,
}

impl Placement<'_> {
    /// Whether `part` of `table`, a default or a check, calls on code or tables of the users' own:
    /// those may need the table in turn, so it gets an entry of its own and no loop can arise.
    /// Types, sequences and collations never need a table's default.
    pub(super) fn is_separate(self, part: ObjectId, table: &Relation) -> bool {
        self.dependencies.of(part).iter().any(|edge| {
            let users = edge.to.oid >= Oid::FIRST_NORMAL && !self.out.is_extension_member(edge.to);
            users
                && match edge.to.class {
                    class::PG_TYPE | class::PG_COLLATION | class::PG_NAMESPACE => false,
                    class::PG_CLASS => edge.to != table.object() && !self.is_sequence(edge.to),
                    _ => true,
                }
        })
    }

    /// Whether the default of `column` is an entry of its own. A generated column's can't be.
    pub(super) fn default_is_separate(self, column: &Column, table: &Relation) -> bool {
        column.generated.is_none()
            && column.default.as_ref().is_some_and(|default| {
                !table.is_any_table() || self.is_separate(object(default.oid), table)
            })
    }

    fn is_sequence(self, object: ObjectId) -> bool {
        self.relations
            .any(object.oid.0)
            .is_some_and(|relation| relation.kind == RelationKind::Sequence)
    }
}

/// The default as pg_depend names it.
pub(super) fn object(oid: u32) -> ObjectId {
    ObjectId::new(class::PG_ATTRDEF, oid)
}

/// Adds the DEFAULT entries of tables and views.
pub(super) fn add(
    dependencies: &Dependencies,
    relations: &Relations,
    columns: &Columns,
    out: &mut Builder,
) {
    for relation in relations.iter() {
        for column in columns.of(relation.oid) {
            let placement = Placement { dependencies, relations, out };
            if placement.default_is_separate(column, relation)
                && let Some(default) = &column.default
            {
                let entry = default_entry(relation, &column.name, &default.sql);
                let id = out.add(object(default.oid), entry);
                out.needs(id, relation.object());
            }
        }
    }
}

fn default_entry(relation: &Relation, column: &str, sql: &str) -> Entry {
    Entry {
        create: format!("{};\n", set_default(relation, column, sql)),
        drop: format!(
            "ALTER TABLE {} ALTER COLUMN {} DROP DEFAULT;\n",
            relation.sql(),
            quote_ident(column)
        ),
        ..Entry::new(Kind::Default, Some(&relation.name.schema), relation.tag_of(column))
    }
}

/// `ALTER TABLE ONLY … SET DEFAULT …`, which a view takes as well.
pub(super) fn set_default(relation: &Relation, column: &str, sql: &str) -> String {
    format!("{} ALTER COLUMN {} SET DEFAULT {sql}", relation.alter_only(), quote_ident(column))
}

#[cfg(test)]
mod tests {
    use super::super::columns::Expression;
    use super::super::dependencies::{Edge, Nature};
    use super::super::relations::sample;
    use super::*;

    fn needs(default: u32, class: Oid, oid: u32) -> Edge {
        Edge {
            from: object(default),
            to: ObjectId::new(class, oid),
            to_column: 0,
            nature: Nature::Normal,
        }
    }

    #[test]
    fn only_a_default_that_calls_the_users_code_is_an_entry_of_its_own() {
        let q = Relation { kind: RelationKind::Sequence, ..sample::table(20_001, "q") };
        let relations = Relations::new([sample::table(20_000, "t"), q], []);
        let column = |name: &str, oid| {
            let default = Some(Expression { oid, sql: format!("{name}()") });
            (20_000, Column { name: name.to_owned(), default, ..Column::default() })
        };
        let columns = Columns::new([column("a", 1), column("b", 2), column("c", 3)]);
        let dependencies = Dependencies::new([
            needs(1, class::PG_CLASS, 20_001),
            needs(2, class::PG_PROC, 30_000),
            needs(3, class::PG_PROC, 30_001),
        ]);
        let brought = ObjectId::new(class::PG_PROC, 30_001);
        let mut out = Builder::new([brought].into());
        add(&dependencies, &relations, &columns, &mut out);
        let sql: Vec<&str> = out.entries.iter().map(|e| e.create.as_str()).collect();
        assert_eq!(sql, ["ALTER TABLE ONLY \"s\".\"t\" ALTER COLUMN \"b\" SET DEFAULT b();\n"]);
        assert_eq!(out.entries[0].name, "t b");
    }
}
