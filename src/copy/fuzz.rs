//! What fuzzing feeds: a COPY stream as a server, or something between us and it, may send it.

use crate::pg::RowFormat;
use crate::wire::Header;

use super::fingerprint::Fingerprint;
use super::frames::{FrameWalker, Front, Piece};
use super::keyed_lines::{BadKey, KeyedLines};
use super::rows::Rows;

/// No part is smaller than what must be in one piece: the header of the binary format.
const SMALLEST_PART: usize = 64;

/// What reading a stream came to: its fingerprint where it holds as many rows as it should, and its
/// keys, or why not.
type Read = (Result<Fingerprint, ()>, Vec<Result<Vec<Option<Vec<u8>>>, BadKey>>);

/// A stream in the format, with the columns, cut as the first three bytes say: however it is cut,
/// nothing is kept but a part, and rows come out as they do when it is read whole.
///
/// # Panics
/// If that isn't so.
pub fn stream(bytes: &[u8]) {
    let [how, columns, cut, stream @ ..] = bytes else { return };
    let format = if how & 1 == 0 { RowFormat::Text } else { RowFormat::Binary };
    let columns = usize::from(*columns);
    let whole = read(stream, format, columns, usize::MAX, usize::MAX);
    let cut = read(stream, format, columns, usize::from(*cut) + 1, SMALLEST_PART);
    if let Ok(fingerprint) = cut.0 {
        assert_eq!(whole.0, Ok(fingerprint));
        assert_eq!(whole.1, cut.1);
    }
}

fn read(
    stream: &[u8],
    format: RowFormat,
    columns: usize,
    step: usize,
    smallest_part: usize,
) -> Read {
    let mut walker = FrameWalker::with_smallest_part(smallest_part);
    let mut rows = Rows::new(format, columns);
    let mut lines = KeyedLines::new(columns % 3);
    let mut keys = Vec::new();
    let mut taken = Ok(());
    let mut buffer = Vec::new();
    for chunk in stream.chunks(step.min(stream.len().max(1))) {
        buffer.extend_from_slice(chunk);
        loop {
            let length = match walker.next(&buffer) {
                Err(_) => return (Err(()), keys),
                Ok(Front::Short) => break,
                Ok(Front::Message) => match Header::read(&buffer) {
                    Ok(Some(header)) if header.total() <= buffer.len() => header.total(),
                    _ => break,
                },
                Ok(Front::Data(piece, length)) => {
                    taken = taken.and_then(|()| rows.take(piece).map_err(drop));
                    if format == RowFormat::Text && taken.is_ok() {
                        keys.extend(lines.take(piece.payload()).map(|row| Ok(row?.key)));
                    }
                    assert!(!matches!(piece, Piece::First(part) if part.len() < smallest_part));
                    length
                }
            };
            buffer.drain(..length);
        }
        let is_data = buffer.first() == Some(&b'd');
        assert!(!is_data || buffer.len() < smallest_part.saturating_add(Header::SIZE));
    }
    (taken.and_then(|()| rows.finish(Some(rows.count())).map_err(drop)), keys)
}
