//! The blocks that data lies in in a custom archive: each a length and so many bytes, and a length
//! of 0 after the last (source: bin/pg_dump/pg_backup_custom.c, _CustomReadFunc).

use std::io::{BufRead, Read};

use super::damage::{cut_off, wrong};
use super::numbers::read_int;

/// What begins an entry's data, before its number: rows follow, or large objects (source:
/// pg_backup_archiver.h, BLK_DATA and BLK_BLOBS).
pub(super) const ROWS_FOLLOW: u8 = 1;
pub(super) const OBJECTS_FOLLOW: u8 = 3;

/// The bytes of one block after the other.
pub(super) struct Blocks<R> {
    from: R,
    /// Bytes left of the block.
    left: u64,
    /// Whether they are some of the data's blocks only, so that no length of 0 comes after them.
    are_some: bool,
    have_ended: bool,
}

impl<R: BufRead> Blocks<R> {
    /// All blocks of an item.
    pub(super) fn all(from: R) -> Blocks<R> {
        Blocks { from, left: 0, are_some: false, have_ended: false }
    }

    /// The whole blocks that `from` consists of.
    pub(super) fn some(from: R) -> Blocks<R> {
        Blocks { from, left: 0, are_some: true, have_ended: false }
    }

    /// Whether a block's bytes come next.
    fn is_inside(&mut self) -> std::io::Result<bool> {
        if self.left == 0 && !self.have_ended {
            if self.are_some && self.from.fill_buf()?.is_empty() {
                self.have_ended = true;
                return Ok(false);
            }
            let length = read_int(&mut self.from)?;
            self.left =
                u64::try_from(length).map_err(|_| wrong("a block's length is below zero"))?;
            self.have_ended = self.left == 0;
        }
        Ok(self.left > 0)
    }
}

impl<R: BufRead> BufRead for Blocks<R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if !self.is_inside()? {
            return Ok(&[]);
        }
        let bytes = self.from.fill_buf()?;
        if bytes.is_empty() {
            return Err(cut_off());
        }
        let length = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        Ok(&bytes[..length])
    }

    fn consume(&mut self, amount: usize) {
        self.from.consume(amount);
        self.left -= amount as u64;
    }
}

impl<R: BufRead> Read for Blocks<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let bytes = self.fill_buf()?;
        let length = bytes.len().min(into.len());
        into[..length].copy_from_slice(&bytes[..length]);
        self.consume(length);
        Ok(length)
    }
}
