//! A command's result, on standard output: pages for people, or one JSON object a line.

use std::io::{BufWriter, ErrorKind, IsTerminal, StdoutLock, Write};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use crate::error::{Error, Result};

use super::escape;
use super::messages::may_colour;
use super::page::Page;

/// Standard output. Clones write to the same place.
///
/// A reader that has seen enough (`| head`) is no failure: the rest is not written, and the work
/// goes on.
#[derive(Debug, Clone)]
pub(super) struct Output {
    json: bool,
    coloured: bool,
    failed: Arc<Mutex<Option<std::io::Error>>>,
}

impl Output {
    /// Standard output, for programs or for people.
    pub(super) fn new(json: bool) -> Output {
        let coloured = !json && may_colour(std::io::stdout().is_terminal());
        Output { json, coloured, failed: Arc::default() }
    }

    /// Whether it is for programs.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// An empty page in this output's style.
    pub(super) fn page(&self) -> Page {
        Page::new(self.coloured)
    }

    /// Shows a result: `line` to programs, what `write` puts on a page to people.
    pub(super) fn show(&self, line: &impl Serialize, write: impl FnOnce(&mut Page)) {
        if self.json {
            return self.line(line);
        }
        let mut page = self.page();
        write(&mut page);
        self.put(page.into_text().as_bytes());
    }

    /// Writes a JSON object and ends the line. A plan's is long: it is never there whole.
    pub(super) fn line(&self, object: &impl Serialize) {
        self.write(|stdout| {
            let mut stdout = BufWriter::new(stdout);
            object.serialize(&mut Serializer::with_formatter(&mut stdout, Harmless))?;
            stdout.write_all(b"\n")?;
            stdout.flush()
        });
    }

    /// Writes bytes as they are.
    pub(super) fn put(&self, bytes: &[u8]) {
        self.write(|stdout| {
            stdout.write_all(bytes)?;
            stdout.flush()
        });
    }

    fn write(&self, write: impl FnOnce(&mut StdoutLock<'_>) -> std::io::Result<()>) {
        if self.has_failed() {
            return;
        }
        if let Err(error) = write(&mut std::io::stdout().lock()) {
            self.fail(error);
        }
    }

    /// What went wrong with writing, if anything that matters did.
    pub(super) fn end(&self) -> Result<()> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        match failed {
            Some(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(Error::step("writing to standard output").io(error))
            }
            _ => Ok(()),
        }
    }

    fn has_failed(&self) -> bool {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn fail(&self, error: std::io::Error) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// JSON that a terminal may be shown: a program reads the same text out of it.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> std::io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(escape::is_dangerous) {
            writer.write_all(&rest.as_bytes()[..at])?;
            let mut after = rest[at..].chars();
            if let Some(dangerous) = after.next() {
                write!(writer, "\\u{:04x}", u32::from(dangerous))?;
            }
            rest = after.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_holds_no_character_that_steers_a_terminal_and_reads_as_it_was() {
        let text = "a\u{1b}[2J\u{9b}31m\u{7f}\u{202e}\"\\\n\0 Größe 🐘\u{2028}";
        let mut line = Vec::new();
        text.serialize(&mut Serializer::with_formatter(&mut line, Harmless)).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert!(!line.chars().any(escape::is_dangerous), "{line:?}");
        assert!(line.contains("Größe 🐘"), "{line}");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }
}
