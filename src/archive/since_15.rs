//! What targets of 15 and later are to be told of an entry besides, in a statement that servers of any
//! version run.

use crate::pg::dollar_quote;
use crate::toc::{Entry, statements};

const BEFORE: &str = "BEGIN\n  IF pg_catalog.current_setting('server_version_num')::integer >= 150000 \
                      THEN\n    EXECUTE ";
const AFTER: &str = ";\n  END IF;\nEND";

/// What creates an entry, on a server of any version.
pub(super) fn written(entry: &Entry) -> String {
    if entry.since_15.is_empty() {
        return entry.create.clone();
    }
    let body = format!("{BEFORE}{}{AFTER}", dollar_quote(&entry.since_15));
    format!("{}DO {};\n", entry.create, dollar_quote(&body))
}

/// What was written so, taken apart: what every target is told, and what those are.
pub(super) fn read(sql: &str) -> Option<(String, String)> {
    if !sql.contains(BEFORE) {
        return None;
    }
    let last = *statements(sql).last()?;
    let body = unquoted(last.strip_prefix("DO ")?.strip_suffix(';')?)?;
    let told = unquoted(body.strip_prefix(BEFORE)?.strip_suffix(AFTER)?)?;
    Some((sql.trim_end().strip_suffix(last)?.to_owned(), told.to_owned()))
}

/// What stands between two dollar quotes.
fn unquoted(text: &str) -> Option<&str> {
    let end = text.strip_prefix('$')?.find('$')? + 2;
    text[end..].strip_suffix(&text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toc::Kind;

    #[test]
    fn what_is_written_for_some_targets_is_read_again() {
        let told = "ALTER SEQUENCE \"s\".\"a$q1$b\" SET LOGGED;\n";
        let create = "CREATE UNLOGGED TABLE \"s\".\"t\" ();\n";
        let entry = Entry {
            create: create.to_owned(),
            since_15: told.to_owned(),
            ..Entry::new(Kind::Table, Some("s"), "t")
        };
        let sql = written(&entry);
        assert_eq!(read(&sql), Some((create.to_owned(), told.to_owned())));
        assert_eq!(read(create), None);
        assert_eq!(read(&format!("{sql}SELECT 1;\n")), None);
    }
}
