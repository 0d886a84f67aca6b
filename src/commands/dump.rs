//! `pgconvoy dump`: a database becomes an archive that pg_restore reads, or a script.

mod destination;
mod values;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::task::spawn_blocking;
use xxhash_rust::xxh3::xxh3_64;

use crate::archive::{
    self, Compressing, Contents, CreatedAt, Data, Described, Header, ItemId, Laying, Layout,
    Listing, ObjectItem, Part, Version,
};
use crate::catalog::{Choice, Scope};
use crate::engine::{
    self, DumpPlan, Dumping, Events, Left, Partial, Persistence, ReadFrom, SourceSnapshot, Stop,
    same_server, why_marks_differ,
};
use crate::error::{Error, Kind, Result};
use crate::pg::{RowFormat, quote_literal};
use crate::plan::{Splitting, divide};
use crate::toc::{self, Entry, EntryId, Finding, Kind as EntryKind, RoleMap, TableData, Toc};
use crate::wire::{Conninfo, Session};

use super::attempt;
use super::databases::{self, Pair};
use super::request::default_jobs;
use super::survey::{self, Source};
use destination::Destination;

/// What a dump becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DumpForm {
    /// An archive that lies on disk in this way.
    Archive(Layout),
    /// A script of the definitions.
    Script,
}

impl DumpForm {
    fn layout(self) -> Layout {
        match self {
            DumpForm::Archive(layout) => layout,
            // One file, as that is.
            DumpForm::Script => Layout::Custom,
        }
    }
}

/// What is dumped, and into what.
#[derive(Debug, Clone)]
pub struct DumpRequest {
    /// The database.
    pub source: Conninfo,
    /// Which part of it.
    pub choice: Choice,
    /// Whom its roles stand for.
    pub roles: RoleMap,
    /// Which sections of it.
    pub part: Part,
    /// Where to; none for standard output.
    pub path: Option<PathBuf>,
    /// What it becomes.
    pub form: DumpForm,
    /// How an archive is compressed.
    pub compressing: Compressing,
    /// The major version of the pg_restore that is to read it; none for any that can.
    pub for_pg_restore: Option<u32>,
    /// How many workers; none for as many as this machine has cores.
    pub jobs: Option<usize>,
    /// How long a dump that gets no further tries again by itself.
    pub patience: Duration,
}

/// What a dump came to.
#[derive(Debug, Clone, Serialize)]
pub struct Dumped {
    /// The database.
    pub database: String,
    /// Where its archive is; none on standard output.
    pub path: Option<PathBuf>,
    /// The oldest pg_restore that reads it; none reads a script.
    pub pg_restore: Option<u32>,
    /// How many items it has.
    pub items: usize,
    /// How many tables' rows.
    pub tables: usize,
    /// How many rows; large objects count by their pieces.
    pub rows: u64,
    /// Their bytes before they were compressed.
    pub bytes: u64,
    /// And after.
    pub compressed: u64,
    /// What was written already, in packs, by an earlier run or before the last restart.
    pub taken_over: usize,
    /// How often it was begun again.
    pub restarts: u32,
    /// What isn't in it: roles and memberships, and from a script the rows of extensions'
    /// configuration tables.
    pub left_out: Vec<String>,
    /// What is worth knowing.
    pub findings: Vec<Finding>,
}

