//! Which roles of the source stand for others on the target, and which are there already.

use std::collections::{BTreeMap, BTreeSet};

use crate::pg::quote_ident;
use crate::toc::clauses::{after, around, name_after, says};
use crate::toc::finding::{Finding, counted};
use crate::toc::role_names::{introducing, named_in};
use crate::toc::sql::{Token, statements};
use crate::toc::target::TargetFacts;
use crate::toc::{Entry, Kind, Toc};

/// The roles that the target user stands in for, each reported.
pub(super) fn mapped(
    toc: &Toc,
    owners: &BTreeSet<&str>,
    bootstrap: &str,
    target: &TargetFacts,
    findings: &mut Vec<Finding>,
) -> BTreeMap<String, String> {
    let brought: BTreeSet<&str> = toc
        .entries
        .iter()
        .filter(|entry| entry.kind == Kind::Role)
        .map(|entry| entry.name.as_str())
        .collect();
    if !target.superuser && !target.create_role {
        for missing in brought.iter().filter(|name| !target.roles.contains_key(**name)) {
            let what = format!("isn't on the target, and {} may not create roles", target.user);
            findings.push(Finding::refusal(format!("role {missing}"), what).mend(format!(
                "as an administrator of the target: CREATE ROLE {}; or ALTER ROLE {} CREATEROLE;",
                quote_ident(missing),
                quote_ident(&target.user)
            )));
        }
    }
    let mut map = BTreeMap::new();
    if bootstrap != target.user && !can_be(bootstrap, false, target) {
        map.insert(bootstrap.to_owned(), target.user.clone());
        if owners.contains(bootstrap) {
            findings.push(stands_in(toc, bootstrap, "is the source's own superuser", target));
        }
    }
    for owner in owners {
        if *owner != bootstrap && !can_be(owner, brought.contains(owner), target) {
            map.insert((*owner).to_owned(), target.user.clone());
            let why = format!("is a role that {} can't become", target.user);
            let finding = stands_in(toc, owner, &why, target);
            let (join, _) = target.joining(owner);
            findings.push(finding.mend(format!(
                "to keep the owner, as an administrator of the target: {}",
                join.trim_end()
            )));
        }
    }
    map
}

fn can_be(role: &str, brought: bool, target: &TargetFacts) -> bool {
    let there = target.roles.contains_key(role);
    if target.superuser {
        return there || brought;
    }
    target.acts_as(role) || ((there || brought) && target.can_join(role))
}

fn stands_in(toc: &Toc, role: &str, why: &str, target: &TargetFacts) -> Finding {
    let owned = toc.entries.iter().filter(|entry| entry.owner.as_deref() == Some(role));
    let count = owned.count();
    let mut what = match count {
        0 => format!("{why}: what it granted is granted by the objects' owners"),
        _ => format!("{why}: {} it owns go to {}", counted(count, "object"), target.user),
    };
    let named = toc.entries.iter().filter(|entry| {
        entry.owner.as_deref() != Some(role)
            && !matches!(entry.kind, Kind::Role | Kind::Comment | Kind::SecurityLabel)
            && named_in(&entry.create, introducing(entry)).iter().any(|name| name == role)
    });
    let named = named.count();
    if named > 0 {
        let places = counted(named, "other definition");
        let user = &target.user;
        what.push_str(&format!(
            "; {user} takes its place in {places} (grants, policies, settings)"
        ));
    }
    Finding::change(format!("owner {role}"), what)
}

/// What is told of a role that the target has already: each attribute and setting that differs from
/// the source's, as it stays as it is there.
pub(super) fn differences(entry: &Entry, target: &TargetFacts) -> Vec<Finding> {
    let Some(definition) = target.holds.role_definitions.get(&entry.name) else {
        return Vec::new();
    };
    let (ours, theirs) = (traits(&entry.create), traits(definition));
    let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let role = quote_ident(&entry.name);
    let differing = names.into_iter().filter_map(|name| {
        let (source, there) = (ours.get(name), theirs.get(name));
        let (source, there) = (source.or(there)?.or_none(source), there.or(source)?.or_none(there));
        (source != there).then(|| {
            let what = format!(
                "is on the target already and stays as it is there: {there}; the source's: {source}"
            );
            Finding::change(entry.title(), what)
                .mend(format!("as an administrator of the target: ALTER ROLE {role} {source};"))
        })
    });
    differing.collect()
}

/// An attribute or a setting, and what stands for its absence.
#[derive(Debug, PartialEq, Eq)]
struct Trait {
    is: String,
    absent: String,
}

impl Trait {
    fn or_none(&self, held: Option<&Trait>) -> String {
        held.map_or_else(|| self.absent.clone(), |held| held.is.clone())
    }
}

const FLAGS: [&str; 7] =
    ["LOGIN", "INHERIT", "CREATEDB", "CREATEROLE", "SUPERUSER", "REPLICATION", "BYPASSRLS"];

/// What the statements that create a role say of it, by name (documentation: CREATE ROLE).
fn traits(create: &str) -> BTreeMap<String, Trait> {
    let mut found = BTreeMap::new();
    for statement in statements(create) {
        let body = statement.trim_end_matches(';');
        if let (Some((_, value)), Some(name)) = (around(body, "SET"), name_after(body, "SET")) {
            let absent = format!("RESET {}", quote_ident(&name));
            found.insert(name, Trait { is: format!("SET{value}"), absent });
            continue;
        }
        for flag in FLAGS {
            let absent = format!("NO{flag}");
            let said = [flag, &absent].into_iter().find(|word| says(body, word));
            if let Some(is) = said.map(str::to_owned) {
                found.insert(flag.to_owned(), Trait { is, absent });
            }
        }
        if let Some(Token::Word(limit)) = after(body, "CONNECTION LIMIT") {
            let is = format!("CONNECTION LIMIT {limit}");
            let absent = "CONNECTION LIMIT -1".to_owned();
            found.insert("CONNECTION LIMIT".to_owned(), Trait { is, absent });
        }
        if let Some(Token::String(end)) = after(body, "VALID UNTIL")
            && end != "'infinity'"
        {
            let is = format!("VALID UNTIL {end}");
            let absent = "VALID UNTIL 'infinity'".to_owned();
            found.insert("VALID UNTIL".to_owned(), Trait { is, absent });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roles_traits_are_its_attributes_and_settings() {
        let found = traits(
            "CREATE ROLE \"NOLOGIN\" WITH LOGIN NOINHERIT NOCREATEDB NOCREATEROLE CONNECTION LIMIT 5 \
             VALID UNTIL '2030-01-01';\nALTER ROLE \"NOLOGIN\" WITH BYPASSRLS;\n\
             ALTER ROLE \"NOLOGIN\" SET \"work_mem\" TO '64MB';\n",
        );
        let told: Vec<&str> = found.values().map(|t| t.is.as_str()).collect();
        assert_eq!(
            told,
            [
                "BYPASSRLS",
                "CONNECTION LIMIT 5",
                "NOCREATEDB",
                "NOCREATEROLE",
                "NOINHERIT",
                "LOGIN",
                "VALID UNTIL '2030-01-01'",
                "SET \"work_mem\" TO '64MB'",
            ]
        );
    }
}
