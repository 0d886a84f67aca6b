//! A value that stands in XML, as an attribute or as an element's text: what it says, and what has to
//! be written where to change a part of it.

use std::ops::Range;

use super::edit::Edit;

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Attribute { quote: char },
    Text,
    CData,
}

/// A value, and where it stands in the file's text.
#[derive(Debug, Clone)]
pub(super) struct Value {
    /// What it says, without the spaces around it.
    pub(super) said: String,
    /// Where it begins.
    pub(super) at: usize,
    /// All that belongs to it, spaces and the marks of a section of characters included.
    pub(super) all: Range<usize>,
    form: Form,
    /// Where each byte of `said` comes from, and where the last one's origin ends.
    origins: Vec<usize>,
}

impl Value {
    /// An attribute's value, `range` being what stands between the quotes.
    pub(super) fn attribute(text: &str, range: Range<usize>) -> Option<Value> {
        let quote = text[..range.start].chars().next_back()?;
        Value::read(text, range, Form::Attribute { quote })
    }

    /// The text of an element that holds nothing else, `range` being all between its tags.
    pub(super) fn element(text: &str, range: Range<usize>) -> Option<Value> {
        let inner = &text[range.clone()];
        let Some(section) = inner.trim().strip_prefix("<![CDATA[") else {
            return match inner.contains('<') {
                true => None,
                false => Value::read(text, range, Form::Text),
            };
        };
        let section = section.strip_suffix("]]>").filter(|section| !section.contains("]]>"))?;
        let start = range.start + inner.find("<![CDATA[")? + "<![CDATA[".len();
        let value = Value::read(text, start..start + section.len(), Form::CData)?;
        Some(Value { all: range, ..value })
    }

    fn read(text: &str, range: Range<usize>, form: Form) -> Option<Value> {
        let mut said = String::new();
        let mut origins = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let rest = &text[at..range.end];
            let (says, length) = match form {
                Form::CData => literal(rest)?,
                _ if rest.starts_with('&') => reference(rest)?,
                Form::Attribute { .. } => match literal(rest)? {
                    ('\n' | '\t', length) => (' ', length),
                    other => other,
                },
                Form::Text => literal(rest)?,
            };
            said.push(says);
            origins.resize(said.len(), at);
            at += length;
        }
        origins.push(range.end);
        let value = Value { said, at: range.start, all: range, form, origins };
        Some(value.trimmed())
    }

    fn trimmed(mut self) -> Value {
        let start = self.said.len() - self.said.trim_start().len();
        let end = start + self.said.trim().len();
        self.said = self.said[start..end].to_owned();
        self.origins = self.origins[start..=end].to_vec();
        self.at = self.origins[0];
        self
    }

    /// An edit of what is said as one of the file's text. None where it can't be written there.
    pub(super) fn edit(&self, edit: &Edit) -> Option<Edit> {
        let range = self.origins[edit.range.start]..self.origins[edit.range.end];
        let mut written = String::new();
        for c in edit.text.chars() {
            match (c, self.form) {
                (c, _) if c.is_control() => return None,
                (c, Form::CData) => written.push(c),
                ('&', _) => written += "&amp;",
                ('<', _) => written += "&lt;",
                ('>', Form::Text) => written += "&gt;",
                ('"', Form::Attribute { quote: '"' }) => written += "&quot;",
                ('\'', Form::Attribute { quote: '\'' }) => written += "&apos;",
                (c, _) => written.push(c),
            }
        }
        let ends_section = self.form == Form::CData && written.contains("]]>");
        (!ends_section).then(|| Edit::new(range, written))
    }

    /// The edit after which it says something else.
    pub(super) fn replaced(&self, by: &str) -> Option<Edit> {
        self.edit(&Edit::new(0..self.said.len(), by.to_owned()))
    }
}

/// A character as it stands there, and its bytes: ends of lines are one (XML 1.0, 2.11).
fn literal(rest: &str) -> Option<(char, usize)> {
    let first = rest.chars().next()?;
    Some(match (first, rest.starts_with("\r\n")) {
        (_, true) => ('\n', 2),
        ('\r', false) => ('\n', 1),
        (c, _) => (c, c.len_utf8()),
    })
}

/// A character that is written as a reference (XML 1.0, 4.1), and the reference's bytes.
fn reference(rest: &str) -> Option<(char, usize)> {
    let end = rest.find(';')?;
    let name = &rest[1..end];
    let says = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)?
        }
    };
    Some((says, end + 1))
}

#[cfg(test)]
mod tests {
    use super::super::edit::applied;
    use super::*;

    #[test]
    fn a_part_is_changed_where_it_stands() {
        let text = "<a b=\" x=&quot;&#x41;&quot;;y=&amp; \"/>";
        let value = Value::attribute(text, 6..text.len() - 3).unwrap();
        assert_eq!(value.said, "x=\"A\";y=&");
        let edit = value.edit(&Edit::new(2..5, "'\"<&".to_owned())).unwrap();
        assert_eq!(applied(text, &[edit]), "<a b=\" x='&quot;&lt;&amp;;y=&amp; \"/>");
    }

    #[test]
    fn an_elements_text_may_be_a_section_of_characters() {
        let text = "<a>\r\n  <![CDATA[x=1&2]]>\r\n</a>";
        let value = Value::element(text, 3..text.len() - 4).unwrap();
        assert_eq!(value.said, "x=1&2");
        let changed = applied(text, &[value.replaced("y<&").unwrap()]);
        assert_eq!(changed, "<a>\r\n  <![CDATA[y<&]]>\r\n</a>");
        assert_eq!(value.replaced("]]>"), None);
    }

    #[test]
    fn spaces_around_a_text_stay() {
        let text = "<a>\n  x &gt; y\n</a>";
        let value = Value::element(text, 3..text.len() - 4).unwrap();
        assert_eq!(value.said, "x > y");
        assert_eq!(applied(text, &[value.replaced("z>").unwrap()]), "<a>\n  z&gt;\n</a>");
    }

    #[test]
    fn what_holds_more_than_text_is_no_value() {
        for inner in
            ["<b/>", "x<!-- y -->", "<![CDATA[a]]><![CDATA[b]]>", "&unknown;", "&#x110000;"]
        {
            assert!(Value::element(inner, 0..inner.len()).is_none(), "{inner}");
        }
    }
}
