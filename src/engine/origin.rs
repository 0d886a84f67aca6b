//! Where a run's rows come from.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use crate::archive::{
    Archive, Chunk, Item, ItemId, Manifest, OBJECTS_AT_ONCE, Rows, each_piece, read_error,
};
use crate::copy::{Block, Fingerprint, Tally};
use crate::error::{Error, Kind, Result};
use crate::pg::Oid;
use crate::toc::{ArchivedPart, LargeObject};
use crate::wire::Conninfo;

use super::snapshot::SourceSnapshot;

/// Bytes of a block of rows.
const BLOCK: usize = 256 << 10;
/// So many blocks wait for the target at most.
const WAITING: usize = 4;

/// Where a run's rows come from.
pub enum Origin {
    /// A server.
    Server {
        /// Its database.
        source: Box<Conninfo>,
        /// The snapshot to copy under; none where every chunk is copied.
        snapshot: Option<Box<SourceSnapshot>>,
    },
    /// An archive.
    Archive(Arc<ArchivedRows>),
}

/// The rows of an archive. It never changes, so what was read of it once holds.
pub struct ArchivedRows {
    /// The archive.
    pub archive: Archive,
    /// What tells it from others.
    mark: String,
    /// The owners, grants and comments of its large objects.
    pub(super) large_objects: Vec<LargeObject>,
    /// How long each entry's data is, where it lies.
    lengths: BTreeMap<ItemId, u64>,
    /// The entries whose large objects are those of the manifest.
    proven: tokio::sync::Mutex<BTreeSet<ItemId>>,
}

/// Rows that are read on a thread of their own, a few blocks ahead of the target.
pub(super) struct Reading {
    /// What has been read.
    pub(super) blocks: mpsc::Receiver<Result<Block>>,
    oids: Arc<Mutex<Vec<u32>>>,
}

impl Reading {
    /// The large objects that have been read.
    pub(super) fn objects(&self, all: &[LargeObject]) -> Vec<LargeObject> {
        let oids = self.oids.lock().unwrap_or_else(PoisonError::into_inner);
        let is_read = |object: &&LargeObject| oids.binary_search(&object.oid).is_ok();
        all.iter().filter(is_read).cloned().collect()
    }
}

impl ArchivedRows {
    /// Those of an archive that `mark` tells from others.
    pub(crate) fn new(
        archive: Archive,
        mark: String,
        large_objects: Vec<LargeObject>,
        lengths: BTreeMap<ItemId, u64>,
    ) -> ArchivedRows {
        let proven = tokio::sync::Mutex::default();
        ArchivedRows { archive, mark, large_objects, lengths, proven }
    }

    /// The mark of the receipts of parts: the archive's, and how long the data is that they are read
    /// from, by which it is known again.
    pub(super) fn mark_of(&self, parts: &[ArchivedPart]) -> String {
        format!("{}{LENGTH}{}", self.mark, self.length_of(parts))
    }

    /// How many bytes the data has that parts are read from.
    pub fn length_of(&self, parts: &[ArchivedPart]) -> u64 {
        let items: BTreeSet<ItemId> = parts.iter().map(|part| ItemId(part.item)).collect();
        items.iter().filter_map(|item| self.lengths.get(item)).sum()
    }

    /// Reads parts, several of which may make up one COPY's rows.
    pub(super) fn read(self: &Arc<Self>, copies: Vec<Vec<ArchivedPart>>) -> Reading {
        let (sender, blocks) = mpsc::channel(WAITING);
        let oids = Arc::new(Mutex::new(Vec::new()));
        let (rows, read) = (Arc::clone(self), Arc::clone(&oids));
        tokio::task::spawn_blocking(move || {
            let mut sink = Sink { sender, block: Vec::new() };
            // A copy that has failed reads no further.
            if let Err(Ended::Failed(error)) = rows.send(&copies, &mut sink, &read) {
                let _ = sink.sender.blocking_send(Err(met_under_way(error)));
            }
        });
        Reading { blocks, oids }
    }

