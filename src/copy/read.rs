//! Rows read and not forwarded: fingerprinted, or told apart by their keys.

use std::ops::ControlFlow;

use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::pg::RowFormat;
use crate::wire::RawConnection;

use super::fingerprint::Fingerprint;
use super::incoming::{Incoming, Pause};
use super::keyed_lines::{KeyedLines, KeyedRow};
use super::stream::{Progress, ReadPart};

/// Reads the rows that each part's COPY TO STDOUT on `source` sends, and keeps nothing of them but
/// their fingerprints. There is no checksum: it would name an order of rows that means nothing. No
/// answer is waited for between the parts.
///
/// After an error, or if the future is dropped before its end, the connection may be in the middle
/// of a COPY, and then refuses to be used again.
pub async fn fingerprints(
    source: &mut RawConnection,
    parts: &[ReadPart<'_>],
    progress: &Progress,
) -> Result<Vec<Fingerprint>> {
    let Some(first) = parts.first() else {
        return Ok(Vec::new());
    };
    let asked: Vec<&str> = parts.iter().map(|part| part.copy_out).collect();
    source.ask_copies_out(first.stream.doing, &asked).await?;
    let mut fingerprints = Vec::with_capacity(parts.len());
    for part in parts {
        let doing = part.stream.doing.to_owned();
        let mut incoming = Incoming::named(source, doing, &part.stream, progress);
        incoming.begins().await?;
        loop {
            let pause = incoming.walk(|_| ControlFlow::<()>::Continue(()))?;
            if pause == Pause::Short {
                incoming.fill().await?;
            } else if !incoming.goes_on().await? {
                break;
            }
        }
        fingerprints.push(incoming.finish().await?);
    }
    Ok(fingerprints)
}

/// So many bytes of rows are handed on at once, and a row's more.
const HANDED_ON: usize = 256 << 10;

/// Reads the rows that a part's COPY TO STDOUT on `source` sends, and hands them to whoever holds the
/// other end of `to`, as they come and cut anywhere. The channel's bound is what is held in memory.
///
/// Nothing of it counts before this has ended well: only then the server has said that it was all.
/// After an error, or if the future is dropped before its end, the connection may be in the middle
/// of a COPY, and then refuses to be used again.
pub async fn hand_on(
    source: &mut RawConnection,
    part: &ReadPart<'_>,
    progress: &Progress,
    to: &mpsc::Sender<Vec<u8>>,
) -> Result<Fingerprint> {
    let doing = part.stream.doing.to_owned();
    source.ask_copies_out(&doing, &[part.copy_out]).await?;
    let mut incoming = Incoming::named(source, doing.clone(), &part.stream, progress);
    incoming.begins().await?;
    let mut gathered = Vec::new();
    loop {
        let pause = incoming.walk(|payload| {
            gathered.extend_from_slice(payload);
            match gathered.len() < HANDED_ON {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })?;
        let goes_on = match pause {
            Pause::Asked(()) => true,
            Pause::Short => incoming.fill().await.map(|()| true)?,
            Pause::Message => incoming.goes_on().await?,
        };
        let is_due = gathered.len() >= HANDED_ON || !goes_on && !gathered.is_empty();
        if is_due {
            let next = Vec::with_capacity(if goes_on { HANDED_ON } else { 0 });
            let gathered = std::mem::replace(&mut gathered, next);
            let gone = |_| Error::step(&doing).because("nobody takes the rows any more");
            to.send(gathered).await.map_err(gone)?;
        }
        if !goes_on {
            return incoming.finish().await;
        }
    }
}

/// Rows with their keys, one after the other: for finding which rows of a table differ. Memory is
/// bounded by the length of a key, not of a row.
pub struct KeyedRows<'a> {
    incoming: Incoming<'a>,
    doing: String,
    lines: KeyedLines,
    ended: bool,
}

impl<'a> KeyedRows<'a> {
    /// Starts a COPY TO STDOUT on `source`, in the text format, of rows whose first `keys` columns are
    /// their key.
    pub async fn start(
        source: &'a mut RawConnection,
        part: &ReadPart<'_>,
        keys: usize,
        progress: &'a Progress,
    ) -> Result<KeyedRows<'a>> {
        let doing = part.stream.doing.to_owned();
        if part.stream.format != RowFormat::Text {
            return Err(Error::step(doing).because("keys can be read from rows in text only"));
        }
        source.ask_copies_out(&doing, &[part.copy_out]).await?;
        let mut incoming = Incoming::named(source, doing.clone(), &part.stream, progress);
        incoming.begins().await?;
        Ok(KeyedRows { incoming, doing, lines: KeyedLines::new(keys), ended: false })
    }

    /// The next row; none after the last one.
    pub async fn next(&mut self) -> Result<Option<KeyedRow>> {
        while !self.ended {
            let KeyedRows { incoming, lines, .. } = self;
            let pause = incoming.walk(|payload| match lines.take(payload) {
                None => ControlFlow::Continue(()),
                Some(row) => ControlFlow::Break(row),
            })?;
            match pause {
                Pause::Asked(Ok(row)) => return Ok(Some(row)),
                Pause::Asked(Err(bad)) => {
                    return Err(Error::step(&self.doing).because(bad.to_string()));
                }
                Pause::Short => self.incoming.fill().await?,
                Pause::Message => self.ended = !self.incoming.goes_on().await?,
            }
            if self.ended {
                self.incoming.finish().await?;
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::super::scripted::{self, Act, server};
    use super::super::stream::CopyStream;
    use super::*;

    const STREAM: CopyStream<'_> =
        CopyStream { doing: "verifying public.orders", format: RowFormat::Text, columns: 2 };

    fn script(lines: &[&str], end: Vec<u8>) -> Vec<Act> {
        let lines: Vec<_> = lines.iter().map(|line| line.as_bytes().to_vec()).collect();
        let stream = [scripted::copy_out(), scripted::lines(&lines), end].concat();
        vec![Act::Trickle(stream)]
    }

    const PART: ReadPart<'_> = ReadPart { copy_out: "COPY t TO STDOUT", stream: STREAM };

    #[tokio::test]
    async fn reading_yields_the_fingerprint_of_the_rows() {
        let (mut source, _) = server(script(&["1\ta\n", "2\tb\n"], scripted::copied(2))).await;
        let progress = Progress::default();
        let read = fingerprints(&mut source, &[PART], &progress).await;
        let mut expected = Fingerprint::default();
        expected.add_row(b"2\tb\n");
        expected.add_row(b"1\ta\n");
        assert_eq!(read.unwrap(), [expected]);
        assert_eq!((progress.rows(), progress.bytes()), (2, 8));
        source.execute("going on", "SELECT 1").await.unwrap();
    }

    #[tokio::test]
    async fn a_source_that_fails_yields_no_fingerprint() {
        let failure = scripted::error("ERROR", "57014", "canceling statement");
        let failure = [failure, scripted::ready(b'E')].concat();
        let (mut source, _) = server(script(&["1\ta\n"], failure)).await;
        let error = fingerprints(&mut source, &[PART], &Progress::default()).await;
        assert_eq!(
            error.unwrap_err().to_string(),
            "verifying public.orders: canceling statement (SQLSTATE 57014)"
        );
        source.execute("going on", "ROLLBACK").await.unwrap();
    }

    #[tokio::test]
    async fn rows_come_one_by_one_with_their_keys() {
        let (mut source, _) = server(script(&["1\ta\n", "2\tb\n"], scripted::copied(2))).await;
        let progress = Progress::default();
        let mut rows = KeyedRows::start(&mut source, &PART, 1, &progress).await.unwrap();
        for key in ["1", "2"] {
            let row = rows.next().await.unwrap().unwrap();
            assert_eq!(row.key, [Some(key.as_bytes().to_vec())]);
        }
        assert_eq!(rows.next().await.unwrap(), None);
        assert_eq!(rows.next().await.unwrap(), None);
        source.execute("going on", "SELECT 1").await.unwrap();
    }

    #[tokio::test]
    async fn keys_are_not_read_from_binary_rows() {
        let (mut source, _) = server(vec![]).await;
        let stream = CopyStream { format: RowFormat::Binary, ..STREAM };
        let part = ReadPart { stream, ..PART };
        let progress = Progress::default();
        let started = KeyedRows::start(&mut source, &part, 1, &progress).await;
        assert!(started.is_err());
        source.execute("going on", "SELECT 1").await.unwrap();
    }
}
