//! Rows read into files: several workers, each with a connection under the same snapshot, write packs
//! of chunks, compressed, and what is written is remembered.

mod partial;
mod writing;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;

use crate::archive::{Laying, Pack};
use crate::copy::{self, Fingerprint, Progress, ReadPart};
use crate::error::{Error, Result};
use crate::plan::{Chunk, Phase, StepId};
use crate::toc::{Side, TableData};
use crate::wire::RawConnection;

use super::crew::REACHING_PATIENCE;
use super::events::{Event, Events};
use super::failpoint::{self, Act, Point};
use super::faults::{Remedy, is_cut_off, remedy};
use super::held_up;
use super::persistence::Persistence;
use super::reading::ReadFrom;
use super::rows::{copy_out, stream};
use super::unmoved;

use partial::{Done, failed};
pub use partial::{DumpPlan, Left, Partial};

/// So many buffers of rows wait to be compressed.
const WAITING: usize = 4;

/// What is read, and how it is written.
#[derive(Debug, Clone)]
pub struct Dumping {
    /// The source, under the snapshot.
    pub from: ReadFrom,
    /// The tables that the chunks are of.
    pub tables: Arc<Vec<TableData>>,
    /// How the archive's data is laid down.
    pub laying: Laying,
    /// How many workers.
    pub jobs: usize,
    /// How long a pack is tried again.
    pub patience: Duration,
}

/// Writes all that `partial` is owed.
pub async fn dump(dumping: Dumping, partial: &mut Partial, events: &Events) -> Result<()> {
    let owed = partial.owed();
    announce(&dumping, partial, &owed, events).await;
    let cost = |group: &usize| cost(&partial.groups()[*group]);
    let mut dearest_first = owed;
    dearest_first.sort_by_key(|group| std::cmp::Reverse(cost(group)));
    let workers = dumping.jobs.clamp(1, dearest_first.len().max(1));
    let groups = dearest_first.into_iter().map(|group| Group {
        number: group,
        chunks: partial.groups()[group].clone(),
        pack: partial.pack(group),
    });
    let queue = Arc::new(Mutex::new(groups.collect::<VecDeque<_>>()));
    let (done, mut all_done) = mpsc::channel(workers);
    let mut tasks = JoinSet::new();
    for number in 0..workers {
        let worker = Worker {
            number,
            dumping: dumping.clone(),
            queue: Arc::clone(&queue),
            events: events.clone(),
        };
        tasks.spawn(worker.work(done.clone()));
    }
    drop(done);
    // The first worker to fail ends it all: the others are aborted with the set they are in.
    loop {
        tokio::select! {
            Some((done, finished)) = all_done.recv() => {
                // Nobody hears of what isn't noted yet.
                partial.add(done)?;
                events.say(finished).await;
            }
            Some(ended) = tasks.join_next() => {
                ended.map_err(|error| Error::step("dumping").because(error.to_string()))??;
            }
            else => return Ok(()),
        }
    }
}

async fn announce(dumping: &Dumping, partial: &Partial, owed: &[usize], events: &Events) {
    let groups = partial.groups();
    let all: u64 = groups.iter().map(|group| cost(group)).sum();
    let owed_bytes: u64 = owed.iter().map(|group| cost(&groups[*group])).sum();
    let event = Event::Planned {
        steps: (groups.len(), groups.len() - owed.len()),
        tables: dumping.tables.len(),
        bytes: (all, all - owed_bytes),
        cost: (all, all - owed_bytes),
    };
    events.say(event).await;
}

fn cost(chunks: &[Chunk]) -> u64 {
    chunks.iter().map(|chunk| chunk.bytes).sum()
}

/// Chunks that become one pack.
#[derive(Debug)]
struct Group {
    number: usize,
    chunks: Vec<Chunk>,
    pack: std::path::PathBuf,
}

struct Worker {
    number: usize,
    dumping: Dumping,
    queue: Arc<Mutex<VecDeque<Group>>>,
    events: Events,
}

