//! What an archive says of itself before its entries.

use std::fmt;
use std::io::{Read, Write};

use crate::error::{Error, Kind, Result};

use super::numbers::{INT_SIZE, Numbers, write_int, write_string};

/// How a table of contents begins.
pub(super) const MAGIC: &[u8; 5] = b"PGDMP";
const OFFSET_SIZE: u8 = 8;

/// What an archive says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The format's version.
    pub version: Version,
    /// How the archive lies on disk.
    pub layout: Layout,
    /// How its data is compressed. Before 1.15 it doesn't say more than whether it is.
    pub compression: Compression,
    /// When it was made.
    pub created: CreatedAt,
    /// The database it was made of.
    pub database: String,
    /// The version of that database's server, in its own words.
    pub server_version: String,
    /// The version of what made it.
    pub dumper_version: String,
}

/// A version of the format. A reader refuses those that are newer than it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// PostgreSQL 12 to 15.
    V1_14,
    /// PostgreSQL 16: tells algorithms of compression apart.
    V1_15,
    /// PostgreSQL 17 and 18: relation kinds, and large objects in several entries.
    V1_16,
}

/// How an archive lies on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// A folder: `toc.dat`, and a file for each entry with data.
    Directory,
    /// One file.
    Custom,
    /// A folder in a tar file. A folder's own `toc.dat` says so of itself, too.
    Tar,
}

/// What data is compressed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Nothing.
    None,
    /// Deflate: a zlib stream in a custom archive, a gzip file in a folder.
    Gzip,
    /// LZ4 frames.
    Lz4,
    /// Zstandard frames.
    Zstd,
}

/// A moment, as C's `struct tm` has it: months from 0 on, years since 1900, whether summer time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreatedAt(pub [i32; 7]);

impl Version {
    /// Its number.
    pub fn number(self) -> &'static str {
        match self {
            Version::V1_14 => "1.14",
            Version::V1_15 => "1.15",
            Version::V1_16 => "1.16",
        }
    }
}

impl Layout {
    /// What users call it.
    pub fn name(self) -> &'static str {
        match self {
            Layout::Directory => "directory",
            Layout::Custom => "custom",
            Layout::Tar => "tar",
        }
    }
}

impl Compression {
    /// What users call it.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }
}

impl fmt::Display for CreatedAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [second, minute, hour, day, month, year, _] = self.0.map(i64::from);
        let (month, year) = (month + 1, year + 1900);
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
    }
}

/// What archives of ours say made them: definitions are in the words of a version.
pub const DUMPER: &str = concat!("pgconvoy ", env!("CARGO_PKG_VERSION"));

impl Header {
    /// Whether this very version has made it.
    pub fn is_ours(&self) -> bool {
        self.dumper_version == DUMPER
    }

    /// The major version of the server, as far as its words tell.
    pub(super) fn server_major(&self) -> Option<u32> {
        self.server_version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    }

    pub(super) fn read<R: Read>(from: &mut Numbers<R>) -> Result<Header> {
        if from.bytes::<5>()? != *MAGIC {
            return Err(
                from.damaged("something else than an archive of pg_dump's in these formats")
            );
        }
        let version = version(from)?;
        let (int_size, offset_size) = (from.byte()?, from.byte()?);
        from.sized(int_size, offset_size)?;
        let layout = match from.byte()? {
            1 => Layout::Custom,
            3 => Layout::Tar,
            5 => Layout::Directory,
            _ => return Err(from.damaged("a format that pg_dump doesn't write any more")),
        };
        let compression = match version {
            Version::V1_14 => match from.int()? {
                0 => Compression::None,
                _ => Compression::Gzip,
            },
            _ => match from.byte()? {
                0 => Compression::None,
                1 => Compression::Gzip,
                2 => Compression::Lz4,
                3 => Compression::Zstd,
                _ => return Err(from.damaged("a compression that isn't known")),
            },
        };
        let mut moment = [0; 7];
        for part in &mut moment {
            *part = from.int()?;
        }
        let mut text = || Ok::<_, Error>(from.string()?.unwrap_or_default());
        Ok(Header {
            version,
            layout,
            compression,
            created: CreatedAt(moment),
            database: text()?,
            server_version: text()?,
            dumper_version: text()?,
        })
    }

    pub(super) fn write(&self, to: &mut impl Write) -> std::io::Result<()> {
        let minor = match self.version {
            Version::V1_14 => 14,
            Version::V1_15 => 15,
            Version::V1_16 => 16,
        };
        let layout = match self.layout {
            Layout::Custom => 1,
            // What pg_dump writes into a folder (source: pg_backup_directory.c, _CloseArchive).
            Layout::Directory | Layout::Tar => 3,
        };
        to.write_all(MAGIC)?;
        to.write_all(&[1, minor, 0, INT_SIZE, OFFSET_SIZE, layout])?;
        match (self.version, self.compression) {
            (Version::V1_14, Compression::None) => write_int(to, 0)?,
            (Version::V1_14, _) => write_int(to, -1)?,
            (_, Compression::None) => to.write_all(&[0])?,
            (_, Compression::Gzip) => to.write_all(&[1])?,
            (_, Compression::Lz4) => to.write_all(&[2])?,
            (_, Compression::Zstd) => to.write_all(&[3])?,
        }
        for part in self.created.0 {
            write_int(to, part)?;
        }
        for text in [&self.database, &self.server_version, &self.dumper_version] {
            write_string(to, Some(text))?;
        }
        Ok(())
    }
}

fn version<R: Read>(from: &mut Numbers<R>) -> Result<Version> {
    let [major, minor, _revision] = from.bytes()?;
    let refused = |because: String, hint: &str| {
        Err(Error::new(Kind::Refused, "reading the archive").because(because).hint(hint))
    };
    match (major, minor) {
        (1, 14) => Ok(Version::V1_14),
        (1, 15) => Ok(Version::V1_15),
        (1, 16) => Ok(Version::V1_16),
        (1, ..14) => refused(
            format!("its format's version is {major}.{minor}, from before PostgreSQL 12"),
            "restore it with the pg_restore of its time, and dump that anew",
        ),
        _ => refused(
            format!("its format's version is {major}.{minor}, which is newer than what is known"),
            "use a newer version of pgconvoy, or make it with pg_dump 18 or older",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_as_people_write_it() {
        let shown = |moment| CreatedAt(moment).to_string();
        assert_eq!(shown([9, 58, 3, 31, 11, 126, 0]), "2026-12-31 03:58:09");
        assert!(shown([i32::MIN, 0, 0, 0, i32::MAX, i32::MAX, 7]).contains("2147485547"));
    }
}
