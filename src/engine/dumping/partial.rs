//! The folder of a dump that isn't complete yet: what its workers have written, and a journal of it.
//! A later run goes on from there as long as the rows are those of the same moment.
//!
//! The journal is also what keeps the folder to one run: whoever has locked it owns the folder. It is
//! the first file there, and the last to go.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::archive::{self, Piece, Written};
use crate::copy::Fingerprint;
use crate::error::{Error, Kind, Result};
use crate::plan::Chunk;

use super::super::failpoint::{self, Act, Point};

/// The journal's own format: another one is begun anew.
const FORMAT: u32 = 3;

/// What a dump is of, and how it is made: its journal's first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpPlan {
    /// The mark of the snapshot that its rows are seen under.
    pub mark: String,
    /// What was asked for, in words.
    pub terms: Vec<String>,
    /// A digest of the definitions.
    pub definitions: u64,
    /// How the rows are divided: each group is a pack.
    pub groups: Vec<Vec<Chunk>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct FirstLine {
    format: u32,
    #[serde(flatten)]
    plan: DumpPlan,
}

/// A pack that is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) group: usize,
    /// Its pieces, in the group's order.
    pub(super) pieces: Vec<(Piece, Fingerprint)>,
}

/// A dump that isn't complete yet, in the hands of one run.
#[derive(Debug)]
pub struct Partial {
    folder: PathBuf,
    journal: File,
    left: Left,
    done: BTreeMap<usize, Done>,
}

/// What is in the folder.
#[derive(Debug)]
pub enum Left {
    /// Nothing yet.
    Nothing,
    /// Something whose journal can't be read.
    Unreadable,
    /// A dump, of this.
    Begun(DumpPlan),
}

impl Partial {
    /// Where a dump to `path` is made.
    pub fn folder(path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(".partial");
        PathBuf::from(name)
    }

    /// Takes the folder for this run alone, with what an earlier one has left there.
    pub fn take(folder: &Path) -> Result<Partial> {
        fs::create_dir_all(folder).map_err(|error| failed("making", folder, error))?;
        refuse_strange(folder)?;
        let path = folder.join(JOURNAL);
        let open =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let journal = open.map_err(|error| failed("opening", &path, error))?;
        lock(&journal, &path, folder)?;
        let (left, done) = (Left::Nothing, BTreeMap::new());
        let mut partial = Partial { folder: folder.to_owned(), journal, left, done };
        partial.read().map_err(|error| failed("reading", &path, error))?;
        Ok(partial)
    }

    /// What was in the folder.
    pub fn left(&self) -> &Left {
        &self.left
    }

    /// How many groups are written.
    pub fn count_done(&self) -> usize {
        self.done.len()
    }

    /// Begins anew, whatever an earlier run has left.
    pub fn begin(&mut self, plan: DumpPlan) -> Result<()> {
        let path = self.folder.join(JOURNAL);
        self.done.clear();
        self.left = Left::Nothing;
        failpoint::pass(Point::Before(Act::BeginDump));
        let emptied = self.journal.set_len(0).and_then(|()| self.journal.rewind());
        emptied.map_err(|error| failed("writing", &path, error))?;
        self.remove_packs()?;
        self.append(&FirstLine { format: FORMAT, plan: plan.clone() })?;
        let synced = self.journal.sync_data();
        synced.map_err(|error| failed("writing", &path, error))?;
        archive::sync_folder(&self.folder)?;
        failpoint::pass(Point::After(Act::BeginDump));
        self.left = Left::Begun(plan);
        Ok(())
    }

    /// Goes on with what an earlier run has left, but for packs that aren't as they were written: the
    /// system may have crashed since, and nothing is synced before the archive is whole.
    pub fn go_on(&mut self) -> Result<()> {
        let mut sound = BTreeMap::new();
        for (group, done) in std::mem::take(&mut self.done) {
            let path = self.pack(group);
            let is_sound = is_sound(&path, &done);
            if is_sound.map_err(|error| failed("reading", &path, error))? {
                sound.insert(group, done);
            }
        }
        self.done = sound;
        Ok(())
    }

    /// How the rows are divided.
    pub(super) fn groups(&self) -> &[Vec<Chunk>] {
        match &self.left {
            Left::Begun(plan) => &plan.groups,
            Left::Nothing | Left::Unreadable => &[],
        }
    }

    /// The groups that aren't written.
    pub(super) fn owed(&self) -> Vec<usize> {
        (0..self.groups().len()).filter(|group| !self.done.contains_key(group)).collect()
    }

    /// Where a group is written.
    pub(super) fn pack(&self, group: usize) -> PathBuf {
        self.folder.join(pack(group))
    }

    /// Remembers that a group is written.
    pub(super) fn add(&mut self, done: Done) -> Result<()> {
        failpoint::pass(Point::Before(Act::NotePack));
        self.append(&done)?;
        failpoint::pass(Point::After(Act::NotePack));
        self.done.insert(done.group, done);
        Ok(())
    }

    /// What is written of each of so many tables, in order.
    pub fn written(&self, tables: usize) -> Vec<Vec<Written>> {
        let mut written = vec![Vec::new(); tables];
        for (group, done) in &self.done {
            for (chunk, (piece, fingerprint)) in self.groups()[*group].iter().zip(&done.pieces) {
                written[chunk.table.0 as usize].push(Written {
                    pack: self.pack(*group),
                    piece: piece.clone(),
                    fingerprint: *fingerprint,
                });
            }
        }
        written
    }

