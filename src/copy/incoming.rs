//! The source's half of a copy: CopyData walked, counted and fingerprinted as it comes.

use std::ops::{ControlFlow, Range};

use bytes::Buf;

use crate::error::{Error, Result};
use crate::wire::{RawConnection, tag};

use super::fingerprint::Fingerprint;
use super::frames::{FrameWalker, Front};
use super::rows::{Malformed, Rows};
use super::stream::{CopyStream, Progress, copied_rows};

/// A COPY TO STDOUT that is under way.
pub(super) struct Incoming<'a> {
    connection: &'a mut RawConnection,
    doing: String,
    walker: FrameWalker,
    rows: Rows,
    progress: &'a Progress,
    bytes: u64,
    /// How much of the connection's buffer has been walked.
    walked: usize,
    /// Where in the buffer the last payload stands.
    payload: Range<usize>,
}

/// Why [`Incoming::walk`] paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause<B> {
    /// The consumer asked for it.
    Asked(B),
    /// What has arrived is used up: time for [`Incoming::fill`].
    Short,
    /// Another message than CopyData stands in front: time for [`Incoming::goes_on`].
    Message,
}

impl<'a> Incoming<'a> {
    /// What an error of a copy says was being done on this side.
    pub(super) fn doing(stream: &CopyStream<'_>) -> String {
        format!("{}, from the source", stream.doing)
    }

    /// Follows a copy's source: the next COPY that `connection` was asked for.
    pub(super) fn new(
        connection: &'a mut RawConnection,
        stream: &CopyStream<'_>,
        progress: &'a Progress,
    ) -> Self {
        Incoming::named(connection, Incoming::doing(stream), stream, progress)
    }

    /// Follows the next COPY that `connection` was asked for, for `doing`.
    pub(super) fn named(
        connection: &'a mut RawConnection,
        doing: String,
        stream: &CopyStream<'_>,
        progress: &'a Progress,
    ) -> Self {
        Incoming {
            connection,
            doing,
            walker: FrameWalker::new(),
            rows: Rows::new(stream.format, stream.columns),
            progress,
            bytes: 0,
            walked: 0,
            payload: 0..0,
        }
    }

    /// Waits for the COPY to begin. Dropped before its end, the connection is of no more use.
    pub(super) async fn begins(&mut self) -> Result<()> {
        self.connection.copy_out_begins(&self.doing).await
    }

    /// Hands payloads that have arrived to `consume`, in order, until it breaks off or nothing
    /// more is there.
    pub(super) fn walk<B>(
        &mut self,
        mut consume: impl FnMut(&[u8]) -> ControlFlow<B>,
    ) -> Result<Pause<B>> {
        let (rows, bytes) = (self.rows.count(), self.bytes);
        let buffer = &self.connection.buffer()[..];
        let pause = loop {
            let (piece, taken) = match self.walker.next(&buffer[self.walked..]) {
                Ok(Front::Data(piece, taken)) => (piece, taken),
                Ok(Front::Short) => break Pause::Short,
                Ok(Front::Message) => break Pause::Message,
                Err(error) => return Err(Error::step(&self.doing).io(error)),
            };
            self.rows.take(piece).map_err(|why| refuse(&self.doing, why))?;
            let payload = piece.payload();
            self.walked += taken;
            self.bytes += payload.len() as u64;
            if let ControlFlow::Break(asked) = consume(payload) {
                self.payload = self.walked - payload.len()..self.walked;
                break Pause::Asked(asked);
            }
        };
        self.progress.add(self.rows.count() - rows, self.bytes - bytes);
        Ok(pause)
    }

    /// The payload at which the consumer broke off: it stands in the buffer until the next call.
    pub(super) fn last_payload(&mut self) -> &[u8] {
        &self.connection.buffer()[self.payload.clone()]
    }

    /// Waits for more to arrive. Dropping the future loses nothing.
    pub(super) async fn fill(&mut self) -> Result<()> {
        self.throw_away_what_was_walked();
        match self.connection.fill().await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.within(&self.doing)),
        }
    }

    /// Whether CopyData follows the messages that may come at any time: if not, the COPY has ended,
    /// well or badly, and [`Incoming::finish`] says which.
    pub(super) async fn goes_on(&mut self) -> Result<bool> {
        self.throw_away_what_was_walked();
        match self.connection.read_message_header().await {
            Ok(header) => Ok(header.tag == tag::COPY_DATA),
            Err(error) => Err(error.within(&self.doing)),
        }
    }

    /// Hears the server out. Only what it reports as copied, and what fits to what was seen,
    /// is a whole copy.
    pub(super) async fn finish(&mut self) -> Result<Fingerprint> {
        let tags = self.connection.finish(&self.doing).await?;
        self.rows.finish(copied_rows(&tags)).map_err(|why| refuse(&self.doing, why))
    }

    /// Bytes that have passed.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn throw_away_what_was_walked(&mut self) {
        self.connection.buffer().advance(self.walked);
        self.walked = 0;
        self.payload = 0..0;
    }
}

#[cold]
fn refuse(doing: &str, why: Malformed) -> Error {
    Error::step(doing)
        .because(why.to_string())
        .hint("connect to the server itself, not through a pooler or a proxy")
}