/// Dumps a database.
pub async fn dump(request: &DumpRequest, events: &Events, stop: &mut Stop) -> Result<Dumped> {
    let version = version(request)?;
    if request.form == DumpForm::Script && request.part != Part::Schema {
        return Err(Error::usage("dumping to a script")
            .because("a script holds definitions only")
            .hint("add --schema-only, or leave --format plain out"));
    }
    let destination = Destination::new(request)?;
    let database = request.source.database().to_owned();
    events.say(engine::Event::Database { name: database }).await;
    let mut persistence = Persistence::new(request.patience);
    let mut so_far = SoFar::default();
    let ready = loop {
        let before = so_far.reached;
        let trying = ready(request, version, &destination, &mut so_far, events, stop);
        let error = match Box::pin(trying).await {
            Ok(ready) => break ready,
            // A server that was never reached may have another name.
            Err(error) if !so_far.is_begun => return Err(error),
            Err(error) => error,
        };
        if so_far.reached > before {
            persistence.renew();
        }
        attempt::pause(error, "begun again", &mut persistence, events, stop).await?;
        so_far.restarts += 1;
    };
    let Ready { contents, data, partial, mut dumped } = ready;
    dumped.restarts = so_far.restarts;
    let Some(partial) = partial else {
        destination.write_script(&contents)?;
        return Ok(dumped);
    };
    // It isn't stopped half-way: the next run would begin it again all the same.
    let laying = laying(request);
    let assembling = spawn_blocking(move || destination.assemble(contents, &data, laying, partial));
    let assembled = assembling.await;
    assembled.map_err(|error| Error::step("writing the archive").because(error.to_string()))??;
    Ok(dumped)
}

/// What has come of a dump, however often it was begun again.
#[derive(Debug, Default)]
struct SoFar {
    /// Whether the source was ever read.
    is_begun: bool,
    restarts: u32,
    /// The most packs that ever were written.
    reached: usize,
}

/// All that an archive is put together from.
struct Ready {
    contents: Contents,
    data: Vec<Data>,
    /// Where the rows are; a script has none.
    partial: Option<Partial>,
    dumped: Dumped,
}

/// One try at reading all that is to be dumped.
async fn ready(
    request: &DumpRequest,
    version: Version,
    destination: &Destination,
    so_far: &mut SoFar,
    events: &Events,
    stop: &mut Stop,
) -> Result<Ready> {
    let surveyed = stop.or(Box::pin(surveyed(request, version))).await?;
    so_far.is_begun = true;
    let Surveyed { session, contents, rows, tables, encoding, mut dumped } = surveyed;
    if request.form == DumpForm::Script {
        let rows = tables.iter().map(|table| format!("rows of {}", table.relation));
        dumped.left_out.extend(rows);
        return Ok(Ready { contents, data: Vec::new(), partial: None, dumped });
    }
    stop.or(values::refuse_too_long(&session, &tables)).await?;

    let splitting = match session.version().major() {
        ..=13 => Splitting::Keys,
        _ => Splitting::Pages,
    };
    let jobs = request.jobs.unwrap_or_else(default_jobs);
    let snapshot = SourceSnapshot::export(session).await?;
    let plan = DumpPlan {
        mark: snapshot.mark.clone(),
        terms: terms(request),
        definitions: definitions(&contents),
        groups: divide(&tables, splitting, jobs),
    };
    let mut partial;
    (partial, dumped.taken_over) = take_up(destination, plan, events).await?;
    let count = tables.len();
    let dumping = Dumping {
        from: ReadFrom::source(
            &snapshot.session().same_server().with_client_encoding(encoding),
            &snapshot,
        ),
        tables: Arc::new(tables),
        laying: laying(request),
        jobs,
        patience: request.patience,
    };
    let written = stop.or(Box::pin(engine::dump(dumping, &mut partial, events))).await;
    so_far.reached = so_far.reached.max(partial.count_done());
    written?;
    snapshot.release().await?;

    let written = partial.written(count);
    for written in written.iter().flatten() {
        dumped.rows += written.fingerprint.rows;
        dumped.bytes += written.piece.bytes;
        dumped.compressed += written.piece.length;
    }
    let data = rows.into_iter().zip(written).map(|(item, pieces)| Data { item, pieces });
    Ok(Ready { contents, data: data.collect(), partial: Some(partial), dumped })
}

fn laying(request: &DumpRequest) -> Laying {
    Laying { layout: request.form.layout(), compressing: request.compressing }
}

/// What the source holds, as an archive has it.
struct Surveyed {
    /// In the transaction whose snapshot everything was read under.
    session: Session,
    contents: Contents,
    /// The items with rows, and the tables that these are of.
    rows: Vec<ItemId>,
    tables: Vec<TableData>,
    /// The encoding that rows are read in.
    encoding: &'static str,
    dumped: Dumped,
}

