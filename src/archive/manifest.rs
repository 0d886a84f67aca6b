//! The manifest beside an archive of ours: what proves its data without a server, and where in a
//! table's stream another worker can begin. It is `pgconvoy.json` in a folder, and
//! `<file>.pgconvoy.json` next to a custom file. Archives of pg_dump's have none.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::contents::ItemId;
use super::header::Layout;

/// The manifest's own format.
pub(super) const FORMAT: u32 = 1;

/// What is known of an archive's data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this very format: 1.
    pub format: u32,
    /// The version of pgconvoy that made it.
    pub tool: String,
    /// The CRC-32 of the table of contents.
    pub contents_crc32: u32,
    /// Entries with rows, large objects among them.
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
        self.rows.iter().find(|rows| rows.item == item.0)
    }
}
