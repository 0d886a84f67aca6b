//! Enums and composite types, and what all types share (documentation: SQL command CREATE TYPE).

use crate::error::Result;
use crate::pg::{QualifiedName, class, quote_ident, quote_literal};
use crate::toc::{Entry, EntryId, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::fragments::{qualified, quoted, stands_alone};
use super::rendered::rendered_all;
use super::scope::Scope;

/// Adds an entry for each type that stands on its own: not the array types, row types and
/// multiranges that come with others. Base types, ranges and
/// domains are families of their own.
pub(super) async fn read(session: &Session, scope: &Scope, out: &mut Builder) -> Result<()> {
    read_enums(session, scope, out).await?;
    read_composites(session, scope, out).await
}

/// A query for the user's types: `columns` beside the usual ones, `joins`, and the `condition`
/// that says which types.
pub(super) fn query(scope: &Scope, columns: &str, joins: &str, condition: &str) -> String {
    format!(
        "select t.oid, t.typarray, n.nspname::text, t.typname::text, \
         pg_catalog.pg_get_userbyid(t.typowner)::text as owner{columns} \
         from pg_catalog.pg_type t \
         join pg_catalog.pg_namespace n on n.oid = t.typnamespace {joins} \
         where {condition} and {} and {} order by n.nspname, t.typname",
        scope.schemas("n.nspname"),
        stands_alone("pg_type", "t.oid")
    )
}

/// What every type has: its name and owner.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) name: QualifiedName,
    pub(super) owner: String,
}

impl Named {
    pub(super) fn of(row: &tokio_postgres::Row) -> Named {
        Named { name: qualified(row, "typname"), owner: row.get("owner") }
    }

    pub(super) fn entry(&self, definition: &str) -> Entry {
        let name = self.name.sql();
        Entry {
            owner: Some(self.owner.clone()),
            create: format!("CREATE TYPE {name} AS {definition};\n"),
            drop: format!("DROP TYPE {name};"),
            ..Entry::new(Kind::Type, Some(&self.name.schema), self.name.name.as_str())
        }
    }
}

/// Adds a type's entry, which also creates its array type.
pub(super) fn add(out: &mut Builder, row: &tokio_postgres::Row, entry: Entry) -> EntryId {
    let id = out.add(ObjectId::new(class::PG_TYPE, row.get("oid")), entry);
    also_creates_type(out, id, row.get("typarray"));
    id
}

/// Says that the entry `id` also creates the type `oid`, where there is one: a domain from before
/// 11 has no array type.
pub(super) fn also_creates_type(out: &mut Builder, id: EntryId, oid: u32) {
    if oid != 0 {
        out.also_creates(id, ObjectId::new(class::PG_TYPE, oid));
    }
}

async fn read_enums(session: &Session, scope: &Scope, out: &mut Builder) -> Result<()> {
    let sql = query(
        scope,
        ", array(select e.enumlabel::text from pg_catalog.pg_enum e \
         where e.enumtypid = t.oid order by e.enumsortorder) as labels",
        "",
        "t.typtype = 'e'",
    );
    for row in session.query("reading enums", &sql, &[]).await? {
        let labels: Vec<String> = row.get("labels");
        let entry = Named::of(&row).entry(&enum_definition(&labels));
        add(out, &row, entry);
    }
    Ok(())
}

fn enum_definition(labels: &[String]) -> String {
    format!("ENUM ({})", listed(labels.iter().map(|l| quote_literal(l))))
}

/// A list with an item a line, as pg_dump lays it out.
pub(super) fn listed(items: impl Iterator<Item = String>) -> String {
    let lines: Vec<String> = items.map(|item| format!("\n\t{item}")).collect();
    match lines.len() {
        0 => String::new(),
        _ => format!("{}\n", lines.join(",")),
    }
}

