//! What is said to people beside a command's result: on standard error, above the bars if there
//! are any.

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use indicatif::MultiProgress;

use crate::commands::Conninfo;
use crate::error::Error;

use super::page::{Page, Tone};

/// Where messages go. Clones speak with one voice.
#[derive(Debug, Clone)]
pub(super) struct Messages(Arc<Place>);

#[derive(Debug)]
struct Place {
    bars: Option<MultiProgress>,
    coloured: bool,
}

impl Messages {
    /// Messages on standard error; with bars below them if it is a terminal that can draw them,
    /// and `with_bars` wants them.
    pub(super) fn new(with_bars: bool) -> Messages {
        let is_terminal = std::io::stderr().is_terminal();
        let bars = (with_bars && is_terminal && !is_dumb()).then(MultiProgress::new);
        Messages(Arc::new(Place { bars, coloured: may_colour(is_terminal) }))
    }

    /// The bars, where there are any.
    pub(super) fn bars(&self) -> Option<&MultiProgress> {
        self.0.bars.as_ref()
    }

    /// Says something.
    pub(super) fn say(&self, text: &str) {
        self.show(|page| page.told(Tone::Plain, text));
    }

    /// Warns of something.
    pub(super) fn warn(&self, text: &str) {
        self.show(|page| page.told(Tone::Notable, &format!("warning: {text}")));
    }

    /// What there is to know before these connections are used.
    pub(super) fn warn_about(&self, connections: &[&Conninfo]) {
        if connections.iter().any(|conninfo| conninfo.names_password()) {
            self.warn(
                "a password in --source or --target shows in the list of processes: rather use \
                 PGPASSWORD or the password file",
            );
        }
        let mut said: Vec<&String> = Vec::new();
        for warning in connections.iter().flat_map(|conninfo| conninfo.warnings()) {
            if !said.contains(&warning) {
                self.warn(warning);
                said.push(warning);
            }
        }
    }

    /// Says how a command failed.
    pub(super) fn fail(&self, error: &Error) {
        self.show(|page| {
            page.told(Tone::Bad, &format!("pgconvoy: {}", error.message()));
            if let Some(hint) = error.hint_text() {
                page.told(Tone::Plain, &format!("hint: {hint}"));
            }
        });
    }

    /// Shows what `write` puts on a page.
    pub(super) fn show(&self, write: impl FnOnce(&mut Page)) {
        let mut page = Page::new(self.0.coloured);
        write(&mut page);
        let text = page.into_text();
        // There is nobody to tell that standard error is gone.
        let print = || drop(std::io::stderr().lock().write_all(text.as_bytes()));
        match &self.0.bars {
            Some(bars) => bars.suspend(print),
            None => print(),
        }
    }
}

/// Whether a stream may carry colours (no-color.org): Windows' old console would show the codes.
pub(super) fn may_colour(is_terminal: bool) -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let understands = !cfg!(windows) || is_set("WT_SESSION") || is_set("TERM");
    is_terminal && understands && !is_dumb() && !is_set("NO_COLOR")
}

fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}