async fn surveyed(request: &DumpRequest, version: Version) -> Result<Surveyed> {
    let source = survey::source(&pair(request)).await?;
    refuse_unsupported(&source)?;
    survey::refuse_open_choice(&source)?;
    let Source { session, toc, database, mut findings, left_out: stays, .. } = source;
    let stays = stays
        .into_iter()
        .map(|object| Finding::change(&object.object, format!("stays behind: {}", object.why)));
    findings.extend(stays);
    let objects = match request.part {
        Part::Schema => Vec::new(),
        _ => large_objects(&session, &toc).await?,
    };
    // Which says nothing of its bytes, so that nothing can be made of them.
    let encoding = if database.encoding == "SQL_ASCII" { "SQL_ASCII" } else { "UTF8" };
    let create_database = databases::create_sql(&database.name, &database);
    let Listing { items, rows, left_out } = archive::list(&Described {
        toc: &toc,
        create_database: &format!("{create_database};\n"),
        encoding,
        large_objects: &objects,
        part: request.part,
        layout: request.form.layout(),
    });
    let tables = tables_of(&toc, &rows);
    let header = Header {
        version,
        layout: request.form.layout(),
        compression: request.compressing.by,
        created: created(&session).await?,
        database: database.name.clone(),
        server_version: session.version().to_string(),
        dumper_version: archive::DUMPER.to_owned(),
    };
    let dumped = Dumped {
        database: database.name,
        path: request.path.clone(),
        pg_restore: (request.form != DumpForm::Script).then(|| oldest_pg_restore(version)),
        items: items.len(),
        tables: tables.iter().filter(|table| !table.holds_large_objects()).count(),
        rows: 0,
        bytes: 0,
        compressed: 0,
        taken_over: 0,
        restarts: 0,
        left_out,
        findings,
    };
    let rows = rows.into_iter().map(|(_, item)| item).collect();
    Ok(Surveyed {
        session,
        contents: Contents { header, items, length: 0 },
        rows,
        tables,
        encoding,
        dumped,
    })
}

/// The version of the format: the oldest that can say what is needed.
fn version(request: &DumpRequest) -> Result<Version> {
    let version = request.compressing.version();
    match request.for_pg_restore {
        Some(major) if major < oldest_pg_restore(version) => {
            Err(Error::usage(format!("dumping for pg_restore {major}"))
                .because(format!(
                    "it can't read this compression: pg_restore {} and later can",
                    oldest_pg_restore(version)
                ))
                .hint(match major {
                    12.. => "add --compress gzip",
                    _ => "name version 12 or a later one, and --compress gzip",
                }))
        }
        _ => Ok(version),
    }
}

fn oldest_pg_restore(version: Version) -> u32 {
    match version {
        Version::V1_14 => 12,
        Version::V1_15 => 16,
        Version::V1_16 => 17,
    }
}

/// The survey is of pairs; there is no target here.
fn pair(request: &DumpRequest) -> Pair {
    let source = request.source.with_client_encoding("UTF8");
    let scope = Scope { choice: request.choice.clone(), ..Scope::default() };
    Pair { target: source.clone(), source, scope, roles: request.roles.clone() }
}

fn refuse_unsupported(source: &Source) -> Result<()> {
    let all: Vec<String> = source
        .unsupported
        .iter()
        .map(|object| format!("\n  {}: {}", object.object, object.why))
        .collect();
    match all.is_empty() {
        true => Ok(()),
        false => Err(Error::new(Kind::Refused, "checking before the start")
            .because(format!("these can't be dumped:{}", all.concat()))
            .hint("leave them out by -N or -T, or drop them on the source")),
    }
}

/// The tables whose rows are wanted, in the order of their items. All travel as text.
fn tables_of(toc: &Toc, rows: &[(EntryId, ItemId)]) -> Vec<TableData> {
    let tables = rows.iter().filter_map(|(entry, _)| toc.entry(*entry).table.as_deref());
    tables.map(|table| TableData { format: RowFormat::Text, ..table.clone() }).collect()
}

