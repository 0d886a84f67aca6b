//! Which of an archive's items are restored, by what they say of themselves: their section, their
//! number. Pure.

use std::collections::BTreeSet;

use crate::error::{Error, Result};

use super::contents::{Contents, Item, ItemId, ItemSection};
use super::large::is_about_large_objects;
use super::listing::Part;

/// Which items are restored; all where nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    /// Whether rows, or all but rows.
    pub part: Part,
    /// Only these sections, where there are any.
    pub sections: BTreeSet<ItemSection>,
    /// Only these items, where somebody has listed them.
    pub listed: Option<BTreeSet<ItemId>>,
}

impl Chosen {
    /// The items that are restored. What concerns the archive itself is none of them.
    pub fn of(&self, contents: &Contents) -> BTreeSet<ItemId> {
        let mut chosen = BTreeSet::new();
        // What is in no section goes with what it stands behind (source: pg_backup_archiver.c,
        // ProcessArchiveRestoreOptions).
        let mut current = ItemSection::PreData;
        for item in &contents.items {
            if item.section != ItemSection::None {
                current = item.section;
            }
            let section = section(item, current);
            let is_data = section == ItemSection::Data || item.desc == "MATERIALIZED VIEW DATA";
            let goes = match self.part {
                Part::Everything => true,
                Part::Schema => !is_data,
                Part::Data => is_data,
            };
            let in_section = self.sections.is_empty() || self.sections.contains(&section);
            let is_listed = self.listed.as_ref().is_none_or(|listed| listed.contains(&item.id));
            if goes && in_section && is_listed && !item.is_of_the_archive() {
                chosen.insert(item.id);
            }
        }
        chosen
    }
}

/// The section in which an item is restored here. Large objects are data with all that is said of
/// them, which pg_dump before 17 has before rows. What a database has as a whole comes last: its
/// settings may keep out who restores what is still to come.
fn section(item: &Item, current: ItemSection) -> ItemSection {
    match item {
        _ if is_about_large_objects(item) => ItemSection::Data,
        _ if item.is_of_the_database() => ItemSection::PostData,
        _ => current,
    }
}

/// An archive's list as pg_restore prints it, and takes it back: an item a line, its number first;
/// what comes after a semicolon is a comment (source: pg_backup_archiver.c, PrintTOCSummary).
pub fn list_of(contents: &Contents, chosen: &BTreeSet<ItemId>) -> String {
    let items = contents.items.iter().filter(|item| chosen.contains(&item.id));
    let line = |item: &Item| {
        let shown = |text: &str| match text {
            "" => "-".to_owned(),
            text => text.replace(['\n', '\r'], " "),
        };
        format!(
            "{}; {} {} {} {} {} {}\n",
            item.id.0,
            item.catalog_id.0,
            item.catalog_id.1,
            item.desc,
            shown(item.schema.as_deref().unwrap_or_default()),
            item.tag.replace(['\n', '\r'], " "),
            item.owner.replace(['\n', '\r'], " "),
        )
    };
    items.map(line).collect()
}

/// The items of a list: the number at the beginning of each line, as pg_restore reads it (source:
/// pg_backup_archiver.c, SortTocFromFile). Their order there changes nothing.
pub fn items_of_list(list: &str, contents: &Contents) -> Result<BTreeSet<ItemId>> {
    let there: BTreeSet<ItemId> = contents.items.iter().map(|item| item.id).collect();
    let mut listed = BTreeSet::new();
    for (number, line) in (1..).zip(list.lines()) {
        let said = line.split(';').next().unwrap_or_default().trim();
        if said.is_empty() {
            continue;
        }
        let digits = said.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        let id = digits.parse().ok().map(ItemId);
        match id {
            Some(id) if there.contains(&id) => listed.insert(id),
            Some(id) => {
                let what = format!("the archive has no entry {}", id.0);
                return Err(misread(number, what));
            }
            None => return Err(misread(number, format!("it begins with no number: {said}"))),
        };
    }
    Ok(listed)
}

