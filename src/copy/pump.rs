//! Rows forwarded from one server to another.

use crate::error::{Error, Result};
use crate::wire::RawConnection;

use super::incoming::{Incoming, Pause};
use super::outgoing::{Due, Outgoing};
use super::stream::{CopyPart, Progress, Tally};

/// Copies rows part by part: what `source`'s COPY TO STDOUT sends goes into `target`'s COPY FROM
/// STDIN. Neither side's answer is waited for between the parts, so that many small ones cost
/// little more than their rows, however far the servers are.
///
/// The target's transaction is the caller's: nothing is committed here, and after an error nothing
/// may be. What an error leaves behind:
/// - the target's COPY has failed, or the source's did and the target was told: the target's
///   connection can be used again, after ROLLBACK;
/// - the source's connection may be in the middle of a COPY, and then refuses to be used again:
///   close it, and open another one.
///
/// If the future is dropped before its end, neither connection can be used again.
pub async fn forward(
    source: &mut RawConnection,
    target: &mut RawConnection,
    parts: &[CopyPart<'_>],
    progress: &Progress,
) -> Result<Vec<Tally>> {
    let Some(first) = parts.first() else {
        return Ok(Vec::new());
    };
    let asked: Vec<&str> = parts.iter().map(|part| part.copy_out).collect();
    source.ask_copies_out(&Incoming::doing(&first.stream), &asked).await?;
    let mut outgoing = Outgoing::new(target);
    let mut tallies = Vec::with_capacity(parts.len());
    for part in parts {
        match forward_one(source, &mut outgoing, part, progress).await {
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

async fn forward_one(
    source: &mut RawConnection,
    outgoing: &mut Outgoing<'_>,
    part: &CopyPart<'_>,
    progress: &Progress,
) -> Result<Tally, Failed> {
    outgoing.begin(&part.stream, part.copy_in).await.map_err(Failed::Target)?;
    let mut incoming = Incoming::new(source, &part.stream, progress);
    pump(&mut incoming, outgoing).await
}

/// Which end an error came from: it decides what the other one must be told.
enum Failed {
    Source(Error),
    Target(Error),
}

async fn pump(incoming: &mut Incoming<'_>, outgoing: &mut Outgoing<'_>) -> Result<Tally, Failed> {
    unless_it_objects(outgoing, incoming.begins()).await?;
    loop {
        let pause = incoming.walk(|payload| outgoing.take(payload));
        match pause.map_err(Failed::Source)? {
            Pause::Asked(Due::Frame) => outgoing.send(&[]).await.map_err(Failed::Target)?,
            Pause::Asked(Due::FrameAndPayload) => {
                let payload = incoming.last_payload();
                outgoing.send(payload).await.map_err(Failed::Target)?;
            }
            Pause::Short => unless_it_objects(outgoing, incoming.fill()).await?,
            Pause::Message => {
                if !incoming.goes_on().await.map_err(Failed::Source)? {
                    break;
                }
            }
        }
    }
    let fingerprint = incoming.finish().await.map_err(Failed::Source)?;
    let crc32 = outgoing.end(fingerprint.rows).await.map_err(Failed::Target)?;
    Ok(Tally { bytes: incoming.bytes(), crc32, fingerprint })
}

/// Waits for the source, and listens to the target meanwhile: one that fails must not wait to be
/// noticed until there is something to send.
async fn unless_it_objects(
    outgoing: &mut Outgoing<'_>,
    from_source: impl Future<Output = Result<()>>,
) -> Result<(), Failed> {
    let objected = tokio::select! {
        biased;
        arrived = from_source => return arrived.map_err(Failed::Source),
        objected = outgoing.until_it_objects() => objected,
    };
    Err(Failed::Target(outgoing.objection(objected).await))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::super::scripted::{self, Act, Heard, server};
    use super::super::stream::CopyStream;
    use super::*;
    use crate::pg::RowFormat;
    use crate::wire::TransactionStatus;

    const STREAM: CopyStream<'_> =
        CopyStream { doing: "copying public.orders", format: RowFormat::Text, columns: 1 };

    async fn copy(source: &mut RawConnection, target: &mut RawConnection) -> Result<Tally> {
        copy_parts(source, target, 1).await.map(|tallies| tallies[0])
    }

    async fn copy_parts(
        source: &mut RawConnection,
        target: &mut RawConnection,
        parts: usize,
    ) -> Result<Vec<Tally>> {
        let part =
            CopyPart { copy_out: "COPY t TO STDOUT", copy_in: "COPY t FROM STDIN", stream: STREAM };
        let (parts, progress) = (vec![part; parts], Progress::default());
        let copying = forward(source, target, &parts, &progress);
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
        assert_eq!(heard.others, b"QfQ", "CopyFail, never CopyDone");
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
        assert_eq!(heard.others, b"QQ", "no CopyDone");
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
        assert_eq!(heard(target, play).await.others, b"QfQ");

        let (mut source, _) = server(vec![sends(&rows(1, 9))]).await;
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
    async fn copies_that_follow_each_other_are_told_apart() {
        let (first, second) = (rows(3, 9), rows(2, 40));
        let (mut source, _) = server(vec![
            sends(&first),
            Act::Send(scripted::copied(3)),
            sends(&second),
            Act::Send(scripted::copied(2)),
        ])
        .await;
        // A target far away: it answers when everything has been sent.
        let (mut target, play) = server(vec![
            Act::TakeCopy,
            Act::TakeCopy,
            Act::Send([scripted::copy_in(), scripted::taken(3)].concat()),
            Act::Send([scripted::copy_in(), scripted::taken(2)].concat()),
        ])
        .await;
        let tallies = copy_parts(&mut source, &mut target, 2).await.unwrap();
        let sums: Vec<_> = tallies.iter().map(|tally| (tally.rows(), tally.crc32)).collect();
        let crc = |rows: &[Vec<u8>]| crc32fast::hash(&rows.concat());
        assert_eq!(sums, [(3, crc(&first)), (2, crc(&second))]);
        source.execute("going on", "SELECT 1").await.unwrap();
        target.execute("going on", "COMMIT").await.unwrap();
        assert_eq!(heard(target, play).await.others, b"QcQcQ");
    }

    #[tokio::test]
    async fn the_first_of_several_copies_to_fail_is_the_cause() {
        let failed =
            |words| [scripted::error("ERROR", "25P02", words), scripted::ready(b'E')].concat();
        let sent = |count| vec![sends(&rows(count, 9)), Act::Send(scripted::copied(count))];
        let (mut source, _) =
            server([sent(1), sent(1), sent(1)].into_iter().flatten().collect()).await;
        let (mut target, _) = server(vec![
            Act::TakeCopy,
            Act::Send([scripted::copy_in(), scripted::taken(1)].concat()),
            Act::TakeCopy,
            Act::Send([scripted::copy_in(), failed("the cause")].concat()),
            Act::Send(failed("the transaction is aborted")),
        ])
        .await;
        let error = copy_parts(&mut source, &mut target, 3).await.unwrap_err();
        assert!(error.to_string().contains("the cause"), "{error}");
        target.execute("going on", "ROLLBACK").await.unwrap();
    }

    #[tokio::test]
    async fn a_source_that_fails_in_the_midst_of_several_copies_leaves_a_usable_target() {
        let failure = scripted::error("ERROR", "XX001", "could not read block 7");
        let failure = [failure, scripted::ready(b'E')].concat();
        let (mut source, _) = server(vec![
            sends(&rows(1, 9)),
            Act::Send(scripted::copied(1)),
            sends(&rows(1, 9)),
            Act::Send(failure),
        ])
        .await;
        let (mut target, play) = server(vec![
            Act::TakeCopy,
            Act::Send([scripted::copy_in(), scripted::taken(1)].concat()),
            Act::TakeCopy,
            Act::Send([scripted::copy_in(), refusal()].concat()),
        ])
        .await;
        let error = copy_parts(&mut source, &mut target, 2).await.unwrap_err();
        assert!(error.to_string().contains("block 7"), "{error}");
        target.execute("going on", "ROLLBACK").await.unwrap();
        assert_eq!(heard(target, play).await.others, b"QcQfQ");
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
