//! The frames a server sends (documentation: "Message Formats"): their headers and small bodies.

use std::io;

use bytes::{Buf, Bytes, BytesMut};

/// PostgreSQL never builds a message beyond its largest allocation (source: utils/memutils.h,
/// MaxAllocSize): whatever claims more isn't a PostgreSQL server.
const LARGEST_MESSAGE: usize = 1 << 30;

/// What any message but a row, and COPY data, may hold.
pub(super) const LARGEST_ANSWER_BYTES: usize = 1 << 20;

/// What the rows of a query that are held together may take: what we ask for is far smaller.
pub(super) const LARGEST_RESULT_BYTES: usize = 1 << 30;

/// How much of an error or a notice is kept: an error quotes a value of any size.
pub(super) const WORDS_KEPT: usize = 16 << 10;

/// The tags of the messages a server sends.
pub(crate) mod tag {
    pub(crate) const AUTHENTICATION: u8 = b'R';
    pub(crate) const BACKEND_KEY_DATA: u8 = b'K';
    pub(crate) const COMMAND_COMPLETE: u8 = b'C';
    pub(crate) const COPY_DATA: u8 = b'd';
    pub(crate) const COPY_DONE: u8 = b'c';
    pub(crate) const COPY_IN_RESPONSE: u8 = b'G';
    pub(crate) const COPY_OUT_RESPONSE: u8 = b'H';
    pub(crate) const DATA_ROW: u8 = b'D';
    pub(crate) const EMPTY_QUERY: u8 = b'I';
    pub(crate) const ERROR: u8 = b'E';
    pub(crate) const NEGOTIATE_PROTOCOL: u8 = b'v';
    pub(crate) const NOTICE: u8 = b'N';
    pub(crate) const NOTIFICATION: u8 = b'A';
    pub(crate) const PARAMETER_STATUS: u8 = b'S';
    pub(crate) const READY_FOR_QUERY: u8 = b'Z';
    pub(crate) const ROW_DESCRIPTION: u8 = b'T';
}

/// The five bytes before a message's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// What the message is.
    pub(crate) tag: u8,
    /// The length of the body that follows: the length on the wire counts itself, this doesn't.
    pub(crate) body: usize,
}

impl Header {
    /// The bytes a header takes.
    pub(crate) const SIZE: usize = 5;

    /// The header at the start of `buffer`, once all of it is there.
    pub(crate) fn read(buffer: &[u8]) -> io::Result<Option<Header>> {
        let Some((&[tag, a, b, c, d], _)) = buffer.split_first_chunk() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if !(4..=LARGEST_MESSAGE).contains(&length) {
            return Err(malformed(format!(
                "a message of type {:?} claims a length of {length} bytes",
                char::from(tag)
            )));
        }
        Ok(Some(Header { tag, body: length - 4 }))
    }

    /// The whole message's length.
    pub(crate) fn total(self) -> usize {
        Header::SIZE + self.body
    }

    /// Whether it is an error or a notice of which only the beginning is kept.
    pub(super) fn is_long_winded(self) -> bool {
        matches!(self.tag, tag::ERROR | tag::NOTICE) && self.body > WORDS_KEPT
    }
}

/// The body of an error or a notice, of which only its beginning is here.
pub(super) fn cut_off(beginning: &[u8]) -> Bytes {
    // Wherever it ends, what was begun there ends now, and all of it.
    [beginning, "…\0\0".as_bytes()].concat().into()
}

/// A whole message.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) tag: u8,
    pub(super) body: Bytes,
}

impl Message {
    /// Takes the first message off `buffer`, once all of it is there.
    pub(super) fn take(buffer: &mut BytesMut, largest: usize) -> io::Result<Option<Message>> {
        let Some(header) = Header::read(buffer)? else {
            return Ok(None);
        };
        if header.body > largest {
            return Err(malformed(format!(
                "a message of type {:?} claims a length of {} bytes, where at most {largest} fit",
                char::from(header.tag),
                header.body
            )));
        }
        if buffer.len() < header.total() {
            return Ok(None);
        }
        let mut body = buffer.split_to(header.total()).freeze();
        body.advance(Header::SIZE);
        Ok(Some(Message { tag: header.tag, body }))
    }
}

/// Takes a NUL-terminated string off the front of a message's body. A server's words need not be
/// UTF-8 before the session's encoding is settled, so what isn't is replaced.
pub(super) fn take_string(body: &mut Bytes) -> io::Result<String> {
    let end = body
        .iter()
        .position(|&byte| byte == 0)
        .ok_or_else(|| malformed("a string without its end".into()))?;
    let text = body.split_to(end);
    body.advance(1);
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Takes a 32-bit number off the front of a message's body.
pub(super) fn take_i32(body: &mut Bytes) -> io::Result<i32> {
    body.try_get_i32().map_err(|_| malformed("a message shorter than its kind needs".into()))
}

/// One DataRow as text; NULLs as `None`.
pub(super) fn row(mut body: Bytes) -> io::Result<Vec<Option<String>>> {
    let short = || malformed("a row shorter than its columns".into());
    let columns = body.try_get_u16().map_err(|_| short())?;
    let mut row = Vec::with_capacity(usize::from(columns));
    for _ in 0..columns {
        row.push(match take_i32(&mut body)? {
            -1 => None,
            length => {
                let length = usize::try_from(length).map_err(|_| short())?;
                if body.len() < length {
                    return Err(short());
                }
                let text = body.split_to(length);
                let text = std::str::from_utf8(&text)
                    .map_err(|_| malformed("a column that is not UTF-8".into()))?;
                Some(text.to_owned())
            }
        });
    }
    Ok(row)
}

/// The peer broke the protocol.
pub(super) fn malformed(words: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut frame = vec![tag];
        frame.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        frame.extend(body);
        frame
    }

    #[test]
    fn a_message_is_taken_only_when_all_of_it_is_there() {
        let whole = frame(b'C', b"SELECT 1\0");
        for end in 0..whole.len() {
            let mut buffer = BytesMut::from(&whole[..end]);
            assert!(Message::take(&mut buffer, 100).unwrap().is_none());
            assert_eq!(buffer.len(), end);
        }
        let mut buffer = BytesMut::from(&whole[..]);
        buffer.extend_from_slice(b"next");
        let mut message = Message::take(&mut buffer, 100).unwrap().unwrap();
        assert_eq!(message.tag, b'C');
        assert_eq!(take_string(&mut message.body).unwrap(), "SELECT 1");
        assert_eq!(&buffer[..], b"next");
    }

    #[test]
    fn lengths_no_server_sends_are_refused() {
        for length in [0_u32, 3, 0x4000_0001, u32::MAX] {
            let mut bytes = vec![b'D'];
            bytes.extend(length.to_be_bytes());
            Header::read(&bytes).unwrap_err();
        }
        let mut buffer = BytesMut::from(&frame(b'R', &[0; 65])[..]);
        Message::take(&mut buffer, 64).unwrap_err();
    }

    #[test]
    fn a_row_that_is_cut_short_anywhere_is_an_error() {
        let mut body = vec![0, 3];
        body.extend(2_i32.to_be_bytes());
        body.extend(b"ab");
        body.extend((-1_i32).to_be_bytes());
        body.extend(0_i32.to_be_bytes());
        for end in 0..body.len() {
            row(Bytes::copy_from_slice(&body[..end])).unwrap_err();
        }
        let expected = [Some("ab".to_owned()), None, Some(String::new())];
        assert_eq!(row(Bytes::from(body)).unwrap(), expected);
    }
}
