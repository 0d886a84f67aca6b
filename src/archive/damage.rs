//! Errors about what an archive's files hold, and how they come through [`std::io::Read`].

use std::fmt::Display;
use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Kind, Result};

use super::contents::Item;

/// What to do about a file that ends too early.
const CUT_OFF: &str = "it was cut off: make the archive anew, or copy it again";

/// An error about what is in an archive's `file`, at or before a byte.
pub(super) fn damaged(file: impl Display, offset: u64, what: impl Into<String>) -> Error {
    Error::new(Kind::Refused, format!("reading {file} at byte {offset}"))
        .because(what)
        .hint("it is damaged: make the archive anew, or copy it again")
}

/// An error about an entry, whatever is wrong with it.
pub(super) fn about(item: &Item) -> Error {
    Error::new(Kind::Refused, format!("reading {}", item.title()))
}

/// An error about an entry's data, which isn't what the archive says of it.
pub(super) fn damaged_data(item: &Item, because: impl Into<String>) -> Error {
    about(item).because(because).hint("the archive is damaged: copy it again, or make it anew")
}

/// A file of an archive that can't be read.
pub(super) fn unreadable(file: impl Display, error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::new(Kind::Refused, format!("opening {file}"))
            .io(error)
            .hint("the archive isn't whole: copy all of it again, or make it anew"),
        _ => Error::step(format!("opening {file}")).io(error).hint("see that it can be read"),
    }
}

/// What went wrong with reading a `file` of an archive, at or before a byte.
pub(super) fn told(file: &str, offset: u64, error: std::io::Error) -> Error {
    let error = match error.downcast::<Error>() {
        Ok(told) => return told,
        Err(error) => error,
    };
    let doing = format!("reading {file} at byte {offset}");
    match error.kind() {
        ErrorKind::UnexpectedEof => {
            Error::new(Kind::Refused, doing).because("it ends too early").hint(CUT_OFF)
        }
        // What the operating system says isn't the file's fault.
        _ if error.raw_os_error().is_some() => {
            Error::step(doing).io(error).hint("see that the file can be read")
        }
        _ => damaged(file, offset, error.to_string()),
    }
}

/// What is wrong with the data itself, for [`Told`] to say where.
pub(super) fn wrong(what: impl Into<String>) -> std::io::Error {
    std::io::Error::new(ErrorKind::InvalidData, what.into())
}

/// That data ends too early.
pub(super) fn cut_off() -> std::io::Error {
    ErrorKind::UnexpectedEof.into()
}

/// The story that an error of an archive's stream tells: which file, which byte, and what to do.
pub fn read_error(error: std::io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(told) => told,
        Err(error) => {
            Error::step("reading the archive").io(error).hint("see that its files can be read")
        }
    }
}

/// Reads an archive's stream to its end; how many bytes that was.
pub(super) fn read_to_end(mut from: impl Read, mut take: impl FnMut(&[u8])) -> Result<u64> {
    let mut buffer = vec![0; 64 << 10];
    let mut bytes = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(read) => {
                take(&buffer[..read]);
                bytes += read as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(read_error(error)),
        }
    }
}

/// A stream whose errors say which file they are about, and how far it was read.
pub(super) struct Told<R> {
    from: R,
    file: String,
    offset: Arc<AtomicU64>,
}

impl<R> Told<R> {
    /// What is read `from` comes out of a `file`, up to an `offset` that whoever reads it counts.
    pub(super) fn new(from: R, file: String, offset: Arc<AtomicU64>) -> Told<R> {
        Told { from, file, offset }
    }

    /// The same, read through something else.
    pub(super) fn through<S>(self, reader: impl FnOnce(R) -> S) -> Told<S> {
        Told { from: reader(self.from), file: self.file, offset: self.offset }
    }
}

impl<R: Read> Told<R> {
    /// Reads what is left, and lets it go.
    pub(super) fn drain(&mut self) -> Result<()> {
        read_to_end(self, |_| {}).map(|_| ())
    }
}

impl<R: Read> Read for Told<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.from.read(into).map_err(|error| match error.kind() {
            ErrorKind::Interrupted => error,
            _ => {
                let offset = self.offset.load(Ordering::Relaxed);
                std::io::Error::other(told(&self.file, offset, error))
            }
        })
    }
}
