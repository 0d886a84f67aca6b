//! What of the source is judged by its database's locale: unique keys that fold case, CHECKs that
//! compare, match or fold text, and partitions by ranges of text.
//!
//! Expressions are recognised by the operators and functions in their stored form, and by the
//! collation these work under (source: include/nodes/primnodes.h): text is compared in a CHECK far
//! more often for being equal, which no deterministic locale changes.

use tokio_postgres::Row;

use crate::catalog::Scope;
use crate::error::Result;
use crate::pg::{QualifiedName, quote_ident};
use crate::wire::Session;

use super::effect::Effect;
use super::trial::{Rule, Trial};

/// What the locale judges.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// What is to be tried.
    pub(super) trials: Vec<Trial>,
    /// What can only be named.
    pub(super) untried: Vec<String>,
}

/// Reads what this effect changes the judgement of.
pub(super) async fn read(source: &Session, effect: Effect) -> Result<Judged> {
    let doing = "looking for what depends on the locale";
    let scope = Scope::default();
    let mut judged = Judged::default();
    if effect.letters {
        for row in source.query(doing, &unique_sql(&scope), &[]).await? {
            let trial = unique(&row);
            // Texts of ASCII alone fold alike everywhere but in Turkish.
            if effect.ascii_letters || has_other_letters(source, &trial, &row).await? {
                judged.trials.push(trial);
            }
        }
    }
    for row in source.query(doing, &checks_sql(&scope), &[]).await? {
        judged.trials.extend(check(&row, effect));
    }
    if effect.order {
        for row in source.query(doing, &partitions_sql(&scope), &[]).await? {
            judged.trials.push(partition(&row));
        }
    }
    for row in source.query(doing, &untried_sql(&scope), &[]).await? {
        let (by_letters, by_order): (bool, bool) = (row.get(1), row.get(2));
        if effect.letters && by_letters || effect.order && by_order {
            judged.untried.push(row.get(0));
        }
    }
    Ok(judged)
}

fn unique(row: &Row) -> Trial {
    Trial {
        object: format!("INDEX {}.{}", row.get::<_, &str>("schema"), row.get::<_, &str>("name")),
        filter: row.get("filter"),
        rule: Rule::Unique { keys: row.get("keys"), nulls_are_equal: row.get("nulls_are_equal") },
        ..of_table(row)
    }
}

fn check(row: &Row, effect: Effect) -> Option<Trial> {
    let (by_letters, by_order): (bool, bool) = (row.get("by_letters"), row.get("by_order"));
    let by_letters = effect.letters && by_letters;
    let by_order = effect.order && by_order;
    let only_other_letters = by_letters && !by_order && !effect.ascii_letters;
    let (schema, table, name): (&str, &str, &str) =
        (row.get("schema"), row.get("relation"), row.get("name"));
    (by_letters || by_order).then(|| Trial {
        object: format!("CHECK CONSTRAINT {schema}.{table} {name}"),
        filter: only_other_letters.then(|| other_letters(row)),
        rule: Rule::Holds(row.get("rule")),
        ..of_table(row)
    })
}

fn partition(row: &Row) -> Trial {
    let (schema, name): (&str, &str) = (row.get("schema"), row.get("relation"));
    Trial {
        object: format!("TABLE ATTACH {schema}.{name}"),
        rule: Rule::Holds(row.get("rule")),
        ..of_table(row)
    }
}

fn of_table(row: &Row) -> Trial {
    let names: Vec<String> = row.get("columns");
    let types: Vec<String> = row.get("types");
    Trial {
        object: String::new(),
        table: QualifiedName::new(row.get::<_, String>("schema"), row.get::<_, String>("relation")),
        columns: names.into_iter().zip(types).collect(),
        filter: None,
        rule: Rule::Holds(String::new()),
    }
}

/// The condition that a text column holds something beyond ASCII.
fn other_letters(row: &Row) -> String {
    let texts: Vec<String> = row.get("texts");
    let conditions: Vec<String> = texts
        .iter()
        .map(|name| {
            let text = format!("({}::pg_catalog.text COLLATE pg_catalog.\"C\")", quote_ident(name));
            format!("{text} OPERATOR(pg_catalog.~) '[^\\x01-\\x7F]'")
        })
        .collect();
    match conditions.is_empty() {
        true => "true".to_owned(),
        false => conditions.join(" OR "),
    }
}

