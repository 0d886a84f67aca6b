//! An archive's entries as a table of contents, which everything downstream is made for. Pure.

mod kept;
mod owned;

use std::collections::{BTreeSet, HashMap};

use crate::error::{Error, Kind as ErrorKind, Result};
use crate::pg::{QualifiedName, RowFormat, quote_ident};
use crate::toc::{
    Archived, ArchivedPart, Entry, EntryId, Finding, KeyColumn, Kind, LARGE_OBJECTS_VIEW,
    LargeObject, RowsOf, Section, TableData, TableSize, Toc, counted, statements, stored_by,
};

use super::contents::{Contents, Item, ItemId, ItemSection, Place, UTF8};
use super::hashed::Hashed;
use super::large::{LargeObjects, OBJECTS_AT_ONCE, is_about_large_objects};
use super::manifest::Manifest;
use super::money;
use super::since_15;
use super::spelling::{as_grantors, copied, quoted, unstamped};
use super::vetting::{is_of_a_ledger, is_the_systems, refuse_odd};
use owned::{Owned, drop_sql, owned};

pub(crate) use kept::Need;

const READING: &str = "reading the archive's entries";

/// Rows in text take about as much room as in a table.
const PAGE: u64 = 8 << 10;

/// What an archive's entries come to.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    /// The table of contents.
    pub(crate) toc: Toc,
    /// For each entry the archive's item, where it is one.
    pub(crate) items: Vec<Option<ItemId>>,
    /// What is left out, and what will differ.
    pub(crate) findings: Vec<Finding>,
    /// The large objects, but for their contents.
    pub(crate) large_objects: Vec<LargeObject>,
    /// The statement that creates the database, where there is one.
    pub(crate) database: Option<String>,
    /// The locale that amounts of money are read in; none for that of the target database.
    pub(crate) money: Option<String>,
    /// The encoding of the rows.
    pub(crate) encoding: String,
}

/// The table of contents that `contents` are, but for rows and large objects that aren't `chosen`:
/// what else isn't is there for [`Listed::keep`] to see what needs it. `length` says how many bytes an
/// entry's data has.
pub(crate) fn listed(
    contents: &Contents,
    manifest: Option<&Manifest>,
    chosen: &BTreeSet<ItemId>,
    length: impl Fn(&Item) -> u64,
) -> Result<Listed> {
    let tables = contents.items.iter().filter(|item| item.desc == "TABLE");
    let mut listing = Listing {
        listed: Listed {
            money: money::locale(&contents.items),
            encoding: UTF8.to_owned(),
            ..Listed::default()
        },
        chosen,
        ids: HashMap::new(),
        rows: HashMap::new(),
        unlogged: tables
            .clone()
            .filter(|item| item.create.starts_with("CREATE UNLOGGED TABLE"))
            .map(|item| item.id)
            .collect(),
        has_tables: tables.count() > 0,
        large: LargeObjects::default(),
        contents_of_large: Vec::new(),
        statistics: 0,
        of_a_ledger: 0,
        owner: None,
        major: contents.header.server_major().unwrap_or_default(),
        hashed: match contents.header.is_ours() {
            true => Hashed::default(),
            false => Hashed::of(&contents.items),
        },
        is_ours: contents.header.is_ours(),
    };
    for item in &contents.items {
        listing.take(item, manifest, &length)?;
    }
    Ok(listing.finish())
}

/// A table of contents while it is gathered.
struct Listing<'a> {
    listed: Listed,
    chosen: &'a BTreeSet<ItemId>,
    ids: HashMap<ItemId, EntryId>,
    /// The entry with the rows of each table: several partitions' may go into one.
    rows: HashMap<QualifiedName, EntryId>,
    unlogged: BTreeSet<ItemId>,
    has_tables: bool,
    large: LargeObjects,
    contents_of_large: Vec<ArchivedPart>,
    /// How many entries of the planner's statistics there are.
    statistics: usize,
    /// How many entries there are of the ledger of an earlier job.
    of_a_ledger: usize,
    /// The database's owner.
    owner: Option<String>,
    /// Which rows may belong into other partitions than theirs.
    hashed: Hashed,
    /// The major version of the server that the archive was made of.
    major: u32,
    /// Whether it is in our own words.
    is_ours: bool,
}

