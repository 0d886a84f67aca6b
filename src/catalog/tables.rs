//! Tables: CREATE TABLE with all that belongs to it, and the attachment of partitions.

use std::collections::{HashMap, HashSet};

use crate::pg::{Oid, class, quote_ident};
use crate::toc::{Entry, EntryId, Kind, Retired};

use super::builder::{Builder, ObjectId};
use super::checks::{self, Checks};
use super::columns::{self, Column, Columns};
use super::defaults::{self, Placement};
use super::dependencies::Dependencies;
use super::foreign_tables::ForeignTables;
use super::inheritance::{Inherited, created_order, inherited};
use super::relations::{Relation, RelationKind, Relations};
use super::reloptions;
use super::sequences::Sequences;

/// What is known of tables and their parts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) dependencies: &'a Dependencies,
    pub(super) relations: &'a Relations,
    pub(super) columns: &'a Columns,
    pub(super) checks: &'a Checks,
    pub(super) sequences: &'a Sequences,
    pub(super) foreign: &'a ForeignTables,
}

/// The TABLE ATTACH entries of each partitioned table.
pub(super) type Attached = HashMap<u32, Vec<EntryId>>;

/// Adds TABLE, FOREIGN TABLE and TABLE ATTACH entries.
pub(super) fn add(parts: Parts<'_>, out: &mut Builder) -> Attached {
    let stored = parts.dependencies.stored_types(|object| {
        let relation =
            parts.relations.any(object.oid.0).filter(|_| object.class == class::PG_CLASS);
        relation.is_some_and(|relation| relation.kind == RelationKind::View)
    });
    for table in parts.relations.iter().filter(|r| r.is_any_table()) {
        add_table(table, parts, &stored, out);
        if let Some(space) = &table.tablespace {
            out.left_out(
                format!("tablespace of {}", table.name),
                format!("the table lies in {space}; it moves to the target's default tablespace"),
            );
        }
    }
    let mut attached = Attached::new();
    for child in parts.relations.iter().filter(|r| r.is_any_table()) {
        if let Some(bound) = &child.bound {
            let Some(parent) = child.parents.first().and_then(|&p| parts.relations.any(p)) else {
                let why = "it is a partition, but of no table: its row in pg_inherits is missing";
                out.unsupported(format!("table {}", child.name), why);
                continue;
            };
            let id = out.add_part(attach_entry(parent, child, bound));
            out.needs(id, parent.object());
            out.needs(id, child.object());
            attached.entry(parent.oid).or_default().push(id);
        }
    }
    attached
}

fn add_table(table: &Relation, parts: Parts<'_>, stored: &HashSet<Oid>, out: &mut Builder) {
    let written = Written::new(table, parts, out);
    let identities = parts.sequences.identities(table, parts.columns, parts.relations);
    let create = format!("{}{}{}", written.create(), written.afterwards(), identities.sql);
    let created = written.created();
    written.tell_moved_columns(stored, out);
    let retired = written.retired(!identities.sql.is_empty());
    let (kind, word) = match table.kind {
        RelationKind::Foreign => (Kind::ForeignTable, "FOREIGN TABLE"),
        _ => (Kind::Table, "TABLE"),
    };
    let id = out.add(
        table.object(),
        Entry {
            owner: Some(table.owner.clone()),
            create,
            since_15: identities.since_15,
            retired,
            drop: format!("DROP {word} {};\n", table.sql()),
            ..Entry::new(kind, Some(&table.name.schema), &table.name.name)
        },
    );
    for object in created {
        out.also_creates(id, object);
    }
    for relation in identities.sequences.iter().filter_map(|&s| parts.relations.own(s)) {
        out.also_creates(id, relation.object());
    }
}

/// A table with what its definition says of each column.
struct Written<'a> {
    table: &'a Relation,
    parts: Parts<'a>,
    columns: Vec<WrittenColumn<'a>>,
}

struct WrittenColumn<'a> {
    column: &'a Column,
    inherited: Inherited,
    /// The default is an entry of its own.
    separate_default: bool,
}

impl<'a> Written<'a> {
    fn new(table: &'a Relation, parts: Parts<'a>, out: &Builder) -> Self {
        let placement =
            Placement { dependencies: parts.dependencies, relations: parts.relations, out };
        let columns = created_order(table, parts.relations, parts.columns)
            .into_iter()
            .map(|column| WrittenColumn {
                column,
                inherited: inherited(table, column, parts.relations, parts.columns),
                separate_default: placement.default_is_separate(column, table),
            })
            .collect();
        Written { table, parts, columns }
    }

