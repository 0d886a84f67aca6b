//! Roles that stand for others on the target: whatever the source's role owns, grants, was granted
//! or set is the other's, as if it had been so on the source.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result};
use crate::pg::quote_ident;

use super::adapt::keep;
use super::clauses::quoted_names;
use super::finding::Finding;
use super::merged_grants::{has_grants, without_grants_to_owner};
use super::role_names::{introducing, named_in, rename_in, user_mapping_tag};
use super::target::TargetFacts;
use super::{Entry, Kind, Toc};

/// Which role of the source becomes which.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleMap(BTreeMap<String, String>);

impl RoleMap {
    /// Parses `old=new` texts. Names are taken as they are, without folding. A name that is mapped
    /// is nobody else's new one: there would be an order to such maps.
    pub fn parse(texts: &[String]) -> Result<RoleMap> {
        let mut map = BTreeMap::new();
        for text in texts {
            let misread = |why: String| {
                Error::usage(format!("reading --map-role {text}"))
                    .because(why)
                    .hint("write it as --map-role OLD=NEW, each role at most once as OLD")
            };
            let (old, new) = text.split_once('=').unwrap_or((text, ""));
            if [old, new].iter().any(|name| name.is_empty() || name.eq_ignore_ascii_case("public"))
            {
                return Err(misread("it doesn't name two roles".to_owned()));
            }
            if map.insert(old.to_owned(), new.to_owned()).is_some_and(|before| before != new) {
                return Err(misread(format!("{old} is mapped to two roles")));
            }
        }
        match map.iter().find(|(_, new)| map.contains_key(*new)) {
            None => Ok(RoleMap(map)),
            Some((old, new)) => Err(Error::usage("reading --map-role")
                .because(format!("{old} becomes {new}, which is mapped itself"))
                .hint("map each role to the one that it is to be in the end")),
        }
    }

    /// The pairs as typed.
    pub fn words(&self) -> Vec<String> {
        self.0.iter().map(|(old, new)| format!("--map-role {old}={new}")).collect()
    }

