//! Names and quoting (documentation: chapter "Lexical Structure").

use std::fmt;

use serde::{Deserialize, Serialize};

/// Quotes an identifier. Always with quotes: which words are keywords depends on the version.
pub fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a literal, for sessions with `standard_conforming_strings = on`.
pub fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Quotes a text by dollars, with a tag that doesn't occur in it.
pub fn dollar_quote(text: &str) -> String {
    let mut tag = "$".to_owned();
    for number in 1.. {
        if !text.contains(&tag) {
            break;
        }
        tag = format!("$q{number}");
    }
    format!("{tag}${text}{tag}$")
}

/// A schema-qualified name: of a relation, a type, a function without its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct QualifiedName {
    /// The schema, unquoted.
    pub schema: String,
    /// The object's own name, unquoted.
    pub name: String,
}

impl QualifiedName {
    /// The name from its two parts, both unquoted.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        QualifiedName { schema: schema.into(), name: name.into() }
    }

    /// The name as SQL reads it, both parts quoted.
    pub fn sql(&self) -> String {
        format!("{}.{}", quote_ident(&self.schema), quote_ident(&self.name))
    }
}

/// For people: unquoted.
impl fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_quoted_by_dollars_that_do_not_end_it() {
        assert_eq!(dollar_quote(" END "), "$$ END $$");
        assert_eq!(dollar_quote("a$b"), "$q1$a$b$q1$");
        assert_eq!(dollar_quote("$$ $q1$ $q2"), "$q3$$$ $q1$ $q2$q3$");
    }

    #[test]
    fn quotes_inside_names_and_literals_are_doubled() {
        assert_eq!(quote_ident("a\"b"), "\"a\"\"b\"");
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(QualifiedName::new("s.x", "T").sql(), "\"s.x\".\"T\"");
    }
}
