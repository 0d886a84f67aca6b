//! pg_dump's statements in our own spelling: what rewrites entries counts on quoted names, and on
//! grants being made by SET ROLE.

use crate::pg::{QualifiedName, quote_ident};
use crate::toc::{Token, statements, tokens};

/// `sql` with its names quoted, where pg_dump has put it together from keywords in capitals and names
/// that it leaves bare if they are in small letters (source: fe_utils/string_utils.c, fmtId). What is
/// in parentheses, as types and expressions are, stays as it is.
pub(super) fn quoted(sql: &str) -> String {
    let mut depth = 0usize;
    replaced(sql, |token| {
        match token {
            Token::Mark('(') => depth += 1,
            Token::Mark(')') => depth = depth.saturating_sub(1),
            Token::Word(word) if depth == 0 && is_bare_name(word) => {
                return Some(quote_ident(word));
            }
            _ => {}
        }
        None
    })
}

/// Grants with SET ROLE where pg_dump says SET SESSION AUTHORIZATION, which takes a superuser.
pub(super) fn as_grantors(sql: &str) -> String {
    sql.replace("RESET SESSION AUTHORIZATION;", "RESET ROLE;")
        .replace("SET SESSION AUTHORIZATION ", "SET ROLE ")
}

/// The relation and the columns of a COPY statement; none where it isn't one of pg_dump's.
pub(super) fn copied(sql: &str) -> Option<(QualifiedName, Vec<String>)> {
    let mut rest = tokens(sql).map(|(_, token)| token);
    rest.next().filter(|token| token.is_word("COPY"))?;
    let schema = rest.next()?.name()?;
    rest.next().filter(|token| *token == Token::Mark('.'))?;
    let relation = QualifiedName::new(schema, rest.next()?.name()?);
    let mut columns = Vec::new();
    let mut next = rest.next()?;
    if next == Token::Mark('(') {
        loop {
            columns.push(rest.next()?.name()?);
            match rest.next()? {
                Token::Mark(',') => {}
                Token::Mark(')') => break,
                _ => return None,
            }
        }
        next = rest.next()?;
    }
    let is_of_rows = next.is_word("FROM") && rest.next()?.is_word("stdin");
    let ends = rest.next().is_none_or(|end| end == Token::Mark(';')) && rest.next().is_none();
    (is_of_rows && ends).then_some((relation, columns))
}

/// What the last string of a statement says.
pub(super) fn last_string(sql: &str) -> Option<String> {
    let strings = tokens(sql).filter_map(|(_, token)| match token {
        Token::String(text) => Some(text),
        _ => None,
    });
    let text = strings.last()?.strip_prefix('\'')?.strip_suffix('\'')?;
    Some(text.replace("''", "'"))
}

/// The statements without the option that some servers stamp on columns by themselves, and which
/// older minor versions of pg_dump take for a user's. Others don't know it.
pub(super) fn unstamped(sql: &str) -> String {
    if !sql.contains(STAMP) {
        return sql.to_owned();
    }
    let stamped = |statement: &str| {
        let (before, options) = statement.strip_suffix(");")?.split_once(" SET (")?;
        let is_it = before.starts_with("ALTER ") && options.contains(STAMP);
        let others = options.split(", ").filter(|option| !option.starts_with(STAMP));
        is_it.then(|| (before.to_owned(), others.collect::<Vec<_>>().join(", ")))
    };
    let kept = statements(sql).into_iter().map(|statement| match stamped(statement) {
        None => format!("{statement}\n"),
        Some((_, others)) if others.is_empty() => String::new(),
        Some((before, others)) => format!("{before} SET ({others});\n"),
    });
    kept.collect()
}

const STAMP: &str = "pg_attver=";

