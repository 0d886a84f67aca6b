//! Which databases a job is about, and making those that the target lacks.

use crate::catalog::{DatabaseFacts, database_facts, target_facts};
use crate::error::{Error, Kind, Result};
use crate::pg::{quote_ident, quote_literal};
use crate::toc::TargetFacts;
use crate::wire::{Conninfo, Session};

use super::request::{Databases, Request};

/// A database on both sides.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub(super) source: Conninfo,
    pub(super) target: Conninfo,
}

/// The databases of a request, in the order they are worked on.
pub(super) async fn pairs(request: &Request) -> Result<Vec<Pair>> {
    let named = |names: &[String]| {
        let pair = |name: &String| Pair {
            source: request.source.with_database(name),
            target: request.target.with_database(name),
        };
        names.iter().map(pair).collect()
    };
    match &request.databases {
        Databases::AsGiven => {
            Ok(vec![Pair { source: request.source.clone(), target: request.target.clone() }])
        }
        Databases::Named(names) => Ok(named(names)),
        Databases::All => Ok(named(&all(&request.source).await?)),
    }
}

async fn all(source: &Conninfo) -> Result<Vec<String>> {
    let session = maintenance(source).await?;
    let sql = "SELECT datname::text FROM pg_catalog.pg_database \
               WHERE datallowconn AND NOT datistemplate AND datname <> 'postgres' \
               ORDER BY datname";
    let rows = session.query("listing the source's databases", sql, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// A session on the server, in whatever database is there: the one named, `postgres`, `template1`.
pub(super) async fn maintenance(server: &Conninfo) -> Result<Session> {
    match Session::connect(server).await {
        Err(error) if is_missing(&error) => {}
        connected => return connected,
    }
    match Session::connect(&server.with_database("postgres")).await {
        Err(error) if is_missing(&error) => {
            Session::connect(&server.with_database("template1")).await
        }
        connected => connected,
    }
}

/// A target database, or the server where it is missing.
pub(super) enum TargetDatabase {
    /// It is there.
    There(Session),
    /// It will be made; a session in another database of the server.
    Missing(Session),
}

impl TargetDatabase {
    pub(super) fn session(&self) -> &Session {
        match self {
            TargetDatabase::There(session) | TargetDatabase::Missing(session) => session,
        }
    }

    /// What the target allows in `database`. One that will be made belongs to us, and has no
    /// extensions.
    pub(super) async fn facts(&self, database: &str) -> Result<TargetFacts> {
        let mut facts = target_facts(self.session()).await?;
        if let TargetDatabase::Missing(_) = self {
            facts.database = database.to_owned();
            facts.database_owner.clone_from(&facts.user);
            for extension in facts.extensions.values_mut() {
                extension.installed = None;
            }
        }
        Ok(facts)
    }
}

/// Connects to the target database, or to its server.
pub(super) async fn target_database(target: &Conninfo) -> Result<TargetDatabase> {
    match Session::connect(target).await {
        Ok(session) => Ok(TargetDatabase::There(session)),
        Err(error) if is_missing(&error) => {
            Ok(TargetDatabase::Missing(maintenance(target).await?))
        }
        Err(error) => Err(error),
    }
}

/// Makes the target database as much like the source's as the target's locales allow, and
/// connects to it. CREATE DATABASE runs in no transaction: a run that finds it there goes on.
pub(super) async fn create(
    target: &Conninfo,
    server: &Session,
    source: &DatabaseFacts,
) -> Result<Session> {
    let name = target.database();
    let doing = format!("creating database {name}");
    let like = create_sql(name, source);
    match server.execute(&doing, &like).await {
        Err(error) if is_unknown_locale(&error) => {
            server.execute(&doing, &create_plainly_sql(name, source)).await?;
        }
        created => created?,
    }
    Session::connect(target).await
}

/// Whether the target can make a database with the source's locale.
pub(super) async fn knows_locale(server: &Session, source: &DatabaseFacts) -> Result<bool> {
    let here = database_facts(server).await?;
    if (&here.collate, &here.ctype) == (&source.collate, &source.ctype) {
        return Ok(true);
    }
    let sql = "SELECT pg_catalog.count(DISTINCT collcollate) FROM pg_catalog.pg_collation \
               WHERE collprovider = 'c' AND collcollate IN ($1, $2)";
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 2] =
        [&source.collate, &source.ctype];
    let found: i64 = server.query_one("looking for the locale", sql, &params).await?.get(0);
    let wanted = if source.collate == source.ctype { 1 } else { 2 };
    Ok(found >= wanted)
}

fn create_sql(name: &str, source: &DatabaseFacts) -> String {
    let mut sql = format!(
        "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}",
        quote_ident(name),
        quote_literal(&source.encoding),
        quote_literal(&source.collate),
        quote_literal(&source.ctype)
    );
    let provider = match source.locale_provider.as_str() {
        "i" => Some(("icu", "ICU_LOCALE")),
        "b" => Some(("builtin", "BUILTIN_LOCALE")),
        _ => None,
    };
    if let (Some((provider, option)), Some(locale)) = (provider, &source.locale) {
        sql.push_str(&format!(
            " LOCALE_PROVIDER {provider} {option} {}",
            quote_literal(locale)
        ));
        if let Some(rules) = &source.icu_rules {
            sql.push_str(&format!(" ICU_RULES {}", quote_literal(rules)));
        }
    }
    sql
}

fn create_plainly_sql(name: &str, source: &DatabaseFacts) -> String {
    format!(
        "CREATE DATABASE {} TEMPLATE template0 ENCODING {}",
        quote_ident(name),
        quote_literal(&source.encoding)
    )
}

/// invalid_catalog_name: there is no such database.
fn is_missing(error: &Error) -> bool {
    error.kind() == Kind::Connect
        && error.server_error().is_some_and(|server| server.sqlstate == "3D000")
}

/// wrong_object_type, invalid_parameter_value: how CREATE DATABASE refuses a locale
/// (source: commands/dbcommands.c, "invalid LC_COLLATE locale name").
fn is_unknown_locale(error: &Error) -> bool {
    let refused = |state: &str| matches!(state, "42809" | "22023" | "0A000");
    error.server_error().is_some_and(|server| refused(&server.sqlstate))
}
