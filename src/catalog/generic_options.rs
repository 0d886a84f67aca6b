//! The options of foreign data objects: `name=value` in the catalogs, `OPTIONS (…)` in SQL.

use crate::pg::{quote_ident, quote_literal};

/// ` OPTIONS ("host" 'h', "port" '1')`, or nothing where there are none. Only a value may hold an
/// equals sign (source: transformGenericOptions in foreigncmds.c).
pub(super) fn clause(options: &[String]) -> String {
    let list: Vec<String> = options
        .iter()
        .map(|option| {
            let (name, value) = split(option);
            format!("{} {}", quote_ident(name), quote_literal(value))
        })
        .collect();
    match list.len() {
        0 => String::new(),
        _ => format!(" OPTIONS ({})", list.join(", ")),
    }
}

/// The name and the value.
pub(super) fn split(option: &str) -> (&str, &str) {
    option.split_once('=').unwrap_or((option, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_quoted_and_only_the_first_equals_sign_parts_them() {
        let options = ["Na\"me=it's".to_owned(), "q=a=b".to_owned(), "empty=".to_owned()];
        assert_eq!(clause(&options), " OPTIONS (\"Na\"\"me\" 'it''s', \"q\" 'a=b', \"empty\" '')");
        assert_eq!(clause(&[]), "");
    }
}
