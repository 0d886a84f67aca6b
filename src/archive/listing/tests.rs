//! What entries become in an archive.

use super::*;
use crate::toc::{TableData, test_table};

fn entry(kind: Kind, name: &str, depends_on: &[u32]) -> Entry {
    let depends_on = depends_on.iter().copied().map(EntryId).collect();
    Entry { create: "SELECT;\n".to_owned(), depends_on, ..Entry::new(kind, Some("public"), name) }
}

fn listed(entries: Vec<Entry>, part: Part) -> Listing {
    let toc = Toc { entries };
    let object = ObjectItem {
        oid: 7,
        owner: "o".to_owned(),
        grants: String::new(),
        comment: "COMMENT;\n".to_owned(),
    };
    list(&Described {
        encoding: "UTF8",
        toc: &toc,
        create_database: "",
        large_objects: &[object],
        part,
        layout: Layout::Custom,
    })
}

#[test]
fn what_has_large_objects_in_its_name_is_still_what_it_is() {
    let table = || vec![entry(Kind::Table, "LARGE OBJECT 7", &[])];
    let is_there = |part| names(&listed(table(), part)).iter().any(|n| n.starts_with("TABLE "));
    assert!(is_there(Part::Schema) && !is_there(Part::Data));
}

fn names(listing: &Listing) -> Vec<String> {
    let items = listing.items.iter().skip(3);
    items.map(|item| format!("{} {} {:?}", item.desc, item.tag, item.section)).collect()
}

#[test]
fn what_hangs_on_another_section_goes_there_and_comments_follow_their_objects() {
    let listing = listed(
        vec![
            entry(Kind::Role, "r", &[]),
            entry(Kind::Table, "a", &[0]),
            entry(Kind::Table, "b", &[]),
            Entry { after_rows: true, ..entry(Kind::ColumnStorage, "a c", &[1]) },
            entry(Kind::Constraint, "a a_pkey", &[1]),
            entry(Kind::View, "grouped", &[1, 4]),
            entry(Kind::Comment, "TABLE a", &[1]),
            entry(Kind::Comment, "VIEW grouped", &[5]),
        ],
        Part::Schema,
    );
    assert_eq!(
        names(&listing),
        [
            "TABLE a PreData",
            "COMMENT TABLE a None",
            "TABLE b PreData",
            "COLUMN STORAGE a c PostData",
            "CONSTRAINT a a_pkey PostData",
            "VIEW grouped PostData",
            "COMMENT VIEW grouped None",
        ]
    );
    assert_eq!(listing.left_out, ["ROLE public.r"]);
    let ids: BTreeSet<ItemId> = listing.items.iter().map(|item| item.id).collect();
    assert_eq!(ids.len(), listing.items.len());
}

#[test]
fn rows_name_their_table_first_and_are_one_item() {
    let rows = |name: &str, depends_on: &[u32], table| Entry {
        create: String::new(),
        table: Some(Box::new(table)),
        ..entry(Kind::TableData, name, depends_on)
    };
    let of_extension = TableData { of_extension: true, ..test_table("config") };
    let through = TableData { rows_of: RowsOf::Partitions, ..test_table("root") };
    let entries = vec![
        entry(Kind::Extension, "x", &[]),
        entry(Kind::Table, "a", &[]),
        entry(Kind::Table, "root", &[]),
        entry(Kind::Table, "leaf", &[]),
        rows("a", &[0, 1], test_table("a")),
        rows("config", &[0], of_extension),
        rows("root", &[2, 3], through),
        entry(Kind::Index, "leaf_idx", &[3]),
    ];
    let listing = listed(entries.clone(), Part::Everything);
    let item = |desc: &str, tag: &str| {
        listing.items.iter().find(|item| item.desc == desc && item.tag == tag).unwrap()
    };
    let of_a = item("TABLE DATA", "a");
    assert_eq!(of_a.depends_on, [item("TABLE", "a").id, item("EXTENSION", "x").id]);
    assert_eq!(
        of_a.copy.as_deref(),
        Some("COPY \"public\".\"a\" (\"id\", \"note\") FROM stdin;\n")
    );
    // No item is its table.
    let first = item("TABLE DATA", "config").depends_on[0];
    assert!(listing.items.iter().all(|item| item.id != first));
    let of_root = item("TABLE DATA", "root");
    assert!(of_root.create.starts_with("-- load via partition root "));
    // A partition's index waits for the rows that come through its root.
    assert!(item("INDEX", "leaf_idx").depends_on.contains(&of_root.id));
    assert_eq!(listing.rows.len(), 3);

    let data = names(&listed(entries.clone(), Part::Data));
    assert_eq!(
        data,
        [
            "BLOB 7 PreData",
            "COMMENT LARGE OBJECT 7 None",
            "TABLE DATA a Data",
            "TABLE DATA config Data",
            "TABLE DATA root Data"
        ]
    );
    let schema = names(&listed(entries, Part::Schema));
    assert!(schema.contains(&"TABLE DATA config Data".to_owned()), "{schema:?}");
    assert!(!schema.iter().any(|item| item.starts_with("BLOB")), "{schema:?}");
}

#[test]
fn foreign_keys_wait_until_the_last_index_is_attached() {
    let listing = listed(
        vec![
            entry(Kind::Table, "a", &[]),
            entry(Kind::IndexAttach, "one", &[]),
            entry(Kind::IndexAttach, "two", &[]),
            entry(Kind::FkConstraint, "a key", &[0]),
        ],
        Part::Schema,
    );
    let [.., one, two, key] = listing.items.as_slice() else { panic!("{listing:?}") };
    assert_eq!(two.depends_on, [one.id]);
    assert!(key.depends_on.contains(&two.id), "{key:?}");
}

#[test]
fn indexes_that_alter_their_table_are_made_one_after_the_other() {
    let index = |name: &str, more: &str| Entry {
        create: format!("CREATE INDEX;\n{more}"),
        ..entry(Kind::Index, name, &[0])
    };
    let alter = "ALTER TABLE;\n";
    let indexes = [index("one", alter), index("plain", ""), index("two", alter)];
    let entries = [entry(Kind::Table, "a", &[])].into_iter().chain(indexes).collect();
    let listing = listed(entries, Part::Schema);
    let [.., table, one, plain, two] = listing.items.as_slice() else { panic!("{listing:?}") };
    assert_eq!(plain.depends_on, [table.id]);
    assert_eq!(two.depends_on, [table.id, one.id]);
}

#[test]
fn grants_on_what_is_in_a_schema_wait_for_those_on_the_schema() {
    let schema = Entry { schema: None, ..entry(Kind::Schema, "public", &[]) };
    let on_schema = Entry { schema: None, ..entry(Kind::Acl, "SCHEMA public", &[0]) };
    let on_table = entry(Kind::Acl, "TABLE a", &[1]);
    let listing =
        listed(vec![schema, entry(Kind::Table, "a", &[]), on_schema, on_table], Part::Schema);
    let grants: Vec<&Item> = listing.items.iter().filter(|item| item.desc == "ACL").collect();
    assert!(grants[1].depends_on.contains(&grants[0].id), "{grants:?}");
}
