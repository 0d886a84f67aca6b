//! Comments, on whatever has an entry (documentation: SQL command COMMENT).

use crate::error::Result;
use crate::pg::{Oid, QualifiedName, quote_ident, quote_literal};
use crate::toc::{Entry, EntryId, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::fragments::stands_alone;

/// The comment that initdb gives the schema `public`.
const PUBLICS_OWN: &str = "standard public schema";

/// Adds an entry for each comment. Everything commented on has to be there before.
pub(super) async fn read(session: &Session, out: &mut Builder) -> Result<()> {
    for row in session.query("reading comments", &query(), &[]).await? {
        let object = ObjectId::new(Oid(row.get("class")), row.get("oid"));
        let parent = ObjectId::new(Oid(row.get("parent_class")), row.get("parent"));
        let word: String = row.get("word");
        // What its parent's entry creates has that entry; so has a constraint's index.
        let mut creators: Vec<EntryId> =
            [object, parent].into_iter().filter_map(|object| out.creator(object)).collect();
        creators.dedup();
        // Extensions that initdb brings have no entries, and may have other comments nevertheless.
        if creators.is_empty() && !matches!(word.as_str(), "DATABASE" | "EXTENSION") {
            continue;
        }
        let commented = Commented {
            word,
            schema: row.get("schema"),
            name: row.get("name"),
            arguments: row.get("arguments"),
            relation: row.get("relation"),
            owner: row.get("owner"),
        };
        let comment: &str = row.get("comment");
        if commented.stands(comment) {
            continue;
        }
        let mut entry = commented.entry(comment);
        entry.depends_on = creators;
        let id = out.add_part(entry);
        // A partition's share of a trigger or of a key comes with its parent's.
        out.needs(id, object);
    }
    Ok(())
}

/// A branch for each catalog, all with the same columns.
fn query() -> String {
    let mut branches = vec![relations(), columns(), routines()];
    branches.extend([
        in_none("pg_namespace", "SCHEMA", "o.nspname", "o.nspowner"),
        in_schema("pg_collation", "COLLATION", "coll", "o.collowner"),
        in_schema("pg_statistic_ext", "STATISTICS", "stx", "o.stxowner"),
        branch(
            "pg_extension",
            "EXTENSION",
            "null",
            "o.extname",
            "left join pg_catalog.pg_available_extensions() a on a.name = o.extname \
             where a.comment is distinct from c.description",
            "0",
        ),
        types(),
        in_none("pg_am", "ACCESS METHOD", "o.amname", "0"),
        casts(),
        operators(),
        for_indexes("pg_opclass", "OPERATOR CLASS", "opc"),
        for_indexes("pg_opfamily", "OPERATOR FAMILY", "opf"),
        on_relation("pg_rewrite", "RULE", "o.rulename", "o.ev_class"),
        on_relation("pg_trigger", "TRIGGER", "o.tgname", "o.tgrelid"),
        on_relation("pg_policy", "POLICY", "o.polname", "o.polrelid"),
        on_relation("pg_constraint", "CONSTRAINT", "o.conname", "o.conrelid"),
        on_domain(),
        shared(),
        silenced_public(),
    ]);
    branches.extend(services());
    format!(
        "select * from ({}) comments order by word, schema, relation, name, arguments, place",
        branches.join(" union all ")
    )
}

/// Of what connects a database to languages, texts and other servers; subscriptions, which not
/// everybody may read, have theirs read with them.
fn services() -> Vec<String> {
    let transform = naming("'TRANSFORM'", "null", "t.type_name", "null", "l.lanname", "0");
    let transforms = select("pg_transform", ("pg_transform", "0"), &transform)
        + &described("pg_transform", "= 0")
        + "join pg_catalog.pg_language l on l.oid = o.trflang cross join lateral \
           (select pg_catalog.format_type(o.trftype, null) as type_name) t";
    vec![
        in_schema("pg_conversion", "CONVERSION", "con", "o.conowner"),
        in_schema("pg_ts_parser", "TEXT SEARCH PARSER", "prs", "0"),
        in_schema("pg_ts_template", "TEXT SEARCH TEMPLATE", "tmpl", "0"),
        in_schema("pg_ts_dict", "TEXT SEARCH DICTIONARY", "dict", "o.dictowner"),
        in_schema("pg_ts_config", "TEXT SEARCH CONFIGURATION", "cfg", "o.cfgowner"),
        in_none("pg_language", "LANGUAGE", "o.lanname", "o.lanowner"),
        in_none("pg_foreign_data_wrapper", "FOREIGN DATA WRAPPER", "o.fdwname", "o.fdwowner"),
        in_none("pg_foreign_server", "SERVER", "o.srvname", "o.srvowner"),
        in_none("pg_event_trigger", "EVENT TRIGGER", "o.evtname", "o.evtowner"),
        in_none("pg_publication", "PUBLICATION", "o.pubname", "o.pubowner"),
        transforms,
    ]
}

/// The columns of a branch. `parent` is the object whose entry creates this one, if it has no
/// entry of its own.
fn select(class: &str, parent: (&str, &str), rest: &str) -> String {
    format!(
        "select 'pg_catalog.{class}'::pg_catalog.regclass::pg_catalog.oid as class, \
         o.oid, 'pg_catalog.{}'::pg_catalog.regclass::pg_catalog.oid as parent_class, \
         {}::pg_catalog.oid as parent, {rest} \
         from pg_catalog.{class} o ",
        parent.0, parent.1
    )
}

/// The columns that name the object, and the comment.
fn naming(
    word: &str,
    schema: &str,
    name: &str,
    arguments: &str,
    relation: &str,
    owner: &str,
) -> String {
    format!(
        "{word}::text as word, {schema}::text as schema, {name}::text as name, \
         {arguments}::text as arguments, {relation}::text as relation, \
         case when {owner} <> 0 then pg_catalog.pg_get_userbyid({owner})::text end as owner, \
         c.objsubid as place, c.description as comment"
    )
}

fn described(class: &str, columns: &str) -> String {
    // Of what initdb makes there are thousands of comments, and only these may have an entry.
    let least = match class {
        "pg_namespace" | "pg_extension" => 0,
        _ => Oid::FIRST_NORMAL.0,
    };
    format!(
        "join pg_catalog.pg_description c on c.objoid = o.oid and c.objoid >= {least} \
         and c.classoid = 'pg_catalog.{class}'::pg_catalog.regclass and c.objsubid {columns} "
    )
}

/// Of a catalog whose objects are named by a schema and a name.
fn branch(class: &str, word: &str, schema: &str, name: &str, joins: &str, owner: &str) -> String {
    let rest = naming(&format!("'{word}'"), schema, name, "null", "null", owner);
    select(class, (class, "0"), &rest) + &described(class, "= 0") + joins
}

/// Of one whose columns begin with `prefix`.
fn in_schema(class: &str, word: &str, prefix: &str, owner: &str) -> String {
    let join = format!("join pg_catalog.pg_namespace n on n.oid = o.{prefix}namespace");
    branch(class, word, "n.nspname", &format!("o.{prefix}name"), &join, owner)
}

/// Of one whose objects lie in no schema.
fn in_none(class: &str, word: &str, name: &str, owner: &str) -> String {
    branch(class, word, "null", name, "", owner)
}

const RELATION_WORD: &str = "case o.relkind when 'v' then 'VIEW' when 'm' then 'MATERIALIZED VIEW' \
     when 'S' then 'SEQUENCE' when 'f' then 'FOREIGN TABLE' when 'i' then 'INDEX' \
     when 'I' then 'INDEX' else 'TABLE' end";

const RELATION_SCHEMA: &str = "join pg_catalog.pg_namespace n on n.oid = o.relnamespace ";

/// A constraint's index has the constraint's entry.
fn relations() -> String {
    let rest = naming(RELATION_WORD, "n.nspname", "o.relname", "null", "null", "o.relowner");
    select("pg_class", ("pg_constraint", "coalesce(i.oid, 0)"), &rest)
        + RELATION_SCHEMA
        + &described("pg_class", "= 0")
        + "left join pg_catalog.pg_constraint i on i.conindid = o.oid \
           and i.conrelid <> 0 and i.contype in ('p', 'u', 'x')"
}

fn columns() -> String {
    let rest = naming("'COLUMN'", "n.nspname", "a.attname", "null", "o.relname", "o.relowner");
    select("pg_class", ("pg_class", "0"), &rest)
        + RELATION_SCHEMA
        + &described("pg_class", "> 0")
        + "join pg_catalog.pg_attribute a on a.attrelid = o.oid and a.attnum = c.objsubid"
}

/// A range's own functions don't follow it to another owner, and on the target they are whose the
/// range is at first.
fn routines() -> String {
    let owner = format!("case when {} then o.proowner end", stands_alone("pg_proc", "o.oid"));
    let rest = naming(
        "case o.prokind when 'a' then 'AGGREGATE' when 'p' then 'PROCEDURE' else 'FUNCTION' end",
        "n.nspname",
        "o.proname",
        "case when o.prokind = 'a' and o.pronargs = 0 then '*' \
         else pg_catalog.pg_get_function_identity_arguments(o.oid) end",
        "null",
        &owner,
    );
    select("pg_proc", ("pg_proc", "0"), &rest)
        + "join pg_catalog.pg_namespace n on n.oid = o.pronamespace "
        + &described("pg_proc", "= 0")
}

fn types() -> String {
    let rest = naming(
        "case when o.typtype = 'd' then 'DOMAIN' else 'TYPE' end",
        "n.nspname",
        "o.typname",
        "null",
        "null",
        "o.typowner",
    );
    select("pg_type", ("pg_type", "0"), &rest)
        + "join pg_catalog.pg_namespace n on n.oid = o.typnamespace "
        + &described("pg_type", "= 0")
}

/// A cast has no name but its types, which stand where others have their arguments.
fn casts() -> String {
    let types = "pg_catalog.format_type(o.castsource, null) || ' AS ' \
         || pg_catalog.format_type(o.casttarget, null)";
    let rest = naming("'CAST'", "null", "''", types, "null", "0");
    select("pg_cast", ("pg_cast", "0"), &rest) + &described("pg_cast", "= 0")
}

fn operators() -> String {
    let operand = |column: &str| {
        format!(
            "case o.{column} when 0 then 'NONE' else pg_catalog.format_type(o.{column}, null) end"
        )
    };
    let operands = format!("{} || ', ' || {}", operand("oprleft"), operand("oprright"));
    let rest = naming("'OPERATOR'", "n.nspname", "o.oprname", &operands, "null", "o.oprowner");
    select("pg_operator", ("pg_operator", "0"), &rest)
        + "join pg_catalog.pg_namespace n on n.oid = o.oprnamespace "
        + &described("pg_operator", "= 0")
}

/// Of a catalog whose objects are named by a name and an access method; the columns begin with
/// `prefix`.
fn for_indexes(class: &str, word: &str, prefix: &str) -> String {
    let (name, owner) = (format!("o.{prefix}name"), format!("o.{prefix}owner"));
    let rest = naming(&format!("'{word}'"), "n.nspname", &name, "null", "a.amname", &owner);
    select(class, (class, "0"), &rest)
        + &format!(
            "join pg_catalog.pg_namespace n on n.oid = o.{prefix}namespace \
             join pg_catalog.pg_am a on a.oid = o.{prefix}method "
        )
        + &described(class, "= 0")
}

/// Of a catalog whose objects are named by a relation and a name.
fn on_relation(class: &str, word: &str, name: &str, relation: &str) -> String {
    let rest = naming(&format!("'{word}'"), "n.nspname", name, "null", "r.relname", "r.relowner");
    select(class, ("pg_class", relation), &rest)
        + &format!(
            "join pg_catalog.pg_class r on r.oid = {relation} \
             join pg_catalog.pg_namespace n on n.oid = r.relnamespace "
        )
        + &described(class, "= 0")
}

fn on_domain() -> String {
    let rest =
        naming("'DOMAIN CONSTRAINT'", "n.nspname", "o.conname", "null", "t.typname", "t.typowner");
    select("pg_constraint", ("pg_type", "o.contypid"), &rest)
        + "join pg_catalog.pg_type t on t.oid = o.contypid \
           join pg_catalog.pg_namespace n on n.oid = t.typnamespace "
        + &described("pg_constraint", "= 0")
}

/// The cluster's own objects: this database, and roles.
fn shared() -> String {
    let described = |class: &str| {
        format!(
            "join pg_catalog.pg_shdescription d on d.objoid = o.oid \
             and d.classoid = 'pg_catalog.{class}'::pg_catalog.regclass \
             cross join lateral (select 0 as objsubid, d.description) c "
        )
    };
    let database = naming("'DATABASE'", "null", "o.datname", "null", "null", "o.datdba");
    let role = naming("'ROLE'", "null", "o.rolname", "null", "null", "0");
    select("pg_database", ("pg_database", "0"), &database)
        + &described("pg_database")
        + "where o.datname = pg_catalog.current_database() union all "
        + &select("pg_authid", ("pg_authid", "0"), &role)
            .replace("from pg_catalog.pg_authid o", "from pg_catalog.pg_roles o")
        + &described("pg_authid")
}

/// A fresh database has a comment on `public`, which the source may have taken away.
fn silenced_public() -> String {
    let rest = naming("'SCHEMA'", "null", "o.nspname", "null", "null", "o.nspowner");
    select("pg_namespace", ("pg_namespace", "0"), &rest)
        + "cross join (select 0 as objsubid, '' as description) c \
           where o.nspname = 'public' and pg_catalog.obj_description(o.oid, 'pg_namespace') is null"
}

/// What a comment is on.
#[derive(Debug)]
struct Commented {
    /// What COMMENT calls it.
    word: String,
    schema: Option<String>,
    name: String,
    /// A function's, an operator's; of a cast, its types.
    arguments: Option<String>,
    /// What it belongs to: a column's or a trigger's table, a constraint's domain, an operator
    /// class's access method.
    relation: Option<String>,
    owner: Option<String>,
}

impl Commented {
    fn entry(&self, comment: &str) -> Entry {
        let within = |name: &str| match &self.schema {
            Some(schema) => QualifiedName::new(schema, name).sql(),
            None => quote_ident(name),
        };
        let name = quote_ident(&self.name);
        let (object, tag) = match (self.word.as_str(), &self.relation, &self.arguments) {
            ("COLUMN", Some(relation), _) => (
                format!("COLUMN {}.{name}", within(relation)),
                format!("COLUMN {relation}.{}", self.name),
            ),
            ("DOMAIN CONSTRAINT", Some(domain), _) => (
                format!("CONSTRAINT {name} ON DOMAIN {}", within(domain)),
                format!("CONSTRAINT {} ON DOMAIN {domain}", self.name),
            ),
            ("TRANSFORM", Some(language), _) => (
                format!("TRANSFORM FOR {} LANGUAGE {}", self.name, quote_ident(language)),
                format!("TRANSFORM FOR {} LANGUAGE {language}", self.name),
            ),
            ("CAST", _, Some(types)) => (format!("CAST ({types})"), format!("CAST ({types})")),
            // An operator's name consists of signs and isn't quoted.
            ("OPERATOR", _, Some(operands)) => {
                let schema = self.schema.as_deref().map(quote_ident).unwrap_or_default();
                (
                    format!("OPERATOR {schema}.{} ({operands})", self.name),
                    format!("OPERATOR {} ({operands})", self.name),
                )
            }
            (word @ ("OPERATOR CLASS" | "OPERATOR FAMILY"), Some(method), _) => (
                format!("{word} {} USING {}", within(&self.name), quote_ident(method)),
                format!("{word} {} USING {method}", self.name),
            ),
            (word, Some(relation), _) => (
                format!("{word} {name} ON {}", within(relation)),
                format!("{word} {} ON {relation}", self.name),
            ),
            (word, None, Some(arguments)) => (
                format!("{word} {}({arguments})", within(&self.name)),
                format!("{word} {}({arguments})", self.name),
            ),
            (word, None, None) => {
                (format!("{word} {}", within(&self.name)), format!("{word} {}", self.name))
            }
        };
        Entry {
            owner: self.owner.clone(),
            create: format!("COMMENT ON {object} IS {};\n", quote_literal(comment)),
            ..Entry::new(Kind::Comment, self.schema.as_deref(), tag)
        }
    }

    /// Whether a fresh target has the comment already.
    fn stands(&self, comment: &str) -> bool {
        self.word == "SCHEMA" && self.name == "public" && comment == PUBLICS_OWN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commented(word: &str, name: &str) -> Commented {
        Commented {
            word: word.to_owned(),
            schema: Some("s".to_owned()),
            name: name.to_owned(),
            arguments: None,
            relation: None,
            owner: None,
        }
    }

    #[test]
    fn a_comment_names_its_object_as_the_statement_wants_it() {
        let entry = commented("TABLE", "T").entry("it's");
        assert_eq!(entry.create, "COMMENT ON TABLE \"s\".\"T\" IS 'it''s';\n");
        assert_eq!(entry.title(), "COMMENT s.TABLE T");
        let of_table =
            |word, name| Commented { relation: Some("t".to_owned()), ..commented(word, name) };
        assert_eq!(
            of_table("COLUMN", "c").entry("x").create,
            "COMMENT ON COLUMN \"s\".\"t\".\"c\" IS 'x';\n"
        );
        assert_eq!(of_table("COLUMN", "c").entry("x").name, "COLUMN t.c");
        assert_eq!(
            of_table("TRIGGER", "g").entry("x").create,
            "COMMENT ON TRIGGER \"g\" ON \"s\".\"t\" IS 'x';\n"
        );
        assert_eq!(
            of_table("DOMAIN CONSTRAINT", "k").entry("x").create,
            "COMMENT ON CONSTRAINT \"k\" ON DOMAIN \"s\".\"t\" IS 'x';\n"
        );
        let function =
            Commented { arguments: Some("a integer".to_owned()), ..commented("FUNCTION", "f") };
        assert_eq!(
            function.entry("x").create,
            "COMMENT ON FUNCTION \"s\".\"f\"(a integer) IS 'x';\n"
        );
        let transform = Commented {
            schema: None,
            relation: Some("plx".to_owned()),
            ..commented("TRANSFORM", "s.\"T\"[]")
        };
        assert_eq!(
            transform.entry("x").create,
            "COMMENT ON TRANSFORM FOR s.\"T\"[] LANGUAGE \"plx\" IS 'x';\n"
        );
        let operator =
            Commented { arguments: Some("NONE, s.t".to_owned()), ..commented("OPERATOR", "!!") };
        assert_eq!(
            operator.entry("x").create,
            "COMMENT ON OPERATOR \"s\".!! (NONE, s.t) IS 'x';\n"
        );
        let cast = Commented {
            schema: None,
            arguments: Some("s.t AS text".to_owned()),
            ..commented("CAST", "")
        };
        assert_eq!(cast.entry("x").create, "COMMENT ON CAST (s.t AS text) IS 'x';\n");
        let class =
            Commented { relation: Some("Tree".to_owned()), ..commented("OPERATOR CLASS", "c") };
        assert_eq!(
            class.entry("x").create,
            "COMMENT ON OPERATOR CLASS \"s\".\"c\" USING \"Tree\" IS 'x';\n"
        );
        let role = Commented { schema: None, ..commented("ROLE", "r") };
        assert_eq!(role.entry("x").create, "COMMENT ON ROLE \"r\" IS 'x';\n");
    }

    #[test]
    fn publics_own_comment_needs_none() {
        assert!(commented("SCHEMA", "public").stands(PUBLICS_OWN));
        assert!(!commented("SCHEMA", "public").stands(""));
        assert!(!commented("SCHEMA", "s").stands(PUBLICS_OWN));
    }
}
