//! Name patterns, as pg_dump's `--table` and `--schema` take them (documentation: psql,
//! "Patterns").

use std::fmt;

use crate::error::{Error, Result};
use crate::pg::quote_literal;

/// A pattern for names, as the server's regular expressions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    /// As typed.
    text: String,
    /// None where the pattern names no schema.
    schema: Option<String>,
    name: String,
}

impl Pattern {
    /// Parses a relation's pattern, `name` or `schema.name`. `*` and `?` are wildcards, other signs
    /// of regular expressions mean what they do there, letters are folded to lower case; between
    /// double quotes everything stands for itself.
    pub(super) fn parse(text: &str) -> Result<Pattern> {
        let mut parts = parts(text)?;
        let name = parts.pop().unwrap_or_default();
        let schema = parts.pop();
        if !parts.is_empty() || name.is_empty() || schema.as_deref() == Some("") {
            return Err(misread(text, "a pattern is a name, or a schema and a name")
                .hint("write it as schema.table, either part with * and ? as wildcards"));
        }
        Ok(Pattern { text: text.to_owned(), schema, name })
    }

    /// Parses the pattern of a name that lies in no schema: a schema's, an extension's.
    pub(super) fn parse_name(text: &str) -> Result<Pattern> {
        match parts(text)?.as_slice() {
            [name] if !name.is_empty() => {
                Ok(Pattern { text: text.to_owned(), schema: None, name: name.clone() })
            }
            _ => Err(misread(text, "this pattern is one name, without a dot")
                .hint("write it as a name, with * and ? as wildcards; quote a dot that is meant")),
        }
    }

    /// Whether it says nothing of schemas.
    pub(super) fn is_unqualified(&self) -> bool {
        self.schema.is_none()
    }

    /// The regular expressions of the schema, where one is named, and of the name.
    pub(super) fn regexes(&self) -> (Option<&str>, &str) {
        (self.schema.as_deref(), &self.name)
    }

    /// The condition, in SQL, on a column of names.
    pub(super) fn name_condition(&self, column: &str) -> String {
        matches(column, &self.name)
    }

    /// The condition, in SQL, on columns of schemas' and relations' names.
    pub(super) fn condition(&self, schema: &str, name: &str) -> String {
        match &self.schema {
            Some(regex) => format!("{} AND {}", matches(schema, regex), matches(name, &self.name)),
            None => matches(name, &self.name),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The collation is the database's, as in pg_dump: a name's own would be C
/// (source: fe_utils/string_utils.c, processSQLNamePattern).
fn matches(column: &str, regex: &str) -> String {
    let regex = quote_literal(&format!("^({regex})$"));
    format!("{column} OPERATOR(pg_catalog.~) {regex} COLLATE pg_catalog.default")
}

fn misread(text: &str, why: &str) -> Error {
    Error::usage(format!("reading the pattern {text}")).because(why)
}

/// The parts between dots, as regular expressions.
fn parts(text: &str) -> Result<Vec<String>> {
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
    match quoted {
        false => Ok(parts),
        true => Err(misread(text, "a double quote isn't closed")
            .hint("close it; a double quote in a name is doubled")),
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
        Pattern::parse(text)
            .unwrap()
            .condition("s", "r")
            .replace(" OPERATOR(pg_catalog.~)", " ~")
            .replace(" COLLATE pg_catalog.default", "")
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
        assert!(Pattern::parse_name("app_*").is_ok() && Pattern::parse_name("\"a.b\"").is_ok());
        for text in ["", "a.b", "\"a"] {
            assert!(Pattern::parse_name(text).is_err(), "{text}");
        }
    }
}
