//! The target's half of a copy: payloads gathered into big CopyData frames, which cost the target
//! less than one for each row, and its objections heard while it is written to.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use futures::FutureExt;

use crate::error::{Error, Result};
use crate::wire::{Header, RawConnection, tag};

use super::stream::{CopyStream, copied_rows};

/// A frame is sent when its payload has this size: big enough for its costs to vanish, small
/// enough for the caches of both ends.
const FRAME_BYTES: usize = 64 << 10;

/// A payload of this size goes from the read buffer straight to the socket; below, copying it is
/// cheaper than another call.
const LARGE_PAYLOAD: usize = 16 << 10;

/// So many copies may be unanswered: enough that a distant server is never waited for, few enough
/// that one which fails is noticed soon.
const UNANSWERED: usize = 16;

/// COPY FROM STDIN, one after the other.
pub(super) struct Outgoing<'a> {
    connection: &'a mut RawConnection,
    /// Room for the header, then what was gathered.
    frame: Vec<u8>,
    /// The copies that the server hasn't been heard out about, oldest first.
    begun: VecDeque<Begun>,
    crc: crc32fast::Hasher,
}

/// A COPY FROM STDIN that was asked for.
struct Begun {
    doing: String,
    /// How many rows it was sent, once all were.
    rows: Option<u64>,
}

/// What is to be sent before anything more is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// What was gathered.
    Frame,
    /// What was gathered and behind it the payload just offered, which wasn't copied.
    FrameAndPayload,
}

impl<'a> Outgoing<'a> {
    /// Nothing sent yet.
    pub(super) fn new(connection: &'a mut RawConnection) -> Self {
        let mut frame = Vec::with_capacity(Header::SIZE + FRAME_BYTES + LARGE_PAYLOAD);
        frame.resize(Header::SIZE, 0);
        let crc = crc32fast::Hasher::new();
        Outgoing { connection, frame, begun: VecDeque::new(), crc }
    }

    /// Asks for the next COPY.
    pub(super) async fn begin(&mut self, stream: &CopyStream<'_>, copy_in: &str) -> Result<()> {
        while self.begun.len() >= UNANSWERED {
            self.settle().await?;
        }
        let doing = format!("{}, into the target", stream.doing);
        let asked = self.connection.ask_copy_in(&doing, copy_in).await;
        self.begun.push_back(Begun { doing, rows: None });
        self.crc.reset();
        asked
    }

    /// Takes a payload in, unless it is large; breaks when something is due.
    #[inline]
    pub(super) fn take(&mut self, payload: &[u8]) -> ControlFlow<Due> {
        if payload.len() >= LARGE_PAYLOAD {
            return ControlFlow::Break(Due::FrameAndPayload);
        }
        self.frame.extend_from_slice(payload);
        if self.frame.len() - Header::SIZE >= FRAME_BYTES {
            return ControlFlow::Break(Due::Frame);
        }
        ControlFlow::Continue(())
    }

    /// Sends what was gathered and `payload` as one frame.
    pub(super) async fn send(&mut self, payload: &[u8]) -> Result<()> {
        self.seal(payload);
        self.write(payload).await?;
        // A server that has refused the COPY reads on and throws away what it reads (source:
        // tcop/postgres.c, PostgresMain), so only its answer says that it is over.
        match self.until_it_objects().now_or_never() {
            None => Ok(()),
            Some(objected) => Err(self.objection(objected).await),
        }
    }

    /// Waits until the target objects to what it is sent. Dropping the future loses nothing.
    pub(super) async fn until_it_objects(&mut self) -> Result<()> {
        self.connection.until_it_objects().await
    }

    /// The error of a target that has objected, or whose connection broke. The connection is back
    /// in order if it was a COPY that failed.
    pub(super) async fn objection(&mut self, objected: Result<()>) -> Error {
        let mut first = None;
        for begun in std::mem::take(&mut self.begun) {
            if self.connection.owes() == 0 {
                break;
            }
            let words = self.connection.finish(&begun.doing).await.err();
            first = first.or(words.filter(|error| error.server_error().is_some()));
        }
        first.unwrap_or_else(|| match objected {
            Ok(()) => Error::step("feeding the target")
                .because("the server ended a COPY by itself")
                .hint("run the same command again"),
            Err(error) => error.within("feeding the target"),
        })
    }

