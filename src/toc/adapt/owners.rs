//! Giving objects to their owners as a target user who is no superuser: it must be a member of
//! the owner, and the owner must be allowed to create in the schema (documentation: ALTER TABLE,
//! "You must be able to SET ROLE to the new owning role").

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::pg::quote_ident;
use crate::toc::clauses::{self, names_after};
use crate::toc::finding::Finding;
use crate::toc::merged_grants;
use crate::toc::role_names::{introducing, rename_in, user_mapping_tag};
use crate::toc::target::TargetFacts;
use crate::toc::{Entry, EntryId, Kind, Toc, Token, tokens};

use super::denied;

/// The entry with roles replaced, as owner and wherever its SQL names roles.
pub(super) fn remap(before: &Entry, map: &BTreeMap<String, String>) -> Entry {
    let mut entry = before.clone();
    if let Some(new) = entry.owner.as_ref().and_then(|owner| map.get(owner)) {
        entry.owner = Some(new.clone());
    }
    let introducing: &[&str] = match entry.kind {
        // What is said of the role itself is judged by its name on the source.
        Kind::Role | Kind::Comment | Kind::SecurityLabel => return entry,
        Kind::RoleMembership => &["TO", "FROM", "BY"],
        _ => introducing(&entry),
    };
    entry.create = rename_in(&entry.create, introducing, map);
    entry.drop = rename_in(&entry.drop, introducing, map);
    if merged_grants::become_one(before, map) {
        entry.create = merged_grants::merged(before, &entry);
    }
    if entry.kind == Kind::UserMapping {
        entry.name = user_mapping_tag(&entry.name, map);
    }
    entry
}

/// The entry with an owner that it can have: some objects take more of their owner than of others
/// (source: the …Owner_internal functions of commands/*.c).
pub(super) fn fit(
    mut entry: Entry,
    toc: &Toc,
    target: &TargetFacts,
    findings: &mut Vec<Finding>,
) -> Entry {
    let Some(owner) = entry.owner.as_ref().filter(|owner| **owner != target.user) else {
        return entry;
    };
    let superusers = match entry.kind {
        Kind::EventTrigger | Kind::ForeignDataWrapper => true,
        Kind::Subscription => target.version.major() < 16,
        _ => false,
    };
    let lacks = match entry.kind {
        // Who is no superuser may give them to nobody; nor may a superuser, to one who lost that
        // since it came to own them.
        _ if superusers => (!target.superuser || !becomes_superuser(owner, toc, target))
            .then(|| "its owner has to be a superuser".to_owned()),
        _ if target.superuser => None,
        Kind::ForeignServer => denied::wrapper_of(&entry.create)
            .filter(|wrapper| !denied::may_use(wrapper, owner, target))
            .map(|wrapper| format!("{owner} may not use foreign data wrapper {wrapper}")),
        Kind::Publication
            if !target.holds.database_creators.contains(owner)
                && !target.acts_as(&target.database_owner) =>
        {
            Some(format!("{owner} may not create in the database"))
        }
        _ => None,
    };
    if let Some(lacks) = lacks {
        let what = format!("belongs to {} instead of {owner}, as {lacks}", target.user);
        let given = entry.owner_sql(owner).unwrap_or_default();
        let given = given.trim_end();
        let name = quote_ident(owner);
        let mend = match superusers && !becomes_superuser(owner, toc, target) {
            true => format!(
                "as a superuser of the target: ALTER ROLE {name} SUPERUSER; {given} ALTER ROLE {name} \
                 NOSUPERUSER;"
            ),
            false => format!("as an administrator of the target: {given}"),
        };
        findings.push(Finding::change(entry.title(), what).mend(mend));
        entry.owner = Some(target.user.clone());
    }
    entry
}

/// Whether a role is a superuser on the target: it is one there, or is brought along as one.
fn becomes_superuser(role: &str, toc: &Toc, target: &TargetFacts) -> bool {
    if let Some(there) = target.roles.get(role) {
        return there.superuser;
    }
    let brought = |entry: &&Entry| entry.kind == Kind::Role && entry.name == role;
    let says = |entry: &Entry| clauses::says(&entry.create, "SUPERUSER");
    toc.entries.iter().find(brought).is_some_and(says)
}

/// The memberships that the target user gives itself for the time of the job, and their undoing.
pub(super) fn memberships(toc: &Toc, target: &TargetFacts) -> (Vec<String>, Vec<String>) {
    needed(toc, target).into_iter().map(|role| target.joining(&role)).unzip()
}

/// The owners, and those who granted what they had been granted.
fn needed(toc: &Toc, target: &TargetFacts) -> BTreeSet<String> {
    let owners = toc.entries.iter().filter_map(|entry| entry.owner.clone());
    let roles = owners.chain(toc.entries.iter().flat_map(grantors));
    // What stays a superuser's, as `public` may, needs nothing of ours.
    let superuser = |role: &String| target.roles.get(role).is_some_and(|there| there.superuser);
    roles.filter(|role| !target.acts_as(role) && !superuser(role)).collect()
}

