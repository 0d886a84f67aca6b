//! An ordinary session for SQL: catalog reads, the ledger, preflight.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::TryStreamExt;
use tokio::task::JoinHandle;
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{AsyncMessage, Client, Connection, Row, RowStream};

use crate::error::{Error, Kind, Result};
use crate::pg::{ServerError, ServerVersion};

use super::Conninfo;
use super::cancel::CancelHandle;
use super::channel::Warnings;
use super::connect::Established;
use super::handover::{Handover, hand_over};
use super::legible::legible;
use super::message::LARGEST_RESULT_BYTES;
use super::raw::{RawConnection, lost};
use super::server_words::Fields;
use super::silence;
use super::typed_value::TypedValue;

/// What the rows of a query may take that are handed over one by one: catalogs keep much of each.
const LARGEST_CATALOG_BYTES: usize = 4 << 30;
/// What holding a row takes beside its bytes.
const ROW_OVERHEAD: usize = 200;

/// How long a server gets to close its side.
const GOODBYE_TIME: Duration = Duration::from_secs(5);

/// A session on tokio-postgres. Its timeouts are off and its search_path is empty.
pub struct Session {
    client: Client,
    connection: ConnectionTask,
    said: Arc<Mutex<Said>>,
    parameters: BTreeMap<String, String>,
    version: ServerVersion,
    process_id: i32,
    cancel: CancelHandle,
    /// The bytes that the server has sent.
    heard: Arc<AtomicU64>,
    peer: String,
}

/// What the server said unasked.
#[derive(Default)]
struct Said {
    warnings: Warnings,
    /// Why it ended the session, if it did.
    last_words: Option<ServerError>,
}

/// The task that drives the connection; it ends with the session.
struct ConnectionTask(JoinHandle<()>);

impl Session {
    /// Connects, tries every host in turn, and sets the session up.
    pub async fn connect(conninfo: &Conninfo) -> Result<Session> {
        let mut raw = RawConnection::connect(conninfo).await?;
        // Such a server converts nothing, and would refuse what isn't valid without a word of where
        // that is.
        if raw.parameter("server_encoding") == Some("SQL_ASCII") {
            let sql = "SET client_encoding = 'SQL_ASCII'";
            raw.execute("taking text as it is", sql).await?;
        }
        Session::over(raw).await
    }

    /// A session over a connection that owes nothing.
    pub(super) async fn over(raw: RawConnection) -> Result<Session> {
        let Established { mut channel, version, process_id, cancel, peer } = raw.into_established();
        let parameters = channel.parameters.clone();
        let said = Arc::new(Mutex::new(Said {
            warnings: std::mem::take(&mut channel.warnings),
            last_words: None,
        }));
        let heard = Arc::default();
        let handed = hand_over(channel, process_id, cancel.secret_key(), Arc::clone(&heard)).await;
        let (client, connection) = handed.map_err(|error| {
            Error::new(Kind::Connect, format!("connecting to {peer}")).because(error.to_string())
        })?;
        Ok(Session {
            client,
            connection: ConnectionTask(tokio::spawn(converse(connection, said.clone()))),
            said,
            parameters,
            version,
            process_id,
            cancel,
            heard,
            peer,
        })
    }

    /// The server's version.
    pub fn version(&self) -> ServerVersion {
        self.version
    }

    /// The backend's process id, as in pg_stat_activity.
    pub fn process_id(&self) -> i32 {
        self.process_id
    }

    /// A setting that the server reported when the session started: "server_encoding".
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
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

    /// The last warnings of the server; a bounded number is kept.
    pub fn take_warnings(&self) -> Vec<String> {
        locked(&self.said).warnings.take()
    }

