//! Functions that the job runs, and that find what they name by a search_path: while rows are
//! copied, indexes built and materialized views refreshed there is none, and from 17 on servers see
//! to that themselves (documentation: release notes of 17, "maintenance operations").

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::pg::{Oid, quote_ident};
use crate::toc::{Finding, bare_names};

use super::gathered::named;
use super::sides::Sides;

/// A function without a search_path of its own that an index, check, generated column, materialized
/// view or statistics object leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Routine {
    /// As SQL names it, with its arguments.
    name: String,
    body: String,
    /// What leads to it.
    users: Vec<String>,
}

/// Names the functions that may not find what they name.
pub(super) async fn findings(sides: &Sides<'_>) -> Result<Vec<Finding>> {
    let routines = routines(sides).await?;
    let names: BTreeSet<String> = routines.iter().flat_map(|r| bare_names(&r.body)).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let schemas = schemas(sides, &names.into_iter().collect::<Vec<String>>()).await?;
    Ok(routines.iter().filter_map(|routine| judge(routine, &schemas)).collect())
}

/// Follows pg_depend from what the job evaluates: through views, operators, casts and domains to
/// functions in languages that leave names to be found when they run. A body of BEGIN ATOMIC has
/// its names resolved, and leads on to what it calls.
async fn routines(sides: &Sides<'_>) -> Result<Vec<Routine>> {
    let unresolved = match sides.source.version().major() {
        14.. => "p.prosqlbody IS NULL",
        _ => "true",
    };
    let first = Oid::FIRST_NORMAL;
    let class = |name: &str| format!("'pg_catalog.{name}'::pg_catalog.regclass");
    let (relation, rewrite, constraint, procedure) =
        (class("pg_class"), class("pg_rewrite"), class("pg_constraint"), class("pg_proc"));
    let sql = format!(
        "WITH RECURSIVE evaluated(class, object, used_by, by_class) AS (\
         SELECT {relation}::oid, c.oid, c.oid, {relation}::oid FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid \
         WHERE c.oid >= {first} AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL) \
         UNION ALL SELECT {constraint}::oid, k.oid, k.oid, {constraint}::oid \
         FROM pg_catalog.pg_constraint k WHERE k.oid >= {first} AND k.contype = 'c' \
         UNION ALL SELECT {attrdef}::oid, d.oid, d.oid, {attrdef}::oid \
         FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid \
         AND a.attnum = d.adnum WHERE d.oid >= {first} AND a.attgenerated <> '' \
         UNION ALL SELECT {rewrite}::oid, r.oid, c.oid, {relation}::oid \
         FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class \
         WHERE c.oid >= {first} AND c.relkind = 'm' \
         UNION ALL SELECT {statistics}::oid, s.oid, s.oid, {statistics}::oid \
         FROM pg_catalog.pg_statistic_ext s WHERE s.oid >= {first}), \
         reached(class, object, used_by, by_class) AS (SELECT * FROM evaluated \
         UNION SELECT next.class, next.object, r.used_by, r.by_class FROM reached r \
         CROSS JOIN LATERAL (SELECT d.refclassid AS class, d.refobjid AS object \
         FROM pg_catalog.pg_depend d WHERE d.classid = r.class AND d.objid = r.object \
         AND d.deptype = 'n' AND d.refobjid >= {first} AND (d.refclassid IN ({procedure}, \
         {operator}, {cast}) OR d.refclassid = {relation} AND EXISTS (SELECT \
         FROM pg_catalog.pg_class v WHERE v.oid = d.refobjid AND v.relkind = 'v')) \
         UNION ALL SELECT {rewrite}::oid, w.oid FROM pg_catalog.pg_rewrite w \
         WHERE r.class = {relation} AND w.ev_class = r.object) next) \
         SELECT pg_catalog.format('%I.%I(%s)', n.nspname, p.proname, \
         pg_catalog.pg_get_function_identity_arguments(p.oid)), p.prosrc, \
         pg_catalog.array_agg(DISTINCT pg_catalog.pg_describe_object(r.by_class, r.used_by, 0)) \
         FROM reached r JOIN pg_catalog.pg_proc p ON r.class = {procedure} AND p.oid = r.object \
         JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
         JOIN pg_catalog.pg_language l ON l.oid = p.prolang AND l.lanname IN ('sql', 'plpgsql') \
         WHERE {unresolved} AND NOT EXISTS (SELECT FROM pg_catalog.unnest(p.proconfig) s(setting) \
         WHERE s.setting LIKE 'search_path=%') GROUP BY 1, 2 ORDER BY 1",
        attrdef = class("pg_attrdef"),
        statistics = class("pg_statistic_ext"),
        operator = class("pg_operator"),
        cast = class("pg_cast"),
    );
    let rows = sides.source.query("looking for functions that indexes and checks call", &sql, &[]);
    let routine = |row: &tokio_postgres::Row| Routine {
        name: row.get(0),
        body: row.get(1),
        users: row.get(2),
    };
    Ok(rows.await?.iter().map(routine).collect())
}

