//! Primary keys, unique and exclusion constraints. `pg_get_constraintdef` leaves out an index's
//! storage parameters, so the first two are put together here (source: pg_dump.c, dumpConstraint).

use crate::pg::{class, quote_ident};
use crate::toc::{Entry, Kind};

use super::builder::ObjectId;
use super::columns::Columns;
use super::indexes::Index;
use super::relations::Relation;
use super::reloptions;

/// A constraint that an index enforces.
#[derive(Debug, Clone)]
pub(super) struct Constraint {
    pub(super) oid: u32,
    pub(super) name: String,
    pub(super) kind: ConstraintKind,
    pub(super) deferrable: bool,
    pub(super) deferred: bool,
    /// WITHOUT OVERLAPS (18 and later).
    pub(super) period: bool,
    /// Of an exclusion constraint.
    pub(super) definition: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConstraintKind {
    PrimaryKey,
    Unique,
    Exclusion,
}

impl Constraint {
    pub(super) fn object(&self) -> ObjectId {
        ObjectId::new(class::PG_CONSTRAINT, self.oid)
    }
}

/// The kind by its `contype`.
pub(super) fn kind(code: &str) -> ConstraintKind {
    match code {
        "p" => ConstraintKind::PrimaryKey,
        "u" => ConstraintKind::Unique,
        _ => ConstraintKind::Exclusion,
    }
}

/// The CONSTRAINT entry. ONLY, on partitioned tables too: their partitions have theirs attached.
pub(super) fn entry(
    constraint: &Constraint,
    index: &Index,
    table: &Relation,
    columns: &Columns,
) -> Entry {
    let name = quote_ident(&constraint.name);
    let definition = match &constraint.definition {
        Some(definition) => definition.clone(),
        None => definition(constraint, index, columns),
    };
    Entry {
        create: format!("{}\n    ADD CONSTRAINT {name} {definition};\n", table.alter_only()),
        drop: format!("{} DROP CONSTRAINT {name};\n", table.alter_only()),
        ..Entry::new(Kind::Constraint, Some(&table.name.schema), table.tag_of(&constraint.name))
    }
}

fn definition(constraint: &Constraint, index: &Index, columns: &Columns) -> String {
    let name = |number: &i16| {
        columns.numbered(index.table, *number).map(|column| quote_ident(&column.name))
    };
    let key: Vec<String> = index.key().iter().filter_map(name).collect();
    let included: Vec<String> =
        index.columns[index.key().len()..].iter().filter_map(name).collect();
    let mut sql = match constraint.kind {
        ConstraintKind::PrimaryKey => "PRIMARY KEY ".to_owned(),
        _ if index.nulls_not_distinct => "UNIQUE NULLS NOT DISTINCT ".to_owned(),
        _ => "UNIQUE ".to_owned(),
    };
    let overlaps = if constraint.period { " WITHOUT OVERLAPS" } else { "" };
    sql.push_str(&format!("({}{overlaps})", key.join(", ")));
    if !included.is_empty() {
        sql.push_str(&format!(" INCLUDE ({})", included.join(", ")));
    }
    if let Some(list) = reloptions::with_list(&index.options, &[]) {
        sql.push_str(&format!(" WITH ({list})"));
    }
    if constraint.deferrable {
        sql.push_str(" DEFERRABLE");
    }
    if constraint.deferred {
        sql.push_str(" INITIALLY DEFERRED");
    }
    sql
}

#[cfg(test)]
mod tests {
    use super::super::columns::Column;
    use super::super::indexes::sample;
    use super::super::relations::sample as relation;
    use super::*;

    #[test]
    fn everything_an_index_constraint_can_have_is_written() {
        let column =
            |number: i16, name: &str| Column { number, name: name.to_owned(), ..Column::default() };
        let columns =
            Columns::new([(1, column(1, "id")), (1, column(2, "during")), (1, column(3, "note"))]);
        let index = Index {
            columns: vec![1, 2, 3],
            key_columns: 2,
            nulls_not_distinct: true,
            options: vec!["fillfactor=70".to_owned()],
            ..sample::index(10, 1, "k")
        };
        let constraint = Constraint {
            oid: 20,
            name: "k".to_owned(),
            kind: ConstraintKind::Unique,
            deferrable: true,
            deferred: true,
            period: true,
            definition: None,
        };
        let entry = entry(&constraint, &index, &relation::table(1, "t"), &columns);
        assert_eq!(
            entry.create,
            "ALTER TABLE ONLY \"s\".\"t\"\n    ADD CONSTRAINT \"k\" UNIQUE NULLS NOT DISTINCT \
             (\"id\", \"during\" WITHOUT OVERLAPS) INCLUDE (\"note\") WITH (\"fillfactor\"='70') \
             DEFERRABLE INITIALLY DEFERRED;\n"
        );
        assert_eq!(entry.name, "t k");
    }
}
