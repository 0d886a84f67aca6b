//! `pgconvoy webstream repoint`: the configurations lead to the target from now on. And the way back.

mod files;
mod rewriting;

use std::path::PathBuf;

use serde::Serialize;

use crate::commands::{self, DatabaseReport, Event, Events, Stop, TableVerdict};
use crate::error::{Error, Kind, Result};
use crate::wire::Session;

use super::clock;
use super::configuration::Configuration;
use super::proof::refuse_behind;
use super::recipe::Recipe;
use super::record::Repointed;
use super::report;
use super::sessions::{Connected, connected, refuse_unknown_clients, services_of};
use files::Prepared;
use rewriting::{Destination, rewrite};

pub use rewriting::{ChangedLine, Rewritten};

/// How the services are led.
#[derive(Debug, Clone, Default)]
pub struct Leading {
    /// The file of the authorities that the services trust, as they will find it; none where they
    /// verify nothing.
    pub root_certificate: Option<String>,
    /// Where they find their passwords.
    pub password_place: PasswordPlace,
    /// Whether only what would be written is shown.
    pub dry_run: bool,
}

/// Where the services find their passwords.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PasswordPlace {
    /// In variables.
    #[default]
    Variables,
    /// In their configurations, encrypted for this host: none of another host makes sense then.
    Tokens,
}

/// Leads all configurations to the target, once it is proven to hold what the source holds.
pub async fn repoint(
    recipe: &mut Recipe,
    leading: &Leading,
    events: &Events,
    stop: &mut Stop,
) -> Result<Vec<Rewritten>> {
    let (host, port) = recipe.target()?.host_and_port().ok_or_else(|| {
        Error::usage("leading the services to the target")
            .because("--target names a socket, or several hosts")
            .hint("give the one endpoint that the services are to use")
    })?;
    let version = recipe.npgsql_version()?;
    if let Some(file) = &leading.root_certificate {
        recipe.record.root_certificate = Some(file.clone());
    }
    let root_certificate = recipe.record.root_certificate.clone();
    let passwords = match leading.password_place {
        PasswordPlace::Variables => None,
        PasswordPlace::Tokens => Some(stop.or(recipe.variables()).await?),
    };
    let destination = Destination { host, port, version, root_certificate, passwords };
    let (all, _) = rewrite(&recipe.configurations, &destination, None)?;
    if leading.dry_run {
        return Ok(all);
    }
    if all.iter().all(|rewritten| rewritten.lines.is_empty()) {
        // Whatever has become of the source since: nobody is led anywhere.
        recipe.keep()?;
        return Ok(all);
    }
    refuse_unproven(recipe, events, stop).await?;
    for configuration in &recipe.configurations {
        configuration.refuse_edited()?;
    }
    let at = clock::now();
    let stamp = clock::stamp(&at);
    let (all, prepared) = rewrite(&recipe.configurations, &destination, Some(&stamp))?;
    let before = recipe.record.clone();
    for rewritten in &all {
        if let Some(backup) = rewritten.backup.clone() {
            let repointed = Repointed { at: at.clone(), backup };
            // The way back leads to what was there before the first time.
            let path = rewritten.configuration.clone();
            recipe.record.done.repointed.entry(path).or_insert(repointed);
            // Nobody has tried where it leads now.
            recipe.record.done.reached = None;
        }
    }
    // The way back is on record before anything is rewritten.
    recipe.keep()?;
    if let Err(error) = files::commit(prepared) {
        recipe.record = before;
        recipe.keep()?;
        return Err(error);
    }
    recipe.read_again()?;
    if let Err(error) = report::renew(recipe) {
        // The files are written, which is what counts.
        events.say(Event::Note(error.message())).await;
    }
    Ok(all)
}

/// Nobody is led to a target that may lack anything: a clean verification must be on record, and the
/// source be as it was.
async fn refuse_unproven(recipe: &mut Recipe, events: &Events, stop: &mut Stop) -> Result<()> {
    let doing = "leading the services to the target";
    let refused = |because: &str, hint: &str| {
        Err(Error::new(Kind::Refused, doing).because(because).hint(hint))
    };
    if recipe.record.done.migrated.is_none() {
        return refused(
            "no clean migration is on record",
            "run `pgconvoy webstream migrate` first",
        );
    }
    if recipe.record.done.verified.is_none() {
        return refused(
            "no clean verification is on record",
            "run `pgconvoy webstream verify` first",
        );
    }
    refuse_unknown_clients(recipe)?;
    let source = stop.or(Session::connect(&recipe.source()?.with_database("postgres"))).await?;
    let there = stop.or(connected(recipe, &source)).await?;
    if !there.is_empty() {
        let lines: Vec<String> = there.iter().map(Connected::described).collect();
        return refused(
            &format!("services are still connected to the bundled instance:\n{}", lines.join("\n")),
            "stop them, then run again; nothing was written",
        );
    }
    let hint = "run `pgconvoy webstream migrate` and `verify` again, with the services stopped";
    refuse_behind(recipe, &source, (doing, hint), events, stop).await
}