/// The schemas in which the users' and extensions' objects of these names are. What pg_catalog has
/// too is found there first.
async fn schemas(sides: &Sides<'_>, names: &[String]) -> Result<BTreeMap<String, String>> {
    let family = |catalog: &str, name: &str, schema: &str| {
        format!(
            "SELECT o.{name}::text AS name, n.nspname::text AS schema \
             FROM pg_catalog.{catalog} o JOIN pg_catalog.pg_namespace n ON n.oid = o.{schema} \
             WHERE o.{name}::text = ANY ($1) AND n.nspname NOT IN ('pg_catalog', 'pg_toast', \
             'information_schema') AND NOT EXISTS (SELECT FROM pg_catalog.{catalog} s \
             WHERE s.{name} = o.{name} AND s.{schema} = 'pg_catalog'::pg_catalog.regnamespace)"
        )
    };
    let sql = format!(
        "SELECT f.name, pg_catalog.min(f.schema) FROM ({} UNION ALL {} UNION ALL {}) f GROUP BY 1",
        family("pg_proc", "proname", "pronamespace"),
        family("pg_class", "relname", "relnamespace"),
        family("pg_type", "typname", "typnamespace"),
    );
    let rows = sides.source.query("looking for what functions name", &sql, &[&names]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

fn judge(routine: &Routine, schemas: &BTreeMap<String, String>) -> Option<Finding> {
    let names = bare_names(&routine.body);
    let found: BTreeMap<&String, &String> =
        names.iter().filter_map(|name| Some((name, schemas.get(name)?))).collect();
    if found.is_empty() {
        return None;
    }
    let named_there: Vec<String> =
        found.iter().map(|(name, schema)| format!("{name} (in {schema})")).collect();
    let what = format!(
        "names {} without a schema, it seems, and is called for {}: while rows are copied, indexes \
         built and views refreshed search_path is empty, so the job may fail there",
        named(&named_there),
        named(&routine.users)
    );
    let path: BTreeSet<String> = found.values().map(|schema| quote_ident(schema)).collect();
    let path: Vec<String> = path.into_iter().collect();
    let remedy = format!(
        "on the source: ALTER FUNCTION {} SET search_path = {}, pg_temp; or name the schema in its \
         body",
        routine.name,
        path.join(", ")
    );
    Some(Finding::note(format!("FUNCTION {}", routine.name), what).mend(remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_lies_in_a_users_schema_is_told_with_the_path_that_finds_it() {
        let routine = Routine {
            name: "app.plain(text)".to_owned(),
            body: "SELECT unaccent($1) || lower($1)".to_owned(),
            users: vec!["index app.words_plain".to_owned()],
        };
        let schemas = [("unaccent".to_owned(), "Ext".to_owned())].into();
        let finding = judge(&routine, &schemas).unwrap();
        assert!(finding.what.starts_with("names unaccent (in Ext) without"), "{finding}");
        assert!(finding.remedy.unwrap().contains("SET search_path = \"Ext\", pg_temp;"));
        assert_eq!(judge(&routine, &BTreeMap::new()), None);
    }
}
