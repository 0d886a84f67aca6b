//! Queries and their answers. Every Query is owed one ReadyForQuery; the connection counts what is
//! owed, so one that was abandoned in the middle of an exchange is refused further use instead of
//! answering the wrong question.

use std::io;

use bytes::BytesMut;
use postgres_protocol::message::frontend;

use super::{RawConnection, TransactionStatus};
use crate::error::{Error, Kind, Result};
use crate::wire::message::{self, LARGEST_ANSWER_BYTES, LARGEST_RESULT_BYTES, tag, take_string};
use crate::wire::server_words::Fields;

/// What a row of text may hold.
const LARGEST_ROW_BYTES: usize = 1 << 30;
/// What holding a row takes beside its bytes.
const ROW_OVERHEAD: usize = 64;

/// A Query that was sent, and what has been answered so far.
pub(super) struct Owed {
    asks_for_rollback: bool,
    /// COPY data follows it: the server needn't be told that none will.
    pub(super) is_fed: bool,
    /// The server has begun to send COPY data.
    pub(super) is_copied: bool,
    /// What its rows take.
    held: usize,
    tags: Vec<String>,
    pub(super) failure: Option<Fields>,
    pub(super) is_answered: bool,
}

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
    pub(super) async fn start(&mut self, doing: &str, queries: &[&str]) -> Result<()> {
        if self.is_broken() {
            return Err(Error::new(Kind::Lost, doing)
                .because(format!(
                    "the connection to {} was lost, or left in the middle of an exchange",
                    self.peer
                ))
                .hint("run the same command again"));
        }
        self.send_queries(doing, queries).await
    }

    /// As [`RawConnection::finish`]; puts the rows' text into `rows`.
    pub(super) async fn drain(
        &mut self,
        doing: &str,
        mut rows: Option<&mut Vec<Vec<Option<String>>>>,
    ) -> Result<Vec<String>> {
        self.channel.is_due = true;
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

    /// Takes in one message, which belongs to the oldest Query that isn't answered yet. Dropping
    /// the future loses nothing while a COPY is fed.
    pub(super) async fn answer(
        &mut self,
        rows: &mut Option<&mut Vec<Vec<Option<String>>>>,
    ) -> io::Result<()> {
        let header = self.channel.header_of_answer().await?;
        let is_copied = self.unanswered().is_some_and(|owed| owed.is_copied);
        if (matches!(header.tag, tag::COPY_DATA | tag::COPY_DONE) && is_copied)
            || (header.tag == tag::DATA_ROW && rows.is_none())
        {
            return self.channel.discard(header).await;
        }
        let largest =
            if header.tag == tag::DATA_ROW { LARGEST_ROW_BYTES } else { LARGEST_ANSWER_BYTES };
        let mut message = self.channel.receive(largest).await?;
        let Some(owed) = self.owed.iter_mut().find(|owed| !owed.is_answered) else {
            return Err(message::malformed("an answer to nothing that was asked".into()));
        };
        match message.tag {
            tag::DATA_ROW => {
                if let Some(rows) = rows {
                    owed.held += message.body.len() + ROW_OVERHEAD;
                    if owed.held > LARGEST_RESULT_BYTES {
                        return Err(message::malformed("rows without end".into()));
                    }
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
            tag::COPY_OUT_RESPONSE => owed.is_copied = true,
            tag::ROW_DESCRIPTION | tag::EMPTY_QUERY | tag::COPY_IN_RESPONSE => {}
            other => {
                return Err(message::malformed(format!(
                    "a message of type {:?} where none belongs",
                    char::from(other)
                )));
            }
        }
        Ok(())
    }

    /// The Query that the server answers now.
    pub(super) fn unanswered(&mut self) -> Option<&mut Owed> {
        self.owed.iter_mut().find(|owed| !owed.is_answered)
    }
}

impl Owed {
    /// A word in a literal only makes us trust the caller.
    fn of(sql: &str) -> Owed {
        let sql = sql.to_ascii_uppercase();
        Owed {
            asks_for_rollback: sql.contains("ROLLBACK") || sql.contains("ABORT"),
            is_fed: false,
            is_copied: false,
            held: 0,
            tags: Vec::new(),
            failure: None,
            is_answered: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::scripted::server;

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