    /// The source's roles that are mapped.
    pub fn old(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What a role of the source is called on the target.
    pub fn new_name<'a>(&'a self, old: &'a str) -> &'a str {
        self.0.get(old).map_or(old, String::as_str)
    }

    /// The source's roles that become `new`, or else the one of that name.
    pub fn behind<'a>(&'a self, new: &'a str) -> Vec<&'a str> {
        let old: Vec<&str> =
            self.0.iter().filter(|(_, to)| *to == new).map(|(old, _)| old.as_str()).collect();
        if old.is_empty() { vec![new] } else { old }
    }

    /// The table of contents of a source that had the new roles.
    pub fn rename(&self, toc: Toc, findings: &mut Vec<Finding>) -> Toc {
        if self.0.is_empty() {
            return toc;
        }
        let mut seen = BTreeSet::new();
        keep(&toc, |_, entry| {
            if has_grants(entry.kind)
                && let Some(clash) = self.clash(entry)
            {
                findings.push(clash);
            }
            let renamed = self.renamed(entry);
            let is_role = matches!(renamed.kind, Kind::Role | Kind::RoleMembership);
            let is_new = !is_role || seen.insert(renamed.title());
            (is_new && !is_to_itself(&renamed)).then_some(renamed)
        })
    }

    /// The new roles that nobody makes and the target hasn't got.
    pub fn unfounded(&self, toc: &Toc, target: &TargetFacts) -> Vec<Finding> {
        let new: BTreeSet<&String> = self.0.values().collect();
        let is_made = |name: &str| {
            toc.entries.iter().any(|entry| entry.kind == Kind::Role && entry.name == name)
        };
        new.into_iter()
            .filter(|name| !target.roles.contains_key(*name) && !is_made(name))
            .map(|name| {
                let what = "--map-role names it, but the target hasn't got it, and no role that \
                            the source would bring becomes it";
                Finding::refusal(format!("role {name}"), what)
                    .mend(format!("on the target: CREATE ROLE {};", quote_ident(name)))
            })
            .collect()
    }

    fn renamed(&self, entry: &Entry) -> Entry {
        let new = |name: &str| self.0.get(name).map_or(name, String::as_str).to_owned();
        let mut renamed = entry.clone();
        renamed.owner = entry.owner.as_deref().map(new);
        let introducing = introducing(entry);
        if introducing.is_empty() {
            return renamed;
        }
        renamed.create = rename_in(&entry.create, introducing, &self.0);
        renamed.drop = rename_in(&entry.drop, introducing, &self.0);
        renamed.name = match entry.kind {
            Kind::Role => new(&entry.name),
            Kind::RoleMembership => membership_tag(&renamed.create),
            Kind::Comment | Kind::SecurityLabel => format!("ROLE {}", new(&entry.name[5..])),
            Kind::UserMapping => user_mapping_tag(&entry.name, &self.0),
            _ => entry.name.clone(),
        };
        if has_grants(entry.kind) && renamed.owner != entry.owner {
            renamed.create = without_grants_to_owner(entry, &renamed);
        }
        renamed
    }

    /// Two roles become one that both were granted something: the server would tell one grant.
    fn clash(&self, entry: &Entry) -> Option<Finding> {
        let named: BTreeSet<String> = named_in(&entry.create, &["TO"]).into_iter().collect();
        let mut became: BTreeMap<&str, &str> = BTreeMap::new();
        for old in &named {
            let new = self.0.get(old).map_or(old.as_str(), String::as_str);
            let is_owner = entry
                .owner
                .as_deref()
                .is_some_and(|owner| self.0.get(owner).map_or(owner, String::as_str) == new);
            if let (Some(other), false) = (became.insert(new, old), is_owner) {
                let what = format!("{other} and {old}, who both have grants here, become {new}");
                return Some(Finding::refusal(entry.title(), what).mend(
                    "map one of them to another role, or REVOKE what one of them has on the source",
                ));
            }
        }
        None
    }
}

/// A role that would be its own member.
fn is_to_itself(entry: &Entry) -> bool {
    let names = quoted_names(&entry.create);
    entry.kind == Kind::RoleMembership && names.first() == names.get(1)
}

/// `role TO member GRANTED BY grantor`, as the statement says it.
fn membership_tag(create: &str) -> String {
    match quoted_names(create).as_slice() {
        [role, member] => format!("{role} TO {member}"),
        [role, member, grantor] => format!("{role} TO {member} GRANTED BY {grantor}"),
        _ => create.trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[&str]) -> Result<RoleMap> {
        RoleMap::parse(&pairs.iter().map(|pair| (*pair).to_owned()).collect::<Vec<_>>())
    }

    fn renamed(pairs: &[&str], entry: Entry) -> (Vec<Entry>, Vec<Finding>) {
        let mut findings = Vec::new();
        let toc = map(pairs).unwrap().rename(Toc { entries: vec![entry] }, &mut findings);
        (toc.entries, findings)
    }

    fn acl(create: &str) -> Entry {
        Entry {
            owner: Some("o".to_owned()),
            create: create.to_owned(),
            ..Entry::new(Kind::Acl, Some("s"), "TABLE t")
        }
    }

    #[test]
    fn chains_circles_and_doubles_are_refused() {
        for pairs in [
            &["a=b", "b=c"][..],
            &["a=b", "b=a"],
            &["a=a"],
            &["a=b", "a=c"],
            &["a"],
            &["a="],
            &["=b"],
        ] {
            assert_eq!(map(pairs).unwrap_err().kind(), crate::error::Kind::Usage, "{pairs:?}");
        }
        assert!(map(&["a=c", "b=c"]).is_ok());
    }

    #[test]
    fn owners_grantors_and_grantees_get_their_new_names() {
        let entry = acl("GRANT SELECT ON TABLE \"s\".\"a\" TO \"a\";\nSET ROLE \"a\";\n\
             GRANT SELECT ON TABLE \"s\".\"a\" TO \"c\";\nRESET ROLE;\n");
        let (entries, findings) = renamed(&["a=x", "o=y"], entry);
        assert_eq!(entries[0].owner.as_deref(), Some("y"));
        assert_eq!(
            entries[0].create,
            "GRANT SELECT ON TABLE \"s\".\"a\" TO \"x\";\nSET ROLE \"x\";\n\
             GRANT SELECT ON TABLE \"s\".\"a\" TO \"c\";\nRESET ROLE;\n"
        );
        assert!(findings.is_empty(), "{findings:?}");
    }

    #[test]
    fn those_whom_large_objects_are_granted_to_get_their_new_names() {
        let create = "GRANT SELECT ON LARGE OBJECT 0 TO \"a\";\n";
        let entry = Entry { kind: Kind::LargeObjects, ..acl(create) };
        let (entries, _) = renamed(&["a=x"], entry);
        assert_eq!(entries[0].create, "GRANT SELECT ON LARGE OBJECT 0 TO \"x\";\n");
    }

    #[test]
    fn what_the_new_owner_was_granted_is_its_own() {
        let entry = acl("GRANT SELECT ON TABLE \"s\".\"t\" TO \"a\";\n\
                         GRANT SELECT ON TABLE \"s\".\"t\" TO \"c\";\n");
        let (entries, _) = renamed(&["o=a"], entry);
        assert_eq!(entries[0].create, "GRANT SELECT ON TABLE \"s\".\"t\" TO \"c\";\n");
    }

    #[test]
    fn two_grantees_that_become_one_are_refused() {
        let entry = acl("GRANT SELECT ON TABLE \"s\".\"t\" TO \"a\";\n\
                         GRANT INSERT ON TABLE \"s\".\"t\" TO \"c\";\n");
        let (_, findings) = renamed(&["a=c"], entry);
        assert_eq!(findings.len(), 1);
    }

    #[test]
    fn roles_and_memberships_are_renamed_and_none_is_its_own_member() {
        let membership = Entry {
            create: "GRANT \"a\" TO \"b\" WITH ADMIN OPTION;\n".to_owned(),
            drop: "REVOKE \"a\" FROM \"b\";".to_owned(),
            ..Entry::new(Kind::RoleMembership, None, "a TO b")
        };
        let (entries, _) = renamed(&["a=x"], membership.clone());
        assert_eq!(entries[0].create, "GRANT \"x\" TO \"b\" WITH ADMIN OPTION;\n");
        assert_eq!(entries[0].drop, "REVOKE \"x\" FROM \"b\";");
        assert_eq!(entries[0].name, "x TO b");
        assert!(renamed(&["a=b"], membership).0.is_empty());
        let role = Entry {
            create: "CREATE ROLE \"a\" WITH LOGIN;\nALTER ROLE \"a\" SET \"a\" TO 'a';\n"
                .to_owned(),
            ..Entry::new(Kind::Role, None, "a")
        };
        let (entries, _) = renamed(&["a=x"], role);
        assert_eq!(entries[0].name, "x");
        assert_eq!(
            entries[0].create,
            "CREATE ROLE \"x\" WITH LOGIN;\nALTER ROLE \"x\" SET \"a\" TO 'a';\n"
        );
    }
}
