//! What would stop or change a restore, found before it is begun.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::pg::{ServerVersion, quote_ident};
use crate::toc::{Finding, Kind, Severity, TargetFacts, Toc, counted, named, roles_named};
use crate::wire::Session;

use super::super::check::held_objects;
use super::super::migrate::refused;
use super::BOOTSTRAP;

/// Whether the target is empty, but for schemas that the archive has, too.
pub(super) async fn emptiness(toc: &Toc, target: &Session) -> Result<Vec<Finding>> {
    let schemas = toc.entries.iter().filter(|entry| entry.kind == Kind::Schema);
    let schemas: Vec<&str> =
        schemas.map(|entry| entry.name.as_str()).filter(|name| *name != "public").collect();
    let objects = held_objects(target, &schemas).await?;
    let what =
        format!("isn't empty: it holds {}: {}", counted(objects.len(), "object"), named(&objects));
    let mend = "name an empty database, or one that isn't there yet, in --target";
    let found = (!objects.is_empty()).then(|| Finding::refusal("target database", what).mend(mend));
    Ok(found.into_iter().collect())
}

/// Whether the versions go together.
pub(super) fn versions(archive: ServerVersion, target: ServerVersion) -> Vec<Finding> {
    let what = format!(
        "runs PostgreSQL {}, older than the {} that the archive was made of: definitions of a newer \
         version don't load on an older one",
        target.major(),
        archive.major()
    );
    let mend = format!("choose a target of version {} or newer", archive.major());
    let is_older = target.major() < archive.major();
    is_older.then(|| Finding::refusal("target server", what).mend(mend)).into_iter().collect()
}

/// The roles that own something or are named by statements, and the target lacks: an archive doesn't
/// bring roles.
pub(super) fn missing_roles(toc: &Toc, target: &TargetFacts) -> Vec<Finding> {
    let mut missing: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in &toc.entries {
        let named = roles_named(entry).into_iter().chain(entry.owner.clone());
        let lacked = named.filter(|role| {
            let is_none = ["public", "current_user", BOOTSTRAP].contains(&role.as_str());
            !is_none && !target.roles.contains_key(role)
        });
        for role in lacked {
            let titles = missing.entry(role).or_default();
            if titles.last() != Some(&entry.title()) {
                titles.push(entry.title());
            }
        }
    }
    let finding = |(role, titles): (String, Vec<String>)| {
        let what = format!("isn't on the target, and is named by {}", named(&titles));
        let name = quote_ident(&role);
        Finding::refusal(format!("role {role}"), what).mend(format!(
            "on the target: CREATE ROLE {name}; or give what it has to another one: --map-role \
             {role}=…"
        ))
    };
    missing.into_iter().map(finding).collect()
}

/// Everything that would stop the job is said at once, before anything is touched.
pub(super) fn refuse(findings: &[Finding], strict: bool) -> Result<(), Error> {
    let worst = if strict { Severity::Change } else { Severity::Refusal };
    let stopping = findings.iter().filter(|finding| finding.severity <= worst);
    let all: Vec<String> = stopping.map(|finding| format!("\n  {finding}")).collect();
    match all.is_empty() {
        true => Ok(()),
        false => Err(refused(&all).hint("mend these and run again")),
    }
}
