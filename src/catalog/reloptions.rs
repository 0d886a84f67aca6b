//! Storage parameters: `name=value` in pg_class, `WITH (…)` in SQL.

use crate::pg::{quote_ident, quote_literal};

/// `"fillfactor"='70', toast."autovacuum_enabled"='false'`, or none where nothing is set.
/// A view's check_option isn't one of them in SQL: see [`check_option`].
pub(super) fn with_list(options: &[String], toast_options: &[String]) -> Option<String> {
    let own = options.iter().filter(|option| !option.starts_with(CHECK_OPTION));
    let list: Vec<String> = own
        .map(|option| assignment("", option))
        .chain(toast_options.iter().map(|o| assignment("toast.", o)))
        .collect();
    (!list.is_empty()).then(|| list.join(", "))
}

/// The clause that a view's check_option comes from.
pub(super) fn check_option(options: &[String]) -> Option<&'static str> {
    let value = options.iter().find_map(|o| o.strip_prefix(CHECK_OPTION))?;
    Some(match value {
        "local" => "WITH LOCAL CHECK OPTION",
        _ => "WITH CASCADED CHECK OPTION",
    })
}

const CHECK_OPTION: &str = "check_option=";

fn assignment(prefix: &str, option: &str) -> String {
    let (name, value) = option.split_once('=').unwrap_or((option, "true"));
    format!("{prefix}{}={}", quote_ident(name), quote_literal(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_quoted_and_those_of_the_toast_table_say_so() {
        let own = ["fillfactor=70".to_owned()];
        let toast = ["autovacuum_enabled=false".to_owned()];
        assert_eq!(
            with_list(&own, &toast).unwrap(),
            "\"fillfactor\"='70', toast.\"autovacuum_enabled\"='false'"
        );
        assert_eq!(with_list(&[], &[]), None);
    }

    #[test]
    fn a_views_check_option_is_a_clause_of_its_own() {
        let options = ["check_option=local".to_owned(), "security_barrier=true".to_owned()];
        assert_eq!(with_list(&options, &[]).unwrap(), "\"security_barrier\"='true'");
        assert_eq!(check_option(&options), Some("WITH LOCAL CHECK OPTION"));
    }
}