/// The roles, other than the owner, by whom an entry's grants are made.
pub(super) fn grantors(entry: &Entry) -> Vec<String> {
    if !matches!(entry.kind, Kind::Acl | Kind::LargeObjects) {
        return Vec::new();
    }
    names_after(&entry.create, "SET ROLE")
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
/// those who grant as themselves, as they must find the objects, and the types of their arguments.
pub(super) fn schema_rights(
    toc: &Toc,
    target: &TargetFacts,
) -> (HashMap<EntryId, Vec<String>>, Vec<String>) {
    let mut lend: HashMap<EntryId, Vec<String>> = HashMap::new();
    let mut take_back = Vec::new();
    let mut borrowers: BTreeMap<String, BTreeSet<(&str, String)>> = BTreeMap::new();
    for entry in &toc.entries {
        let Some(schema) = &entry.schema else { continue };
        let owner = entry.owner.clone().filter(|_| !target.superuser && !entry.drop.is_empty());
        let creates = owner.into_iter().map(|owner| ("CREATE", owner));
        borrowers.entry(schema.clone()).or_default().extend(creates);
        let grantors: BTreeSet<String> = grantors(entry).into_iter().collect();
        for schema in schemas_named(entry).into_iter().filter(|_| !grantors.is_empty()) {
            let uses = grantors.iter().map(|grantor| ("USAGE", grantor.clone()));
            borrowers.entry(schema).or_default().extend(uses);
        }
    }
    for (id, schema) in toc.iter().filter(|(_, entry)| entry.kind == Kind::Schema) {
        let borrowers = borrowers.get(schema.name.as_str()).into_iter().flatten();
        let owner = owner_of(schema, target);
        for (right, role) in borrowers.filter(|(_, role)| owner != Some(role.as_str())) {
            let (name, role) = (quote_ident(&schema.name), quote_ident(role));
            let granted = format!("GRANT {right} ON SCHEMA {name} TO {role};\n");
            lend.entry(id).or_default().push(granted);
            take_back.push(format!("REVOKE {right} ON SCHEMA {name} FROM {role};\n"));
        }
    }
    (lend, take_back)
}

/// The schemas by which an entry's SQL qualifies names.
fn schemas_named(entry: &Entry) -> BTreeSet<String> {
    let found: Vec<Token<'_>> = tokens(&entry.create).map(|(_, token)| token).collect();
    let names = found.windows(2).filter_map(|two| match two {
        [name, Token::Mark('.')] => name.name(),
        _ => None,
    });
    names.collect()
}

/// Whom a schema belongs to, and who so has all rights on it already: taking them back would take
/// its own. The entry of `public` names nobody where that stays as every new database has it.
fn owner_of<'a>(schema: &'a Entry, target: &'a TargetFacts) -> Option<&'a str> {
    let there = target.holds.public_schema.as_ref().filter(|_| schema.name == "public");
    schema.owner.as_deref().or(there.map(|public| public.owner.as_str()))
}

/// The database's CREATE right lent to owners of publications who haven't got it, each with its
/// undoing (documentation: ALTER PUBLICATION, "The new owner … must have CREATE privilege on the
/// database").
pub(super) fn database_rights(toc: &Toc, target: &TargetFacts) -> Vec<(String, String)> {
    let publications = toc.entries.iter().filter(|entry| entry.kind == Kind::Publication);
    let owners: BTreeSet<&String> = publications.filter_map(|entry| entry.owner.as_ref()).collect();
    let has = |owner: &String| {
        target.superuser || *owner == target.user || target.holds.database_creators.contains(owner)
    };
    let database = quote_ident(&target.database);
    let borrowers = owners.into_iter().filter(|owner| !has(owner));
    let lent = borrowers.map(|owner| {
        let owner = quote_ident(owner);
        (
            format!("GRANT CREATE ON DATABASE {database} TO {owner};\n"),
            format!("REVOKE CREATE ON DATABASE {database} FROM {owner};\n"),
        )
    });
    lent.collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests;
    use super::*;
    use crate::toc::target::PublicSchema;

    #[test]
    fn what_owns_public_by_itself_is_lent_nothing_that_taking_back_would_cost_it() {
        let mut target = tests::target();
        let owner = "pg_database_owner".to_owned();
        target.holds.public_schema = Some(PublicSchema { owner: owner.clone(), is_empty: true });
        let mut table = Entry::new(Kind::Table, Some("public"), "t");
        table.owner = Some(owner);
        table.drop = "DROP TABLE \"public\".\"t\";\n".to_owned();
        let public = Entry::new(Kind::Schema, None, "public");
        let (lend, take_back) = schema_rights(&Toc { entries: vec![public, table] }, &target);
        assert!(lend.is_empty() && take_back.is_empty(), "{lend:?} {take_back:?}");
    }
}
