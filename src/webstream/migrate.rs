//! `pgconvoy webstream migrate`: all databases go over behind a fence, and each service's role finds
//! what is its own.

use crate::commands::{self, Beginning, DatabaseReport, Events, Stop};
use crate::error::{Error, Kind, Result};
use crate::wire::Session;

use super::clock;
use super::recipe::Recipe;
use super::sessions::{Connected, connected};

/// What the operator says for `migrate` alone.
#[derive(Debug, Clone, Default)]
pub struct Moving {
    /// Whether sessions of services are ended, rather than refused.
    pub despite_sessions: bool,
    /// Whether what an earlier run has made is dropped.
    pub restart: bool,
}

/// Moves all databases. The source stays fenced until `retire` or `rollback`.
pub async fn migrate(
    recipe: &mut Recipe,
    moving: &Moving,
    events: &Events,
    stop: &mut Stop,
) -> (Vec<DatabaseReport>, Result<()>) {
    let ready = stop.or(ready(recipe, moving.despite_sessions)).await;
    let mut request = match ready.and_then(|()| recipe.job()) {
        Ok(request) => request,
        Err(error) => return (Vec::new(), Err(error)),
    };
    match recipe.roles() {
        Ok(roles) => request.fence = roles,
        Err(error) => return (Vec::new(), Err(error)),
    }
    if moving.restart {
        request.beginning = Beginning::Restart;
    }
    // What was verified may soon be another copy: a run that is cut off leaves nothing of it on record.
    let done = &mut recipe.record.done;
    let verified = done.verified.take();
    done.migrated = None;
    if let Err(error) = recipe.keep() {
        return (Vec::new(), Err(error));
    }
    let (reports, ended) = Box::pin(commands::migrate(&request, events, stop)).await;
    if ended.is_ok() && reports.iter().all(|report| report.was_finished) {
        recipe.record.done.verified = verified;
    }
    let ended = match ended {
        Ok(()) if reports.iter().all(|report| report.verification.is_clean()) => {
            moved(recipe, stop).await
        }
        ended => ended,
    };
    (reports, ended)
}

async fn ready(recipe: &mut Recipe, despite_sessions: bool) -> Result<()> {
    let named = recipe.databases()?;
    let refused = |because: String, hint: &str| {
        Err(Error::new(Kind::Refused, "migrating WebStream's databases")
            .because(because)
            .hint(hint))
    };
    if !recipe.led_to_target()?.is_empty() {
        return refused(
            "the configurations lead to the target already, which may hold newer rows".to_owned(),
            "run `pgconvoy webstream rollback` first, if the bundled instance is to be moved again",
        );
    }
    let missing = named.iter().find(|n| !recipe.record.done.provisioned.contains_key(&n.database));
    if let Some(missing) = missing {
        return refused(
            format!("database {} isn't provisioned", missing.database),
            "run `pgconvoy webstream provision` first",
        );
    }
    let source = Session::connect(&recipe.source()?.with_database("postgres")).await?;
    let there = connected(recipe, &source).await?;
    recipe.keep()?;
    if there.is_empty() || despite_sessions {
        return Ok(());
    }
    let lines: Vec<String> = there.iter().map(Connected::described).collect();
    refused(
        format!("services are still connected:\n{}", lines.join("\n")),
        "stop the services on these hosts, then run again; --despite-sessions ends their sessions \
         instead",
    )
}

/// Each service's role must find its database and own it.
async fn moved(recipe: &mut Recipe, stop: &mut Stop) -> Result<()> {
    let variables = stop.or(recipe.variables()).await?;
    for named in recipe.databases()? {
        let Some(done) = recipe.record.done.provisioned.get(&named.database) else { continue };
        let password = variables.get(&done.variable).ok_or_else(|| {
            Error::new(Kind::Refused, format!("connecting as {}", named.username))
                .because(format!("there is no variable {}", done.variable))
                .hint("give --secrets as `provision` was given")
        })?;
        let at = recipe.target()?.with_database(&named.database);
        let session = stop.or(Session::connect(&at.with_login(&named.username, password))).await?;
        let doing = format!("asking for the owner of database {}", named.database);
        let sql = "SELECT datdba::regrole::text, current_user::text FROM pg_catalog.pg_database \
                   WHERE datname = pg_catalog.current_database() AND \
                   NOT pg_catalog.pg_has_role(datdba, 'USAGE')";
        if let Some(row) = stop.or(session.query(&doing, sql, &[])).await?.first() {
            let (owner, role): (String, String) = (row.get(0), row.get(1));
            return Err(Error::step(doing)
                .because(format!("it is {owner}'s, and {role} isn't a member of that role"))
                .hint(format!("ALTER DATABASE … OWNER TO {role}, then run again")));
        }
    }
    recipe.record.done.migrated = Some(clock::now());
    recipe.keep()
}
