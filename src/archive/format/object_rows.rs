//! Large objects as rows: what the ledger's view of them sends and takes (`toc/large_objects.rs`), so
//! that rows of an archive have the fingerprint of a server's.

use std::io::Read;

use crate::error::{Error, Result};

use super::damage::read_error;

/// What a piece of a large object holds: all but the last are as long.
const PIECE: usize = 64 << 10;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Gives `take` each piece of a large object, and the row that it is, in COPY's text: OID, place,
/// bytes. Even an empty one has a piece.
pub(crate) fn each_piece<E: From<Error>>(
    oid: u32,
    bytes: &mut dyn Read,
    mut take: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut piece = Vec::with_capacity(PIECE);
    let mut row = Vec::new();
    let mut at = 0;
    loop {
        piece.clear();
        let read = Read::take(&mut *bytes, PIECE as u64).read_to_end(&mut piece);
        let read = read.map_err(read_error)?;
        if read == 0 && at > 0 {
            return Ok(());
        }
        row.clear();
        row.extend_from_slice(format!("{oid}\t{at}\t\\\\x").as_bytes());
        for byte in &piece {
            row.push(HEX[usize::from(byte >> 4)]);
            row.push(HEX[usize::from(byte & 15)]);
        }
        row.push(b'\n');
        take(&piece, &row)?;
        at += read as u64;
        if read < PIECE {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_but_the_last_is_full_and_an_empty_large_object_has_one() {
        for (length, pieces) in
            [(0, vec![0]), (1, vec![1]), (PIECE, vec![PIECE]), (PIECE + 2, vec![PIECE, 2])]
        {
            let (mut lengths, mut rows) = (Vec::new(), Vec::new());
            let mut take = |piece: &[u8], row: &[u8]| -> Result<()> {
                lengths.push(piece.len());
                rows.extend_from_slice(row);
                Ok(())
            };
            each_piece(7, &mut vec![0xa5; length].as_slice(), &mut take).unwrap();
            assert_eq!(lengths, pieces);
            let bytes = |length: usize| "a5".repeat(length);
            let places = (0..).step_by(PIECE).zip(&pieces);
            let expected: String =
                places.map(|(at, length)| format!("7\t{at}\t\\\\x{}\n", bytes(*length))).collect();
            assert_eq!(String::from_utf8(rows).unwrap(), expected);
        }
    }
}
