//! What changed in a catalog since a snapshot of it: looked for where its tables couldn't be locked.
//!
//! A row's `xmin` is the transaction that wrote it, so a definition that was changed is told from
//! one that wasn't, even if it was changed back. What VACUUM and ANALYZE note in pg_class they write
//! in place (source: commands/vacuum.c, vac_update_relstats).

use std::collections::BTreeMap;

use tokio_postgres::Row;

use crate::error::Result;
use crate::pg::Oid;
use crate::wire::Session;

use super::Scope;
use super::fragments::RELATION_KINDS;

/// So many objects are named.
const NAMED: usize = 10;

/// The objects whose definitions differ between what `then`'s snapshot sees and what `now` sees, by
/// name; of many the first few.
pub async fn drift(then: &Session, now: &Session, scope: &Scope) -> Result<Vec<String>> {
    if sum(then, scope).await? == sum(now, scope).await? {
        return Ok(Vec::new());
    }
    let (before, after) = (by_name(then, scope).await?, by_name(now, scope).await?);
    let differs = |name: &&String| before.get(*name) != after.get(*name);
    let gone = before.keys().filter(differs);
    let come = after.keys().filter(|name| !before.contains_key(*name));
    let mut names: Vec<String> = gone.chain(come).cloned().collect();
    names.sort();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    names.extend((more > 0).then(|| format!("and {more} more")));
    Ok(names)
}

const COMPARING: &str = "comparing the source's definitions with those of the snapshot";

async fn sum(session: &Session, scope: &Scope) -> Result<String> {
    let sql = format!(
        "SELECT pg_catalog.concat(pg_catalog.count(*), ' ', pg_catalog.sum(hash)) FROM ({}) parts",
        parts(scope)
    );
    Ok(session.query_one(COMPARING, &sql, &[]).await?.get(0))
}

async fn by_name(session: &Session, scope: &Scope) -> Result<BTreeMap<String, String>> {
    let sql = format!(
        "SELECT name, pg_catalog.sum(hash)::text FROM ({}) parts GROUP BY name",
        parts(scope)
    );
    let mut found = BTreeMap::new();
    let take = |row: Row| {
        found.insert(row.get(0), row.get(1));
        Ok(())
    };
    session.query_each(COMPARING, &sql, &[], take).await?;
    Ok(found)
}

/// A row for each part of a definition: the object's name, and a hash. Those catalogs count of which
/// definitions are rendered by functions of the server, which see the present.
fn parts(scope: &Scope) -> String {
    let in_schema = |class: &str, schema: &str, word: &str, name: &str, written: &str| {
        format!(
            "SELECT {word} || ' ' || n.nspname || '.' || o.{name} AS name, {hash} AS hash \
             FROM pg_catalog.{class} o JOIN pg_catalog.pg_namespace n ON n.oid = o.{schema} \
             WHERE o.oid >= {normal} AND {schemas}",
            hash = hash(class, "o.oid", written),
            normal = Oid::FIRST_NORMAL,
            schemas = scope.schemas("n.nspname"),
        )
    };
    let of_relation = |class: &str, relation: &str, part: &str| {
        format!(
            "SELECT 'relation ' || n.nspname || '.' || c.relname, {hash} \
             FROM pg_catalog.{class} o JOIN pg_catalog.pg_class c ON c.oid = o.{relation} \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.oid >= {normal} AND {schemas}",
            hash = hash(class, &format!("o.{part}"), "o.xmin"),
            normal = Oid::FIRST_NORMAL,
            schemas = scope.schemas("n.nspname"),
        )
    };
    // REFRESH MATERIALIZED VIEW and REINDEX write pg_class, and define nothing.
    let written = "CASE WHEN o.relkind = 'm' THEN '0' ELSE o.xmin END";
    let relations = in_schema("pg_class", "relnamespace", "'relation'", "relname", written);
    [
        relations + " AND o.relkind IN " + RELATION_KINDS,
        of_relation("pg_attribute", "attrelid", "attnum")
            + " AND o.attnum > 0 AND c.relkind <> 'i'",
        of_relation("pg_attrdef", "adrelid", "oid"),
        of_relation("pg_constraint", "conrelid", "oid"),
        of_relation("pg_index", "indrelid", "indexrelid"),
        of_relation("pg_trigger", "tgrelid", "oid"),
        of_relation("pg_rewrite", "ev_class", "oid"),
        of_relation("pg_policy", "polrelid", "oid"),
        of_relation("pg_statistic_ext", "stxrelid", "oid"),
        in_schema("pg_proc", "pronamespace", "'routine'", "proname", "o.xmin"),
        in_schema("pg_type", "typnamespace", "'type'", "typname", "o.xmin")
            + " AND o.typtype <> 'c' AND o.typcategory <> 'A'",
        format!(
            "SELECT 'type ' || n.nspname || '.' || t.typname, {} FROM pg_catalog.pg_enum o \
             JOIN pg_catalog.pg_type t ON t.oid = o.enumtypid \
             JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE {}",
            hash("pg_enum", "o.oid", "o.xmin"),
            scope.schemas("n.nspname")
        ),
    ]
    .join(" UNION ALL ")
}

fn hash(class: &str, part: &str, written: &str) -> String {
    format!("pg_catalog.hashtextextended(pg_catalog.concat('{class} ', {part}, ' ', {written}), 0)")
}
