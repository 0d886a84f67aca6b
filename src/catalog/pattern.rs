//! Name patterns, as pg_dump's `--table` takes them (documentation: psql, "Patterns").

use crate::error::{Error, Result};
use crate::pg::quote_literal;

/// A pattern for relations, as two of the server's regular expressions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// None where the pattern names no schema: then any does.
    schema: Option<String>,
    name: String,
}

impl Pattern {
    /// Parses `name` or `schema.name`. `*` and `?` are wildcards, other signs of regular
    /// expressions mean what they do there, letters are folded to lower case; between double
    /// quotes everything stands for itself.
    pub fn parse(text: &str) -> Result<Pattern> {
        let mut parts = vec![String::new()];
        let mut quoted = false;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let doubled = quoted && c == '"' && chars.next_if_eq(&'"').is_some();
            match c {
                '"' if !doubled => quoted = !quoted,
                '.' if !quoted => parts.push(String::new()),
                _ => {
                    if let Some(part) = parts.last_mut() {
                        push(part, c, quoted);
                    }
                }
            }
        }
        let name = parts.pop().unwrap_or_default();
        let schema = parts.pop();
        if quoted || !parts.is_empty() || name.is_empty() || schema.as_deref() == Some("") {
            let why = match quoted {
                true => "a double quote isn't closed",
                false => "a pattern is a name, or a schema and a name",
            };
            return Err(Error::usage(format!("reading the pattern {text}"))
                .because(why)
                .hint("write it as schema.table, either part with * and ? as wildcards"));
        }
        Ok(Pattern { schema, name })
    }

    /// The condition, in SQL, on columns of schemas' and relations' names.
    pub(super) fn condition(&self, schema: &str, name: &str) -> String {
        let matches = |column: &str, regex: &str| {
            format!("{column} ~ {}", quote_literal(&format!("^({regex})$")))
        };
        match &self.schema {
            Some(regex) => format!("{} AND {}", matches(schema, regex), matches(name, &self.name)),
            None => matches(name, &self.name),
        }
    }
}

fn push(part: &mut String, c: char, quoted: bool) {
    match c {
        '*' if !quoted => part.push_str(".*"),
        '?' if !quoted => part.push('.'),
        '$' => part.push_str("\\$"),
        c if quoted && "|*+?()[]{}.^\\".contains(c) => {
            part.push('\\');
            part.push(c);
        }
        c if quoted => part.push(c),
        c => part.extend(c.to_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(text: &str) -> String {
        Pattern::parse(text).unwrap().condition("s", "r")
    }

    #[test]
    fn wildcards_classes_and_folding_are_as_in_pg_dump() {
        assert_eq!(condition("Ord*"), "r ~ '^(ord.*)$'");
        assert_eq!(condition("app.log_[0-9]?"), "s ~ '^(app)$' AND r ~ '^(log_[0-9].)$'");
        assert_eq!(condition("a$b"), "r ~ '^(a\\$b)$'");
    }

    #[test]
    fn quotes_make_everything_stand_for_itself() {
        assert_eq!(condition("\"My.S\".\"T*\"\"'x\""), "s ~ '^(My\\.S)$' AND r ~ '^(T\\*\"''x)$'");
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["", "a.", ".a", "db.s.t", "\"a"] {
            let error = Pattern::parse(text).unwrap_err();
            assert_eq!(error.kind(), crate::error::Kind::Usage, "{text}");
        }
    }
}
