//! Just enough of SQL's lexical structure to rewrite an entry from its text alone: tokens, and
//! statements (documentation: chapter "Lexical Structure").

/// A token, as a slice of the text. White space and comments yield none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// An unquoted word: a keyword, a name or a number.
    Word(&'a str),
    /// A quoted identifier, with its quotes.
    Quoted(&'a str),
    /// A string constant of any sort, with its quotes.
    String(&'a str),
    /// Any other single character.
    Mark(char),
}

impl Token<'_> {
    /// How long its text is.
    pub(crate) fn len(self) -> usize {
        match self {
            Token::Word(text) | Token::Quoted(text) | Token::String(text) => text.len(),
            Token::Mark(mark) => mark.len_utf8(),
        }
    }

    /// The name that it is: unquoted, or folded to lower case.
    pub(crate) fn name(self) -> Option<String> {
        match self {
            Token::Word(word) => Some(word.to_lowercase()),
            _ => self.quoted_name(),
        }
    }

    /// The name that it is, where that is quoted, as it is in whatever we write ourselves.
    pub(crate) fn quoted_name(self) -> Option<String> {
        match self {
            Token::Quoted(quoted) if quoted.len() > 1 => {
                Some(quoted[1..quoted.len() - 1].replace("\"\"", "\""))
            }
            _ => None,
        }
    }

    pub(crate) fn is_word(self, word: &str) -> bool {
        matches!(self, Token::Word(text) if text.eq_ignore_ascii_case(word))
    }
}

/// The tokens of `sql`, each with its byte offset.
pub(crate) fn tokens(sql: &str) -> Tokens<'_> {
    Tokens { sql, at: 0 }
}

/// The statements of `sql`, each with its closing `;` where there is one. Semicolons inside
/// quotes, dollar quotes, comments, parentheses and BEGIN ATOMIC bodies don't end a statement.
pub(crate) fn statements(sql: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut start, mut parens, mut atomic, mut begun) = (0, 0usize, 0usize, false);
    for (at, token) in tokens(sql) {
        match token {
            Token::Mark('(') => parens += 1,
            Token::Mark(')') => parens = parens.saturating_sub(1),
            Token::Word(word) if begun && word.eq_ignore_ascii_case("ATOMIC") => atomic = 1,
            Token::Word(word) if atomic > 0 && word.eq_ignore_ascii_case("CASE") => atomic += 1,
            Token::Word(word) if atomic > 0 && word.eq_ignore_ascii_case("END") => atomic -= 1,
            Token::Mark(';') if parens == 0 && atomic == 0 => {
                found.push(sql[start..=at].trim());
                start = at + 1;
            }
            _ => {}
        }
        begun = token.is_word("BEGIN");
    }
    let rest = sql[start..].trim();
    if tokens(rest).next().is_some() {
        found.push(rest);
    }
    found
}

pub(crate) struct Tokens<'a> {
    sql: &'a str,
    at: usize,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = (usize, Token<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = &self.sql[self.at..];
            let first = rest.chars().next()?;
            if first.is_whitespace() {
                self.at += first.len_utf8();
            } else if rest.starts_with("--") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.at += block_comment(rest);
            } else {
                let at = self.at;
                let (length, token) = scan(rest, first);
                self.at += length;
                return Some((at, token));
            }
        }
    }
}

/// The token at the start of `rest` and its length.
fn scan(rest: &str, first: char) -> (usize, Token<'_>) {
    let up_to = |end: usize| (end, &rest[..end]);
    match first {
        '"' => {
            let (end, text) = up_to(quoted(rest, '"', false));
            (end, Token::Quoted(text))
        }
        '\'' => {
            let (end, text) = up_to(quoted(rest, '\'', false));
            (end, Token::String(text))
        }
        'e' | 'E' if rest[1..].starts_with('\'') => {
            let (end, text) = up_to(1 + quoted(&rest[1..], '\'', true));
            (end, Token::String(text))
        }
        '$' if dollar_tag(rest).is_some() => {
            let tag = dollar_tag(rest).unwrap_or("$$");
            let body = tag.len();
            let end = rest[body..].find(tag).map_or(rest.len(), |found| found + 2 * body);
            let (end, text) = up_to(end);
            (end, Token::String(text))
        }
        _ if word_part(first) => {
            let (end, text) = up_to(rest.find(|c| !word_part(c)).unwrap_or(rest.len()));
            (end, Token::Word(text))
        }
        _ => (first.len_utf8(), Token::Mark(first)),
    }
}

fn word_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

/// The length of the quoted text at the start of `rest`, both quotes included.
fn quoted(rest: &str, quote: char, backslashes: bool) -> usize {
    let mut inside = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = inside.next() {
        if backslashes && c == '\\' {
            inside.next();
        } else if c == quote {
            match inside.peek() {
                Some((_, next)) if *next == quote => _ = inside.next(),
                _ => return at + 1,
            }
        }
    }
    rest.len()
}

/// The opening tag of a dollar quote at the start of `rest`: `$$` or `$name$`.
fn dollar_tag(rest: &str) -> Option<&str> {
    let close = 1 + rest[1..].find('$')?;
    let name = &rest[1..close];
    let starts_well = !name.starts_with(|c: char| c.is_ascii_digit());
    let fits = name.chars().all(|c| word_part(c) && c != '$');
    (starts_well && fits).then(|| &rest[..=close])
}

/// The length of the block comment at the start of `rest`; they nest.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semicolons_inside_quotes_bodies_and_comments_do_not_end_a_statement() {
        let sql = "CREATE FUNCTION f() AS $x$ a; $$ b; $x$; -- c;\nCOMMENT ON x IS 'it''s; ';\
                   SELECT E'\\';' /* ; /* ; */ ; */, \"a;\"\"b\";";
        assert_eq!(statements(sql).len(), 3, "{:?}", statements(sql));
    }

    #[test]
    fn an_atomic_body_is_one_statement() {
        let sql = "CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; SELECT 2; END;\
                   ALTER FUNCTION f() OWNER TO x;";
        assert_eq!(statements(sql).len(), 2, "{:?}", statements(sql));
    }

    #[test]
    fn an_unfinished_quote_ends_with_the_text() {
        assert_eq!(tokens("'abc").count(), 1);
        assert_eq!(tokens("$a$ b").count(), 1);
        assert_eq!(tokens("/* b").count(), 0);
        assert_eq!(tokens("é$").count(), 1);
    }

    #[test]
    fn names_and_parameters_are_words() {
        let words: Vec<_> = tokens("ALTER a.\"b\" $1").map(|(_, token)| token).collect();
        assert_eq!(
            words,
            [
                Token::Word("ALTER"),
                Token::Word("a"),
                Token::Mark('.'),
                Token::Quoted("\"b\""),
                Token::Word("$1")
            ]
        );
    }
}