impl Listing<'_> {
    fn take(
        &mut self,
        item: &Item,
        manifest: Option<&Manifest>,
        length: &impl Fn(&Item) -> u64,
    ) -> Result<()> {
        let is_chosen = self.chosen.contains(&item.id);
        match item.desc.as_str() {
            "ENCODING" => {
                self.listed.encoding = encoding(item)?;
                return Ok(());
            }
            "STDSTRINGS" | "SEARCHPATH" => return is_as_ours(item),
            _ if is_of_a_ledger(item) => {
                self.of_a_ledger += 1;
                return Ok(());
            }
            _ => refuse_odd(item)?,
        }
        match item.desc.as_str() {
            "DATABASE" => {
                self.listed.database = Some(item.create.clone());
                self.owner = Some(item.owner.clone()).filter(|owner| !owner.is_empty());
                self.database(item, String::new());
            }
            "DATABASE PROPERTIES" if is_chosen => self.database(item, quoted(&item.create)),
            "DATABASE PROPERTIES" | "TABLE DATA" | "STATISTICS DATA" if !is_chosen => {}
            _ if !is_chosen && is_about_large_objects(item) => {}
            "STATISTICS DATA" | "EXTENDED STATISTICS DATA" => self.statistics += 1,
            "BLOBS" => {
                let bytes = length(item);
                self.contents_of_large.push(ArchivedPart {
                    item: item.id.0,
                    chunk: None,
                    bytes,
                    columns: None,
                });
            }
            "TABLE DATA" => self.rows(item, manifest, length)?,
            _ if self.large.take(item) => {}
            desc => match Kind::of_tag(desc) {
                Some(kind) => {
                    let entry = self.entry(kind, item);
                    self.add(item, entry);
                }
                None if is_chosen => return Err(unknown(item)),
                None => {}
            },
        }
        Ok(())
    }

    fn add(&mut self, item: &Item, entry: Entry) {
        let id = EntryId(self.listed.toc.entries.len() as u32);
        self.listed.toc.entries.push(entry);
        self.listed.items.push(Some(item.id));
        self.ids.insert(item.id, id);
    }

    /// What comes before `item`; what the archive doesn't hold, or holds only later, is nothing to
    /// wait for.
    fn needs(&self, item: &Item) -> Vec<EntryId> {
        item.depends_on.iter().filter_map(|id| self.ids.get(id)).copied().collect()
    }

    fn entry(&mut self, kind: Kind, item: &Item) -> Entry {
        if self.is_ours {
            return self.our_own(kind, item);
        }
        let mut entry = Entry {
            create: ended(unstamped(&item.create)),
            drop: item.drop.clone(),
            depends_on: self.needs(item),
            after_rows: is_late(kind, item),
            ..Entry::new(kind, item.schema.as_deref(), bare_tag(kind, &item.tag))
        };
        if kind == Kind::Subscription && self.major >= 16 && !entry.create.contains(RUN_AS_OWNER) {
            // What isn't said is what pg_dump's own server takes for granted, and older ones didn't.
            let options = entry.create.strip_suffix(");\n").map(str::to_owned);
            entry.create =
                options.map_or(entry.create, |some| format!("{some}, {RUN_AS_OWNER} = false);\n"));
        }
        if names_are_read(kind, &item.tag) {
            entry.create = quoted(&entry.create);
        }
        match owned(kind) {
            Owned::ByName if !item.drop.is_empty() => entry.drop = drop_sql(kind, item),
            Owned::ByName | Owned::ByDrop => {}
            Owned::Grants => entry.create = quoted(&as_grantors(&entry.create)),
            Owned::No => return self.placed(entry, item),
        }
        entry.owner = Some(item.owner.clone()).filter(|owner| !owner.is_empty());
        let is_made = !item.create.starts_with("DROP SCHEMA");
        if kind == Kind::Schema && item.tag == "public" && is_made {
            // Every new database has it.
            entry.create = PUBLIC.to_owned();
        }
        self.placed(entry, item)
    }

    /// An entry that we have put into words ourselves.
    fn our_own(&self, kind: Kind, item: &Item) -> Entry {
        let (create, since_15) =
            since_15::read(&item.create).unwrap_or_else(|| (item.create.clone(), String::new()));
        Entry {
            create,
            since_15,
            drop: item.drop.clone(),
            owner: Some(item.owner.clone()).filter(|owner| !owner.is_empty()),
            depends_on: self.needs(item),
            after_rows: is_late(kind, item),
            ..Entry::new(kind, item.schema.as_deref(), item.tag.as_str())
        }
    }

    /// The entry with its access method, and without its tablespace.
    fn placed(&mut self, mut entry: Entry, item: &Item) -> Entry {
        if let Some(space) = item.tablespace.as_deref().filter(|space| !space.is_empty()) {
            let what = format!("lies in tablespace {space}: it goes to the target's default one");
            let finding = Finding::change(entry.title(), what);
            self.listed.findings.extend(self.chosen.contains(&item.id).then_some(finding));
        }
        match item.access_method.as_deref().filter(|method| !method.is_empty()) {
            None => {}
            // A partitioned table has one only if it was told, for its partitions to be
            // (pg_backup_archiver.c, _printTableAccessMethodNoStorage).
            Some(method) if item.relkind == i32::from(b'p') => {
                let table = QualifiedName::new(item.schema.as_deref().unwrap_or(""), &item.tag);
                let (table, method) = (table.sql(), quote_ident(method));
                entry
                    .create
                    .push_str(&format!("ALTER TABLE {table} SET ACCESS METHOD {method};\n"));
            }
            Some("heap") => {}
            Some(method) => entry.create = stored_by(&entry.create, method),
        }
        entry
    }

    /// The database's own entry: its properties come with the statement that creates it, or alone.
    fn database(&mut self, item: &Item, create: String) {
        let entry = Entry {
            owner: self.owner.clone(),
            create,
            drop: format!("DROP DATABASE {};\n", quote_ident(&item.tag)),
            ..Entry::new(Kind::DatabaseProperties, None, item.tag.as_str())
        };
        let known = self.listed.toc.iter().find(|(_, e)| e.kind == Kind::DatabaseProperties);
        match known.map(|(id, _)| id) {
            None => self.add(item, entry),
            Some(id) => {
                self.listed.toc.entries[id.0 as usize] = entry;
                self.ids.insert(item.id, id);
            }
        }
    }

    fn rows(
        &mut self,
        item: &Item,
        manifest: Option<&Manifest>,
        length: &impl Fn(&Item) -> u64,
    ) -> Result<()> {
        if item.place == Place::Nowhere {
            return Ok(());
        }
        let Some((relation, columns)) = item.copy.as_deref().and_then(copied) else {
            return Err(Error::new(ErrorKind::Refused, READING)
                .because(format!("the rows of {} aren't there for COPY", title(item)))
                .hint("make the archive anew without --inserts, or restore it with pg_restore"));
        };
        let relation = self.hashed.root(item).cloned().unwrap_or(relation);
        let mut parts = parts(item, manifest, length(item));
        let bytes = parts.iter().map(|part| part.bytes).sum();
        let needs = self.needs(item);
        if let Some(id) = self.rows.get(&relation).copied() {
            self.ids.insert(item.id, id);
            let entry = &mut self.listed.toc.entries[id.0 as usize];
            entry.depends_on.extend(needs);
            if let Some(table) = &mut entry.table {
                if table.columns != columns {
                    parts.iter_mut().for_each(|part| part.columns = Some(columns.clone()));
                }
                table.size.bytes += bytes;
                table.size.pages += bytes / PAGE;
                table.archived.get_or_insert_default().parts.extend(parts);
            }
            return Ok(());
        }
        let of = |kind: Kind| needs.iter().any(|id| self.listed.toc.entry(*id).kind == kind);
        let through_root = item.create.starts_with(THROUGH_ROOT)
            || Some(&relation.schema) != item.schema.as_ref()
            || relation.name != item.tag;
        let table = TableData {
            rows_of: match through_root {
                true => RowsOf::Partitions,
                false => RowsOf::Relation,
            },
            size: TableSize { pages: bytes / PAGE, bytes },
            unlogged: item.depends_on.iter().any(|id| self.unlogged.contains(id)),
            // What else could have made it?
            of_extension: is_the_systems(&relation) || self.has_tables && !of(Kind::Table),
            archived: Some(Archived { parts }),
            ..table(relation.clone(), columns)
        };
        if of(Kind::ForeignTable) {
            let what = "are another server's: they are left out";
            self.listed.findings.push(Finding::change(format!("rows of {}", title(item)), what));
            return Ok(());
        }
        let entry = Entry {
            depends_on: needs,
            table: Some(Box::new(table)),
            ..Entry::new(Kind::TableData, Some(&relation.schema), relation.name.as_str())
        };
        self.rows.insert(relation, EntryId(self.listed.toc.entries.len() as u32));
        self.add(item, entry);
        Ok(())
    }

    fn finish(self) -> Listed {
        let Listing { mut listed, large, contents_of_large, statistics, of_a_ledger, .. } = self;
        let (groups, objects) = large.entries();
        if contents_of_large.is_empty() && !objects.is_empty() {
            let what = "are left out, as the archive hasn't got their contents";
            listed.findings.push(Finding::change("large objects", what));
        } else if !contents_of_large.is_empty() {
            listed.toc.entries.extend(groups);
            listed.toc.entries.push(contents_entry(divided(contents_of_large, objects.len())));
            listed.large_objects = objects;
        }
        listed.items.resize(listed.toc.entries.len(), None);
        if of_a_ledger > 0 {
            let what = "is the ledger of the job that filled the database which was dumped: it is \
                        left out, as the target gets its own";
            listed.findings.push(Finding::note("schema pgconvoy", what));
        }
        if statistics > 0 {
            let what = format!(
                "{} of the planner's statistics are left out: ANALYZE gathers them anew",
                counted(statistics, "entry").replace("entrys", "entries")
            );
            listed.findings.push(Finding::note("statistics", what));
        }
        listed
    }
}

