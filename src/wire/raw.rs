//! A raw connection: the socket is ours, so COPY data can be forwarded frame by frame.
//!
//! It speaks the simple query protocol. Every Query is owed one ReadyForQuery; the connection
//! counts what is owed, so one that was abandoned in the middle of an exchange is refused further
//! use instead of answering the wrong question.

use std::io;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};

use crate::error::{Error, Result};
use crate::pg::ServerVersion;

use super::cancel::CancelHandle;
use super::channel::{self, Channel};
use super::connect::{Established, establish};
use super::link::Link;
use super::message::{self, Header, tag, take_string};
use super::server_words::Fields;
use super::{Conninfo, session_setup};

/// What a message from the server may hold, CopyData aside: a row of text.
const LARGEST_ANSWER_BYTES: usize = 1 << 30;

/// A connection in the simple query protocol, for workers: their statements, receipts and COPY.
pub struct RawConnection {
    channel: Channel,
    version: ServerVersion,
    process_id: i32,
    cancel: CancelHandle,
    peer: String,
    owed: usize,
    transaction: TransactionStatus,
}

/// What ReadyForQuery says of the session's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    /// No transaction is open.
    Idle,
    /// One is open.
    Open,
    /// One is open and has failed: only ROLLBACK is accepted.
    Failed,
}

/// A statement and its purpose, for a batch.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The purpose, as in an error: "creating public.orders".
    pub doing: String,
    /// The SQL.
    pub sql: String,
}

impl RawConnection {
    /// Connects, tries every host in turn, and sets the session up as [`super::Session`] does.
    pub async fn connect(conninfo: &Conninfo) -> Result<RawConnection> {
        let mut connection = establish(conninfo).await?;
        let setup = session_setup::statements(connection.version, conninfo);
        connection.execute("setting the session up", &setup).await?;
        Ok(connection)
    }

    /// A connection over a session that is ready for queries.
    pub(super) fn over(established: Established) -> RawConnection {
        RawConnection {
            channel: established.channel,
            version: established.version,
            process_id: established.process_id,
            cancel: established.cancel,
            peer: established.peer,
            owed: 0,
            transaction: TransactionStatus::Idle,
        }
    }

    /// Gives up the connection for what it is made of.
    pub(super) fn into_established(self) -> Established {
        Established {
            channel: self.channel,
            version: self.version,
            process_id: self.process_id,
            cancel: self.cancel,
            peer: self.peer,
        }
    }

    /// The server's version.
    pub fn version(&self) -> ServerVersion {
        self.version
    }

    /// The backend's process id, as in pg_stat_activity.
    pub fn process_id(&self) -> i32 {
        self.process_id
    }

    /// A setting that the server reports by itself, as it is now: "server_encoding", "in_hot_standby".
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.channel.parameters.get(name).map(String::as_str)
    }

    /// What cancels the statement that runs here, from elsewhere.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
    }

    /// The state of the transaction after the last exchange.
    pub fn transaction(&self) -> TransactionStatus {
        self.transaction
    }

    /// The last warnings of the server; a bounded number is kept.
    pub fn take_warnings(&mut self) -> Vec<String> {
        self.channel.warnings.take()
    }

    /// Runs statements, separated by `;`, in one round trip; rows are discarded.
    pub async fn execute(&mut self, doing: &str, sql: &str) -> Result<()> {
        self.start(doing, &[sql]).await?;
        let tags = self.finish(doing).await?;
        refuse_unasked_rollback(doing, sql, &tags)
    }

    /// Runs statements in one round trip, each as a Query of its own; rows are discarded. The
    /// error is that of the first that failed. What stands behind it has still been sent: put
    /// BEGIN first, and COMMIT last makes it all or nothing.
    pub async fn execute_all(&mut self, statements: &[Statement]) -> Result<()> {
        let Some(first) = statements.first() else {
            return Ok(());
        };
        let sql: Vec<&str> = statements.iter().map(|step| step.sql.as_str()).collect();
        self.start(&first.doing, &sql).await?;
        let mut outcome = Ok(());
        for Statement { doing, sql } in statements {
            let result = match self.finish(doing).await {
                Ok(tags) => refuse_unasked_rollback(doing, sql, &tags),
                Err(error) => Err(error),
            };
            outcome = outcome.and(result);
            if self.owed == 0 {
                break;
            }
        }
        outcome
    }

    /// Runs one statement; its rows as text.
    pub async fn query(&mut self, doing: &str, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        self.start(doing, &[sql]).await?;
        let mut rows = Vec::new();
        self.drain(doing, Some(&mut rows)).await?;
        Ok(rows)
    }

    /// Says good-bye, so that the server logs no lost connection.
    pub async fn close(mut self) -> Result<()> {
        let mut goodbye = BytesMut::new();
        frontend::terminate(&mut goodbye);
        let sent = self.channel.send(&goodbye).await;
        let closed = sent.and(self.channel.link.shutdown().await);
        closed.map_err(|error| self.lost("closing the connection", error))
    }
}

