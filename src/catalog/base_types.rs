//! Base types, and types that are names without a definition (documentation: SQL command CREATE
//! TYPE; source: dumpBaseType and dumpUndefinedType in pg_dump.c).

use tokio_postgres::Row;

use crate::error::Result;
use crate::pg::quote_literal;
use crate::toc::{Entry, Kind};
use crate::wire::Session;

use super::builder::Builder;
use super::fragments::function_name;
use super::rendered::rendered;
use super::scope::Scope;
use super::types::{self, Named, listed};

/// Adds an entry for each of the user's base types, and for each type that is but a name.
pub(super) async fn read(session: &Session, scope: &Scope, out: &mut Builder) -> Result<()> {
    let sql = types::query(
        scope,
        &columns(session.version().major()),
        "left join pg_catalog.pg_type element on element.oid = t.typelem",
        "t.typtype in ('b', 'p') and not exists (select from pg_catalog.pg_type of \
         where of.typarray = t.oid)",
    );
    for row in session.query("reading base types", &sql, &[]).await? {
        let named = Named::of(&row);
        let entry = match row.get("typisdefined") {
            true => base(&named, &BaseType::of(&row, &named)?),
            false => undefined(&named),
        };
        types::add(out, &row, entry);
    }
    Ok(())
}

/// Subscripting has a function of its own since 14. Where an element's type is given, fixed-length
/// types passed by reference get the same one unasked (source: DefineType in commands/typecmds.c),
/// and then it isn't told: 13 and before know no word for it.
fn columns(major: u32) -> String {
    let subscript = match major {
        14.. => format!(
            "case when t.typsubscript <> 'pg_catalog.raw_array_subscript_handler'::pg_catalog.regproc \
             or t.typelem = 0 or t.typlen <= 0 or t.typbyval or element.typlen <= 0 then {} end",
            function_name("t.typsubscript")
        ),
        _ => "null::text".to_owned(),
    };
    let functions: String = [
        ("input", "typinput"),
        ("output", "typoutput"),
        ("receive", "typreceive"),
        ("send", "typsend"),
        ("typmod_in", "typmodin"),
        ("typmod_out", "typmodout"),
        ("analyze", "typanalyze"),
    ]
    .iter()
    .map(|(name, column)| format!(", {} as {name}", function_name(&format!("t.{column}"))))
    .collect();
    format!(
        ", t.typisdefined, t.typlen, t.typbyval, t.typalign::text, t.typstorage::text, \
         t.typcategory::text, t.typispreferred, t.typdelim::text, t.typcollation <> 0 as collatable, \
         t.typdefault, case when t.typelem <> 0 then pg_catalog.format_type(t.typelem, null) end \
         as element_name, {subscript} as subscript{functions}"
    )
}

fn undefined(named: &Named) -> Entry {
    let name = named.name.sql();
    Entry { create: format!("CREATE TYPE {name};\n"), ..named.entry("") }
}

fn base(named: &Named, base: &BaseType) -> Entry {
    let name = named.name.sql();
    let options = listed(base.options().into_iter());
    Entry { create: format!("CREATE TYPE {name} ({options});\n"), ..named.entry("") }
}

/// The name of a base type, for its functions to be created with.
pub(super) fn shell(entry: &Entry, name: &str) -> Entry {
    Entry {
        owner: entry.owner.clone(),
        create: format!("CREATE TYPE {name};\n"),
        ..Entry::new(Kind::ShellType, entry.schema.as_deref(), &entry.name)
    }
}

/// A base type's properties; functions and the element's type are SQL.
#[derive(Debug, Clone)]
struct BaseType {
    input: String,
    output: String,
    receive: Option<String>,
    send: Option<String>,
    typmod_in: Option<String>,
    typmod_out: Option<String>,
    analyze: Option<String>,
    subscript: Option<String>,
    length: i16,
    by_value: bool,
    alignment: String,
    storage: String,
    category: String,
    preferred: bool,
    delimiter: String,
    collatable: bool,
    default: Option<String>,
    element: Option<String>,
}

impl BaseType {
    fn of(row: &Row, named: &Named) -> Result<BaseType> {
        let object = || format!("type {}", named.name);
        Ok(BaseType {
            input: rendered(row, "input", object)?.to_owned(),
            output: rendered(row, "output", object)?.to_owned(),
            receive: row.get("receive"),
            send: row.get("send"),
            typmod_in: row.get("typmod_in"),
            typmod_out: row.get("typmod_out"),
            analyze: row.get("analyze"),
            subscript: row.get("subscript"),
            length: row.get("typlen"),
            by_value: row.get("typbyval"),
            alignment: row.get("typalign"),
            storage: row.get("typstorage"),
            category: row.get("typcategory"),
            preferred: row.get("typispreferred"),
            delimiter: row.get("typdelim"),
            collatable: row.get("collatable"),
            default: row.get("typdefault"),
            element: row.get("element_name"),
        })
    }