    /// Where the archive is put together.
    pub fn archive(&self) -> PathBuf {
        self.folder.join("archive")
    }

    /// Removes it: the archive has left it.
    pub fn remove(self) -> Result<()> {
        failpoint::pass(Point::Before(Act::ClearPacks));
        self.remove_packs()?;
        let Partial { folder, journal, .. } = self;
        let removed = fs::remove_file(folder.join(JOURNAL)).and_then(|()| {
            // Windows may keep a file's name until it is closed.
            drop(journal);
            fs::remove_dir(&folder)
        });
        removed.map_err(|error| failed("removing", &folder, error))?;
        failpoint::pass(Point::After(Act::ClearPacks));
        Ok(())
    }

    /// Removes all but the journal.
    fn remove_packs(&self) -> Result<()> {
        let remove = || {
            for entry in fs::read_dir(&self.folder)? {
                let entry = entry?;
                if entry.file_name() != JOURNAL {
                    archive::remove(&entry.path())?;
                }
            }
            Ok(())
        };
        remove().map_err(|error| failed("emptying", &self.folder, error))
    }

    /// Takes what the journal says up to the first line that isn't as it was written; what comes
    /// behind that is written anew.
    fn read(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        self.journal.read_to_end(&mut bytes)?;
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
        let first = lines.next();
        let Some((first, mut whole)) = first.and_then(|line| Some((read(line)?, line.len())))
        else {
            self.left = if bytes.is_empty() { Left::Nothing } else { Left::Unreadable };
            return Ok(());
        };
        let FirstLine { format: FORMAT, plan } = first else {
            self.left = Left::Unreadable;
            return Ok(());
        };
        self.left = Left::Begun(plan);
        for line in lines {
            let Some(done) = read::<Done>(line) else { break };
            whole += line.len();
            self.done.insert(done.group, done);
        }
        self.journal.set_len(whole as u64)?;
        self.journal.seek(SeekFrom::End(0)).map(|_| ())
    }

    fn append(&mut self, line: &impl Serialize) -> Result<()> {
        let write = |journal: &mut File| {
            let text = serde_json::to_string(line)?;
            let line = format!("{:08x} {text}\n", crc32fast::hash(text.as_bytes()));
            journal.write_all(line.as_bytes())
        };
        write(&mut self.journal)
            .map_err(|error| failed("writing", &self.folder.join(JOURNAL), error))
    }
}

const JOURNAL: &str = "journal";

fn pack(group: usize) -> String {
    format!("rows.{group}")
}

/// What a line of the journal says, if it is as it was written: its CRC-32 stands before it.
fn read<'l, T: Deserialize<'l>>(line: &'l [u8]) -> Option<T> {
    let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let (sum, text) = line.split_once(' ')?;
    let is_whole = u32::from_str_radix(sum, 16).ok()? == crc32fast::hash(text.as_bytes());
    if is_whole { serde_json::from_str(text).ok() } else { None }
}

/// Whether a pack is as it was written.
fn is_sound(path: &Path, done: &Done) -> io::Result<bool> {
    for (piece, _) in &done.pieces {
        if !piece.is_in(path)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Nothing is removed that no dump has made.
fn refuse_strange(folder: &Path) -> Result<()> {
    let entries = fs::read_dir(folder).map_err(|error| failed("reading", folder, error))?;
    let names = entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>();
    let names = names.map_err(|error| failed("reading", folder, error))?;
    if names.is_empty() || names.iter().any(|name| name == JOURNAL) {
        return Ok(());
    }
    Err(Error::new(Kind::Refused, format!("writing to {}", folder.display()))
        .because("it is there already, and no dump of ours")
        .hint("move it away, or give another --file"))
}

/// Two runs don't write into one folder.
fn lock(journal: &File, path: &Path, folder: &Path) -> Result<()> {
    let at_work = || {
        Err(Error::new(Kind::Refused, format!("writing to {}", folder.display()))
            .because("another run is at work there")
            .hint("wait until it has ended, or give another --file"))
    };
    match journal.try_lock() {
        Ok(()) => match has_its_name(journal, path) {
            Ok(true) => Ok(()),
            // Whoever has ended meanwhile has removed it.
            Ok(false) => at_work(),
            Err(error) => Err(failed("locking", folder, error)),
        },
        // On a file system without locks nobody can be kept out.
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(()),
        Err(TryLockError::Error(error)) => Err(failed("locking", folder, error)),
        Err(TryLockError::WouldBlock) => at_work(),
    }
}

/// Whether a file that was opened by this name still is what it names.
#[cfg(unix)]
fn has_its_name(journal: &File, _: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(journal.metadata()?.nlink() > 0)
}

#[cfg(not(unix))]
fn has_its_name(_: &File, path: &Path) -> io::Result<bool> {
    path.try_exists()
}

/// What a file can't do to us, with what helps. Only for a full disk, on which somebody may make
/// room, is it the system's word, which is waited for.
pub(super) fn failed(doing: &str, path: &Path, error: io::Error) -> Error {
    let failure = Error::step(format!("{doing} {}", path.display()));
    let failure = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => failure.io(error),
        _ => failure.because(error.to_string()),
    };
    failure.hint(
        "see that there is room, and that it can be written; then run the same command again: it \
         goes on from here as long as nobody writes to the source",
    )
}
