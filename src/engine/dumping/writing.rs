//! What the rows that a worker reads become on disk, on a thread of its own: compressing is work.

use std::io;

use tokio::sync::mpsc;

use crate::archive::{Pack, Piece};

/// Writes the rows that come as a piece of `pack`.
pub(super) fn rows(pack: &mut Pack, from: &mut mpsc::Receiver<Vec<u8>>) -> io::Result<Piece> {
    let mut piece = pack.rows()?;
    while let Some(rows) = from.blocking_recv() {
        piece.write(&rows)?;
    }
    piece.finish()
}

/// Writes the rows that come (OID, place, bytes, in text) as the large objects that they are pieces
/// of, one behind the other.
pub(super) fn objects(pack: &mut Pack, from: &mut mpsc::Receiver<Vec<u8>>) -> io::Result<Piece> {
    let mut pieces = ObjectPieces { from, buffer: Vec::new(), at: 0 };
    let mut crc32 = crc32fast::Hasher::new();
    let mut stored = crc32fast::Hasher::new();
    let mut all = Piece { offset: pack.position(), ..Piece::default() };
    let mut next = pieces.next()?;
    while let Some(first) = next {
        let oid = first.oid;
        let mut object = pack.object()?;
        let mut length = 0;
        let mut piece = Some(first);
        while let Some(ObjectPiece { at, bytes, .. }) = piece.take_if(|piece| piece.oid == oid) {
            if at != length {
                return Err(unlike_a_piece());
            }
            length += bytes.len() as u64;
            crc32.update(&bytes);
            object.write(&bytes)?;
            piece = pieces.next()?;
        }
        next = piece;
        let object = object.finish()?;
        let one = crc32fast::Hasher::new_with_initial_len(object.stored_crc32, object.length);
        stored.combine(&one);
        all.length += object.length;
        all.bytes += object.bytes;
        all.objects.push((oid, object.length));
    }
    all.crc32 = crc32.finalize();
    all.stored_crc32 = stored.finalize();
    Ok(all)
}

/// A piece of a large object.
struct ObjectPiece {
    oid: u32,
    at: u64,
    bytes: Vec<u8>,
}

impl ObjectPiece {
    /// A row in text (documentation: SQL command COPY, "Text Format"; bytes are in hexadecimal, behind
    /// a backslash that is doubled).
    fn read(line: &[u8]) -> Option<ObjectPiece> {
        let mut fields = line.splitn(3, |byte| *byte == b'\t');
        let mut field = || fields.next();
        let number = |field: &[u8]| std::str::from_utf8(field).ok()?.parse::<u64>().ok();
        let (oid, at) = (number(field()?)?, number(field()?)?);
        let digits = field()?.strip_prefix(b"\\\\x")?;
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        let (pairs, rest) = digits.as_chunks::<2>();
        let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
        let bytes: Option<Vec<u8>> = if rest.is_empty() { bytes.collect() } else { None };
        Some(ObjectPiece { oid: u32::try_from(oid).ok()?, at, bytes: bytes? })
    }
}

/// Pieces of large objects, from rows that were cut anywhere.
struct ObjectPieces<'r> {
    from: &'r mut mpsc::Receiver<Vec<u8>>,
    buffer: Vec<u8>,
    at: usize,
}

impl ObjectPieces<'_> {
    fn next(&mut self) -> io::Result<Option<ObjectPiece>> {
        loop {
            let rest = &self.buffer[self.at..];
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let piece = ObjectPiece::read(&rest[..end]).ok_or_else(unlike_a_piece)?;
                self.at += end + 1;
                return Ok(Some(piece));
            }
            self.buffer.drain(..self.at);
            self.at = 0;
            match self.from.blocking_recv() {
                Some(more) => self.buffer.extend_from_slice(&more),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(unlike_a_piece()),
            }
        }
    }
}

fn unlike_a_piece() -> io::Error {
    io::Error::other("the pieces of large objects didn't come as the server should send them")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_text_is_a_piece() {
        let piece = ObjectPiece::read(b"123\t65536\t\\\\x00ff7F").unwrap();
        assert_eq!((piece.oid, piece.at, piece.bytes), (123, 65536, vec![0, 255, 127]));
        assert_eq!(ObjectPiece::read(b"1\t0\t\\\\x").unwrap().bytes, Vec::<u8>::new());
        for wrong in
            [&b"1\t0"[..], b"1\t0\t\\x00", b"1\t0\t\\\\x0", b"1\t0\t\\\\x0g", b"-1\t0\t\\\\x"]
        {
            assert!(ObjectPiece::read(wrong).is_none());
        }
    }
}
