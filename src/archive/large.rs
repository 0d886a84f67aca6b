//! Large objects as an archive tells of them: an entry for each until 16, since then one for those
//! of an owner with the same grants (source: bin/pg_dump/pg_dump.c, dumpLO).

use std::collections::BTreeMap;

use crate::pg::quote_ident;
use crate::toc::{ANY_LARGE_OBJECT, Entry, Kind, LargeObject, LargeObjectSum, Token};

use super::contents::{Item, ItemId, LARGE_OBJECTS};
use super::spelling::{as_grantors, last_string, quoted, replaced};

/// So many are read at once where an entry has more: as many as pg_dump puts into one since 17 (source:
/// bin/pg_dump/pg_dump.c, MAX_BLOBS_PER_ARCHIVE_ENTRY).
pub(crate) const OBJECTS_AT_ONCE: usize = 1000;

/// What an archive tells of its large objects, but for their contents.
#[derive(Debug, Default)]
pub(super) struct LargeObjects {
    objects: BTreeMap<u32, About>,
    /// Those of each entry, for grants on all of them.
    of_item: BTreeMap<ItemId, Vec<u32>>,
}

#[derive(Debug, Default)]
struct About {
    owner: String,
    grants: String,
    comment: Option<String>,
}

/// Whether an entry is about large objects: what they are, hold, or have.
pub(super) fn is_about_large_objects(item: &Item) -> bool {
    match item.desc.as_str() {
        "BLOB" | "BLOB METADATA" | LARGE_OBJECTS => true,
        "ACL" | "COMMENT" | "SECURITY LABEL" => item.tag.starts_with("LARGE OBJECT"),
        _ => false,
    }
}

impl LargeObjects {
    /// Takes an entry in if it is about large objects.
    pub(super) fn take(&mut self, item: &Item) -> bool {
        let oids = match item.desc.as_str() {
            "BLOB" | "BLOB METADATA" => created_by(item),
            "ACL" | "COMMENT" => return self.take_more(item),
            _ => return false,
        };
        for oid in &oids {
            self.objects.entry(*oid).or_default().owner.clone_from(&item.owner);
        }
        self.of_item.insert(item.id, oids);
        true
    }

    fn take_more(&mut self, item: &Item) -> bool {
        let Some(named) = item.tag.strip_prefix("LARGE OBJECT") else { return false };
        // A single one by its OID; or `LARGE OBJECTS 1..9`, those of the entry it depends on.
        let oids: Vec<u32> = match named.trim_start().parse() {
            Ok(oid) => vec![oid],
            Err(_) => {
                let of = item.depends_on.iter().filter_map(|id| self.of_item.get(id));
                of.flatten().copied().collect()
            }
        };
        for oid in oids {
            let about = self.objects.entry(oid).or_default();
            match item.desc.as_str() {
                "ACL" => about.grants = on_any(&quoted(&as_grantors(&item.create))),
                _ => about.comment = last_string(&item.create),
            }
        }
        true
    }

    /// The entries of their groups, and each object's.
    pub(super) fn entries(self) -> (Vec<Entry>, Vec<LargeObject>) {
        let mut groups: Vec<Entry> = Vec::new();
        let mut objects = Vec::new();
        for (oid, About { owner, grants, comment }) in self.objects {
            let is_its = |group: &&mut Entry| {
                group.owner.as_deref() == Some(owner.as_str()) && group.create == grants
            };
            let known = groups.len();
            let group = match groups.iter_mut().find(is_its) {
                Some(group) => group,
                None => {
                    let key = match grants.is_empty() {
                        true => quote_ident(&owner),
                        false => format!("{} {}", quote_ident(&owner), known + 1),
                    };
                    groups.push(Entry {
                        owner: Some(owner),
                        create: grants,
                        large_objects: Some(LargeObjectSum::default()),
                        ..Entry::new(Kind::LargeObjects, None, key)
                    });
                    &mut groups[known]
                }
            };
            if let Some(sum) = &mut group.large_objects {
                *sum += LargeObjectSum::of(oid, comment.as_deref());
            }
            objects.push(LargeObject { oid, key: group.name.clone(), comment });
        }
        (groups, objects)
    }
}

/// The large objects that an entry creates.
pub(super) fn created_by(item: &Item) -> Vec<u32> {
    match item.desc.as_str() {
        "BLOB" => item.tag.parse().into_iter().collect(),
        "BLOB METADATA" => item.create.lines().filter_map(|line| line.parse().ok()).collect(),
        _ => Vec::new(),
    }
}

/// Grants on [`ANY_LARGE_OBJECT`] from those on one.
fn on_any(grants: &str) -> String {
    let any = ANY_LARGE_OBJECT.rsplit(' ').next().unwrap_or_default();
    let mut named_next = false;
    replaced(grants, |token| {
        let is_named = named_next && matches!(token, Token::Word(_));
        named_next = token.is_word("OBJECT");
        is_named.then(|| any.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::super::contents::ItemSection;
    use super::*;

    fn item(id: i32, desc: &str, tag: &str, create: &str, depends_on: &[i32]) -> Item {
        Item {
            create: create.into(),
            owner: "app".into(),
            depends_on: depends_on.iter().copied().map(ItemId).collect(),
            ..Item::new(ItemId(id), desc, tag, ItemSection::Data)
        }
    }

    fn told(items: &[Item]) -> (Vec<(String, String, u64)>, Vec<LargeObject>) {
        let mut large = LargeObjects::default();
        assert!(items.iter().all(|item| large.take(item)));
        let (groups, objects) = large.entries();
        let group = |group: Entry| (group.name, group.create, group.large_objects.unwrap().count);
        (groups.into_iter().map(group).collect(), objects)
    }

    #[test]
    fn those_of_one_owner_with_the_same_grants_are_a_group() {
        let grant = |oid| format!("GRANT SELECT ON LARGE OBJECT {oid} TO reader;\n");
        let expected = "GRANT SELECT ON LARGE OBJECT 0 TO \"reader\";\n";
        let create = |oid| format!("SELECT pg_catalog.lo_create('{oid}');\n");
        let each = [
            item(1, "BLOB", "7", &create(7), &[]),
            item(2, "ACL", "LARGE OBJECT 7", &grant(7), &[1]),
            item(3, "BLOB", "8", &create(8), &[]),
            item(4, "BLOB", "9", &create(9), &[]),
            item(5, "COMMENT", "LARGE OBJECT 9", "COMMENT ON LARGE OBJECT 9 IS 'a';\n", &[4]),
            item(6, "ACL", "LARGE OBJECT 9", &grant(9), &[4]),
        ];
        let together = [
            item(1, "BLOB METADATA", "7..9", "7\n9\n", &[]),
            item(2, "ACL", "LARGE OBJECTS 7..9", &grant(7), &[1]),
            item(3, "BLOB METADATA", "8", "8\n", &[]),
            item(5, "COMMENT", "LARGE OBJECT 9", "COMMENT ON LARGE OBJECT 9 IS 'a';\n", &[1]),
        ];
        for items in [&each[..], &together] {
            let (groups, objects) = told(items);
            assert_eq!(
                groups,
                [
                    ("\"app\" 1".to_owned(), expected.to_owned(), 2),
                    ("\"app\"".to_owned(), String::new(), 1)
                ]
            );
            let keys: Vec<_> =
                objects.iter().map(|o| (o.oid, o.key.as_str(), o.comment.as_deref())).collect();
            assert_eq!(
                keys,
                [(7, "\"app\" 1", None), (8, "\"app\"", None), (9, "\"app\" 1", Some("a"))]
            );
        }
    }
}