    /// Runs a query, in one round trip; `doing` names the purpose in an error. Queries of one session
    /// that are awaited together are under way together.
    pub async fn query(
        &self,
        doing: &str,
        sql: &str,
        params: &[&dyn TypedValue],
    ) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        let keep = |row| {
            rows.push(row);
            Ok(())
        };
        self.take_rows(doing, sql, params, LARGEST_RESULT_BYTES, keep).await?;
        Ok(rows)
    }

    /// Runs a query and hands its rows over one by one as they come: a large result is never there
    /// whole.
    pub async fn query_each(
        &self,
        doing: &str,
        sql: &str,
        params: &[&dyn TypedValue],
        take: impl FnMut(Row) -> Result<()>,
    ) -> Result<()> {
        self.take_rows(doing, sql, params, LARGEST_CATALOG_BYTES, take).await
    }

    /// Runs a query and hands its rows over, unless there is no end to them.
    async fn take_rows(
        &self,
        doing: &str,
        sql: &str,
        params: &[&dyn TypedValue],
        most: usize,
        mut take: impl FnMut(Row) -> Result<()>,
    ) -> Result<()> {
        let mut rows = pin!(self.answer(doing, self.ask(sql, params)).await?);
        let mut taken = 0_usize;
        while let Some(row) = self.answer(doing, rows.try_next()).await? {
            taken = taken.saturating_add(row.raw_size_bytes() + ROW_OVERHEAD);
            if taken > most {
                let why = format!("{} sends rows without end", self.peer);
                return Err(Error::step(doing)
                    .because(why)
                    .hint("check that it is a PostgreSQL server, and the one you mean"));
            }
            take(legible(doing, row)?)?;
        }
        Ok(())
    }

    /// Runs a query that yields exactly one row.
    pub async fn query_one(
        &self,
        doing: &str,
        sql: &str,
        params: &[&dyn TypedValue],
    ) -> Result<Row> {
        let rows = self.query(doing, sql, params).await?;
        let count = rows.len();
        <[Row; 1]>::try_from(rows)
            .map(|[row]| row)
            .map_err(|_| Error::step(doing).because(format!("{count} rows came instead of one")))
    }

    /// Asks with the parameters' types: to prepare the query first, and learn them, would take
    /// another round trip.
    async fn ask(
        &self,
        sql: &str,
        params: &[&dyn TypedValue],
    ) -> std::result::Result<RowStream, tokio_postgres::Error> {
        let params = params.iter().map(|param| param.typed());
        self.client.query_typed_raw(sql, params).await
    }

    /// Runs statements, separated by `;`, over the simple protocol.
    pub async fn execute(&self, doing: &str, sql: &str) -> Result<()> {
        self.answer(doing, self.client.batch_execute(sql)).await
    }

    /// Says good-bye and waits until the connection is closed.
    pub async fn close(self) {
        let Session { client, mut connection, .. } = self;
        // The task says good-bye once nobody can ask it for more. A server that doesn't listen any
        // more isn't waited for: the task is ended with its handle.
        drop(client);
        let _ended = tokio::time::timeout(GOODBYE_TIME, &mut connection.0).await;
    }

    /// What the server answers, unless it has fallen silent.
    async fn answer<T>(
        &self,
        doing: &str,
        asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T> {
        // Boxed, as every query of every command would be so much larger.
        let asked = Box::pin(asked);
        match Box::pin(silence::unless_lost(&self.cancel, &self.heard, asked)).await {
            Ok(answered) => answered.map_err(|error| self.failed(doing, error)),
            Err(silent) => Err(lost(&self.peer, doing, silent)),
        }
    }

    fn failed(&self, doing: &str, error: tokio_postgres::Error) -> Error {
        if let Some(words) = error.as_db_error() {
            return Error::step(doing).server(Fields::of(words).shown());
        }
        if !error.is_closed() {
            // A value's conversion, or a result of another shape: both speak of types only.
            return Error::step(doing).because(match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            });
        }
        match &locked(&self.said).last_words {
            Some(words) => Error::step(doing).server(words.clone()),
            None => lost(&self.peer, doing, std::io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

impl Drop for ConnectionTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Drives the connection until its client is gone or the server is.
async fn converse(mut connection: Connection<Handover, NoTlsStream>, said: Arc<Mutex<Said>>) {
    while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
        match message {
            Ok(AsyncMessage::Notice(notice)) => locked(&said).warnings.note(Fields::of(&notice)),
            Ok(_) => {}
            Err(error) => {
                let words = error.as_db_error().map(|words| Fields::of(words).shown());
                locked(&said).last_words = words;
                return;
            }
        }
    }
}

/// What a panicking holder left is still whole: each change is one assignment.
fn locked(said: &Mutex<Said>) -> MutexGuard<'_, Said> {
    said.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::scripted::server;
    use super::*;

    #[tokio::test]
    async fn a_session_goes_on_where_the_raw_connection_stopped_and_says_goodbye() {
        let (conninfo, task) = server("", |mut peer| async move {
            peer.welcome().await;
            assert_eq!(peer.take().await, ('Q', "SELECT 1".into()));
            peer.complain('N', "WARNING", "01000").await;
            peer.send('C', b"SELECT 1\0").await;
            peer.send('Z', b"I").await;
            assert_eq!(peer.take().await.0, 'X');
        })
        .await;
        let session = Session::connect(&conninfo).await.unwrap();
        assert_eq!(session.version(), ServerVersion(170_002));
        assert_eq!(session.process_id(), 7);
        session.execute("asking", "SELECT 1").await.unwrap();
        assert_eq!(session.take_warnings(), ["it said so (SQLSTATE 01000)"]);
        session.close().await;
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_query_takes_one_round_trip_and_two_awaited_together_no_more() {
        let (conninfo, task) = server("", |mut peer| async move {
            peer.welcome().await;
            for _ in 0..2 {
                for tag in ['P', 'B', 'D', 'E', 'S'] {
                    assert_eq!(peer.take().await.0, tag);
                }
            }
            for _ in 0..2 {
                for tag in ['1', '2', 'n'] {
                    peer.send(tag, b"").await;
                }
                peer.send('C', b"SELECT 0\0").await;
                peer.send('Z', b"I").await;
            }
        })
        .await;
        let session = Session::connect(&conninfo).await.unwrap();
        let names: &[&str] = &["a"];
        let (first, second) = tokio::try_join!(session.query("asking", "SELECT 1", &[]), async {
            session.query("asking", "SELECT $1::text[]", &[&names]).await
        },)
        .unwrap();
        assert!(first.is_empty() && second.is_empty());
        task.await.unwrap();
    }

    #[tokio::test]
    async fn the_server_s_last_words_explain_the_end_of_an_idle_session() {
        let (conninfo, task) = server("", |mut peer| async move {
            peer.welcome().await;
            peer.complain('E', "FATAL", "57P01").await;
        })
        .await;
        let session = Session::connect(&conninfo).await.unwrap();
        task.await.unwrap();
        while !session.client.is_closed() {
            tokio::task::yield_now().await;
        }
        let error = session.execute("asking", "SELECT 1").await.unwrap_err();
        assert_eq!(error.to_string(), "asking: it said so (SQLSTATE 57P01)");
    }
}
