//! A table of contents becomes an archive's: the entries as items that pg_restore knows.
//!
//! Items stand by section, in each in the order of the entries; comments, labels and grants follow
//! what they are about, in no section of their own, as pg_dump has them.

use std::collections::{BTreeSet, HashMap};

use crate::toc::{Entry, EntryId, Kind, RowsOf, Section, Toc};

use super::contents::{Item, ItemId, ItemSection, LARGE_OBJECTS, Place};
use super::header::Layout;
use super::large::is_about_large_objects;
use super::since_15;

/// Which sections are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Part {
    /// All.
    #[default]
    Everything,
    /// Definitions, and the rows of extensions' configuration tables, as in pg_dump.
    Schema,
    /// Rows, large objects and where sequences stand.
    Data,
}

/// A large object, as an archive creates it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectItem {
    /// Its OID.
    pub oid: u32,
    /// Its owner, unquoted.
    pub owner: String,
    /// The statements that grant privileges on it.
    pub grants: String,
    /// The statement that comments it.
    pub comment: String,
}

/// What is put into an archive.
#[derive(Debug)]
pub struct Described<'a> {
    /// The entries.
    pub toc: &'a Toc,
    /// The statement that creates the database.
    pub create_database: &'a str,
    /// The encoding of its rows.
    pub encoding: &'a str,
    /// The large objects, by OID.
    pub large_objects: &'a [ObjectItem],
    /// Which sections.
    pub part: Part,
    /// How it will lie on disk.
    pub layout: Layout,
}

/// What it comes to.
#[derive(Debug, Default)]
pub struct Listing {
    /// The items, in order.
    pub items: Vec<Item>,
    /// The items with rows, in order, each with its entry.
    pub rows: Vec<(EntryId, ItemId)>,
    /// Roles and memberships, which archives don't hold.
    pub left_out: Vec<String>,
}

/// The items of an archive.
pub fn list(described: &Described<'_>) -> Listing {
    let mut writer = Writer {
        described,
        next: 1,
        ids: HashMap::new(),
        last_attached: None,
        altering_indexes: HashMap::new(),
        schema_grants: HashMap::new(),
        through_roots: Vec::new(),
        configuration: BTreeSet::new(),
        listing: Listing::default(),
    };
    writer.begin();
    let (order, sections) = arrange(described.toc);
    let mut large_objects = described.large_objects;
    for id in order {
        let entry = described.toc.entry(id);
        let section = sections[id.0 as usize];
        if section >= ItemSection::Data {
            writer.large_objects(std::mem::take(&mut large_objects));
        }
        match entry.kind {
            Kind::Role | Kind::RoleMembership => writer.listing.left_out.push(entry.title()),
            Kind::DatabaseProperties => writer.database(id, entry),
            Kind::LargeObjects => {}
            Kind::LargeObjectData => writer.large_object_data(id),
            Kind::TableData => writer.rows(id, entry),
            _ => writer.definition(id, entry, section),
        }
    }
    let Writer { described, configuration, mut listing, .. } = writer;
    let is_kept = |item: &Item| configuration.contains(&item.id) || is_wanted(described.part, item);
    listing.items.retain(is_kept);
    let there: BTreeSet<ItemId> = listing.items.iter().map(|item| item.id).collect();
    listing.rows.retain(|(_, item)| there.contains(item));
    listing
}

/// What concerns the archive itself stays in any case.
fn is_wanted(part: Part, item: &Item) -> bool {
    let is_data = item.section == ItemSection::Data || is_about_large_objects(item);
    match part {
        _ if item.is_of_the_archive() => true,
        Part::Everything => true,
        Part::Schema if item.desc == "MATERIALIZED VIEW DATA" => false,
        Part::Schema => !is_data,
        Part::Data => is_data,
    }
}