/// What says that rows go through their table's root.
const THROUGH_ROOT: &str = "-- load via partition root";

/// An option of subscriptions, whose default changed with the version that brought it, 16.
const RUN_AS_OWNER: &str = "run_as_owner";

const PUBLIC: &str = "CREATE SCHEMA IF NOT EXISTS \"public\";\n";

/// Until 16 all large objects are one entry's, but each takes a lock until its transaction ends.
fn divided(parts: Vec<ArchivedPart>, objects: usize) -> Vec<ArchivedPart> {
    let count = objects.div_ceil(OBJECTS_AT_ONCE) as u32;
    match parts.as_slice() {
        [all] if count > 1 => {
            let bytes = all.bytes / u64::from(count);
            let part = |number| ArchivedPart { chunk: Some(number), bytes, ..all.clone() };
            (0..count).map(part).collect()
        }
        _ => parts,
    }
}

/// The contents of all large objects, as rows of the view that the ledger has for them.
fn contents_entry(parts: Vec<ArchivedPart>) -> Entry {
    let relation = QualifiedName::new(LARGE_OBJECTS_VIEW.0, LARGE_OBJECTS_VIEW.1);
    let bytes = parts.iter().map(|part| part.bytes).sum();
    let key = |name: &str, type_name: &str| KeyColumn {
        name: name.to_owned(),
        type_name: type_name.to_owned(),
    };
    let table = TableData {
        rows_of: RowsOf::LargeObjects { groups: Vec::new() },
        size: TableSize { pages: 0, bytes },
        key: vec![key("oid", "oid"), key("at", "bigint")],
        heap: false,
        archived: Some(Archived { parts, ..Archived::default() }),
        ..table(relation, ["oid", "at", "piece"].map(str::to_owned).to_vec())
    };
    Entry {
        table: Some(Box::new(table)),
        ..Entry::new(Kind::LargeObjectData, None, "LARGE OBJECTS")
    }
}

