//! Archives' entries as pg_dump writes them, made by hand.

use super::super::format::contents::{Contents, Item, ItemId, ItemSection, Place};
use super::super::format::header::{Compression, CreatedAt, Header, Layout, Version};
use super::*;
use crate::pg::RowFormat;
use crate::toc::RowsOf;

fn item(id: i32, desc: &str, schema: &str, tag: &str, create: &str) -> Item {
    Item {
        create: create.into(),
        schema: Some(schema.to_owned()).filter(|schema| !schema.is_empty()),
        owner: "app".into(),
        ..Item::new(ItemId(id), desc, tag, ItemSection::PreData)
    }
}

fn table(id: i32, name: &str) -> Item {
    Item {
        drop: format!("DROP TABLE public.{name};\n"),
        ..item(id, "TABLE", "public", name, &format!("CREATE TABLE public.{name} (a integer);\n"))
    }
}

fn table_item() -> Item {
    table(1, "root")
}

fn rows(id: i32, name: &str, copy: &str, needs: &[i32]) -> Item {
    Item {
        section: ItemSection::Data,
        copy: Some(copy.to_owned()),
        depends_on: needs.iter().copied().map(ItemId).collect(),
        place: Place::File(format!("{id}.dat")),
        ..item(id, "TABLE DATA", "public", name, "")
    }
}

fn read(items: Vec<Item>) -> Result<ArchivedToc> {
    let mut gathered = read_all(items)?;
    let kept = vec![true; gathered.toc.entries.len()];
    gathered.keep(&kept);
    Ok(gathered)
}

fn read_all(items: Vec<Item>) -> Result<ArchivedToc> {
    let all = items.iter().map(|item| item.id).collect();
    read_some(items, &all)
}

fn read_some(items: Vec<Item>, chosen: &BTreeSet<ItemId>) -> Result<ArchivedToc> {
    let header = Header {
        version: Version::V1_14,
        layout: Layout::Directory,
        compression: Compression::None,
        created: CreatedAt([0; 7]),
        database: "shop".into(),
        server_version: "15.20".into(),
        dumper_version: "15.20".into(),
    };
    let contents = Contents { header, items, length: 0 };
    toc_of(&contents, None, chosen, |item| item.id.0 as u64)
}

fn titles(gathered: &ArchivedToc) -> Vec<String> {
    gathered.toc.entries.iter().map(Entry::title).collect()
}

#[test]
fn a_tables_owner_is_set_by_its_name_and_a_functions_by_its_arguments() {
    let function = Item {
        drop: "DROP FUNCTION public.f(integer);\n".into(),
        ..item(2, "FUNCTION", "public", "f(integer)", "CREATE FUNCTION …;\n")
    };
    let index = Item {
        drop: "DROP INDEX public.i;\n".into(),
        section: ItemSection::PostData,
        ..item(3, "INDEX", "public", "i", "CREATE INDEX i ON public.t USING btree (a);\n")
    };
    let gathered = read(vec![table(1, "t"), function, index]).unwrap();
    let owners: Vec<Option<String>> =
        gathered.toc.entries.iter().map(|entry| entry.owner_sql("app")).collect();
    assert_eq!(
        owners,
        [
            None,
            Some("ALTER TABLE \"public\".\"t\" OWNER TO \"app\";\n".to_owned()),
            Some("ALTER FUNCTION public.f(integer) OWNER TO \"app\";\n".to_owned()),
            None
        ]
    );
}

#[test]
fn rows_know_their_table_and_dependencies_that_are_missing_are_nothing_to_wait_for() {
    let items = vec![
        table(7, "t"),
        rows(9, "t", "COPY public.t (a, \"B\") FROM stdin;\n", &[7, 4]),
        Item { depends_on: vec![ItemId(7), ItemId(99)], ..item(8, "RULE", "public", "t r", "…") },
    ];
    let gathered = read(items).unwrap();
    assert_eq!(
        titles(&gathered),
        ["SCHEMA public", "TABLE public.t", "TABLE DATA public.t", "RULE public.t r"]
    );
    let data = &gathered.toc.entries[2];
    assert_eq!(data.depends_on, [EntryId(1)]);
    let table = data.table.as_deref().unwrap();
    assert_eq!(
        (table.columns.as_slice(), table.format),
        (&["a".into(), "B".into()][..], RowFormat::Text)
    );
    assert_eq!(table.archived.as_ref().unwrap().parts[0].item, 9);
    assert!(!table.of_extension && !table.unlogged);
    assert_eq!(gathered.toc.entries[3].depends_on, [EntryId(1)]);
}

