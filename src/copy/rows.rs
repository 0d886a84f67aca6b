//! Rows found in COPY data and taken into a fingerprint, without decoding them (documentation: SQL
//! command COPY, "File Formats").
//!
//! A server sends one row in one CopyData message, and that is what makes rows visible without
//! decoding. The protocol doesn't promise it, and something between us and the server may cut the
//! stream anew; so each row's own marks are checked (its field count in binary, its newline in
//! text), and the server's count of rows at the end, and a stream that doesn't fit is an error,
//! never a wrong fingerprint. Walking the fields of each row would find it out earlier, but costs as
//! much as everything else that is done to a row (measured: 21 ns for 12 columns, 18 for the rest).

use std::fmt;

use crate::pg::RowFormat;

use super::fingerprint::{Fingerprint, RowHash};
use super::frames::Piece;

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// Signature, flags and the length of the header's extension.
const BINARY_HEADER: usize = 11 + 4 + 4;

/// The field count that ends a binary stream.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

/// The flags a reader must understand; none is known today. Bit 16 said "with OIDs" until
/// PostgreSQL 11.
const CRITICAL_FLAGS: u32 = 0xffff_0000;

/// Takes the rows of one COPY stream into a fingerprint.
pub(super) struct Rows {
    format: RowFormat,
    /// The number of fields as each binary row begins with it.
    lead: [u8; 2],
    stage: Stage,
    hash: RowHash,
    fingerprint: Fingerprint,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Binary only: the header is to come.
    Header,
    /// Between two rows.
    Between,
    /// In a row that arrives in parts.
    Inside,
    /// Binary only: the trailer has passed.
    Ended,
}

impl Rows {
    pub(super) fn new(format: RowFormat, columns: usize) -> Self {
        let columns = u16::try_from(columns).expect("a table has at most 1600 columns");
        Rows {
            format,
            lead: columns.to_be_bytes(),
            stage: match format {
                RowFormat::Binary => Stage::Header,
                RowFormat::Text => Stage::Between,
            },
            hash: RowHash::new(),
            fingerprint: Fingerprint::default(),
        }
    }

    /// How many rows have passed.
    pub(super) fn count(&self) -> u64 {
        self.fingerprint.rows
    }

    /// Takes in the next piece of the stream.
    #[inline]
    pub(super) fn take(&mut self, piece: Piece<'_>) -> Result<(), Malformed> {
        match piece {
            Piece::Whole(payload) => self.whole(payload),
            Piece::First(payload) => self.first(payload),
            Piece::Middle(payload) => self.middle(payload),
            Piece::Last(payload) => self.last(payload),
        }
    }

    /// The fingerprint of the ended stream, of which the server says that it had `announced` rows.
    pub(super) fn finish(&self, announced: Option<u64>) -> Result<Fingerprint, Malformed> {
        let ended = match self.format {
            RowFormat::Binary => Stage::Ended,
            RowFormat::Text => Stage::Between,
        };
        if self.stage != ended {
            return Err(Malformed::CutOff);
        }
        match announced {
            Some(announced) if announced == self.fingerprint.rows => Ok(self.fingerprint),
            Some(announced) => Err(Malformed::Count { seen: self.fingerprint.rows, announced }),
            None => Err(Malformed::CutOff),
        }
    }

    #[inline]
    fn whole(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        if self.stage != Stage::Between {
            return self.header_then_whole(payload);
        }
        match self.format {
            RowFormat::Binary if payload.starts_with(&self.lead) => {}
            RowFormat::Binary if payload == TRAILER => {
                self.stage = Stage::Ended;
                return Ok(());
            }
            RowFormat::Binary => return Err(self.not_a_row(payload)),
            RowFormat::Text => one_line(payload)?,
        }
        self.fingerprint.add_row(payload);
        Ok(())
    }

    /// The header shares its message with the first row, or with the trailer in an empty table.
    #[cold]
    fn header_then_whole(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        match self.strip_header(payload)? {
            [] => Ok(()),
            row => self.whole(row),
        }
    }

