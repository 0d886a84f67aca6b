//! The proof that the target lacks nothing that the bundled instance holds: services are led away from
//! it, and it is closed, by that alone.

use crate::commands::{self, Event, Events, SourceSince, Stop};
use crate::error::{Error, Kind, Result};
use crate::wire::Session;

use super::recipe::Recipe;

/// Refuses where the fence doesn't stand, the copy isn't finished, or the source isn't as it was copied:
/// `doing` what, and what is to be done then.
pub(super) async fn refuse_behind(
    recipe: &Recipe,
    source: &Session,
    (doing, hint): (&str, &str),
    events: &Events,
    stop: &mut Stop,
) -> Result<()> {
    let refused =
        |because: String| Err(Error::new(Kind::Refused, doing).because(because).hint(hint));
    let open = stop.or(able(source, &recipe.roles()?)).await?;
    if !open.is_empty() {
        return refused(format!(
            "{} may log in to the bundled instance: its fence was lifted",
            open.join(", ")
        ));
    }
    for named in recipe.databases()? {
        let at = recipe.target()?.with_database(&named.database);
        let is_finished = stop.or(commands::status(&at)).await?.ending.is_some();
        if !is_finished {
            return refused(format!(
                "the copy of {} isn't finished on this target",
                named.database
            ));
        }
    }
    // A finished job does nothing but say how its source stands.
    let (reports, ended) = Box::pin(commands::migrate(&recipe.job()?, events, stop)).await;
    ended?;
    let mut changed = Vec::new();
    for report in &reports {
        let database = &report.database;
        match &report.source_since {
            Some(SourceSince::Unchanged) => {}
            // The fence keeps the services out and no write is counted: housekeeping goes on there.
            Some(SourceSince::Perhaps { because }) => {
                let words = format!("database {database}: no write is counted since; {because}");
                events.say(Event::Note(words)).await;
            }
            Some(SourceSince::Changed { what }) => {
                changed.push(format!("{database}: {}", what.join(", ")));
            }
            Some(SourceSince::Unknown { because }) => {
                changed.push(format!("{database}: {because}"));
            }
            None => changed.push(format!("{database}: it isn't known")),
        }
    }
    match changed.is_empty() {
        true => Ok(()),
        false => refused(format!(
            "the source isn't as it was when it was copied:\n{}",
            changed.join("\n")
        )),
    }
}

/// Those of the roles that may log in to the source.
async fn able(source: &Session, roles: &[String]) -> Result<Vec<String>> {
    let sql = "SELECT rolname::text FROM pg_catalog.pg_roles \
               WHERE rolname::text = ANY ($1) AND rolcanlogin ORDER BY 1";
    let rows = source.query("asking who may log in to the source", sql, &[&roles]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