#[test]
fn partitions_rows_that_go_through_their_root_are_parts_of_its_rows() {
    let copy = "COPY public.root (a) FROM stdin;\n";
    let items = vec![
        table(1, "root"),
        table(2, "one"),
        table(3, "two"),
        rows(4, "one", copy, &[2]),
        rows(5, "two", copy, &[3]),
    ];
    let gathered = read(items).unwrap();
    let table = gathered.toc.entries.last().unwrap().table.as_deref().unwrap();
    assert_eq!((table.relation.name.as_str(), &table.rows_of), ("root", &RowsOf::Partitions));
    let parts: Vec<i32> = table.archived.iter().flat_map(|a| &a.parts).map(|p| p.item).collect();
    assert_eq!((parts, table.size.bytes), (vec![4, 5], 9));
    // Ours has them together, under the root's own name.
    let create = "-- load via partition root \"public\".\"root\"".to_owned();
    let gathered =
        read(vec![table_item(), Item { create, ..rows(4, "root", copy, &[1]) }]).unwrap();
    let table = gathered.toc.entries.last().unwrap().table.as_deref().unwrap();
    assert_eq!(table.rows_of, RowsOf::Partitions);
}

#[test]
fn partitions_rows_keep_the_order_of_columns_that_they_have() {
    let copy = |columns: &str| format!("COPY public.root ({columns}) FROM stdin;\n");
    let items = vec![
        table_item(),
        rows(4, "one", &copy("a, b"), &[1]),
        rows(5, "two", &copy("b, a"), &[1]),
    ];
    let gathered = read(items).unwrap();
    let table = gathered.toc.entries.last().unwrap().table.as_deref().unwrap();
    let columns: Vec<Option<Vec<String>>> =
        table.archived.iter().flat_map(|a| &a.parts).map(|part| part.columns.clone()).collect();
    assert_eq!(columns, [None, Some(vec!["b".to_owned(), "a".to_owned()])]);
}

