//! Which databases a job is about, and making those that the target lacks.

use crate::catalog::{DatabaseFacts, Scope, database_facts_of, target_facts};
use crate::engine::failpoint::{self, Act, Point};
use crate::error::{Error, Kind, Result};
use crate::pg::{quote_ident, quote_literal};
use crate::toc::{PublicSchema, RoleMap, TargetFacts};
use crate::wire::{Conninfo, Session, TypedValue};

use super::request::{Databases, Request};
use super::survey::Source;

/// A database on both sides.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub(super) source: Conninfo,
    pub(super) target: Conninfo,
    /// What is read, on both sides.
    pub(super) scope: Scope,
    /// Whom the source's roles stand for.
    pub(super) roles: RoleMap,
}

/// How text travels between servers that say what it is in. Sessions speak it in any case.
const UTF8: &str = "UTF8";

/// An encoding that says nothing of its bytes.
pub(super) const SQL_ASCII: &str = "SQL_ASCII";

impl Pair {
    /// The same two databases for connections that carry rows. Both go to the very servers that
    /// `source` and `target` are connected to: a list of hosts, or one name, may stand for several,
    /// and the snapshot and the claim are one server's. And both speak one encoding, or a wrong
    /// conversion would be undone when rows are read back: UTF-8, but for a source in SQL_ASCII,
    /// which doesn't know what its text is in; there it is what `--target` says, and between two of
    /// that sort the bytes stay as they are.
    pub(super) fn for_rows(&self, request: &Request, source: &Source, target: &Session) -> Pair {
        let theirs = target.parameter("server_encoding").unwrap_or_default();
        let encoding = rows_encoding(request, &source.database.encoding, theirs);
        Pair {
            source: source.session.same_server().with_client_encoding(encoding),
            target: target.same_server().with_client_encoding(encoding),
            scope: source.scope.clone(),
            roles: self.roles.clone(),
        }
    }
}

/// How rows travel between databases in these encodings.
pub(super) fn rows_encoding<'a>(request: &'a Request, source: &str, target: &str) -> &'a str {
    match (source, target) {
        (SQL_ASCII, SQL_ASCII) => SQL_ASCII,
        (SQL_ASCII, _) => request.target.client_encoding(),
        _ => UTF8,
    }
}

/// The databases of a request, in the order they are worked on.
pub(super) async fn pairs(request: &Request) -> Result<Vec<Pair>> {
    let scope = Scope { choice: request.choice.clone(), ..Scope::default() };
    let named = |names: &[String]| {
        let pair = |name: &String| Pair {
            source: request.source.with_database(name).with_client_encoding(UTF8),
            target: request.target.with_database(name).with_client_encoding(UTF8),
            scope: scope.clone(),
            roles: request.roles.clone(),
        };
        names.iter().map(pair).collect()
    };
    match &request.databases {
        Databases::AsGiven => {
            let source = request.source.clone();
            // libpq would take the user's name, and a job would make a database `master`.
            let target = match request.target.names_database() {
                true => request.target.clone(),
                false => request.target.with_database(source.database()),
            };
            let (source, target) =
                (source.with_client_encoding(UTF8), target.with_client_encoding(UTF8));
            Ok(vec![Pair { source, target, scope, roles: request.roles.clone() }])
        }
        Databases::Named(names) => Ok(named(names)),
        Databases::All => Ok(named(&all(&request.source).await?)),
    }
}

async fn all(source: &Conninfo) -> Result<Vec<String>> {
    let session = maintenance(source).await?;
    let sql = "SELECT datname::text, datallowconn FROM pg_catalog.pg_database \
               WHERE NOT datistemplate ORDER BY datname";
    let mut names = Vec::new();
    for row in session.query("listing the source's databases", sql, &[]).await? {
        let (name, open): (String, bool) = (row.get(0), row.get(1));
        if !open {
            return Err(Error::new(Kind::Refused, "listing the source's databases")
                .because(format!("database {name} lets nobody connect"))
                .hint(format!(
                    "name the others with --database, or: ALTER DATABASE {} ALLOW_CONNECTIONS true;",
                    quote_ident(&name)
                )));
        }
        if name != MAINTENANCE || holds_relations(source).await? {
            names.push(name);
        }
    }
    Ok(names)
}

