//! The manifest beside an archive of ours: what proves its data without a server, and where in a
//! table's stream another worker can begin. It is `pgconvoy.json` in a folder, and
//! `<file>.pgconvoy.json` next to a custom file. Archives of pg_dump's have none.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::contents::ItemId;
use super::header::Layout;

/// The manifest's own format.
pub(super) const FORMAT: u32 = 1;

/// No archive has so many bytes, and what adds them up counts on that.
const BEYOND_COUNTING: u64 = 1 << 60;

/// What is known of an archive's data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this very format: 1.
    pub format: u32,
    /// The version of pgconvoy that made it.
    pub tool: String,
    /// The CRC-32 of the table of contents.
    pub contents_crc32: u32,
    /// Entries with rows, large objects among them; by their numbers.
    pub rows: Vec<Rows>,
}

/// The rows of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// The entry.
    pub item: i32,
    /// The fingerprint of all rows, as [`crate::copy::Fingerprint`] shows itself; of text rows.
    pub fingerprint: String,
    /// What the data's stream is made of, in order, without a gap.
    pub chunks: Vec<Chunk>,
}

/// A part of an entry's data that can be read by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Where it begins: in the entry's file, or in the custom file.
    pub offset: u64,
    /// Bytes there, compressed.
    pub length: u64,
    /// Bytes of COPY data in it, not compressed.
    pub bytes: u64,
    /// The CRC-32 of those.
    pub crc32: u32,
    /// Rows in it.
    pub rows: u64,
}

impl Manifest {
    /// Where an archive's manifest is.
    pub fn path(archive: &Path, layout: Layout) -> PathBuf {
        match layout {
            Layout::Directory => archive.join("pgconvoy.json"),
            Layout::Custom | Layout::Tar => {
                let mut name = archive.as_os_str().to_owned();
                name.push(".pgconvoy.json");
                PathBuf::from(name)
            }
        }
    }

    /// What is known of an entry's rows.
    pub fn rows_of(&self, item: ItemId) -> Option<&Rows> {
        let at = self.rows.binary_search_by_key(&item.0, |rows| rows.item).ok()?;
        self.rows.get(at)
    }

    /// Puts it in order as it was read, and says what can't be true of it.
    pub(super) fn settle(&mut self) -> Result<(), &'static str> {
        self.rows.sort_by_key(|rows| rows.item);
        if self.rows.windows(2).any(|two| two[0].item == two[1].item) {
            return Err("it speaks of an entry twice");
        }
        let chunks = self.rows.iter().flat_map(|rows| &rows.chunks);
        let mut numbers = chunks.flat_map(|chunk| [chunk.length, chunk.bytes, chunk.rows]);
        match numbers.try_fold(0, u64::checked_add).is_some_and(|sum| sum < BEYOND_COUNTING) {
            true => Ok(()),
            false => Err("its numbers are beyond any archive's"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(item: i32, chunks: &[u64]) -> Rows {
        let chunk = |bytes: &u64| Chunk { offset: 0, length: 1, bytes: *bytes, crc32: 0, rows: 1 };
        Rows { item, fingerprint: String::new(), chunks: chunks.iter().map(chunk).collect() }
    }

    fn settled(rows: Vec<Rows>) -> Result<Manifest, &'static str> {
        let mut manifest =
            Manifest { format: FORMAT, tool: String::new(), contents_crc32: 0, rows };
        manifest.settle().map(|()| manifest)
    }

    #[test]
    fn rows_are_found_by_their_entry_however_they_stand() {
        let manifest = settled(vec![rows(9, &[1]), rows(2, &[]), rows(5, &[1, 2])]).unwrap();
        for (item, chunks) in [(2, Some(0)), (5, Some(2)), (9, Some(1)), (4, None), (-1, None)] {
            let found = manifest.rows_of(ItemId(item));
            assert_eq!(found.map(|rows| rows.chunks.len()), chunks, "{item}");
        }
    }

    #[test]
    fn what_cannot_be_true_is_refused() {
        assert!(settled(vec![rows(1, &[]), rows(1, &[])]).is_err());
        assert!(settled(vec![rows(1, &[u64::MAX]), rows(2, &[u64::MAX])]).is_err());
        assert!(settled(vec![rows(1, &[1 << 60])]).is_err());
    }
}
