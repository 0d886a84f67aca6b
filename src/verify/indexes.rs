//! Whether the target's B-trees hold what their tables do. Reading rows never asks an index; the
//! extension amcheck reads both (documentation: "amcheck"). Where it isn't installed, it is created
//! in the transaction that asks it, which is never committed.

use crate::error::{Error, Result};
use crate::pg::{Oid, quote_ident};
use crate::toc::{Kind, Toc, counted};
use crate::wire::Session;

use super::catalogs::CatalogDifference;

const CHECKING: &str = "checking the target's indexes";
/// Where an extension lives that is created for the moment.
const PASSING: &str = "pgconvoy_amcheck";

/// What checking the indexes came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckedIndexes {
    /// Those that hold something else than their tables.
    pub differences: Vec<CatalogDifference>,
    /// How many were checked, and what couldn't be.
    pub notes: Vec<String>,
}

/// Has the indexes on the tables of `expected` checked on the target.
pub async fn check_indexes(target: &Session, expected: &Toc) -> Result<CheckedIndexes> {
    target.execute(CHECKING, "BEGIN").await?;
    let checked = check_all(target, expected).await;
    let ended = target.execute(CHECKING, "ROLLBACK").await;
    let checked = checked?;
    ended?;
    Ok(checked)
}

async fn check_all(target: &Session, expected: &Toc) -> Result<CheckedIndexes> {
    let mut found = CheckedIndexes::default();
    let schema = match amcheck(target).await {
        Ok(schema) => schema,
        Err(error) => return unchecked(error),
    };
    let indexes = indexes(target, expected).await?;
    for (name, oid) in &indexes {
        // The locks that it takes go when it is rolled back to.
        target.execute(CHECKING, "SAVEPOINT before").await?;
        let check = format!(
            "SELECT {}.bt_index_check({oid}::pg_catalog.oid::pg_catalog.regclass, true)",
            quote_ident(&schema)
        );
        match target.execute(&format!("checking index {name}"), &check).await {
            Ok(()) => {}
            Err(error) => match refusal(&error) {
                Refusal::Damage(words) => found
                    .differences
                    .push(CatalogDifference::Damaged { entry: format!("INDEX {name}"), words }),
                Refusal::Rights => return unchecked(error),
                Refusal::Other => found.notes.push(error.message()),
                Refusal::None => return Err(error),
            },
        }
        target.execute(CHECKING, "ROLLBACK TO SAVEPOINT before").await?;
    }
    let whole = indexes.len() - found.differences.len() - found.notes.len();
    let whole = counted(whole, "B-tree");
    found.notes.push(format!("{whole} checked on the target and found whole"));
    Ok(found)
}

/// The schema that amcheck is in, which it comes into now where it isn't installed.
async fn amcheck(target: &Session) -> Result<String> {
    let sql = "SELECT n.nspname FROM pg_catalog.pg_extension e \
               JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace \
               WHERE e.extname = 'amcheck'";
    if let Some(row) = target.query(CHECKING, sql, &[]).await?.first() {
        return Ok(row.get(0));
    }
    let create = format!("CREATE SCHEMA {PASSING}; CREATE EXTENSION amcheck SCHEMA {PASSING}");
    target.execute("creating extension amcheck for the moment", &create).await?;
    Ok(PASSING.to_owned())
}

/// The valid B-trees, each with its name in SQL, in their names' order.
async fn indexes(target: &Session, expected: &Toc) -> Result<Vec<(String, u32)>> {
    let tables = expected
        .entries
        .iter()
        .filter(|entry| matches!(entry.kind, Kind::Table | Kind::MaterializedView));
    let (schemas, names): (Vec<&str>, Vec<&str>) =
        tables.filter_map(|entry| Some((entry.schema.as_deref()?, entry.name.as_str()))).unzip();
    let sql = format!(
        "SELECT pg_catalog.concat(n.nspname, '.', c.relname), c.oid \
         FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), \
         pg_catalog.unnest($2::pg_catalog.text[])) wanted (schema, name) \
         JOIN pg_catalog.pg_namespace tn ON tn.nspname = wanted.schema \
         JOIN pg_catalog.pg_class t ON t.relnamespace = tn.oid AND t.relname = wanted.name \
         JOIN pg_catalog.pg_index i ON i.indrelid = t.oid AND i.indisvalid AND i.indisready \
         JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i' \
         AND c.relpersistence <> 't' AND c.oid >= {} \
         JOIN pg_catalog.pg_am a ON a.oid = c.relam AND a.amname = 'btree' \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace ORDER BY 1",
        Oid::FIRST_NORMAL
    );
    let rows = target.query(CHECKING, &sql, &[&schemas, &names]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// What a failed check says.
enum Refusal {
    /// The index is wrong, or its table can't be read.
    Damage(String),
    /// This user may not check.
    Rights,
    /// The check itself fails: an expression's function, say.
    Other,
    /// The server hasn't said anything.
    None,
}

fn refusal(error: &Error) -> Refusal {
    let Some(server) = error.server_error() else { return Refusal::None };
    match (server.sqlstate.as_str(), server.class()) {
        // data_corrupted and index_corrupted are of this class.
        (_, "XX") => Refusal::Damage(server.message.clone()),
        ("42501", _) => Refusal::Rights,
        (_, "08" | "57") => Refusal::None,
        _ => Refusal::Other,
    }
}

/// That amcheck can't be had is told: it changes no verdict.
fn unchecked(error: Error) -> Result<CheckedIndexes> {
    if matches!(refusal(&error), Refusal::None) {
        return Err(error);
    }
    let note = format!(
        "indexes weren't checked: {}; as the target's administrator: CREATE EXTENSION amcheck; \
         GRANT EXECUTE ON FUNCTION bt_index_check(regclass, boolean) TO the user that verifies",
        error.message()
    );
    Ok(CheckedIndexes { notes: vec![note], ..CheckedIndexes::default() })
}
