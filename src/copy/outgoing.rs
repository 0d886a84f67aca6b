//! The target's half of a copy: payloads gathered into big CopyData frames, which cost the target
//! less than one for each row, and its objections heard while it is written to.

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

/// A COPY FROM STDIN that is under way.
pub(super) struct Outgoing<'a> {
    connection: &'a mut RawConnection,
    doing: String,
    /// Room for the header, then what was gathered.
    frame: Vec<u8>,
    crc: crc32fast::Hasher,
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
    /// What an error says was being done.
    pub(super) fn doing(stream: &CopyStream<'_>) -> String {
        format!("{}, into the target", stream.doing)
    }

    /// Feeds the COPY that `connection` has started.
    pub(super) fn new(connection: &'a mut RawConnection, stream: &CopyStream<'_>) -> Self {
        let mut frame = Vec::with_capacity(Header::SIZE + FRAME_BYTES + LARGE_PAYLOAD);
        frame.resize(Header::SIZE, 0);
        Outgoing {
            connection,
            doing: Outgoing::doing(stream),
            frame,
            crc: crc32fast::Hasher::new(),
        }
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
        match self.answered().now_or_never() {
            None => Ok(()),
            Some(answered) => Err(self.objection(answered).await),
        }
    }

    /// Waits until the target says something although it is not its turn: an error, then. Dropping
    /// the future loses nothing.
    pub(super) async fn answered(&mut self) -> Result<()> {
        self.connection.read_message_header().await.map(|_| ())
    }

    /// The error of a target that has answered, or whose connection broke. The connection is back
    /// in order if it was the COPY that failed.
    pub(super) async fn objection(&mut self, answered: Result<()>) -> Error {
        let unasked = match answered {
            Ok(()) => Error::step(&self.doing).because("the server ended the COPY by itself"),
            Err(error) => error.within(&self.doing),
        };
        match self.connection.finish(&self.doing).await {
            Err(error) if error.server_error().is_some() => error,
            _ => unasked,
        }
    }

    /// Ends the copy: only when `rows`, all there are, have been taken by the target, it is one.
    /// Returns the checksum of all that was sent.
    pub(super) async fn finish(&mut self, rows: u64) -> Result<u32> {
        self.seal(&[]);
        self.frame.extend([tag::COPY_DONE, 0, 0, 0, 4]);
        self.write(&[]).await?;
        let tags = self.connection.finish(&self.doing).await?;
        let taken = copied_rows(&tags);
        if taken != Some(rows) {
            let taken = taken.map_or("an unknown number".to_owned(), |taken| taken.to_string());
            return Err(Error::step(&self.doing)
                .because(format!("the server took {taken} of {rows} rows"))
                .hint("drop or disable the trigger or rule that diverts rows, then run again"));
        }
        Ok(self.crc.clone().finalize())
    }

    /// Makes the target forget the COPY, so that the connection is in order again, in a transaction
    /// that has failed.
    pub(super) async fn abandon(&mut self) {
        let why = b"the rows did not arrive whole\0";
        self.frame.clear();
        self.frame.extend([b'f', 0, 0, 0, 4 + why.len() as u8]);
        self.frame.extend(why);
        // The target's answer is the error that was asked for. A connection that breaks meanwhile
        // refuses its next use; the caller has the first error to tell.
        if self.write(&[]).await.is_ok() {
            let _asked_for = self.connection.finish(&self.doing).await;
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
        target.start_copy_in("copying", "COPY t").await.unwrap();
        let stream = CopyStream { doing: "copying t", format: RowFormat::Text, columns: 1 };
        let mut outgoing = Outgoing::new(&mut target, &stream);
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