/// The database that every cluster has, to connect to: it moves only where it holds something.
const MAINTENANCE: &str = "postgres";

async fn holds_relations(source: &Conninfo) -> Result<bool> {
    let session = Session::connect(&source.with_database(MAINTENANCE)).await?;
    let sql = format!(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE {})",
        Scope::default().schemas("n.nspname")
    );
    Ok(session.query_one("looking into database postgres", &sql, &[]).await?.get(0))
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

/// A session on the server, in another database than the one named: that one can then be dropped.
pub(super) async fn elsewhere(server: &Conninfo) -> Result<Session> {
    let others = ["postgres", "template1"].into_iter().filter(|name| *name != server.database());
    let mut failed = None;
    for name in others {
        match Session::connect(&server.with_database(name)).await {
            Ok(session) => return Ok(session),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    let doing = "connecting to another database of the target, to drop one";
    Err(match failed {
        Some(error) => error.within(doing),
        None => Error::new(Kind::Refused, doing),
    })
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
    /// extensions, nothing of its own in `public`, and nobody else who may create in it.
    pub(super) async fn facts(&self, database: &str) -> Result<TargetFacts> {
        let mut facts = target_facts(self.session()).await?;
        if let TargetDatabase::Missing(_) = self {
            facts.database = database.to_owned();
            facts.database_owner.clone_from(&facts.user);
            // Every new database has PL/pgSQL, which belongs to the superuser that initdb made.
            for (_, extension) in facts.extensions.iter_mut().filter(|(name, _)| *name != "plpgsql")
            {
                extension.installed = None;
                extension.is_ours = true;
            }
            facts.holds.schemas.clear();
            facts.holds.database_creators = [facts.user.clone()].into();
            // From 15 on `public` belongs to the database's owner.
            let of_this_one = facts.holds.public_schema.take().map(|schema| schema.owner);
            let owner = match facts.version.major() {
                15.. => "pg_database_owner".to_owned(),
                _ => of_this_one.unwrap_or_else(|| "postgres".to_owned()),
            };
            facts.holds.public_schema = Some(PublicSchema { owner, is_empty: true });
        }
        Ok(facts)
    }
}

/// Connects to the target database, or to its server.
pub(super) async fn target_database(target: &Conninfo) -> Result<TargetDatabase> {
    match Session::connect(target).await {
        Ok(session) => Ok(TargetDatabase::There(session)),
        Err(error) if is_missing(&error) => Ok(TargetDatabase::Missing(maintenance(target).await?)),
        Err(error) => Err(closed(error, target)),
    }
}

/// insufficient_privilege: a database whose grants leave CONNECT to some is open to whoever made it
/// until the job's end, when it is given to its owner.
pub(super) fn closed(error: Error, target: &Conninfo) -> Error {
    if error.server_error().is_none_or(|server| server.sqlstate != "42501") {
        return error;
    }
    let (database, user) = (quote_ident(target.database()), quote_ident(target.user()));
    error.hint(format!(
        "a job may have finished here, and given the database its owner and grants: connect as its \
         owner, or as that: GRANT CONNECT ON DATABASE {database} TO {user};"
    ))
}

/// The source's database as the target's server would make it: with the same encoding and locale
/// where the server knows them, else with its own default locale, and then with the source's
/// encoding only where that goes with it.
pub(super) async fn prospect(server: &Session, source: &DatabaseFacts) -> Result<DatabaseFacts> {
    if knows_locale(server, source).await? {
        return Ok(source.clone());
    }
    let own = database_facts_of(server, "template0").await?;
    // The C locale goes with every encoding, any other with one (documentation: "Character Set
    // Support").
    let is_c = |locale: &str| matches!(locale, "C" | "POSIX");
    let encoding = match is_c(&own.collate) && is_c(&own.ctype) {
        true => source.encoding.clone(),
        false => own.encoding.clone(),
    };
    Ok(DatabaseFacts { encoding, ..own })
}

/// Makes the target database, as [`prospect`] tells, and connects to it. CREATE DATABASE runs in
/// no transaction: a run that finds it there goes on.
pub(super) async fn create(
    target: &Conninfo,
    server: &Session,
    source: &DatabaseFacts,
) -> Result<Session> {
    let name = target.database();
    let doing = format!("creating database {name}");
    let sql = match prospect(server, source).await? {
        same if same == *source => create_sql(name, source),
        own => create_plainly_sql(name, &own.encoding),
    };
    failpoint::pass(Point::Before(Act::CreateDatabase));
    server.execute(&doing, &sql).await.map_err(|error| match made_meanwhile(&error) {
        true => error.as_kind(Kind::Stale),
        false => error,
    })?;
    failpoint::pass(Point::After(Act::CreateDatabase));
    Session::connect(target).await
}

/// duplicate_database, or the same as its catalog's index has it: a run that was cut off while the
/// server made it may be the one that did.
fn made_meanwhile(error: &Error) -> bool {
    let codes = ["42P04", "23505"];
    error.server_error().is_some_and(|server| codes.contains(&server.sqlstate.as_str()))
}

/// Whether the server can make a database with the source's encoding and locale.
async fn knows_locale(server: &Session, source: &DatabaseFacts) -> Result<bool> {
    let own = database_facts_of(server, "template0").await?;
    let locale = |facts: &DatabaseFacts| {
        let DatabaseFacts { encoding, locale_provider, collate, ctype, locale, .. } = facts.clone();
        (encoding, locale_provider, collate, ctype, locale)
    };
    if locale(&own) == locale(source) {
        return Ok(true);
    }
    // Whichever provider there is, libc's names are given too. Codesets are spelled either way:
    // en_US.UTF-8 is en_US.utf8 (documentation: "Collation Support").
    let sql = "SELECT pg_catalog.bool_and(wanted.name IN ('C', 'POSIX') OR EXISTS \
         (SELECT FROM pg_catalog.pg_collation c WHERE c.collprovider = 'c' \
         AND pg_catalog.lower(pg_catalog.replace(c.collcollate, '-', '')) \
         = pg_catalog.lower(pg_catalog.replace(wanted.name, '-', '')) \
         AND c.collencoding IN (-1, pg_catalog.pg_char_to_encoding($2)))), \
         EXISTS (SELECT FROM pg_catalog.pg_collation WHERE collprovider = 'i') \
         FROM pg_catalog.unnest($1::pg_catalog.text[]) wanted(name)";
    let names = [source.collate.as_str(), source.ctype.as_str()];
    let params: [&dyn TypedValue; 2] = [&&names[..], &source.encoding];
    let row = server.query_one("looking for the source's locale", sql, &params).await?;
    let (knows_libc, has_icu): (bool, bool) = (row.get(0), row.get(1));
    let major = server.version().major();
    let has_provider = match source.locale_provider.as_str() {
        "i" => major >= 15 && has_icu,
        // PG_UNICODE_FAST came a version after the others.
        "b" => major >= if source.locale.as_deref() == Some("PG_UNICODE_FAST") { 18 } else { 17 },
        _ => true,
    };
    Ok(knows_libc && has_provider)
}

pub(super) fn create_sql(name: &str, source: &DatabaseFacts) -> String {
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
        sql.push_str(&format!(" LOCALE_PROVIDER {provider} {option} {}", quote_literal(locale)));
        if let Some(rules) = &source.icu_rules {
            sql.push_str(&format!(" ICU_RULES {}", quote_literal(rules)));
        }
    }
    sql
}

fn create_plainly_sql(name: &str, encoding: &str) -> String {
    format!(
        "CREATE DATABASE {} TEMPLATE template0 ENCODING {}",
        quote_ident(name),
        quote_literal(encoding)
    )
}

/// invalid_catalog_name: there is no such database.
fn is_missing(error: &Error) -> bool {
    error.kind() == Kind::Connect
        && error.server_error().is_some_and(|server| server.sqlstate == "3D000")
}
