//! Grants of which two roles have become one: the server keeps one item for each grantor and
//! grantee (source: aclupdate in utils/adt/acl.c), and tells it as one grant.

use std::collections::{BTreeMap, BTreeSet};

use crate::pg::quote_ident;

use super::clauses::{around, quoted_names};
use super::role_names::{introducing, named_in};
use super::sql::statements;
use super::{Entry, Kind};

const OPTION: &str = " WITH GRANT OPTION";
const RESET: &str = "RESET ROLE;";

/// Whether the SQL of a kind is grants on something that has an owner.
pub(super) fn has_grants(kind: Kind) -> bool {
    matches!(kind, Kind::Acl | Kind::LargeObjects)
}

/// Whether roles that an entry of grants names, its owner too, become one by `map`.
pub(super) fn become_one(entry: &Entry, map: &BTreeMap<String, String>) -> bool {
    if !has_grants(entry.kind) || map.is_empty() {
        return false;
    }
    let named: BTreeSet<String> = named_in(&entry.create, introducing(entry))
        .into_iter()
        .chain(entry.owner.clone())
        .collect();
    let after: BTreeSet<&String> = named.iter().map(|old| map.get(old).unwrap_or(old)).collect();
    after.len() < named.len()
}

/// The grants of `renamed` as the server will tell them, where `before` is the entry with the roles
/// that it had.
pub(super) fn merged(before: &Entry, renamed: &Entry) -> String {
    let owner = renamed.owner.as_deref().map(quote_ident);
    let mut first = Vec::new();
    let mut items: Vec<Item<'_>> = Vec::new();
    let mut grantor = None;
    let create = without_grants_to_owner(before, renamed);
    for line in statements(&create) {
        let body = line.trim_end_matches(';');
        if line == RESET {
            grantor = None;
        } else if let Some(role) = body.strip_prefix("SET ROLE ") {
            grantor = Some(role).filter(|role| Some(*role) != owner.as_deref());
        } else if let Some(item) = Item::of(grantor, body) {
            // What a role has it needn't be given by itself.
            if item.grantor == Some(item.grantee) {
                continue;
            }
            let same = |other: &&mut Item<'_>| {
                (other.grantor, other.grantee) == (item.grantor, item.grantee)
            };
            match items.iter_mut().find(same) {
                Some(there) => there.add(item),
                None => items.push(item),
            }
        } else if !first.contains(&line) {
            first.push(line);
        }
    }
    let (own, others): (Vec<_>, Vec<_>) = items
        .iter()
        .partition(|item| item.grantor.is_none() && Some(item.grantee) == owner.as_deref());
    let first: String = first.iter().map(|line| format!("{line}\n")).collect();
    first + &own.into_iter().chain(others).map(Item::sql).collect::<String>()
}

/// What an owner was granted as another role is its own by now.
pub(super) fn without_grants_to_owner(entry: &Entry, renamed: &Entry) -> String {
    let (Some(old), Some(new)) = (&entry.owner, &renamed.owner) else {
        return renamed.create.clone();
    };
    let was_own = format!("TO {};", quote_ident(old));
    let is_own = format!("TO {};", quote_ident(new));
    let option = format!("TO {}{OPTION};", quote_ident(new));
    let before = statements(&entry.create);
    let pairs = before.into_iter().zip(statements(&renamed.create));
    let kept = pairs.filter(|(before, after)| {
        let to_owner = after.ends_with(&is_own) || after.ends_with(&option);
        !(after.starts_with("GRANT ") && to_owner) || before.ends_with(&was_own)
    });
    kept.map(|(_, after)| format!("{after}\n")).collect()
}

/// What one role has granted another.
struct Item<'a> {
    /// None for the owner.
    grantor: Option<&'a str>,
    grantee: &'a str,
    object: &'a str,
    /// `("c")`, of a column's privileges.
    column: String,
    plain: BTreeSet<usize>,
    grantable: BTreeSet<usize>,
}