    fn send(
        &self,
        copies: &[Vec<ArchivedPart>],
        sink: &mut Sink,
        oids: &Mutex<Vec<u32>>,
    ) -> Result<(), Ended> {
        for parts in copies {
            for part in parts {
                let item = self.item(part)?;
                if item.holds_large_objects() {
                    self.send_large_objects(item, &self.range_of_objects(part), sink, oids)?;
                    continue;
                }
                let mut rows = match self.chunk(part)? {
                    None => self.archive.rows(item)?,
                    Some(chunk) => self.archive.chunk(item, chunk)?,
                };
                sink.put_all(&mut rows)?;
            }
            sink.end()?;
        }
        Ok(())
    }

    /// Large objects as rows of the ledger's view: OID, place, piece.
    fn send_large_objects(
        &self,
        item: &Item,
        wanted: &Range<u64>,
        sink: &mut Sink,
        oids: &Mutex<Vec<u32>>,
    ) -> Result<(), Ended> {
        let mut ended = None;
        let done = self.archive.some_large_objects(item, wanted, &mut |Oid(oid), bytes| {
            match sink.put_object(oid, bytes) {
                Ok(()) => {}
                Err(Ended::Failed(error)) => return Err(error),
                Err(gone) => {
                    ended = Some(gone);
                    return Err(Error::step("reading large objects"));
                }
            }
            let mut oids = oids.lock().unwrap_or_else(PoisonError::into_inner);
            let at = oids.binary_search(&oid).unwrap_or_else(|at| at);
            oids.insert(at, oid);
            Ok(())
        });
        match ended {
            Some(gone) => Err(gone),
            None => Ok(done?),
        }
    }

    /// Which of an entry's large objects are a part's: the last one's are all that are left.
    fn range_of_objects(&self, part: &ArchivedPart) -> Range<u64> {
        let Some(number) = part.chunk else { return 0..u64::MAX };
        let from = u64::from(number) * OBJECTS_AT_ONCE as u64;
        let to = from + OBJECTS_AT_ONCE as u64;
        from..if to < self.large_objects.len() as u64 { to } else { u64::MAX }
    }

    fn item(&self, part: &ArchivedPart) -> Result<&Item> {
        self.archive.item(ItemId(part.item)).ok_or_else(|| missing(part))
    }

    fn chunk(&self, part: &ArchivedPart) -> Result<Option<&Chunk>> {
        let Some(number) = part.chunk else { return Ok(None) };
        let rows = self.archive.manifest().and_then(|m| m.rows_of(ItemId(part.item)));
        let chunk = rows.and_then(|rows| rows.chunks.get(number as usize));
        chunk.map(Some).ok_or_else(|| missing(part))
    }

    /// Refuses large objects that aren't those of which the archive's manifest speaks, before any is
    /// taken. It knows an entry's as a whole: where that is read in several parts, it is read once more.
    pub(super) async fn refuse_damaged_objects(
        self: &Arc<Self>,
        parts: &[ArchivedPart],
    ) -> Result<()> {
        let mut proven = self.proven.lock().await;
        for part in parts.iter().filter(|part| part.chunk.is_some()) {
            let item = ItemId(part.item);
            if self.known(item).is_some() && !proven.contains(&item) {
                let (from, part) = (Arc::clone(self), part.clone());
                let (to, proved) = oneshot::channel();
                // Nobody waits for the thread once the run is stopped: it only reads.
                std::thread::spawn(move || {
                    let measured = from.item(&part).and_then(|item| from.archive.measure(item));
                    let _is_awaited = to.send(measured).is_ok();
                });
                let proved = proved.await.unwrap_or_else(|_| {
                    Err(Error::step("reading large objects")
                        .because("something went wrong that shouldn't")
                        .hint("report this, with the archive's table of contents"))
                });
                proved.map_err(met_under_way)?;
                proven.insert(item);
            }
        }
        Ok(())
    }

    /// The same of those that were read whole.
    pub(super) fn refuse_other_objects(&self, parts: &[ArchivedPart], read: &Tally) -> Result<()> {
        let known = |part: &ArchivedPart| match part.chunk {
            None => self.known(ItemId(part.item)),
            Some(_) => None,
        };
        let Some(known) = parts.iter().map(known).collect::<Option<Vec<&Rows>>>() else {
            return Ok(());
        };
        let all = known.iter().map(|rows| rows.fingerprint.parse::<Fingerprint>().ok());
        match all.sum::<Option<Fingerprint>>() == Some(read.fingerprint) {
            true => Ok(()),
            false => Err(unlike_the_manifest(read)),
        }
    }