async fn read_composites(session: &Session, scope: &Scope, out: &mut Builder) -> Result<()> {
    let attribute_lists = format!(
        "left join lateral (select pg_catalog.array_agg(a.attname::text order by a.attnum) as names, \
         pg_catalog.array_agg(pg_catalog.format_type(a.atttypid, a.atttypmod) order by a.attnum) as types, \
         pg_catalog.array_agg(case when a.attcollation <> it.typcollation then {} end \
         order by a.attnum) as collations \
         from pg_catalog.pg_attribute a \
         left join pg_catalog.pg_type it on it.oid = a.atttypid \
         left join (pg_catalog.pg_collation co \
         join pg_catalog.pg_namespace cn on cn.oid = co.collnamespace) on co.oid = a.attcollation \
         where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped) attributes on true",
        quoted("cn.nspname", "co.collname")
    );
    let sql = query(
        scope,
        ", t.typrelid, coalesce(attributes.names, '{}') as names, \
         coalesce(attributes.types, '{}') as types, \
         coalesce(attributes.collations, '{}') as collations",
        &format!("join pg_catalog.pg_class r on r.oid = t.typrelid {attribute_lists}"),
        "t.typtype = 'c' and r.relkind = 'c'",
    );
    for row in session.query("reading composite types", &sql, &[]).await? {
        let names: Vec<String> = row.get("names");
        let types = rendered_all(&row, "types", || {
            format!("type {}.{}", row.get::<_, &str>("nspname"), row.get::<_, &str>("typname"))
        })?;
        let collations: Vec<Option<String>> = row.get("collations");
        let attributes: Vec<Attribute> = names
            .into_iter()
            .zip(types)
            .zip(collations)
            .map(|((name, type_name), collation)| Attribute { name, type_name, collation })
            .collect();
        let entry = Named::of(&row).entry(&composite_definition(&attributes));
        let id = add(out, &row, entry);
        out.also_creates(id, ObjectId::new(class::PG_CLASS, row.get("typrelid")));
    }
    Ok(())
}

/// An attribute of a composite type; the collation, where it isn't its type's own, as SQL.
#[derive(Debug)]
struct Attribute {
    name: String,
    type_name: String,
    collation: Option<String>,
}

fn composite_definition(attributes: &[Attribute]) -> String {
    let attribute = |a: &Attribute| {
        let collate = match &a.collation {
            Some(collation) => format!(" COLLATE {collation}"),
            None => String::new(),
        };
        format!("{} {}{collate}", quote_ident(&a.name), a.type_name)
    };
    format!("({})", listed(attributes.iter().map(attribute)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named() -> Named {
        Named { name: QualifiedName::new("s", "T"), owner: "o".to_owned() }
    }

    #[test]
    fn an_enum_lists_its_labels_in_order() {
        let labels = ["b".to_owned(), "it's".to_owned()];
        let entry = named().entry(&enum_definition(&labels));
        assert_eq!(entry.create, "CREATE TYPE \"s\".\"T\" AS ENUM (\n\t'b',\n\t'it''s'\n);\n");
        assert_eq!(
            entry.owner_sql("x").as_deref(),
            Some("ALTER TYPE \"s\".\"T\" OWNER TO \"x\";\n")
        );
        assert_eq!(enum_definition(&[]), "ENUM ()");
    }

    #[test]
    fn a_composite_lists_attributes_with_the_collations_that_are_not_their_types() {
        let attributes = [
            Attribute {
                name: "A b".to_owned(),
                type_name: "numeric(10,2)[]".to_owned(),
                collation: None,
            },
            Attribute {
                name: "t".to_owned(),
                type_name: "text".to_owned(),
                collation: Some("\"pg_catalog\".\"C\"".to_owned()),
            },
        ];
        assert_eq!(
            composite_definition(&attributes),
            "(\n\t\"A b\" numeric(10,2)[],\n\t\"t\" text COLLATE \"pg_catalog\".\"C\"\n)"
        );
        assert_eq!(composite_definition(&[]), "()");
    }
}