#[test]
fn an_archive_of_inserts_or_of_unknown_kinds_is_refused_by_name() {
    for (item, words) in [
        (item(1, "ENCODING", "", "ENCODING", "SET a = 'b';\n"), "what it is encoded in"),
        (
            item(1, "TABLE", "public", "t", "COMMIT;\n"),
            "entry 1, TABLE t: a statement of it is COMMIT",
        ),
        (
            Item { copy: None, ..rows(1, "t", "", &[]) },
            "the rows of TABLE DATA public.t aren't there for COPY",
        ),
        (
            Item { place: Place::Nowhere, ..rows(1, "t", "COPY public.t (a) FROM stdin;\n", &[]) },
            "no data of TABLE DATA public.t",
        ),
        (item(1, "PROPERTY GRAPH", "public", "g", "CREATE …"), "PROPERTY GRAPH public.g"),
    ] {
        let error = read(vec![item]).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn rows_know_what_they_are_encoded_in() {
    for name in ["UTF8", "EUC_JP", "SQL_ASCII"] {
        let encoding = format!("SET client_encoding = '{name}';\n");
        let copy = "COPY public.t (a) FROM stdin;\n";
        let items = vec![
            item(9, "ENCODING", "", "ENCODING", &encoding),
            table(1, "t"),
            rows(2, "t", copy, &[1]),
        ];
        assert_eq!(read(items).unwrap().encoding, name);
    }
}

#[test]
fn an_earlier_jobs_ledger_is_left_out_and_told() {
    let ledger = vec![
        item(1, "SCHEMA", "", "pgconvoy", "CREATE SCHEMA pgconvoy;\n"),
        item(2, "TABLE", "pgconvoy", "job", "CREATE TABLE pgconvoy.job (a integer);\n"),
        Item {
            schema: Some("pgconvoy".into()),
            ..rows(3, "job", "COPY pgconvoy.job (a) FROM stdin;\n", &[2])
        },
        table(4, "t"),
    ];
    let gathered = read(ledger).unwrap();
    assert_eq!(titles(&gathered), ["SCHEMA public", "TABLE public.t"]);
    assert!(
        gathered.findings[0].to_string().contains("schema pgconvoy"),
        "{:?}",
        gathered.findings
    );
}

#[test]
fn what_waits_for_itself_or_in_a_circle_is_made_in_the_archives_order() {
    let waits = |id: i32, name: &str, needs: &[i32]| Item {
        depends_on: needs.iter().copied().map(ItemId).collect(),
        ..table(id, name)
    };
    let ids = [i32::MAX, 1];
    let circle = vec![
        waits(ids[0], "a", &[ids[0], ids[1]]),
        waits(ids[1], "b", &[ids[0], ids[0], -5, i32::MIN]),
    ];
    let gathered = read(circle).unwrap();
    let needs: Vec<_> = gathered.toc.entries.iter().map(|entry| entry.depends_on.clone()).collect();
    assert_eq!(needs, [vec![], vec![], vec![EntryId(1), EntryId(1)]]);
}

#[test]
fn many_large_objects_of_one_entry_are_divided_and_few_are_not() {
    for (count, chunks) in
        [(3, vec![None]), (1000, vec![None]), (2001, vec![Some(0), Some(1), Some(2)])]
    {
        let object = |id: i32| item(id, "BLOB", "", &id.to_string(), "SELECT …;\n");
        let mut items: Vec<Item> = (1..=count).map(object).collect();
        let place = Place::File("blobs.toc".into());
        items.push(Item { place, ..item(9000, "BLOBS", "", "BLOBS", "") });
        let gathered = read(items).unwrap();
        let table = gathered.toc.entries.last().unwrap().table.as_deref().unwrap();
        let parts = &table.archived.as_ref().unwrap().parts;
        assert_eq!(parts.iter().map(|part| part.chunk).collect::<Vec<_>>(), chunks, "{count}");
    }
}

#[test]
fn what_is_stored_elsewhere_or_otherwise_says_so() {
    let apart = Item { tablespace: Some("fast".into()), ..table(1, "a") };
    let other = Item { access_method: Some("columnar".into()), ..table(2, "b") };
    let parent =
        Item { access_method: Some("columnar".into()), relkind: i32::from(b'p'), ..table(3, "c") };
    let gathered = read(vec![apart, other, parent]).unwrap();
    let found: Vec<String> = gathered.findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        ["changed: TABLE public.a: lies in tablespace fast: it goes to the target's default one"]
    );
    assert_eq!(
        gathered.toc.entries[2].create,
        "SET LOCAL default_table_access_method TO \"columnar\";\n\
         CREATE TABLE public.b (a integer);\n\
         SET LOCAL default_table_access_method TO \"heap\";\n"
    );
    assert!(
        gathered.toc.entries[3]
            .create
            .ends_with("ALTER TABLE \"public\".\"c\" SET ACCESS METHOD \"columnar\";\n")
    );
}

#[test]
fn the_databases_own_entries_become_one() {
    let database = Item {
        drop: "DROP DATABASE shop;\n".into(),
        ..item(1, "DATABASE", "", "shop", "CREATE DATABASE shop WITH ENCODING = 'UTF8';\n")
    };
    let set = "ALTER DATABASE shop SET work_mem TO '64MB';\n";
    let properties = item(2, "DATABASE PROPERTIES", "", "shop", set);
    let comment =
        item(3, "COMMENT", "", "DATABASE shop", "COMMENT ON DATABASE shop IS 'the shop';\n");
    let gathered = read(vec![database, comment, properties]).unwrap();
    assert_eq!(titles(&gathered), ["DATABASE PROPERTIES shop", "COMMENT DATABASE shop"]);
    let own = &gathered.toc.entries[0];
    assert_eq!(own.create, "ALTER DATABASE \"shop\" SET \"work_mem\" TO '64MB';\n");
    assert_eq!(own.owner_sql("x").unwrap(), "ALTER DATABASE \"shop\" OWNER TO \"x\";\n");
    assert_eq!(gathered.toc.entries[1].create, "COMMENT ON DATABASE \"shop\" IS 'the shop';\n");
    assert!(gathered.database.is_some());
}

#[test]
fn what_is_kept_says_what_it_needs_of_the_others_and_knows_the_tables_that_stand() {
    let index = Item {
        section: ItemSection::PostData,
        depends_on: vec![ItemId(1)],
        ..item(5, "INDEX", "public", "i", "CREATE INDEX i ON public.t USING btree (a);\n")
    };
    let set = "SELECT pg_catalog.setval('public.s', 5, true);\n";
    let set = Item { section: ItemSection::Data, ..item(4, "SEQUENCE SET", "public", "s", set) };
    let items = vec![
        table(1, "t"),
        table(2, "u"),
        rows(3, "t", "COPY public.t (a) FROM stdin;", &[1]),
        set,
        index,
    ];
    let kept = |ids: &[i32]| {
        let mut gathered = read_all(items.clone()).unwrap();
        let kept: Vec<bool> = gathered
            .items
            .iter()
            .map(|item| item.is_none_or(|item| ids.contains(&item.0)))
            .collect();
        let needs = gathered.keep(&kept);
        let need = |need: Need| format!("{} {} by {}", need.kind, need.name, need.by);
        let stands =
            |entry: &Entry| entry.stands || entry.table.as_ref().is_some_and(|table| table.stands);
        let entries = gathered.toc.entries.iter();
        let entries: Vec<(String, bool)> =
            entries.map(|entry| (entry.title(), stands(entry))).collect();
        (needs.into_iter().map(need).collect::<Vec<_>>(), entries)
    };
    let title = |title: &str, stands| (title.to_owned(), stands);
    assert_eq!(kept(&[1, 2, 3, 5]).0, [""; 0]);
    assert_eq!(
        kept(&[3, 4]),
        (
            vec![
                "SEQUENCE s by SEQUENCE SET public.s".to_owned(),
                "TABLE t by TABLE DATA public.t".to_owned()
            ],
            vec![
                title("TABLE public.t", true),
                title("TABLE DATA public.t", true),
                title("SEQUENCE SET public.s", false)
            ]
        )
    );
    assert_eq!(kept(&[5]).0, ["TABLE t by INDEX public.i"]);
    assert_eq!(kept(&[2]).1[0], title("SCHEMA public", false));
}

#[test]
fn the_comment_that_every_public_has_is_nothing_to_make() {
    let comment = |id, tag: &str, text: &str| {
        let create = format!("COMMENT ON {tag} IS '{text}';\n");
        item(id, "COMMENT", "", tag, &create)
    };
    let listed = read(vec![
        comment(1, "SCHEMA \"public\"", "standard public schema"),
        comment(2, "SCHEMA \"other\"", "standard public schema"),
        comment(3, "SCHEMA \"public\"", "ours"),
    ])
    .unwrap();
    let made = ["COMMENT SCHEMA \"other\"", "COMMENT SCHEMA \"public\""];
    assert_eq!(titles(&listed), made);
}

#[test]
fn large_objects_whose_entries_are_not_restored_with_their_contents_are_told() {
    let blob = |id: i32| item(id, "BLOB", "", &id.to_string(), "SELECT lo_create(…);\n");
    let metadata = |id: i32, oids: &str| item(id, "BLOB METADATA", "", "BLOB METADATA", oids);
    let of = |id: i32, needs: &[i32]| Item {
        section: ItemSection::Data,
        depends_on: needs.iter().copied().map(ItemId).collect(),
        place: Place::File("blobs.toc".into()),
        ..item(id, "BLOBS", "", "BLOBS", "")
    };
    let two = || vec![metadata(1, "7\n"), of(2, &[1]), metadata(3, "8\n"), of(4, &[3])];
    for (items, chosen, is_told) in [
        (vec![of(1, &[])], &[1][..], true),
        (vec![blob(1), blob(2), of(3, &[])], &[1, 2, 3], false),
        (vec![blob(1), blob(2), of(3, &[])], &[1, 3], true),
        (vec![blob(1), blob(2), of(3, &[])], &[1, 2], false),
        (two(), &[1, 2, 3, 4], false),
        (two(), &[1, 2], false),
        (two(), &[1, 2, 4], true),
    ] {
        let chosen: BTreeSet<ItemId> = chosen.iter().copied().map(ItemId).collect();
        let findings = read_some(items, &chosen).unwrap().findings;
        let told = findings.iter().any(|found| found.to_string().contains("target user"));
        assert_eq!(told, is_told, "{chosen:?}: {findings:?}");
    }
}
