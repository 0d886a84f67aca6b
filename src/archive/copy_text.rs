//! Rows as they lie in an archive: COPY's text, the line `\.`, and empty lines after it (source:
//! bin/pg_dump/pg_dump.c, dumpTableData_copy).

use std::io::{ErrorKind, Read};

use super::damage::{cut_off, wrong};

/// The line that ends rows. No row begins like this: a backslash of its own is doubled.
const END: &[u8] = b"\\.\n";

const BUFFER: usize = 64 << 10;

/// The rows without the line that ends them. That it is missing is an error: the data was cut off.
pub(super) struct CopyText<R> {
    from: R,
    buffer: Vec<u8>,
    /// What is read, but not taken, of the buffer.
    start: usize,
    end: usize,
    /// Up to here it surely is rows.
    rows_end: usize,
    /// Whether a line begins at `rows_end`.
    at_line: bool,
    /// Whether the rows may end with the data: a part of them has no line that ends them.
    is_part: bool,
    has_ended: bool,
}

impl<R: Read> CopyText<R> {
    /// All rows of an item.
    pub(super) fn whole(from: R) -> CopyText<R> {
        let buffer = vec![0; BUFFER];
        CopyText {
            from,
            buffer,
            start: 0,
            end: 0,
            rows_end: 0,
            at_line: true,
            is_part: false,
            has_ended: false,
        }
    }

    /// Rows of an item that begin and end with a line.
    pub(super) fn part(from: R) -> CopyText<R> {
        CopyText { is_part: true, ..CopyText::whole(from) }
    }

    /// Reads more until there are rows to be had, or they have ended.
    fn fill(&mut self) -> std::io::Result<()> {
        while self.start == self.rows_end && !self.has_ended {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            self.rows_end = 0;
            let read = self.from.read(&mut self.buffer[self.end..])?;
            self.end += read;
            if read > 0 {
                self.look()?;
            } else if self.is_part && self.at_line && self.end == 0 {
                self.has_ended = true;
            } else {
                return Err(cut_off());
            }
        }
        Ok(())
    }

    /// Finds how far what was read is rows.
    fn look(&mut self) -> std::io::Result<()> {
        let read = &self.buffer[..self.end];
        for at in memchr::memchr_iter(END[0], read) {
            let begins_a_line = if at == 0 { self.at_line } else { read[at - 1] == b'\n' };
            if !begins_a_line {
                continue;
            }
            if read[at..].starts_with(END) {
                self.rows_end = at;
                self.has_ended = true;
                return self.expect_nothing_more(at + END.len());
            }
            if END.starts_with(&read[at..]) {
                self.rows_end = at;
                self.at_line = true;
                return Ok(());
            }
        }
        self.rows_end = self.end;
        self.at_line = read.last() == Some(&b'\n');
        Ok(())
    }

    /// Reads what comes after the rows: empty lines.
    fn expect_nothing_more(&mut self, from: usize) -> std::io::Result<()> {
        let mut rest = vec![0; 512];
        let mut are_empty = self.buffer[from..self.end].iter().all(|byte| *byte == b'\n');
        while are_empty {
            let read = match self.from.read(&mut rest) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            are_empty = rest[..read].iter().all(|byte| *byte == b'\n');
        }
        Err(wrong("something comes after the line that ends the rows"))
    }
}

impl<R: Read> Read for CopyText<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        self.fill()?;
        let rows = &self.buffer[self.start..self.rows_end];
        let length = rows.len().min(into.len());
        into[..length].copy_from_slice(&rows[..length]);
        self.start += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives no more than so many bytes at once.
    struct Slowly<'a>(&'a [u8], usize);

    impl Read for Slowly<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let length = self.1.min(into.len());
            self.0.read(&mut into[..length])
        }
    }

    fn rows(text: &[u8], pace: usize) -> std::io::Result<Vec<u8>> {
        let mut rows = Vec::new();
        CopyText::whole(Slowly(text, pace)).read_to_end(&mut rows)?;
        Ok(rows)
    }

    #[test]
    fn the_line_that_ends_rows_is_none_of_them() {
        for pace in 1..9 {
            assert_eq!(rows(b"\\.\n\n\n", pace).unwrap(), b"");
            assert_eq!(rows(b"a\n\\N\n\\.\n\n\n", pace).unwrap(), b"a\n\\N\n");
            assert_eq!(rows(b"\\\\.\na\\.\n\\.\n", pace).unwrap(), b"\\\\.\na\\.\n");
            assert_eq!(rows(b"\n\\.x\n\\.\n", pace).unwrap(), b"\n\\.x\n");
        }
    }

    #[test]
    fn rows_that_are_cut_off_anywhere_are_refused() {
        let text = b"a\tb\n\\N\t\\\\.\n\\.\n";
        for length in 0..text.len() {
            let error = rows(&text[..length], 5).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{length}");
        }
    }

    #[test]
    fn what_comes_after_the_end_is_refused() {
        for text in [&b"a\n\\.\n\n\nb\n"[..], b"\\.\nb\n", b"\\.\n\\.\n"] {
            assert!(rows(text, 3).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_part_ends_with_a_line_or_with_all_rows() {
        let part = |text: &[u8]| {
            let mut rows = Vec::new();
            CopyText::part(Slowly(text, 2)).read_to_end(&mut rows).map(|_| rows)
        };
        assert_eq!(part(b"").unwrap(), b"");
        assert_eq!(part(b"a\nb\n").unwrap(), b"a\nb\n");
        assert_eq!(part(b"a\nb\n\\.\n\n\n").unwrap(), b"a\nb\n");
        for text in [&b"a\nb"[..], b"a\n\\", b"a\n\\."] {
            assert!(part(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn however_it_arrives_it_is_the_same(
            lines in prop::collection::vec("[a\\\\.]{0,5}", 0..30),
            pace in 1..20_usize,
        ) {
            let lines: Vec<_> = lines.iter().filter(|line| *line != "\\.").collect();
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let read = rows(format!("{text}\\.\n\n\n").as_bytes(), pace).unwrap();
            prop_assert_eq!(String::from_utf8(read).unwrap(), text);
        }
    }
}
