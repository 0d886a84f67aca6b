//! A raw connection: the socket is ours, so COPY data can be forwarded frame by frame.
//!
//! It speaks the simple query protocol. Every Query is owed one ReadyForQuery; the connection
//! counts what is owed, so one that was abandoned in the middle of an exchange is refused further
//! use instead of answering the wrong question.

mod copying;

use std::collections::VecDeque;
use std::io;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::io::AsyncWriteExt;

use crate::error::{Error, Kind, Result};
use crate::pg::ServerVersion;

use super::cancel::CancelHandle;
use super::channel::Channel;
use super::connect::{Established, establish};
use super::message::{self, tag, take_string};
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
    /// The Queries whose ReadyForQuery is still to come, oldest first.
    owed: VecDeque<Owed>,
    broken: bool,
    transaction: TransactionStatus,
}

/// A Query that was sent, and what has been answered so far.
struct Owed {
    asks_for_rollback: bool,
    /// COPY data follows it: the server needn't be told that none will.
    is_fed: bool,
    tags: Vec<String>,
    failure: Option<Fields>,
    is_answered: bool,
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
        let doing = "setting the session up";
        // A server that lets us in and then says nothing hasn't let us in.
        let set_up = super::connect::in_time(conninfo, connection.execute(doing, &setup)).await;
        match set_up {
            Some(Ok(())) => Ok(connection),
            Some(Err(error)) => Err(error.as_kind(Kind::Connect)),
            None => Err(Error::new(Kind::Connect, doing)
                .because(format!("{} gave no answer in time", connection.peer))
                .hint("check that it is a PostgreSQL server and is up, or raise connect_timeout")),
        }
    }

    /// A connection over a session that is ready for queries.
    pub(super) fn over(established: Established) -> RawConnection {
        RawConnection {
            channel: established.channel,
            version: established.version,
            process_id: established.process_id,
            cancel: established.cancel,
            peer: established.peer,
            owed: VecDeque::new(),
            broken: false,
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

    /// What leads to this very server again, of the several that a list of hosts or one name may
    /// stand for: an exported snapshot is known to one server only. After a failover, it is the
    /// original that leads on.
    pub fn same_server(&self) -> Conninfo {
        self.cancel.same_server()
    }

    /// What cancels the statement that runs here, from elsewhere.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
    }

    /// The state of the transaction after the last exchange.
    pub fn transaction(&self) -> TransactionStatus {
        self.transaction
    }

    /// Whether it can only be closed: the link broke, or an exchange was left in the middle.
    pub fn is_broken(&self) -> bool {
        self.broken || !self.owed.is_empty()
    }

    /// The last warnings of the server; a bounded number is kept.
    pub fn take_warnings(&mut self) -> Vec<String> {
        self.channel.warnings.take()
    }

    /// Runs statements, separated by `;`, in one round trip; rows are discarded.
    pub async fn execute(&mut self, doing: &str, sql: &str) -> Result<()> {
        self.start(doing, &[sql]).await?;
        self.finish(doing).await.map(|_tags| ())
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
        for statement in statements {
            let finished = self.finish(&statement.doing).await;
            outcome = outcome.and(finished.map(|_tags| ()));
            if self.broken {
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

/// Query and answer.
impl RawConnection {
    /// Sends Queries without waiting for their answers: each owes one [`RawConnection::finish`].
    pub(crate) async fn send_queries(&mut self, doing: &str, queries: &[&str]) -> Result<()> {
        let mut bytes = BytesMut::new();
        for sql in queries {
            frontend::query(sql, &mut bytes)
                .map_err(|error| Error::step(doing).because(error.to_string()))?;
        }
        self.owed.extend(queries.iter().map(|sql| Owed::of(sql)));
        match self.channel.send(&bytes).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let lost = self.lost(doing, error);
                Err(match self.channel.last_words().await {
                    Some(words) => Error::step(doing).server(words.shown()),
                    None => lost,
                })
            }
        }
    }

    /// Reads up to the ReadyForQuery of the oldest Query that owes one. Left-over COPY data is
    /// thrown away. The commands' tags ("COPY 12"), or the first error; a COMMIT that turned into
    /// a rollback is one.
    pub(crate) async fn finish(&mut self, doing: &str) -> Result<Vec<String>> {
        self.drain(doing, None).await
    }

    /// Sends Queries on a connection that owes nothing.
    async fn start(&mut self, doing: &str, queries: &[&str]) -> Result<()> {
        if self.is_broken() {
            return Err(Error::step(doing)
                .because(format!(
                    "the connection to {} was lost, or left in the middle of an exchange",
                    self.peer
                ))
                .hint("run the same command again"));
        }
        self.send_queries(doing, queries).await
    }

    async fn drain(
        &mut self,
        doing: &str,
        mut rows: Option<&mut Vec<Vec<Option<String>>>>,
    ) -> Result<Vec<String>> {
        while self.owed.front().is_some_and(|owed| !owed.is_answered) {
            if let Err(error) = self.answer(&mut rows).await {
                let lost = self.lost(doing, error);
                let words = self.owed.pop_front().and_then(|owed| owed.failure);
                return Err(match words {
                    Some(words) => Error::step(doing).server(words.shown()),
                    None => lost,
                });
            }
        }
        let Some(owed) = self.owed.pop_front() else {
            return Err(Error::step(doing).because("no answer is owed"));
        };
        if let Some(words) = owed.failure {
            return Err(Error::step(doing).server(words.shown()));
        }
        // COMMIT of a transaction that had failed succeeds, with the tag ROLLBACK.
        let rolled_back = owed.tags.iter().any(|tag| tag == "ROLLBACK");
        if rolled_back && !owed.asks_for_rollback {
            return Err(Error::step(doing)
                .because("the transaction had failed, so the server rolled it back")
                .hint("run the same command again"));
        }
        Ok(owed.tags)
    }

    /// The link broke: nothing more can be done with it.
    fn lost(&mut self, doing: &str, error: io::Error) -> Error {
        self.broken = true;
        lost(&self.peer, doing, error)
    }

    /// Takes in one message, which belongs to the oldest Query that isn't answered yet. Dropping
    /// the future loses nothing while a COPY is fed.
    async fn answer(&mut self, rows: &mut Option<&mut Vec<Vec<Option<String>>>>) -> io::Result<()> {
        let header = self.channel.header_of_answer().await?;
        if matches!(header.tag, tag::COPY_DATA | tag::COPY_DONE)
            || (header.tag == tag::DATA_ROW && rows.is_none())
        {
            return self.channel.discard(header).await;
        }
        let mut message = self.channel.receive(LARGEST_ANSWER_BYTES).await?;
        let Some(owed) = self.owed.iter_mut().find(|owed| !owed.is_answered) else {
            return Err(message::malformed("an answer to nothing that was asked".into()));
        };
        match message.tag {
            tag::DATA_ROW => {
                if let Some(rows) = rows {
                    rows.push(message::row(message.body)?);
                }
            }
            tag::COMMAND_COMPLETE => owed.tags.push(take_string(&mut message.body)?),
            tag::ERROR => {
                let words = Fields::read(message.body)?;
                owed.failure.get_or_insert(words);
            }
            tag::COPY_IN_RESPONSE if !owed.is_fed => {
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
                owed.is_answered = true;
            }
            tag::ROW_DESCRIPTION
            | tag::EMPTY_QUERY
            | tag::COPY_OUT_RESPONSE
            | tag::COPY_IN_RESPONSE => {}
            other => {
                return Err(message::malformed(format!(
                    "a message of type {:?} where none belongs",
                    char::from(other)
                )));
            }
        }
        Ok(())
    }
}

/// The error for a link that broke.
pub(super) fn lost(peer: &str, doing: &str, error: io::Error) -> Error {
    Error::step(doing)
        .because(format!("the connection to {peer} is lost: {error}"))
        .hint("check that the server is up, then run the same command again")
}

impl Owed {
    /// A word in a literal only makes us trust the caller.
    fn of(sql: &str) -> Owed {
        let sql = sql.to_ascii_uppercase();
        Owed {
            asks_for_rollback: sql.contains("ROLLBACK") || sql.contains("ABORT"),
            is_fed: false,
            tags: Vec::new(),
            failure: None,
            is_answered: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::scripted::server;
    use super::*;

    fn statement(doing: &str, sql: &str) -> Statement {
        Statement { doing: doing.into(), sql: sql.into() }
    }

    #[tokio::test]
    async fn what_may_come_at_any_time_is_taken_in_between() {
        let (conninfo, task) = server("", |mut peer| async move {
            peer.welcome().await;
            assert_eq!(peer.take().await, ('Q', "SELECT 1".into()));
            peer.complain('N', "NOTICE", "00000").await;
            peer.complain('N', "WARNING", "01000").await;
            peer.send('S', b"TimeZone\0UTC\0").await;
            peer.send('T', &[0, 0]).await;
            peer.send('A', b"\0\0\0\x01channel\0payload\0").await;
            peer.send('D', b"\0\x01\0\0\0\x01x").await;
            peer.send('C', b"SELECT 1\0").await;
            peer.send('Z', b"T").await;
        })
        .await;
        let mut connection = RawConnection::connect(&conninfo).await.unwrap();
        let rows = connection.query("asking", "SELECT 1").await.unwrap();
        assert_eq!(rows, [[Some("x".to_owned())]]);
        assert_eq!(connection.parameter("TimeZone"), Some("UTC"));
        assert_eq!(connection.transaction(), TransactionStatus::Open);
        assert_eq!(connection.take_warnings().len(), 1);
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_commit_that_rolled_back_is_an_error() {
        let (conninfo, task) = server("", |mut peer| async move {
            peer.welcome().await;
            for _ in 0..2 {
                peer.take().await;
                peer.send('C', b"ROLLBACK\0").await;
                peer.send('Z', b"I").await;
            }
        })
        .await;
        let mut connection = RawConnection::connect(&conninfo).await.unwrap();
        let commit = connection.execute("committing", "COMMIT").await;
        assert!(commit.unwrap_err().to_string().contains("rolled it back"));
        connection.execute("giving up", "ROLLBACK").await.unwrap();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_batch_fails_with_the_first_statement_that_failed() {
        let (conninfo, task) = server("", |mut peer| async move {
            peer.welcome().await;
            for answer in ["BEGIN", "", "", "ROLLBACK"] {
                peer.take().await;
                if answer.is_empty() {
                    peer.complain('E', "ERROR", "42P07").await;
                } else {
                    peer.send('C', format!("{answer}\0").as_bytes()).await;
                }
                peer.send('Z', b"E").await;
            }
        })
        .await;
        let mut connection = RawConnection::connect(&conninfo).await.unwrap();
        let batch = [
            statement("beginning", "BEGIN"),
            statement("creating a", "CREATE TABLE a ()"),
            statement("creating b", "CREATE TABLE b ()"),
            statement("committing", "COMMIT"),
        ];
        let error = connection.execute_all(&batch).await.unwrap_err();
        assert_eq!(error.to_string(), "creating a: it said so (SQLSTATE 42P07)");
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_server_that_hangs_up_is_quoted() {
        let (conninfo, task) = server("", |mut peer| async move {
            peer.welcome().await;
            peer.take().await;
            peer.complain('E', "FATAL", "57P01").await;
        })
        .await;
        let mut connection = RawConnection::connect(&conninfo).await.unwrap();
        let error = connection.execute("working", "SELECT 1").await.unwrap_err();
        assert_eq!(error.to_string(), "working: it said so (SQLSTATE 57P01)");
        let error = connection.execute("working", "SELECT 1").await.unwrap_err();
        assert!(error.to_string().contains("was lost"), "{error}");
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_left_in_the_middle_of_an_exchange_answers_nothing_more() {
        let (conninfo, task) = server("", |mut peer| async move {
            peer.welcome().await;
            peer.take().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            peer.send('C', b"SELECT 1\0").await;
            peer.send('Z', b"I").await;
        })
        .await;
        let mut connection = RawConnection::connect(&conninfo).await.unwrap();
        let slow = connection.execute("waiting", "SELECT 1");
        let given_up = tokio::time::timeout(Duration::from_millis(5), slow).await;
        assert!(given_up.is_err());
        task.await.unwrap();
        let error = connection.execute("going on", "SELECT 2").await.unwrap_err();
        assert!(error.to_string().contains("middle of an exchange"), "{error}");
    }

    #[tokio::test]
    async fn a_copy_nobody_feeds_is_refused_instead_of_hanging() {
        let (conninfo, task) = server("", |mut peer| async move {
            peer.welcome().await;
            peer.take().await;
            peer.send('G', &[0, 0, 0]).await;
            assert_eq!(peer.take().await.0, 'f');
            peer.complain('E', "ERROR", "57014").await;
            peer.send('Z', b"I").await;
        })
        .await;
        let mut connection = RawConnection::connect(&conninfo).await.unwrap();
        let copy = connection.execute("copying", "COPY t FROM STDIN").await;
        assert!(copy.unwrap_err().to_string().contains("57014"));
        task.await.unwrap();
    }

    #[tokio::test]
    async fn rows_and_copy_data_nobody_wants_are_thrown_away_whatever_their_size() {
        let (conninfo, task) = server("", |mut peer| async move {
            peer.welcome().await;
            peer.take().await;
            peer.send('H', &[0, 0, 0]).await;
            for _ in 0..3 {
                peer.send('d', &vec![b'x'; 1_000_000]).await;
            }
            peer.send('c', b"").await;
            peer.send('C', b"COPY 3\0").await;
            peer.send('Z', b"I").await;
        })
        .await;
        let mut connection = RawConnection::connect(&conninfo).await.unwrap();
        let sql = "COPY t TO STDOUT";
        connection.ask_copies_out("copying", &[sql]).await.unwrap();
        connection.copy_out_begins("copying").await.unwrap();
        assert_eq!(connection.finish("copying").await.unwrap(), ["COPY 3"]);
        assert!(connection.buffer().capacity() < 1_000_000);
        task.await.unwrap();
    }
}
