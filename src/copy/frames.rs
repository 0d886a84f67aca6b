//! Backend messages walked in place, CopyData above all (documentation: "Message Formats").
//!
//! A message arrives cut up by the socket at any byte, and a CopyData message is as big as the row
//! it carries: up to 1 GB. So a big one that isn't all there yet is handed on in parts, and memory
//! stays at one buffer whatever the row.

use std::fmt;

/// The tag and the length in front of every message.
pub(super) const HEADER: usize = 5;

/// The longest length a server can send: its buffers end below 1 GiB (source: utils/memutils.h,
/// MaxAllocSize), and the length counts its own four bytes. Anything above is not the protocol.
const LONGEST_DATA: u32 = (1 << 30) + 4;

/// Errors and notices are kept whole, so they must fit into memory.
const LONGEST_MESSAGE: u32 = 16 << 20;

/// A CopyData message of which this much is there goes on in parts; a smaller one is waited for.
/// It bounds what stays in the buffer between two reads, and the number of rows hashed in parts.
const SMALLEST_PART: usize = 16 << 10;

/// What lies at the front of the bytes.
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
    /// Another message, whole.
    Message {
        /// Its type.
        tag: u8,
        /// What follows its length.
        body: &'a [u8],
    },
}

/// Finds messages in a stream of bytes.
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

    fn with_smallest_part(smallest_part: usize) -> Self {
        FrameWalker {
            smallest_part,
            owed: 0,
        }
    }

    /// The piece at the front of `bytes` and how many bytes it takes, header included; none where
    /// more bytes must arrive first. The caller moves on by that many bytes.
    #[inline]
    pub(super) fn next<'a>(
        &mut self,
        bytes: &'a [u8],
    ) -> Result<Option<(Piece<'a>, usize)>, BadFrame> {
        if self.owed > 0 {
            return Ok(self.more(bytes));
        }
        let Some((&[tag, a, b, c, d], rest)) = bytes.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([a, b, c, d]);
        let longest = if tag == b'd' {
            LONGEST_DATA
        } else {
            LONGEST_MESSAGE
        };
        if !(4..=longest).contains(&length) {
            return Err(BadFrame { tag, length });
        }
        let size = length as usize - 4;
        if let Some(payload) = rest.get(..size) {
            let piece = match tag {
                b'd' => Piece::Whole(payload),
                _ => Piece::Message { tag, body: payload },
            };
            return Ok(Some((piece, HEADER + size)));
        }
        if tag == b'd' && rest.len() >= self.smallest_part {
            self.owed = size - rest.len();
            return Ok(Some((Piece::First(rest), bytes.len())));
        }
        Ok(None)
    }

    /// More of the message that is under way.
    fn more<'a>(&mut self, bytes: &'a [u8]) -> Option<(Piece<'a>, usize)> {
        if bytes.is_empty() {
            return None;
        }
        let (piece, taken) = match bytes.get(..self.owed) {
            Some(rest) => (Piece::Last(rest), self.owed),
            None => (Piece::Middle(bytes), bytes.len()),
        };
        self.owed -= taken;
        Some((piece, taken))
    }
}

/// A length that no message of the protocol has: the stream is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadFrame {
    tag: u8,
    length: u32,
}

impl fmt::Display for BadFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the server sent a message of type '{}' with an impossible length, {}",
            self.tag.escape_ascii(),
            self.length
        )
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
    fn walk(chunks: &[&[u8]], smallest_part: usize) -> Result<Vec<(u8, Vec<u8>)>, BadFrame> {
        let mut walker = FrameWalker::with_smallest_part(smallest_part);
        let mut buffer = Vec::new();
        let mut messages: Vec<(u8, Vec<u8>)> = Vec::new();
        let mut open = false;
        for chunk in chunks {
            buffer.extend_from_slice(chunk);
            let mut at = 0;
            while let Some((piece, taken)) = walker.next(&buffer[at..])? {
                at += taken;
                match piece {
                    Piece::Whole(payload) => messages.push((b'd', payload.to_vec())),
                    Piece::Message { tag, body } => messages.push((tag, body.to_vec())),
                    Piece::First(payload) => {
                        assert!(payload.len() >= smallest_part);
                        messages.push((b'd', payload.to_vec()));
                    }
                    Piece::Middle(payload) | Piece::Last(payload) => {
                        assert!(open, "a part without its beginning");
                        assert!(!payload.is_empty());
                        messages.last_mut().unwrap().1.extend(payload);
                    }
                }
                match piece {
                    Piece::First(_) => open = true,
                    Piece::Middle(_) => {}
                    _ => open = false,
                }
            }
            buffer.drain(..at);
            assert!(
                buffer.len() < HEADER + smallest_part.max(64),
                "{} bytes stay in the buffer",
                buffer.len()
            );
        }
        assert!(!open && buffer.is_empty(), "something is left over");
        Ok(messages)
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
                    let buffer_bound = smallest_part.max(64);
                    let found = walk(&chunks, smallest_part);
                    assert_eq!(found.as_ref(), Ok(&messages), "{i} {j} {buffer_bound}");
                }
            }
        }
    }

    #[test]
    fn messages_are_found_when_the_stream_arrives_byte_by_byte() {
        let (bytes, messages) = sample();
        let chunks: Vec<_> = bytes.chunks(1).collect();
        assert_eq!(walk(&chunks, 1), Ok(messages.clone()));
        assert_eq!(walk(&chunks, 1000), Ok(messages));
    }

    #[test]
    fn a_truncated_message_is_never_taken_for_a_whole_one() {
        let bytes = frame(b'd', b"0123456789");
        for length in 0..bytes.len() {
            let mut walker = FrameWalker::new();
            assert_eq!(walker.next(&bytes[..length]), Ok(None), "{length} bytes");
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
        assert_eq!(
            walker.next(&start),
            Ok(Some((Piece::First(&part), start.len())))
        );
        let mut seen = part.len();
        while seen + part.len() < size as usize {
            assert_eq!(
                walker.next(&part),
                Ok(Some((Piece::Middle(&part), part.len())))
            );
            seen += part.len();
        }
        assert_eq!(
            walker.next(&part),
            Ok(Some((Piece::Last(&part), part.len())))
        );
        assert_eq!(walker.next(&[]), Ok(None));
        assert!(matches!(
            walker.next(&frame(b'c', b"")),
            Ok(Some((Piece::Message { tag: b'c', .. }, HEADER)))
        ));
    }

    #[test]
    fn lengths_outside_the_protocol_are_refused() {
        for (tag, length) in [
            (b'd', 0),
            (b'd', 3),
            (b'd', LONGEST_DATA + 1),
            (b'd', u32::MAX),
            (b'E', 2),
            (b'N', LONGEST_MESSAGE + 1),
        ] {
            let mut bytes = vec![tag];
            bytes.extend(u32::to_be_bytes(length));
            let refused = FrameWalker::new().next(&bytes).unwrap_err();
            assert_eq!(refused, BadFrame { tag, length });
            assert!(refused.to_string().contains(&length.to_string()));
        }
        let mut longest = vec![b'd'];
        longest.extend(LONGEST_DATA.to_be_bytes());
        assert_eq!(FrameWalker::new().next(&longest), Ok(None));
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
            prop_assert_eq!(walk(&chunks, smallest_part), Ok(messages));
        }
    }
}