fn table(relation: QualifiedName, columns: Vec<String>) -> TableData {
    TableData {
        relation,
        rows_of: RowsOf::Relation,
        columns,
        format: RowFormat::Text,
        text_because: None,
        size: TableSize::default(),
        key: Vec::new(),
        unlogged: false,
        heap: true,
        key_bounds: Vec::new(),
        condition: None,
        filter: None,
        of_extension: false,
        in_foreign_keys: false,
        stands: false,
        archived: None,
    }
}

/// The parts in which an entry's rows can be read.
fn parts(item: &Item, manifest: Option<&Manifest>, length: u64) -> Vec<ArchivedPart> {
    let chunks = manifest.and_then(|manifest| manifest.rows_of(item.id)).map(|rows| &rows.chunks);
    match chunks.filter(|chunks| chunks.len() > 1) {
        None => vec![ArchivedPart { item: item.id.0, chunk: None, bytes: length, columns: None }],
        Some(chunks) => (0..)
            .zip(chunks)
            .map(|(number, chunk)| ArchivedPart {
                item: item.id.0,
                chunk: Some(number),
                bytes: chunk.bytes,
                columns: None,
            })
            .collect(),
    }
}

/// What adapts entries knows extensions by their bare names, which pg_dump quotes in a comment's tag.
fn bare_tag(kind: Kind, tag: &str) -> String {
    let quoted = tag.strip_prefix("EXTENSION \"").and_then(|rest| rest.strip_suffix('"'));
    match quoted.filter(|_| kind == Kind::Comment) {
        Some(name) => format!("EXTENSION {}", name.replace("\"\"", "\"")),
        None => tag.to_owned(),
    }
}

