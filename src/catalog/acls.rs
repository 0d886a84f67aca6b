//! Grants: on whatever has an entry, on the database, and on what the system and extensions bring
//! where somebody changed it (source: getAdditionalACLs and dumpACL in pg_dump.c).

use std::collections::HashMap;

use crate::error::Result;
use crate::pg::{Oid, QualifiedName, class, quote_ident};
use crate::toc::{Entry, EntryId, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::grants::{self, Grantable, Target};

/// Adds an entry for each object whose privileges aren't those it is born with. Everything granted
/// on has to be there before.
pub(super) async fn read(session: &Session, out: &mut Builder) -> Result<()> {
    let major = session.version().major();
    // A column's privileges go with a REVOKE on its table, so they come after the table's.
    let mut of_tables: HashMap<u32, EntryId> = HashMap::new();
    for row in session.query("reading privileges", &query(), &[]).await? {
        let object = ObjectId::new(Oid(row.get("class")), row.get("oid"));
        let extension: Option<u32> = row.get("extension");
        let word: &str = row.get("word");
        let creator = out.creator(object);
        let brought = extension.is_some() || row.get("system") || word == "DATABASE";
        if creator.is_none() && !brought {
            continue;
        }
        let held = Held {
            kind: grantable(word),
            schema: row.get("schema"),
            name: row.get("name"),
            arguments: row.get("arguments"),
            column: row.get("column"),
            owner: row.get("owner"),
            base: row.get("base"),
            acl: row.get("acl"),
        };
        let held =
            if word == "SCHEMA" && held.name == "public" { held.of_public(major) } else { held };
        let Some(mut entry) = held.entry() else {
            out.unsupported(held.tag(), "its privileges could not be read");
            continue;
        };
        if entry.create.is_empty() {
            continue;
        }
        entry.depends_on.extend(creator);
        if held.column.is_some() {
            entry.depends_on.extend(of_tables.get(&object.oid.0));
        }
        let id = out.add_part(entry);
        if let Some(extension) = extension {
            out.needs(id, ObjectId::new(class::PG_EXTENSION, extension));
        }
        if word == "TABLE" {
            of_tables.insert(object.oid.0, id);
        }
    }
    Ok(())
}

fn grantable(word: &str) -> Grantable {
    match word {
        "COLUMN" => Grantable::Column,
        "SEQUENCE" => Grantable::Sequence,
        "FUNCTION" => Grantable::Function,
        "PROCEDURE" => Grantable::Procedure,
        "SCHEMA" => Grantable::Schema,
        "TYPE" => Grantable::Type,
        "LANGUAGE" => Grantable::Language,
        "FOREIGN DATA WRAPPER" => Grantable::ForeignDataWrapper,
        "FOREIGN SERVER" => Grantable::ForeignServer,
        "DATABASE" => Grantable::Database,
        _ => Grantable::Table,
    }
}

/// One row for each object whose privileges differ from their base: those that it had when initdb
/// or its extension's script was through, or else the built-in ones. Tables come before columns.
fn query() -> String {
    let families = [
        Family {
            class: "pg_class",
            word: "case o.relkind when 'S' then 'SEQUENCE' else 'TABLE' end",
            name: "o.relname",
            acl: "o.relacl",
            owner: "o.relowner",
            letter: "case o.relkind when 'S' then 's'::\"char\" else 'r'::\"char\" end",
            schema: Some("o.relnamespace"),
            arguments: "null",
            condition: "o.relkind in ('r', 'p', 'v', 'm', 'f', 'S')",
        },
        Family {
            class: "pg_proc",
            word: "case o.prokind when 'p' then 'PROCEDURE' else 'FUNCTION' end",
            name: "o.proname",
            acl: "o.proacl",
            owner: "o.proowner",
            letter: "'f'",
            schema: Some("o.pronamespace"),
            arguments: "case when o.prokind = 'a' then (select pg_catalog.string_agg( \
                 pg_catalog.format_type(a.type, null), ', ' order by a.place) \
                 from pg_catalog.unnest(o.proargtypes) with ordinality a(type, place)) \
                 else pg_catalog.pg_get_function_identity_arguments(o.oid) end",
            condition: "true",
        },
        Family {
            class: "pg_namespace",
            word: "'SCHEMA'",
            name: "o.nspname",
            acl: "o.nspacl",
            owner: "o.nspowner",
            letter: "'n'",
            schema: None,
            arguments: "null",
            condition: "true",
        },
        Family {
            class: "pg_type",
            word: "'TYPE'",
            name: "o.typname",
            acl: "o.typacl",
            owner: "o.typowner",
            letter: "'T'",
            schema: Some("o.typnamespace"),
            arguments: "null",
            condition: "true",
        },
        Family {
            class: "pg_language",
            word: "'LANGUAGE'",
            name: "o.lanname",
            acl: "o.lanacl",
            owner: "o.lanowner",
            letter: "'l'",
            schema: None,
            arguments: "null",
            condition: "true",
        },
        Family {
            class: "pg_foreign_data_wrapper",
            word: "'FOREIGN DATA WRAPPER'",
            name: "o.fdwname",
            acl: "o.fdwacl",
            owner: "o.fdwowner",
            letter: "'F'",
            schema: None,
            arguments: "null",
            condition: "true",
        },
        Family {
            class: "pg_foreign_server",
            word: "'FOREIGN SERVER'",
            name: "o.srvname",
            acl: "o.srvacl",
            owner: "o.srvowner",
            letter: "'S'",
            schema: None,
            arguments: "null",
            condition: "true",
        },
        Family {
            class: "pg_database",
            word: "'DATABASE'",
            name: "o.datname",
            acl: "o.datacl",
            owner: "o.datdba",
            letter: "'d'",
            schema: None,
            arguments: "null",
            condition: "o.datname = pg_catalog.current_database()",
        },
    ];
    let mut branches: Vec<String> = families.iter().map(Family::branch).collect();
    branches.push(columns());
    format!(
        "select * from ({}) held order by word = 'COLUMN', word, schema, name, arguments, place",
        branches.join(" union all ")
    )
}

/// A catalog whose rows hold privileges; the fields are SQL expressions on its alias `o`.
struct Family {
    class: &'static str,
    word: &'static str,
    name: &'static str,
    acl: &'static str,
    owner: &'static str,
    /// The kind of object, as acldefault calls it.
    letter: &'static str,
    schema: Option<&'static str>,
    arguments: &'static str,
    condition: &'static str,
}

/// The extension that the object is a member of, as a subquery.
fn extension(class: &str) -> String {
    format!(
        "(select e.refobjid from pg_catalog.pg_depend e where e.deptype = 'e' \
         and e.classid = 'pg_catalog.{class}'::pg_catalog.regclass and e.objid = o.oid limit 1)"
    )
}

/// Whether the object is the system's: of pg_catalog, or made by initdb and in no schema. What
/// lies in information_schema and the like is left alone, as pg_dump does.
fn system(schema_name: &str) -> String {
    format!("(o.oid < {} and {schema_name})", Oid::FIRST_NORMAL)
}

impl Family {
    fn branch(&self) -> String {
        let (schema, join, system) = match self.schema {
            Some(oid) => (
                "n.nspname",
                format!("join pg_catalog.pg_namespace n on n.oid = {oid}"),
                system("n.nspname = 'pg_catalog'"),
            ),
            None if self.class == "pg_namespace" => {
                ("null", String::new(), system("o.nspname = 'pg_catalog'"))
            }
            None => ("null", String::new(), system("true")),
        };
        let Family { class, word, name, acl, owner, letter, arguments, condition, .. } = self;
        // One made anew after a drop has no privileges noted, and so not those of a new database.
        let publics = if *class == "pg_namespace" { "o.nspname = 'public'" } else { "false" };
        // What initdb made has its privileges under its own name only: renamed, public is a schema
        // like others, which the target creates.
        let still_its = match *class {
            "pg_namespace" => {
                "and (i.privtype = 'e' or o.nspname in ('public', 'pg_catalog', \
                 'information_schema'))"
            }
            _ => "",
        };
        format!(
            "select 'pg_catalog.{class}'::pg_catalog.regclass::pg_catalog.oid as class, o.oid, \
             {word}::text as word, {schema}::text as schema, {name}::text as name, \
             ({arguments})::text as arguments, null::text as column, 0 as place, \
             pg_catalog.pg_get_userbyid({owner})::text as owner, \
             {system} as system, {extension} as extension, \
             born.acl::text[] as base, held.acl::text[] as acl \
             from pg_catalog.{class} o {join} \
             left join pg_catalog.pg_init_privs i on i.objoid = o.oid and i.objsubid = 0 \
             and i.classoid = 'pg_catalog.{class}'::pg_catalog.regclass {still_its} \
             cross join lateral (select \
             coalesce({acl}, pg_catalog.acldefault({letter}, {owner})) as acl) held \
             cross join lateral (select \
             coalesce(i.initprivs, pg_catalog.acldefault({letter}, {owner})) as acl) born \
             where ({acl} is not null or i.initprivs is not null or {publics}) \
             and (held.acl is distinct from born.acl or {name} = 'public') and {condition}",
            extension = extension(class),
        )
    }
}

fn columns() -> String {
    format!(
        "select 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid as class, o.oid, \
         'COLUMN' as word, n.nspname::text, o.relname::text, null::text, \
         a.attname::text, a.attnum::int, \
         pg_catalog.pg_get_userbyid(o.relowner)::text, \
         {system}, {extension}, \
         coalesce(i.initprivs, '{{}}')::text[], coalesce(a.attacl, '{{}}')::text[] \
         from pg_catalog.pg_attribute a \
         join pg_catalog.pg_class o on o.oid = a.attrelid \
         join pg_catalog.pg_namespace n on n.oid = o.relnamespace \
         left join pg_catalog.pg_init_privs i on i.objoid = o.oid and i.objsubid = a.attnum \
         and i.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass \
         where (a.attacl is not null or (a.attrelid, a.attnum) in \
         (select p.objoid, p.objsubid from pg_catalog.pg_init_privs p where p.objsubid <> 0 \
         and p.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass)) and not a.attisdropped \
         and coalesce(a.attacl, '{{}}') is distinct from coalesce(i.initprivs, '{{}}')",
        system = system("n.nspname = 'pg_catalog'"),
        extension = extension("pg_class"),
    )
}

/// An object and the privileges on it.
#[derive(Debug)]
struct Held {
    kind: Grantable,
    schema: Option<String>,
    name: String,
    arguments: Option<String>,
    column: Option<String>,
    owner: String,
    base: Vec<String>,
    acl: Vec<String>,
}

impl Held {
    /// None where the privileges can't be read.
    fn entry(&self) -> Option<Entry> {
        let target = Target {
            kind: self.kind,
            object: self.object(),
            column: self.column.as_deref(),
            owner: &self.owner,
            prefix: String::new(),
        };
        Some(Entry {
            owner: Some(self.owner.clone()),
            create: grants::statements(&target, &self.base, &self.acl)?,
            ..Entry::new(Kind::Acl, self.schema.as_deref(), self.tag())
        })
    }

    fn object(&self) -> String {
        let name = match &self.schema {
            Some(schema) => QualifiedName::new(schema, &self.name).sql(),
            None => quote_ident(&self.name),
        };
        format!("{} {name}{}", self.kind.word(), self.signature())
    }

    fn tag(&self) -> String {
        match &self.column {
            Some(column) => format!("COLUMN {}.{column}", self.name),
            None => format!("{} {}{}", self.kind.word(), self.name, self.signature()),
        }
    }

    fn signature(&self) -> String {
        match (self.kind, &self.arguments) {
            (Grantable::Function | Grantable::Procedure, arguments) => {
                format!("({})", arguments.as_deref().unwrap_or(""))
            }
            _ => String::new(),
        }
    }

    /// What a fresh database gives `public` depends on its version: since 15 PUBLIC may only use
    /// it, before it may create as well. Where the source has what it has since 15, and so will
    /// the target, nothing is said. Else all that PUBLIC may have is revoked (the grant option,
    /// which it can't hold, makes the item differ from any) and granted anew, in the same words
    /// whichever version tells it (source: getNamespaces in pg_dump.c).
    fn of_public(mut self, major: u32) -> Held {
        let owner = quote_ident(&self.owner);
        self.base = vec![format!("{owner}=UC/{owner}"), format!("=U/{owner}")];
        let fresh = self.entry().is_some_and(|e| e.create.is_empty());
        if major < 15 || !fresh {
            self.base[1] = format!("=UC*/{owner}");
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(kind: Grantable, name: &str) -> Held {
        Held {
            kind,
            schema: Some("s".to_owned()),
            name: name.to_owned(),
            arguments: None,
            column: None,
            owner: "o".to_owned(),
            base: Vec::new(),
            acl: vec!["a=U/o".to_owned()],
        }
    }

    #[test]
    fn grants_name_their_object_as_its_kind_wants() {
        let create = |held: &Held| held.entry().unwrap().create;
        assert_eq!(
            create(&held(Grantable::Type, "t")),
            "GRANT ALL ON TYPE \"s\".\"t\" TO \"a\";\n"
        );
        let function = Held {
            arguments: Some("a integer".to_owned()),
            acl: vec!["a=X/o".to_owned()],
            ..held(Grantable::Function, "f")
        };
        assert_eq!(create(&function), "GRANT ALL ON FUNCTION \"s\".\"f\"(a integer) TO \"a\";\n");
        assert_eq!(function.tag(), "FUNCTION f(a integer)");
        let column = Held {
            column: Some("c".to_owned()),
            acl: vec!["a=r/o".to_owned()],
            ..held(Grantable::Column, "t")
        };
        assert_eq!(create(&column), "GRANT SELECT(\"c\") ON TABLE \"s\".\"t\" TO \"a\";\n");
        assert_eq!(column.tag(), "COLUMN t.c");
    }

    #[test]
    fn publics_privileges_are_told_against_what_a_fresh_database_has() {
        let public = |major, acl: &[&str]| {
            let held = Held {
                schema: None,
                acl: acl.iter().map(|item| (*item).to_owned()).collect(),
                ..held(Grantable::Schema, "public")
            };
            held.of_public(major).entry().unwrap().create
        };
        assert_eq!(public(15, &["o=UC/o", "=U/o"]), "");
        assert_eq!(
            public(14, &["o=UC/o", "=UC/o"]),
            "REVOKE ALL ON SCHEMA \"public\" FROM PUBLIC;\n\
             GRANT ALL ON SCHEMA \"public\" TO PUBLIC;\n"
        );
        assert_eq!(public(15, &["o=UC/o", "=UC/o"]), public(14, &["o=UC/o", "=UC/o"]));
        assert_eq!(
            public(15, &["o=U/o"]),
            "REVOKE ALL ON SCHEMA \"public\" FROM \"o\";\n\
             REVOKE ALL ON SCHEMA \"public\" FROM PUBLIC;\n\
             GRANT USAGE ON SCHEMA \"public\" TO \"o\";\n"
        );
    }
}
