//! An archive looked through: all data read to its end, and every reference followed.

use std::collections::{BTreeSet, HashSet};
use std::io::Read;

use serde::Serialize;

use crate::copy::{Fingerprint, TextRows};
use crate::error::Result;

use super::contents::{Item, ItemSection, Place};
use super::custom::Custom;
use super::damage::{damaged_data, read_to_end};
use super::files::Files;
use super::header::Layout;
use super::manifest::{Chunk, Manifest, Rows};
use super::object_lists;
use super::open::{ALL, Archive, CONTENTS, Data, file_name};

/// What pg_dump puts into a tar file besides: a script that nothing reads.
const SCRIPT: &str = "restore.sql";

/// What an entry's data came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Measure {
    /// How many rows there are, or large objects; none where rows are INSERT statements.
    pub count: Option<u64>,
    /// Their bytes, not compressed.
    pub bytes: u64,
}

impl Archive {
    /// Reads an entry's data to its end, and holds it against what the manifest says of it.
    pub fn measure(&self, item: &Item) -> Result<Measure> {
        let known = match self.manifest() {
            Some(manifest) => {
                let known = manifest.rows_of(item.id);
                Some(known.ok_or_else(|| damaged_data(item, "the manifest doesn't know of it"))?)
            }
            None => None,
        };
        if item.holds_large_objects() {
            return self.measure_objects(item, known);
        }
        if item.copy.is_none() {
            let bytes = read_to_end(self.data_of(item)?, |_| {})?;
            return Ok(Measure { count: None, bytes });
        }
        let (fingerprint, bytes) = match known {
            None => fingerprint(self.rows(item)?)?,
            Some(known) => self.prove_rows(item, known)?,
        };
        Ok(Measure { count: Some(fingerprint.rows), bytes })
    }

    /// Holds rows against a manifest: each chunk by itself, and all of them, with what comes after the
    /// last one, as pg_restore reads them. Chunks that can be read by themselves and leave no gap are
    /// all that pg_restore reads; only a zlib stream is more than its parts.
    fn prove_rows(&self, item: &Item, known: &Rows) -> Result<(Fingerprint, u64)> {
        let mut end = self.begins_at(item)?;
        let (mut sum, mut sum_bytes) = (Fingerprint::default(), 0);
        for chunk in &known.chunks {
            let follows = end.is_none_or(|end| end == chunk.offset);
            if !follows {
                return Err(damaged_data(item, "a chunk isn't where the one before it ends"));
            }
            let (of_chunk, bytes) = fingerprint(self.chunk(item, chunk)?)?;
            if of_chunk.rows != chunk.rows {
                return Err(damaged_data(
                    item,
                    "a chunk has another number of rows than its manifest says",
                ));
            }
            sum += of_chunk;
            sum_bytes += bytes;
            end = end.map(|end| end.saturating_add(chunk.length));
        }
        let is_more = match end {
            Some(end) => fingerprint(self.rows_from(item, end)?)?.1 > 0,
            None => fingerprint(self.rows(item)?)? != (sum, sum_bytes),
        };
        if is_more {
            return Err(damaged_data(item, "it has rows that are in no chunk of the manifest"));
        }
        match known.fingerprint == sum.to_string() {
            true => Ok((sum, sum_bytes)),
            false => Err(damaged_data(item, "its rows don't have the fingerprint of the manifest")),
        }
    }

    /// A chunk of large objects is several of them, or one, one behind the other.
    fn measure_objects(&self, item: &Item, known: Option<&Rows>) -> Result<Measure> {
        let mut sums =
            ChunkSums::of(known.map(|known| known.chunks.as_slice()).unwrap_or_default());
        let (mut count, mut bytes) = (0, 0);
        self.large_objects(item, &mut |_, from| {
            count += 1;
            bytes += read_to_end(from, |bytes| sums.take(bytes))?;
            Ok(())
        })?;
        match known.is_none() || sums.are_equal() {
            true => Ok(Measure { count: Some(count), bytes }),
            false => Err(damaged_data(item, "large objects don't have the CRC-32 of the manifest")),
        }
    }

