//! The folder of a dump that isn't complete yet: what its workers have written, and a journal of it.
//! A later run goes on from there as long as the rows are those of the same moment.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::archive::{self, Piece, Written};
use crate::copy::Fingerprint;
use crate::error::{Error, Kind, Result};
use crate::plan::Chunk;

/// The journal's own format: another one is begun anew.
const FORMAT: u32 = 1;

/// What a dump is of, and how it is made: its journal's first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beginning {
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
    beginning: Beginning,
}

/// A pack that is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) group: usize,
    /// Its pieces, in the group's order.
    pub(super) pieces: Vec<(Piece, Fingerprint)>,
}

/// A dump that isn't complete yet.
#[derive(Debug)]
pub struct Partial {
    folder: PathBuf,
    journal: File,
    /// What it is of.
    pub beginning: Beginning,
    done: BTreeMap<usize, Done>,
}

impl Partial {
    /// Where a dump to `path` is made.
    pub fn folder(path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(".partial");
        PathBuf::from(name)
    }

    /// What an earlier run has left, if it has left anything that can be read.
    pub fn left_behind(folder: &Path) -> Result<Option<Partial>> {
        let path = folder.join(JOURNAL);
        let mut journal = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(journal) => journal,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("opening", &path, error)),
        };
        lock(&journal, folder)?;
        let mut text = String::new();
        if journal.read_to_string(&mut text).is_err() {
            return Ok(None);
        }
        // A line that was being written has no end.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let truncated = journal.set_len(whole as u64);
        truncated.map_err(|error| failed("writing", &path, error))?;
        let sought = journal.seek(SeekFrom::End(0));
        sought.map_err(|error| failed("writing", &path, error))?;
        let mut lines = text[..whole].lines();
        let first = lines.next().and_then(|line| serde_json::from_str::<FirstLine>(line).ok());
        let Some(FirstLine { format: FORMAT, beginning }) = first else { return Ok(None) };
        let done: Result<Vec<Done>, _> = lines.map(serde_json::from_str).collect();
        let Ok(done) = done else { return Ok(None) };
        let done = done.into_iter().map(|done| (done.group, done)).collect();
        let mut partial = Partial { folder: folder.to_owned(), journal, beginning, done };
        partial.done.retain(|group, done| is_whole(&folder.join(pack(*group)), done));
        Ok(Some(partial))
    }

    /// Begins anew, whatever an earlier run has left.
    pub fn begin(folder: &Path, beginning: Beginning) -> Result<Partial> {
        let path = folder.join(JOURNAL);
        if folder.exists() && !path.exists() {
            let is_empty = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
            if !is_empty {
                return Err(Error::new(Kind::Refused, format!("writing to {}", folder.display()))
                    .because("it is there already, and no dump of ours")
                    .hint("move it away, or give another --file"));
            }
        }
        archive::remove(folder).map_err(|error| failed("removing", folder, error))?;
        fs::create_dir_all(folder).map_err(|error| failed("making", folder, error))?;
        let journal = File::create(&path).map_err(|error| failed("making", &path, error))?;
        lock(&journal, folder)?;
        let done = BTreeMap::new();
        let mut partial = Partial { folder: folder.to_owned(), journal, beginning, done };
        let line = FirstLine { format: FORMAT, beginning: partial.beginning.clone() };
        partial.append(&line)?;
        archive::sync_folder(folder)?;
        Ok(partial)
    }

    /// The groups that aren't written.
    pub fn owed(&self) -> Vec<usize> {
        (0..self.beginning.groups.len()).filter(|group| !self.done.contains_key(group)).collect()
    }

    /// Where a group is written.
    pub(super) fn pack(&self, group: usize) -> PathBuf {
        self.folder.join(pack(group))
    }

    /// Remembers that a group is written.
    pub(super) fn add(&mut self, done: Done) -> Result<()> {
        self.append(&done)?;
        self.done.insert(done.group, done);
        Ok(())
    }

    /// What is written of each of so many tables, in order.
    pub fn written(&self, tables: usize) -> Vec<Vec<Written>> {
        let mut written = vec![Vec::new(); tables];
        for (group, done) in &self.done {
            for (chunk, (piece, fingerprint)) in
                self.beginning.groups[*group].iter().zip(&done.pieces)
            {
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
        drop(self.journal);
        archive::remove(&self.folder).map_err(|error| failed("removing", &self.folder, error))
    }

    fn append(&mut self, line: &impl Serialize) -> Result<()> {
        let write = |journal: &mut File| {
            let mut line = serde_json::to_vec(line)?;
            line.push(b'\n');
            journal.write_all(&line)?;
            journal.sync_data()
        };
        write(&mut self.journal)
            .map_err(|error| failed("writing", &self.folder.join(JOURNAL), error))
    }
}

const JOURNAL: &str = "journal";

fn pack(group: usize) -> String {
    format!("rows.{group}")
}

/// Whether a pack is as long as the journal says: it was synced before that was written.
fn is_whole(path: &Path, done: &Done) -> bool {
    let wanted = done.pieces.iter().map(|(piece, _)| piece.offset + piece.length).max();
    fs::metadata(path).is_ok_and(|there| Some(there.len()) == wanted)
}

/// Two runs don't write into one folder.
fn lock(journal: &File, folder: &Path) -> Result<()> {
    match journal.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => {
            Ok(())
        }
        Err(TryLockError::Error(error)) => Err(failed("locking", folder, error)),
        Err(TryLockError::WouldBlock) => {
            Err(Error::new(Kind::Refused, format!("writing to {}", folder.display()))
                .because("another run is at work there")
                .hint("wait until it has ended, or give another --file"))
        }
    }
}

/// What a file can't do to us, with what helps against a full disk.
pub(super) fn failed(doing: &str, path: &Path, error: std::io::Error) -> Error {
    Error::step(format!("{doing} {}", path.display())).io(error).hint(
        "see that there is room, and that it can be written; then run the same command again: it \
         goes on from here as long as nobody writes to the source",
    )
}
