//! `pgconvoy webstream provision`: the roles that own the databases, with passwords that the services
//! will find, and the databases themselves, empty.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::commands::Stop;
use crate::error::{Error, Kind, Result};
use crate::pg::{quote_ident, quote_literal};
use crate::wire::{Conninfo, Session};

use super::clock;
use super::configuration::Named;
use super::recipe::Recipe;
use super::record;
use super::secrets::{SecretsFile, generated, variable_of};

/// A database on the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Provisioned {
    /// The database.
    pub database: String,
    /// Whether it was made now.
    pub was_made: bool,
    /// Who owns it.
    pub owner: String,
    /// Whether that role was made now.
    pub owner_was_made: bool,
    /// The variable that holds its password.
    pub variable: String,
}

/// Makes what isn't there yet.
pub async fn provision(recipe: &mut Recipe, stop: &mut Stop) -> Result<Vec<Provisioned>> {
    let path = recipe.secrets()?.map(ToOwned::to_owned).ok_or_else(|| {
        Error::usage("provisioning")
            .because("there is nowhere to keep the roles' passwords")
            .hint("give --secrets file:PATH: a file that only you can read is made there")
    })?;
    let mut secrets = SecretsFile::open(&path)?;
    let known = recipe.variables()?;
    let target = stop.or(Session::connect(&recipe.target()?.with_database("postgres"))).await?;
    let source = stop.or(Session::connect(&recipe.source()?.with_database("postgres"))).await?;
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    let mut all = Vec::new();
    for named in recipe.databases()? {
        let owner = named.username.clone();
        let locale = stop.or(Locale::read(&source, &named.database)).await?;
        // One role may own several databases: it has one password.
        let variable = match owners.get(&owner) {
            Some(first) => first.clone(),
            None => variable_of(&named.database),
        };
        owners.insert(owner.clone(), variable.clone());
        let password = match known.get(&variable) {
            Some(password) => password.to_owned(),
            None => generated()?,
        };
        secrets.keep(&variable_of(&named.database), &password)?;
        let owner_was_made = stop.or(make_owner(&target, &owner, &password)).await?;
        let was_made = stop.or(make_database(&target, &named, &locale)).await?;
        let at = recipe.target()?.with_database(&named.database);
        stop.or(try_login(&at, &named, &password, owner_was_made)).await?;
        let variable = variable_of(&named.database);
        recipe.record.done.provisioned.insert(
            named.database.clone(),
            record::Provisioned {
                at: clock::now(),
                owner: owner.clone(),
                variable: variable.clone(),
            },
        );
        recipe.keep()?;
        let database = named.database;
        all.push(Provisioned { database, was_made, owner, owner_was_made, variable });
    }
    Ok(all)
}

/// A role's password is set as a verifier, so that no log of the server ever holds it.
async fn make_owner(target: &Session, owner: &str, password: &str) -> Result<bool> {
    let doing = format!("making the role {owner}");
    let sql = "SELECT FROM pg_catalog.pg_roles WHERE rolname = $1";
    let is_there = !target.query(&doing, sql, &[&owner]).await?.is_empty();
    if !is_there {
        let verifier = postgres_protocol::password::scram_sha_256(password.as_bytes());
        let (role, verifier) = (quote_ident(owner), quote_literal(&verifier));
        target.execute(&doing, &format!("CREATE ROLE {role} LOGIN PASSWORD {verifier}")).await?;
    }
    // Who isn't a superuser must be a member to give databases away.
    let sql = format!(
        "DO $$ BEGIN IF NOT pg_catalog.pg_has_role({}, 'MEMBER') THEN \
         EXECUTE pg_catalog.format('GRANT %I TO %I', {}::text, current_user); END IF; END $$",
        quote_literal(owner),
        quote_literal(owner)
    );
    target.execute(&format!("becoming a member of {owner}"), &sql).await?;
    Ok(!is_there)
}

/// How a database sorts and what its text is in.
struct Locale {
    encoding: String,
    collate: String,
    ctype: String,
}

impl Locale {
    async fn read(source: &Session, database: &str) -> Result<Locale> {
        let doing = format!("reading the locale of database {database}");
        let sql = "SELECT pg_catalog.pg_encoding_to_char(encoding)::text, datcollate::text, \
                          datctype::text FROM pg_catalog.pg_database WHERE datname = $1";
        let rows = source.query(&doing, sql, &[&database]).await?;
        let row = rows.first().ok_or_else(|| {
            Error::new(Kind::Refused, doing)
                .because("the bundled instance has no such database")
                .hint("check the Database in the configuration, and --source")
        })?;
        Ok(Locale { encoding: row.get(0), collate: row.get(1), ctype: row.get(2) })
    }
}

async fn make_database(target: &Session, named: &Named, locale: &Locale) -> Result<bool> {
    let database = &named.database;
    let doing = format!("making the database {database}");
    let sql = "SELECT FROM pg_catalog.pg_database WHERE datname = $1";
    if !target.query(&doing, sql, &[database]).await?.is_empty() {
        return Ok(false);
    }
    let sql = format!(
        "CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}",
        quote_ident(database),
        quote_ident(&named.username),
        quote_literal(&locale.encoding),
        quote_literal(&locale.collate),
        quote_literal(&locale.ctype),
    );
    target.execute(&doing, &sql).await.map_err(|error| {
        error.hint(format!(
            "make it by hand with a locale that the target has (source: {}, {}), then run again",
            locale.encoding, locale.collate
        ))
    })?;
    Ok(true)
}

/// The password must be the one that the services will find.
async fn try_login(at: &Conninfo, named: &Named, password: &str, was_made: bool) -> Result<()> {
    let login = Session::connect(&at.with_login(&named.username, password)).await;
    login.map(drop).map_err(|error| match was_made {
        true => error,
        false => error.hint(format!(
            "the role was there before: put its password into the secrets file as {}",
            variable_of(&named.database)
        )),
    })
}