    fn options(&self) -> Vec<String> {
        let length = match self.length {
            -1 => "variable".to_owned(),
            length => length.to_string(),
        };
        let alignment = match self.alignment.as_str() {
            "c" => "char",
            "s" => "int2",
            "d" => "double",
            _ => "int4",
        };
        let storage = match self.storage.as_str() {
            "e" => "external",
            "x" => "extended",
            "m" => "main",
            _ => "plain",
        };
        let when = |holds: bool, value: &str| holds.then(|| value.to_owned());
        let literal = |text: &String| quote_literal(text);
        let options = [
            ("INTERNALLENGTH", Some(length)),
            ("INPUT", Some(self.input.clone())),
            ("OUTPUT", Some(self.output.clone())),
            ("RECEIVE", self.receive.clone()),
            ("SEND", self.send.clone()),
            ("TYPMOD_IN", self.typmod_in.clone()),
            ("TYPMOD_OUT", self.typmod_out.clone()),
            ("ANALYZE", self.analyze.clone()),
            ("SUBSCRIPT", self.subscript.clone()),
            ("COLLATABLE", when(self.collatable, "true")),
            ("DEFAULT", self.default.as_ref().map(literal)),
            ("ELEMENT", self.element.clone()),
            ("CATEGORY", Some(&self.category).filter(|c| *c != "U").map(literal)),
            ("PREFERRED", when(self.preferred, "true")),
            ("DELIMITER", Some(&self.delimiter).filter(|d| *d != ",").map(literal)),
            ("ALIGNMENT", Some(alignment.to_owned())),
            ("STORAGE", Some(storage.to_owned())),
        ];
        let told =
            options.into_iter().filter_map(|(name, value)| Some(format!("{name} = {}", value?)));
        told.chain(self.by_value.then(|| "PASSEDBYVALUE".to_owned())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::QualifiedName;

    fn plain() -> BaseType {
        BaseType {
            input: "s.i".to_owned(),
            output: "s.o".to_owned(),
            receive: None,
            send: None,
            typmod_in: None,
            typmod_out: None,
            analyze: None,
            subscript: None,
            length: -1,
            by_value: false,
            alignment: "i".to_owned(),
            storage: "p".to_owned(),
            category: "U".to_owned(),
            preferred: false,
            delimiter: ",".to_owned(),
            collatable: false,
            default: None,
            element: None,
        }
    }

    fn named() -> Named {
        Named { name: QualifiedName::new("s", "T"), owner: "o".to_owned() }
    }

    #[test]
    fn a_base_type_tells_what_has_no_default_and_its_size_always() {
        let entry = base(&named(), &plain());
        assert_eq!(
            entry.create,
            "CREATE TYPE \"s\".\"T\" (\n\tINTERNALLENGTH = variable,\n\tINPUT = s.i,\n\
             \tOUTPUT = s.o,\n\tALIGNMENT = int4,\n\tSTORAGE = plain\n);\n"
        );
        assert_eq!(entry.drop, "DROP TYPE \"s\".\"T\";");
    }

    #[test]
    fn every_property_of_a_base_type_is_told() {
        let all = BaseType {
            receive: Some("s.r".to_owned()),
            send: Some("s.s".to_owned()),
            typmod_in: Some("s.mi".to_owned()),
            typmod_out: Some("s.mo".to_owned()),
            analyze: Some("s.a".to_owned()),
            subscript: Some("s.x".to_owned()),
            length: 8,
            by_value: true,
            alignment: "d".to_owned(),
            storage: "x".to_owned(),
            category: "'".to_owned(),
            preferred: true,
            delimiter: ";".to_owned(),
            collatable: true,
            default: Some("it's".to_owned()),
            element: Some("integer".to_owned()),
            ..plain()
        };
        let options = all.options().join("|");
        assert_eq!(
            options,
            "INTERNALLENGTH = 8|INPUT = s.i|OUTPUT = s.o|RECEIVE = s.r|SEND = s.s|\
             TYPMOD_IN = s.mi|TYPMOD_OUT = s.mo|ANALYZE = s.a|SUBSCRIPT = s.x|COLLATABLE = true|\
             DEFAULT = 'it''s'|ELEMENT = integer|CATEGORY = ''''|PREFERRED = true|\
             DELIMITER = ';'|ALIGNMENT = double|STORAGE = extended|PASSEDBYVALUE"
        );
    }

    #[test]
    fn a_type_that_is_but_a_name_has_an_owner_and_a_shell_has_none_to_set() {
        let entry = undefined(&named());
        assert_eq!(entry.create, "CREATE TYPE \"s\".\"T\";\n");
        assert!(entry.owner_sql("x").is_some());
        let shell = shell(&entry, "\"s\".\"T\"");
        assert_eq!((shell.kind, shell.owner_sql("x")), (Kind::ShellType, None));
    }
}
