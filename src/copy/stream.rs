//! What a copy is told, and what it tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::pg::RowFormat;

use super::fingerprint::Fingerprint;

/// One of the reads that follow each other on a connection.
#[derive(Debug, Clone, Copy)]
pub struct ReadPart<'a> {
    /// One COPY TO STDOUT; see [`super::CopyTable`].
    pub copy_out: &'a str,
    /// What it sends.
    pub stream: CopyStream<'a>,
}

/// One of the copies that follow each other on a pair of connections.
#[derive(Debug, Clone, Copy)]
pub struct CopyPart<'a> {
    /// The source's statement: one COPY TO STDOUT; see [`super::CopyTable`].
    pub copy_out: &'a str,
    /// The target's statements, the last of them a COPY FROM STDIN.
    pub copy_in: &'a str,
    /// What flows between them.
    pub stream: CopyStream<'a>,
}

/// What is known of the stream before it flows.
#[derive(Debug, Clone, Copy)]
pub struct CopyStream<'a> {
    /// The purpose, as in an error: "copying public.orders, chunk 3 of 9".
    pub doing: &'a str,
    /// The format of the rows, as both statements name it.
    pub format: RowFormat,
    /// The number of columns that travel.
    pub columns: usize,
}

/// What went through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Bytes of COPY data, without the protocol's framing.
    pub bytes: u64,
    /// The CRC-32 of those bytes, in the order they came.
    pub crc32: u32,
    /// The rows, their order left out.
    pub fingerprint: Fingerprint,
}

impl Tally {
    /// The number of rows.
    pub fn rows(&self) -> u64 {
        self.fingerprint.rows
    }
}

/// How far a copy is, for whoever watches it. It is no result: rows counted here may be rolled
/// back.
#[derive(Debug, Default)]
pub struct Progress {
    rows: AtomicU64,
    bytes: AtomicU64,
    /// What counts the same, and others' copies too.
    whole: Option<Arc<Progress>>,
}

impl Progress {
    /// Counts one copy by itself and in `whole`.
    pub(crate) fn part_of(whole: &Arc<Progress>) -> Progress {
        Progress { whole: Some(Arc::clone(whole)), ..Progress::default() }
    }

    /// Takes what was counted out of the whole: all of it will pass again.
    pub(crate) fn take_back(self) {
        if let Some(whole) = &self.whole {
            whole.rows.fetch_sub(self.rows(), Ordering::Relaxed);
            whole.bytes.fetch_sub(self.bytes(), Ordering::Relaxed);
        }
    }

    /// Rows that have passed.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Bytes that have passed.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, rows: u64, bytes: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Some(whole) = &self.whole {
            whole.add(rows, bytes);
        }
    }
}

/// The number of rows that a server says it has copied, from the tags of what it did.
pub(super) fn copied_rows(tags: &[String]) -> Option<u64> {
    tags.last()?.strip_prefix("COPY ")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_is_repeated_counts_once() {
        let whole = Arc::new(Progress::default());
        whole.add(1, 10);
        let first = Progress::part_of(&whole);
        first.add(2, 20);
        assert_eq!((whole.rows(), whole.bytes()), (3, 30));
        first.take_back();
        Progress::part_of(&whole).add(4, 40);
        assert_eq!((whole.rows(), whole.bytes()), (5, 50));
    }
}