    fn first(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        let row = match self.stage {
            Stage::Between => payload,
            _ => self.strip_header(payload)?,
        };
        match self.format {
            RowFormat::Binary if !row.starts_with(&self.lead) => return Err(self.not_a_row(row)),
            RowFormat::Text if row.contains(&b'\n') => return Err(Malformed::Line),
            _ => {}
        }
        self.stage = Stage::Inside;
        self.hash.update(row);
        Ok(())
    }

    fn middle(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        if self.format == RowFormat::Text && payload.contains(&b'\n') {
            return Err(Malformed::Line);
        }
        self.hash.update(payload);
        Ok(())
    }

    fn last(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        if self.format == RowFormat::Text {
            one_line(payload)?;
        }
        self.hash.update(payload);
        self.fingerprint.add_hash(self.hash.finish());
        self.stage = Stage::Between;
        Ok(())
    }

    /// What follows the binary header, which is always sent in one piece.
    fn strip_header<'a>(&mut self, payload: &'a [u8]) -> Result<&'a [u8], Malformed> {
        if self.stage != Stage::Header {
            return Err(Malformed::AfterEnd);
        }
        let (header, rest) =
            payload.split_first_chunk::<BINARY_HEADER>().ok_or(Malformed::Header)?;
        let flags = header[11..15].iter().fold(0, shift_in);
        let extension = header[15..].iter().fold(0, shift_in);
        if !header.starts_with(SIGNATURE) || flags & CRITICAL_FLAGS != 0 {
            return Err(Malformed::Header);
        }
        let rest = rest.get(extension as usize..).ok_or(Malformed::Header)?;
        self.stage = Stage::Between;
        Ok(rest)
    }

    #[cold]
    fn not_a_row(&self, payload: &[u8]) -> Malformed {
        Malformed::Fields {
            expected: u16::from_be_bytes(self.lead),
            found: payload.first_chunk().copied().map(i16::from_be_bytes),
        }
    }
}

fn shift_in(number: u32, byte: &u8) -> u32 {
    number << 8 | u32::from(*byte)
}

/// Whether this is one line's end: a newline inside a value is written `\n`, so each real one ends
/// a row.
#[inline]
fn one_line(payload: &[u8]) -> Result<(), Malformed> {
    match payload.split_last() {
        Some((b'\n', line)) if !line.contains(&b'\n') => Ok(()),
        _ => Err(Malformed::Line),
    }
}