/// Every large object there is, if any are wanted.
async fn large_objects(session: &Session, toc: &Toc) -> Result<Vec<ObjectItem>> {
    let groups: Vec<&Entry> =
        toc.entries.iter().filter(|entry| entry.kind == EntryKind::LargeObjects).collect();
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    let rows = session.query("reading large objects", &toc::objects_sql(None), &[]).await?;
    let object = |row: tokio_postgres::Row| {
        let (oid, key): (u32, &str) = (row.get(0), row.get(1));
        let group = groups.iter().find(|group| group.name == key);
        let comment: Option<&str> = row.get(2);
        ObjectItem {
            oid,
            owner: group.and_then(|group| group.owner.clone()).unwrap_or_default(),
            grants: group
                .map_or_else(String::new, |group| toc::about_large_object(&group.create, oid)),
            comment: comment.map_or_else(String::new, |comment| {
                format!("COMMENT ON LARGE OBJECT {oid} IS {};\n", quote_literal(comment))
            }),
        }
    };
    Ok(rows.into_iter().map(object).collect())
}

/// The source's own moment, in the parts that archives keep.
async fn created(session: &Session) -> Result<CreatedAt> {
    let doing = "asking the source's time";
    let sql = "SELECT ARRAY[pg_catalog.date_part('second', t), pg_catalog.date_part('minute', t), \
               pg_catalog.date_part('hour', t), pg_catalog.date_part('day', t), \
               pg_catalog.date_part('month', t) - 1, pg_catalog.date_part('year', t) - 1900, 0]\
               ::pg_catalog.int4[] FROM (SELECT pg_catalog.now() AS t) now";
    let parts: Vec<i32> = session.query_one(doing, sql, &[]).await?.get(0);
    let parts: Result<[i32; 7], _> = parts.try_into();
    parts.map(CreatedAt).map_err(|_| Error::step(doing).because("the answer makes no sense"))
}

/// What tells one dump's data from another's.
fn terms(request: &DumpRequest) -> Vec<String> {
    let Compressing { by, level } = request.compressing;
    let laid = format!("{:?} {by:?} {level:?} {:?}", request.form, request.part);
    let words = request.choice.words().into_iter().chain(request.roles.words());
    std::iter::once(laid).chain(words).collect()
}

/// A digest of the items: what a run that goes on must find as it was, but for sequences, which stand
/// where they do whatever the snapshot.
fn definitions(contents: &Contents) -> u64 {
    let items = contents.items.iter().filter(|item| item.desc != "SEQUENCE SET");
    items.fold(0, |digest, item| xxh3_64(format!("{digest} {item:?}").as_bytes()))
}

/// Goes on with what an earlier run has left if that is of the same moment, or begins anew.
async fn take_up(
    destination: &Destination,
    plan: DumpPlan,
    events: &Events,
) -> Result<(Partial, usize)> {
    let folder = destination.partial();
    // Another run may have ended since it was looked for first.
    destination.refuse_existing()?;
    let mut partial = Partial::take(&folder)?;
    let why = match partial.left() {
        Left::Nothing => None,
        Left::Unreadable => Some("its journal isn't as it was written"),
        Left::Begun(then) => match why_anew(then, &plan) {
            None => {
                let there = partial.count_done();
                return Ok((partial, there));
            }
            why => why,
        },
    };
    if let Some(why) = why {
        let note = format!(
            "what was written to {} can't be gone on with: {why}; dumping all anew",
            folder.display()
        );
        events.say(engine::Event::Note(note)).await;
    }
    partial.begin(plan)?;
    Ok((partial, 0))
}

/// Why what was begun then is no part of what begins now, if it isn't.
fn why_anew(then: &DumpPlan, now: &DumpPlan) -> Option<&'static str> {
    if then.terms != now.terms {
        Some("it was asked for in other words")
    } else if !same_server(&then.mark, &now.mark) {
        Some("it is of another server")
    } else if then.mark != now.mark {
        Some(why_marks_differ(&then.mark, &now.mark))
    } else if then.definitions != now.definitions {
        Some("the source's definitions have changed")
    } else {
        None
    }
}