fn misread(line: u32, because: String) -> Error {
    Error::usage(format!("reading line {line} of the list")).because(because).hint(
        "give a list that `restore --list` or `pg_restore --list` printed of this very archive; a \
         line that is to be left out begins with a semicolon",
    )
}

#[cfg(test)]
mod tests {
    use super::super::header::{Compression, CreatedAt, Header, Layout, Version};
    use super::*;

    fn item(id: i32, desc: &str, tag: &str, section: ItemSection) -> Item {
        Item {
            catalog_id: ("1259".into(), "16385".into()),
            schema: Some("public".into()),
            owner: "shop".into(),
            ..Item::new(ItemId(id), desc, tag, section)
        }
    }

    fn contents() -> Contents {
        use ItemSection::{Data, None, PostData, PreData};
        let items = [
            ("ENCODING", "ENCODING", PreData),
            ("DATABASE", "shop", PreData),
            ("COMMENT", "DATABASE shop", None),
            ("TABLE", "orders", PreData),
            ("ACL", "TABLE orders", None),
            ("BLOB", "70001", PreData),
            ("ACL", "LARGE OBJECT 70001", None),
            ("TABLE DATA", "orders", Data),
            ("SEQUENCE SET", "orders_id_seq", Data),
            ("BLOBS", "BLOBS", Data),
            ("INDEX", "a\nb", PostData),
            ("COMMENT", "INDEX a", None),
            ("MATERIALIZED VIEW DATA", "totals", PostData),
        ];
        let items = (1..).zip(items).map(|(id, (desc, tag, section))| item(id, desc, tag, section));
        Contents {
            header: Header {
                version: Version::V1_14,
                layout: Layout::Directory,
                compression: Compression::None,
                created: CreatedAt([0; 7]),
                database: "shop".into(),
                server_version: "15.20".into(),
                dumper_version: "15.20".into(),
            },
            items: items.collect(),
            length: 0,
        }
    }

    fn ids(chosen: &Chosen) -> Vec<i32> {
        chosen.of(&contents()).into_iter().map(|id| id.0).collect()
    }

    #[test]
    fn what_is_in_no_section_goes_with_what_it_stands_behind() {
        let of = |section| ids(&Chosen { sections: [section].into(), ..Chosen::default() });
        assert_eq!(of(ItemSection::PreData), [4, 5]);
        assert_eq!(of(ItemSection::Data), [6, 7, 8, 9, 10]);
        assert_eq!(of(ItemSection::PostData), [2, 3, 11, 12, 13]);
        assert_eq!(ids(&Chosen::default()), (2..=13).collect::<Vec<_>>());
    }

    #[test]
    fn rows_and_definitions_are_all_there_is() {
        let of = |part| ids(&Chosen { part, ..Chosen::default() });
        assert_eq!(of(Part::Data), [6, 7, 8, 9, 10, 13]);
        assert_eq!(of(Part::Schema), [2, 3, 4, 5, 11, 12]);
    }

    #[test]
    fn a_list_that_is_printed_is_read_and_what_is_commented_out_is_not() {
        let contents = contents();
        let list = list_of(&contents, &Chosen::default().of(&contents));
        assert!(list.contains("\n11; 1259 16385 INDEX public a b shop\n"), "{list}");
        assert_eq!(items_of_list(&list, &contents).unwrap().len(), 12);
        let edited = "; a comment\n\n   7; 0 16385 TABLE DATA\r\n;4; TABLE\n 4 without more\n7;\n";
        let ids: Vec<i32> =
            items_of_list(edited, &contents).unwrap().iter().map(|id| id.0).collect();
        assert_eq!(ids, [4, 7]);
    }

    #[test]
    fn a_line_that_names_no_entry_is_told_by_its_number() {
        for (list, words) in [
            ("7;\n\n99; TABLE\n", "line 3 of the list: the archive has no entry 99"),
            ("TABLE orders", "line 1 of the list: it begins with no number: TABLE orders"),
            ("-7;", "line 1"),
            ("99999999999999;", "line 1"),
        ] {
            let error = items_of_list(list, &contents()).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
