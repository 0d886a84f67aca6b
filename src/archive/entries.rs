//! An archive's entries as a table of contents, which everything downstream is made for. Pure.

pub(super) mod chosen;
mod hashed;
mod kept;
pub(super) mod large;
mod money;
mod owned;
mod rows;
mod settings;
pub(super) mod since_15;
mod spelling;
mod vetting;

use std::collections::{BTreeSet, HashMap};

use crate::error::{Error, Kind as ErrorKind, Result};
use crate::pg::{QualifiedName, quote_ident};
use crate::toc::{
    ArchivedPart, Entry, EntryId, Finding, Kind, LargeObject, Section, Toc, counted, stored_by,
};

use super::format::contents::{Contents, Item, ItemId, ItemSection, LARGE_OBJECTS, UTF8};
use super::format::manifest::Manifest;
use hashed::Hashed;
use large::{LargeObjects, is_about_large_objects, lacks_owners};
use owned::{Owned, drop_sql, owned};
use rows::{contents_entry, divided};
use settings::{encoding, refuse_other_than_ours};
use spelling::{as_grantors, last_string, quoted, unstamped};
use vetting::{is_of_a_ledger, refuse_odd};

pub(crate) use kept::Need;

const READING: &str = "reading the archive's entries";

/// What an archive's entries come to.
#[derive(Debug, Default)]
pub(crate) struct ArchivedToc {
    /// The table of contents.
    pub(crate) toc: Toc,
    /// For each entry the archive's item, where it is one.
    pub(crate) items: Vec<Option<ItemId>>,
    /// For each of the archive's items the entry that it went into, before any is left out.
    of_item: HashMap<ItemId, EntryId>,
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
/// what else isn't is there for [`ArchivedToc::keep`] to see what needs it. `length` says how many bytes an
/// entry's data has.
pub(crate) fn toc_of(
    contents: &Contents,
    manifest: Option<&Manifest>,
    chosen: &BTreeSet<ItemId>,
    length: impl Fn(&Item) -> u64,
) -> Result<ArchivedToc> {
    let tables = contents.items.iter().filter(|item| item.desc == "TABLE");
    let mut gathering = Gathering {
        gathered: ArchivedToc {
            money: money::locale(&contents.items),
            encoding: UTF8.to_owned(),
            ..ArchivedToc::default()
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
        lacks_owners: lacks_owners(contents, chosen),
    };
    for item in &contents.items {
        gathering.take(item, manifest, &length)?;
    }
    Ok(gathering.finish())
}

/// A table of contents while it is gathered.
struct Gathering<'a> {
    gathered: ArchivedToc,
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
    /// Whether there are contents of large objects without the entries that say whose they are.
    lacks_owners: bool,
}

impl Gathering<'_> {
    fn take(
        &mut self,
        item: &Item,
        manifest: Option<&Manifest>,
        length: &impl Fn(&Item) -> u64,
    ) -> Result<()> {
        let is_chosen = self.chosen.contains(&item.id);
        match item.desc.as_str() {
            "ENCODING" => {
                self.gathered.encoding = encoding(item)?;
                return Ok(());
            }
            "STDSTRINGS" | "SEARCHPATH" => return refuse_other_than_ours(item),
            _ if is_of_a_ledger(item) => {
                self.of_a_ledger += 1;
                return Ok(());
            }
            _ => refuse_odd(item)?,
        }
        match item.desc.as_str() {
            "DATABASE" => {
                self.gathered.database = Some(item.create.clone());
                self.owner = Some(item.owner.clone()).filter(|owner| !owner.is_empty());
                self.database(item, String::new());
            }
            "DATABASE PROPERTIES" if is_chosen => self.database(item, quoted(&item.create)),
            "DATABASE PROPERTIES" | "TABLE DATA" | "STATISTICS DATA" if !is_chosen => {}
            _ if !is_chosen && is_about_large_objects(item) => {}
            "STATISTICS DATA" | "EXTENDED STATISTICS DATA" => self.statistics += 1,
            "COMMENT" if is_publics_own(item) => {}
            LARGE_OBJECTS => {
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
        let id = EntryId(self.gathered.toc.entries.len() as u32);
        self.gathered.toc.entries.push(entry);
        self.gathered.items.push(Some(item.id));
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
            self.gathered.findings.extend(self.chosen.contains(&item.id).then_some(finding));
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
        let known = self.gathered.toc.iter().find(|(_, e)| e.kind == Kind::DatabaseProperties);
        match known.map(|(id, _)| id) {
            None => self.add(item, entry),
            Some(id) => {
                self.gathered.toc.entries[id.0 as usize] = entry;
                self.ids.insert(item.id, id);
            }
        }
    }

    fn finish(self) -> ArchivedToc {
        let Gathering {
            mut gathered,
            large,
            contents_of_large,
            statistics,
            of_a_ledger,
            lacks_owners,
            ids,
            ..
        } = self;
        gathered.of_item = ids;
        let (groups, objects) = large.entries();
        if lacks_owners {
            let what = "become the target user's, without comments and grants: the entries that tell \
                        of those aren't restored with their contents, or in another archive";
            let mend = "restore them from one archive that has both; or set owners, comments and \
                        grants yourself";
            gathered.findings.push(Finding::change("large objects", what).mend(mend));
        }
        if contents_of_large.is_empty() && !objects.is_empty() {
            let what = "are left out, as the archive hasn't got their contents";
            gathered.findings.push(Finding::change("large objects", what));
        } else if !contents_of_large.is_empty() {
            gathered.toc.entries.extend(groups);
            gathered.toc.entries.push(contents_entry(divided(contents_of_large, objects.len())));
            gathered.large_objects = objects;
        }
        gathered.items.resize(gathered.toc.entries.len(), None);
        if of_a_ledger > 0 {
            let what = "is the ledger of the job that filled the database which was dumped: it is \
                        left out, as the target gets its own";
            gathered.findings.push(Finding::note("schema pgconvoy", what));
        }
        if statistics > 0 {
            let what = format!(
                "the planner's, of {}, are left out: ANALYZE gathers them anew",
                counted(statistics, "object")
            );
            gathered.findings.push(Finding::note("statistics", what));
        }
        gathered
    }
}

/// An option of subscriptions, whose default changed with the version that brought it, 16.
const RUN_AS_OWNER: &str = "run_as_owner";

const PUBLIC: &str = "CREATE SCHEMA IF NOT EXISTS \"public\";\n";

/// What adapts entries knows extensions by their bare names, which pg_dump quotes in a comment's tag.
fn bare_tag(kind: Kind, tag: &str) -> String {
    let quoted = tag.strip_prefix("EXTENSION \"").and_then(|rest| rest.strip_suffix('"'));
    match quoted.filter(|_| kind == Kind::Comment) {
        Some(name) => format!("EXTENSION {}", name.replace("\"\"", "\"")),
        None => tag.to_owned(),
    }
}

/// Whether this is the comment that every new `public` has. pg_dump has it only with
/// --quote-all-identifiers (source: pg_dump.c, dumpNamespace, which compares the quoted name).
fn is_publics_own(item: &Item) -> bool {
    item.tag.replace('"', "") == "SCHEMA public"
        && last_string(&item.create).as_deref() == Some("standard public schema")
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
