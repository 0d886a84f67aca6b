//! Rows in COPY's text format, of which only the leading columns are decoded (documentation: SQL
//! command COPY, "Text Format").

use std::fmt;

use super::fingerprint::RowHash;

/// The longest key that is kept, escapes included. An index takes keys of 2.7 kB at most
/// (source: access/nbtree.h, BTMaxItemSize); compression and escapes let some more through.
const LONGEST_KEY: usize = 1 << 20;

/// A row, as far as it takes to tell it from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedRow {
    /// The key's columns in the server's text, `None` for NULL; bytes, since a database in
    /// SQL_ASCII may hold anything.
    pub key: Vec<Option<Vec<u8>>>,
    /// The hash of the whole row, its key included.
    pub hash: u128,
}

/// Splits lines that may arrive in parts into key and hash.
pub(super) struct KeyedLines {
    keys: usize,
    /// The line up to the end of its key.
    key: Vec<u8>,
    /// How many of the key's columns have ended.
    ended: usize,
    hash: RowHash,
}

impl KeyedLines {
    pub(super) fn new(keys: usize) -> Self {
        KeyedLines { keys, key: Vec::new(), ended: 0, hash: RowHash::new() }
    }

    /// Takes a line, or a part of one; the row once its newline is there.
    pub(super) fn take(&mut self, part: &[u8]) -> Option<Result<KeyedRow, BadKey>> {
        self.hash.update(part);
        let (line, ends) = match part.split_last() {
            Some((b'\n', line)) => (line, true),
            _ => (part, false),
        };
        if let Err(bad) = self.keep_key(line) {
            return Some(Err(bad));
        }
        ends.then(|| self.row())
    }

    /// Keeps what belongs to the key, each column with the tab that ends it.
    fn keep_key(&mut self, line: &[u8]) -> Result<(), BadKey> {
        for column in line.split_inclusive(|&byte| byte == b'\t') {
            if self.ended == self.keys {
                break;
            }
            if self.key.len() + column.len() > LONGEST_KEY {
                return Err(BadKey::TooLong);
            }
            self.key.extend_from_slice(column);
            self.ended += usize::from(column.ends_with(b"\t"));
        }
        Ok(())
    }

    fn row(&mut self) -> Result<KeyedRow, BadKey> {
        let kept = std::mem::take(&mut self.key);
        let ended = std::mem::take(&mut self.ended);
        let columns = match kept.split_last() {
            // No column follows the last tab's in the key.
            Some((b'\t', columns)) if ended == self.keys => columns,
            _ => &kept[..],
        };
        let key: Vec<_> = match self.keys {
            0 => Vec::new(),
            _ => columns.split(|&b| b == b'\t').map(unescape).collect(),
        };
        if key.len() != self.keys {
            return Err(BadKey::Missing);
        }
        Ok(KeyedRow { key, hash: self.hash.finish() })
    }
}

/// A column's value as the type's output function wrote it; `None` for NULL.
fn unescape(column: &[u8]) -> Option<Vec<u8>> {
    if column == b"\\N" {
        return None;
    }
    let mut value = Vec::with_capacity(column.len());
    let mut bytes = column.iter();
    while let Some(&byte) = bytes.next() {
        if byte != b'\\' {
            value.push(byte);
            continue;
        }
        // COPY TO writes no octal or hexadecimal escapes, though COPY FROM reads them (source:
        // commands/copyto.c, CopyAttributeOutText).
        match bytes.next() {
            Some(b'b') => value.push(8),
            Some(b't') => value.push(b'\t'),
            Some(b'n') => value.push(b'\n'),
            Some(b'v') => value.push(11),
            Some(b'f') => value.push(12),
            Some(b'r') => value.push(b'\r'),
            Some(&other) => value.push(other),
            None => value.push(b'\\'),
        }
    }
    Some(value)
}

/// Why a row's key can't be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadKey {
    TooLong,
    Missing,
}

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadKey::TooLong => write!(f, "a key is longer than {LONGEST_KEY} bytes"),
            BadKey::Missing => f.write_str("a row has fewer columns than its key"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use xxhash_rust::xxh3::xxh3_128;

    use super::*;

    fn value(text: &str) -> Option<Vec<u8>> {
        Some(text.as_bytes().to_vec())
    }

    fn read(lines: &mut KeyedLines, line: &[u8]) -> Vec<Option<Vec<u8>>> {
        let row = lines.take(line).unwrap().unwrap();
        assert_eq!(row.hash, xxh3_128(line));
        row.key
    }

    #[test]
    fn the_leading_columns_are_the_key() {
        let mut lines = KeyedLines::new(2);
        assert_eq!(read(&mut lines, b"1\tb\trest\tmore\n"), [value("1"), value("b")]);
        assert_eq!(read(&mut lines, b"\\N\t\t\n"), [None, value("")]);
        assert_eq!(read(&mut lines, b"2\tb\n"), [value("2"), value("b")]);
        assert_eq!(read(&mut lines, b"\t\n"), [value(""), value("")]);
        let mut whole = KeyedLines::new(1);
        assert_eq!(read(&mut whole, b"\n"), [value("")]);
        assert_eq!(read(&mut whole, b"a\n"), [value("a")]);
        let mut none = KeyedLines::new(0);
        assert_eq!(read(&mut none, b"a\tb\n"), []);
        assert_eq!(read(&mut none, b"\n"), []);
    }

    #[test]
    fn escapes_are_what_the_server_wrote_them_for() {
        let mut lines = KeyedLines::new(1);
        let line = b"\\b\\t\\n\\v\\f\\r\\\\N\\\\\tx\n";
        assert_eq!(read(&mut lines, line), [Some(b"\x08\t\n\x0b\x0c\r\\N\\".to_vec())]);
    }

    #[test]
    fn a_row_shorter_than_its_key_is_an_error() {
        for line in [&b"a\n"[..], b"\n"] {
            let mut lines = KeyedLines::new(2);
            assert_eq!(lines.take(line), Some(Err(BadKey::Missing)));
        }
    }

    #[test]
    fn a_key_is_bounded_and_a_row_is_not() {
        let part = vec![b'x'; LONGEST_KEY];
        let mut lines = KeyedLines::new(1);
        assert_eq!(lines.take(b"1\t"), None);
        for _ in 0..10 {
            assert_eq!(lines.take(&part), None);
            assert!(lines.key.capacity() < 100);
        }
        let row = lines.take(b"\n").unwrap().unwrap();
        assert_eq!(row.key, [value("1")]);

        assert_eq!(lines.take(&part), None);
        assert_eq!(lines.take(b"x"), Some(Err(BadKey::TooLong)));
    }

    proptest! {
        #[test]
        fn lines_in_parts_read_as_whole_ones(
            line in "[a-c\t\\\\]{0,20}",
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
            keys in 0_usize..4,
        ) {
            let line = format!("{line}\n").into_bytes();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(line.len())).collect();
            cuts.push(0);
            cuts.sort_unstable();
            let mut lines = KeyedLines::new(keys);
            for pair in cuts.windows(2) {
                prop_assert_eq!(lines.take(&line[pair[0]..pair[1]]), None);
            }
            let last = cuts[cuts.len() - 1];
            let in_parts = lines.take(&line[last..]);
            prop_assert_eq!(in_parts, KeyedLines::new(keys).take(&line));
        }
    }
}
