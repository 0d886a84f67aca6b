//! Where an entry's SQL names roles, and other names put there.

use std::collections::BTreeMap;

use crate::pg::quote_ident;

use super::clauses::rewritten;
use super::sql::{Token, tokens};
use super::{Entry, Kind};

/// The words after which an entry's statements name roles, other than its owner.
pub(super) fn introducing(entry: &Entry) -> &'static [&'static str] {
    match entry.kind {
        Kind::Acl | Kind::LargeObjects | Kind::DefaultAcl | Kind::DatabaseProperties => {
            &["TO", "FROM", "ROLE", "BY"]
        }
        // Its expressions may say FROM.
        Kind::Policy => &["TO"],
        Kind::UserMapping => &["FOR"],
        Kind::Role => &["ROLE"],
        Kind::RoleMembership => &["GRANT", "REVOKE", "TO", "FROM", "BY"],
        Kind::Comment | Kind::SecurityLabel if entry.name.starts_with("ROLE ") => &["ROLE"],
        _ => &[],
    }
}

/// Tells, token by token, the roles after the `introducing` words. A list goes on. Object names are
/// no keywords, as they are quoted.
fn roles(introducing: &[&str]) -> impl FnMut(Token<'_>) -> Option<String> {
    let mut names_roles = false;
    move |token| {
        match token {
            Token::Word(_) => names_roles = introducing.iter().any(|word| token.is_word(word)),
            Token::Quoted(_) if names_roles => return token.quoted_name(),
            Token::Mark(',') => {}
            _ => names_roles = false,
        }
        None
    }
}

/// The roles that `sql` names after the `introducing` words.
pub(super) fn named_in(sql: &str, introducing: &[&str]) -> Vec<String> {
    let mut role = roles(introducing);
    tokens(sql).filter_map(|(_, token)| role(token)).collect()
}

/// The roles that an entry's SQL names.
pub(crate) fn roles_named(entry: &Entry) -> Vec<String> {
    named_in(&entry.create, introducing(entry))
}

/// `sql` with other roles after the `introducing` words.
pub(super) fn rename_in(sql: &str, introducing: &[&str], map: &BTreeMap<String, String>) -> String {
    let mut role = roles(introducing);
    rewritten(sql, |token| map.get(&role(token)?).map(|new| quote_ident(new)))
}

/// pg_dump's tag of a user mapping, `USER MAPPING role SERVER server`, with another role.
pub(super) fn user_mapping_tag(tag: &str, map: &BTreeMap<String, String>) -> String {
    let rest = tag.strip_prefix("USER MAPPING ");
    let renamed = map.iter().find_map(|(old, new)| {
        let server = rest?.strip_prefix(old.as_str())?;
        server.starts_with(" SERVER ").then(|| format!("USER MAPPING {new}{server}"))
    });
    renamed.unwrap_or_else(|| tag.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(kind: Kind, sql: &str) -> String {
        let map = BTreeMap::from([("postgres".to_owned(), "ma\"ster".to_owned())]);
        rename_in(sql, introducing(&Entry::new(kind, None, "x")), &map)
    }

    #[test]
    fn only_roles_are_replaced_never_objects_of_the_same_name() {
        assert_eq!(
            renamed(
                Kind::Acl,
                "GRANT SELECT ON TABLE \"s\".\"postgres\" TO \"a\", \"postgres\" WITH GRANT \
                 OPTION;\nSET ROLE \"postgres\";\n"
            ),
            "GRANT SELECT ON TABLE \"s\".\"postgres\" TO \"a\", \"ma\"\"ster\" WITH GRANT \
             OPTION;\nSET ROLE \"ma\"\"ster\";\n"
        );
        assert_eq!(
            renamed(
                Kind::Policy,
                "CREATE POLICY \"p\" ON \"s\".\"t\" TO \"postgres\" USING \
                 ((a IS DISTINCT FROM \"postgres\"));\n"
            ),
            "CREATE POLICY \"p\" ON \"s\".\"t\" TO \"ma\"\"ster\" USING \
             ((a IS DISTINCT FROM \"postgres\"));\n"
        );
    }

    #[test]
    fn a_user_mappings_tag_names_its_role_and_no_longer_one() {
        let map = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        assert_eq!(user_mapping_tag("USER MAPPING a SERVER s", &map), "USER MAPPING b SERVER s");
        assert_eq!(user_mapping_tag("USER MAPPING a2 SERVER s", &map), "USER MAPPING a2 SERVER s");
    }
}
