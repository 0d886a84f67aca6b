//! `pgconvoy restore --list`: what an archive holds, as lines that `--use-list` takes.

use std::path::Path;

use crate::archive::{Archive, list_of};
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
    let chosen = part.chosen(contents)?.of(contents);
    if !part.choice.is_everything() {
        return Err(Error::usage("listing an archive")
            .because(format!("{} chooses what a list can't show", part.choice.words().join(" ")))
            .hint(
                "leave it away: --section, --schema-only, --data-only and --use-list are taken",
            ));
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
