//! An archive, opened: what it holds, and what it is told from others by.

use std::path::Path;
use std::sync::Arc;

use crate::archive::{Archive, Contents, Item, ItemId, Layout, Listed, Need, Place, listed};
use crate::catalog::DatabaseFacts;
use crate::engine::{ArchivedRows, SourceIdentity};
use crate::error::{Error, Kind, Result};
use crate::pg::ServerVersion;
use crate::toc::{Finding, Toc};

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
    /// The database it was made of.
    pub(super) database: String,
    /// What that was like, where the archive tells.
    pub(super) facts: Option<DatabaseFacts>,
    /// The locale that amounts of money are read in; none for the target database's own.
    pub(super) money: Option<String>,
    /// The encoding of its rows.
    pub(super) encoding: String,
    /// Whether definitions are in the words in which this very version reads a catalog.
    pub(super) in_our_words: bool,
}

impl Opened {
    /// Opens the archive of a request.
    pub(super) async fn open(request: &RestoreRequest) -> Result<Opened> {
        let (path, part) = (request.archive.clone(), request.part.clone());
        let opening = tokio::task::spawn_blocking(move || {
            let archive = Archive::open(&path)?;
            let lengths = Lengths::of(&path, archive.contents());
            let chosen = part.chosen(archive.contents())?;
            let (words, items) = (part.words(&chosen), chosen.of(archive.contents()));
            let manifest = archive.manifest();
            let length = |item: &Item| lengths.of_item(item);
            let mut listed = listed(archive.contents(), manifest, &items, length)?;
            let is_kept = |item: &Option<_>| item.is_none_or(|item| items.contains(&item));
            let by_items = listed.items.iter().map(is_kept).collect();
            let (kept, findings) = part.kept(&listed.toc.entries, by_items)?;
            listed.findings.extend(findings);
            let needs = listed.keep(&kept);
            let tables = listed.toc.entries.iter().filter_map(|entry| entry.table.as_deref());
            let parts = tables.filter_map(|table| table.archived.as_ref()).flat_map(|a| &a.parts);
            archive.require_files(&parts.map(|part| ItemId(part.item)).collect())?;
            Ok((archive, listed, needs, words))
        });
        let opened = opening.await;
        let opened = opened.map_err(|e| Error::step("opening it").because(e.to_string()));
        let (archive, listed, needs, words) = opened??;
        let Listed { toc, mut findings, large_objects, database, money, encoding, .. } = listed;
        if toc.entries.is_empty() {
            return Err(Error::usage("choosing what to restore")
                .because(format!("the archive holds nothing of {}", words.join(" ")))
                .hint("`restore --list` with the same flags shows what they choose"));
        }
        let toc = request.roles.rename(toc, &mut findings);
        let header = &archive.contents().header;
        let version = version(&header.server_version)?;
        let in_our_words = header.is_ours();
        let name = header.database.clone();
        let identity =
            SourceIdentity { system: mark(archive.contents())?, database: name.clone(), version };
        let facts = database.as_deref().and_then(database::facts);
        let mark = identity.system.clone();
        let rows = Arc::new(ArchivedRows { archive, mark, large_objects });
        let terms = words.into_iter().chain(request.roles.words()).collect();
        Ok(Opened {
            rows,
            toc,
            needs,
            terms,
            findings,
            identity,
            database: name,
            facts,
            money,
            encoding,
            in_our_words,
        })
    }
}

/// What an archive is told from others by, wherever it lies: when it was made, and its table of
/// contents.
fn mark(contents: &Contents) -> Result<String> {
    let mut bytes = Vec::new();
    contents.write(&mut bytes).map_err(|error| Error::step("reading its contents").io(error))?;
    let [second, minute, hour, day, month, year, _] = contents.header.created.0.map(i64::from);
    let (year, month, sum) = (1900 + year, month + 1, crc32fast::hash(&bytes));
    Ok(format!(
        "archive of {year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} {sum:08x}"
    ))
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

/// How many bytes the entries' data has, as far as files tell.
struct Lengths<'a> {
    folder: Option<&'a Path>,
    /// Where data begins in the file, and where the file ends.
    begins: Vec<u64>,
}

impl<'a> Lengths<'a> {
    fn of(path: &'a Path, contents: &Contents) -> Lengths<'a> {
        if contents.header.layout != Layout::Custom {
            return Lengths { folder: path.is_dir().then_some(path), begins: Vec::new() };
        }
        let places = contents.items.iter().filter_map(|item| match item.place {
            Place::Offset(Some(offset)) => Some(offset),
            _ => None,
        });
        let end = std::fs::metadata(path).map_or(0, |file| file.len());
        let mut begins: Vec<u64> = places.chain([end]).collect();
        begins.sort_unstable();
        Lengths { folder: None, begins }
    }

    fn of_item(&self, item: &Item) -> u64 {
        match &item.place {
            Place::File(name) => {
                // Compressed ones have their algorithm's ending.
                let names = ["", ".gz", ".lz4", ".zst"].map(|ending| format!("{name}{ending}"));
                let files =
                    names.iter().filter_map(|name| std::fs::metadata(self.folder?.join(name)).ok());
                files.map(|file| file.len()).sum()
            }
            Place::Offset(Some(offset)) => {
                let next = self.begins.partition_point(|begin| begin <= offset);
                self.begins.get(next).map_or(0, |next| next - offset)
            }
            Place::Offset(None) | Place::Nowhere => 0,
        }
    }
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
