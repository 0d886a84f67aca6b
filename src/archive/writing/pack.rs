//! The files that a dump's workers write: pieces of tables' rows, and large objects, one behind the
//! other, already as they will lie in the archive.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::format::adler::Adler32;
use super::super::format::compressing::Laying;
use super::assembling::remove;
use super::encoder::{Encoder, Extent};

/// What was written of a chunk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Where it begins in its pack.
    pub offset: u64,
    /// Its bytes there.
    pub length: u64,
    /// The CRC-32 of those. Packs aren't synced: a disk that fails, or the system, may have lost some
    /// of them when they are read again.
    pub stored_crc32: u32,
    /// Its bytes before they were compressed.
    pub bytes: u64,
    /// The CRC-32 of these.
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
    crc32: crc32fast::Hasher,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.at += written as u64;
        self.crc32.update(&bytes[..written]);
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
        Ok(Pack { file: Counted { file, at: 0, crc32: crc32fast::Hasher::new() }, laying })
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

    /// Ends the pack.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.flush()
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
            stored_crc32: std::mem::take(&mut file.crc32).finalize(),
            bytes: self.bytes,
            crc32: self.crc32.finalize(),
            adler32: self.adler32.map_or(0, Adler32::value),
            objects: Vec::new(),
        })
    }
}

impl Piece {
    /// Begins to read the piece from its pack.
    pub(super) fn open(&self, pack: &Path) -> io::Result<Reread> {
        let mut file = File::open(pack)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let from = BufReader::with_capacity(1 << 20, file);
        Ok(Reread { from, crc32: crc32fast::Hasher::new(), wanted: self.stored_crc32 })
    }

    /// Whether the pack still holds it.
    pub fn is_in(&self, pack: &Path) -> io::Result<bool> {
        let read = || {
            let mut piece = self.open(pack)?;
            piece.copy(self.length, &mut io::sink())?;
            piece.end()
        };
        match read() {
            Ok(()) => Ok(true),
            Err(error) => match error.kind() {
                ErrorKind::NotFound | ErrorKind::UnexpectedEof | ErrorKind::InvalidData => {
                    Ok(false)
                }
                _ => Err(error),
            },
        }
    }
}

/// A piece that is read again.
pub(super) struct Reread {
    from: BufReader<File>,
    crc32: crc32fast::Hasher,
    wanted: u32,
}

impl Reread {
    /// Copies so many bytes of it; fewer are an error.
    pub(super) fn copy(&mut self, mut length: u64, to: &mut impl Write) -> io::Result<()> {
        while length > 0 {
            let there = self.from.fill_buf()?;
            let some = length.min(there.len() as u64) as usize;
            if some == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.crc32.update(&there[..some]);
            to.write_all(&there[..some])?;
            self.from.consume(some);
            length -= some as u64;
        }
        Ok(())
    }

    /// Returns once all of it was what had been written.
    pub(super) fn end(self) -> io::Result<()> {
        match self.crc32.finalize() == self.wanted {
            true => Ok(()),
            false => Err(io::Error::new(
                ErrorKind::InvalidData,
                "a pack doesn't hold what was written to it: its disk lost some of it",
            )),
        }
    }
}
