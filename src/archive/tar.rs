//! A tar file, as pg_dump writes it: plain files with short names (source: port/tar.c; POSIX, pax,
//! "ustar Interchange Format").

use std::collections::HashMap;
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::error::Result;

use super::damage::{cut_off, told, unreadable, wrong};

const BLOCK: usize = 512;

/// A tar file's members.
#[derive(Debug)]
pub(super) struct Tar {
    path: PathBuf,
    /// Where each begins, and how long it is.
    places: HashMap<String, (u64, u64)>,
}

/// A member, or none: the end.
type Header = Option<(String, u64)>;

impl Tar {
    /// Looks through a file.
    pub(super) fn open(path: &Path) -> Result<Tar> {
        let name = path.display().to_string();
        let file = std::fs::File::open(path).map_err(|error| unreadable(&name, error))?;
        let mut offset = 0;
        let places = places(file, &mut offset).map_err(|error| told(&name, offset, error))?;
        Ok(Tar { path: path.to_owned(), places })
    }

    /// The file itself.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where a member begins in it, and how long it is.
    pub(super) fn place(&self, name: &str) -> Option<(u64, u64)> {
        self.places.get(name).copied()
    }

    /// Its members' names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }

    /// Whether a file that begins so is one.
    pub(super) fn is_meant(beginning: &[u8]) -> bool {
        beginning.get(257..262) == Some(b"ustar")
    }
}

fn places(file: std::fs::File, offset: &mut u64) -> std::io::Result<HashMap<String, (u64, u64)>> {
    let length = file.metadata()?.len();
    let mut from = BufReader::new(file);
    let mut places = HashMap::new();
    while let Some((name, size)) = header(&mut from)? {
        *offset += BLOCK as u64;
        // A member is filled up to whole blocks.
        let padded = size.div_ceil(BLOCK as u64).saturating_mul(BLOCK as u64);
        let end = offset.checked_add(padded).filter(|end| *end <= length).ok_or_else(cut_off)?;
        if places.insert(name, (*offset, size)).is_some() {
            return Err(wrong("two of its files have the same name"));
        }
        from.seek(SeekFrom::Start(end))?;
        *offset = end;
    }
    Ok(places)
}

fn header(from: &mut impl Read) -> std::io::Result<Header> {
    let mut block = [0; BLOCK];
    from.read_exact(&mut block).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => cut_off(),
        _ => error,
    })?;
    if block.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let bytes = block.iter().enumerate();
    let sum: u64 =
        bytes.map(|(at, byte)| if (148..156).contains(&at) { 32 } else { (*byte).into() }).sum();
    if !Tar::is_meant(&block) || number(&block[148..156]) != Some(sum) {
        return Err(wrong("there is no file's header, or a damaged one"));
    }
    refuse_odd(block[156])?;
    // What stands before a long name; GNU's own headers have other things there.
    if block[257..265] == *b"ustar\x0000" && block[345] != 0 {
        return Err(wrong(IN_A_FOLDER));
    }
    let name = block[..100].split(|byte| *byte == 0).next().unwrap_or_default();
    if name.contains(&b'/') {
        return Err(wrong(IN_A_FOLDER));
    }
    let name = String::from_utf8(name.to_vec()).map_err(|_| wrong("a file's name isn't text"))?;
    let size = number(&block[124..136]).ok_or_else(|| wrong("a file's size is no number"))?;
    Ok(Some((name, size)))
}

/// Refuses what isn't a plain file: pg_dump writes nothing else.
fn refuse_odd(kind: u8) -> std::io::Result<()> {
    Err(wrong(match kind {
        b'0' | 0 => return Ok(()),
        b'1' | b'2' => "there is a link, which no archive has",
        b'3' | b'4' | b'6' => "there is a device or a pipe, which no archive has",
        b'5' => IN_A_FOLDER,
        b'S' => "there is a file with holes, which no archive has",
        b'x' | b'g' | b'L' | b'K' => {
            "there is a header of another kind of tar file: pg_dump's has none"
        }
        _ => "there is something else than a file",
    }))
}

/// A folder that somebody has packed is none of pg_dump's tar files.
const IN_A_FOLDER: &str =
    "there is a folder, which no tar file of pg_dump's has: unpack it, and name the folder";

/// A number in octal digits, or, behind a byte of 128, in binary.
fn number(field: &[u8]) -> Option<u64> {
    if let [128, digits @ ..] = field {
        let digits = digits.iter();
        return digits
            .copied()
            .try_fold(0_u64, |sum, digit| Some(sum.checked_mul(256)? | u64::from(digit)));
    }
    let text = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    u64::from_str_radix(text, 8).ok()
}
