//! The names in a function's body that a search_path has to find: those without a schema.

use std::collections::BTreeSet;

use super::sql::{Token, tokens};

/// Words after which a table is named.
const BEFORE_TABLES: [&str; 7] = ["FROM", "JOIN", "INTO", "UPDATE", "TABLE", "ONLY", "USING"];

/// The functions, tables and types that a body in SQL or PL/pgSQL names without a schema. A guess
/// from its words: a column may be taken for a type, and what a string is executed as isn't seen.
pub fn bare_names(body: &str) -> BTreeSet<String> {
    let found: Vec<Token<'_>> = tokens(body).map(|(_, token)| token).collect();
    let mark = |i: Option<usize>, wanted: char| {
        i.and_then(|i| found.get(i)).is_some_and(|token| *token == Token::Mark(wanted))
    };
    let mut names = BTreeSet::new();
    for (i, token) in found.iter().enumerate() {
        let Some(name) = token.name() else { continue };
        let before = i.checked_sub(1);
        if mark(before, '.') || mark(Some(i + 1), '.') {
            continue;
        }
        let calls = mark(Some(i + 1), '(');
        let casts = mark(before, ':');
        let typed = mark(Some(i + 1), '%');
        let reads = before
            .is_some_and(|before| BEFORE_TABLES.iter().any(|word| found[before].is_word(word)));
        if calls || casts || typed || reads {
            names.insert(name);
        }
    }
    names
}

/// What such a body calls, with the schema where that is said.
pub(super) fn calls(body: &str) -> BTreeSet<(Option<String>, String)> {
    let found: Vec<Token<'_>> = tokens(body).map(|(_, token)| token).collect();
    let at = |i: Option<usize>| i.and_then(|i| found.get(i)).copied();
    let mut calls = BTreeSet::new();
    for (i, token) in found.iter().enumerate() {
        let Some(name) = token.name() else { continue };
        if at(Some(i + 1)) != Some(Token::Mark('(')) {
            continue;
        }
        match at(i.checked_sub(1)) {
            Some(Token::Mark('.')) => {
                let schema = at(i.checked_sub(2)).and_then(Token::name);
                calls.extend(schema.map(|schema| (Some(schema), name)));
            }
            _ => _ = calls.insert((None, name)),
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(body: &str) -> Vec<String> {
        bare_names(body).into_iter().collect()
    }

    #[test]
    fn functions_tables_and_types_without_a_schema_are_found() {
        let body = "SELECT \"Unaccent\"(t.word)::mood FROM words t JOIN s.others USING (id)";
        assert_eq!(names(body), ["Unaccent", "mood", "using", "words"]);
        assert_eq!(
            names("DECLARE r words%ROWTYPE; BEGIN INSERT INTO log VALUES (1); END"),
            ["log", "values", "words"]
        );
    }

    #[test]
    fn qualified_names_columns_and_strings_are_not() {
        assert!(names("SELECT s.f(a), 'words', b FROM s.words -- FROM comments").is_empty());
    }
}
