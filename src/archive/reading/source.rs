//! A part of a file, read from its beginning to its end, that knows how far it was read.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Take};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that are read at once.
const BUFFER: usize = 64 << 10;

/// A part of a file.
pub(super) struct Source {
    from: BufReader<Take<File>>,
    offset: Arc<AtomicU64>,
}

impl Source {
    /// The bytes from `start` on, no more than `length`.
    pub(super) fn open(path: &Path, start: u64, length: u64) -> std::io::Result<Source> {
        let mut file = File::open(path)?;
        if start > 0 {
            file.seek(SeekFrom::Start(start))?;
        }
        let from = BufReader::with_capacity(BUFFER, file.take(length));
        Ok(Source { from, offset: Arc::new(AtomicU64::new(start)) })
    }

    /// The offset in the file of what is read next.
    pub(super) fn offset(&self) -> u64 {
        self.offset.load(Ordering::Relaxed)
    }

    /// The same, for whoever tells of errors.
    pub(super) fn shared_offset(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.offset)
    }
}

impl BufRead for Source {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        self.from.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.from.consume(amount);
        self.offset.fetch_add(amount as u64, Ordering::Relaxed);
    }
}

impl Read for Source {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.from.read(into)?;
        self.offset.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
