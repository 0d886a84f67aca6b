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
    let mut incoming = Incoming::new(source.connection, stream, progress);
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
    let crc32 = outgoing
        .finish(fingerprint.rows)
        .await
        .map_err(Failed::Target)?;
    Ok(Tally {
        bytes: incoming.bytes(),
        crc32,
        fingerprint,
    })
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