async fn has_other_letters(source: &Session, trial: &Trial, row: &Row) -> Result<bool> {
    let filter = trial.filter.as_deref().unwrap_or("true");
    let sql = format!(
        "SELECT EXISTS (SELECT FROM ONLY {} WHERE ({filter}) AND ({}))",
        trial.table.sql(),
        other_letters(row)
    );
    Ok(source.query_one("looking for letters beyond ASCII", &sql, &[]).await?.get(0))
}

/// The columns of a relation that meet a condition, as three arrays: their names; their types in a
/// temporary table, which only the system's own can keep; and the names of those that hold text.
fn columns(relation: &str, which: &str) -> String {
    let from = format!(
        "FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
         LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype \
         LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation AND l.oid <> 100 \
         AND l.collnamespace = 'pg_catalog'::pg_catalog.regnamespace \
         WHERE a.attrelid = {relation} AND a.attnum > 0 AND NOT a.attisdropped AND ({which})"
    );
    format!(
        "ARRAY(SELECT a.attname::text {from} ORDER BY a.attnum) AS columns, \
         ARRAY(SELECT CASE \
         WHEN t.typtype <> 'd' AND t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace \
         THEN pg_catalog.format_type(t.oid, a.atttypmod) \
         WHEN b.typtype <> 'd' AND b.typnamespace = 'pg_catalog'::pg_catalog.regnamespace \
         THEN pg_catalog.format_type(b.oid, t.typtypmod) \
         ELSE 'text' END \
         || coalesce(' COLLATE pg_catalog.' || pg_catalog.quote_ident(l.collname), '') \
         {from} ORDER BY a.attnum) AS types, \
         ARRAY(SELECT a.attname::text {from} AND a.attcollation <> 0 ORDER BY a.attnum) AS texts"
    )
}

/// Patterns that find, in an expression's stored form, what depends on letters' cases and what on
/// order, under the database's own collation.
const PATTERNS: &str = "WITH types AS (SELECT t.oid, t.typname = 'citext' AS folds \
     FROM pg_catalog.pg_type t WHERE t.oid IN (25, 1042) OR t.typname = 'citext'), \
     patterns AS (SELECT \
     ':opno (' || coalesce((SELECT pg_catalog.string_agg(o.oid::text, '|') \
     FROM pg_catalog.pg_operator o JOIN types t ON t.oid = o.oprleft \
     WHERE t.folds OR o.oprname IN ('~', '!~', '~*', '!~*', '~~*', '!~~*')), '') \
     || ') [^({]*:inputcollid 100 |:funcid (' || coalesce((SELECT pg_catalog.string_agg(p.oid::text, '|') \
     FROM pg_catalog.pg_proc p WHERE p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace \
     AND 25 = ANY (p.proargtypes) AND p.proname IN ('lower', 'upper', 'initcap', 'casefold', \
     'regexp_match', 'regexp_matches', 'regexp_replace', 'regexp_like', 'regexp_count', \
     'regexp_instr', 'regexp_substr', 'regexp_split_to_array', 'substring', 'similar_to_escape') \
     OR EXISTS (SELECT FROM types t WHERE t.folds AND t.oid = ANY (p.proargtypes))), '') \
     || ') [^({]*:inputcollid 100 ' AS letters, \
     ':opno (' || coalesce((SELECT pg_catalog.string_agg(o.oid::text, '|') \
     FROM pg_catalog.pg_operator o JOIN types t ON t.oid = o.oprleft \
     WHERE o.oprname IN ('<', '<=', '>', '>=')), '') || ') [^({]*:inputcollid 100 ' AS orders)";

