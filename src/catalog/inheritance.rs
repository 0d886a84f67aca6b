//! What a table's columns get from its parents, so that its definition says no more and no less
//! than what differs (source: bin/pg_dump/common.c, flagInhAttrs).

use std::collections::HashMap;

use super::columns::{Column, Columns};
use super::relations::{Relation, Relations};

/// What the parents say of a column of the same name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Inherited {
    pub(super) not_null: bool,
    /// Some parent has a default, so that a child without one must say so.
    pub(super) default: bool,
    /// Every parent that generates the column does it by the very same expression.
    pub(super) generation: bool,
    /// Some parent has it as a plain column, which a child's generated one may not be under any more.
    pub(super) plain: bool,
    /// Some parent's values are stored otherwise, which a child takes over when it is created.
    pub(super) storage_differs: bool,
    /// Some parent's values are compressed otherwise: likewise.
    pub(super) compression_differs: bool,
}

/// What `column` of `table` inherits.
pub(super) fn inherited(
    table: &Relation,
    column: &Column,
    relations: &Relations,
    columns: &Columns,
) -> Inherited {
    let mut found = Inherited::default();
    let mut generation_differs = false;
    for &parent in &table.parents {
        if relations.any(parent).is_none() {
            continue;
        }
        let Some(above) = columns.named(parent, &column.name) else {
            continue;
        };
        found.not_null |= above.not_null;
        found.plain |= above.generated.is_none();
        found.storage_differs |= above.storage != column.storage;
        found.compression_differs |= above.compression != column.compression;
        let sql = above.default.as_ref().map(|default| &default.sql);
        if above.generated.is_none() {
            found.default |= sql.is_some();
        } else if sql == column.default.as_ref().map(|default| &default.sql) {
            found.generation = true;
        } else {
            generation_differs = true;
        }
    }
    found.generation &= !generation_differs;
    found
}

/// The columns of `table` in the order in which creating it puts them: what it inherits comes
/// first, parent by parent, wherever it stands on the source, as after an ALTER TABLE … INHERIT
/// (source: MergeAttributes in commands/tablecmds.c). A partition is created by itself.
pub(super) fn created_order<'c>(
    table: &Relation,
    relations: &Relations,
    columns: &'c Columns,
) -> Vec<&'c Column> {
    let own = columns.of(table.oid);
    if table.is_partition || table.parents.is_empty() {
        return own.iter().collect();
    }
    let mut ordered: Vec<&Column> = Vec::with_capacity(own.len());
    let parents = table.parents.iter().filter_map(|&parent| relations.any(parent));
    let inherited = parents.flat_map(|parent| created_order(parent, relations, columns));
    let places: HashMap<&str, usize> =
        own.iter().enumerate().map(|(place, column)| (column.name.as_str(), place)).collect();
    let mut taken = vec![false; own.len()];
    let inherited = inherited.filter_map(|above| places.get(above.name.as_str()).copied());
    for place in inherited.chain(0..own.len()) {
        if !std::mem::replace(&mut taken[place], true) {
            ordered.push(&own[place]);
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::super::columns::{Expression, Generated};
    use super::super::relations::sample;
    use super::*;

    #[test]
    fn a_child_takes_over_how_its_parents_values_are_stored() {
        let relations = Relations::new([sample::table(1, "p"), sample::table(2, "c")], [(2, 1)]);
        let own = Column { storage: "EXTENDED", ..column("d", None, false) };
        let above =
            Column { storage: "EXTERNAL", compression: Some("lz4"), ..column("d", None, false) };
        let columns = Columns::new([(1, above.clone())]);
        let of = |column| inherited(relations.own(2).unwrap(), column, &relations, &columns);
        assert!(of(&own).storage_differs && of(&own).compression_differs);
        assert!(!of(&above).storage_differs && !of(&above).compression_differs);
    }

    fn column(name: &str, default: Option<&str>, generated: bool) -> Column {
        Column {
            name: name.to_owned(),
            not_null: !generated,
            default: default.map(|sql| Expression { oid: 1, sql: sql.to_owned() }),
            generated: generated.then_some(Generated::Stored),
            ..Column::default()
        }
    }

    #[test]
    fn parents_give_defaults_not_null_and_generation() {
        let relations = Relations::new([sample::table(1, "p"), sample::table(2, "c")], [(2, 1)]);
        let columns = Columns::new([
            (1, column("d", Some("7"), false)),
            (1, column("g", Some("d * 2"), true)),
        ]);
        let child = relations.own(2).unwrap();
        let of = |column: &Column| inherited(child, column, &relations, &columns);
        assert_eq!(
            of(&column("d", None, false)),
            Inherited { not_null: true, default: true, plain: true, ..Inherited::default() }
        );
        assert!(of(&column("g", Some("d * 2"), true)).generation);
        assert!(!of(&column("g", Some("d * 3"), true)).generation);
        assert_eq!(of(&column("x", None, false)), Inherited::default());
    }

    #[test]
    fn a_child_is_created_with_what_it_inherits_first() {
        let relations = Relations::new([sample::table(1, "p"), sample::table(2, "c")], [(2, 1)]);
        let columns = Columns::new([
            (1, column("a", None, false)),
            (1, column("b", None, false)),
            (2, column("own", None, false)),
            (2, column("b", None, false)),
            (2, column("a", None, false)),
        ]);
        let order = created_order(relations.own(2).unwrap(), &relations, &columns);
        let names: Vec<&str> = order.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "own"]);
    }
}
