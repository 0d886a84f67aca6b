//! Members of operator families, compared across majors: from 14 on a server itself decides which
//! of a class's members belong to the family alone (source: amadjustmembers in the documentation's
//! chapter "Index Access Method Interface Definition"), so they are compared family by family.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::toc::{Entry, Kind, Toc};

/// The entries with the members of families and their classes taken out of these, and
/// put into an entry of their own for each family.
pub(super) fn pooled(toc: &Toc) -> Vec<Cow<'_, Entry>> {
    let mut families: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut entries: Vec<Cow<'_, Entry>> = Vec::with_capacity(toc.entries.len());
    for entry in &toc.entries {
        let taken = match entry.kind {
            Kind::OperatorClass => of_class(&entry.create),
            Kind::OperatorFamily => of_family(&entry.create),
            _ => None,
        };
        let Some(Taken { create, family, members }) = taken else {
            entries.push(Cow::Borrowed(entry));
            continue;
        };
        families.entry(family).or_default().extend(members);
        if !create.is_empty() {
            entries.push(Cow::Owned(Entry { create, ..entry.clone() }));
        }
    }
    for (family, mut members) in families {
        members.sort_unstable();
        let create = members.join("\n");
        let name = format!("{family}, members");
        let members = Entry { create, ..Entry::new(Kind::OperatorFamily, None, name) };
        entries.push(Cow::Owned(members));
    }
    entries
}

/// What is left of a definition, and the members that were in it.
struct Taken {
    create: String,
    family: String,
    members: Vec<String>,
}

fn of_class(create: &str) -> Option<Taken> {
    let (head, list) = create.split_once(" AS\n\t")?;
    let (_, by) = head.rsplit_once(" USING ")?;
    let (method, family) = by.split_once(" FAMILY ")?;
    let (members, storage): (Vec<&str>, Vec<&str>) = parts(list)
        .partition(|part| part.starts_with("OPERATOR ") || part.starts_with("FUNCTION "));
    // A class without members stores what it takes, lest the list be empty.
    let told = storage.into_iter().filter(|storage| {
        let own = storage.trim_start_matches("STORAGE ");
        !head.contains(&format!("FOR TYPE {own} USING "))
    });
    Some(Taken {
        create: told.fold(head.to_owned(), |head, storage| format!("{head} {storage}")),
        family: format!("{family} USING {method}"),
        members: members.into_iter().map(str::to_owned).collect(),
    })
}

fn of_family(create: &str) -> Option<Taken> {
    let (before, added) = match create.split_once("ALTER OPERATOR FAMILY ") {
        Some((before, added)) => (before, Some(added.split_once(" ADD\n\t")?)),
        None => (create, None),
    };
    let family = match added {
        Some((family, _)) => family,
        None => before.strip_prefix("CREATE OPERATOR FAMILY ")?.trim_end().strip_suffix(';')?,
    };
    Some(Taken {
        create: before.to_owned(),
        family: family.to_owned(),
        members: added.into_iter().flat_map(|(_, list)| parts(list)).map(str::to_owned).collect(),
    })
}

fn parts(list: &str) -> impl Iterator<Item = &str> {
    list.trim_end().trim_end_matches(';').split(",\n\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILY: &str = "CREATE OPERATOR FAMILY \"s\".\"f\" USING \"gist\";\n";
    const CLASS: &str = "CREATE OPERATOR CLASS \"s\".\"c\"\n\tFOR TYPE point USING \"gist\" FAMILY \"s\".\"f\" AS\n\t";

    fn toc(family: &str, class: &str) -> Toc {
        let entry =
            |kind, name, create: String| Entry { create, ..Entry::new(kind, Some("s"), name) };
        Toc {
            entries: vec![
                entry(Kind::OperatorFamily, "f", format!("{FAMILY}{family}")),
                entry(Kind::OperatorClass, "c", format!("{CLASS}{class}")),
            ],
        }
    }

    #[test]
    fn it_is_all_one_whether_the_class_or_the_family_has_a_member() {
        let loose = "ALTER OPERATOR FAMILY \"s\".\"f\" USING \"gist\" ADD\n\tOPERATOR 1 <<(a,b);\n";
        let old = toc("", "STORAGE box,\n\tOPERATOR 1 <<(a,b),\n\tFUNCTION 1 (a, b) f(a,b);\n");
        let new = toc(loose, "STORAGE box,\n\tFUNCTION 1 (a, b) f(a,b);\n");
        assert_eq!(pooled(&old), pooled(&new));
        let fewer = toc("", "STORAGE box,\n\tFUNCTION 1 (a, b) f(a,b);\n");
        assert_ne!(pooled(&old), pooled(&fewer));
        let stored = toc(loose, "FUNCTION 1 (a, b) f(a,b);\n");
        assert_ne!(pooled(&old), pooled(&stored));
    }

    #[test]
    fn a_class_that_lost_all_members_to_the_family_is_the_same_class() {
        let loose = "ALTER OPERATOR FAMILY \"s\".\"f\" USING \"gist\" ADD\n\tOPERATOR 1 <<(a,b);\n";
        let old = toc("", "OPERATOR 1 <<(a,b);\n");
        assert_eq!(pooled(&old), pooled(&toc(loose, "STORAGE point;\n")));
    }

    #[test]
    fn members_in_a_family_of_the_systems_count_as_well() {
        let mut old = toc("", "OPERATOR 1 <<(a,b);\n");
        old.entries.remove(0);
        let mut new = toc(
            "ALTER OPERATOR FAMILY \"s\".\"f\" USING \"gist\" ADD\n\tOPERATOR 1 <<(a,b);\n",
            "STORAGE point;\n",
        );
        new.entries[0].create = new.entries[0].create.replace(FAMILY, "");
        assert_eq!(pooled(&old).len(), 2);
        assert_eq!(pooled(&old), pooled(&new));
    }
}
