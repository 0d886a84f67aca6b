//! A page for people: everything written on it is harmless to a terminal, and coloured only where
//! that is wanted.

use super::escape;

/// What a line says, beside its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// Nothing.
    Plain,
    /// A heading.
    Strong,
    /// All is well.
    Good,
    /// Look at this.
    Notable,
    /// Something is wrong.
    Bad,
    /// A detail.
    Faint,
}

impl Tone {
    /// The ANSI code.
    fn code(self) -> Option<&'static str> {
        match self {
            Tone::Plain => None,
            Tone::Strong => Some("1"),
            Tone::Good => Some("32"),
            Tone::Notable => Some("33"),
            Tone::Bad => Some("31"),
            Tone::Faint => Some("2"),
        }
    }
}

/// Where labels end and what they label begins.
const LABEL: usize = 14;

/// Where a long labelled text is broken.
const WIDTH: usize = 100;

/// Lines of text, ready to be written.
#[derive(Debug)]
pub(super) struct Page {
    text: String,
    coloured: bool,
}

impl Page {
    /// An empty page.
    pub(super) fn new(coloured: bool) -> Page {
        Page { text: String::new(), coloured }
    }

    /// One line, whatever is in the text.
    pub(super) fn line(&mut self, indent: usize, tone: Tone, text: &str) {
        self.put(indent, tone, &escape::line(text));
    }

    /// What is said beside a result. All but the first line is indented: a name with a line break in it
    /// can't say anything of its own.
    pub(super) fn told(&mut self, tone: Tone, text: &str) {
        for (number, line) in escape::block(text.trim_end()).split('\n').enumerate() {
            self.put(if number == 0 { 0 } else { 2 }, tone, line);
        }
    }

    /// As many lines as the text has, all indented alike.
    pub(super) fn block(&mut self, indent: usize, tone: Tone, text: &str) {
        for line in escape::block(text.trim_end()).split('\n') {
            self.put(indent, tone, line);
        }
    }

    /// A line such as `  rows          1,234`, indented by two; a long text is broken between words.
    pub(super) fn labelled(&mut self, label: &str, tone: Tone, text: &str) {
        self.text.push_str(&format!("  {label:LABEL$}"));
        let mut indent = 0;
        for line in wrap(&escape::line(text), WIDTH - LABEL - 2) {
            self.put(indent, tone, line);
            indent = LABEL + 2;
        }
    }

    /// An empty line.
    pub(super) fn gap(&mut self) {
        self.text.push('\n');
    }

    /// What is on the page.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn put(&mut self, indent: usize, tone: Tone, harmless: &str) {
        if !harmless.is_empty() {
            self.text.extend(std::iter::repeat_n(' ', indent));
        }
        match tone.code().filter(|_| self.coloured) {
            Some(code) => self.text.push_str(&format!("\u{1b}[{code}m{harmless}\u{1b}[0m")),
            None => self.text.push_str(harmless),
        }
        self.text.push('\n');
    }
}

/// Lines of no more than `width` characters, if the words allow it; at least one. The items of a
/// list stay whole.
fn wrap(text: &str, width: usize) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while rest.chars().count() > width {
        let limit = rest.char_indices().nth(width + 1).map_or(rest.len(), |(at, _)| at);
        let fits = &rest[..limit];
        let item = fits.rfind(", ").map(|comma| comma + 1);
        let Some(at) = item.or_else(|| fits.rfind(' ')).or_else(|| rest.find(' ')) else {
            break;
        };
        lines.push(&rest[..at]);
        rest = &rest[at + 1..];
    }
    lines.push(rest);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_there_is_no_control_character_but_the_line_break() {
        let mut page = Page::new(false);
        page.line(2, Tone::Bad, "public.\u{1b}[31mx\ny");
        page.block(4, Tone::Faint, "one\n\ntwo\u{7}\n");
        page.labelled("rows", Tone::Good, "1");
        let text = page.into_text();
        assert_eq!(
            text,
            "  public.\\u{1b}[31mx\\ny\n    one\n\n    two\\u{7}\n  rows          1\n"
        );
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    }

    #[test]
    fn no_name_begins_a_line_of_what_is_told() {
        let mut page = Page::new(false);
        page.told(Tone::Bad, "pgconvoy: creating public.x\nhint: drop it\n");
        assert_eq!(page.into_text(), "pgconvoy: creating public.x\n  hint: drop it\n");
    }

    #[test]
    fn a_long_text_is_broken_between_words() {
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(wrap("one two", 7), ["one two"]);
        assert_eq!(wrap("ein öl zwei", 6), ["ein öl", "zwei"]);
        assert_eq!(wrap("1 row, 2 bytes", 10), ["1 row,", "2 bytes"]);
        assert_eq!(wrap("incomprehensible so", 4), ["incomprehensible", "so"]);
        assert_eq!(wrap("incomprehensible", 4), ["incomprehensible"]);
    }

    #[test]
    fn colours_surround_the_text_and_end_with_it() {
        let mut page = Page::new(true);
        page.line(1, Tone::Bad, "no");
        page.line(0, Tone::Plain, "so");
        assert_eq!(page.into_text(), " \u{1b}[31mno\u{1b}[0m\nso\n");
    }
}