    /// What the manifest knows of an entry.
    fn known(&self, item: ItemId) -> Option<&Rows> {
        self.archive.manifest().and_then(|manifest: &Manifest| manifest.rows_of(item))
    }

    /// Refuses rows that aren't those of which the archive's manifest speaks.
    pub(super) fn refuse_damaged(&self, parts: &[ArchivedPart], read: &Tally) -> Result<()> {
        let Some(manifest) = self.archive.manifest() else { return Ok(()) };
        let mut expected = Some((0, 0, crc32fast::Hasher::new()));
        for part in parts {
            let rows = manifest.rows_of(ItemId(part.item));
            let chunks = match (rows, self.chunk(part)?) {
                (_, Some(chunk)) => std::slice::from_ref(chunk),
                (Some(rows), None) => rows.chunks.as_slice(),
                (None, None) => {
                    expected = None;
                    &[]
                }
            };
            for chunk in chunks {
                if let Some((rows, bytes, crc)) = &mut expected {
                    *rows += chunk.rows;
                    *bytes += chunk.bytes;
                    crc.combine(&crc32fast::Hasher::new_with_initial_len(chunk.crc32, chunk.bytes));
                }
            }
        }
        let Some((rows, bytes, crc)) = expected else { return Ok(()) };
        if (rows, bytes, crc.finalize()) == (read.rows(), read.bytes, read.crc32) {
            return Ok(());
        }
        Err(unlike_the_manifest(read))
    }
}

fn unlike_the_manifest(read: &Tally) -> Error {
    Error::step("comparing the rows with the archive's manifest")
        .because(format!("{} rows were read that aren't those that were written", read.rows()))
        .hint(
            "the archive is damaged: `pgconvoy inspect` says where; copy it again, then run again",
        )
}

/// What comes between an archive's mark and the length of data in that of a receipt.
const LENGTH: &str = ", data of length ";

/// An archive's mark without the length of data, or any other whole.
pub(super) fn whole_mark(mark: &str) -> &str {
    mark.split_once(LENGTH).map_or(mark, |(whole, _)| whole)
}

/// How long the data was whose receipt has this mark.
pub fn length_in(mark: &str) -> Option<u64> {
    mark.split_once(LENGTH)?.1.parse().ok()
}

/// What is wrong with an archive is met in the middle of a job, which goes on with a whole one.
fn met_under_way(error: Error) -> Error {
    match error.kind() {
        Kind::Refused => error.as_kind(Kind::Step),
        _ => error,
    }
}

/// Why reading has ended before its end.
enum Ended {
    Failed(Error),
    /// Nobody waits for what is read any more.
    Unwanted,
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Ended::Failed(error)
    }
}

/// Bytes gathered into blocks.
struct Sink {
    sender: mpsc::Sender<Result<Block>>,
    block: Vec<u8>,
}

impl Sink {
    fn put_all(&mut self, from: &mut dyn Read) -> Result<(), Ended> {
        loop {
            let room = BLOCK.saturating_sub(self.block.len());
            let read = Read::take(&mut *from, room as u64).read_to_end(&mut self.block);
            if read.map_err(read_error)? < room {
                return Ok(());
            }
            self.flush()?;
        }
    }

    fn put_object(&mut self, oid: u32, bytes: &mut dyn Read) -> Result<(), Ended> {
        each_piece(oid, bytes, |_, row| {
            if !self.block.is_empty() && self.block.len() + row.len() > BLOCK {
                self.flush()?;
            }
            self.block.extend_from_slice(row);
            Ok(())
        })
    }

    fn end(&mut self) -> Result<(), Ended> {
        self.flush()?;
        self.sender.blocking_send(Ok(Block::End)).map_err(|_| Ended::Unwanted)
    }

    fn flush(&mut self) -> Result<(), Ended> {
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
        if block.is_empty() {
            return Ok(());
        }
        self.sender.blocking_send(Ok(Block::Bytes(block))).map_err(|_| Ended::Unwanted)
    }
}

fn missing(part: &ArchivedPart) -> Error {
    Error::new(Kind::Refused, "looking for rows in the archive")
        .because(format!("it has no data of its entry {} as the job was planned", part.item))
        .hint("give the archive, and what lies beside it, that the job was begun with")
}
