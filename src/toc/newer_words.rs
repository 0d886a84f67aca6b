//! Words that a later major reads as more than names. A server quotes the names that are words of
//! its own grammar, and leaves those that only later ones know bare: as a routine's parameter such a
//! name is refused then, and `system_user` is the session's user (source: parser/kwlist.h of 12 to 18;
//! quote_identifier in ruleutils.c).

use std::borrow::Cow;

use super::clauses::rewritten;
use super::sql::{Token, tokens};

/// The words, each with the first major that doesn't take it bare wherever a name may stand.
const WORDS: [(&str, u32); 14] = [
    ("normalize", 13),
    ("json_array", 16),
    ("json_arrayagg", 16),
    ("json_object", 16),
    ("json_objectagg", 16),
    ("system_user", 16),
    ("json", 17),
    ("json_exists", 17),
    ("json_query", 17),
    ("json_scalar", 17),
    ("json_serialize", 17),
    ("json_table", 17),
    ("json_value", 17),
    ("merge_action", 17),
];

/// `sql` with those names quoted that are words to servers of `major`; none where it has none.
/// Servers render keywords in capitals, so what is in small letters is a name, but for the type json,
/// which they never quote.
pub(super) fn quoted(sql: &str, major: u32) -> Option<String> {
    let newer = |word: &str| WORDS.iter().any(|(newer, since)| *newer == word && *since <= major);
    if !WORDS.iter().any(|(word, _)| sql.contains(word)) {
        return None;
    }
    let mut behind = tokens(sql).map(|(_, token)| token).skip(1);
    let mut any = false;
    let text = rewritten(sql, |token| {
        let next = behind.next();
        let Token::Word(word) = token else { return None };
        let is_name = newer(word) && (word != "json" || next.is_some_and(follows_a_parameter));
        any |= is_name;
        is_name.then(|| format!("\"{word}\""))
    });
    any.then_some(text)
}

/// Whether what precedes is a parameter's name: its type follows, or `=>`. As the name of anything
/// else json may stay bare.
fn follows_a_parameter(next: Token<'_>) -> bool {
    match next {
        Token::Word(word) => word.starts_with(|c: char| !c.is_ascii_uppercase()),
        Token::Quoted(_) | Token::Mark('=') => true,
        Token::String(_) | Token::Mark(_) => false,
    }
}

/// `text` with such names bare, for comparing what servers of several majors say.
pub(crate) fn unquoted(text: &str) -> Cow<'_, str> {
    let newer = |token: Token<'_>| {
        token.quoted_name().filter(|name| WORDS.iter().any(|(word, _)| word == name))
    };
    match tokens(text).any(|(_, token)| newer(token).is_some()) {
        true => Cow::Owned(rewritten(text, newer)),
        false => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_words_of_the_target_are_quoted_and_nothing_else() {
        let view = "SELECT t.system_user, SYSTEM_USER, 'system_user', f.json_value FROM s.t;";
        assert_eq!(
            quoted(view, 17).as_deref(),
            Some(
                "SELECT t.\"system_user\", SYSTEM_USER, 'system_user', f.\"json_value\" FROM s.t;"
            )
        );
        assert_eq!(quoted(view, 15), None);
        assert_eq!(quoted("SELECT \"system_user\" AS system_users", 18), None);
    }

    #[test]
    fn json_is_quoted_as_a_parameters_name_and_never_as_a_type() {
        let function = "CREATE FUNCTION s.f(json json, OUT json json[], json \"S\".t, a json)\n \
                        RETURNS json\n LANGUAGE sql\nAS $$ json json $$;";
        assert_eq!(
            quoted(function, 17).as_deref(),
            Some(
                "CREATE FUNCTION s.f(\"json\" json, OUT \"json\" json[], \"json\" \"S\".t, a json)\n \
                 RETURNS json\n LANGUAGE sql\nAS $$ json json $$;"
            )
        );
        assert_eq!(quoted("s.f(json => 1)", 18).as_deref(), Some("s.f(\"json\" => 1)"));
        assert_eq!(quoted("CHECK ('{}'::json IS NOT NULL)", 18), None);
    }

    #[test]
    fn quotes_around_them_make_no_difference_between_majors() {
        assert_eq!(unquoted("f(\"json\" json, \"Json\" int)"), "f(json json, \"Json\" int)");
    }
}
