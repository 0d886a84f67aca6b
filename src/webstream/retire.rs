//! `pgconvoy webstream retire`: the bundled databases are closed for good. And `unretire`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::commands::Stop;
use crate::error::{Error, Kind, Result};
use crate::pg::{quote_ident, quote_literal};
use crate::wire::Session;

use super::clock;
use super::recipe::Recipe;
use super::sessions::{Connected, connected};

/// What the bundled instance was like before its databases were closed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// When.
    pub at: String,
    /// The roles that could log in.
    pub roles: Vec<String>,
    /// By database: its CONNECTION LIMIT.
    pub limits: BTreeMap<String, i32>,
    /// By database: its own default_transaction_read_only, where it had one.
    #[serde(default)]
    pub read_only: BTreeMap<String, String>,
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
    if recipe.led_to_target()?.len() < recipe.configurations.len() {
        let hint = "run `pgconvoy webstream repoint` first";
        return refused("the configurations still lead there".to_owned(), hint);
    }
    let named = recipe.databases()?;
    let databases: Vec<String> = named.iter().map(|named| named.database.clone()).collect();
    let roles = recipe.roles()?;
    let source = stop.or(Session::connect(&recipe.source()?.with_database("postgres"))).await?;
    let there = stop.or(connected(recipe, &source)).await?;
    if !there.is_empty() {
        let lines: Vec<String> = there.iter().map(Connected::described).collect();
        let because = format!("somebody is still connected:\n{}", lines.join("\n"));
        return refused(because, "stop whatever that is, then run again; nothing was changed");
    }
    let before = match recipe.record.done.retired.clone() {
        Some(before) => before,
        None => Retired { at: clock::now(), ..stop.or(read(&source, &databases, &roles)).await? },
    };
    // It is on record before anything is changed.
    recipe.record.done.retired = Some(before.clone());
    recipe.keep()?;
    // The instance itself may be read-only by default.
    let mut sql = String::from("BEGIN READ WRITE;\n");
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
    // The instance itself may be read-only by default.
    let mut sql = String::from("BEGIN READ WRITE;\n");
    for role in &before.roles {
        sql += &format!("ALTER ROLE {} LOGIN;\n", quote_ident(role));
    }
    for (name, limit) in &before.limits {
        let database = quote_ident(name);
        sql += &format!("ALTER DATABASE {database} CONNECTION LIMIT {limit};\n");
        sql += &match before.read_only.get(name) {
            Some(value) => format!(
                "ALTER DATABASE {database} SET default_transaction_read_only = {};\n",
                quote_literal(value)
            ),
            None => format!("ALTER DATABASE {database} RESET default_transaction_read_only;\n"),
        };
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
    let sql = "SELECT d.datname::text, pg_catalog.split_part(c.text, '=', 2) \
               FROM pg_catalog.pg_db_role_setting s \
               JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase \
               CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) c(text) \
               WHERE s.setrole = 0 AND d.datname = ANY ($1) \
                 AND c.text LIKE 'default\\_transaction\\_read\\_only=%'";
    let rows = source.query("asking what is read-only", sql, &[&databases]).await?;
    let read_only = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    Ok(Retired { at: String::new(), roles, limits, read_only })
}
