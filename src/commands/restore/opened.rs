//! An archive, opened: what it holds, and what it is told from others by.

use std::sync::Arc;

use crate::archive::{Archive, ArchivedToc, Contents, Item, ItemId, Lengths, Need, toc_of};
use crate::catalog::{DEFAULT_TABLESPACE, DatabaseFacts};
use crate::engine::{ArchivedRows, SourceIdentity};
use crate::error::{Error, Kind, Result};
use crate::pg::ServerVersion;
use crate::toc::{Finding, Kind as EntryKind, Toc};

use super::RestoreRequest;
use super::database;

/// An opened archive.
pub(super) struct Opened {
    /// Its data.
    pub(super) rows: Arc<ArchivedRows>,
    /// What is restored of it, under the roles that were asked for.
    pub(super) toc: Toc,
    /// What that needs, and isn't restored: it has to be on the target.
    pub(super) needs: Vec<Need>,
    /// Which part of it that is, under which owners, in words: equal for equal jobs.
    pub(super) terms: Vec<String>,
    /// What of it is left out or will differ on any target.
    pub(super) findings: Vec<Finding>,
    /// What tells it from others, wherever it lies.
    pub(super) identity: SourceIdentity,
    /// What the database was like that it was made of, where it tells.
    pub(super) facts: Option<DatabaseFacts>,
    /// The locale that amounts of money are read in; none for the target database's own.
    pub(super) money: Option<String>,
    /// Whether definitions are in the words in which this very version reads a catalog.
    pub(super) in_our_words: bool,
}

impl Opened {
    /// Opens the archive of a request.
    pub(super) async fn open(request: &RestoreRequest) -> Result<Opened> {
        let (path, part) = (request.archive.clone(), request.part.clone());
        let opening = tokio::task::spawn_blocking(move || {
            let archive = Archive::open(&path)?;
            let lengths = Lengths::of(&archive)?;
            let chosen = part.chosen(archive.contents())?;
            let (words, items) = (part.words(&chosen), chosen.of(archive.contents()));
            let manifest = archive.manifest();
            let length = |item: &Item| lengths.of_item(item);
            let mut gathered = toc_of(archive.contents(), manifest, &items, length)?;
            let is_kept = |item: &Option<_>| item.is_none_or(|item| items.contains(&item));
            let by_items = gathered.items.iter().map(is_kept).collect();
            let (kept, findings) = part.kept(&gathered.toc.entries, by_items)?;
            gathered.findings.extend(findings);
            let needs = gathered.keep(&kept);
            let tables = gathered.toc.entries.iter().filter_map(|entry| entry.table.as_deref());
            let parts = tables.filter_map(|table| table.archived.as_ref()).flat_map(|a| &a.parts);
            let with_data = parts.map(|part| ItemId(part.item)).collect();
            archive.require_files(&with_data)?;
            let with_data = with_data.iter().filter_map(|id| archive.item(*id));
            let lengths = with_data.map(|item| (item.id, lengths.of_item(item))).collect();
            Ok((archive, gathered, needs, words, lengths))
        });
        let opened = opening.await;
        let opened = opened.map_err(|e| Error::step("opening it").because(e.to_string()));
        let (archive, gathered, needs, words, lengths) = opened??;
        let ArchivedToc { toc, mut findings, large_objects, database, money, .. } = gathered;
        if toc.entries.is_empty() {
            return Err(Error::usage("choosing what to restore")
                .because(format!("the archive holds nothing of {}", words.join(" ")))
                .hint("`restore --list` with the same flags shows what they choose"));
        }
        let toc = request.roles.rename(toc, &mut findings);
        let header = &archive.contents().header;
        let version = version(&header.server_version)?;
        let in_our_words = header.is_ours();
        let system = mark(archive.contents())?;
        let identity = SourceIdentity { system, database: header.database.clone(), version };
        let facts = database.as_deref().and_then(database::facts);
        findings.extend(facts.as_ref().filter(|_| brings_database(&toc)).and_then(tablespace));
        let mark = identity.system.clone();
        let rows = Arc::new(ArchivedRows::new(archive, mark, large_objects, lengths));
        let terms = words.into_iter().chain(request.roles.words()).collect();
        Ok(Opened { rows, toc, needs, terms, findings, identity, facts, money, in_our_words })
    }
}

fn brings_database(toc: &Toc) -> bool {
    toc.entries.iter().any(|entry| entry.kind == EntryKind::DatabaseProperties)
}

/// Says where the database lay, if that isn't where others do.
fn tablespace(facts: &DatabaseFacts) -> Option<Finding> {
    let DatabaseFacts { name, tablespace, .. } = facts;
    let what = format!("lies in tablespace {tablespace}: it goes to the target's default one");
    (tablespace != DEFAULT_TABLESPACE).then(|| Finding::change(format!("DATABASE {name}"), what))
}

/// What an archive is told from others by, wherever it lies: when it was made, and its table of
/// contents.
fn mark(contents: &Contents) -> Result<String> {
    let mut bytes = Vec::new();
    contents.write(&mut bytes).map_err(|error| Error::step("reading its contents").io(error))?;
    let sum = crc32fast::hash(&bytes);
    Ok(format!("archive of {} {sum:08x}", contents.header.created))
}

/// The number of a server's version from its words: `15.20 (Debian 15.20-1)`.
fn version(words: &str) -> Result<ServerVersion> {
    let mut numbers = words.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let (major, minor) = (numbers.next(), numbers.next());
    let version = match (major, minor) {
        (Some(Ok(major @ 10..=100)), Some(Ok(minor @ 0..=999))) => Some(major * 10_000 + minor),
        // 9.6.24; or a version in the making, 19devel.
        (Some(Ok(major @ 7..=9)), Some(Ok(minor @ 0..=99))) => Some(major * 10_000 + minor * 100),
        (Some(Ok(major @ 10..=100)), _) => Some(major * 10_000),
        _ => None,
    };
    version.map(ServerVersion).ok_or_else(|| {
        Error::new(Kind::Refused, "reading the archive's header")
            .because("it doesn't say which version of PostgreSQL it was made of")
            .hint("make it anew with pg_dump")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_any_servers_words() {
        for (words, number) in [
            ("15.20 (Debian 15.20-1.pgdg)", 150_020),
            ("18.6", 180_006),
            ("9.6.24", 90_600),
            ("18beta1", 180_000),
        ] {
            assert_eq!(version(words).unwrap(), ServerVersion(number), "{words}");
        }
        assert!(version("").is_err());
        assert!(version("seventeen").is_err());
    }
}
