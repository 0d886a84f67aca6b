//! Functions and procedures. The server renders their definitions whole: settings, support
//! functions, SQL-standard bodies, C symbols (source: pg_get_functiondef in ruleutils.c).

use tokio_postgres::Row;

use crate::error::Result;
use crate::pg::{QualifiedName, class, quote_ident};
use crate::toc::{Entry, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::dependencies::Dependencies;
use super::fragments::{leaned_on, qualified, stands_alone};
use super::rendered::rendered;
use super::scope::Scope;
use super::stand_ins::{self, StandIn};

/// Adds an entry for each of the user's functions, window functions and procedures.
pub(super) async fn read(
    session: &Session,
    scope: &Scope,
    dependencies: &Dependencies,
    out: &mut Builder,
) -> Result<()> {
    let sql = query(scope, session.version().major());
    for row in session.query("reading functions", &sql, &[]).await? {
        let routine = Routine {
            name: qualified(&row, "proname"),
            owner: row.get("owner"),
            procedure: row.get("procedure"),
            identity: rendered(&row, "identity", || named(&row))?.to_owned(),
            types: row.get("types"),
            // The server would have it replace what is there; nothing is ever to be replaced.
            definition: rendered(&row, "definition", || named(&row))?.replacen(
                "CREATE OR REPLACE ",
                "CREATE ",
                1,
            ),
            extensions: row.get("extensions"),
        };
        let object = ObjectId::new(class::PG_PROC, row.get("oid"));
        let mut entry = routine.entry();
        let body: Option<&str> = row.get("body");
        if let Some(stand_in) = body
            .and_then(|body| stand_ins::of_function(&routine.definition, body, row.get("returns")))
        {
            // A body that calls its own function finds it only if it is there already.
            if dependencies.of(object).iter().any(|edge| edge.to == object) {
                let replacing = entry.create.replacen("CREATE ", "CREATE OR REPLACE ", 1);
                entry.create = format!("{stand_in}{replacing}");
            } else {
                let stand_in = StandIn { sql: stand_in, reads_itself: false };
                out.stand_ins.insert(stand_ins::key(&entry), stand_in);
            }
        }
        out.add(object, entry);
    }
    Ok(())
}

fn named(row: &Row) -> String {
    format!("function {}.{}", row.get::<_, &str>("nspname"), row.get::<_, &str>("proname"))
}

/// Bodies that are parsed when they are created came with 14.
fn query(scope: &Scope, major: u32) -> String {
    let body = match major {
        14.. => "pg_catalog.pg_get_function_sqlbody(p.oid)",
        _ => "null::text",
    };
    format!(
        "select p.oid, n.nspname::text, p.proname::text, \
         pg_catalog.pg_get_userbyid(p.proowner)::text as owner, p.prokind = 'p' as procedure, \
         pg_catalog.pg_get_function_identity_arguments(p.oid) as identity, {types} as types, \
         pg_catalog.pg_get_functiondef(p.oid) as definition, \
         {body} as body, {returns} as returns, {extensions} as extensions \
         from pg_catalog.pg_proc p \
         join pg_catalog.pg_namespace n on n.oid = p.pronamespace \
         where p.prokind <> 'a' and {} and {} \
         order by n.nspname, p.proname, identity",
        scope.schemas("n.nspname"),
        stands_alone("pg_proc", "p.oid"),
        types = argument_types("p"),
        returns = one_value("p"),
        extensions = leaned_on("pg_proc", "p.oid"),
    )
}

/// The expression for the type of the one value that a function returns.
fn one_value(function: &str) -> String {
    format!(
        "case when {function}.prokind = 'f' and not {function}.proretset and {function}.prorettype \
         not in ('pg_catalog.record'::pg_catalog.regtype, 'pg_catalog.void'::pg_catalog.regtype) \
         then pg_catalog.format_type({function}.prorettype, null) end"
    )
}

/// The expression for the names of a function's input types, as its tag lists them.
pub(super) fn argument_types(function: &str) -> String {
    format!(
        "array(select pg_catalog.format_type(argument.type, null) \
         from pg_catalog.unnest({function}.proargtypes) with ordinality argument(type, place) \
         order by argument.place)"
    )
}

#[derive(Debug)]
struct Routine {
    name: QualifiedName,
    owner: String,
    procedure: bool,
    /// The arguments that tell it from others of its name, as DROP takes them.
    identity: String,
    types: Vec<String>,
    definition: String,
    /// The extensions it is to be dropped with.
    extensions: Vec<String>,
}

impl Routine {
    fn entry(&self) -> Entry {
        let (kind, word) = if self.procedure {
            (Kind::Procedure, "PROCEDURE")
        } else {
            (Kind::Function, "FUNCTION")
        };
        let signature = format!("{}({})", self.name.sql(), self.identity);
        let mut create = format!("{};\n", self.definition.trim_end());
        for extension in &self.extensions {
            create.push_str(&format!(
                "ALTER {word} {signature} DEPENDS ON EXTENSION {};\n",
                quote_ident(extension)
            ));
        }
        Entry {
            owner: Some(self.owner.clone()),
            create,
            drop: format!("DROP {word} {signature};"),
            ..Entry::new(
                kind,
                Some(&self.name.schema),
                format!("{}({})", self.name.name, self.types.join(", ")),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routine() -> Routine {
        Routine {
            name: QualifiedName::new("s", "F"),
            owner: "o".to_owned(),
            procedure: false,
            identity: "a integer, OUT b text".to_owned(),
            types: vec!["integer".to_owned()],
            definition: "CREATE FUNCTION s.\"F\"(a integer, OUT b text)\n AS $$ $$\n".to_owned(),
            extensions: Vec::new(),
        }
    }

    #[test]
    fn a_functions_tag_has_its_input_types_and_its_drop_its_identity() {
        let entry = routine().entry();
        assert_eq!(entry.title(), "FUNCTION s.F(integer)");
        assert_eq!(entry.drop, "DROP FUNCTION \"s\".\"F\"(a integer, OUT b text);");
        assert_eq!(entry.create, "CREATE FUNCTION s.\"F\"(a integer, OUT b text)\n AS $$ $$;\n");
    }

    #[test]
    fn a_procedure_may_lean_on_an_extension() {
        let entry = Routine {
            procedure: true,
            identity: String::new(),
            extensions: vec!["citext".to_owned()],
            ..routine()
        }
        .entry();
        assert_eq!(entry.kind, Kind::Procedure);
        assert!(
            entry
                .create
                .ends_with("ALTER PROCEDURE \"s\".\"F\"() DEPENDS ON EXTENSION \"citext\";\n")
        );
    }
}
