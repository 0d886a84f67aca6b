//! Large objects' owners, grants and comments on both sides. Their contents are rows.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::toc::adapt::as_told;
use crate::toc::{Kind, LargeObjectSum, Toc, counted};

use super::catalogs::CatalogDifference;

/// The groups of large objects, of one owner and with the same grants, that aren't the same
/// objects with the same comments on both sides.
pub fn compare_large_objects(expected: &Toc, found: &Toc) -> Vec<CatalogDifference> {
    let (expected, mut found) = (groups(expected), groups(found));
    let mut differences = Vec::new();
    for (group, ours) in expected {
        let entry = title(&group);
        match found.remove(&group) {
            None => differences.push(CatalogDifference::Missing { entry }),
            Some(theirs) if theirs == ours => {}
            Some(theirs) => differences.push(CatalogDifference::Differs {
                entry,
                expected: tell(ours),
                found: tell(theirs),
            }),
        }
    }
    let more =
        found.into_keys().map(|group| CatalogDifference::Unexpected { entry: title(&group) });
    differences.extend(more);
    differences
}

/// By owner and grants. Several of the source may be one, where their owners are one role there.
fn groups(toc: &Toc) -> BTreeMap<(&str, Cow<'_, str>), LargeObjectSum> {
    let mut groups: BTreeMap<(&str, Cow<'_, str>), LargeObjectSum> = BTreeMap::new();
    for entry in toc.entries.iter().filter(|entry| entry.kind == Kind::LargeObjects) {
        let group = (entry.owner.as_deref().unwrap_or_default(), as_told(entry));
        *groups.entry(group).or_default() += entry.large_objects.unwrap_or_default();
    }
    groups
}

fn title((owner, grants): &(&str, Cow<'_, str>)) -> String {
    match grants.trim_end() {
        "" => format!("large objects of {owner} without grants"),
        grants => format!("large objects of {owner} with {}", grants.replace('\n', " ")),
    }
}

fn tell(sum: LargeObjectSum) -> String {
    let objects = counted(sum.count as usize, "large object");
    format!("{objects}, OIDs and comments come to {:016x}", sum.digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toc::Entry;

    fn toc(groups: &[(&str, &str, u64)]) -> Toc {
        let entry = |(owner, grants, digest): &(&str, &str, u64)| Entry {
            owner: Some((*owner).to_owned()),
            create: (*grants).to_owned(),
            large_objects: Some(LargeObjectSum { count: 1, digest: *digest }),
            ..Entry::new(Kind::LargeObjects, None, "whatever the server calls it")
        };
        Toc { entries: groups.iter().map(entry).collect() }
    }

    #[test]
    fn two_owners_that_became_one_are_one_group() {
        let expected = toc(&[("me", "", 7), ("me", "", u64::MAX)]);
        let mut found = toc(&[("me", "", 6)]);
        found.entries[0].large_objects = Some(LargeObjectSum { count: 2, digest: 6 });
        assert_eq!(compare_large_objects(&expected, &found), []);
    }

    #[test]
    fn another_owner_other_grants_and_other_comments_are_differences() {
        let expected = toc(&[("me", "", 1), ("you", "GRANT x;\n", 2)]);
        let found = toc(&[("me", "", 3), ("you", "", 2)]);
        let told: Vec<String> =
            compare_large_objects(&expected, &found).iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].starts_with("large objects of me without grants differs"), "{told:?}");
        assert_eq!(told[1], "large objects of you with GRANT x; is missing on the target");
        assert_eq!(told[2], "large objects of you without grants is on the target only");
    }
}
