//! Markup in which no text can be anything but text.

use std::fmt::Write;

/// Markup as it is written: well-formed as XML, too, so that tests can read it.
#[derive(Debug, Default)]
pub(super) struct Markup(String);

impl Markup {
    /// Markup of our own.
    pub(super) fn raw(&mut self, markup: &str) {
        self.0.push_str(markup);
    }

    /// An element with text in it. Its tag, with attributes, is ours; the text is anybody's.
    pub(super) fn element(&mut self, tag: &str, text: &str) {
        self.open(tag);
        self.text(text);
        self.close(tag);
    }

    /// An element with what `inside` writes.
    pub(super) fn around(&mut self, tag: &str, inside: impl FnOnce(&mut Markup)) {
        self.open(tag);
        inside(self);
        self.close(tag);
        self.raw("\n");
    }

    /// Text, whatever is in it.
    pub(super) fn text(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '&' => self.raw("&amp;"),
                '<' => self.raw("&lt;"),
                '>' => self.raw("&gt;"),
                '"' => self.raw("&quot;"),
                '\'' => self.raw("&#39;"),
                '\n' | '\t' => self.0.push(character),
                _ if is_unseen(character) => {
                    write!(self.0, "\\u{{{:x}}}", u32::from(character))
                        .expect("a String takes whatever is written");
                }
                _ => self.0.push(character),
            }
        }
    }

    /// All of it.
    pub(super) fn into_text(self) -> String {
        self.0
    }

    fn open(&mut self, tag: &str) {
        self.raw("<");
        self.raw(tag);
        self.raw(">");
    }

    fn close(&mut self, tag: &str) {
        self.raw("</");
        self.raw(tag.split(' ').next().unwrap_or(tag));
        self.raw(">");
    }
}

/// What isn't seen, or turns what is seen around, and what XML doesn't take (XML 1.0, production 2).
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
            | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup_or_hides() {
        let mut markup = Markup::default();
        markup.element("td class='n'", "</td><script>a & \"b\" 'c'\u{202e}\u{0}\u{1b}[31m");
        assert_eq!(
            markup.into_text(),
            "<td class='n'>&lt;/td&gt;&lt;script&gt;a &amp; &quot;b&quot; &#39;c&#39;\\u{202e}\
             \\u{0}\\u{1b}[31m</td>"
        );
    }
}
