//! CHECK and NOT NULL constraints: in the table's definition, or in an entry of their own once the
//! rows are there.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::error::Result;
use crate::pg::{class, quote_ident};
use crate::toc::{Entry, EntryId, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::columns::{Column, Columns};
use super::defaults::Placement;
use super::dependencies::Dependencies;
use super::relations::{Relation, Relations};
use super::rendered::rendered;
use super::scope::Scope;

/// A CHECK constraint of a table.
#[derive(Debug, Clone)]
pub(super) struct Check {
    pub(super) oid: u32,
    name: String,
    /// `CHECK (…)`, with NO INHERIT and NOT VALID where they are so.
    definition: String,
    local: bool,
    valid: bool,
    separate: bool,
}

/// A named NOT NULL constraint (18 and later).
#[derive(Debug, Clone)]
struct NotNull {
    oid: u32,
    name: String,
    no_inherit: bool,
    local: bool,
    valid: bool,
}

/// The checks of all tables.
#[derive(Debug, Default)]
pub(super) struct Checks {
    by_table: HashMap<u32, Vec<Check>>,
    /// By table and column; none at all before 18, where NOT NULL has no name.
    not_null: Option<HashMap<(u32, i16), NotNull>>,
}

impl Checks {
    pub(super) async fn read(
        session: &Session,
        scope: &Scope,
        dependencies: &Dependencies,
        relations: &Relations,
        out: &Builder,
    ) -> Result<Self> {
        let placement = Placement { dependencies, relations, out };
        let mut checks = Checks::default();
        let rows = session.query("reading check constraints", &checks_sql(scope), &[]).await?;
        for row in &rows {
            let oid: u32 = row.get("oid");
            let Some(table) = relations.own(row.get("conrelid")) else {
                continue;
            };
            let valid: bool = row.get("convalidated");
            checks.by_table.entry(table.oid).or_default().push(Check {
                oid,
                name: row.get("conname"),
                definition: rendered(row, "definition", || {
                    format!("constraint {} of {}", row.get::<_, &str>("conname"), table.name)
                })?
                .to_owned(),
                local: row.get("conislocal"),
                valid,
                separate: !valid || placement.is_separate(object(oid), table),
            });
        }
        if session.version().major() >= 18 {
            checks.not_null = Some(read_not_null(session).await?);
        }
        Ok(checks)
    }

    /// The checks that the definition of `table` holds.
    pub(super) fn inline(&self, table: &Relation) -> impl Iterator<Item = &Check> {
        let partition = table.is_partition;
        self.of(table.oid).filter(move |check| !check.separate && (check.local || partition))
    }

    /// Whether the server is one before 18.
    pub(super) fn not_null_has_no_name(&self) -> bool {
        self.not_null.is_none()
    }

    /// What the definition of a column says of NULL, where the table's definition writes the
    /// column.
    pub(super) fn not_null_clause(
        &self,
        table: &Relation,
        column: &Column,
        inherited: bool,
    ) -> Option<String> {
        if self.not_null.is_none() {
            let said = column.not_null && (!inherited || table.is_partition);
            return said.then(|| "NOT NULL".to_owned());
        }
        let found = self.named_not_null(table, column)?;
        let said = found.valid && (found.local || table.is_partition);
        said.then(|| {
            let suffix = if found.no_inherit { " NO INHERIT" } else { "" };
            // The name that the server makes up is left to it, so that versions tell the same.
            if found.has_servers_name(table, column) {
                return format!("NOT NULL{suffix}");
            }
            format!("CONSTRAINT {} NOT NULL{suffix}", quote_ident(&found.name))
        })
    }

    /// The same of a column that the table only inherits: a constraint of the table, where it is
    /// the table's own or holds for sure what the parent's only claims.
    pub(super) fn not_null_constraint(
        &self,
        table: &Relation,
        column: &Column,
        columns: &Columns,
        inherited: bool,
    ) -> Option<String> {
        let found = self.named_not_null(table, column)?;
        let said = found.valid
            && !self.is_set_afterwards(table, column, inherited)
            && (found.local || self.is_unproven_above(table, column, columns));
        said.then(|| {
            format!(
                "CONSTRAINT {} NOT NULL {}{}",
                quote_ident(&found.name),
                quote_ident(&column.name),
                if found.no_inherit { " NO INHERIT" } else { "" }
            )
        })
    }

    /// Whether an ALTER says it instead, as all versions can: the column is only inherited, and the
    /// constraint is one that needs no name.
    pub(super) fn is_set_afterwards(
        &self,
        table: &Relation,
        column: &Column,
        inherited: bool,
    ) -> bool {
        let nameless = match self.named_not_null(table, column) {
            Some(found) => {
                found.valid
                    && found.local
                    && !found.no_inherit
                    && found.has_servers_name(table, column)
            }
            None => self.not_null.is_none(),
        };
        column.not_null && !inherited && !column.is_written(table) && nameless
    }

    fn is_unproven_above(&self, table: &Relation, column: &Column, columns: &Columns) -> bool {
        table.parents.iter().any(|&parent| {
            columns
                .named(parent, &column.name)
                .and_then(|above| self.not_null.as_ref()?.get(&(parent, above.number)))
                .is_some_and(|above| !above.valid)
        })
    }

    fn named_not_null(&self, table: &Relation, column: &Column) -> Option<&NotNull> {
        self.not_null.as_ref()?.get(&(table.oid, column.number))
    }

    /// The constraints that are created with `table` itself.
    pub(super) fn created_with(&self, table: &Relation, column: &Column) -> Option<ObjectId> {
        self.named_not_null(table, column)
            .filter(|found| found.valid)
            .map(|found| object(found.oid))
    }

    /// Whether a partition's check, which is never its own, holds for sure what the parent's only
    /// claims: it would come out unproven if it came from there.
    fn is_proven_here_only(&self, table: &Relation, check: &Check) -> bool {
        let above = table.parents.iter().flat_map(|&parent| self.of(parent));
        table.is_partition
            && check.valid
            && above.filter(|above| above.name == check.name).any(|above| !above.valid)
    }

    /// Whether a child holds for sure what it has from a parent, which only claims it: created under
    /// one, it is empty and so its check is valid. The parent's is added once the rows are there.
    fn is_proven_below(&self, table: &Relation, check: &Check) -> bool {
        let mut above = table.parents.iter().flat_map(|&parent| self.of(parent));
        let is_inherited = !table.is_partition && !check.local && check.valid;
        is_inherited && above.any(|above| above.name == check.name && !above.valid)
    }

    fn of(&self, table: u32) -> impl Iterator<Item = &Check> {
        self.by_table.get(&table).into_iter().flatten()
    }

    /// Adds the CHECK CONSTRAINT entries. A child's comes before those of the same name that are above
    /// it: adding those recurses and merges with what is there, never the other way. What only validates
    /// comes after them.
    pub(super) fn add(&self, relations: &Relations, columns: &Columns, out: &mut Builder) {
        let mut added: HashMap<(u32, &str), EntryId> = HashMap::new();
        let mut proven: HashMap<(u32, &str), EntryId> = HashMap::new();
        for table in relations.iter() {
            let own = |check: &&Check| check.local || self.is_proven_here_only(table, check);
            for check in self.of(table.oid).filter(|c| c.separate).filter(own) {
                let entry = separate_entry(table, &check.name, &check.definition);
                let id = out.add(object(check.oid), entry);
                out.needs(id, table.object());
                added.insert((table.oid, &check.name), id);
            }
            for check in self.of(table.oid).filter(|check| self.is_proven_below(table, check)) {
                let id = out.add(object(check.oid), validating_entry(table, &check.name));
                out.needs(id, table.object());
                proven.insert((table.oid, &check.name), id);
            }
            for column in columns.of(table.oid) {
                if let Some((name, id)) = self.add_unproven_not_null(table, column, out) {
                    added.insert((table.oid, name), id);
                }
            }
        }
        for (&(table, name), &id) in &added {
            let mut below: Vec<u32> = relations.children(table).to_vec();
            let mut seen = HashSet::new();
            while let Some(child) = below.pop() {
                if !seen.insert(child) {
                    continue;
                }
                if let Some(&first) = added.get(&(child, name)) {
                    out.comes_after(id, first);
                }
                if let Some(&validated) = proven.get(&(child, name)) {
                    out.comes_after(validated, id);
                }
                below.extend(relations.children(child));
            }
        }
        self.credit_parents(relations, columns, &added, out);
    }

    /// What only comes down from a parent, once the rows are there, has the parent's entry: comments
    /// may be on it.
    fn credit_parents(
        &self,
        relations: &Relations,
        columns: &Columns,
        added: &HashMap<(u32, &str), EntryId>,
        out: &mut Builder,
    ) {
        for table in relations.iter().filter(|table| !table.parents.is_empty()) {
            let checks = self.of(table.oid).filter(|check| check.separate);
            let checks = checks.map(|check| (check.oid, check.name.as_str()));
            let not_null = columns.of(table.oid).iter();
            let not_null = not_null.filter_map(|column| self.named_not_null(table, column));
            let not_null = not_null.filter(|found| !found.valid);
            let not_null = not_null.map(|found| (found.oid, found.name.as_str()));
            for (oid, name) in checks.chain(not_null) {
                if out.creator(object(oid)).is_none()
                    && let Some(&id) = nearest_above(relations, table, |t| added.get(&(t, name)))
                {
                    out.also_creates(id, object(oid));
                }
            }
        }
    }

    /// A NOT NULL that is NOT VALID waits for the rows that may violate it.
    fn add_unproven_not_null(
        &self,
        table: &Relation,
        column: &Column,
        out: &mut Builder,
    ) -> Option<(&str, EntryId)> {
        let found = self.named_not_null(table, column)?;
        (!found.valid && found.local).then(|| {
            let definition = format!(
                "NOT NULL {}{} NOT VALID",
                quote_ident(&column.name),
                if found.no_inherit { " NO INHERIT" } else { "" }
            );
            let entry = separate_entry(table, &found.name, &definition);
            let id = out.add(object(found.oid), entry);
            out.needs(id, table.object());
            (found.name.as_str(), id)
        })
    }
}

impl NotNull {
    /// Whether it is called what the server calls it where nobody gave it a name.
    fn has_servers_name(&self, table: &Relation, column: &Column) -> bool {
        self.name == format!("{}_{}_not_null", table.name.name, column.name)
    }
}

impl Check {
    /// As an item of CREATE TABLE.
    pub(super) fn item(&self) -> String {
        format!("CONSTRAINT {} {}", quote_ident(&self.name), self.definition)
    }
}

/// What `find` finds of an ancestor, the nearest first.
fn nearest_above<T>(
    relations: &Relations,
    table: &Relation,
    find: impl Fn(u32) -> Option<T>,
) -> Option<T> {
    let mut above: VecDeque<u32> = table.parents.iter().copied().collect();
    let mut seen = HashSet::new();
    while let Some(parent) = above.pop_front() {
        if let Some(found) = find(parent) {
            return Some(found);
        }
        if seen.insert(parent) {
            above.extend(relations.any(parent).into_iter().flat_map(|r| &r.parents));
        }
    }
    None
}

/// A constraint as pg_depend names it.
pub(super) fn object(oid: u32) -> ObjectId {
    ObjectId::new(class::PG_CONSTRAINT, oid)
}

fn separate_entry(table: &Relation, name: &str, definition: &str) -> Entry {
    Entry {
        create: format!(
            "ALTER TABLE {} ADD CONSTRAINT {} {definition};\n",
            table.sql(),
            quote_ident(name)
        ),
        drop: format!("ALTER TABLE {} DROP CONSTRAINT {};\n", table.sql(), quote_ident(name)),
        ..Entry::new(Kind::CheckConstraint, Some(&table.name.schema), table.tag_of(name))
    }
}

/// Nothing takes it back: the check goes with its parent's.
fn validating_entry(table: &Relation, name: &str) -> Entry {
    Entry {
        create: format!("ALTER TABLE {} VALIDATE CONSTRAINT {};\n", table.sql(), quote_ident(name)),
        ..Entry::new(Kind::CheckConstraint, Some(&table.name.schema), table.tag_of(name))
    }
}

async fn read_not_null(session: &Session) -> Result<HashMap<(u32, i16), NotNull>> {
    let sql = "SELECT oid, conrelid, conkey[1] AS attnum, conname, connoinherit, conislocal, \
                      convalidated \
               FROM pg_catalog.pg_constraint WHERE contype = 'n' AND conrelid <> 0";
    let rows = session.query("reading NOT NULL constraints", sql, &[]).await?;
    Ok(rows
        .iter()
        .map(|row| {
            let constraint = NotNull {
                oid: row.get("oid"),
                name: row.get("conname"),
                no_inherit: row.get("connoinherit"),
                local: row.get("conislocal"),
                valid: row.get("convalidated"),
            };
            ((row.get("conrelid"), row.get("attnum")), constraint)
        })
        .collect())
}

fn checks_sql(scope: &Scope) -> String {
    format!(
        "SELECT k.oid, k.conrelid, k.conname, pg_catalog.pg_get_constraintdef(k.oid) AS definition, \
                k.convalidated, k.conislocal \
         FROM pg_catalog.pg_constraint k \
         JOIN pg_catalog.pg_class c ON c.oid = k.conrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE k.contype = 'c' AND {} ORDER BY k.conrelid, k.conname",
        scope.schemas("n.nspname")
    )
}

#[cfg(test)]
mod tests {
    use super::super::relations::sample;
    use super::*;

    fn check(oid: u32, name: &str, local: bool, separate: bool) -> Check {
        Check {
            oid,
            name: name.to_owned(),
            definition: "CHECK (a > 0)".to_owned(),
            local,
            valid: true,
            separate,
        }
    }

    #[test]
    fn inherited_checks_are_written_for_partitions_only() {
        let of_table = vec![check(10, "own", true, false), check(11, "inh", false, false)];
        let checks = Checks { by_table: [(1, of_table)].into(), not_null: None };
        let child = sample::table(1, "c");
        let partition = Relation { is_partition: true, ..child.clone() };
        let names = |table: &Relation| checks.inline(table).map(|c| c.oid).collect::<Vec<_>>();
        assert_eq!(names(&child), [10]);
        assert_eq!(names(&partition), [10, 11]);
    }

    #[test]
    fn a_childs_separate_check_precedes_its_parents() {
        let relations = Relations::new([sample::table(1, "p"), sample::table(2, "c")], [(2, 1)]);
        let checks = Checks {
            by_table: [
                (1, vec![check(10, "k", true, true)]),
                (2, vec![check(11, "k", true, true)]),
            ]
            .into(),
            not_null: None,
        };
        let mut out = Builder::default();
        checks.add(&relations, &Columns::default(), &mut out);
        Dependencies::default().resolve(&mut out);
        let parent = out.creator(object(10)).unwrap();
        let child = out.creator(object(11)).unwrap();
        assert_eq!(out.entries[parent.0 as usize].depends_on, [child]);
        assert_eq!(
            out.entries[parent.0 as usize].create,
            "ALTER TABLE \"s\".\"p\" ADD CONSTRAINT \"k\" CHECK (a > 0);\n"
        );
    }

    #[test]
    fn a_childs_valid_check_is_validated_once_its_parents_claim_is_added() {
        let child = Relation { parents: vec![1], ..sample::table(2, "c") };
        let relations = Relations::new([sample::table(1, "p"), child], [(2, 1)]);
        let claimed = Check { valid: false, ..check(10, "k", true, true) };
        let by_table = [(1, vec![claimed]), (2, vec![check(11, "k", false, false)])].into();
        let checks = Checks { by_table, not_null: None };
        let mut out = Builder::default();
        checks.add(&relations, &Columns::default(), &mut out);
        Dependencies::default().resolve(&mut out);
        let parent = out.creator(object(10)).unwrap();
        let child = &out.entries[out.creator(object(11)).unwrap().0 as usize];
        assert_eq!(child.depends_on, [parent]);
        assert_eq!(child.create, "ALTER TABLE \"s\".\"c\" VALIDATE CONSTRAINT \"k\";\n");
    }

    #[test]
    fn not_null_is_written_with_its_name_where_names_exist() {
        let column =
            Column { number: 3, name: "a".to_owned(), not_null: true, ..Column::default() };
        let table = sample::table(1, "t");
        let old = Checks::default();
        assert_eq!(old.not_null_clause(&table, &column, false).as_deref(), Some("NOT NULL"));
        assert_eq!(old.not_null_clause(&table, &column, true), None);
        let named =
            NotNull { oid: 5, name: "n".to_owned(), no_inherit: true, local: true, valid: true };
        let new = Checks { not_null: Some([((1, 3), named)].into()), ..Checks::default() };
        assert_eq!(
            new.not_null_clause(&table, &column, false).as_deref(),
            Some("CONSTRAINT \"n\" NOT NULL NO INHERIT")
        );
        assert_eq!(
            new.not_null_constraint(&table, &column, &Columns::default(), false).as_deref(),
            Some("CONSTRAINT \"n\" NOT NULL \"a\" NO INHERIT")
        );
    }
}
