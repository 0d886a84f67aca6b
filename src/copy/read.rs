//! Rows read and not forwarded: fingerprinted, or told apart by their keys.

use std::ops::ControlFlow;

use crate::error::{Error, Result};
use crate::pg::RowFormat;

use super::fingerprint::Fingerprint;
use super::incoming::{Incoming, Pause};
use super::keyed_lines::{KeyedLines, KeyedRow};
use super::stream::{CopyEnd, CopyStream, Progress};

/// Reads the rows that `source`'s COPY TO STDOUT sends, and keeps nothing of them but their
/// fingerprint. There is no checksum: it would name an order of rows that means nothing.
///
/// After an error that the server sent, the connection can be used again; after another, or if the
/// future is dropped before its end, it can't.
pub async fn fingerprint(
    source: CopyEnd<'_>,
    stream: &CopyStream<'_>,
    progress: &Progress,
) -> Result<Fingerprint> {
    let CopyEnd {
        connection,
        statement,
    } = source;
    connection
        .start_copy_out(&Incoming::doing(stream), statement)
        .await?;
    let mut incoming = Incoming::new(connection, stream, progress);
    loop {
        let pause = incoming.walk(|_| ControlFlow::<()>::Continue(()))?;
        if pause == Pause::Short {
            incoming.fill().await?;
        } else if !incoming.goes_on().await? {
            break;
        }
    }
    incoming.finish().await
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
    /// Starts `source`'s COPY TO STDOUT, in the text format, of rows whose first `keys` columns are
    /// their key.
    pub async fn start(
        source: CopyEnd<'a>,
        stream: &CopyStream<'_>,
        keys: usize,
        progress: &'a Progress,
    ) -> Result<KeyedRows<'a>> {
        let doing = Incoming::doing(stream);
        if stream.format != RowFormat::Text {
            return Err(Error::step(doing).because("keys can be read from rows in text only"));
        }
        let CopyEnd {
            connection,
            statement,
        } = source;
        connection.start_copy_out(&doing, statement).await?;
        Ok(KeyedRows {
            incoming: Incoming::new(connection, stream, progress),
            doing,
            lines: KeyedLines::new(keys),
            ended: false,
        })
    }

    /// The next row; none after the last one.
    pub async fn next(&mut self) -> Result<Option<KeyedRow>> {
        while !self.ended {
            let KeyedRows {
                incoming, lines, ..
            } = self;
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
