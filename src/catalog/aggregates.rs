//! Aggregates. The server renders none of their properties as SQL
//! (documentation: SQL command CREATE AGGREGATE, chapter "pg_aggregate").

use crate::error::Result;
use crate::pg::{QualifiedName, class, quote_ident, quote_literal};
use crate::toc::{Entry, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::fragments::{function_name, leaned_on, operator_name, qualified, stands_alone};
use super::functions::argument_types;
use super::rendered::rendered;
use super::scope::Scope;

/// Adds an entry for each of the user's aggregates.
pub(super) async fn read(session: &Session, scope: &Scope, out: &mut Builder) -> Result<()> {
    for row in session.query("reading aggregates", &query(scope), &[]).await? {
        let stage = |prefix: &str| Stage {
            step: row.get(format!("{prefix}transfn").as_str()),
            state: row.get(format!("{prefix}transtype").as_str()),
            space: row.get(format!("{prefix}transspace").as_str()),
            last: row.get(format!("{prefix}finalfn").as_str()),
            extra: row.get(format!("{prefix}finalextra").as_str()),
            modify: row.get(format!("{prefix}finalmodify").as_str()),
            initial: row.get(format!("{prefix}initval").as_str()),
        };
        let named = || {
            format!("aggregate {}.{}", row.get::<_, &str>("nspname"), row.get::<_, &str>("proname"))
        };
        let aggregate = Aggregate {
            name: qualified(&row, "proname"),
            owner: row.get("owner"),
            arguments: rendered(&row, "arguments", named)?.to_owned(),
            identity: rendered(&row, "identity", named)?.to_owned(),
            types: row.get("types"),
            kind: row.get("aggkind"),
            parallel: row.get("proparallel"),
            plain: stage("agg"),
            combine: row.get("aggcombinefn"),
            serialize: row.get("aggserialfn"),
            deserialize: row.get("aggdeserialfn"),
            moving: row
                .get::<_, Option<String>>("aggminvtransfn")
                .map(|inverse| (stage("aggm"), inverse)),
            sort_operator: row.get("sort_operator"),
            extensions: row.get("extensions"),
        };
        out.add(ObjectId::new(class::PG_PROC, row.get("oid")), aggregate.entry());
    }
    Ok(())
}

fn query(scope: &Scope) -> String {
    let functions: String = [
        "aggtransfn",
        "aggfinalfn",
        "aggcombinefn",
        "aggserialfn",
        "aggdeserialfn",
        "aggmtransfn",
        "aggminvtransfn",
        "aggmfinalfn",
    ]
    .iter()
    .map(|column| format!("{} as {column}, ", function_name(&format!("a.{column}"))))
    .collect();
    format!(
        "select p.oid, n.nspname::text, p.proname::text, \
         pg_catalog.pg_get_userbyid(p.proowner)::text as owner, \
         pg_catalog.pg_get_function_arguments(p.oid) as arguments, \
         pg_catalog.pg_get_function_identity_arguments(p.oid) as identity, {types} as types, \
         a.aggkind::text, p.proparallel::text, {functions}\
         pg_catalog.format_type(a.aggtranstype, null) as aggtranstype, \
         pg_catalog.format_type(a.aggmtranstype, null) as aggmtranstype, \
         a.aggtransspace, a.aggmtransspace, a.aggfinalextra, a.aggmfinalextra, \
         a.aggfinalmodify::text, a.aggmfinalmodify::text, a.agginitval, a.aggminitval, \
         {sort_operator} as sort_operator, {extensions} as extensions \
         from pg_catalog.pg_proc p \
         join pg_catalog.pg_aggregate a on a.aggfnoid = p.oid \
         join pg_catalog.pg_namespace n on n.oid = p.pronamespace \
         where {} and {} order by n.nspname, p.proname, identity",
        scope.schemas("n.nspname"),
        stands_alone("pg_proc", "p.oid"),
        types = argument_types("p"),
        sort_operator = operator_name("a.aggsortop"),
        extensions = leaned_on("pg_proc", "p.oid"),
    )
}

/// One way to aggregate: the plain one, or the one over a moving window.
#[derive(Debug, Default)]
struct Stage {
    step: Option<String>,
    state: Option<String>,
    space: i32,
    last: Option<String>,
    extra: bool,
    modify: String,
    initial: Option<String>,
}

#[derive(Debug)]
struct Aggregate {
    name: QualifiedName,
    owner: String,
    arguments: String,
    identity: String,
    types: Vec<String>,
    kind: String,
    parallel: String,
    plain: Stage,
    combine: Option<String>,
    serialize: Option<String>,
    deserialize: Option<String>,
    /// With its inverse step.
    moving: Option<(Stage, String)>,
    sort_operator: Option<String>,
    extensions: Vec<String>,
}

impl Aggregate {
    fn entry(&self) -> Entry {
        let name = self.name.sql();
        let arguments = |list: &str| match list {
            "" => "*".to_owned(),
            list => list.to_owned(),
        };
        let signature = format!("{name}({})", arguments(&self.identity));
        let options: Vec<String> =
            self.options().into_iter().map(|option| format!("\n\t{option}")).collect();
        let mut create = format!(
            "CREATE AGGREGATE {name}({}) ({}\n);\n",
            arguments(&self.arguments),
            options.join(",")
        );
        for extension in &self.extensions {
            create.push_str(&format!(
                "ALTER FUNCTION {name}({}) DEPENDS ON EXTENSION {};\n",
                self.types.join(", "),
                quote_ident(extension)
            ));
        }
        Entry {
            owner: Some(self.owner.clone()),
            create,
            drop: format!("DROP AGGREGATE {signature};"),
            ..Entry::new(
                Kind::Aggregate,
                Some(&self.name.schema),
                format!("{}({})", self.name.name, arguments(&self.types.join(", "))),
            )
        }
    }

    fn options(&self) -> Vec<String> {
        let mut options = self.stage_options(&self.plain, "");
        let mut function = |name: &str, value: &Option<String>| {
            if let Some(value) = value {
                options.push(format!("{name} = {value}"));
            }
        };
        function("COMBINEFUNC", &self.combine);
        function("SERIALFUNC", &self.serialize);
        function("DESERIALFUNC", &self.deserialize);
        if let Some((moving, inverse)) = &self.moving {
            options.extend(self.stage_options(moving, "M"));
            options.push(format!("MINVFUNC = {inverse}"));
        }
        if let Some(operator) = &self.sort_operator {
            options.push(format!("SORTOP = {operator}"));
        }
        if self.kind == "h" {
            options.push("HYPOTHETICAL".to_owned());
        }
        match self.parallel.as_str() {
            "s" => options.push("PARALLEL = safe".to_owned()),
            "r" => options.push("PARALLEL = restricted".to_owned()),
            _ => {}
        }
        options
    }

    /// What a final function may do to the state is read-only by default, read-write for ordered
    /// sets; it is said wherever there is one, and where it is another than the default.
    fn stage_options(&self, stage: &Stage, prefix: &str) -> Vec<String> {
        let mut options = Vec::new();
        let mut option = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                options.push(format!("{prefix}{name} = {value}"));
            }
        };
        option("SFUNC", stage.step.clone());
        option("STYPE", stage.state.clone());
        option("SSPACE", (stage.space != 0).then(|| stage.space.to_string()));
        option("FINALFUNC", stage.last.clone());
        option("INITCOND", stage.initial.as_deref().map(quote_literal));
        let default = if self.kind == "n" { "r" } else { "w" };
        if stage.last.is_some() || stage.modify != default {
            let modify = match stage.modify.as_str() {
                "s" => "SHAREABLE",
                "w" => "READ_WRITE",
                _ => "READ_ONLY",
            };
            option("FINALFUNC_MODIFY", Some(modify.to_owned()));
            if stage.extra && stage.last.is_some() {
                options.push(format!("{prefix}FINALFUNC_EXTRA"));
            }
        }
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum() -> Aggregate {
        Aggregate {
            name: QualifiedName::new("s", "total"),
            owner: "o".to_owned(),
            arguments: "integer".to_owned(),
            identity: "integer".to_owned(),
            types: vec!["integer".to_owned()],
            kind: "n".to_owned(),
            parallel: "u".to_owned(),
            plain: Stage {
                step: Some("int4pl".to_owned()),
                state: Some("integer".to_owned()),
                modify: "r".to_owned(),
                ..Stage::default()
            },
            combine: None,
            serialize: None,
            deserialize: None,
            moving: None,
            sort_operator: None,
            extensions: Vec::new(),
        }
    }

    #[test]
    fn a_plain_aggregate_has_a_step_and_a_state() {
        let entry = sum().entry();
        assert_eq!(
            entry.create,
            "CREATE AGGREGATE \"s\".\"total\"(integer) (\n\tSFUNC = int4pl,\n\tSTYPE = integer\n);\n"
        );
        assert_eq!(entry.title(), "AGGREGATE s.total(integer)");
        assert_eq!(entry.drop, "DROP AGGREGATE \"s\".\"total\"(integer);");
    }

    #[test]
    fn what_a_final_function_may_do_is_kept_without_one_too() {
        let writes = Stage { modify: "w".to_owned(), ..sum().plain };
        let plain = Aggregate { plain: writes, ..sum() };
        assert!(plain.entry().create.contains(",\n\tFINALFUNC_MODIFY = READ_WRITE\n"));
        let ordered = Aggregate { kind: "o".to_owned(), ..plain };
        assert!(!ordered.entry().create.contains("MODIFY"));
    }

    #[test]
    fn every_property_is_told() {
        let aggregate = Aggregate {
            arguments: String::new(),
            identity: String::new(),
            types: Vec::new(),
            parallel: "s".to_owned(),
            plain: Stage {
                space: 64,
                last: Some("s.fin".to_owned()),
                extra: true,
                modify: "w".to_owned(),
                initial: Some("{}".to_owned()),
                ..sum().plain
            },
            combine: Some("s.join".to_owned()),
            serialize: Some("s.out".to_owned()),
            deserialize: Some("s.in".to_owned()),
            moving: Some((
                Stage { initial: Some(String::new()), modify: "w".to_owned(), ..sum().plain },
                "int4mi".to_owned(),
            )),
            sort_operator: Some("OPERATOR(\"pg_catalog\".<)".to_owned()),
            kind: "h".to_owned(),
            ..sum()
        };
        let entry = aggregate.entry();
        assert_eq!(
            entry.create,
            "CREATE AGGREGATE \"s\".\"total\"(*) (\n\tSFUNC = int4pl,\n\tSTYPE = integer,\
             \n\tSSPACE = 64,\n\tFINALFUNC = s.fin,\n\tINITCOND = '{}',\
             \n\tFINALFUNC_MODIFY = READ_WRITE,\n\tFINALFUNC_EXTRA,\n\tCOMBINEFUNC = s.join,\
             \n\tSERIALFUNC = s.out,\n\tDESERIALFUNC = s.in,\n\tMSFUNC = int4pl,\
             \n\tMSTYPE = integer,\n\tMINITCOND = '',\n\tMINVFUNC = int4mi,\
             \n\tSORTOP = OPERATOR(\"pg_catalog\".<),\n\tHYPOTHETICAL,\n\tPARALLEL = safe\n);\n"
        );
        assert_eq!(entry.name, "total(*)");
    }
}