/// The entries in an archive's order, and each one's section.
fn arrange(toc: &Toc) -> (Vec<EntryId>, Vec<ItemSection>) {
    let needed = needed_by_rows(toc);
    let mut sections = vec![ItemSection::None; toc.entries.len()];
    let mut main: Vec<EntryId> = Vec::new();
    for (id, entry) in toc.iter() {
        let needs_place = !is_attached(entry.kind) || entry.depends_on.is_empty();
        if !needs_place {
            continue;
        }
        let own = match entry.section() {
            _ if needed[id.0 as usize] => ItemSection::PreData,
            _ if entry.after_rows => ItemSection::PostData,
            Section::PreData => ItemSection::PreData,
            Section::Data => ItemSection::Data,
            Section::PostData => ItemSection::PostData,
        };
        let needs = entry.depends_on.iter().map(|need| sections[need.0 as usize]);
        sections[id.0 as usize] = match needed[id.0 as usize] {
            true => own,
            false => needs.max().map_or(own, |latest| own.max(latest)),
        };
        main.push(id);
    }
    main.sort_by_key(|id| sections[id.0 as usize]);
    let place: HashMap<EntryId, usize> =
        main.iter().enumerate().map(|(at, id)| (*id, at)).collect();
    // What follows each of them.
    let mut followers: Vec<Vec<EntryId>> = vec![Vec::new(); main.len()];
    let mut anchors: HashMap<EntryId, usize> = place;
    for (id, entry) in toc.iter().filter(|(id, _)| sections[id.0 as usize] == ItemSection::None) {
        let anchor = entry.depends_on.iter().filter_map(|need| anchors.get(need)).max();
        let anchor = anchor.copied().unwrap_or(main.len() - 1);
        anchors.insert(id, anchor);
        followers[anchor].push(id);
    }
    let order = main.into_iter().zip(followers);
    (order.flat_map(|(id, then)| std::iter::once(id).chain(then)).collect(), sections)
}

fn is_attached(kind: Kind) -> bool {
    matches!(kind, Kind::Comment | Kind::SecurityLabel | Kind::Acl)
}

/// By entry, whether some table's rows need it, directly or not: a key may have to come before rows.
fn needed_by_rows(toc: &Toc) -> Vec<bool> {
    let mut needed = vec![false; toc.entries.len()];
    for (id, entry) in toc.iter().collect::<Vec<_>>().into_iter().rev() {
        if entry.kind == Kind::TableData || needed[id.0 as usize] {
            for first in &entry.depends_on {
                needed[first.0 as usize] |= toc.entry(*first).section() != Section::Data;
            }
        }
    }
    needed
}

struct Writer<'a> {
    described: &'a Described<'a>,
    next: i32,
    /// Where each entry's item is.
    ids: HashMap<EntryId, ItemId>,
    /// The index that was attached last to that of a partitioned table.
    last_attached: Option<ItemId>,
    /// The last index of each table that alters the table, too.
    altering_indexes: HashMap<EntryId, ItemId>,
    /// The grants on each schema.
    schema_grants: HashMap<String, ItemId>,
    /// Rows of all partitions of a table.
    through_roots: Vec<(EntryId, ItemId)>,
    /// Rows of tables that extensions have brought.
    configuration: BTreeSet<ItemId>,
    listing: Listing,
}

