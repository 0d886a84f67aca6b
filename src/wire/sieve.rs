//! What tokio-postgres may be handed of what a server says. It takes a message of any length for
//! granted, keeps every parameter it is told of, and asks for each type that it doesn't know, and for
//! that type's own, for as long as there is one more.

use std::io;

use bytes::{Buf, BufMut, BytesMut};
use tokio_postgres::types::Type;

use super::message::{
    Header, LARGEST_ANSWER_BYTES, WORDS_KEPT, cut_off, malformed, tag, take_string,
};

/// What a column's description has behind its name: its table, number, type, length, modifier and
/// format.
const BEHIND_A_NAME: usize = 4 + 2 + 4 + 2 + 4 + 2;

/// Messages that go through it.
pub(super) struct Sieve {
    incoming: BytesMut,
    /// What is still to come of the message under way.
    left: usize,
    /// Whether that goes on to the reader.
    passes: bool,
}

impl Sieve {
    /// A sieve in which these bytes lie already.
    pub(super) fn holding(incoming: BytesMut) -> Sieve {
        Sieve { incoming, left: 0, passes: true }
    }

    /// Takes in what arrived.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.incoming.extend_from_slice(bytes);
    }

    /// Lets go on into `passed` what may.
    pub(super) fn sift(&mut self, passed: &mut BytesMut) -> io::Result<()> {
        loop {
            let now = self.left.min(self.incoming.len());
            if self.passes {
                passed.extend_from_slice(&self.incoming[..now]);
            }
            self.incoming.advance(now);
            self.left -= now;
            if self.left > 0 {
                return Ok(());
            }
            let Some(header) = Header::read(&self.incoming)? else { return Ok(()) };
            if header.is_long_winded() {
                if self.incoming.len() < Header::SIZE + WORDS_KEPT {
                    return Ok(());
                }
                self.shorten(header, passed);
                continue;
            }
            if header.tag != tag::DATA_ROW && header.body > LARGEST_ANSWER_BYTES {
                return Err(malformed(format!(
                    "a message of type {:?} claims {} bytes",
                    char::from(header.tag),
                    header.body
                )));
            }
            if header.tag == tag::ROW_DESCRIPTION {
                let Some(body) = self.incoming.get(Header::SIZE..header.total()) else {
                    return Ok(());
                };
                refuse_unknown_types(body)?;
            }
            self.passes = !matches!(header.tag, tag::PARAMETER_STATUS | tag::NOTIFICATION);
            self.left = header.total();
        }
    }

    /// Passes the beginning of a long message on as the whole.
    fn shorten(&mut self, header: Header, passed: &mut BytesMut) {
        let beginning = self.incoming.split_to(Header::SIZE + WORDS_KEPT);
        let body = cut_off(&beginning[Header::SIZE..]);
        passed.put_u8(header.tag);
        passed.put_u32(u32::try_from(body.len() + 4).expect("what is kept is short"));
        passed.put_slice(&body);
        self.left = header.body - WORDS_KEPT;
        self.passes = false;
    }
}

/// Our queries yield the system's own types only.
fn refuse_unknown_types(body: &[u8]) -> io::Result<()> {
    let short = || malformed("columns described in less than that takes".into());
    let mut body = bytes::Bytes::copy_from_slice(body);
    let columns = body.try_get_u16().map_err(|_| short())?;
    for _ in 0..columns {
        let _name = take_string(&mut body)?;
        let described = body.get(..BEHIND_A_NAME).ok_or_else(short)?;
        let oid = (&described[6..]).get_u32();
        if Type::from_oid(oid).is_none() {
            return Err(malformed(format!("a column of a type with OID {oid}, which isn't known")));
        }
        body.advance(BEHIND_A_NAME);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::scripted::message;
    use super::*;

    fn sifted(bytes: &[u8], step: usize) -> io::Result<Vec<u8>> {
        let mut sieve = Sieve::holding(BytesMut::new());
        let mut passed = BytesMut::new();
        for chunk in bytes.chunks(step) {
            sieve.take(chunk);
            sieve.sift(&mut passed)?;
        }
        Ok(passed.to_vec())
    }

    fn described(oid: u32) -> Vec<u8> {
        let columns = [&b"\0\x01x\0\0\0\0\0\0\0"[..], &oid.to_be_bytes(), &[0; 8]].concat();
        message(b'T', &columns)
    }

    #[test]
    fn ordinary_messages_pass_and_what_nobody_reads_does_not() {
        let row = message(b'D', &vec![b'x'; 100_000]);
        let aside = [message(b'S', b"a\0b\0"), message(b'A', b"\0\0\0\x01c\0p\0")].concat();
        let all = [&described(25)[..], &aside, &row, &aside, &message(b'Z', b"I")].concat();
        let expected = [&described(25)[..], &row, &message(b'Z', b"I")].concat();
        for step in [1, 7, 1000, all.len()] {
            assert_eq!(sifted(&all, step).unwrap(), expected, "{step}");
        }
    }

    #[test]
    fn of_a_long_error_the_beginning_is_passed_on_as_the_whole() {
        let words = [b"SERROR\0M", &vec![b'x'; 3 << 20][..], b"\0\0"].concat();
        let all = [message(b'E', &words), message(b'Z', b"I")].concat();
        for step in [100, all.len()] {
            let passed = sifted(&all, step).unwrap();
            let mut passed = BytesMut::from(&passed[..]);
            let error = super::super::message::Message::take(&mut passed, 1 << 20);
            let fields = super::super::server_words::Fields::read(error.unwrap().unwrap().body);
            let said = fields.unwrap().message;
            assert!(said.starts_with("xxx") && said.ends_with("x…"), "{}", said.len());
            assert_eq!(passed.to_vec(), message(b'Z', b"I"));
        }
    }

    #[test]
    fn lengths_and_types_that_no_server_has_are_refused() {
        for bytes in [
            b"C\0\x20\0\0".to_vec(),
            b"D\x7f\xff\xff\xff".to_vec(),
            b"Z\0\0\0\x03".to_vec(),
            described(16_384),
            message(b'T', b"\xff\xff"),
        ] {
            sifted(&bytes, bytes.len()).unwrap_err();
        }
    }
}
