//! A chunk held against what its manifest says of it, while it is read.

use std::io::Read;

use super::super::format::damage::{cut_off, wrong};
use super::super::format::manifest::Chunk;

/// Reads what should be a chunk's rows; where they end it is an error if they weren't.
pub(super) struct Proof<R> {
    from: R,
    /// Bytes that are missing yet.
    left: u64,
    crc32: crc32fast::Hasher,
    expected: u32,
}

impl<R: Read> Proof<R> {
    pub(super) fn new(from: R, chunk: &Chunk) -> Proof<R> {
        Proof { from, left: chunk.bytes, crc32: crc32fast::Hasher::new(), expected: chunk.crc32 }
    }
}

impl<R: Read> Read for Proof<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.from.read(into)?;
        self.crc32.update(&into[..read]);
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| wrong("a chunk has more bytes than its manifest says"))?;
        let is_at_end = read == 0 && !into.is_empty();
        match is_at_end {
            true if self.left > 0 => Err(cut_off()),
            true if self.crc32.clone().finalize() != self.expected => {
                Err(wrong("a chunk's CRC-32 isn't the one that its manifest says"))
            }
            _ => Ok(read),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], length: u64, crc32: u32) -> std::io::Result<Vec<u8>> {
        let chunk = Chunk { offset: 0, length: 0, bytes: length, crc32, rows: 0 };
        let mut read = Vec::new();
        Proof::new(bytes, &chunk).read_to_end(&mut read).map(|_| read)
    }

    #[test]
    fn only_what_the_manifest_says_passes() {
        let crc32 = crc32fast::hash(b"a\nb\n");
        assert_eq!(read(b"a\nb\n", 4, crc32).unwrap(), b"a\nb\n");
        assert_eq!(read(b"", 0, 0).unwrap(), b"");
        for (bytes, length) in [(&b"a\nb"[..], 4), (b"a\nb\nc", 4), (b"a\nx\n", 4), (b"", 4)] {
            assert!(read(bytes, length, crc32).is_err(), "{bytes:?}");
        }
    }
}
