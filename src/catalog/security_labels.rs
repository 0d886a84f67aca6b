//! Security labels, on whatever has an entry (documentation: SQL command SECURITY LABEL).

use crate::error::Result;
use crate::pg::{Oid, class, quote_ident, quote_literal};
use crate::toc::{Entry, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};

/// Adds an entry for each label. Everything labelled has to be there before. The server names the
/// labelled objects (documentation: pg_identify_object_as_address).
pub(super) async fn read(session: &Session, out: &mut Builder) -> Result<()> {
    let sql = "select l.classoid, l.objoid, l.provider, l.label, i.type, i.object_names, \
               i.object_args \
               from (select classoid, objoid, objsubid, provider, label from pg_catalog.pg_seclabel \
               union all select classoid, objoid, 0, provider, label from pg_catalog.pg_shseclabel \
               ) l cross join lateral pg_catalog.pg_identify_object_as_address( \
               l.classoid, l.objoid, l.objsubid) i \
               order by i.type, i.object_names, i.object_args, l.provider";
    let database: String = session
        .query_one("reading security labels", "select pg_catalog.current_database()::text", &[])
        .await?
        .get(0);
    for row in session.query("reading security labels", sql, &[]).await? {
        let object = ObjectId::new(Oid(row.get("classoid")), row.get("objoid"));
        let labelled = Labelled {
            kind: row.get("type"),
            names: row.get("object_names"),
            arguments: row.get("object_args"),
        };
        let creator = out.creator(object);
        let this_database = object.class == class::PG_DATABASE && labelled.names == [&*database];
        // Other databases and tablespaces, roles that aren't needed here, what isn't selected.
        if creator.is_none() && !this_database && !out.is_extension_member(object) {
            if labelled.kind == "large object" {
                let what = format!("security label on large object {}", labelled.names.join("."));
                out.left_out(what, "the large object has no entry of its own");
            }
            continue;
        }
        let Some(mut entry) = labelled.entry(row.get("provider"), row.get("label")) else {
            let what = format!("security label on {} {}", labelled.kind, labelled.names.join("."));
            out.unsupported(what, "no security label can be given to objects of this kind");
            continue;
        };
        entry.depends_on.extend(creator);
        let id = out.add_part(entry);
        if !this_database {
            out.needs(id, object);
        }
    }
    Ok(())
}

/// A labelled object, as pg_identify_object_as_address names it.
#[derive(Debug)]
struct Labelled {
    kind: String,
    names: Vec<String>,
    arguments: Vec<String>,
}

impl Labelled {
    /// None for a kind of object that SECURITY LABEL doesn't know.
    fn entry(&self, provider: &str, label: &str) -> Option<Entry> {
        let word = self.word()?;
        let quoted: Vec<String> = match word {
            // A type's name is rendered as SQL reads it, a large object's is its number.
            "TYPE" | "LARGE OBJECT" => self.names.clone(),
            _ => self.names.iter().map(|name| quote_ident(name)).collect(),
        };
        let arguments = match word {
            "AGGREGATE" if self.arguments.is_empty() => "(*)".to_owned(),
            "AGGREGATE" | "FUNCTION" | "PROCEDURE" => format!("({})", self.arguments.join(", ")),
            _ => String::new(),
        };
        let schema = match word {
            "TYPE" => None,
            _ if self.names.len() > 1 => self.names.first(),
            _ => None,
        };
        let own = if schema.is_some() { &self.names[1..] } else { &self.names };
        let tag = format!("{word} {}{arguments}", own.join("."));
        Some(Entry {
            create: format!(
                "SECURITY LABEL FOR {} ON {word} {}{arguments} IS {};\n",
                quote_ident(provider),
                quoted.join("."),
                quote_literal(label)
            ),
            ..Entry::new(Kind::SecurityLabel, schema.map(String::as_str), tag)
        })
    }

    /// What SECURITY LABEL calls it (source: the grammar's SecLabelStmt).
    fn word(&self) -> Option<&'static str> {
        Some(match self.kind.as_str() {
            "table" => "TABLE",
            "view" => "VIEW",
            "materialized view" => "MATERIALIZED VIEW",
            "sequence" => "SEQUENCE",
            "foreign table" => "FOREIGN TABLE",
            kind if kind.ends_with(" column") => "COLUMN",
            "function" => "FUNCTION",
            "procedure" => "PROCEDURE",
            "aggregate" => "AGGREGATE",
            "type" => "TYPE",
            "schema" => "SCHEMA",
            "language" => "LANGUAGE",
            "large object" => "LARGE OBJECT",
            "event trigger" => "EVENT TRIGGER",
            "publication" => "PUBLICATION",
            "subscription" => "SUBSCRIPTION",
            "database" => "DATABASE",
            "role" => "ROLE",
            "tablespace" => "TABLESPACE",
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(kind: &str, names: &[&str], arguments: &[&str]) -> String {
        let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        let labelled =
            Labelled { kind: kind.to_owned(), names: owned(names), arguments: owned(arguments) };
        labelled.entry("p", "it's").map(|entry| entry.create).unwrap_or_default()
    }

    #[test]
    fn a_label_names_its_object_as_the_statement_wants_it() {
        assert_eq!(
            create("table column", &["s", "T", "c"], &[]),
            "SECURITY LABEL FOR \"p\" ON COLUMN \"s\".\"T\".\"c\" IS 'it''s';\n"
        );
        assert_eq!(
            create("function", &["s", "f"], &["integer", "s.t[]"]),
            "SECURITY LABEL FOR \"p\" ON FUNCTION \"s\".\"f\"(integer, s.t[]) IS 'it''s';\n"
        );
        assert_eq!(
            create("aggregate", &["s", "a"], &[]),
            "SECURITY LABEL FOR \"p\" ON AGGREGATE \"s\".\"a\"(*) IS 'it''s';\n"
        );
        assert_eq!(
            create("type", &["s.\"T\""], &[]),
            "SECURITY LABEL FOR \"p\" ON TYPE s.\"T\" IS 'it''s';\n"
        );
        assert_eq!(create("cast", &["a"], &["b"]), "");
    }
}