/// `sql` with other text for the tokens that `instead` has some for.
pub(super) fn replaced(sql: &str, mut instead: impl FnMut(Token<'_>) -> Option<String>) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut taken = 0;
    for (at, token) in tokens(sql) {
        if let Some(text) = instead(token) {
            out.push_str(&sql[taken..at]);
            out.push_str(&text);
            taken = at + token.len();
        }
    }
    out.push_str(&sql[taken..]);
    out
}

/// Constants are no names: pg_dump quotes names that read like them.
fn is_bare_name(word: &str) -> bool {
    let begins = word.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let small = !word.contains(|c: char| c.is_ascii_uppercase());
    begins && small && !matches!(word, "true" | "false")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_and_keywords_types_and_values_are_not() {
        for (sql, expected) in [
            (
                "GRANT SELECT(a),UPDATE(b) ON TABLE public.\"Or\"\"ders\" TO shop WITH GRANT OPTION;\n",
                "GRANT SELECT(a),UPDATE(b) ON TABLE \"public\".\"Or\"\"ders\" TO \"shop\" WITH GRANT OPTION;\n",
            ),
            (
                "REVOKE ALL ON FUNCTION public.f(a integer, b timestamp with time zone) FROM PUBLIC;\n",
                "REVOKE ALL ON FUNCTION \"public\".\"f\"(a integer, b timestamp with time zone) FROM PUBLIC;\n",
            ),
            (
                "ALTER DATABASE shop IS_TEMPLATE = true;\nALTER DATABASE shop SET work_mem TO '64mb';\n",
                "ALTER DATABASE \"shop\" IS_TEMPLATE = true;\nALTER DATABASE \"shop\" SET \"work_mem\" TO '64mb';\n",
            ),
            (
                "GRANT ALL ON LARGE OBJECT 16385 TO app;\n",
                "GRANT ALL ON LARGE OBJECT 16385 TO \"app\";\n",
            ),
        ] {
            assert_eq!(quoted(sql), expected);
        }
    }

    #[test]
    fn a_copy_statement_names_its_table_and_columns_however_they_are_called() {
        let columns =
            |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        for (sql, schema, name, list) in [
            (
                "COPY public.orders (id, note) FROM stdin;\n",
                "public",
                "orders",
                &["id", "note"][..],
            ),
            (
                "COPY \"My s\".\"from (\" (\"a,b\", \"c)\", \"d\"\"e\") FROM stdin;\n",
                "My s",
                "from (",
                &["a,b", "c)", "d\"e"],
            ),
            ("COPY public.nothing  FROM stdin;\n", "public", "nothing", &[]),
        ] {
            let expected = (QualifiedName::new(schema, name), columns(list));
            assert_eq!(copied(sql), Some(expected), "{sql}");
        }
        for other in ["", "COPY t (a) FROM stdin;", "COPY s.t (a TO stdout;", "SELECT 1;"] {
            assert_eq!(copied(other), None, "{other}");
        }
    }

    #[test]
    fn a_servers_own_stamps_are_left_out_and_users_options_stay() {
        let create = "CREATE TABLE s.t (\n    a integer DEFAULT 'pg_attver='\n);\n";
        let alter = "ALTER TABLE ONLY s.t ALTER COLUMN a SET";
        assert_eq!(unstamped(&format!("{create}{alter} (pg_attver=7);\n")), create);
        assert_eq!(
            unstamped(&format!("{create}{alter} (pg_attver=7, n_distinct=5);\n")),
            format!("{create}{alter} (n_distinct=5);\n")
        );
        assert_eq!(unstamped(create), create);
    }

    #[test]
    fn grants_by_others_are_made_as_these() {
        let sql = "SET SESSION AUTHORIZATION app;\nGRANT SELECT ON TABLE s.t TO b;\nRESET SESSION AUTHORIZATION;\n";
        assert_eq!(
            as_grantors(sql),
            "SET ROLE app;\nGRANT SELECT ON TABLE s.t TO b;\nRESET ROLE;\n"
        );
    }

    #[test]
    fn a_comments_text_is_its_last_string() {
        assert_eq!(last_string("COMMENT ON LARGE OBJECT 7 IS 'it''s';\n").as_deref(), Some("it's"));
        assert_eq!(last_string("SELECT 1;"), None);
    }
}
