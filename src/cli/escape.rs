//! Text that comes from servers, made harmless: a table's name must not be able to move a
//! terminal's cursor, recolour it, or make a line look like another.

use std::borrow::Cow;

/// `text` with everything that isn't printed as itself escaped, line breaks too.
pub(super) fn line(text: &str) -> Cow<'_, str> {
    escape(text, is_dangerous)
}

/// `text` of several lines: its line breaks stay.
pub(super) fn block(text: &str) -> Cow<'_, str> {
    escape(text, |c| c != '\n' && is_dangerous(c))
}

fn escape(text: &str, dangerous: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&dangerous) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match dangerous(c) {
            true => escaped.extend(c.escape_default()),
            false => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// Control characters (C0, DEL, C1), and those of Unicode's that reorder or break lines.
pub(super) fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_of_any_script_stays_as_it_is() {
        for text in ["", "public.orders", "Größe \"x\" '\\'", "表 таблица 🐘"] {
            assert!(matches!(line(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn what_would_steer_a_terminal_is_shown_instead() {
        assert_eq!(line("a\u{1b}[2Jb"), r"a\u{1b}[2Jb");
        assert_eq!(line("a\rb\tc\nd"), r"a\rb\tc\nd");
        assert_eq!(line("\u{7f}\u{9b}31m\0"), r"\u{7f}\u{9b}31m\u{0}");
        assert_eq!(line("a\u{202e}b\u{2028}"), r"a\u{202e}b\u{2028}");
    }

    #[test]
    fn a_block_keeps_its_line_breaks_and_nothing_else() {
        assert_eq!(block("a\n\u{1b}b\r\n"), "a\n\\u{1b}b\\r\n");
    }
}
