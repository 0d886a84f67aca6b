//! COPY's side of a raw connection: whoever moves the data drives the frames itself.

use bytes::BytesMut;

use crate::error::{Error, Result};

use super::RawConnection;
use crate::wire::message::{Header, tag};

impl RawConnection {
    /// Starts a COPY TO STDOUT: CopyData frames follow in the buffer.
    pub(crate) async fn start_copy_out(&mut self, doing: &str, sql: &str) -> Result<()> {
        self.start_copy(doing, sql, tag::COPY_OUT_RESPONSE).await
    }

    /// Starts a COPY FROM STDIN: the server waits for CopyData frames.
    pub(crate) async fn start_copy_in(&mut self, doing: &str, sql: &str) -> Result<()> {
        self.start_copy(doing, sql, tag::COPY_IN_RESPONSE).await
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

    async fn start_copy(&mut self, doing: &str, sql: &str, wanted: u8) -> Result<()> {
        self.start(doing, &[sql]).await?;
        let header = match self.channel.header_of_answer().await {
            Ok(header) => header,
            Err(error) => return Err(self.lost(doing, error)),
        };
        if header.tag != wanted {
            self.finish(doing).await?;
            return Err(Error::step(doing).because("the server started no COPY that way"));
        }
        match self.channel.discard(header).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.lost(doing, error)),
        }
    }
}