fn is_late(kind: Kind, item: &Item) -> bool {
    item.section == ItemSection::PostData && kind.section() == Section::PreData
}

/// Whether the names in an entry's SQL are looked for by what adapts it.
fn names_are_read(kind: Kind, tag: &str) -> bool {
    match kind {
        Kind::UserMapping
        | Kind::Policy
        | Kind::FkConstraint
        | Kind::PublicationTable
        | Kind::PublicationSchema => true,
        Kind::Comment => tag.starts_with("DATABASE ") || tag.starts_with("EXTENSION "),
        _ => false,
    }
}

/// Statements are put one behind another.
fn ended(mut sql: String) -> String {
    if !sql.is_empty() && !sql.ends_with('\n') {
        sql.push('\n');
    }
    sql
}

/// What our sessions are set to, too, as archives say it.
const SETTINGS: [&str; 3] = [
    "SET standard_conforming_strings = 'on';",
    "SELECT pg_catalog.set_config('search_path', '', false);",
    money::IN_C,
];

/// Whether an archive's statements and rows are written as our sessions read them.
fn is_as_ours(item: &Item) -> Result<()> {
    let other = statements(&item.create).into_iter().find(|set| !SETTINGS.contains(set));
    let Some(other) = other else { return Ok(()) };
    Err(Error::new(ErrorKind::Refused, READING)
        .because(format!("it says {other}, which isn't known"))
        .hint("make it anew with the newest pg_dump, or restore it with pg_restore"))
}

/// What an archive's rows are encoded in, where that isn't UTF-8: the target reads them so.
fn encoding(item: &Item) -> Result<String> {
    match item.encoding() {
        Some(name) => Ok(name.to_owned()),
        None => Err(Error::new(ErrorKind::Refused, READING)
            .because("it doesn't say what it is encoded in")
            .hint("make it anew with pg_dump --encoding UTF8, or restore it with pg_restore")),
    }
}

fn unknown(item: &Item) -> Error {
    Error::new(ErrorKind::Refused, READING)
        .because(format!("{} is of a kind that isn't known", title(item)))
        .hint("use a newer version of pgconvoy, or restore the archive with pg_restore")
}

fn title(item: &Item) -> String {
    match &item.schema {
        Some(schema) => format!("{} {schema}.{}", item.desc, item.tag),
        None => format!("{} {}", item.desc, item.tag),
    }
}

#[cfg(test)]
mod tests;
