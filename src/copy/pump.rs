//! Rows forwarded from one server to another.

use crate::error::{Error, Result};

use super::incoming::{Incoming, Pause};
use super::outgoing::{Due, Outgoing};
use super::stream::{CopyEnd, CopyStream, Progress, Tally};

/// Copies the rows that `source`'s COPY TO STDOUT sends into `target`'s COPY FROM STDIN.
///
/// The target's transaction is the caller's: nothing is committed here, and after an error nothing
/// may be. What an error leaves behind:
/// - the target's COPY has failed, or the source's did and the target was told: the target's
///   connection can be used again, after ROLLBACK;
/// - the target failed while the source was still sending: the source's connection is in the middle
///   of its COPY, and refuses to be used again. Close it, and open another one.
///
/// If the future is dropped before its end, neither connection can be used again.
pub async fn forward(
    source: CopyEnd<'_>,
    target: CopyEnd<'_>,
    stream: &CopyStream<'_>,
    progress: &Progress,
) -> Result<Tally> {
    let (reading, writing) = (Incoming::doing(stream), Outgoing::doing(stream));
    let started = tokio::join!(
        source.connection.start_copy_out(&reading, source.statement),
        target.connection.start_copy_in(&writing, target.statement),
    );
    let mut incoming = Incoming::new(source.connection, &reading, stream, progress);
    let mut outgoing = Outgoing::new(target.connection, stream);
    let failed = match started {
        (Ok(()), Ok(())) => match pump(&mut incoming, &mut outgoing).await {
            Ok(tally) => return Ok(tally),
            Err(failed) => failed,
        },
        (Err(error), Ok(())) => Failed::Source(error),
        // If both refused, the target says so again once the source is mended, or the other way
        // round: one error at a time.
        (_, Err(error)) => Failed::Target(error),
    };
    match failed {
        Failed::Source(error) => {
            outgoing.abandon().await;
            Err(error)
        }
        Failed::Target(error) => Err(error),
    }
}

/// Which end an error came from: it decides what the other one must be told.
enum Failed {
    Source(Error),
    Target(Error),
}

async fn pump(incoming: &mut Incoming<'_>, outgoing: &mut Outgoing<'_>) -> Result<Tally, Failed> {
    loop {
        let pause = incoming.walk(|payload| outgoing.take(payload));
        match pause.map_err(Failed::Source)? {
            Pause::Asked(Due::Frame) => outgoing.send(&[]).await.map_err(Failed::Target)?,
            Pause::Asked(Due::FrameAndPayload) => {
                let payload = incoming.last_payload();
                outgoing.send(payload).await.map_err(Failed::Target)?;
            }
            Pause::Short => wait(incoming, outgoing).await?,
            Pause::Message => {
                if !incoming.goes_on().await.map_err(Failed::Source)? {
                    break;
                }
            }
        }
    }
    let fingerprint = incoming.finish().await.map_err(Failed::Source)?;
    let crc32 = outgoing.finish(fingerprint.rows).await.map_err(Failed::Target)?;
    Ok(Tally { bytes: incoming.bytes(), crc32, fingerprint })
}