/// Why a stream isn't rows, one to a message. Never says what is in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Malformed {
    Header,
    Fields { expected: u16, found: Option<i16> },
    Line,
    AfterEnd,
    CutOff,
    Count { seen: u64, announced: u64 },
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the COPY stream isn't as PostgreSQL sends it: ")?;
        match self {
            Malformed::Header => f.write_str("it doesn't begin with a binary header we know"),
            Malformed::Fields { expected, found: Some(found) } => {
                write!(f, "a row of {expected} columns begins with the field count {found}")
            }
            Malformed::Fields { found: None, .. } => f.write_str("a row of less than two bytes"),
            Malformed::Line => f.write_str("a message isn't exactly one line"),
            Malformed::AfterEnd => f.write_str("data after its end"),
            Malformed::CutOff => f.write_str("it ends inside"),
            Malformed::Count { seen, announced } => {
                write!(f, "it has {seen} rows, one to a message, but the server counts {announced}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::frames::{FrameWalker, Front};
    use super::*;

    fn header() -> Vec<u8> {
        [&SIGNATURE[..], &[0; 8]].concat()
    }

    /// A binary row of one field.
    fn row(value: &[u8]) -> Vec<u8> {
        let length = (value.len() as u32).to_be_bytes();
        [&[0, 1], &length[..], value].concat()
    }

    fn of(rows: &[Vec<u8>]) -> Fingerprint {
        let mut fingerprint = Fingerprint::default();
        for row in rows {
            fingerprint.add_row(row);
        }
        fingerprint
    }

    fn scan(
        format: RowFormat,
        columns: usize,
        frames: &[Vec<u8>],
        announced: u64,
    ) -> Result<Fingerprint, Malformed> {
        let mut rows = Rows::new(format, columns);
        for frame in frames {
            rows.take(Piece::Whole(frame))?;
        }
        rows.finish(Some(announced))
    }

    fn binary(frames: &[Vec<u8>], announced: u64) -> Result<Fingerprint, Malformed> {
        scan(RowFormat::Binary, 1, frames, announced)
    }

    fn text(frames: &[&str], announced: u64) -> Result<Fingerprint, Malformed> {
        let frames: Vec<_> = frames.iter().map(|f| f.as_bytes().to_vec()).collect();
        scan(RowFormat::Text, 2, &frames, announced)
    }

    #[test]
    fn the_header_shares_its_message_with_the_first_row() {
        let rows = [row(b"one"), row(b""), row(b"three")];
        let first = [header(), rows[0].clone()].concat();
        let frames = [first, rows[1].clone(), rows[2].clone(), TRAILER.to_vec()];
        assert_eq!(binary(&frames, 3), Ok(of(&rows)));
    }

    #[test]
    fn an_empty_table_is_header_and_trailer_in_one_message() {
        let frame = [header(), TRAILER.to_vec()].concat();
        assert_eq!(binary(&[frame], 0), Ok(Fingerprint::default()));
    }

    #[test]
    fn a_header_in_a_message_of_its_own_is_no_row() {
        let frames = [header(), row(b"x"), TRAILER.to_vec()];
        assert_eq!(binary(&frames, 1), Ok(of(&[row(b"x")])));
    }

    #[test]
    fn the_headers_extension_is_no_part_of_the_first_row() {
        let mut frame = header();
        frame[18] = 4;
        frame.extend(b"more");
        frame.extend(row(b"x"));
        let frames = [frame.clone(), TRAILER.to_vec()];
        assert_eq!(binary(&frames, 1), Ok(of(&[row(b"x")])));
        frame[18] = 255;
        assert_eq!(binary(&[frame], 1), Err(Malformed::Header));
    }

    #[test]
    fn rows_with_oids_and_other_signatures_are_refused() {
        let mut oids = [header(), row(b"x")].concat();
        oids[12] = 1;
        assert_eq!(binary(&[oids], 1), Err(Malformed::Header));
        let mut other = [header(), row(b"x")].concat();
        other[3] = b'X';
        assert_eq!(binary(&[other], 1), Err(Malformed::Header));
    }

    #[test]
    fn a_header_or_a_stream_cut_off_at_any_length_is_refused() {
        let header = header();
        for length in 0..header.len() {
            let cut = header[..length].to_vec();
            assert_eq!(binary(&[cut], 0), Err(Malformed::Header), "{length} bytes");
        }
        assert_eq!(binary(&[], 0), Err(Malformed::CutOff));
        assert_eq!(binary(&[header, row(b"x")], 1), Err(Malformed::CutOff));
    }

    #[test]
    fn messages_that_are_not_one_row_each_are_refused() {
        let two = [row(b"one"), row(b"two")].concat();
        let merged = [header(), two.clone(), TRAILER.to_vec()];
        assert_eq!(binary(&merged, 2), Err(Malformed::Count { seen: 1, announced: 2 }));
        let split = [header(), two[..5].to_vec(), two[5..].to_vec()];
        assert!(matches!(binary(&split, 2), Err(Malformed::Fields { .. })));
        let with_trailer = [header(), [row(b"x"), TRAILER.to_vec()].concat()];
        assert_eq!(binary(&with_trailer, 1), Err(Malformed::CutOff));
        let after = [header(), TRAILER.to_vec(), row(b"x")];
        assert_eq!(binary(&after, 1), Err(Malformed::AfterEnd));
        for frames in [&["a\tb\nc\td\n"][..], &["a\tb"], &["a", "\tb\n"], &[""]] {
            assert_eq!(text(frames, 1), Err(Malformed::Line), "{frames:?}");
        }
    }

    #[test]
    fn rows_of_another_column_count_are_refused() {
        let frames = [header(), [&[0, 2], &[0xff; 8][..]].concat()];
        let refused = binary(&frames, 1).unwrap_err();
        assert_eq!(refused, Malformed::Fields { expected: 1, found: Some(2) });
    }

    #[test]
    fn text_rows_are_lines() {
        let rows = [b"a\tb\n".to_vec(), b"\\N\tc\\nd\n".to_vec()];
        assert_eq!(text(&["a\tb\n", "\\N\tc\\nd\n"], 2), Ok(of(&rows)));
        assert_eq!(text(&[], 0), Ok(Fingerprint::default()));
        assert_eq!(text(&["a\tb\n"], 2), Err(Malformed::Count { seen: 1, announced: 2 }));
    }

    #[test]
    fn rows_without_columns_are_counted() {
        let frames = [header(), vec![0, 0], vec![0, 0], TRAILER.to_vec()];
        let fingerprint = scan(RowFormat::Binary, 0, &frames, 2).unwrap();
        assert_eq!(fingerprint, of(&[vec![0, 0], vec![0, 0]]));
        let lines = [b"\n".to_vec(), b"\n".to_vec()];
        assert_eq!(scan(RowFormat::Text, 0, &lines, 2), Ok(of(&lines)));
    }

    #[test]
    fn a_row_in_parts_counts_once_and_hashes_as_a_whole() {
        let big = row(&[7; 100]);
        let mut rows = Rows::new(RowFormat::Binary, 1);
        let first = [header(), big[..40].to_vec()].concat();
        for piece in [
            Piece::First(&first),
            Piece::Middle(&big[40..60]),
            Piece::Last(&big[60..]),
            Piece::Whole(&row(b"x")),
            Piece::First(&big[..50]),
            Piece::Last(&big[50..]),
            Piece::Whole(&TRAILER),
        ] {
            rows.take(piece).unwrap();
        }
        assert_eq!(rows.finish(Some(3)), Ok(of(&[big.clone(), row(b"x"), big])));

        let line = b"a value\tanother\n";
        for newline_at in 0..line.len() - 1 {
            let mut bad = line.to_vec();
            bad[newline_at] = b'\n';
            let mut rows = Rows::new(RowFormat::Text, 2);
            let pieces =
                [Piece::First(&bad[..4]), Piece::Middle(&bad[4..9]), Piece::Last(&bad[9..])];
            let taken = pieces.into_iter().try_for_each(|piece| rows.take(piece));
            assert_eq!(taken, Err(Malformed::Line), "newline at {newline_at}");
        }
    }

    #[test]
    fn an_open_row_is_not_an_end() {
        let mut rows = Rows::new(RowFormat::Text, 1);
        rows.take(Piece::First(b"never ended")).unwrap();
        assert_eq!(rows.finish(Some(0)), Err(Malformed::CutOff));
    }

    /// Walks the stream cut at `cuts`, big rows in parts, and fingerprints it.
    fn walked(format: RowFormat, stream: &[u8], cuts: &[usize]) -> Rows {
        let mut walker = FrameWalker::with_smallest_part(64);
        let mut rows = Rows::new(format, 1);
        let mut buffer = Vec::new();
        for pair in cuts.windows(2) {
            buffer.extend_from_slice(&stream[pair[0]..pair[1]]);
            while let Front::Data(piece, taken) = walker.next(&buffer).unwrap() {
                rows.take(piece).unwrap();
                buffer.drain(..taken);
            }
        }
        rows
    }

    proptest! {
        #[test]
        fn however_the_stream_is_cut_its_fingerprint_is_that_of_its_rows(
            values in prop::collection::vec(prop::collection::vec(b'a'..=b'z', 0..300), 0..20),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
            binary: bool,
        ) {
            let (format, rows, mut payloads) = if binary {
                let rows: Vec<_> = values.iter().map(|value| row(value)).collect();
                let payloads = [&rows[..], &[TRAILER.to_vec()]].concat();
                (RowFormat::Binary, rows, payloads)
            } else {
                let line = |value: &Vec<u8>| [&value[..], b"\n"].concat();
                let rows: Vec<_> = values.iter().map(line).collect();
                (RowFormat::Text, rows.clone(), rows)
            };
            if binary {
                payloads[0].splice(..0, header());
            }
            let frame = |payload: &Vec<u8>| {
                let length = (payload.len() as u32 + 4).to_be_bytes();
                [b"d", &length[..], payload].concat()
            };
            let stream: Vec<u8> = payloads.iter().flat_map(frame).collect();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let scanned = walked(format, &stream, &cuts);
            prop_assert_eq!(scanned.finish(Some(rows.len() as u64)), Ok(of(&rows)));
        }
    }
}
