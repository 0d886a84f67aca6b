//! A raw connection: the socket is ours, so COPY data can be forwarded frame by frame.
//!
//! It speaks the simple query protocol, in exchanges (`exchange`) and in COPY (`copying`).

mod copying;
mod exchange;

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
use super::{Conninfo, session_setup};
use exchange::Owed;

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
            channel: Channel { session: Some(established.cancel.clone()), ..established.channel },
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

    /// The link broke: nothing more can be done with it.
    fn lost(&mut self, doing: &str, error: io::Error) -> Error {
        self.broken = true;
        lost(&self.peer, doing, error)
    }
}

/// The error for a link that broke.
pub(super) fn lost(peer: &str, doing: &str, error: io::Error) -> Error {
    Error::new(Kind::Lost, doing)
        .because(format!("the connection to {peer} is lost: {error}"))
        .hint("check that the server is up, then run the same command again")
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
}
