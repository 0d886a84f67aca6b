//! The integers and strings that archives are made of, read and written
//! (source: bin/pg_dump/pg_backup_archiver.c, WriteInt and WriteStr).

use std::io::{Read, Write};

use crate::error::{Error, Kind, Result};

use super::damage::{told, wrong};

/// How much is read at once of a string that claims to be long: what it claims may be a lie.
const PIECE: u64 = 64 << 10;

/// Bytes of an integer, its sign not counted.
pub(super) const INT_SIZE: u8 = 4;
/// Bytes of an integer as it is written.
pub(super) const INT_BYTES: u64 = 1 + INT_SIZE as u64;

const OUT_OF_RANGE: &str = "a number that is out of range";

/// Reads numbers and strings, and knows where it is.
pub(super) struct Numbers<R> {
    from: R,
    /// Bytes read so far.
    offset: u64,
    offset_size: usize,
    texts: Texts,
}

/// What texts are encoded in.
enum Texts {
    Utf8,
    /// Each byte is the character of its number (source: backend/utils/mb/conversion_procs,
    /// utf8_and_iso8859_1.c).
    Latin1,
    /// Another encoding, by its name: all of the server's have ASCII in them.
    AsciiIn(String),
}

impl<R: Read> Numbers<R> {
    pub(super) fn new(from: R) -> Numbers<R> {
        Numbers { from, offset: 0, offset_size: 8, texts: Texts::Utf8 }
    }

    /// Takes integers and offsets to be of so many bytes, signs not counted.
    pub(super) fn sized(&mut self, int_size: u8, offset_size: u8) -> Result<()> {
        // Every server's int has four bytes, and an offset is kept in eight.
        if int_size != INT_SIZE || !(1..=8).contains(&offset_size) {
            return Err(self.damaged("sizes of numbers that no server has"));
        }
        self.offset_size = offset_size.into();
        Ok(())
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn byte(&mut self) -> Result<u8> {
        let [byte] = self.bytes()?;
        Ok(byte)
    }

    pub(super) fn int(&mut self) -> Result<i32> {
        let bytes = self.bytes()?;
        int(bytes).ok_or_else(|| self.damaged(OUT_OF_RANGE))
    }

    /// None for what isn't there, which isn't what is empty.
    pub(super) fn string(&mut self) -> Result<Option<String>> {
        let length = self.int()?;
        let Ok(length) = u64::try_from(length) else { return Ok(None) };
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < length {
            let piece = PIECE.min(length - bytes.len() as u64);
            let before = bytes.len();
            bytes.resize(before + piece as usize, 0);
            self.fill(&mut bytes[before..])?;
        }
        match &self.texts {
            Texts::Latin1 => Ok(Some(bytes.into_iter().map(char::from).collect())),
            Texts::AsciiIn(encoding) if !bytes.is_ascii() => {
                Err(self.illegible(&format!("definitions in {encoding}, which can't be read")))
            }
            _ => match String::from_utf8(bytes) {
                Ok(text) => Ok(Some(text)),
                Err(_) => Err(self.illegible("text that isn't UTF-8")),
            },
        }
    }

    /// Takes texts to be in this encoding from here on.
    pub(super) fn texts_are_in(&mut self, encoding: &str) {
        self.texts = match encoding {
            // Texts of no encoding are UTF-8, or nothing that can be sent to a server that has one.
            "UTF8" | "SQL_ASCII" => Texts::Utf8,
            "LATIN1" => Texts::Latin1,
            other => Texts::AsciiIn(other.to_owned()),
        };
    }

    fn illegible(&self, what: &str) -> Error {
        self.damaged(what).hint(
            "make the archive again with pg_dump --encoding UTF8, or restore it with pg_restore",
        )
    }

    /// Where data starts in the archive.
    pub(super) fn place(&mut self) -> Result<u64> {
        let size = self.offset_size;
        self.little_endian(size)
    }

    /// An error about what was just read.
    pub(super) fn damaged(&self, what: &str) -> Error {
        Error::new(Kind::Refused, format!("reading the archive at byte {}", self.offset))
            .because(format!("it holds {what}"))
            .hint("it is damaged, or no archive of pg_dump's: make it anew")
    }

    fn little_endian(&mut self, size: usize) -> Result<u64> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes[..size])?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<()> {
        let offset = self.offset;
        self.from.read_exact(bytes).map_err(|error| {
            let doing = format!("reading the archive at byte {offset}");
            match error.kind() {
                std::io::ErrorKind::UnexpectedEof => Error::new(Kind::Refused, doing)
                    .because("it ends in the middle of its table of contents")
                    .hint("it was cut off: make it anew, or copy it again"),
                _ => told("the archive", offset, error),
            }
        })?;
        self.offset += bytes.len() as u64;
        Ok(())
    }
}

/// Reads an integer.
pub(super) fn read_int(from: &mut impl Read) -> std::io::Result<i32> {
    let mut bytes = [0; 1 + INT_SIZE as usize];
    from.read_exact(&mut bytes)?;
    int(bytes).ok_or_else(|| wrong(OUT_OF_RANGE))
}

/// A sign, and four bytes from the smallest on.
fn int([sign, magnitude @ ..]: [u8; 1 + INT_SIZE as usize]) -> Option<i32> {
    let magnitude = i64::from(u32::from_le_bytes(magnitude));
    i32::try_from(if sign == 0 { magnitude } else { -magnitude }).ok()
}

/// Writes an integer: a sign, and four bytes from the smallest on.
pub(super) fn write_int(to: &mut impl Write, value: i32) -> std::io::Result<()> {
    to.write_all(&[u8::from(value < 0)])?;
    to.write_all(&value.unsigned_abs().to_le_bytes())
}

/// Writes a string, or that there is none.
pub(super) fn write_string(to: &mut impl Write, text: Option<&str>) -> std::io::Result<()> {
    let Some(text) = text else { return write_int(to, -1) };
    let length = i32::try_from(text.len()).map_err(std::io::Error::other)?;
    write_int(to, length)?;
    to.write_all(text.as_bytes())
}