    /// Ends the COPY after so many `rows`. Returns the checksum of all that was sent.
    pub(super) async fn end(&mut self, rows: u64) -> Result<u32> {
        self.seal(&[]);
        self.frame.extend([tag::COPY_DONE, 0, 0, 0, 4]);
        self.write(&[]).await?;
        if let Some(begun) = self.begun.back_mut() {
            begun.rows = Some(rows);
        }
        Ok(self.crc.clone().finalize())
    }

    /// Hears the target out about everything that was sent.
    pub(super) async fn settle_all(&mut self) -> Result<()> {
        while !self.begun.is_empty() {
            self.settle().await?;
        }
        Ok(())
    }

    /// Hears the target out about the oldest COPY: only when all its rows have been taken, it is
    /// one.
    async fn settle(&mut self) -> Result<()> {
        let Some(begun) = self.begun.pop_front() else {
            return Ok(());
        };
        let tags = match self.connection.finish(&begun.doing).await {
            Ok(tags) => tags,
            Err(error) => {
                self.abandon().await;
                return Err(error);
            }
        };
        let taken = copied_rows(&tags);
        if let Some(rows) = begun.rows.filter(|rows| taken != Some(*rows)) {
            self.abandon().await;
            let taken = taken.map_or("an unknown number".to_owned(), |taken| taken.to_string());
            return Err(Error::step(&begun.doing)
                .because(format!("the server took {taken} of {rows} rows"))
                .hint("drop or disable the trigger or rule that diverts rows, then run again"));
        }
        Ok(())
    }

    /// Makes the target forget a COPY that isn't ended, so that the connection is in order again,
    /// in a transaction that is not to be committed.
    pub(super) async fn abandon(&mut self) {
        if self.begun.back().is_some_and(|begun| begun.rows.is_none()) {
            let why = b"the rows did not arrive whole\0";
            self.frame.clear();
            self.frame.extend([b'f', 0, 0, 0, 4 + why.len() as u8]);
            self.frame.extend(why);
            // A connection that breaks refuses its next use; the caller has the first error to
            // tell.
            if self.connection.send(&self.frame).await.is_err() {
                return;
            }
        }
        // The target's answer to that is the error that was asked for.
        for begun in std::mem::take(&mut self.begun) {
            let _asked_for = self.connection.finish(&begun.doing).await;
        }
    }

    /// Writes the header of a frame that `payload` ends.
    fn seal(&mut self, payload: &[u8]) {
        let gathered = &self.frame[Header::SIZE..];
        self.crc.update(gathered);
        self.crc.update(payload);
        let length = u32::try_from(4 + gathered.len() + payload.len())
            .expect("a frame is no larger than the buffers it is made from");
        self.frame[0] = tag::COPY_DATA;
        self.frame[1..Header::SIZE].copy_from_slice(&length.to_be_bytes());
    }

    /// Writes the frame and `payload` behind it, and empties the frame.
    async fn write(&mut self, payload: &[u8]) -> Result<()> {
        let mut written = self.connection.send(&self.frame).await;
        if written.is_ok() && !payload.is_empty() {
            written = self.connection.send(payload).await;
        }
        self.frame.clear();
        self.frame.resize(Header::SIZE, 0);
        match written {
            Ok(()) => Ok(()),
            // What a server says before it hangs up tells more than that it did.
            Err(error) => Err(self.objection(Err(error)).await),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scripted::{self, Act, server};
    use super::*;
    use crate::pg::RowFormat;

    #[tokio::test]
    async fn an_objection_is_heard_by_the_next_sends_without_a_pause_between_them() {
        let objection = [scripted::error("ERROR", "22P04", "extra data"), scripted::ready(b'E')];
        let script = [vec![scripted::copy_in()], objection.to_vec()].concat();
        let (mut target, _) = server(script.into_iter().map(Act::Send).collect()).await;
        let stream = CopyStream { doing: "copying t", format: RowFormat::Text, columns: 1 };
        let mut outgoing = Outgoing::new(&mut target);
        outgoing.begin(&stream, "COPY t").await.unwrap();
        let payload = vec![0; LARGE_PAYLOAD];
        for _ in 0..10_000 {
            if let Err(error) = outgoing.send(&payload).await {
                assert_eq!(error.server_error().unwrap().sqlstate, "22P04");
                target.execute("going on", "ROLLBACK").await.unwrap();
                return;
            }
        }
        panic!("nobody heard the objection");
    }
}
