//! `pgconvoy webstream retire`: the bundled databases are closed for good. And `unretire`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::commands::Stop;
use crate::error::{Error, Kind, Result};
use crate::pg::quote_ident;
use crate::wire::Session;

use super::clock;
use super::recipe::Recipe;
use super::sessions::connected;

/// What the bundled instance was like before its databases were closed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// When.
    pub at: String,
    /// The roles that could log in.
    pub roles: Vec<String>,
    /// By database: its CONNECTION LIMIT.
    pub limits: BTreeMap<String, i32>,
}

/// Closes the bundled databases: their roles may not log in, nobody but a superuser may connect, and
/// what is there can only be read.
pub async fn retire(recipe: &mut Recipe, stop: &mut Stop) -> Result<Retired> {
    let doing = "closing the bundled databases";
    let refused = |because: String, hint: &str| {
        Err(Error::new(Kind::Refused, doing).because(because).hint(hint))
    };
    if recipe.record.done.verified.is_none() {
        let hint = "run `pgconvoy webstream verify` first";
        return refused("no clean verification is on record".to_owned(), hint);
    }
    if recipe.record.done.repointed.is_empty() {
        let hint = "run `pgconvoy webstream repoint` first";
        return refused("the configurations still lead there".to_owned(), hint);
    }
    let named = recipe.databases()?;
    let databases: Vec<String> = named.iter().map(|named| named.database.clone()).collect();
    let mut roles: Vec<String> = named.iter().map(|named| named.username.clone()).collect();
    roles.sort();
    roles.dedup();
    let source = stop.or(Session::connect(&recipe.source()?.with_database("postgres"))).await?;
    let there = stop.or(connected(&source, &databases, &roles)).await?;
    if let Some(one) = there.first() {
        let because = format!("{} is still connected to {}", one.role, one.database);
        return refused(because, "stop whatever that is, then run again");
    }
    let before = match recipe.record.done.retired.clone() {
        Some(before) => before,
        None => Retired { at: clock::now(), ..stop.or(read(&source, &databases, &roles)).await? },
    };
    // It is on record before anything is changed.
    recipe.record.done.retired = Some(before.clone());
    recipe.keep()?;
    let mut sql = String::from("BEGIN;\n");
    for role in &roles {
        sql += &format!("ALTER ROLE {} NOLOGIN;\n", quote_ident(role));
    }
    for database in &databases {
        let database = quote_ident(database);
        sql += &format!("ALTER DATABASE {database} CONNECTION LIMIT 0;\n");
        sql += &format!("ALTER DATABASE {database} SET default_transaction_read_only = on;\n");
    }
    source.execute(doing, &(sql + "COMMIT")).await?;
    super::report::renew(recipe)?;
    Ok(before)
}

/// Opens the bundled databases again, as they were.
pub async fn unretire(recipe: &mut Recipe, stop: &mut Stop) -> Result<Retired> {
    let doing = "opening the bundled databases again";
    let before = recipe.record.done.retired.clone().ok_or_else(|| {
        Error::new(Kind::Refused, doing)
            .because("the plan file knows of none that were closed")
            .hint("name the plan file with --plan")
    })?;
    let source = stop.or(Session::connect(&recipe.source()?.with_database("postgres"))).await?;
    let mut sql = String::from("BEGIN;\n");
    for role in &before.roles {
        sql += &format!("ALTER ROLE {} LOGIN;\n", quote_ident(role));
    }
    for (database, limit) in &before.limits {
        let database = quote_ident(database);
        sql += &format!("ALTER DATABASE {database} CONNECTION LIMIT {limit};\n");
        sql += &format!("ALTER DATABASE {database} RESET default_transaction_read_only;\n");
    }
    source.execute(doing, &(sql + "COMMIT")).await?;
    recipe.record.done.retired = None;
    recipe.keep()?;
    Ok(before)
}

async fn read(source: &Session, databases: &[String], roles: &[String]) -> Result<Retired> {
    let sql = "SELECT rolname::text FROM pg_catalog.pg_roles \
               WHERE rolname = ANY ($1) AND rolcanlogin ORDER BY 1";
    let rows = source.query("asking who may log in", sql, &[&roles]).await?;
    let roles = rows.iter().map(|row| row.get(0)).collect();
    let sql = "SELECT datname::text, datconnlimit FROM pg_catalog.pg_database \
               WHERE datname = ANY ($1)";
    let rows = source.query("asking for connection limits", sql, &[&databases]).await?;
    let limits = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    Ok(Retired { at: String::new(), roles, limits })
}