    /// What refers to something that isn't there, and what is there without being referred to.
    pub fn loose_ends(&self) -> Result<Vec<String>> {
        let contents = self.contents();
        let ids: HashSet<i32> = contents.items.iter().map(|item| item.id.0).collect();
        let mut loose = Vec::new();
        // pg_dump's entries depend on what it leaves out, too, such as an extension's objects and the
        // bounds between sections; so do rows that are dumped without their table.
        let is_ours = self.manifest().is_some();
        for item in
            contents.items.iter().filter(|item| is_ours && item.section != ItemSection::Data)
        {
            for id in item.depends_on.iter().filter(|id| !ids.contains(&id.0)) {
                loose.push(format!(
                    "{} depends on entry {}, which isn't there",
                    item.title(),
                    id.0
                ));
            }
        }
        for rows in self.manifest().into_iter().flat_map(|manifest: &Manifest| &manifest.rows) {
            if !ids.contains(&rows.item) {
                loose.push(format!("the manifest knows entry {}, which isn't there", rows.item));
            }
        }
        match &self.data {
            Data::Custom(custom) => loose.extend(self.unlike_their_places(custom)?),
            Data::Files(files) => loose.extend(self.files_of_nobody(files)?),
        }
        Ok(loose)
    }

    /// The entries whose data isn't where they say. What is no entry's data is an error.
    fn unlike_their_places(&self, custom: &Custom) -> Result<Vec<String>> {
        let begun = custom.beginnings(self.contents())?;
        let begun: HashSet<_> = begun.iter().map(|data| (data.item, data.offset)).collect();
        let is_elsewhere = |item: &&Item| match item.place {
            Place::Offset(Some(offset)) => !begun.contains(&(item.id, offset)),
            Place::Offset(None) | Place::Nowhere | Place::File(_) => false,
        };
        let items = self.contents().items.iter().filter(is_elsewhere);
        Ok(items
            .map(|item| format!("the data of {} isn't where it should be", item.title()))
            .collect())
    }

    fn files_of_nobody(&self, files: &Files) -> Result<Vec<String>> {
        let mut left: BTreeSet<String> = files.names()?.into_iter().collect();
        left.remove(CONTENTS);
        match files {
            Files::Tar(_) => left.remove(SCRIPT),
            Files::Folder(folder) => {
                let manifest = Manifest::path(folder, Layout::Directory);
                manifest.file_name().is_some_and(|name| left.remove(&*name.to_string_lossy()))
            }
        };
        for item in &self.contents().items {
            if item.holds_large_objects() && item.place != Place::Nowhere {
                let list = files.member(&object_lists::name(item, &self.contents().header))?;
                left.remove(&list.file);
                object_lists::each(files, &list, &ALL, &mut |_, member| {
                    left.remove(&member.file);
                    Ok(())
                })?;
            } else if let Some(name) = file_name(item) {
                left.remove(&files.member(name)?.file);
            }
        }
        Ok(left.into_iter().map(|file| format!("no entry refers to the file {file}")).collect())
    }
}

/// The CRC-32 of what chunks hold, one behind the other.
struct ChunkSums<'c> {
    left: std::slice::Iter<'c, Chunk>,
    /// The chunk that has begun, and how many of its bytes are missing yet.
    open: Option<(&'c Chunk, u64, crc32fast::Hasher)>,
    are_equal: bool,
}

impl<'c> ChunkSums<'c> {
    fn of(chunks: &'c [Chunk]) -> ChunkSums<'c> {
        let mut sums = ChunkSums { left: chunks.iter(), open: None, are_equal: true };
        sums.begin();
        sums
    }

    /// Begins the next chunk that isn't empty.
    fn begin(&mut self) {
        let next = self.left.find(|chunk| chunk.bytes > 0);
        self.open = next.map(|chunk| (chunk, chunk.bytes, crc32fast::Hasher::new()));
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let Some((chunk, left, crc32)) = &mut self.open else {
                self.are_equal = false;
                return;
            };
            let (of_chunk, rest) =
                bytes.split_at(bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX)));
            crc32.update(of_chunk);
            *left -= of_chunk.len() as u64;
            bytes = rest;
            if *left == 0 {
                self.are_equal &= crc32.clone().finalize() == chunk.crc32;
                self.begin();
            }
        }
    }

    fn are_equal(&self) -> bool {
        self.are_equal && self.open.is_none()
    }
}

/// The fingerprint of rows, and how many bytes they are.
fn fingerprint(from: impl Read) -> Result<(Fingerprint, u64)> {
    let mut rows = TextRows::new();
    let bytes = read_to_end(from, |bytes| rows.take(bytes))?;
    // Rows that don't end with a line are an error of the stream's already.
    Ok((rows.finish().unwrap_or_default(), bytes))
}