/// Unique indexes over citext, or over an expression that folds case. citext compares what lower()
/// makes of it under the database's collation (source: contrib/citext/citext.c).
fn unique_sql(scope: &Scope) -> String {
    let is_citext = "(t.typname = 'citext' OR b.typname = 'citext')";
    let key_type = "pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
                    LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype";
    let of_index = "a.attnum = ANY (i.indkey) OR EXISTS (SELECT FROM pg_catalog.pg_depend d \
                    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
                    AND d.objid = i.indexrelid \
                    AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass \
                    AND d.refobjid = i.indrelid AND d.refobjsubid = a.attnum)";
    // Indexes have a row type's number of keys in indnkeyatts; what is beyond is only included.
    format!(
        "{PATTERNS} SELECT n.nspname::text AS schema, c.relname::text AS relation, \
         x.relname::text AS name, pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS filter, \
         coalesce((pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false) \
         AS nulls_are_equal, \
         ARRAY(SELECT CASE WHEN i.indkey[k - 1] = 0 \
         THEN pg_catalog.pg_get_indexdef(i.indexrelid, k, false) \
         ELSE (SELECT CASE WHEN {is_citext} THEN 'pg_catalog.lower(' \
         || pg_catalog.quote_ident(a.attname) || ')' ELSE pg_catalog.quote_ident(a.attname) END \
         FROM {key_type} WHERE a.attrelid = i.indrelid AND a.attnum = i.indkey[k - 1]) END \
         FROM pg_catalog.generate_series(1, i.indnkeyatts::pg_catalog.int4) k ORDER BY k) AS keys, \
         {columns} \
         FROM patterns p, pg_catalog.pg_index i \
         JOIN pg_catalog.pg_class c ON c.oid = i.indrelid \
         JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE i.indisunique AND i.indisvalid AND c.relkind = 'r' AND {schemas} \
         AND (i.indexprs::text ~ p.letters OR EXISTS (SELECT FROM {key_type} \
         WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) AND {is_citext})) \
         ORDER BY 1, 2, 3",
        columns = columns("i.indrelid", of_index),
        schemas = scope.schemas("n.nspname")
    )
}

fn checks_sql(scope: &Scope) -> String {
    format!(
        "{PATTERNS} SELECT n.nspname::text AS schema, c.relname::text AS relation, \
         k.conname::text AS name, pg_catalog.pg_get_expr(k.conbin, k.conrelid) AS rule, \
         k.conbin::text ~ p.letters AS by_letters, k.conbin::text ~ p.orders AS by_order, {} \
         FROM patterns p, pg_catalog.pg_constraint k \
         JOIN pg_catalog.pg_class c ON c.oid = k.conrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE k.contype = 'c' AND k.convalidated AND c.relkind = 'r' AND {} \
         AND (k.conbin::text ~ p.letters OR k.conbin::text ~ p.orders) ORDER BY 1, 2, 3",
        columns("k.conrelid", "a.attnum = ANY (k.conkey)"),
        scope.schemas("n.nspname")
    )
}

/// The tables below one that is partitioned by ranges of text under the database's collation. The
/// server tells a partition's whole rule, its ancestors' included; the columns it names are found
/// by their names in it, and one too many does no harm.
fn partitions_sql(scope: &Scope) -> String {
    format!(
        "WITH RECURSIVE above(leaf, relation) AS (SELECT c.oid, c.oid FROM pg_catalog.pg_class c \
         WHERE c.relispartition AND c.relkind = 'r' \
         UNION ALL SELECT a.leaf, h.inhparent FROM above a \
         JOIN pg_catalog.pg_inherits h ON h.inhrelid = a.relation) \
         SELECT n.nspname::text AS schema, c.relname::text AS relation, r.rule, {} \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         CROSS JOIN LATERAL pg_catalog.pg_get_partition_constraintdef(c.oid) r(rule) \
         WHERE c.oid IN (SELECT a.leaf FROM above a \
         JOIN pg_catalog.pg_partitioned_table t ON t.partrelid = a.relation \
         WHERE t.partstrat = 'r' AND 100 = ANY (t.partcollation)) \
         AND r.rule IS NOT NULL AND {} ORDER BY 1, 2",
        columns("c.oid", "pg_catalog.strpos(r.rule, pg_catalog.quote_ident(a.attname)) > 0"),
        scope.schemas("n.nspname")
    )
}

/// CHECKs of domains have no table of their own, and a foreign key between citext columns takes two.
fn untried_sql(scope: &Scope) -> String {
    format!(
        "{PATTERNS} SELECT 'DOMAIN ' || n.nspname || '.' || t.typname AS object, \
         k.conbin::text ~ p.letters, k.conbin::text ~ p.orders \
         FROM patterns p, pg_catalog.pg_constraint k \
         JOIN pg_catalog.pg_type t ON t.oid = k.contypid \
         JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
         WHERE k.contype = 'c' AND {schemas} \
         AND (k.conbin::text ~ p.letters OR k.conbin::text ~ p.orders) \
         UNION ALL SELECT 'FK CONSTRAINT ' || n.nspname || '.' || c.relname || ' ' || k.conname, \
         true, false FROM pg_catalog.pg_constraint k \
         JOIN pg_catalog.pg_class c ON c.oid = k.conrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE k.contype = 'f' AND {schemas} AND EXISTS (SELECT FROM pg_catalog.pg_attribute a \
         JOIN types y ON y.oid = a.atttypid AND y.folds \
         WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)) ORDER BY 1",
        schemas = scope.schemas("n.nspname")
    )
}