    fn create(&self) -> String {
        let table = self.table;
        let word = match table.kind {
            RelationKind::Foreign => "FOREIGN ",
            _ if table.unlogged => "UNLOGGED ",
            _ => "",
        };
        let mut sql = format!("CREATE {word}TABLE {}", table.sql());
        if let Some(of_type) = &table.of_type {
            sql.push_str(&format!(" OF {of_type}"));
        }
        let items = self.items();
        if !items.is_empty() {
            sql.push_str(&format!(" (\n    {}\n)", items.join(",\n    ")));
        } else if table.of_type.is_none() {
            sql.push_str(" (\n)");
        }
        if !table.is_partition && !table.parents.is_empty() {
            let parents: Vec<String> = table
                .parents
                .iter()
                .filter_map(|&parent| self.parts.relations.any(parent))
                .map(Relation::sql)
                .collect();
            sql.push_str(&format!("\nINHERITS ({})", parents.join(", ")));
        }
        if let Some(key) = &table.partition_key {
            sql.push_str(&format!("\nPARTITION BY {key}"));
        }
        sql.push_str(&self.parts.foreign.clause(table));
        sql.push_str(&using(table));
        if let Some(list) = reloptions::with_list(&table.options, &table.toast_options) {
            sql.push_str(&format!("\nWITH ({list})"));
        }
        sql.push_str(";\n");
        sql
    }

    /// Columns and constraints between the parentheses.
    fn items(&self) -> Vec<String> {
        let table = self.table;
        let typed = table.of_type.is_some();
        let mut items = Vec::new();
        for written in &self.columns {
            let column = written.column;
            if column.is_written(table) {
                let default = written.default_clause(table);
                let not_null =
                    self.parts.checks.not_null_clause(table, column, written.inherited.not_null);
                if !typed || default.is_some() || not_null.is_some() {
                    items.push(columns::definition(column, typed, default, not_null.as_deref()));
                }
            } else {
                let Parts { checks, columns, .. } = self.parts;
                let inherited = written.inherited.not_null;
                items.extend(checks.not_null_constraint(table, column, columns, inherited));
            }
        }
        items.extend(self.parts.checks.inline(table).map(checks::Check::item));
        items
    }

    /// The ALTERs that follow the definition.
    fn afterwards(&self) -> String {
        let table = self.table;
        let mut sql = String::new();
        for written in &self.columns {
            sql.push_str(&written.inherited_changes(table, self.parts.checks));
            if self.drops_not_null(written) {
                sql.push_str(&format!(
                    "{} ALTER COLUMN {} DROP NOT NULL;\n",
                    table.alter_only(),
                    quote_ident(&written.column.name)
                ));
            }
            sql.push_str(&columns::alterations(
                table,
                written.column,
                written.inherited_storage(table),
            ));
            sql.push_str(&self.parts.foreign.column_options(table, written.column));
        }
        // A foreign table's is always NOTHING, and can't be set.
        if table.kind == RelationKind::Foreign {
            return sql;
        }
        let alter = table.alter_only();
        match table.replica_identity.as_str() {
            "n" => sql.push_str(&format!("{alter} REPLICA IDENTITY NOTHING;\n")),
            "f" => sql.push_str(&format!("{alter} REPLICA IDENTITY FULL;\n")),
            _ => {}
        }
        if table.force_row_security {
            sql.push_str(&format!("{alter} FORCE ROW LEVEL SECURITY;\n"));
        }
        sql
    }

