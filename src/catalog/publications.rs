//! Publications, and the tables and schemas in them (documentation: SQL command CREATE PUBLICATION).

use std::collections::HashMap;

use crate::error::Result;
use crate::pg::{Oid, QualifiedName, class, quote_ident};
use crate::toc::{Entry, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::fragments::{qualified, stands_alone};
use super::relations::Relations;
use super::rendered::rendered_if;

/// Adds PUBLICATION, PUBLICATION TABLE and PUBLICATION TABLES IN SCHEMA entries.
pub(super) async fn read(
    session: &Session,
    relations: &Relations,
    out: &mut Builder,
) -> Result<()> {
    let major = session.version().major();
    let mut publications: HashMap<u32, Publication> = HashMap::new();
    for row in session.query("reading publications", &publications_sql(major), &[]).await? {
        let oid: u32 = row.get("oid");
        let publication = Publication {
            name: row.get("pubname"),
            owner: row.get("owner"),
            all_tables: row.get("puballtables"),
            publish: row.get("publish"),
            via_root: row.get("via_root"),
            generated: row.get("generated"),
        };
        out.add(ObjectId::new(class::PG_PUBLICATION, oid), publication.entry());
        publications.insert(oid, publication);
    }
    for row in session.query("reading publications' tables", &tables_sql(major), &[]).await? {
        let Some(publication) = publications.get(&row.get("prpubid")) else {
            continue;
        };
        let table = Published {
            name: qualified(&row, "relname"),
            columns: row.get("columns"),
            filter: None,
        };
        let filtered: bool = row.get("filtered");
        let shown = || format!("table {} of publication {}", table.name, publication.name);
        let filter = rendered_if(&row, filtered, "filter", shown)?;
        let table = Published { filter, ..table };
        let object = ObjectId::new(class::PG_PUBLICATION_REL, row.get("oid"));
        let Some(relation) = relations.any(row.get("prrelid")) else {
            out.needs_no_entry(object);
            out.left_out(
                format!("table {} of publication {}", table.name, publication.name),
                "the table isn't moved",
            );
            continue;
        };
        let id = out.add(object, publication.table(&table));
        out.needs(id, ObjectId::new(class::PG_PUBLICATION, row.get("prpubid")));
        out.needs(id, relation.object());
    }
    if major < 15 {
        return Ok(());
    }
    let sql = "select p.oid, p.pnpubid, p.pnnspid, n.nspname::text \
               from pg_catalog.pg_publication_namespace p \
               join pg_catalog.pg_namespace n on n.oid = p.pnnspid order by p.pnpubid, n.nspname";
    for row in session.query("reading publications' schemas", sql, &[]).await? {
        if let Some(publication) = publications.get(&row.get("pnpubid")) {
            let object = ObjectId::new(class::PG_PUBLICATION_NAMESPACE, row.get("oid"));
            let id = out.add(object, publication.schema(row.get("nspname")));
            out.needs(id, ObjectId::new(class::PG_PUBLICATION, row.get("pnpubid")));
            out.needs(id, ObjectId::new(class::PG_NAMESPACE, row.get("pnnspid")));
        }
    }
    Ok(())
}

fn publications_sql(major: u32) -> String {
    let via_root = if major >= 13 { "p.pubviaroot" } else { "false" };
    let generated = if major >= 18 { "p.pubgencols = 's'" } else { "false" };
    format!(
        "select p.oid, p.pubname::text, pg_catalog.pg_get_userbyid(p.pubowner)::text as owner, \
         p.puballtables, pg_catalog.concat_ws(', ', \
         case when p.pubinsert then 'insert' end, case when p.pubupdate then 'update' end, \
         case when p.pubdelete then 'delete' end, \
         case when p.pubtruncate then 'truncate' end) as publish, \
         {via_root} as via_root, {generated} as generated \
         from pg_catalog.pg_publication p where p.oid >= {} and {} order by p.pubname",
        Oid::FIRST_NORMAL,
        stands_alone("pg_publication", "p.oid")
    )
}

/// Columns and filters came with 15.
fn tables_sql(major: u32) -> String {
    let (columns, filter, filtered) = match major {
        15.. => (
            "(select pg_catalog.array_agg(a.attname::text order by listed.place) \
             from pg_catalog.unnest(p.prattrs) with ordinality listed(number, place) \
             join pg_catalog.pg_attribute a on a.attrelid = p.prrelid \
             and a.attnum = listed.number)",
            "pg_catalog.pg_get_expr(p.prqual, p.prrelid)",
            "p.prqual is not null",
        ),
        _ => ("null::text[]", "null::text", "false"),
    };
    format!(
        "select p.oid, p.prpubid, p.prrelid, n.nspname::text, c.relname::text, \
         coalesce({columns}, '{{}}') as columns, {filter} as filter, \
         {filtered} as filtered \
         from pg_catalog.pg_publication_rel p \
         join pg_catalog.pg_class c on c.oid = p.prrelid \
         join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
         order by p.prpubid, n.nspname, c.relname"
    )
}

#[derive(Debug)]
struct Publication {
    name: String,
    owner: String,
    all_tables: bool,
    /// `insert, update`: what it publishes.
    publish: String,
    via_root: bool,
    /// Stored generated columns are published too.
    generated: bool,
}

/// A table of a publication.
#[derive(Debug)]
struct Published {
    name: QualifiedName,
    /// None at all: all of them.
    columns: Vec<String>,
    filter: Option<String>,
}

impl Publication {
    fn entry(&self) -> Entry {
        let name = quote_ident(&self.name);
        let all = if self.all_tables { " FOR ALL TABLES" } else { "" };
        let mut options = vec![format!("publish = '{}'", self.publish)];
        if self.via_root {
            options.push("publish_via_partition_root = true".to_owned());
        }
        if self.generated {
            options.push("publish_generated_columns = stored".to_owned());
        }
        Entry {
            owner: Some(self.owner.clone()),
            create: format!("CREATE PUBLICATION {name}{all} WITH ({});\n", options.join(", ")),
            drop: format!("DROP PUBLICATION {name};\n"),
            ..Entry::new(Kind::Publication, None, self.name.as_str())
        }
    }

    fn table(&self, table: &Published) -> Entry {
        let mut create = format!("{} ADD TABLE ONLY {}", self.alter(), table.name.sql());
        if !table.columns.is_empty() {
            let columns: Vec<String> = table.columns.iter().map(|c| quote_ident(c)).collect();
            create.push_str(&format!(" ({})", columns.join(", ")));
        }
        if let Some(filter) = &table.filter {
            create.push_str(&format!(" WHERE ({filter})"));
        }
        create.push_str(";\n");
        Entry {
            create,
            ..Entry::new(
                Kind::PublicationTable,
                Some(&table.name.schema),
                format!("{} {}", self.name, table.name.name),
            )
        }
    }

    fn schema(&self, schema: &str) -> Entry {
        Entry {
            create: format!("{} ADD TABLES IN SCHEMA {};\n", self.alter(), quote_ident(schema)),
            ..Entry::new(Kind::PublicationSchema, Some(schema), format!("{} {schema}", self.name))
        }
    }

    fn alter(&self) -> String {
        format!("ALTER PUBLICATION {}", quote_ident(&self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publication() -> Publication {
        Publication {
            name: "P".to_owned(),
            owner: "o".to_owned(),
            all_tables: false,
            publish: "insert, delete".to_owned(),
            via_root: false,
            generated: false,
        }
    }

    #[test]
    fn a_publication_says_what_differs_from_the_default_and_always_what_it_publishes() {
        assert_eq!(
            publication().entry().create,
            "CREATE PUBLICATION \"P\" WITH (publish = 'insert, delete');\n"
        );
        let all =
            Publication { all_tables: true, via_root: true, generated: true, ..publication() };
        assert_eq!(
            all.entry().create,
            "CREATE PUBLICATION \"P\" FOR ALL TABLES WITH (publish = 'insert, delete', \
             publish_via_partition_root = true, publish_generated_columns = stored);\n"
        );
    }

    #[test]
    fn a_table_is_published_alone_with_its_columns_and_filter() {
        let table = Published {
            name: QualifiedName::new("s", "t"),
            columns: vec!["id".to_owned(), "a b".to_owned()],
            filter: Some("(id > 0)".to_owned()),
        };
        assert_eq!(
            publication().table(&table).create,
            "ALTER PUBLICATION \"P\" ADD TABLE ONLY \"s\".\"t\" (\"id\", \"a b\") \
             WHERE ((id > 0));\n"
        );
        assert_eq!(
            publication().schema("s").create,
            "ALTER PUBLICATION \"P\" ADD TABLES IN SCHEMA \"s\";\n"
        );
    }
}
