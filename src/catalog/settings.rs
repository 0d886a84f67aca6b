//! Configuration settings as the catalogs store them (`name=value`), back as SQL.

use crate::pg::{quote_ident, quote_literal};

/// The settings that hold a list of names, each of which is quoted on its own: as one literal they
/// would be taken for a single name (source: variable_is_guc_list_quote in pg_dump's dumputils.c).
const LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// `"search_path" TO 'a', 'b'` from `search_path=a, b`.
pub(crate) fn assignment(setting: &str) -> String {
    let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
    let items = if LISTS.iter().any(|list| list.eq_ignore_ascii_case(name)) {
        names(value).unwrap_or_else(|| vec![value.to_owned()])
    } else {
        vec![value.to_owned()]
    };
    let items: Vec<String> = items.iter().map(|item| quote_literal(item)).collect();
    let value = if items.is_empty() { "''".to_owned() } else { items.join(", ") };
    format!("{} TO {value}", quote_ident(name))
}

/// The names of a list, or none where it isn't well-formed (source: SplitGUCList in varlena.c:
/// unlike an identifier list, unquoted names keep their case).
fn names(list: &str) -> Option<Vec<String>> {
    let mut rest = list.trim_start();
    let mut names = Vec::new();
    if rest.is_empty() {
        return Some(names);
    }
    loop {
        let name;
        (name, rest) = if let Some(quoted) = rest.strip_prefix('"') {
            quoted_name(quoted)?
        } else {
            let end =
                rest.find(|c: char| c == ',' || c.is_ascii_whitespace()).unwrap_or(rest.len());
            if end == 0 {
                return None;
            }
            (rest[..end].to_owned(), &rest[end..])
        };
        names.push(name);
        rest = rest.trim_start();
        if rest.is_empty() {
            return Some(names);
        }
        rest = rest.strip_prefix(',')?.trim_start();
    }
}

/// A name up to its closing quote, and what follows.
fn quoted_name(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"')?;
        name.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_setting_is_one_literal() {
        assert_eq!(assignment("datestyle=ISO, DMY"), "\"datestyle\" TO 'ISO, DMY'");
        assert_eq!(assignment("app.note=it's = fine"), "\"app.note\" TO 'it''s = fine'");
    }

    #[test]
    fn a_list_of_names_is_split_and_each_is_quoted() {
        assert_eq!(
            assignment("search_path=\"$user\", public, \"My, \"\"odd\"\" one\""),
            "\"search_path\" TO '$user', 'public', 'My, \"odd\" one'"
        );
        assert_eq!(assignment("Search_Path=\"\""), "\"Search_Path\" TO ''");
        assert_eq!(assignment("search_path="), "\"search_path\" TO ''");
    }
}
