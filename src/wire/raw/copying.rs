//! COPY's side of a raw connection: whoever moves the data drives the frames itself.

use bytes::BytesMut;

use crate::error::{Error, Result};

use super::RawConnection;
use crate::wire::message::{Header, tag};

impl RawConnection {
    /// Asks for several COPY TO STDOUT, one after the other, without waiting: each is begun by
    /// [`RawConnection::copy_out_begins`] and ended by [`RawConnection::finish`].
    pub(crate) async fn ask_copies_out(&mut self, doing: &str, queries: &[&str]) -> Result<()> {
        self.start(doing, queries).await
    }

    /// Waits until the next of the COPY TO STDOUT that were asked for sends its rows: CopyData
    /// frames follow in the buffer.
    pub(crate) async fn copy_out_begins(&mut self, doing: &str) -> Result<()> {
        let header = self.read_message_header().await.map_err(|error| error.within(doing))?;
        if header.tag != tag::COPY_OUT_RESPONSE {
            self.finish(doing).await?;
            return Err(Error::step(doing).because("the server started no COPY that way"));
        }
        if let Some(owed) = self.unanswered() {
            owed.is_copied = true;
        }
        match self.channel.discard(header).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.lost(doing, error)),
        }
    }

    /// Asks for a COPY FROM STDIN without waiting for the server's consent: CopyData frames may
    /// follow at once, as a server that refused the COPY throws them away (source:
    /// tcop/postgres.c, PostgresMain). It owes one [`RawConnection::finish`], as those before do.
    pub(crate) async fn ask_copy_in(&mut self, doing: &str, sql: &str) -> Result<()> {
        match self.owed.is_empty() {
            true => self.start(doing, &[sql]).await?,
            false => self.send_queries(doing, &[sql]).await?,
        }
        if let Some(owed) = self.owed.back_mut() {
            owed.is_fed = true;
        }
        Ok(())
    }

    /// Takes in what the server answers while it is fed, until that is an error, or the end of a
    /// COPY that it wasn't told to end. Dropping the future loses nothing.
    pub(crate) async fn until_it_objects(&mut self) -> Result<()> {
        // Until the COPY is finished: [`RawConnection::drain`].
        self.channel.is_due = false;
        loop {
            let ended = self.owed.back().is_none_or(|owed| owed.is_answered);
            if ended || self.owed.iter().any(|owed| owed.failure.is_some()) {
                return Ok(());
            }
            if let Err(error) = self.answer(&mut None).await {
                return Err(self.lost("reading from the server", error));
            }
        }
    }

    /// How many Queries haven't been finished.
    pub(crate) fn owes(&self) -> usize {
        self.owed.len()
    }

    /// What was read and not yet looked at; a frame may be there in part.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.channel.buffer
    }

    /// Reads once into the buffer; the end of the stream is an error. Dropping the future loses
    /// nothing.
    pub(crate) async fn fill(&mut self) -> Result<usize> {
        match self.channel.fill().await {
            Ok(count) => Ok(count),
            Err(error) => Err(self.lost("reading from the server", error)),
        }
    }

    /// Sends frames as they are.
    pub(crate) async fn send(&mut self, frames: &[u8]) -> Result<()> {
        match self.channel.send(frames).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.lost("sending to the server", error)),
        }
    }

    /// The header of the next message that answers something; its body may still be on its way.
    /// Notices and the like in front of it are taken in, it isn't. Dropping the future loses
    /// nothing.
    pub(crate) async fn read_message_header(&mut self) -> Result<Header> {
        match self.channel.header_of_answer().await {
            Ok(header) => Ok(header),
            Err(error) => Err(self.lost("reading from the server", error)),
        }
    }
}