/// Waits for the source, and listens to the target meanwhile: one that fails must not wait to be
/// noticed until there is something to send.
async fn wait(incoming: &mut Incoming<'_>, outgoing: &mut Outgoing<'_>) -> Result<(), Failed> {
    let answered = tokio::select! {
        biased;
        filled = incoming.fill() => return filled.map_err(Failed::Source),
        answered = outgoing.answered() => answered,
    };
    Err(Failed::Target(outgoing.objection(answered).await))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::super::scripted::{self, Act, Heard, server};
    use super::*;
    use crate::pg::RowFormat;
    use crate::wire::{RawConnection, TransactionStatus};

    const STREAM: CopyStream<'_> =
        CopyStream { doing: "copying public.orders", format: RowFormat::Text, columns: 1 };

    async fn copy(source: &mut RawConnection, target: &mut RawConnection) -> Result<Tally> {
        let progress = Progress::default();
        let copying = forward(
            CopyEnd { connection: source, statement: "COPY t TO STDOUT" },
            CopyEnd { connection: target, statement: "COPY t FROM STDIN" },
            &STREAM,
            &progress,
        );
        let patience = Duration::from_secs(20);
        timeout(patience, copying).await.expect("the copy stalls")
    }

    fn rows(count: usize, width: usize) -> Vec<Vec<u8>> {
        let row = |i: usize| format!("{i:0width$}\n").into_bytes();
        (0..count).map(row).collect()
    }

    fn sends(rows: &[Vec<u8>]) -> Act {
        Act::Send([scripted::copy_out(), scripted::lines(rows)].concat())
    }

    fn takes() -> Vec<Act> {
        vec![Act::Send(scripted::copy_in()), Act::TakeCopy]
    }

    /// A target that takes what comes, and answers the end of it with `answer`.
    async fn target(answer: Vec<u8>) -> (RawConnection, tokio::task::JoinHandle<Heard>) {
        let mut script = takes();
        script.push(Act::Send(answer));
        server(script).await
    }

    fn refusal() -> Vec<u8> {
        let error = scripted::error("ERROR", "57014", "COPY from stdin failed");
        [error, scripted::ready(b'E')].concat()
    }

    /// Ends the play and says what the server heard.
    async fn heard(connection: RawConnection, play: tokio::task::JoinHandle<Heard>) -> Heard {
        drop(connection);
        play.await.unwrap()
    }

    #[tokio::test]
    async fn rows_arrive_as_they_were_sent_in_fewer_messages() {
        let rows = rows(20_000, 30);
        let (mut source, _) = server(vec![sends(&rows), Act::Send(scripted::copied(20_000))]).await;
        let (mut target, play) = target(scripted::taken(20_000)).await;
        let tally = copy(&mut source, &mut target).await.unwrap();

        let mut expected = super::super::Fingerprint::default();
        rows.iter().for_each(|row| expected.add_row(row));
        let bytes = rows.concat();
        assert_eq!(
            tally,
            Tally {
                bytes: bytes.len() as u64,
                crc32: crc32fast::hash(&bytes),
                fingerprint: expected,
            }
        );
        let heard = heard(target, play).await;
        assert_eq!(heard.data, bytes);
        assert!(heard.frames < 20, "{} messages", heard.frames);
        source.execute("going on", "SELECT 1").await.unwrap();
    }

    #[tokio::test]
    async fn rows_of_every_size_arrive_in_bounded_memory() {
        let sizes = [1, 100, 16 << 10, 1, 70_000, 300_000, 5, 20 << 20, 1];
        let row = |&size: &usize| [vec![b'x'; size], vec![b'\n']].concat();
        let rows: Vec<_> = sizes.iter().map(row).collect();
        let (mut source, _) =
            server(vec![sends(&rows), Act::Send(scripted::copied(rows.len()))]).await;
        let (mut target, play) = target(scripted::taken(rows.len())).await;
        let tally = copy(&mut source, &mut target).await.unwrap();
        assert_eq!(tally.rows(), rows.len() as u64);
        assert_eq!(tally.crc32, crc32fast::hash(&rows.concat()));
        let buffer = source.buffer().capacity();
        assert!(buffer <= 1 << 20, "{buffer} bytes for a row of 20 MiB");
        assert!(heard(target, play).await.data == rows.concat());
    }

    #[tokio::test]
    async fn a_stream_that_trickles_in_arrives_whole() {
        let rows = rows(100, 30);
        let stream = [
            scripted::copy_out(),
            scripted::lines(&rows[..50]),
            scripted::notice("in between"),
            scripted::lines(&rows[50..]),
            scripted::copied(100),
        ];
        let (mut source, _) = server(vec![Act::Trickle(stream.concat())]).await;
        let (mut target, play) = target(scripted::taken(100)).await;
        assert_eq!(copy(&mut source, &mut target).await.unwrap().rows(), 100);
        assert_eq!(heard(target, play).await.data, rows.concat());
    }

    #[tokio::test]
    async fn an_empty_table_is_a_copy_too() {
        let (mut source, _) = server(vec![sends(&[]), Act::Send(scripted::copied(0))]).await;
        let (mut target, play) = target(scripted::taken(0)).await;
        assert_eq!(copy(&mut source, &mut target).await.unwrap().rows(), 0);
        let heard = heard(target, play).await;
        assert!(heard.data.is_empty());
        assert_eq!(heard.others.last(), Some(&b'c'));
    }

    #[tokio::test]
    async fn a_source_that_fails_is_the_cause_and_the_target_forgets_the_copy() {
        let failure = scripted::error("ERROR", "XX001", "could not read block 7");
        let failure = [failure, scripted::ready(b'E')].concat();
        let (mut source, _) = server(vec![sends(&rows(10_000, 30)), Act::Send(failure)]).await;
        let (mut target, play) = target(refusal()).await;
        let error = copy(&mut source, &mut target).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "copying public.orders, from the source: could not read block 7 (SQLSTATE XX001)"
        );
        assert_eq!(target.transaction(), TransactionStatus::Failed);
        target.execute("going on", "ROLLBACK").await.unwrap();
        source.execute("going on", "ROLLBACK").await.unwrap();
        let heard = heard(target, play).await;
        assert_eq!(heard.others, b"QQfQ", "CopyFail, never CopyDone");
    }

    #[tokio::test]
    async fn a_source_that_goes_away_is_no_end_of_data() {
        let (mut source, _) = server(vec![sends(&rows(10, 30)), Act::HangUp]).await;
        let (mut target, play) = target(refusal()).await;
        let error = copy(&mut source, &mut target).await.unwrap_err();
        let words = error.to_string();
        assert!(words.contains("from the source: "), "{words}");
        assert!(words.contains("is lost"), "{words}");
        source.execute("going on", "SELECT 1").await.unwrap_err();
        target.execute("going on", "ROLLBACK").await.unwrap();
        assert!(!heard(target, play).await.others.contains(&b'c'));
    }

    #[tokio::test]
    async fn a_source_that_was_shut_down_says_so_in_its_own_words() {
        let words = "terminating connection due to administrator command";
        let last = scripted::error("FATAL", "57P01", words);
        let (mut source, _) = server(vec![sends(&rows(9, 9)), Act::Send(last), Act::HangUp]).await;
        let (mut target, _) = target(refusal()).await;
        let error = copy(&mut source, &mut target).await.unwrap_err();
        assert_eq!(error.server_error().unwrap().sqlstate, "57P01");
    }

    #[tokio::test]
    async fn a_target_that_fails_is_noticed_while_the_source_is_silent() {
        let failure = scripted::error("ERROR", "53100", "could not extend file");
        let failure = [failure, scripted::ready(b'E')].concat();
        let (mut source, _) = server(vec![sends(&rows(1, 30))]).await;
        let (mut target, _) =
            server(vec![Act::Send(scripted::copy_in()), Act::Send(failure)]).await;
        let error = copy(&mut source, &mut target).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "copying public.orders, into the target: could not extend file (SQLSTATE 53100)"
        );
        target.execute("going on", "ROLLBACK").await.unwrap();
        let refused = source.execute("going on", "SELECT 1").await.unwrap_err();
        assert!(refused.to_string().contains("in the middle of an exchange"));
    }

    #[tokio::test]
    async fn a_target_that_fails_is_noticed_while_rows_flow() {
        let failure = scripted::error("ERROR", "23505", "duplicate key");
        let failure = [failure, scripted::ready(b'E')].concat();
        let many = rows(300_000, 100);
        let (mut source, _) =
            server(vec![sends(&many), Act::Send(scripted::copied(300_000))]).await;
        let (mut target, play) =
            server(vec![Act::Send(scripted::copy_in()), Act::Send(failure)]).await;
        let error = copy(&mut source, &mut target).await.unwrap_err();
        assert_eq!(error.server_error().unwrap().sqlstate, "23505");
        target.execute("going on", "ROLLBACK").await.unwrap();
        let heard = heard(target, play).await;
        assert_eq!(heard.others, b"QQQ", "no CopyDone");
        assert!(heard.data.len() < 10 << 20, "{} bytes", heard.data.len());
    }

    #[tokio::test]
    async fn a_target_that_was_shut_down_says_so_in_its_own_words() {
        let last = scripted::error("FATAL", "57P01", "terminating connection");
        let (mut source, _) = server(vec![sends(&rows(300_000, 100))]).await;
        let script = vec![Act::Send([scripted::copy_in(), last].concat()), Act::HangUp];
        let (mut target, _) = server(script).await;
        let error = copy(&mut source, &mut target).await.unwrap_err();
        assert_eq!(error.server_error().unwrap().sqlstate, "57P01", "{error}");
        target.execute("going on", "ROLLBACK").await.unwrap_err();
    }

    #[tokio::test]
    async fn notices_of_the_target_are_no_objection() {
        let rows = rows(10_000, 100);
        let (mut source, _) = server(vec![sends(&rows), Act::Send(scripted::copied(10_000))]).await;
        let (mut target, _) = server(vec![
            Act::Send([scripted::copy_in(), scripted::notice("a trigger's").repeat(50)].concat()),
            Act::TakeCopy,
            Act::Send(scripted::taken(10_000)),
        ])
        .await;
        assert_eq!(copy(&mut source, &mut target).await.unwrap().rows(), 10_000);
    }

    #[tokio::test]
    async fn a_copy_that_one_end_refuses_at_once_fails_on_both() {
        let refused = scripted::error("ERROR", "42501", "permission denied");
        let refused = [refused, scripted::ready(b'E')].concat();
        let (mut source, _) = server(vec![Act::Send(refused.clone())]).await;
        let (mut target, play) = target(refusal()).await;
        let error = copy(&mut source, &mut target).await.unwrap_err();
        assert!(error.to_string().contains("from the source: permission"));
        target.execute("going on", "ROLLBACK").await.unwrap();
        assert_eq!(heard(target, play).await.others, b"QQfQ");

        let (mut source, _) =
            server(vec![sends(&rows(1, 9)), Act::Send(scripted::copied(1))]).await;
        let (mut target, _) = server(vec![Act::Send(refused.clone())]).await;
        let error = copy(&mut source, &mut target).await.unwrap_err();
        assert!(error.to_string().contains("into the target: permission"));
        source.execute("going on", "SELECT 1").await.unwrap_err();

        let (mut source, _) = server(vec![Act::Send(refused.clone())]).await;
        let (mut target, _) = server(vec![Act::Send(refused)]).await;
        copy(&mut source, &mut target).await.unwrap_err();
        source.execute("going on", "ROLLBACK").await.unwrap();
        target.execute("going on", "ROLLBACK").await.unwrap();
    }

    #[tokio::test]
    async fn a_target_that_takes_fewer_rows_than_were_sent_is_an_error() {
        let (mut source, _) =
            server(vec![sends(&rows(3, 9)), Act::Send(scripted::copied(3))]).await;
        let (mut target, _) = target(scripted::taken(2)).await;
        let error = copy(&mut source, &mut target).await.unwrap_err();
        assert!(error.to_string().contains("took 2 of 3 rows"), "{error}");
    }

    #[tokio::test]
    async fn a_stream_that_was_cut_anew_never_reaches_copy_done() {
        let merged = rows(2, 9).concat();
        for (stream, count) in [(vec![merged], 2), (rows(2, 9), 3)] {
            let script = vec![sends(&stream), Act::Send(scripted::copied(count))];
            let (mut source, _) = server(script).await;
            let (mut target, play) = target(refusal()).await;
            let error = copy(&mut source, &mut target).await.unwrap_err();
            assert!(error.to_string().contains("isn't as PostgreSQL sends it"));
            assert!(error.hint_text().unwrap().contains("pooler"));
            assert!(!heard(target, play).await.others.contains(&b'c'));
        }
    }

    #[tokio::test]
    async fn a_copy_that_was_abandoned_leaves_no_usable_connection() {
        let (mut source, _) = server(vec![sends(&rows(1, 9))]).await;
        let (mut target, play) = target(scripted::taken(1)).await;
        let copying = Box::pin(copy(&mut source, &mut target));
        let short = Duration::from_millis(100);
        timeout(short, copying).await.expect_err("it waits for more");
        source.execute("going on", "SELECT 1").await.unwrap_err();
        target.execute("going on", "COMMIT").await.unwrap_err();
        assert!(!heard(target, play).await.others.contains(&b'c'));
    }
}
