//! Whether the target database is empty: nothing is overwritten, so nothing may be there.

use std::collections::BTreeMap;

use crate::catalog::Scope;
use crate::error::Result;
use crate::pg::{Oid, quote_ident};
use crate::toc::{Finding, TargetFacts, counted};
use crate::wire::Session;

use super::gathered::named;
use super::sides::Sides;

/// Catalogs whose objects live in a schema, the column that says which, and which of their objects
/// are somebody's own: row types and array types come with what they are of.
const IN_SCHEMAS: [(&str, &str, &str); 13] = [
    ("pg_class", "relnamespace", "o.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')"),
    ("pg_proc", "pronamespace", "true"),
    (
        "pg_type",
        "typnamespace",
        "o.typtype IN ('b', 'd', 'e', 'r') AND NOT EXISTS \
         (SELECT FROM pg_catalog.pg_type e WHERE e.typarray = o.oid)",
    ),
    ("pg_operator", "oprnamespace", "true"),
    ("pg_opfamily", "opfnamespace", "true"),
    ("pg_opclass", "opcnamespace", "true"),
    ("pg_collation", "collnamespace", "true"),
    ("pg_conversion", "connamespace", "true"),
    ("pg_ts_config", "cfgnamespace", "true"),
    ("pg_ts_dict", "dictnamespace", "true"),
    ("pg_ts_parser", "prsnamespace", "true"),
    ("pg_ts_template", "tmplnamespace", "true"),
    ("pg_statistic_ext", "stxnamespace", "true"),
];

/// Catalogs whose objects live in none.
const IN_DATABASE: [&str; 8] = [
    "pg_foreign_data_wrapper",
    "pg_foreign_server",
    "pg_publication",
    "pg_language",
    "pg_cast",
    "pg_transform",
    "pg_am",
    "pg_event_trigger",
];

/// The database's subscriptions: the catalog is the cluster's, and of it everybody may read these
/// columns alone.
const SUBSCRIPTIONS: &str = "SELECT 3, 'subscription ' || o.subname \
     FROM pg_catalog.pg_subscription o JOIN pg_catalog.pg_database d ON d.oid = o.subdbid \
     WHERE d.datname = pg_catalog.current_database()";

/// Names what is in the target database.
pub(super) async fn findings(sides: &Sides<'_>) -> Result<Vec<Finding>> {
    if sides.target_is_missing() {
        return Ok(Vec::new());
    }
    let of_the_source = source_schemas(sides).await?;
    let facts = sides.target_facts().await?;
    let names: Vec<&str> = of_the_source.keys().map(String::as_str).collect();
    let objects = objects(sides.target(), &names).await?;
    let mut found: Vec<Finding> = judge(sides.target_name(), &objects).into_iter().collect();
    found
        .extend(of_the_source.iter().filter_map(|(name, owner)| out_of_reach(name, owner, &facts)));
    Ok(found)
}

/// The source's schemas, each with its owner as it is to be on the target.
async fn source_schemas(sides: &Sides<'_>) -> Result<BTreeMap<String, String>> {
    let sql = format!(
        "SELECT n.nspname::text, pg_catalog.pg_get_userbyid(n.nspowner)::text \
         FROM pg_catalog.pg_namespace n WHERE n.nspname <> 'public' AND {}",
        Scope::default().schemas("n.nspname")
    );
    let rows = sides.source.query("reading the source's schemas", &sql, &[]).await?;
    let roles = &sides.pair.roles;
    let schema = |row: &tokio_postgres::Row| (row.get(0), roles.new_name(row.get(1)).to_owned());
    Ok(rows.iter().map(schema).collect())
}

/// A schema that the source has too is taken over, which its owner can do.
fn out_of_reach(name: &str, wanted: &str, target: &TargetFacts) -> Option<Finding> {
    let owner = &target.holds.schemas.get(name)?.owner;
    let joined = owner == wanted && target.can_join(owner);
    let (ident, user) = (quote_ident(name), &target.user);
    let what =
        format!("is on the target already, and belongs to {owner}, as whom {user} can't act");
    let remedy = format!(
        "as an administrator, in the target database: ALTER SCHEMA {ident} OWNER TO {}; or DROP \
         SCHEMA {ident}; and it is made anew",
        quote_ident(user)
    );
    let reached = joined || target.acts_as(owner);
    (!reached).then(|| Finding::refusal(format!("SCHEMA {name}"), what).mend(remedy))
}

/// What is in the database that `target` is connected to, a ledger and the schemas of these names
/// aside.
pub(in crate::commands) async fn objects(
    target: &Session,
    schemas: &[&str],
) -> Result<Vec<String>> {
    let doing = "looking for objects in the target database";
    let rows = target.query(doing, &query(), &[&schemas]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn judge(database: &str, objects: &[String]) -> Option<Finding> {
    let what =
        format!("isn't empty: it holds {}: {}", counted(objects.len(), "object"), named(objects));
    let remedy = format!(
        "name an empty database in --target; or, if nobody needs what is in {database}, have it \
         made anew: --clean"
    );
    (!objects.is_empty()).then(|| Finding::refusal("target database", what).mend(remedy))
}

/// The source's schemas, which are the parameter, may be there as long as nothing is in them.
/// Extensions' members are no objects of their own, nor is what another object brings along.
fn query() -> String {
    let scope = Scope::default();
    let own = |catalog: &str| {
        format!(
            "o.oid >= {} AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend part \
             WHERE part.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass \
             AND part.objid = o.oid AND part.deptype IN ('e', 'i'))",
            Oid::FIRST_NORMAL
        )
    };
    let described = |catalog: &str| {
        format!(
            "pg_catalog.pg_describe_object('pg_catalog.{catalog}'::pg_catalog.regclass, o.oid, 0)"
        )
    };
    let schemas = format!(
        "SELECT 1 AS place, {} AS object FROM pg_catalog.pg_namespace o \
         WHERE o.nspname <> 'public' AND o.nspname <> ALL ($1::pg_catalog.text[]) \
         AND {} AND {}",
        described("pg_namespace"),
        scope.schemas("o.nspname"),
        own("pg_namespace")
    );
    let in_schemas = IN_SCHEMAS.iter().map(|(catalog, schema, which)| {
        format!(
            "SELECT 2, {} FROM pg_catalog.{catalog} o \
             JOIN pg_catalog.pg_namespace n ON n.oid = o.{schema} \
             WHERE {which} AND {} AND {}",
            described(catalog),
            scope.schemas("n.nspname"),
            own(catalog)
        )
    });
    let in_database = IN_DATABASE.iter().map(|catalog| {
        format!(
            "SELECT 3, {} FROM pg_catalog.{catalog} o WHERE {}",
            described(catalog),
            own(catalog)
        )
    });
    // There may be millions.
    let large_objects = "SELECT 4, pg_catalog.count(*) || ' large objects' \
                         FROM pg_catalog.pg_largeobject_metadata HAVING pg_catalog.count(*) > 0";
    let branches: Vec<String> = [schemas]
        .into_iter()
        .chain(in_schemas)
        .chain(in_database)
        .chain([SUBSCRIPTIONS.to_owned(), large_objects.to_owned()])
        .collect();
    format!("SELECT object FROM ({}) found ORDER BY place, object", branches.join(" UNION ALL "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_target_is_no_finding() {
        assert_eq!(judge("shop", &[]), None);
    }

    #[test]
    fn what_is_there_is_named() {
        let finding = judge("shop", &["table public.a".to_owned()]).unwrap();
        assert_eq!(finding.what, "isn't empty: it holds 1 object: table public.a");
    }
}