impl<'a> Item<'a> {
    /// Reads `GRANT … ON … TO …`; none where it is another statement.
    fn of(grantor: Option<&'a str>, body: &'a str) -> Option<Item<'a>> {
        let (granted, rest) = around(body.strip_prefix("GRANT ")?, "ON")?;
        let (object, to) = around(rest, "TO")?;
        let grantee = to.trim();
        let (grantee, with_option) = match grantee.strip_suffix(OPTION) {
            Some(grantee) => (grantee, true),
            None => (grantee, false),
        };
        let column = quoted_names(granted).first().map(|name| format!("({})", quote_ident(name)));
        let column = column.unwrap_or_default();
        let object = object.trim();
        let possible = possible(object, &column);
        let mut privileges = BTreeSet::new();
        for name in granted.replace(&column, "").split(',').map(str::trim) {
            match name {
                "ALL" => privileges.extend(0..possible.len()),
                name => privileges.extend(possible.iter().position(|one| *one == name)),
            }
        }
        let (plain, grantable) = match with_option {
            true => (BTreeSet::new(), privileges),
            false => (privileges, BTreeSet::new()),
        };
        Some(Item { grantor, grantee, object, column, plain, grantable })
    }

    fn add(&mut self, more: Item<'_>) {
        self.grantable.extend(more.grantable);
        self.plain.extend(more.plain);
        self.plain = &self.plain - &self.grantable;
    }

    fn sql(&self) -> String {
        let Item { grantee, object, column, .. } = self;
        let possible = possible(object, column);
        let mut sql = String::new();
        for (privileges, option) in [(&self.plain, ""), (&self.grantable, OPTION)] {
            let names = match privileges.len() {
                0 => continue,
                all if all == possible.len() => format!("ALL{column}"),
                _ => {
                    let named = privileges.iter().map(|one| format!("{}{column}", possible[*one]));
                    named.collect::<Vec<_>>().join(",")
                }
            };
            sql.push_str(&format!("GRANT {names} ON {object} TO {grantee}{option};\n"));
        }
        match self.grantor {
            Some(grantor) => format!("SET ROLE {grantor};\n{sql}{RESET}\n"),
            None => sql,
        }
    }
}

