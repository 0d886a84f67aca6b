//! `pgconvoy webstream repoint`: the configurations lead to the target from now on. And the way back.

mod files;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::commands::{self, Events, SourceSince, Stop};
use crate::error::{Error, Kind, Result};

use super::clock;
use super::configuration::{Configuration, Keyword, Moved, PasswordRef};
use super::npgsql_version::NpgsqlVersion;
use super::recipe::Recipe;
use super::record::Repointed;
use super::secrets::variable_of;
use files::Prepared;

/// How the services are led.
#[derive(Debug, Clone, Default)]
pub struct Leading {
    /// The file of the authorities that the services trust, as they will find it; none where they
    /// verify nothing.
    pub root_certificate: Option<String>,
    /// Whether only what would be written is shown.
    pub dry_run: bool,
}

/// Leads all configurations to the target, once it is proven to hold what the source holds.
pub async fn repoint(
    recipe: &mut Recipe,
    leading: &Leading,
    events: &Events,
    stop: &mut Stop,
) -> Result<Vec<Rewritten>> {
    if !leading.dry_run {
        refuse_unproven(recipe, events, stop).await?;
    }
    let (host, port) = recipe.target()?.host_and_port().ok_or_else(|| {
        Error::usage("leading the services to the target")
            .because("--target names a socket, or several hosts")
            .hint("give the one endpoint that the services are to use")
    })?;
    let version = recipe.npgsql_version()?;
    let root_certificate = leading.root_certificate.clone();
    let destination = Destination { host, port, version, root_certificate };
    let at = clock::now();
    let stamp = (!leading.dry_run).then(|| clock::stamp(&at));
    let all = rewrite(&recipe.configurations, &destination, stamp.as_deref())?;
    for rewritten in &all {
        if let Some(backup) = rewritten.backup.clone() {
            let repointed = Repointed { at: at.clone(), backup };
            recipe.record.done.repointed.insert(rewritten.configuration.clone(), repointed);
        }
    }
    if !leading.dry_run {
        recipe.keep()?;
    }
    Ok(all)
}

/// Nobody is led to a target that may lack anything: a clean verification must be on record, and the
/// source be as it was.
async fn refuse_unproven(recipe: &Recipe, events: &Events, stop: &mut Stop) -> Result<()> {
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
    // A finished job does nothing but say how its source stands.
    let (reports, ended) = Box::pin(commands::migrate(&recipe.job()?, events, stop)).await;
    ended?;
    let moved_on: Vec<&str> = reports
        .iter()
        .filter(|report| report.source_since != Some(SourceSince::Unchanged))
        .map(|report| report.database.as_str())
        .collect();
    match moved_on.is_empty() {
        true => Ok(()),
        false => Err(Error::new(Kind::Refused, doing)
            .because(format!(
                "the source isn't proven to be as it was when it was copied: {}",
                moved_on.join(", ")
            ))
            .hint(
                "run `pgconvoy webstream migrate` and `verify` again, with the services stopped",
            )),
    }
}

/// What a way back finds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RolledBack {
    /// The configurations that are as they were.
    pub configurations: Vec<PathBuf>,
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
    if !accept_loss {
        let written = Box::pin(written_since(recipe, events, stop)).await?;
        if !written.is_empty() {
            return Err(Error::new(Kind::Refused, "going back to the bundled instance")
                .because(format!("the target was written to since: {}", written.join(", ")))
                .hint("with --accept-loss these rows stay behind"));
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
    files::commit(prepared)?;
    let unfenced = stop.or(commands::unfence(recipe.source()?)).await?;
    recipe.record.done.repointed.clear();
    recipe.record.done.migrated = None;
    recipe.record.done.verified = None;
    recipe.keep()?;
    Ok(RolledBack { configurations: all.into_keys().collect(), roles: unfenced.roles })
}

/// The tables in which the target holds something else than the source: it was written to.
async fn written_since(recipe: &Recipe, events: &Events, stop: &mut Stop) -> Result<Vec<String>> {
    let reports = commands::verify(&recipe.job()?, events, stop).await?;
    let differing = reports.iter().flat_map(|report| {
        let tables = report.verification.tables.iter().filter(|verdict| !verdict.is_equal());
        tables.map(|verdict| format!("{} in {}", verdict.table(), report.database))
    });
    Ok(differing.collect())
}

/// Where the services go, and how.
struct Destination {
    host: String,
    port: u16,
    version: NpgsqlVersion,
    root_certificate: Option<String>,
}

/// What becomes of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rewritten {
    /// The file.
    pub configuration: PathBuf,
    /// The lines that differ, without secrets; none where it leads to the target already.
    pub lines: Vec<ChangedLine>,
    /// The file as it was before, if it was written.
    pub backup: Option<PathBuf>,
}

/// A line before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangedLine {
    /// Its number, from 1.
    pub number: usize,
    /// As it was.
    pub before: String,
    /// As it will be.
    pub after: String,
}

/// Rewrites the configurations, all or none. `stamp` tells the backups from those of other times; none
/// where nothing is to be written.
fn rewrite(
    configurations: &[Configuration],
    destination: &Destination,
    stamp: Option<&str>,
) -> Result<Vec<Rewritten>> {
    let mut all = Vec::new();
    let mut prepared = Vec::new();
    for configuration in configurations {
        let moved = destination.moved(configuration)?;
        let bytes = configuration.rewritten(&moved)?;
        let lines = configuration.changed_lines(&bytes)?;
        let backup = match stamp {
            Some(stamp) if !lines.is_empty() => {
                let file = Prepared::new(configuration.path(), &bytes, stamp)?;
                let backup = file.backup().to_owned();
                prepared.push(file);
                Some(backup)
            }
            _ => None,
        };
        all.push(Rewritten { configuration: configuration.path().to_owned(), lines, backup });
    }
    files::commit(prepared)?;
    Ok(all)
}

impl Destination {
    fn moved(&self, configuration: &Configuration) -> Result<BTreeMap<String, Moved>> {
        let mut settings = vec![
            (Keyword::Host, Some(self.host.clone())),
            (Keyword::Port, Some(self.port.to_string())),
            (Keyword::Password, None),
        ];
        settings.extend(match &self.root_certificate {
            Some(file) => self.version.verifying(file),
            None => self.version.encrypting(),
        });
        let moved = configuration.named()?.into_iter().map(|named| {
            let password_ref = PasswordRef::Env(variable_of(&named.database));
            (named.database, Moved { settings: settings.clone(), password_ref })
        });
        Ok(moved.collect())
    }
}
