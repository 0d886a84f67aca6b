//! How the data of an archive of ours is compressed.

use std::fmt;

use crate::error::{Error, Result};

use super::header::{Compression, Layout, Version};

/// An algorithm and its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compressing {
    /// The algorithm.
    pub by: Compression,
    /// How hard it tries; none for its own default.
    pub level: Option<i32>,
}

impl Compressing {
    /// Reads `zstd`, `gzip:9`, `lz4`, `none`.
    pub fn parse(text: &str) -> Result<Compressing> {
        let refused = |because: &str| {
            Err(Error::usage(format!("reading --compress {text}"))
                .because(because)
                .hint("give zstd, gzip, lz4 or none; zstd:1 to zstd:22, gzip:1 to gzip:9"))
        };
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => match level.parse() {
                Ok(level) => (name, Some(level)),
                Err(_) => return refused("its level is no number"),
            },
            None => (text, None),
        };
        let (by, levels) = match name {
            "none" => (Compression::None, 0..=0),
            "gzip" => (Compression::Gzip, 1..=9),
            "lz4" => (Compression::Lz4, 0..=0),
            "zstd" => (Compression::Zstd, 1..=22),
            _ => return refused("that is no compression"),
        };
        match level {
            Some(level) if !levels.contains(&level) => refused("it has no such level"),
            level => Ok(Compressing { by, level }),
        }
    }

    /// The oldest version of the format that can say this.
    pub fn version(self) -> Version {
        match self.by {
            Compression::None | Compression::Gzip => Version::V1_14,
            Compression::Lz4 | Compression::Zstd => Version::V1_15,
        }
    }

    /// What the names of files in a folder end with.
    pub(super) fn suffix(self) -> &'static str {
        match self.by {
            Compression::None => "",
            Compression::Gzip => ".gz",
            Compression::Lz4 => ".lz4",
            Compression::Zstd => ".zst",
        }
    }
}

impl fmt::Display for Compressing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.by.name())?;
        match self.level {
            Some(level) => write!(f, ":{level}"),
            None => Ok(()),
        }
    }
}

/// How data is laid down: what the bytes of an entry's data look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Laying {
    /// Where they lie.
    pub layout: Layout,
    /// How they are compressed.
    pub compressing: Compressing,
}

impl Laying {
    /// Whether an entry's data is one zlib stream.
    pub(super) fn is_zlib(self) -> bool {
        self.layout == Layout::Custom && self.compressing.by == Compression::Gzip
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_algorithm_may_have_a_level_of_its_own() {
        let zstd = Compressing::parse("zstd:7").unwrap();
        assert_eq!(zstd, Compressing { by: Compression::Zstd, level: Some(7) });
        assert_eq!(zstd.to_string(), "zstd:7");
        assert_eq!(Compressing::parse("none").unwrap().version(), Version::V1_14);
        assert_eq!(Compressing::parse("lz4").unwrap().version(), Version::V1_15);
        for wrong in ["", "zip", "zstd:", "zstd:23", "gzip:0", "lz4:3", "none:1", "gzip:x"] {
            assert!(Compressing::parse(wrong).is_err(), "{wrong}");
        }
    }
}
