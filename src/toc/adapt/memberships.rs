//! Memberships of roles: which the target has already, by whom they can be granted, and those that
//! would go in a circle.

use std::collections::BTreeSet;

use crate::pg::quote_ident;
use crate::toc::clauses::{after, around, name_after};
use crate::toc::finding::Finding;
use crate::toc::target::{MembershipOptions, TargetFacts};
use crate::toc::{Entry, Kind, Toc};

/// A membership as the target may have it: none where it is there already, or stays otherwise.
pub(super) fn fit(
    mut entry: Entry,
    target: &TargetFacts,
    findings: &mut Vec<Finding>,
) -> Option<Entry> {
    let (role, member) = role_and_member(&entry)?;
    if role == member {
        return None;
    }
    if let Some(there) = target.holds.memberships.get(&(role.clone(), member.clone())) {
        let wanted = options(&entry.create);
        let same = |wanted: Option<bool>, there: Option<bool>| match (wanted, there) {
            (Some(wanted), Some(there)) => wanted == there,
            _ => true,
        };
        // Our own are made and taken back by every job.
        let ours = member == target.user;
        let differs = wanted.admin != there.admin
            || !same(wanted.inherit, there.inherit)
            || !same(wanted.set, there.set);
        if !ours && differs {
            let what = "is on the target already, with other options, and stays as it is there";
            findings.push(Finding::change(entry.title(), what).mend(format!(
                "as an administrator of the target: REVOKE {} FROM {}; {}",
                quote_ident(&role),
                quote_ident(&member),
                entry.create.trim_end()
            )));
        }
        return None;
    }
    if let Some((granted, _)) = around(&entry.create, "GRANTED BY")
        && let Some(grantor) = name_after(&entry.create, "GRANTED BY")
        && !target.acts_as(&grantor)
    {
        let what = format!(
            "is granted by {}, as that is not {grantor}, who did on the source: what {grantor} \
             revokes does not end it",
            target.user
        );
        findings.push(
            Finding::change(entry.title(), what)
                .mend(format!("as an administrator of the target: {}", entry.create.trim_end())),
        );
        entry.create = format!("{};\n", granted.trim_end());
    }
    Some(entry)
}

/// What a GRANT of a role says of its options.
fn options(create: &str) -> MembershipOptions {
    let option = |name: &str| {
        let value = after(create, name)?;
        Some(value.is_word("true") || value.is_word("OPTION"))
    };
    MembershipOptions {
        admin: option("ADMIN").unwrap_or(false),
        inherit: option("INHERIT"),
        set: option("SET"),
    }
}

/// Who is granted to whom by `GRANT role TO member`.
fn role_and_member(entry: &Entry) -> Option<(String, String)> {
    Some((name_after(&entry.create, "GRANT")?, name_after(&entry.create, "TO")?))
}

/// The memberships that roles of the source have on the target only.
pub(super) fn of_the_targets_own(toc: &Toc, target: &TargetFacts) -> Vec<Finding> {
    let kind = |kind: Kind| toc.entries.iter().filter(move |entry| entry.kind == kind);
    let wanted: BTreeSet<(String, String)> =
        kind(Kind::RoleMembership).filter_map(role_and_member).collect();
    let moved: BTreeSet<&str> = kind(Kind::Role).map(|entry| entry.name.as_str()).collect();
    let more = target.holds.memberships.keys().filter(|(role, member)| {
        moved.contains(member.as_str())
            && *member != target.user
            && !wanted.contains(&(role.clone(), member.clone()))
    });
    let told = more.map(|(role, member)| {
        let what = "is on the target only, and stays";
        Finding::change(format!("{} {role} TO {member}", Kind::RoleMembership), what).mend(format!(
            "as an administrator of the target: REVOKE {} FROM {};",
            quote_ident(role),
            quote_ident(member)
        ))
    });
    told.collect()
}

/// An owner that is a member of the target user, whom it can't become therefore: membership would
/// go in a circle (documentation: GRANT, "membership loops").
pub(super) fn circles(owners: &BTreeSet<&str>, toc: &Toc, target: &TargetFacts) -> Vec<Finding> {
    if target.superuser {
        return Vec::new();
    }
    let mut below: BTreeSet<String> = target.holds.members_of_user.clone();
    below.insert(target.user.clone());
    // The source's memberships come before our own.
    let names: Vec<(String, String)> = toc
        .entries
        .iter()
        .filter(|entry| entry.kind == Kind::RoleMembership)
        .filter_map(role_and_member)
        .collect();
    while let Some((_, member)) =
        names.iter().find(|(role, member)| below.contains(role) && !below.contains(member))
    {
        below.insert(member.clone());
    }
    let circular = owners.iter().filter(|owner| **owner != target.user && below.contains(**owner));
    let told = circular.filter(|owner| !target.acts_as(owner)).map(|owner| {
        let user = quote_ident(&target.user);
        let what = format!(
            "owns objects and is, or will be, a member of {}, who so can't become a member of it \
             to give them to it",
            target.user
        );
        Finding::refusal(format!("role {owner}"), what).mend(format!(
            "REVOKE {user} FROM {}; on the side where that is so, or from the role between them; \
             or migrate as another user",
            quote_ident(owner)
        ))
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memberships_options_are_read_in_either_spelling() {
        let old = options("GRANT \"a\" TO \"b\" WITH ADMIN OPTION;");
        assert!(old.admin && old.inherit.is_none());
        let new = options("GRANT \"a\" TO \"b\" WITH ADMIN false, INHERIT true, SET false;");
        assert_eq!((new.admin, new.inherit, new.set), (false, Some(true), Some(false)));
    }
}
