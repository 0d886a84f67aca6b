//! An XML file as text that can be put back byte for byte.

use crate::error::{Error, Kind, Result};

/// A file's text, and how it is written in bytes.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) text: String,
    encoding: Encoding,
    has_mark: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
    /// One byte a character, as ISO 8859-1 has it. Windows' own code page differs from that only in
    /// characters that nothing we read has.
    Latin1,
}

const MARK: char = '\u{feff}';

impl Document {
    /// Reads a file's bytes.
    pub(super) fn decode(bytes: &[u8], path: &str) -> Result<Document> {
        let encoding = match bytes {
            [0xff, 0xfe, ..] | [b'<', 0, ..] => Encoding::Utf16Le,
            [0xfe, 0xff, ..] | [0, b'<', ..] => Encoding::Utf16Be,
            _ if std::str::from_utf8(bytes).is_ok() => Encoding::Utf8,
            _ => Encoding::Latin1,
        };
        let text = match encoding {
            Encoding::Utf8 => String::from_utf8(bytes.to_vec()).ok(),
            Encoding::Latin1 if declares_single_bytes(bytes) => {
                Some(bytes.iter().map(|byte| char::from(*byte)).collect())
            }
            Encoding::Latin1 => None,
            Encoding::Utf16Le => utf16(bytes, u16::from_le_bytes),
            Encoding::Utf16Be => utf16(bytes, u16::from_be_bytes),
        };
        let text = text.ok_or_else(|| {
            Error::new(Kind::Refused, format!("reading {path}"))
                .because("its bytes aren't text in the encoding that it declares")
                .hint("save it as UTF-8, then run again")
        })?;
        let has_mark = text.starts_with(MARK);
        let text = text.strip_prefix(MARK).map(str::to_owned).unwrap_or(text);
        Ok(Document { text, encoding, has_mark })
    }

    /// Another text's bytes, in this file's encoding. None where it has characters that the encoding
    /// hasn't.
    pub(super) fn encode(&self, text: &str) -> Option<Vec<u8>> {
        let mark = self.has_mark.then_some(MARK);
        let chars = mark.into_iter().chain(text.chars());
        match self.encoding {
            Encoding::Utf8 => Some(chars.collect::<String>().into_bytes()),
            Encoding::Latin1 => chars.map(|c| u8::try_from(u32::from(c)).ok()).collect(),
            Encoding::Utf16Le => Some(units(chars).flat_map(u16::to_le_bytes).collect()),
            Encoding::Utf16Be => Some(units(chars).flat_map(u16::to_be_bytes).collect()),
        }
    }
}

fn units(chars: impl Iterator<Item = char>) -> impl Iterator<Item = u16> {
    chars.flat_map(|c| c.encode_utf16(&mut [0; 2]).to_vec())
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|pair| unit(*pair));
    if !rest.is_empty() {
        return None;
    }
    char::decode_utf16(units).collect::<Result<String, _>>().ok()
}

/// Whether the XML declaration names a code page of single bytes.
fn declares_single_bytes(bytes: &[u8]) -> bool {
    let declaration = bytes.split(|byte| *byte == b'>').next().unwrap_or_default();
    let declaration = String::from_utf8_lossy(declaration).to_ascii_lowercase();
    ["iso-8859-1\"", "iso-8859-1'", "windows-1252", "latin1"]
        .iter()
        .any(|name| declaration.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_any_encoding_is_put_back_byte_for_byte() {
        let text = "<?xml version=\"1.0\"?>\r\n<a b='é€𝄞'/>\r\n";
        let utf16: Vec<u8> = units(text.chars()).flat_map(u16::to_le_bytes).collect();
        let marked = [&[0xff, 0xfe][..], &utf16].concat();
        let big: Vec<u8> = units(text.chars()).flat_map(u16::to_be_bytes).collect();
        let latin = b"<?xml version=\"1.0\" encoding=\"Windows-1252\"?><a b='\xe9\x80'/>".to_vec();
        let utf8 = ["\u{feff}", text].concat().into_bytes();
        for bytes in [text.as_bytes().to_vec(), utf8, utf16, marked, big, latin] {
            let document = Document::decode(&bytes, "x").unwrap();
            assert!(document.text.starts_with('<'));
            assert_eq!(document.encode(&document.text), Some(bytes));
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        for bytes in [&b"<a b='\xe9'/>"[..], b"\xff\xfe<\0a", b"\xff\xfe\x00\xd8"] {
            assert!(Document::decode(bytes, "x").is_err(), "{bytes:?}");
        }
    }
}
