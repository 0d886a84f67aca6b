//! As whom an owner's grants are made. A session that may act for several roles is taken by the
//! server for the one that holds most of the grant options in question, of which the owner, who
//! holds them all, needn't be the first (source: select_best_grantor in utils/adt/acl.c). A target
//! user who is but a member of the owner grants as the owner therefore.

use std::borrow::Cow;

use crate::pg::quote_ident;
use crate::toc::sql::statements;
use crate::toc::target::TargetFacts;
use crate::toc::{Entry, Kind, Toc};

use super::owners;

/// What ends a grant made as another role, in an entry's SQL.
const RESET: &str = "RESET ROLE;";

/// Has the owner's grants made by the owner itself, wherever the target user could be taken for
/// another.
pub(super) fn as_owners(mut toc: Toc, target: &TargetFacts) -> Toc {
    let wanted: Vec<bool> =
        toc.entries.iter().map(|entry| is_mistakable(entry, &toc, target)).collect();
    for (entry, _) in toc.entries.iter_mut().zip(wanted).filter(|(_, wanted)| *wanted) {
        if let Some(owner) = &entry.owner {
            let set = set_role(owner);
            let as_owner = replaced(&entry.create, RESET, &set);
            entry.create = format!("{set}\n{as_owner}{RESET}\n");
        }
    }
    toc
}

/// An entry's SQL as a catalog tells it, whoever its grants were to be made by.
pub(crate) fn as_told(entry: &Entry) -> Cow<'_, str> {
    let set = entry.owner.as_deref().filter(|_| grants(entry)).map(set_role);
    let by_owner = set.as_ref().and_then(|set| {
        let grants = entry.create.strip_prefix(set.as_str())?.strip_prefix('\n')?;
        let grants = grants.strip_suffix('\n')?.strip_suffix(RESET)?;
        Some(replaced(grants, set, RESET))
    });
    by_owner.map_or(Cow::Borrowed(entry.create.as_str()), Cow::Owned)
}

fn grants(entry: &Entry) -> bool {
    matches!(entry.kind, Kind::Acl | Kind::LargeObjects)
}

fn set_role(role: &str) -> String {
    format!("SET ROLE {};", quote_ident(role))
}

/// The statements of `sql`, a line each, with `new` in place of each that is `old`.
fn replaced(sql: &str, old: &str, new: &str) -> String {
    let lines = statements(sql).into_iter();
    lines.map(|line| format!("{}\n", if line == old { new } else { line })).collect()
}

/// Whether the target user isn't the owner, and somebody else may hold a grant option. What rests
/// on a column's grants may rest on its table's, which another entry makes.
fn is_mistakable(entry: &Entry, toc: &Toc, target: &TargetFacts) -> bool {
    let Some(owner) = entry.owner.as_deref().filter(|_| grants(entry) && !target.superuser) else {
        return false;
    };
    let is_columns = entry.kind == Kind::Acl && entry.name.starts_with("COLUMN ");
    let passed_on = is_columns
        || entry.create.contains(" WITH GRANT OPTION;")
        || !owners::grantors(entry).is_empty();
    let superuser = target.roles.get(owner).is_some_and(|owner| owner.superuser);
    passed_on
        && owner != target.user
        && !superuser
        && !entry.create.is_empty()
        && owner_by_then(entry, toc, target) == Some(owner)
}

/// Who owns what is granted on when that is granted. A database is given to its owner only after
/// that; what a target gives to nobody else stays the target user's.
fn owner_by_then<'a>(entry: &'a Entry, toc: &'a Toc, target: &'a TargetFacts) -> Option<&'a str> {
    if entry.kind == Kind::LargeObjects {
        return entry.owner.as_deref();
    }
    if entry.name.starts_with("DATABASE ") {
        return Some(&target.database_owner);
    }
    let needed = entry.depends_on.iter().map(|id| toc.entry(*id));
    let mut objects = needed.filter(|e| !matches!(e.kind, Kind::Acl | Kind::Extension));
    let public = target.holds.public_schema.as_ref().filter(|_| entry.name == "SCHEMA public");
    let given = objects.find_map(|object| object.owner.as_deref());
    given.or(public.map(|public| public.owner.as_str()))
}

#[cfg(test)]
mod tests {
    use super::super::tests;
    use super::*;
    use crate::toc::EntryId;

    const CHAIN: &str = "GRANT SELECT ON TABLE \"s\".\"t\" TO \"b\" WITH GRANT OPTION;\n\
        SET ROLE \"b\";\nGRANT SELECT ON TABLE \"s\".\"t\" TO \"c\";\nRESET ROLE;\n\
        GRANT SELECT ON TABLE \"s\".\"t\" TO \"RESET ROLE;\";\n";

    fn table_and_grants(owner: &str, name: &str, create: &str) -> Toc {
        let object =
            Entry { owner: Some(owner.to_owned()), ..Entry::new(Kind::Table, Some("s"), "t") };
        let acl = Entry {
            create: create.to_owned(),
            owner: Some(owner.to_owned()),
            depends_on: vec![EntryId(0)],
            ..Entry::new(Kind::Acl, Some("s"), name)
        };
        Toc { entries: vec![object, acl] }
    }

    #[test]
    fn an_owners_grants_beside_others_are_made_as_the_owner_and_told_as_before() {
        let before = table_and_grants("o", "TABLE t", CHAIN);
        let after = as_owners(before.clone(), &tests::target());
        assert_eq!(
            after.entries[1].create,
            "SET ROLE \"o\";\n\
             GRANT SELECT ON TABLE \"s\".\"t\" TO \"b\" WITH GRANT OPTION;\n\
             SET ROLE \"b\";\nGRANT SELECT ON TABLE \"s\".\"t\" TO \"c\";\nSET ROLE \"o\";\n\
             GRANT SELECT ON TABLE \"s\".\"t\" TO \"RESET ROLE;\";\nRESET ROLE;\n"
        );
        assert_eq!(as_told(&after.entries[1]), before.entries[1].create);
        assert_eq!(as_told(&before.entries[1]), before.entries[1].create);
        assert!(owners::grantors(&after.entries[1]).contains(&"o".to_owned()));
    }

    #[test]
    fn grants_that_nobody_can_be_mistaken_in_stay_as_they_are() {
        let target = tests::target();
        let plain = "GRANT SELECT ON TABLE \"s\".\"t\" TO \"b\";\n";
        let stays = |toc: Toc, target: &TargetFacts| as_owners(toc.clone(), target) == toc;
        assert!(stays(table_and_grants("o", "TABLE t", plain), &target));
        assert!(!stays(table_and_grants("o", "COLUMN t.a", plain), &target));
        assert!(stays(table_and_grants("master", "TABLE t", CHAIN), &target));
        assert!(stays(table_and_grants("rdsadmin", "TABLE t", CHAIN), &target));
        let mut given_to_us = table_and_grants("o", "TABLE t", CHAIN);
        given_to_us.entries[0].owner = Some("master".to_owned());
        assert!(stays(given_to_us, &target));
        let superuser = TargetFacts { superuser: true, ..target };
        assert!(stays(table_and_grants("o", "TABLE t", CHAIN), &superuser));
    }
}
