//! `pgconvoy inspect`: what an archive holds, and whether all of it can be read.

use std::panic::resume_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;
use tokio::sync::oneshot;

use crate::archive::{Archive, Item, Measure, Place};
use crate::error::{Error, Result};

use super::request::default_jobs;
use super::standard_input;

/// An archive that was looked through.
#[derive(Debug, Clone, Serialize)]
pub struct Inspected {
    /// Where it is.
    pub archive: String,
    /// How it lies on disk: `directory`, `custom` or `tar`.
    pub format: &'static str,
    /// The format's version.
    pub version: &'static str,
    /// What its data is said to be compressed with.
    pub compression: &'static str,
    /// When it was made, by the clock of where that was.
    pub created: String,
    /// The database it was made of.
    pub database: String,
    /// The version of that database's server.
    pub server_version: String,
    /// The version of what made it.
    pub dumper_version: String,
    /// The version of pgconvoy in its manifest; none where it has none, as pg_dump's.
    pub manifest: Option<String>,
    /// Its entries, in restoring order.
    pub entries: Vec<Listed>,
    /// What is wrong with it; nothing if all is well.
    pub flaws: Vec<Flaw>,
}

/// An entry.
#[derive(Debug, Clone, Serialize)]
pub struct Listed {
    /// Its number.
    pub id: i32,
    /// When it is restored: `pre-data`, `data`, `post-data`, or with what it belongs to: none.
    pub section: Option<&'static str>,
    /// Its kind, such as `TABLE`.
    pub kind: String,
    /// Its schema.
    pub schema: Option<String>,
    /// Its name.
    pub name: String,
    /// Its owner; may be empty.
    pub owner: String,
    /// The entries that are restored before.
    pub depends_on: Vec<i32>,
    /// Its rows, or large objects, as far as it has any that could be read.
    pub rows: Option<u64>,
    /// The bytes of its data, not compressed, as far as it has any that could be read.
    pub bytes: Option<u64>,
}

/// Something that is wrong.
#[derive(Debug, Clone, Serialize)]
pub struct Flaw {
    /// What it is.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Inspected {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.flaws.is_empty()
    }
}

/// Looks through the archive at `path`, or on standard input for `-`: all data is read to its end.
pub async fn inspect(path: &Path) -> Result<Inspected> {
    if standard_input::is_meant(path) {
        let kept = standard_input::keep().await?;
        let inspected = inspect_file(kept.path()).await?;
        return Ok(Inspected { archive: "standard input".to_owned(), ..inspected });
    }
    inspect_file(path).await
}

async fn inspect_file(path: &Path) -> Result<Inspected> {
    let (to, from) = oneshot::channel();
    let path = path.to_owned();
    // Nobody waits for the thread, or takes what it says, once the command is stopped: it only reads.
    std::thread::spawn(move || {
        let _is_taken = to.send(look_through(&path)).is_ok();
    });
    from.await.unwrap_or_else(|_| {
        Err(Error::step("looking through an archive")
            .because("something went wrong that shouldn't")
            .hint("report this, with the archive's table of contents"))
    })
}

fn look_through(path: &Path) -> Result<Inspected> {
    let archive = Archive::open(path)?;
    let contents = archive.contents();
    let mut flaws = Vec::new();
    let mut entries: Vec<Listed> = contents.items.iter().map(listed).collect();
    for (at, measured) in measure_all(&archive) {
        match measured {
            Ok(measure) => {
                (entries[at].rows, entries[at].bytes) = (measure.count, Some(measure.bytes));
            }
            Err(error) => flaws.push(Flaw::from(&error)),
        }
    }
    match archive.loose_ends() {
        Ok(loose) => flaws.extend(loose.into_iter().map(|message| Flaw { message, hint: None })),
        // What can't be read was found already, unless it is read only here.
        Err(error) if flaws.is_empty() => flaws.push(Flaw::from(&error)),
        Err(_) => {}
    }
    let header = &contents.header;
    Ok(Inspected {
        archive: path.display().to_string(),
        format: header.layout.name(),
        version: header.version.number(),
        compression: header.compression.name(),
        created: header.created.to_string(),
        database: header.database.clone(),
        server_version: header.server_version.clone(),
        dumper_version: header.dumper_version.clone(),
        manifest: archive.manifest().map(|manifest| manifest.tool.clone()),
        entries,
        flaws,
    })
}

/// Reads the data of all entries that have some, several at once; what each comes to, by its place
/// among the entries.
fn measure_all(archive: &Archive) -> Vec<(usize, Result<Measure>)> {
    let items = archive.contents().items.iter().enumerate();
    let with_data: Vec<_> = items.filter(|(_, item)| item.place != Place::Nowhere).collect();
    let next = AtomicUsize::new(0);
    let measure_some = || {
        let mine = std::iter::from_fn(|| with_data.get(next.fetch_add(1, Ordering::Relaxed)));
        mine.map(|(at, item)| (*at, archive.measure(item))).collect::<Vec<_>>()
    };
    let mut measured: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..default_jobs()).map(|_| scope.spawn(measure_some)).collect();
        let ended = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        ended.flat_map(|some| some.unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    measured.sort_by_key(|(at, _)| *at);
    measured
}

impl From<&Error> for Flaw {
    fn from(error: &Error) -> Flaw {
        Flaw { message: error.message(), hint: error.hint_text().map(str::to_owned) }
    }
}

fn listed(item: &Item) -> Listed {
    Listed {
        id: item.id.0,
        section: item.section.name(),
        kind: item.desc.clone(),
        schema: item.schema.clone(),
        name: item.tag.clone(),
        owner: item.owner.clone(),
        depends_on: item.depends_on.iter().map(|id| id.0).collect(),
        rows: None,
        bytes: None,
    }
}