impl Writer<'_> {
    /// How what follows is to be read (source: pg_dump.c, dumpEncoding, dumpStdStrings,
    /// dumpSearchPath).
    fn begin(&mut self) {
        let encoding = format!("SET client_encoding = '{}';\n", self.described.encoding);
        for (what, create) in [
            ("ENCODING", encoding.as_str()),
            ("STDSTRINGS", "SET standard_conforming_strings = 'on';\n"),
            // pg_restore runs this in each of its sessions. Rows were read in this locale, and money
            // is read as another amount where another one writes it otherwise.
            (
                "SEARCHPATH",
                "SELECT pg_catalog.set_config('search_path', '', false);\nSET lc_monetary = 'C';\n",
            ),
        ] {
            let item = self.item(what, what, ItemSection::PreData);
            self.put(Item { create: create.to_owned(), ..item });
        }
    }

    /// The database itself, which pg_restore makes if it is told to, and what is set on it.
    fn database(&mut self, id: EntryId, entry: &Entry) {
        let item = self.item("DATABASE", &entry.name, ItemSection::PreData);
        self.ids.insert(id, item.id);
        let (owner, drop) = (entry.owner.clone().unwrap_or_default(), entry.drop.clone());
        let create = self.described.create_database.to_owned();
        self.put(Item { owner, drop: drop + "\n", create, ..item });
        if !entry.create.is_empty() {
            let depends_on = vec![self.ids[&id]];
            let item = self.item(entry.kind.tag(), &entry.name, ItemSection::PreData);
            self.put(Item { create: entry.create.clone(), depends_on, ..item });
        }
    }

    fn definition(&mut self, id: EntryId, entry: &Entry, section: ItemSection) {
        let item = self.item(entry.kind.tag(), &entry.name, section);
        self.ids.insert(id, item.id);
        let mut depends_on = self.needs(entry);
        if section == ItemSection::PostData {
            self.wait_for_rows(entry, &mut depends_on);
        }
        self.wait_for_attachments(entry.kind, item.id, &mut depends_on);
        self.wait_for_altering_indexes(entry, item.id, &mut depends_on);
        if entry.kind == Kind::Acl {
            self.wait_for_schema(entry, item.id, &mut depends_on);
        }
        let line = |sql: &str| if sql.is_empty() { String::new() } else { format!("{sql}\n") };
        self.put(Item {
            create: since_15::written(entry),
            drop: line(entry.drop.trim_end()),
            schema: entry.schema.clone(),
            owner: entry.owner.clone().unwrap_or_default(),
            depends_on,
            ..item
        });
    }

    /// A table's rows. The first that they depend on is taken for their table (source:
    /// pg_backup_archiver.c, buildTocEntryArrays): where an extension has brought that, a number
    /// which no item has stands for it.
    fn rows(&mut self, id: EntryId, entry: &Entry) {
        let Some(table) = &entry.table else { return };
        let is_table = |need: &EntryId| {
            let need = self.described.toc.entry(*need);
            need.kind == Kind::Table && need.name == entry.name && need.schema == entry.schema
        };
        let own = entry.depends_on.iter().find(|need| is_table(need));
        let first = match own.and_then(|own| self.ids.get(own)) {
            Some(first) => *first,
            None => self.number(),
        };
        let mut depends_on = self.needs(entry);
        depends_on.retain(|need| *need != first);
        depends_on.insert(0, first);
        let item = self.item(entry.kind.tag(), &entry.name, ItemSection::Data);
        self.ids.insert(id, item.id);
        self.listing.rows.push((id, item.id));
        if table.of_extension {
            self.configuration.insert(item.id);
        }
        if table.rows_of == RowsOf::Partitions {
            self.through_roots.push((id, item.id));
        }
        let sql = table.relation.sql();
        // By these words pg_restore knows that it may not empty the table before (source:
        // pg_backup_archiver.c, is_load_via_partition_root).
        let create = match table.rows_of {
            RowsOf::Partitions => format!("-- load via partition root {}", sql.replace('\n', " ")),
            _ => String::new(),
        };
        let columns: Vec<String> =
            table.columns.iter().map(|name| crate::pg::quote_ident(name)).collect();
        let columns = match columns.is_empty() {
            true => String::new(),
            false => format!("({}) ", columns.join(", ")),
        };
        self.put(Item {
            create,
            copy: Some(format!("COPY {sql} {columns}FROM stdin;\n")),
            schema: entry.schema.clone(),
            owner: own
                .and_then(|own| self.described.toc.entry(*own).owner.clone())
                .unwrap_or_default(),
            depends_on,
            place: self.place(&format!("{}.dat", item.id.0)),
            ..item
        });
    }

    /// Each large object, but for what it holds (source: pg_dump.c of 15, dumpBlob).
    fn large_objects(&mut self, objects: &[ObjectItem]) {
        for object in objects {
            let oid = object.oid;
            let item = self.item("BLOB", &oid.to_string(), ItemSection::PreData);
            let created = item.id;
            self.put(Item {
                create: format!("SELECT pg_catalog.lo_create('{oid}');\n"),
                drop: format!("SELECT pg_catalog.lo_unlink('{oid}');\n"),
                owner: object.owner.clone(),
                ..item
            });
            for (desc, sql) in [("COMMENT", &object.comment), ("ACL", &object.grants)] {
                if !sql.is_empty() {
                    let item = self.item(desc, &format!("LARGE OBJECT {oid}"), ItemSection::None);
                    let (create, owner) = (sql.clone(), object.owner.clone());
                    self.put(Item { create, owner, depends_on: vec![created], ..item });
                }
            }
        }
    }

    /// What they hold.
    fn large_object_data(&mut self, id: EntryId) {
        let item = self.item(LARGE_OBJECTS, LARGE_OBJECTS, ItemSection::Data);
        self.ids.insert(id, item.id);
        self.listing.rows.push((id, item.id));
        let place = self.place("blobs.toc");
        self.put(Item { place, ..item });
    }

    fn place(&self, file: &str) -> Place {
        match self.described.layout {
            Layout::Custom => Place::Offset(None),
            Layout::Directory | Layout::Tar => Place::File(file.to_owned()),
        }
    }

    fn needs(&self, entry: &Entry) -> Vec<ItemId> {
        entry.depends_on.iter().filter_map(|need| self.ids.get(need).copied()).collect()
    }

    /// pg_restore has what comes after rows wait for those of the tables it depends on. Rows that go
    /// through a partitioned table are a partition's too.
    fn wait_for_rows(&self, entry: &Entry, depends_on: &mut Vec<ItemId>) {
        for (rows, item) in &self.through_roots {
            let tables = &self.described.toc.entry(*rows).depends_on;
            let is_among = tables.iter().any(|table| entry.depends_on.contains(table));
            if is_among && !depends_on.contains(item) {
                depends_on.push(*item);
            }
        }
    }

    /// While a foreign key of a partitioned table looks at the rows of one partition, it holds that
    /// one's indexes and waits for the next table; an index that is attached meanwhile would wait the
    /// other way round. So pg_restore's workers attach one index after the other, and then add keys.
    fn wait_for_attachments(&mut self, kind: Kind, item: ItemId, depends_on: &mut Vec<ItemId>) {
        if matches!(kind, Kind::IndexAttach | Kind::FkConstraint)
            && let Some(last) = self.last_attached
            && !depends_on.contains(&last)
        {
            depends_on.push(last);
        }
        if kind == Kind::IndexAttach {
            self.last_attached = Some(item);
        }
    }

    /// An item is one transaction, and an index that its table is then clustered by, say, takes a
    /// stronger lock than it was made under: two of a table would wait for each other.
    fn wait_for_altering_indexes(
        &mut self,
        entry: &Entry,
        item: ItemId,
        depends_on: &mut Vec<ItemId>,
    ) {
        let has_more_statements = entry.create.trim_end().contains(";\n");
        if entry.kind != Kind::Index || !has_more_statements {
            return;
        }
        for table in &entry.depends_on {
            let kind = self.described.toc.entry(*table).kind;
            if matches!(kind, Kind::Table | Kind::MaterializedView)
                && let Some(before) = self.altering_indexes.insert(*table, item)
            {
                depends_on.push(before);
            }
        }
    }

    /// Who grants what was granted to them must be let into the schema, and pg_restore's workers run
    /// grants in any order.
    fn wait_for_schema(&mut self, entry: &Entry, item: ItemId, depends_on: &mut Vec<ItemId>) {
        if let Some(schema) = entry.name.strip_prefix("SCHEMA ")
            && entry.schema.is_none()
        {
            self.schema_grants.insert(schema.to_owned(), item);
        }
        let of_schema = entry.schema.as_ref().and_then(|schema| self.schema_grants.get(schema));
        depends_on.extend(of_schema);
    }

    fn number(&mut self) -> ItemId {
        let id = ItemId(self.next);
        self.next += 1;
        id
    }

    fn item(&mut self, desc: &str, tag: &str, section: ItemSection) -> Item {
        Item::new(self.number(), desc, tag, section)
    }

    fn put(&mut self, item: Item) {
        self.listing.items.push(item);
    }
}

#[cfg(test)]
mod tests;
