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
            | Kind::LargeObjects
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
    needed(toc, target).into_iter().map(|role| target.joining(&role)).unzip()
}

/// The owners, and those who granted what they had been granted.
fn needed(toc: &Toc, target: &TargetFacts) -> BTreeSet<String> {
    let owners = toc.entries.iter().filter_map(|entry| entry.owner.clone());
    let roles = owners.chain(toc.entries.iter().flat_map(grantors));
    roles.filter(|role| !target.acts_as(role)).collect()
}

/// The roles, other than the owner, by whom an entry's grants are made.
pub(super) fn grantors(entry: &Entry) -> Vec<String> {
    if !matches!(entry.kind, Kind::Acl | Kind::LargeObjects) {
        return Vec::new();
    }
    let found: Vec<Token<'_>> = tokens(&entry.create).map(|(_, token)| token).collect();
    let roles = found.windows(3).filter_map(|three| match three {
        [set, role, Token::Quoted(quoted)] if set.is_word("SET") && role.is_word("ROLE") => {
            Some(quoted[1..quoted.len() - 1].replace("\"\"", "\""))
        }
        _ => None,
    });
    roles.collect()
}

/// The same for the roles that are there by now.
pub fn rejoin(toc: &Toc, target: &TargetFacts) -> (Vec<String>, Vec<String>) {
    needed(toc, target)
        .into_iter()
        .filter(|role| target.roles.contains_key(role))
        .map(|role| target.joining(&role))
        .unzip()
}

/// The schemas' rights lent, and their undoing: CREATE to owners of objects in them, and USAGE to
/// those who grant what they were granted, as they must find the objects.
pub(super) fn schema_rights(
    toc: &Toc,
    target: &TargetFacts,
) -> (HashMap<EntryId, Vec<String>>, Vec<String>) {
    let mut lend: HashMap<EntryId, Vec<String>> = HashMap::new();
    let mut take_back = Vec::new();
    let mut borrowers: BTreeMap<&str, BTreeSet<(&str, String)>> = BTreeMap::new();
    for entry in &toc.entries {
        let Some(schema) = &entry.schema else { continue };
        let owner = entry.owner.clone().filter(|_| !target.superuser && !entry.drop.is_empty());
        let creates = owner.into_iter().map(|owner| ("CREATE", owner));
        let uses = grantors(entry).into_iter().map(|grantor| ("USAGE", grantor));
        borrowers.entry(schema).or_default().extend(creates.chain(uses));
    }
    for (id, schema) in toc.iter().filter(|(_, entry)| entry.kind == Kind::Schema) {
        let borrowers = borrowers.get(schema.name.as_str()).into_iter().flatten();
        for (right, role) in borrowers.filter(|(_, role)| schema.owner.as_ref() != Some(role)) {
            let (name, role) = (quote_ident(&schema.name), quote_ident(role));
            let granted = format!("GRANT {right} ON SCHEMA {name} TO {role};\n");
            lend.entry(id).or_default().push(granted);
            take_back.push(format!("REVOKE {right} ON SCHEMA {name} FROM {role};\n"));
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
