//! The fingerprint of rows in COPY's text format that come from somewhere else than a server, such
//! as a file: cut anywhere.

use super::fingerprint::{Fingerprint, RowHash};

/// Takes text rows into a fingerprint: the same that they have when a server sends them.
pub struct TextRows {
    fingerprint: Fingerprint,
    /// Of the row that has begun.
    hash: RowHash,
    is_inside: bool,
}

impl TextRows {
    /// No rows.
    #[expect(clippy::new_without_default, reason = "there is one way to make it")]
    pub fn new() -> TextRows {
        TextRows { fingerprint: Fingerprint::default(), hash: RowHash::new(), is_inside: false }
    }

    /// Takes in the next bytes.
    pub fn take(&mut self, mut bytes: &[u8]) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at(end + 1);
            match self.is_inside {
                false => self.fingerprint.add_row(line),
                true => {
                    self.hash.update(line);
                    self.fingerprint.add_hash(self.hash.finish());
                    self.is_inside = false;
                }
            }
            bytes = rest;
        }
        if !bytes.is_empty() {
            self.hash.update(bytes);
            self.is_inside = true;
        }
    }

    /// How many rows have ended.
    pub(super) fn count(&self) -> u64 {
        self.fingerprint.rows
    }

    /// The rows' fingerprint; none if the last one has no end.
    pub fn finish(&self) -> Option<Fingerprint> {
        (!self.is_inside).then_some(self.fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_rows_are_cut_their_fingerprint_is_the_same() {
        let text = b"a\tb\n\n\\N\tc\nlonger than the others\n";
        let mut whole = Fingerprint::default();
        for row in [&b"a\tb\n"[..], b"\n", b"\\N\tc\n", b"longer than the others\n"] {
            whole.add_row(row);
        }
        for size in 1..=text.len() {
            let mut rows = TextRows::new();
            text.chunks(size).for_each(|bytes| rows.take(bytes));
            assert_eq!(rows.finish(), Some(whole), "{size}");
        }
        let mut open = TextRows::new();
        open.take(b"a\nb");
        assert_eq!(open.finish(), None);
    }
}
