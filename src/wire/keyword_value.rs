//! Keyword/value connection strings (documentation: "Keyword/Value Connection Strings").

use crate::error::{Error, Result};

/// The settings in the order they stand in.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>> {
    let mut settings = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() {
        let end = rest.find(|c| c == '=' || is_space(c)).unwrap_or(rest.len());
        let (keyword, after) = rest.split_at(end);
        let after = after.trim_start_matches(is_space);
        let Some(after) = after.strip_prefix('=') else {
            // The word may be a piece of a badly quoted password: it isn't repeated.
            return Err(malformed(format!(
                "setting {} is followed by no \"=\"",
                settings.len() + 1
            )));
        };
        let (value, after) = take_value(after.trim_start_matches(is_space))
            .map_err(|words| malformed(format!("the value of {keyword:?} {words}")))?;
        settings.push((keyword.to_owned(), value));
        rest = after.trim_start_matches(is_space);
    }
    Ok(settings)
}

/// A value and what follows it. Backslash takes the next character as it is, quoted or not.
fn take_value(text: &str) -> Result<(String, &str), &'static str> {
    let (quoted, text) = match text.strip_prefix('\'') {
        Some(text) => (true, text),
        None => (false, text),
    };
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some((_, escaped)) => value.push(escaped),
                None if quoted => break,
                None => return Ok((value, "")),
            },
            '\'' if quoted => return Ok((value, &text[at + 1..])),
            space if !quoted && is_space(space) => return Ok((value, &text[at..])),
            other => value.push(other),
        }
    }
    if quoted { Err("has no closing quote") } else { Ok((value, "")) }
}

/// C's isspace: the vertical tab included.
fn is_space(character: char) -> bool {
    character.is_ascii_whitespace() || character == '\u{b}'
}

fn malformed(words: String) -> Error {
    Error::usage("reading the connection string")
        .because(words)
        .hint("write keyword=value pairs or a postgresql:// URI; quote values with spaces: 'a b'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap()
    }

    fn expected(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |&(keyword, value): &(&str, &str)| (keyword.to_owned(), value.to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn values_are_read_as_libpq_reads_them() {
        let table: [(&str, &[(&str, &str)]); 9] = [
            ("", &[]),
            ("host=localhost port=5432", &[("host", "localhost"), ("port", "5432")]),
            ("host = a   port\t=\n5", &[("host", "a"), ("port", "5")]),
            ("password='a b'", &[("password", "a b")]),
            (r"password='it\'s \\ ok'", &[("password", r"it's \ ok")]),
            (r"password=a\ b\'c user=x", &[("password", "a b'c"), ("user", "x")]),
            ("password='' user=x", &[("password", ""), ("user", "x")]),
            // The blanks after "=" are skipped, as libpq does.
            ("host= port=5", &[("host", "port=5")]),
            ("user='ü'dbname=d", &[("user", "ü"), ("dbname", "d")]),
        ];
        for (text, result) in table {
            assert_eq!(pairs(text), expected(result), "{text}");
        }
    }

    #[test]
    fn a_string_of_any_length_is_read() {
        let long = "x".repeat(1_000_000);
        assert_eq!(pairs(&format!("options='{long}'"))[0].1, long);
    }

    #[test]
    fn malformed_strings_are_refused_without_repeating_them() {
        for text in ["hunter2", "host=a hunter2", "password='hunter2", r"password='hunter2\"] {
            let message = parse(text).unwrap_err().to_string();
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
