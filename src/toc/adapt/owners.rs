//! Giving objects to their owners as a target user who is no superuser: it must be a member of
//! the owner, and the owner must be allowed to create in the schema (documentation: ALTER TABLE,
//! "You must be able to SET ROLE to the new owning role").

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::pg::quote_ident;
use crate::toc::sql::{Token, tokens};
use crate::toc::target::TargetFacts;
use crate::toc::{Entry, EntryId, Kind, Toc};

/// The entry with roles replaced, as owner and wherever its SQL names roles.
pub(super) fn remap(entry: &Entry, map: &BTreeMap<String, String>) -> Entry {
    let mut entry = entry.clone();
    if let Some(new) = entry.owner.as_ref().and_then(|owner| map.get(owner)) {
        entry.owner = Some(new.clone());
    }
    if names_roles(entry.kind) {
        entry.create = remap_roles(&entry.create, map);
    }
    entry
}

fn names_roles(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Acl
            | Kind::DefaultAcl
            | Kind::Policy
            | Kind::RoleMembership
            | Kind::DatabaseProperties
    )
}

/// Replaces roles where a statement names them: after TO, FROM, ROLE, BY, and in the list that
/// goes on from there. Object names are no keywords, as they are quoted.
fn remap_roles(sql: &str, map: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(sql.len());
    let (mut copied, mut names_roles) = (0, false);
    for (at, token) in tokens(sql) {
        match token {
            Token::Word(word) => {
                let introduces = ["TO", "FROM", "ROLE", "BY"];
                names_roles = introduces.iter().any(|w| word.eq_ignore_ascii_case(w));
            }
            Token::Quoted(quoted) if names_roles => {
                let name = quoted[1..quoted.len() - 1].replace("\"\"", "\"");
                if let Some(new) = map.get(&name) {
                    out.push_str(&sql[copied..at]);
                    out.push_str(&quote_ident(new));
                    copied = at + quoted.len();
                }
            }
            Token::Mark(',') => {}
            _ => names_roles = false,
        }
    }
    out.push_str(&sql[copied..]);
    out
}

/// The memberships that the target user gives itself for the time of the job, and their undoing.
pub fn memberships(toc: &Toc, target: &TargetFacts) -> (Vec<String>, Vec<String>) {
    needed(toc, target).into_iter().map(|role| target.joining(role)).unzip()
}

fn needed<'a>(toc: &'a Toc, target: &TargetFacts) -> BTreeSet<&'a str> {
    toc.entries
        .iter()
        .filter_map(|entry| entry.owner.as_deref())
        .chain(toc.entries.iter().filter_map(default_acl_role))
        .filter(|role| !target.acts_as(role))
        .collect()
}

/// The same for the roles that are there by now.
pub fn rejoin(toc: &Toc, target: &TargetFacts) -> (Vec<String>, Vec<String>) {
    needed(toc, target)
        .into_iter()
        .filter(|role| target.roles.contains_key(*role))
        .map(|role| target.joining(role))
        .unzip()
}

/// The role that an ALTER DEFAULT PRIVILEGES is for: it is its entry's owner, in name.
fn default_acl_role(entry: &Entry) -> Option<&str> {
    (entry.kind == Kind::DefaultAcl).then_some(entry.owner.as_deref()).flatten()
}

/// The schemas' CREATE rights lent to owners of objects in them, and their undoing.
pub(super) fn schema_rights(
    toc: &Toc,
    target: &TargetFacts,
) -> (HashMap<EntryId, Vec<String>>, Vec<String>) {
    let mut lend: HashMap<EntryId, Vec<String>> = HashMap::new();
    let mut take_back = Vec::new();
    if target.superuser {
        return (lend, take_back);
    }
    let mut owners: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for entry in toc.entries.iter().filter(|entry| !entry.drop.is_empty()) {
        if let (Some(schema), Some(owner)) = (&entry.schema, &entry.owner) {
            owners.entry(schema).or_default().insert(owner);
        }
    }
    for (id, schema) in toc.iter().filter(|(_, entry)| entry.kind == Kind::Schema) {
        let Some(owners) = owners.get(schema.name.as_str()) else {
            continue;
        };
        for owner in owners.iter().filter(|owner| schema.owner.as_deref() != Some(**owner)) {
            let (name, owner) = (quote_ident(&schema.name), quote_ident(owner));
            lend.entry(id)
                .or_default()
                .push(format!("GRANT CREATE ON SCHEMA {name} TO {owner};\n"));
            take_back.push(format!("REVOKE CREATE ON SCHEMA {name} FROM {owner};\n"));
        }
    }
    (lend, take_back)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_roles_are_replaced_never_objects_of_the_same_name() {
        let map = BTreeMap::from([("postgres".to_owned(), "ma\"ster".to_owned())]);
        let sql = "GRANT SELECT ON TABLE \"s\".\"postgres\" TO \"a\", \"postgres\" WITH GRANT \
                   OPTION;\nSET ROLE \"postgres\";\n";
        assert_eq!(
            remap_roles(sql, &map),
            "GRANT SELECT ON TABLE \"s\".\"postgres\" TO \"a\", \"ma\"\"ster\" WITH GRANT \
             OPTION;\nSET ROLE \"ma\"\"ster\";\n"
        );
    }
}
