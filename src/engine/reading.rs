//! Chunks read for their fingerprints only, several at a time: on a resume, and for `verify`.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc};
use tokio::task::{JoinError, JoinSet};

use crate::copy::{self, Fingerprint, Progress, ReadPart};
use crate::error::{Error, Kind, Result};
use crate::pg::quote_literal;
use crate::plan::{Chunk, Plan};
use crate::toc::Side;
use crate::wire::{Conninfo, RawConnection};

use super::held_up;
use super::rows::{copy_out, stream};
use super::snapshot::SourceSnapshot;
use super::unmoved;

/// So many chunks are read before their tables' locks are let go.
const LOCKED: usize = 50;

/// What a server says of a snapshot it doesn't know (source: snapmgr.c, ImportSnapshot): until 16
/// and since 17.
const UNKNOWN_SNAPSHOT: [&str; 2] = ["22023", "42704"];

/// Where chunks are read.
#[derive(Debug, Clone)]
pub struct ReadFrom {
    /// Which of the two it is.
    pub side: Side,
    /// The server and database.
    pub conninfo: Conninfo,
    /// The exported snapshot to read under; none for what is there now.
    pub snapshot: Option<String>,
    /// The statements that make us members of owners whom we must be to read.
    pub joins: String,
}

impl ReadFrom {
    /// The source, under a snapshot of it.
    pub fn source(conninfo: &Conninfo, snapshot: &SourceSnapshot) -> ReadFrom {
        let snapshot = Some(snapshot.id.clone());
        ReadFrom { snapshot, ..ReadFrom::now(Side::Source, conninfo) }
    }

    /// The target, as it is now.
    pub fn target(conninfo: &Conninfo) -> ReadFrom {
        ReadFrom::now(Side::Target, conninfo)
    }

    /// A side, as it is now.
    pub fn now(side: Side, conninfo: &Conninfo) -> ReadFrom {
        ReadFrom { side, conninfo: conninfo.clone(), snapshot: None, joins: String::new() }
    }

    /// The same, in transactions that join owners. They are never committed, so whatever ends them
    /// leaves no membership behind. One that joins keeps others from joining the same roles.
    pub fn joined(self, joins: String) -> ReadFrom {
        ReadFrom { joins, ..self }
    }

    /// How many connections may read at once.
    fn readers(&self, jobs: usize) -> usize {
        if self.joins.is_empty() { jobs } else { 1 }
    }

    /// A connection in a transaction that sees, and may read, what is to be read.
    pub(crate) async fn connect(&self) -> Result<RawConnection> {
        let mut connection = RawConnection::connect(&self.conninfo).await?;
        let begin = match self.joins.is_empty() {
            true => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            false => "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE",
        };
        let snapshot = match &self.snapshot {
            Some(id) => format!("SET TRANSACTION SNAPSHOT {}; ", quote_literal(id)),
            None => String::new(),
        };
        let patience = held_up::LOCK_PATIENCE;
        let sql = format!("{begin}; {snapshot}SET LOCAL lock_timeout = '{patience}'");
        let opening = "opening a snapshot to read under";
        match connection.execute(opening, &sql).await {
            // The snapshot ended with the session that exported it.
            Err(error)
                if error
                    .server_error()
                    .is_some_and(|e| UNKNOWN_SNAPSHOT.contains(&&*e.sqlstate)) =>
            {
                return Err(error.as_kind(Kind::Stale));
            }
            opened => opened?,
        }
        if !self.joins.is_empty() {
            let joined = connection.execute(held_up::JOINING, &self.joins).await;
            joined.map_err(held_up::explained_joining)?;
            connection.execute(held_up::JOINING, "SET TRANSACTION READ ONLY").await?;
        }
        connection.execute(opening, unmoved::SAVEPOINT).await?;
        Ok(connection)
    }
}

/// The fingerprints of `chunks`, in their order.
pub async fn read_chunks(
    plan: &Arc<Plan>,
    chunks: Vec<Chunk>,
    from: &ReadFrom,
    jobs: usize,
    progress: &Arc<Progress>,
) -> Result<Vec<Fingerprint>> {
    let mut found = vec![Fingerprint::default(); chunks.len()];
    let readers = from.readers(jobs).clamp(1, chunks.len().max(1));
    let (work, queue) = mpsc::channel::<(usize, Chunk)>(readers);
    let queue = Arc::new(Mutex::new(queue));
    let mut tasks = JoinSet::new();
    for _ in 0..readers {
        let (plan, queue) = (Arc::clone(plan), Arc::clone(&queue));
        let progress = Arc::clone(progress);
        let mut connection = from.connect().await?;
        let (side, from) = (from.side, from.clone());
        tasks.spawn(async move {
            let mut read = Vec::new();
            let mut locked = Vec::new();
            loop {
                let next = queue.lock().await.recv().await;
                if next.is_none() || locked.len() == LOCKED {
                    unmoved::settle(&mut connection, side, &locked).await?;
                    locked.clear();
                }
                let Some((index, chunk)) = next else { return Ok(read) };
                let table = plan.table(chunk.table);
                let doing = format!("reading {} on {side}", table.relation);
                let statement = copy_out(table, &chunk.range, side);
                let part = ReadPart { copy_out: &statement, stream: stream(table, &doing) };
                let reading = async {
                    unmoved::hold(&mut connection, side, &[table]).await?;
                    copy::fingerprints(&mut connection, &[part], &progress).await
                };
                let found = match reading.await {
                    Ok(found) => found,
                    Err(error) => return Err(held_up::explained(error, &from, &[table]).await),
                };
                locked.push(table);
                read.extend(found.into_iter().map(|fingerprint| (index, fingerprint)));
            }
        });
    }
    drop(queue);
    let mut numbered = chunks.into_iter().enumerate();
    let mut next = numbered.next();
    // The first reader to fail ends it all: the others are aborted with the set they are in.
    while let Some(item) = next.take() {
        tokio::select! {
            sent = work.send(item.clone()) => match sent {
                Ok(()) => next = numbered.next(),
                Err(_) => break,
            },
            Some(ended) = tasks.join_next() => {
                take(ended, &mut found)?;
                next = Some(item);
            }
        }
    }
    drop(work);
    while let Some(ended) = tasks.join_next().await {
        take(ended, &mut found)?;
    }
    Ok(found)
}

type Read = Result<Vec<(usize, Fingerprint)>>;

fn take(ended: Result<Read, JoinError>, found: &mut [Fingerprint]) -> Result<()> {
    let read = ended.map_err(|e| Error::step("reading chunks").because(e.to_string()))?;
    for (index, fingerprint) in read? {
        found[index] = fingerprint;
    }
    Ok(())
}