impl Worker {
    async fn work(self, done: mpsc::Sender<(Done, Event)>) -> Result<()> {
        let mut connection = None;
        while let Some(group) = self.next() {
            let tables = &self.dumping.tables;
            let title = match group.chunks.as_slice() {
                [one] => tables[one.table.0 as usize].relation.to_string(),
                many => format!("{} tables", many.len()),
            };
            let (worker, step) = (self.number, StepId(group.number as u32));
            let (phase, cost) = (Phase::Data, cost(&group.chunks));
            let started = Event::StepStarted { worker, step, phase, title: title.clone(), cost };
            self.events.say(started).await;
            let since = Instant::now();
            let written = self.persist(&mut connection, &group).await?;
            let rows = written.pieces.iter().map(|(_, fingerprint)| fingerprint.rows).sum();
            let bytes = written.pieces.iter().map(|(piece, _)| piece.bytes).sum();
            let took = since.elapsed();
            let finished =
                Event::StepFinished { worker, step, phase, title, cost, rows, bytes, took };
            if done.send((written, finished)).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn next(&self) -> Option<Group> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Writes a group, and tries again what may pass as long as the snapshot is there and the patience
    /// lasts.
    async fn persist(&self, connection: &mut Option<RawConnection>, group: &Group) -> Result<Done> {
        let mut persistence = Persistence::new(self.dumping.patience);
        loop {
            let progress = Progress::part_of(&self.events.copied);
            let writing = async {
                let connection = match connection {
                    Some(connection) => connection,
                    None => connection.insert(self.dumping.from.connect().await?),
                };
                self.write(connection, group, &progress).await
            };
            let error = match writing.await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            progress.take_back();
            *connection = None;
            let pause = match remedy(&error) {
                // A full disk of our own is waited for; a server that is gone takes the snapshot with
                // it.
                Remedy::Again if is_cut_off(&error) && !error.is_io() => {
                    persistence.pause_within(REACHING_PATIENCE)
                }
                Remedy::Again => persistence.pause(),
                Remedy::Resume | Remedy::Stop => None,
            };
            let Some(pause) = pause else { return Err(error) };
            let seconds = pause.as_secs_f64();
            let words = format!("{}; tried again in {seconds:.1} s", error.message());
            self.events.say(Event::Note(words)).await;
            sleep(pause).await;
        }
    }

    /// Writes a group. What was read counts once the server has said that nothing has moved.
    async fn write(
        &self,
        connection: &mut RawConnection,
        group: &Group,
        progress: &Progress,
    ) -> Result<Done> {
        let Dumping { tables, laying, from, .. } = &self.dumping;
        failpoint::pass(Point::Before(Act::WritePack));
        let open = Pack::create(&group.pack, *laying);
        let mut pack = open.map_err(|error| failed("making", &group.pack, error))?;
        let mut pieces = Vec::with_capacity(group.chunks.len());
        let mut read = Vec::with_capacity(group.chunks.len());
        for chunk in &group.chunks {
            let table = &tables[chunk.table.0 as usize];
            read.push(table);
            let reading = async {
                unmoved::hold(connection, Side::Source, &[table]).await?;
                self.write_chunk(connection, (table, chunk), pack, group, progress).await
            };
            let written;
            (pack, written) = match reading.await {
                Ok(written) => written,
                Err(error) => {
                    let error = held_up::explained(error, from, &[table]).await;
                    return Err(explained_too_long(error));
                }
            };
            pieces.push(written);
        }
        unmoved::settle(connection, Side::Source, &read).await?;
        let finished = spawn_blocking(move || pack.finish()).await;
        let finished = finished.map_err(panicked)?;
        finished.map_err(|error| failed("writing", &group.pack, error))?;
        failpoint::pass(Point::After(Act::WritePack));
        Ok(Done { group: group.number, pieces })
    }

    async fn write_chunk(
        &self,
        connection: &mut RawConnection,
        (table, chunk): (&TableData, &Chunk),
        mut pack: Pack,
        group: &Group,
        progress: &Progress,
    ) -> Result<(Pack, (crate::archive::Piece, Fingerprint))> {
        let doing = format!("dumping {}", table.relation);
        let statement = copy_out(table, &chunk.range, Side::Source);
        let part = ReadPart { copy_out: &statement, stream: stream(table, &doing) };
        let (to, mut rows) = mpsc::channel(WAITING);
        let holds_objects = table.holds_large_objects();
        let writer = spawn_blocking(move || {
            let piece = match holds_objects {
                true => writing::objects(&mut pack, &mut rows),
                false => writing::rows(&mut pack, &mut rows),
            };
            piece.map(|piece| (pack, piece))
        });
        let read = copy::hand_on(connection, &part, progress, &to).await;
        drop(to);
        let written = writer.await;
        let written = written.map_err(panicked)?;
        // Where nothing could be written, reading failed for that.
        let (pack, piece) = written.map_err(|error| failed("writing", &group.pack, error))?;
        Ok((pack, (piece, read?)))
    }
}

/// The error with what takes it to go on, where a row is longer than text may be (source:
/// lib/stringinfo.c, enlargeStringInfo; utils/mmgr/mcxt.c, palloc).
fn explained_too_long(error: Error) -> Error {
    let is_too_long = error.server_error().is_some_and(|words| {
        words.sqlstate == "54000" || words.message.contains("invalid memory alloc request size")
    });
    match is_too_long {
        true => error.hint(
            "a row of it takes more than 1 GB as text, which is all that archives hold: leave it out \
             by --where or -T, or move it by `pgconvoy migrate`",
        ),
        false => error,
    }
}

fn panicked(error: tokio::task::JoinError) -> Error {
    match error.try_into_panic() {
        Ok(panic) => Error::panicked("writing rows", panic.as_ref()),
        Err(error) => Error::step("writing rows").because(error.to_string()),
    }
}