/// COPY's side of the connection: the data plane drives the frames itself.
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

    /// Sends Queries without waiting for their answers: each owes one [`RawConnection::finish`].
    pub(crate) async fn send_queries(&mut self, doing: &str, queries: &[&str]) -> Result<()> {
        let mut bytes = BytesMut::new();
        for sql in queries {
            frontend::query(sql, &mut bytes)
                .map_err(|error| Error::step(doing).because(error.to_string()))?;
        }
        self.owed += queries.len();
        match self.channel.send(&bytes).await {
            Ok(()) => Ok(()),
            Err(error) => match self.channel.last_words().await {
                Some(words) => Err(Error::step(doing).server(words.shown())),
                None => Err(self.lost(doing, error)),
            },
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

    /// Both directions at once, for one function to use side by side.
    pub(crate) fn split(&mut self) -> (ReadSide<'_>, WriteSide<'_>) {
        let RawConnection { channel, peer, .. } = self;
        let (reader, writer) = tokio::io::split(&mut channel.link);
        (
            ReadSide {
                reader,
                buffer: &mut channel.buffer,
                peer,
            },
            WriteSide { writer, peer },
        )
    }

    /// Reads up to the ReadyForQuery of the oldest Query that owes one. Left-over COPY data is
    /// thrown away. The commands' tags ("COPY 12"), or the first error.
    pub(crate) async fn finish(&mut self, doing: &str) -> Result<Vec<String>> {
        self.drain(doing, None).await
    }

    /// The error for a link that broke.
    fn lost(&self, doing: &str, error: io::Error) -> Error {
        lost(&self.peer, doing, error)
    }
}

impl RawConnection {
    /// Sends Queries on a connection that owes nothing.
    async fn start(&mut self, doing: &str, queries: &[&str]) -> Result<()> {
        if self.owed > 0 {
            return Err(Error::step(doing)
                .because("the connection was left in the middle of an exchange")
                .hint("open another one; this one can only be closed"));
        }
        self.send_queries(doing, queries).await
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

    async fn drain(
        &mut self,
        doing: &str,
        mut rows: Option<&mut Vec<Vec<Option<String>>>>,
    ) -> Result<Vec<String>> {
        let mut tags = Vec::new();
        let mut failure: Option<Fields> = None;
        loop {
            match self.answer(&mut rows, &mut tags, &mut failure).await {
                Ok(false) => {}
                Ok(true) => break,
                Err(error) => {
                    return Err(match failure {
                        Some(words) => Error::step(doing).server(words.shown()),
                        None => self.lost(doing, error),
                    });
                }
            }
        }
        self.owed = self.owed.saturating_sub(1);
        match failure {
            Some(words) => Err(Error::step(doing).server(words.shown())),
            None => Ok(tags),
        }
    }

    /// Takes in one message; whether it was the ReadyForQuery.
    async fn answer(
        &mut self,
        rows: &mut Option<&mut Vec<Vec<Option<String>>>>,
        tags: &mut Vec<String>,
        failure: &mut Option<Fields>,
    ) -> io::Result<bool> {
        let header = self.channel.header_of_answer().await?;
        if matches!(header.tag, tag::COPY_DATA | tag::COPY_DONE)
            || (header.tag == tag::DATA_ROW && rows.is_none())
        {
            self.channel.discard(header).await?;
            return Ok(false);
        }
        let mut message = self.channel.receive(LARGEST_ANSWER_BYTES).await?;
        match message.tag {
            tag::DATA_ROW => {
                if let Some(rows) = rows {
                    rows.push(message::row(message.body)?);
                }
            }
            tag::COMMAND_COMPLETE => tags.push(take_string(&mut message.body)?),
            tag::ERROR => {
                let words = Fields::read(message.body)?;
                failure.get_or_insert(words);
            }
            tag::COPY_IN_RESPONSE => {
                let mut refusal = BytesMut::new();
                frontend::copy_fail("no data is sent this way", &mut refusal)?;
                self.channel.send(&refusal).await?;
            }
            tag::READY_FOR_QUERY => {
                self.transaction = match message.body.first() {
                    Some(b'I') => TransactionStatus::Idle,
                    Some(b'T') => TransactionStatus::Open,
                    Some(b'E') => TransactionStatus::Failed,
                    _ => return Err(message::malformed("an unknown transaction status".into())),
                };
                return Ok(true);
            }
            tag::ROW_DESCRIPTION | tag::EMPTY_QUERY | tag::COPY_OUT_RESPONSE => {}
            other => {
                return Err(message::malformed(format!(
                    "a message of type {:?} where none belongs",
                    char::from(other)
                )));
            }
        }
        Ok(false)
    }
}

/// The reading half of a connection.
pub(crate) struct ReadSide<'a> {
    reader: ReadHalf<&'a mut Link>,
    buffer: &'a mut BytesMut,
    peer: &'a str,
}

impl ReadSide<'_> {
    /// What was read and not yet looked at.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        self.buffer
    }

    /// Reads once into the buffer; the end of the stream is an error. Dropping the future loses
    /// nothing.
    pub(crate) async fn fill(&mut self) -> Result<usize> {
        channel::fill(&mut self.reader, self.buffer)
            .await
            .map_err(|error| lost(self.peer, "reading from the server", error))
    }
}

