//! `pgconvoy restore --list`: what an archive holds, as lines that `--use-list` takes.

use std::collections::BTreeSet;
use std::path::Path;

use crate::archive::{Archive, ItemId, list_of, toc_of};
use crate::error::{Error, Result};

use super::super::standard_input;
use super::RestoredPart;

/// The list of a part of an archive, in pg_restore's format, which that takes as well.
pub async fn list_archive(archive: &Path, part: &RestoredPart) -> Result<String> {
    let kept = match standard_input::is_meant(archive) {
        true => Some(standard_input::keep().await?),
        false => None,
    };
    let archive = kept.as_ref().map_or(archive, |kept| kept.path());
    let (path, part) = (archive.to_owned(), part.clone());
    let listing = tokio::task::spawn_blocking(move || list(&path, &part));
    let listed = listing.await;
    listed.map_err(|error| Error::step("listing an archive").because(error.to_string()))?
}

fn list(path: &Path, part: &RestoredPart) -> Result<String> {
    let archive = Archive::open(path)?;
    let contents = archive.contents();
    let mut chosen = part.chosen(contents)?.of(contents);
    if !part.choice.is_everything() {
        chosen = named(&archive, part, &chosen)?;
    }
    let header = &contents.header;
    let format = header.layout.name().to_uppercase();
    let (version, compression) = (header.version.number(), header.compression.name());
    let legible = |text: &str| text.replace(['\n', '\r'], " ");
    Ok(format!(
        ";\n; Archive created at {}\n;     dbname: {}\n;     TOC Entries: {}\n;     Compression: \
         {compression}\n;     Dump Version: {version}-0\n;     Format: {format}\n;     Dumped from \
         database version: {}\n;     Dumped by pg_dump version: {}\n;\n;\n; Selected TOC Entries:\n;\n{}",
        header.created,
        legible(&header.database),
        contents.items.len(),
        legible(&header.server_version),
        legible(&header.dumper_version),
        list_of(contents, &chosen)
    ))
}

/// Of the chosen items those that names choose, too.
fn named(
    archive: &Archive,
    part: &RestoredPart,
    chosen: &BTreeSet<ItemId>,
) -> Result<BTreeSet<ItemId>> {
    let gathered = toc_of(archive.contents(), archive.manifest(), chosen, |_| 0)?;
    let is_chosen = |item: &Option<ItemId>| item.is_none_or(|item| chosen.contains(&item));
    let by_items = gathered.items.iter().map(is_chosen).collect();
    let (kept, _told_where_it_is_restored) = part.kept(&gathered.toc.entries, by_items)?;
    let named = gathered.items_of(&kept, archive.contents());
    Ok(named.intersection(chosen).copied().collect())
}
