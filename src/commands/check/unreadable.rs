//! Columns of types that show their values and take none: a row that holds one can't be copied.

use std::collections::BTreeMap;

use crate::commands::survey::Source;
use crate::error::Result;
use crate::pg::{Oid, QualifiedName, quote_ident, quote_literal};
use crate::toc::{Finding, RowsOf, Side, TableData};

use super::sides::Sides;

/// Input functions that refuse whatever they are given, those of contrib included (source:
/// utils/adt/pseudotypes.c, access/brin, statistics/mcv.c and its neighbours, tsgistidx.c; contrib's
/// btree_gist, hstore, intarray, ltree and pg_trgm).
const REFUSING: [&str; 13] = [
    "_intbig_in",
    "_ltree_gist_in",
    "brin_bloom_summary_in",
    "brin_minmax_multi_summary_in",
    "gbtreekey_in",
    "ghstore_in",
    "gtrgm_in",
    "gtsvectorin",
    "ltree_gist_in",
    "pg_dependencies_in",
    "pg_mcv_list_in",
    "pg_ndistinct_in",
    "pg_node_tree_in",
];

/// The rows that can't be copied for such a value.
pub(super) async fn findings(sides: &Sides<'_>, source: &Source) -> Result<Vec<Finding>> {
    let doing = "looking for columns whose type takes no input";
    let mut columns: BTreeMap<QualifiedName, Vec<(String, String)>> = BTreeMap::new();
    for row in sides.source.query(doing, &columns_sql(), &[]).await? {
        let table = QualifiedName::new(row.get::<_, String>(0), row.get::<_, String>(1));
        columns.entry(table).or_default().push((row.get(2), row.get(3)));
    }
    let mut found = Vec::new();
    for table in source.toc.entries.iter().filter_map(|entry| entry.table.as_ref()) {
        for (column, type_name) in columns.get(&table.relation).into_iter().flatten() {
            if table.rows_of == RowsOf::Relation && holds_one(sides, table, column).await? {
                found.push(told(table, column, type_name));
            }
        }
    }
    Ok(found)
}

fn told(table: &TableData, column: &str, type_name: &str) -> Finding {
    let what = format!("can't be copied: no server takes a value of {column}'s type, {type_name}");
    let name = &table.relation;
    Finding::refusal(format!("rows of TABLE {name}"), what).mend(format!(
        "turn it into text on the source: ALTER TABLE {} ALTER COLUMN {col} TYPE text USING \
         {col}::text; or leave the rows behind with --exclude-table-data",
        name.sql(),
        col = quote_ident(column)
    ))
}

/// A NULL of such a type travels.
async fn holds_one(sides: &Sides<'_>, table: &TableData, column: &str) -> Result<bool> {
    let column = format!("{} IS DISTINCT FROM NULL", quote_ident(column));
    let conditions: Vec<&str> = table.conditions(Side::Source).chain([column.as_str()]).collect();
    let sql = format!(
        "SELECT EXISTS (SELECT FROM {} WHERE ({}))",
        table.source_sql(),
        conditions.join(") AND (")
    );
    let doing = format!("looking for values in {}", table.relation);
    Ok(sides.source.query_one(&doing, &sql, &[]).await?.get(0))
}

/// Columns of tables by whose type, or what that is made of, such a function is called.
fn columns_sql() -> String {
    let functions: Vec<String> = REFUSING.iter().map(|name| quote_literal(name)).collect();
    format!(
        "WITH RECURSIVE refusing(oid) AS ( \
             SELECT t.oid FROM pg_catalog.pg_type t \
             JOIN pg_catalog.pg_proc p ON p.oid = t.typinput \
             WHERE p.prosrc IN ({}) \
             UNION SELECT made.oid FROM refusing CROSS JOIN LATERAL ( \
                 SELECT t.oid FROM pg_catalog.pg_type t \
                 WHERE t.typbasetype = refusing.oid \
                    OR t.typelem = refusing.oid AND t.typlen = -1 \
                 UNION ALL SELECT c.reltype FROM pg_catalog.pg_attribute a \
                 JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
                 WHERE a.atttypid = refusing.oid AND NOT a.attisdropped AND c.reltype <> 0 \
                   AND c.oid >= {first}) made) \
         SELECT n.nspname::text, c.relname::text, a.attname::text, \
                pg_catalog.format_type(a.atttypid, a.atttypmod) \
         FROM pg_catalog.pg_attribute a JOIN refusing ON refusing.oid = a.atttypid \
         JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind = 'r' AND c.oid >= {first} AND NOT a.attisdropped \
           AND a.attgenerated = '' ORDER BY 1, 2, a.attnum",
        functions.join(", "),
        first = Oid::FIRST_NORMAL,
    )
}
