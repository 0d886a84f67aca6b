//! Rows that come from elsewhere than a server: lines of COPY's text format, as files have them.

use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::wire::RawConnection;

use super::outgoing::{Due, Outgoing};
use super::stream::{CopyStream, Progress, Tally};
use super::text_rows::TextRows;

/// One of the loads that follow each other on a connection.
#[derive(Debug, Clone, Copy)]
pub struct LoadPart<'a> {
    /// The target's statements, the last of them a COPY FROM STDIN.
    pub copy_in: &'a str,
    /// What it is sent.
    pub stream: CopyStream<'a>,
}

/// What comes of rows that are read.
#[derive(Debug)]
pub enum Block {
    /// Some more bytes of a part, from where the last block ended.
    Bytes(Vec<u8>),
    /// The part's end.
    End,
}

/// Loads part by part what arrives as `blocks`: what [`super::forward`] does, from a file. Neither the
/// blocks nor the rows need end where the others do.
///
/// As there, nothing may be committed after an error.
pub async fn load(
    blocks: &mut mpsc::Receiver<Result<Block>>,
    target: &mut RawConnection,
    parts: &[LoadPart<'_>],
    progress: &Progress,
) -> Result<Vec<Tally>> {
    let mut outgoing = Outgoing::new(target);
    let mut tallies = Vec::with_capacity(parts.len());
    for part in parts {
        match load_one(blocks, &mut outgoing, part, progress).await {
            Ok(tally) => tallies.push(tally),
            Err(Failed::Source(error)) => {
                outgoing.abandon().await;
                return Err(error);
            }
            Err(Failed::Target(error)) => return Err(error),
        }
    }
    outgoing.settle_all().await?;
    Ok(tallies)
}

/// Which end an error came from: it decides what the other one must be told.
enum Failed {
    Source(Error),
    Target(Error),
}

async fn load_one(
    blocks: &mut mpsc::Receiver<Result<Block>>,
    outgoing: &mut Outgoing<'_>,
    part: &LoadPart<'_>,
    progress: &Progress,
) -> Result<Tally, Failed> {
    let stream = &part.stream;
    outgoing.begin(stream, part.copy_in).await.map_err(Failed::Target)?;
    let mut rows = TextRows::new();
    let fed = match feed(blocks, outgoing, stream, &mut rows, progress).await {
        Err(Failed::Target(error)) if refuses_rows(&error) => match rest_of(blocks).await {
            Ok(()) => Err(Failed::Target(error)),
            Err(damaged) => Err(Failed::Target(damaged.within(stream.doing))),
        },
        fed => fed,
    };
    let bytes = fed?;
    let fingerprint = rows.finish().ok_or_else(|| Failed::Source(cut_off(stream)))?;
    let crc32 = outgoing.end(fingerprint.rows).await.map_err(Failed::Target)?;
    Ok(Tally { bytes, crc32, fingerprint })
}

/// Sends a part's blocks; how many bytes they had.
async fn feed(
    blocks: &mut mpsc::Receiver<Result<Block>>,
    outgoing: &mut Outgoing<'_>,
    stream: &CopyStream<'_>,
    rows: &mut TextRows,
    progress: &Progress,
) -> Result<u64, Failed> {
    let mut bytes = 0;
    loop {
        let arrived = tokio::select! {
            biased;
            arrived = blocks.recv() => arrived,
            objected = outgoing.until_it_objects() => {
                return Err(Failed::Target(outgoing.objection(objected).await));
            }
        };
        let block = match arrived {
            Some(Ok(Block::Bytes(block))) => block,
            Some(Ok(Block::End)) => return Ok(bytes),
            Some(Err(error)) => return Err(Failed::Source(error.within(stream.doing))),
            None => return Err(Failed::Source(unread(stream))),
        };
        let before = rows.count();
        rows.take(&block);
        bytes += block.len() as u64;
        progress.add(rows.count() - before, block.len() as u64);
        match outgoing.take(&block) {
            std::ops::ControlFlow::Continue(()) => {}
            std::ops::ControlFlow::Break(due) => {
                let payload = if due == Due::Frame { &[][..] } else { &block };
                outgoing.send(payload).await.map_err(Failed::Target)?;
            }
        }
    }
}

/// Whether it is rows that the target refuses. A damaged file's rows may be such before the checksum
/// behind them tells that it is damaged.
fn refuses_rows(error: &Error) -> bool {
    error.server_error().is_some_and(|words| matches!(words.class(), "22" | "23"))
}

/// Reads a part to its end.
async fn rest_of(blocks: &mut mpsc::Receiver<Result<Block>>) -> Result<()> {
    while let Some(Block::Bytes(_)) = blocks.recv().await.transpose()? {}
    Ok(())
}

fn unread(stream: &CopyStream<'_>) -> Error {
    Error::step(stream.doing).because("its rows couldn't be read to their end")
}

fn cut_off(stream: &CopyStream<'_>) -> Error {
    Error::step(stream.doing)
        .because("its data ends in the middle of a row")
        .hint("it was cut off: copy the archive again, or make it anew; then run again")
}

#[cfg(test)]
mod tests {
    use super::super::fingerprint::Fingerprint;
    use super::super::scripted::{self, Act, server};
    use super::*;
    use crate::pg::RowFormat;

    const STREAM: CopyStream<'_> =
        CopyStream { doing: "loading public.orders", format: RowFormat::Text, columns: 1 };
    const PART: LoadPart<'_> = LoadPart { copy_in: "COPY t FROM STDIN", stream: STREAM };

    async fn loaded(blocks: Vec<Result<Block>>, target: &mut RawConnection) -> Result<Vec<Tally>> {
        let (sender, mut receiver) = mpsc::channel(blocks.len().max(1));
        for block in blocks {
            sender.send(block).await.unwrap();
        }
        drop(sender);
        load(&mut receiver, target, &[PART], &Progress::default()).await
    }

    fn takes(answer: Vec<u8>) -> Vec<Act> {
        vec![Act::Send(scripted::copy_in()), Act::TakeCopy, Act::Send(answer)]
    }

    #[tokio::test]
    async fn rows_arrive_whole_wherever_they_were_cut() {
        let rows = [vec![b'x'; 10], vec![b'y'; 100_000], Vec::new()];
        let all: Vec<u8> = rows.iter().flat_map(|row| [row, &b"\n"[..]].concat()).collect();
        for size in [1, 7, 4096, 50_000, all.len()] {
            let (mut target, play) = server(takes(scripted::taken(3))).await;
            let mut blocks: Vec<Result<Block>> =
                all.chunks(size).map(|some| Ok(Block::Bytes(some.to_vec()))).collect();
            blocks.push(Ok(Block::End));
            let tallies = loaded(blocks, &mut target).await.unwrap();
            let mut expected = Fingerprint::default();
            rows.iter().for_each(|row| expected.add_row(&[row, &b"\n"[..]].concat()));
            let tally = Tally {
                bytes: all.len() as u64,
                crc32: crc32fast::hash(&all),
                fingerprint: expected,
            };
            assert_eq!(tallies, [tally], "{size}");
            drop(target);
            assert_eq!(play.await.unwrap().data, all);
        }
    }

    #[tokio::test]
    async fn a_refused_row_of_a_damaged_file_is_told_as_the_files_damage() {
        for (sqlstate, is_damaged, words) in [
            ("22P02", true, "loading public.orders: unpacking"),
            ("23502", true, "loading public.orders: unpacking"),
            ("22P02", false, "(SQLSTATE 22P02)"),
            ("53100", true, "(SQLSTATE 53100)"),
        ] {
            let refusal = scripted::error("ERROR", sqlstate, "failed");
            let script = vec![
                Act::Send([scripted::copy_in(), refusal, scripted::ready(b'E')].concat()),
                Act::TakeCopy,
            ];
            let (mut target, play) = server(script).await;
            let (sender, mut blocks) = mpsc::channel(1);
            tokio::spawn(async move {
                let block = || Ok(Block::Bytes(b"abcdefg\n".repeat(100_000)));
                let end = match is_damaged {
                    true => Err(Error::step("unpacking")),
                    false => Ok(Block::End),
                };
                for block in [block(), block(), block(), end] {
                    let _is_wanted = sender.send(block).await;
                }
            });
            let (progress, parts) = (Progress::default(), [PART]);
            let loading = load(&mut blocks, &mut target, &parts, &progress);
            let error = loading.await.unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
            drop(target);
            play.await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_ends_inside_a_row_or_in_an_error_never_counts_as_a_copy() {
        let refusal = [scripted::error("ERROR", "57014", "failed"), scripted::ready(b'E')].concat();
        let half = || Ok(Block::Bytes(b"a\nb".to_vec()));
        for (blocks, words) in [
            (vec![half(), Ok(Block::End)], "in the middle of a row"),
            (vec![half(), Err(Error::step("unpacking"))], "loading public.orders: unpacking"),
            (vec![half()], "to their end"),
        ] {
            let (mut target, play) = server(takes(refusal.clone())).await;
            let error = loaded(blocks, &mut target).await.unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
            target.execute("going on", "ROLLBACK").await.unwrap();
            drop(target);
            assert!(!play.await.unwrap().others.contains(&b'c'), "CopyDone");
        }
    }
}