/// The writing half of a connection.
pub(crate) struct WriteSide<'a> {
    writer: WriteHalf<&'a mut Link>,
    peer: &'a str,
}

impl WriteSide<'_> {
    /// Sends all of `frames` and flushes. Dropping the future may leave a part sent.
    pub(crate) async fn send(&mut self, frames: &[u8]) -> Result<()> {
        channel::send(&mut self.writer, frames)
            .await
            .map_err(|error| lost(self.peer, "sending to the server", error))
    }
}

/// The error for a link that broke.
pub(super) fn lost(peer: &str, doing: &str, error: io::Error) -> Error {
    Error::step(doing)
        .because(format!("the connection to {peer} is lost: {error}"))
        .hint("check that the server is up, then run the same command again")
}

/// COMMIT of a transaction that had failed succeeds, with the tag ROLLBACK. Nobody who asked for
/// one may take it for a commit.
fn refuse_unasked_rollback(doing: &str, sql: &str, tags: &[String]) -> Result<()> {
    let asked = || {
        let sql = sql.to_ascii_uppercase();
        ["ROLLBACK", "ABORT"].iter().any(|word| sql.contains(word))
    };
    if tags.iter().any(|tag| tag == "ROLLBACK") && !asked() {
        return Err(Error::step(doing)
            .because("the transaction had failed, so the server rolled it back")
            .hint("run the same command again"));
    }
    Ok(())
}