    /// What newer versions refuse of it (source: MergeAttributes, MergeAttributesIntoExisting and
    /// ATExecAttachPartition in commands/tablecmds.c).
    fn retired(&self, has_identities: bool) -> Option<Retired> {
        let table = self.table.sql();
        let about = |written: &WrittenColumn<'_>| {
            let name = &written.column.name;
            (name.clone(), format!("ALTER TABLE {table} ALTER COLUMN {}", quote_ident(name)))
        };
        let generated = |w: &&WrittenColumn<'_>| w.column.generated.is_some() && w.inherited.plain;
        if let Some(written) = self.columns.iter().find(generated) {
            let (name, alter) = about(written);
            return Some(Retired {
                since: 16,
                why: format!("its column {name} is generated, and its parent's isn't"),
                mend: format!("{alter} DROP EXPRESSION; or take the table from its parent"),
            });
        }
        if self.table.is_partition && has_identities {
            return Some(Retired {
                since: 17,
                why: "a partition has no identity columns of its own".to_owned(),
                mend: format!("ALTER TABLE {table} ALTER COLUMN … DROP IDENTITY;"),
            });
        }
        let written = self.columns.iter().find(|written| self.drops_not_null(written))?;
        let (name, alter) = about(written);
        Some(Retired {
            since: 18,
            why: format!("its column {name} may hold NULL, and its parent's may not"),
            mend: format!("{alter} SET NOT NULL; or take the table from its parent"),
        })
    }

    /// Whether the column takes a NULL that its parent's doesn't, as ALTER TABLE allows a child
    /// before 18: created under its parent it doesn't, until it is told again.
    fn drops_not_null(&self, written: &WrittenColumn<'_>) -> bool {
        written.inherited.not_null
            && !written.column.not_null
            && !self.table.is_partition
            && self.parts.checks.not_null_has_no_name()
    }

    /// Whoever names no columns, as `INSERT` without a list, sees where they stand.
    /// Where values of its row type are stored, their text is by place, and would come to mean other
    /// columns without anybody noticing.
    fn tell_moved_columns(&self, stored: &HashSet<Oid>, out: &mut Builder) {
        let list = |columns: &[&Column]| {
            columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        let before: Vec<&Column> = self.parts.columns.of(self.table.oid).iter().collect();
        let after: Vec<&Column> = self.columns.iter().map(|written| written.column).collect();
        if before.iter().map(|c| c.number).ne(after.iter().map(|c| c.number)) {
            let object = format!("column order of {}", self.table.name);
            let order = format!(
                "what a table inherits comes first when it is created, so that it has ({}) instead \
                 of ({})",
                list(&after),
                list(&before)
            );
            if stored.contains(&Oid(self.table.row_type)) {
                let why = "columns of its row type hold values by place, which would be mixed up";
                out.unsupported(object, format!("{order}; {why}"));
            } else {
                let why = "statements that name no columns may mean others";
                out.left_out(object, format!("{order}; {why}"));
            }
        }
    }

    /// The parts that come with the table: row type, inline defaults and constraints.
    fn created(&self) -> Vec<ObjectId> {
        let table = self.table;
        let mut objects = vec![ObjectId::new(class::PG_TYPE, table.row_type)];
        for written in &self.columns {
            if let Some(default) = &written.column.default
                && !written.separate_default
            {
                objects.push(defaults::object(default.oid));
            }
            objects.extend(self.parts.checks.created_with(table, written.column));
        }
        objects.extend(self.parts.checks.inline(table).map(|c| checks::object(c.oid)));
        objects
    }
}

impl WrittenColumn<'_> {
    /// The expression in the column's definition. A child without a default says so where its
    /// parent has one; one that is generated just as its parent's says nothing.
    fn default_clause(&self, table: &Relation) -> Option<&str> {
        let own = self.column.default.as_ref().map(|d| d.sql.as_str());
        match own {
            Some(_) if self.separate_default => None,
            Some(_) if self.is_generated_as_parent(table) => None,
            Some(sql) => Some(sql),
            None => (self.inherited.default && !table.is_partition).then_some("NULL"),
        }
    }

    /// A partition is created without its parent, so that it takes nothing over.
    fn inherited_storage(&self, table: &Relation) -> Inherited {
        if table.is_partition { Inherited::default() } else { self.inherited }
    }

    fn is_generated_as_parent(&self, table: &Relation) -> bool {
        self.column.generated.is_some() && self.inherited.generation && !table.is_partition
    }

    /// What differs from the parent in a column that the definition doesn't write.
    fn inherited_changes(&self, table: &Relation, checks: &Checks) -> String {
        if self.column.is_written(table) {
            return String::new();
        }
        let mut sql = String::new();
        if self.column.generated.is_none()
            && let Some(default) = self.default_clause(table)
        {
            let set = defaults::set_default(table, &self.column.name, default);
            sql.push_str(&format!("{set};\n"));
        }
        if checks.is_set_afterwards(table, self.column, self.inherited.not_null) {
            sql.push_str(&format!(
                "{} ALTER COLUMN {} SET NOT NULL;\n",
                table.alter_only(),
                quote_ident(&self.column.name)
            ));
        }
        sql
    }
}

/// The access method, where it isn't what CREATE would take by itself.
pub(super) fn using(relation: &Relation) -> String {
    match &relation.access_method {
        Some(method) if method != "heap" || relation.kind == RelationKind::Partitioned => {
            format!("\nUSING {}", quote_ident(method))
        }
        _ => String::new(),
    }
}

fn attach_entry(parent: &Relation, child: &Relation, bound: &str) -> Entry {
    Entry {
        create: format!("{} ATTACH PARTITION {} {bound};\n", parent.alter_only(), child.sql()),
        drop: format!("ALTER TABLE {} DETACH PARTITION {};\n", parent.sql(), child.sql()),
        ..Entry::new(Kind::TableAttach, Some(&child.name.schema), &child.name.name)
    }
}
