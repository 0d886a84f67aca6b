//! The files that a dump's workers write: pieces of tables' rows, and large objects, one behind the
//! other, already as they will lie in the archive.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::adler::Adler32;
use super::assembling::remove;
use super::compressing::Laying;
use super::encoder::{Encoder, Extent};

/// What was written of a chunk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Where it begins in its pack.
    pub offset: u64,
    /// Its bytes there.
    pub length: u64,
    /// Its bytes before they were compressed.
    pub bytes: u64,
    /// The CRC-32 of those.
    pub crc32: u32,
    /// Their Adler-32, for the zlib stream that they become a part of.
    pub adler32: u32,
    /// If it is made of large objects, each one's OID and its bytes in the pack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<(u32, u64)>,
}

/// A pack that is being written.
pub struct Pack {
    file: Counted,
    laying: Laying,
}

struct Counted {
    file: BufWriter<File>,
    at: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Pack {
    /// Makes a pack, or makes it anew: a file of its own, as whoever wrote the one before may still
    /// be about to notice that it is over.
    pub fn create(path: &Path, laying: Laying) -> io::Result<Pack> {
        remove(path)?;
        let file = BufWriter::with_capacity(1 << 20, File::create_new(path)?);
        Ok(Pack { file: Counted { file, at: 0 }, laying })
    }

    /// Begins a piece of a table's rows.
    pub fn rows(&mut self) -> io::Result<Open<'_>> {
        self.begin(Extent::Part)
    }

    /// Begins a large object.
    pub fn object(&mut self) -> io::Result<Open<'_>> {
        self.begin(Extent::Whole)
    }

    fn begin(&mut self, extent: Extent) -> io::Result<Open<'_>> {
        let offset = self.file.at;
        let laying = self.laying;
        let is_summed = extent == Extent::Part && laying.is_zlib();
        Ok(Open {
            offset,
            bytes: 0,
            crc32: crc32fast::Hasher::new(),
            adler32: is_summed.then(Adler32::new),
            encoder: Encoder::new(&mut self.file, laying, extent)?,
        })
    }

    /// Where the next piece will begin.
    pub fn position(&self) -> u64 {
        self.file.at
    }

    /// Ends the pack: what it holds outlives a crash.
    pub fn finish(self) -> io::Result<()> {
        let file = self.file.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()
    }
}

/// A piece that is being written.
pub struct Open<'p> {
    encoder: Encoder<&'p mut Counted>,
    offset: u64,
    bytes: u64,
    crc32: crc32fast::Hasher,
    adler32: Option<Adler32>,
}

impl Open<'_> {
    /// Takes in more of it.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        self.crc32.update(bytes);
        if let Some(adler32) = &mut self.adler32 {
            adler32.update(bytes);
        }
        self.encoder.write_all(bytes)
    }

    /// Ends it.
    pub fn finish(self) -> io::Result<Piece> {
        let file = self.encoder.finish()?;
        Ok(Piece {
            offset: self.offset,
            length: file.at - self.offset,
            bytes: self.bytes,
            crc32: self.crc32.finalize(),
            adler32: self.adler32.map_or(0, Adler32::value),
            objects: Vec::new(),
        })
    }
}
