//! The parts of a statement, by the words that lead to them: for what an entry's text alone says of
//! it. What is quoted is no word, so no name of an object leads astray.

use super::sql::{Token, tokens};

/// Whether `sql` says `phrase`: the same tokens, words in either case.
pub(super) fn says(sql: &str, phrase: &str) -> bool {
    around(sql, phrase).is_some()
}

/// The name after the first `phrase`.
pub(super) fn name_after(sql: &str, phrase: &str) -> Option<String> {
    after(sql, phrase)?.name()
}

/// The token after the first `phrase`.
pub(super) fn after<'s>(sql: &'s str, phrase: &str) -> Option<Token<'s>> {
    first_of(around(sql, phrase)?.1)
}

/// The names after each `phrase`.
pub(super) fn names_after(sql: &str, phrase: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = sql;
    while let Some((_, behind)) = around(rest, phrase) {
        names.extend(first_of(behind).and_then(Token::name));
        rest = behind;
    }
    names
}

/// The quoted names, in order.
pub(super) fn quoted_names(sql: &str) -> Vec<String> {
    tokens(sql).filter_map(|(_, token)| token.quoted_name()).collect()
}

/// What stands before the first `phrase`, and what behind it.
pub(super) fn around<'s>(sql: &'s str, phrase: &str) -> Option<(&'s str, &'s str)> {
    let found: Vec<(usize, Token<'_>)> = tokens(sql).collect();
    let wanted: Vec<Token<'_>> = tokens(phrase).map(|(_, token)| token).collect();
    let same = |(found, wanted): (&(usize, Token<'_>), &Token<'_>)| match wanted {
        Token::Word(word) => found.1.is_word(word),
        other => found.1 == *other,
    };
    let place = found.windows(wanted.len()).find(|place| place.iter().zip(&wanted).all(same))?;
    let (start, (last, token)) = (place.first()?.0, place.last()?);
    Some((&sql[..start], &sql[last + token.len()..]))
}

/// `sql` with other text for the tokens that `instead` has some for.
pub(super) fn rewritten(sql: &str, mut instead: impl FnMut(Token<'_>) -> Option<String>) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut copied = 0;
    for (at, token) in tokens(sql) {
        if let Some(text) = instead(token) {
            out.push_str(&sql[copied..at]);
            out.push_str(&text);
            copied = at + token.len();
        }
    }
    out.push_str(&sql[copied..]);
    out
}

fn first_of(sql: &str) -> Option<Token<'_>> {
    tokens(sql).next().map(|(_, token)| token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_after_its_words_and_never_inside_quotes() {
        let sql =
            "CREATE SERVER \"WRAPPER x\" FOREIGN DATA\n WRAPPER \"W\" OPTIONS (a 'WRAPPER b');";
        assert_eq!(name_after(sql, "foreign data wrapper").as_deref(), Some("W"));
        assert_eq!(name_after(sql, "SERVER").as_deref(), Some("WRAPPER x"));
        assert_eq!(name_after(sql, "VERSION"), None);
        assert_eq!(name_after("GRANT a TO", "TO"), None);
        assert_eq!(quoted_names(sql), ["WRAPPER x", "W"]);
    }

    #[test]
    fn a_phrase_may_hold_marks_and_strings() {
        let sql = "CREATE AGGREGATE s.a(x) (SFUNC = s.f, stype=internal, o = 'false');";
        assert!(says(sql, "STYPE = internal") && says(sql, "o = 'false'"));
        assert!(!says(sql, "STYPE = integer") && !says(sql, "o = false"));
    }

    #[test]
    fn names_are_found_after_each_of_the_words() {
        let sql = "SET ROLE \"a\"; GRANT x TO b; SET ROLE \"c\"; SET ROLE";
        assert_eq!(names_after(sql, "SET ROLE"), ["a", "c"]);
    }

    #[test]
    fn a_statement_is_cut_in_two_by_a_phrase() {
        let sql = "GRANT \"a\" TO \"b\" GRANTED  BY \"c\";";
        assert_eq!(around(sql, "GRANTED BY"), Some(("GRANT \"a\" TO \"b\" ", " \"c\";")));
    }

    #[test]
    fn tokens_are_replaced_and_all_between_them_stays() {
        let instead = |token: Token<'_>| token.is_word("b").then(|| "é".to_owned());
        assert_eq!(rewritten("a  b/* b */'b' b", instead), "a  é/* b */'b' é");
    }
}
