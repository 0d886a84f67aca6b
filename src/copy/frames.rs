//! CopyData messages found in place, in what a server sends (documentation: "Message Formats").
//!
//! A message arrives cut up by the socket at any byte, and a CopyData message is as big as the row
//! it carries: up to 1 GB. So a big one that isn't all there yet is handed on in parts, and memory
//! stays at one buffer whatever the row.

use std::io;

use crate::wire::{Header, tag};

/// A CopyData message of which this much is there goes on in parts; a smaller one is waited for.
/// It bounds what stays in the buffer between two reads, and the number of rows hashed in parts.
const SMALLEST_PART: usize = 16 << 10;

/// A run of CopyData payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// The payload of a whole CopyData message.
    Whole(&'a [u8]),
    /// The beginning of a CopyData message's payload: never less than a part's smallest size.
    First(&'a [u8]),
    /// More of it.
    Middle(&'a [u8]),
    /// The rest of it.
    Last(&'a [u8]),
}

impl<'a> Piece<'a> {
    /// The bytes, wherever in their message they stand.
    #[inline]
    pub(super) fn payload(self) -> &'a [u8] {
        match self {
            Piece::Whole(payload)
            | Piece::First(payload)
            | Piece::Middle(payload)
            | Piece::Last(payload) => payload,
        }
    }
}

/// What lies at the front of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Front<'a> {
    /// CopyData; the caller moves on by so many bytes, header included.
    Data(Piece<'a>, usize),
    /// Another message, in part at least: the connection's own business.
    Message,
    /// Too little to say; more bytes must arrive first.
    Short,
}

/// Finds CopyData in a stream of bytes.
#[derive(Debug)]
pub(super) struct FrameWalker {
    smallest_part: usize,
    /// What is still to come of a CopyData message handed on in parts.
    owed: usize,
}

impl FrameWalker {
    pub(super) fn new() -> Self {
        FrameWalker::with_smallest_part(SMALLEST_PART)
    }

    pub(super) fn with_smallest_part(smallest_part: usize) -> Self {
        FrameWalker { smallest_part, owed: 0 }
    }

    /// What the front of `bytes` is. A length that no message has is an error.
    #[inline]
    pub(super) fn next<'a>(&mut self, bytes: &'a [u8]) -> io::Result<Front<'a>> {
        if self.owed > 0 {
            return Ok(self.more(bytes));
        }
        let Some(header) = Header::read(bytes)? else {
            return Ok(Front::Short);
        };
        if header.tag != tag::COPY_DATA {
            return Ok(Front::Message);
        }
        let there = &bytes[Header::SIZE..];
        if let Some(payload) = there.get(..header.body) {
            return Ok(Front::Data(Piece::Whole(payload), header.total()));
        }
        if there.len() < self.smallest_part {
            return Ok(Front::Short);
        }
        self.owed = header.body - there.len();
        Ok(Front::Data(Piece::First(there), bytes.len()))
    }

    /// More of the message that is under way.
    fn more<'a>(&mut self, bytes: &'a [u8]) -> Front<'a> {
        if bytes.is_empty() {
            return Front::Short;
        }
        let (piece, taken) = match bytes.get(..self.owed) {
            Some(rest) => (Piece::Last(rest), self.owed),
            None => (Piece::Middle(bytes), bytes.len()),
        };
        self.owed -= taken;
        Front::Data(piece, taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(tag: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        bytes.extend((payload.len() as u32 + 4).to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    /// Feeds the stream in the given chunks and puts the parts of each message together again.
    fn walk(chunks: &[&[u8]], smallest_part: usize) -> Vec<(u8, Vec<u8>)> {
        let mut walker = FrameWalker::with_smallest_part(smallest_part);
        let mut buffer = Vec::new();
        let mut messages: Vec<(u8, Vec<u8>)> = Vec::new();
        let mut open = false;
        for chunk in chunks {
            buffer.extend_from_slice(chunk);
            loop {
                let taken = match walker.next(&buffer).unwrap() {
                    Front::Short => break,
                    Front::Message => {
                        let header = Header::read(&buffer).unwrap().unwrap();
                        let Some(body) = buffer.get(Header::SIZE..header.total()) else {
                            break;
                        };
                        assert!(!open, "a message inside another");
                        messages.push((header.tag, body.to_vec()));
                        header.total()
                    }
                    Front::Data(piece, taken) => {
                        let payload = piece.payload().to_vec();
                        match piece {
                            Piece::Whole(_) | Piece::First(_) => {
                                assert!(!open, "a message inside another");
                                messages.push((b'd', payload));
                            }
                            Piece::Middle(_) | Piece::Last(_) => {
                                assert!(open, "a part without its beginning");
                                assert!(!payload.is_empty());
                                messages.last_mut().unwrap().1.extend(payload);
                            }
                        }
                        if let Piece::First(first) = piece {
                            assert!(first.len() >= smallest_part);
                        }
                        open = matches!(piece, Piece::First(_) | Piece::Middle(_));
                        taken
                    }
                };
                buffer.drain(..taken);
            }
            let bound = Header::SIZE + smallest_part.max(64);
            assert!(buffer.len() < bound, "{} bytes are kept", buffer.len());
        }
        assert!(!open && buffer.is_empty(), "something is left over");
        messages
    }

    fn sample() -> (Vec<u8>, Vec<(u8, Vec<u8>)>) {
        let messages = vec![
            (b'd', b"first".to_vec()),
            (b'd', Vec::new()),
            (b'N', b"notice".to_vec()),
            (b'd', (0..60).collect()),
            (b'c', Vec::new()),
            (b'C', b"COPY 3\0".to_vec()),
            (b'Z', b"T".to_vec()),
        ];
        let bytes = messages.iter().flat_map(|(t, p)| frame(*t, p)).collect();
        (bytes, messages)
    }

    #[test]
    fn messages_are_found_whatever_two_positions_the_stream_is_split_at() {
        let (bytes, messages) = sample();
        for smallest_part in [1, 3, 16, 1000] {
            for i in 0..=bytes.len() {
                for j in i..=bytes.len() {
                    let chunks = [&bytes[..i], &bytes[i..j], &bytes[j..]];
                    let found = walk(&chunks, smallest_part);
                    assert_eq!(found, messages, "{i} {j} {smallest_part}");
                }
            }
        }
    }

    #[test]
    fn messages_are_found_when_the_stream_arrives_byte_by_byte() {
        let (bytes, messages) = sample();
        let chunks: Vec<_> = bytes.chunks(1).collect();
        assert_eq!(walk(&chunks, 1), messages);
        assert_eq!(walk(&chunks, 1000), messages);
    }

    #[test]
    fn a_truncated_message_is_never_taken_for_a_whole_one() {
        let bytes = frame(b'd', b"0123456789");
        for length in 0..bytes.len() {
            let front = FrameWalker::new().next(&bytes[..length]).unwrap();
            assert_eq!(front, Front::Short, "{length} bytes");
        }
    }

    #[test]
    fn a_message_bigger_than_any_buffer_passes_in_parts() {
        let size: u32 = 1 << 29;
        let part = vec![7; 256 << 10];
        let mut start = vec![b'd'];
        start.extend((size + 4).to_be_bytes());
        start.extend(&part);
        let mut walker = FrameWalker::new();
        let first = Front::Data(Piece::First(&part), start.len());
        assert_eq!(walker.next(&start).unwrap(), first);
        let mut seen = part.len();
        while seen + part.len() < size as usize {
            let middle = Front::Data(Piece::Middle(&part), part.len());
            assert_eq!(walker.next(&part).unwrap(), middle);
            seen += part.len();
        }
        let last = Front::Data(Piece::Last(&part), part.len());
        assert_eq!(walker.next(&part).unwrap(), last);
        assert_eq!(walker.next(&[]).unwrap(), Front::Short);
        assert_eq!(walker.next(&frame(b'c', b"")).unwrap(), Front::Message);
    }

    #[test]
    fn lengths_outside_the_protocol_are_refused() {
        for length in [0, 3, (1 << 30) + 1, u32::MAX] {
            let mut bytes = vec![b'd'];
            bytes.extend(u32::to_be_bytes(length));
            bytes.extend([0; 100]);
            let refused = FrameWalker::new().next(&bytes).unwrap_err();
            assert!(refused.to_string().contains(&length.to_string()));
        }
        let longest = [&b"d"[..], &(1_u32 << 30).to_be_bytes()].concat();
        assert_eq!(FrameWalker::new().next(&longest).unwrap(), Front::Short);
    }

    proptest! {
        #[test]
        fn any_messages_in_any_chunks_come_out_as_they_went_in(
            messages in prop::collection::vec(
                (prop::sample::select(b"ddddNSc".to_vec()), prop::collection::vec(any::<u8>(), 0..50)),
                0..20,
            ),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
            smallest_part in 1_usize..40,
        ) {
            let bytes: Vec<u8> = messages.iter().flat_map(|(t, p)| frame(*t, p)).collect();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<_> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            prop_assert_eq!(walk(&chunks, smallest_part), messages);
        }
    }
}