/// The privileges that there are on such an object, in the order in which they are told
/// (documentation: chapter "Privileges"), and which together are told as ALL.
fn possible(object: &str, column: &str) -> &'static [&'static str] {
    match object.split(' ').next().unwrap_or_default() {
        "TABLE" if !column.is_empty() => &["SELECT", "INSERT", "UPDATE", "REFERENCES"],
        "TABLE" => &[
            "SELECT",
            "INSERT",
            "UPDATE",
            "DELETE",
            "TRUNCATE",
            "REFERENCES",
            "TRIGGER",
            "MAINTAIN",
        ],
        "SEQUENCE" => &["SELECT", "USAGE", "UPDATE"],
        "FUNCTION" | "PROCEDURE" => &["EXECUTE"],
        "SCHEMA" => &["CREATE", "USAGE"],
        "DATABASE" => &["CREATE", "CONNECT", "TEMPORARY"],
        "LARGE" => &["SELECT", "UPDATE"],
        "PARAMETER" => &["SET", "ALTER SYSTEM"],
        _ => &["USAGE"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toc::role_names::rename_in;

    /// The grants of an entry of `owner` when role a has become m.
    fn grants(owner: &str, create: &str) -> Option<String> {
        let map = BTreeMap::from([("a".to_owned(), "m".to_owned())]);
        let before = Entry {
            create: create.to_owned(),
            owner: Some(owner.to_owned()),
            ..Entry::new(Kind::Acl, Some("s"), "TABLE t")
        };
        let renamed = Entry {
            create: rename_in(create, introducing(&before), &map),
            owner: Some(map.get(owner).cloned().unwrap_or_else(|| owner.to_owned())),
            ..before.clone()
        };
        become_one(&before, &map).then(|| merged(&before, &renamed))
    }

    #[test]
    fn two_grantees_that_become_one_hold_what_both_did() {
        let both = "GRANT INSERT ON TABLE \"s\".\" TO \" TO \"m\";\n\
                    GRANT SELECT ON TABLE \"s\".\" TO \" TO \"b\";\n\
                    GRANT SELECT,TRUNCATE ON TABLE \"s\".\" TO \" TO \"a\";\n\
                    GRANT INSERT,UPDATE ON TABLE \"s\".\" TO \" TO \"a\" WITH GRANT OPTION;\n";
        assert_eq!(
            grants("o", both).unwrap(),
            "GRANT SELECT,TRUNCATE ON TABLE \"s\".\" TO \" TO \"m\";\n\
             GRANT INSERT,UPDATE ON TABLE \"s\".\" TO \" TO \"m\" WITH GRANT OPTION;\n\
             GRANT SELECT ON TABLE \"s\".\" TO \" TO \"b\";\n"
        );
        let all = "GRANT SELECT(\"c,d\"),REFERENCES(\"c,d\") ON TABLE \"s\".\"t\" TO \"a\";\n\
                   GRANT INSERT(\"c,d\"),UPDATE(\"c,d\") ON TABLE \"s\".\"t\" TO \"m\";\n";
        let merged = "GRANT ALL(\"c,d\") ON TABLE \"s\".\"t\" TO \"m\";\n";
        assert_eq!(grants("o", all).unwrap(), merged);
    }

    #[test]
    fn what_the_owner_was_granted_as_another_is_its_own_and_what_it_granted_is_by_the_owner() {
        let create = "REVOKE ALL ON TABLE \"s\".\"t\" FROM \"a\";\n\
                      GRANT SELECT ON TABLE \"s\".\"t\" TO \"a\";\n\
                      GRANT SELECT ON TABLE \"s\".\"t\" TO \"m\" WITH GRANT OPTION;\n\
                      SET ROLE \"m\";\nGRANT SELECT ON TABLE \"s\".\"t\" TO \"b\";\nRESET ROLE;\n\
                      GRANT INSERT ON TABLE \"s\".\"t\" TO \"b\";\n";
        assert_eq!(
            grants("a", create).unwrap(),
            "REVOKE ALL ON TABLE \"s\".\"t\" FROM \"m\";\n\
             GRANT SELECT ON TABLE \"s\".\"t\" TO \"m\";\n\
             GRANT SELECT,INSERT ON TABLE \"s\".\"t\" TO \"b\";\n"
        );
    }

    #[test]
    fn a_role_grants_nothing_to_itself_and_two_grantors_are_one() {
        let create = "GRANT USAGE ON SCHEMA \"s\" TO \"a\" WITH GRANT OPTION;\n\
                      SET ROLE \"a\";\nGRANT USAGE ON SCHEMA \"s\" TO \"m\" WITH GRANT OPTION;\n\
                      GRANT USAGE ON SCHEMA \"s\" TO \"b\";\nRESET ROLE;\n\
                      SET ROLE \"m\";\nGRANT USAGE ON SCHEMA \"s\" TO \"b\";\nRESET ROLE;\n";
        assert_eq!(
            grants("o", create).unwrap(),
            "GRANT USAGE ON SCHEMA \"s\" TO \"m\" WITH GRANT OPTION;\n\
             SET ROLE \"m\";\nGRANT USAGE ON SCHEMA \"s\" TO \"b\";\nRESET ROLE;\n"
        );
    }

    #[test]
    fn grants_of_roles_that_stay_several_are_left_alone() {
        let create = "GRANT SELECT ON TABLE \"s\".\"t\" TO \"a\";\n";
        assert_eq!(grants("o", create), None);
    }
}
