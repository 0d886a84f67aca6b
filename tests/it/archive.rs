//! The table of contents of an archive that pg_dump wrote: exact where the comments of a plain dump
//! would have to be guessed at (source: pg_backup_archiver.c, ReadHead and ReadToc; written by
//! pg_dump 17 or later).

use std::fmt;

use crate::pg_dump::without_stamps;

/// The archive format of pg_dump 17 and 18, which this reads.
const VERSION: [u8; 2] = [1, 16];

/// What names an item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    /// Such as `FK CONSTRAINT`.
    pub(crate) desc: String,
    pub(crate) schema: String,
    /// The object's name, with arguments or its table where it takes them to name it.
    pub(crate) tag: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}] {}", self.desc, self.schema, self.tag)
    }
}

/// What pg_dump would restore as one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Item {
    pub(crate) key: Key,
    /// Its statements, and the owner, tablespace and access method that are set around them.
    pub(crate) text: String,
}

/// The items of an archive in pg_dump's custom format, in its order.
pub(crate) fn items(archive: &[u8]) -> Vec<Item> {
    let mut input = Input { left: archive };
    assert_eq!(input.bytes(5), b"PGDMP");
    assert_eq!(input.bytes(3)[..2], VERSION, "the archive's version");
    assert_eq!(input.bytes(3), [4, 8, 1], "sizes of int and offset, custom format");
    assert_eq!(input.bytes(1), [0], "no compression");
    for _ in 0..7 {
        input.int();
    }
    for _ in 0..3 {
        input.text();
    }
    let count = input.int();
    whole_views((0..count).map(|_| item(&mut input)).filter(|item| !item.text.is_empty()))
}

/// Which of the views in a circle pg_dump takes apart hangs on their OIDs: here none are.
fn whole_views(items: impl Iterator<Item = Item>) -> Vec<Item> {
    let (queries, mut items): (Vec<Item>, Vec<Item>) =
        items.partition(|item| item.key.desc == "RULE" && item.key.tag.ends_with(" _RETURN"));
    for query in queries {
        let view = query.key.tag.trim_end_matches(" _RETURN");
        let whole = items.iter_mut().find(|item| {
            item.key.desc == "VIEW" && item.key.schema == query.key.schema && item.key.tag == view
        });
        whole.expect("a view of this query").text = query.text.replacen(" OR REPLACE", "", 1);
    }
    items
}

/// Where pg_dump cuts a circle hangs on OIDs, too: one side may have a default or a check as an item
/// of its own, where the other has it in its table or domain. Takes such away from both.
pub(crate) fn without_cuts(ours: &mut Vec<Item>, theirs: &mut Vec<Item>) {
    for key in cuts(ours, theirs) {
        take_away(key, ours, theirs);
    }
    for key in cuts(theirs, ours) {
        take_away(key, theirs, ours);
    }
}

/// The defaults and checks that only `here` are items.
fn cuts(here: &[Item], there: &[Item]) -> Vec<Key> {
    let kinds = ["DEFAULT", "CHECK CONSTRAINT"];
    let cut = here.iter().map(|item| &item.key).filter(|key| kinds.contains(&key.desc.as_str()));
    cut.filter(|key| !there.iter().any(|item| item.key == **key)).cloned().collect()
}

/// Takes what is an item `here` out of the item of `there` that has it, if one has it in the same
/// words.
fn take_away(key: Key, here: &mut Vec<Item>, there: &mut [Item]) {
    let at = here.iter().position(|item| item.key == key).unwrap();
    let statement = here[at].text.split(";\n").next().unwrap();
    let (_, expression) =
        statement.split_once(" SET ").or_else(|| statement.split_once("ADD ")).unwrap();
    let places = match key.desc.as_str() {
        // Cut off, a generated column's expression is a mere default, by pg_dump's mistake.
        "DEFAULT" => {
            let generated = expression.replacen("DEFAULT ", "GENERATED ALWAYS AS (", 1);
            vec![format!(" {expression}"), format!(" {generated}) STORED")]
        }
        _ => [",\n    ", "\n    ", "\n\t"].map(|gap| format!("{gap}{expression}")).to_vec(),
    };
    let whole = there.iter_mut().find_map(|item| {
        let of_kind = ["TABLE", "DOMAIN"].contains(&item.key.desc.as_str());
        let is_its = of_kind && item.key.schema == key.schema && key.tag.starts_with(&item.key.tag);
        let place = places.iter().find(|place| is_its && item.text.contains(*place))?;
        Some((item, place))
    });
    if let Some((item, place)) = whole {
        item.text = item.text.replacen(place, "", 1);
        here.remove(at);
    }
}

fn item(input: &mut Input<'_>) -> Item {
    let _dump_id = input.int();
    let _has_data = input.int();
    let _catalog_and_oid = (input.text(), input.text());
    let tag = input.text();
    let desc = input.text();
    let _section = input.int();
    let definition = input.text();
    let _drop = input.text();
    let _copy = input.text();
    let schema = input.text();
    let tablespace = input.text();
    let access_method = input.text();
    let _relkind = input.int();
    let owner = input.text();
    let _with_oids = input.text();
    while input.optional_text().is_some() {}
    let _data_state_and_offset = input.bytes(9);

    let around = [("owner", owner), ("tablespace", tablespace), ("access method", access_method)];
    let by_chance = |line: &str| match desc.as_str() {
        "DEFAULT ACL" => true,
        "DATABASE PROPERTIES" => line.starts_with("ALTER ROLE "),
        _ => line.contains(" DEPENDS ON EXTENSION "),
    };
    let mut text = in_any_order(&without_stamps(&definition), by_chance);
    for (name, value) in around {
        if !value.is_empty() {
            text.push_str(&format!("-- {name}: {value}\n"));
        }
    }
    Item { key: Key { desc, schema, tag }, text }
}

/// Sorts lines that stand in an order `by_chance`: pg_dump asks in none for the extensions that an
/// object depends on, and for roles' settings in a database, which the catalogs compared show; and
/// default privileges stand in that of the roles' OIDs.
fn in_any_order(text: &str, by_chance: impl Fn(&str) -> bool) -> String {
    let lines = text.lines().map(|line| format!("{line}\n"));
    let (mut moved, kept): (Vec<String>, Vec<String>) = lines.partition(|line| by_chance(line));
    moved.sort();
    kept.concat() + &moved.concat()
}

struct Input<'a> {
    left: &'a [u8],
}

impl<'a> Input<'a> {
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (bytes, left) = self.left.split_at(count);
        self.left = left;
        bytes
    }

    /// A sign, and four bytes, the lowest first.
    fn int(&mut self) -> i64 {
        let negative = self.bytes(1) != [0];
        let value = u32::from_le_bytes(self.bytes(4).try_into().unwrap());
        if negative { -i64::from(value) } else { i64::from(value) }
    }

    fn optional_text(&mut self) -> Option<String> {
        let length = usize::try_from(self.int()).ok()?;
        Some(String::from_utf8_lossy(self.bytes(length)).into_owned())
    }

    fn text(&mut self) -> String {
        self.optional_text().unwrap_or_default()
    }
}