/// What a way back finds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RolledBack {
    /// The configurations that are as they were.
    pub configurations: Vec<PathBuf>,
    /// What they were until then, beside them.
    pub backups: Vec<PathBuf>,
    /// The roles that may log in to the source again.
    pub roles: Vec<String>,
}

/// Puts the configurations back, and lifts the fence. What was written on the target since the copy
/// is lost by that.
pub async fn rollback(
    recipe: &mut Recipe,
    accept_loss: bool,
    events: &Events,
    stop: &mut Stop,
) -> Result<RolledBack> {
    let doing = "going back to the bundled instance";
    if recipe.record.done.retired.is_some() {
        return Err(Error::new(Kind::Refused, doing)
            .because("the bundled databases are closed for good")
            .hint("run `pgconvoy webstream unretire` first; nothing was changed"));
    }
    refuse_unknown_way(recipe)?;
    // Nobody writes to a target that nobody was led to.
    let is_led = !recipe.record.done.repointed.is_empty();
    if !accept_loss && is_led {
        refuse_services_there(recipe, stop).await?;
        let written = Box::pin(written_since(recipe, events, stop)).await?;
        if !written.is_empty() {
            return Err(Error::new(Kind::Refused, doing)
                .because(format!("the target was written to since:\n{}", written.join("\n")))
                .hint(
                    "with --accept-loss that stays behind on the target, and the services don't \
                     find it any more; nothing was changed",
                ));
        }
    }
    let all = recipe.record.done.repointed.clone();
    let mut prepared = Vec::new();
    let stamp = clock::stamp(&clock::now());
    for (configuration, Repointed { backup, .. }) in &all {
        let bytes = std::fs::read(backup).map_err(|error| {
            Error::new(Kind::Refused, format!("reading {}", backup.display())).io(error)
        })?;
        prepared.push(Prepared::new(configuration, &bytes, &stamp)?);
    }
    // The plan file is still ours, and can be written.
    recipe.keep()?;
    let backups = prepared.iter().map(|file| file.backup().to_owned()).collect();
    files::commit(prepared)?;
    recipe.read_again()?;
    let unfenced = stop.or(commands::unfence(recipe.source()?)).await?;
    let done = &mut recipe.record.done;
    done.repointed.clear();
    (done.migrated, done.verified, done.reached, done.signed_in) = (None, None, None, None);
    recipe.keep()?;
    Ok(RolledBack { configurations: all.into_keys().collect(), backups, roles: unfenced.roles })
}

/// To lift the fence is no way back while a configuration leads to the target, and nothing says what it
/// was.
fn refuse_unknown_way(recipe: &Recipe) -> Result<()> {
    let known = &recipe.record.done.repointed;
    let led = recipe.led_to_target()?.into_iter().map(Configuration::path);
    let unknown: Vec<String> = led
        .filter(|path| !known.contains_key(*path))
        .map(|path| path.display().to_string())
        .collect();
    match unknown.is_empty() {
        true => Ok(()),
        false => Err(Error::new(Kind::Refused, "going back to the bundled instance")
            .because(format!(
                "this plan file doesn't say what these were before they led to the target: {}",
                unknown.join(", ")
            ))
            .hint(
                "name the plan file of the repoint with --plan, or put back the .bak that lies beside \
                 each, then run again; nothing was changed",
            )),
    }
}

/// What a service writes while the sides are compared would stay behind unseen.
async fn refuse_services_there(recipe: &Recipe, stop: &mut Stop) -> Result<()> {
    let target = stop.or(Session::connect(&recipe.target()?.with_database("postgres"))).await?;
    let there = stop.or(services_of(recipe, &target)).await?;
    let lines: Vec<String> = there.iter().map(Connected::described).collect();
    match lines.is_empty() {
        true => Ok(()),
        false => Err(Error::new(Kind::Refused, "going back to the bundled instance")
            .because(format!("services are still connected to the target:\n{}", lines.join("\n")))
            .hint("stop the services on every host, then run again; nothing was changed")),
    }
}

/// The tables in which the target holds something else than the source: it was written to.
async fn written_since(recipe: &Recipe, events: &Events, stop: &mut Stop) -> Result<Vec<String>> {
    let reports = Box::pin(commands::verify(&recipe.job()?, events, stop)).await?;
    let mut written = Vec::new();
    for DatabaseReport { database, verification, .. } in &reports {
        let tables = verification.tables.iter().filter(|verdict| !verdict.is_equal());
        written.extend(tables.map(|verdict| match verdict {
            TableVerdict::Differs { table, source_rows, target_rows } => format!(
                "{database}: {table}, {source_rows} rows on the source and {target_rows} on the target"
            ),
            other => format!("{database}: {}, which couldn't be compared", other.table()),
        }));
        written.extend(verification.catalog.iter().map(|other| format!("{database}: {other}")));
    }
    Ok(written)
}
