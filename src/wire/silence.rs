//! A server that says nothing: at work, or unreachable? A building backend is silent for hours, and
//! so is a network that has swallowed an answer. What the server says on another connection tells
//! them apart.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::timeout;

use super::cancel::CancelHandle;
use super::raw::RawConnection;

/// How long the server gets at most to say what its session is doing.
const ASKING_TIME: Duration = Duration::from_secs(30);
/// How long an answer may be on its way from a session that isn't at work any more.
const LAST_WORDS_TIME: Duration = Duration::from_millis(500);

/// Waits for something from a session's server. Whenever nothing was `heard` of it for the
/// connection's `stall_timeout`, the server is asked on another connection what the session is
/// doing: if it waits for us, as we do for it, what it said got lost.
pub(super) async fn unless_lost<T>(
    session: &CancelHandle,
    heard: &AtomicU64,
    waiting: impl Future<Output = T>,
) -> io::Result<T> {
    let mut waiting = pin!(waiting);
    let limit = session.stall_timeout();
    let mut seems_lost = false;
    loop {
        let before = heard.load(Ordering::Relaxed);
        let patience = if seems_lost { LAST_WORDS_TIME } else { limit };
        match timeout(patience, &mut waiting).await {
            Ok(come) => return Ok(come),
            Err(_) if heard.load(Ordering::Relaxed) != before => seems_lost = false,
            Err(_) if seems_lost => {
                let words =
                    format!("no bytes for {} s, and its session isn't at work", limit.as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, words));
            }
            // It may have ended its work just before it was asked.
            Err(_) => seems_lost = !is_at_work(session.clone()).await,
        }
    }
}

/// Boxed, as asking takes a connection, which waits in this way itself.
fn is_at_work(session: CancelHandle) -> Pin<Box<dyn Future<Output = bool> + Send>> {
    Box::pin(async move {
        // A server that can't be asked can't be heard either.
        let limit = ASKING_TIME.min(session.stall_timeout());
        timeout(limit, ask(&session)).await.is_ok_and(|asked| asked.unwrap_or(false))
    })
}

/// Whether the server works on what the session asked of it, rather than waits for us. Its state
/// isn't told everywhere, what it waits for is (documentation: pg_stat_activity, track_activities).
async fn ask(session: &CancelHandle) -> crate::error::Result<bool> {
    let mut asking = RawConnection::connect(&session.same_server()).await?;
    let sql = format!(
        "SELECT pg_catalog.pg_backend_pid() = {}, EXISTS (SELECT FROM pg_catalog.pg_stat_activity \
         WHERE pid = {} AND wait_event_type IS DISTINCT FROM 'Client')",
        asking.process_id(),
        session.process_id()
    );
    let rows = asking.query("asking what a silent session is doing", &sql).await?;
    let says =
        |column: usize| rows.first().and_then(|row| row.get(column)?.as_deref()) == Some("t");
    // Behind a pooler that gives out process ids of its own nobody can tell.
    Ok(!says(0) || says(1))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use tokio::task::JoinHandle;
    use tokio::time::{Instant, sleep};

    use super::super::Conninfo;
    use super::super::scripted::{Peer, door, server_of_many};
    use super::*;

    const STALL: Duration = Duration::from_millis(200);

    /// A server that answers its first session's question after so long, and meanwhile says of that
    /// session that it is `at_work`, if it is to be asked at all. How often it was asked.
    async fn slow_server(
        answers_after: Duration,
        at_work: Option<bool>,
    ) -> (Conninfo, Arc<AtomicUsize>, JoinHandle<()>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let part = move |number: usize, mut peer: Peer| {
            let asked = Arc::clone(&asked);
            async move {
                if number > 0 && at_work.is_none() {
                    return;
                }
                peer.welcome().await;
                let (_, question) = peer.take().await;
                if number == 0 {
                    sleep(answers_after).await;
                    peer.send('C', b"SELECT 1\0").await;
                } else {
                    assert!(question.contains("WHERE pid = 7 "), "{question}");
                    asked.fetch_add(1, Ordering::Relaxed);
                    let says = if at_work == Some(true) { b't' } else { b'f' };
                    peer.send('D', &[b"\0\x02\0\0\0\x01t\0\0\0\x01", &[says][..]].concat()).await;
                    peer.send('C', b"SELECT 1\0").await;
                }
                peer.send('Z', b"I").await;
                sleep(Duration::from_secs(60)).await;
            }
        };
        let (conninfo, task) = server_of_many("", part).await;
        (conninfo.with_stall_timeout(STALL), counted, task)
    }

    async fn ask(conninfo: &Conninfo) -> crate::error::Result<()> {
        let mut connection = RawConnection::connect(conninfo).await?;
        connection.execute("asking", "SELECT 1").await
    }

    #[tokio::test]
    async fn a_session_at_work_is_waited_for() {
        let (conninfo, asked, _task) = slow_server(STALL * 5, Some(true)).await;
        ask(&conninfo).await.unwrap();
        assert!(asked.load(Ordering::Relaxed) >= 2);
    }

    #[tokio::test]
    async fn a_session_that_is_done_and_silent_is_lost() {
        let began = Instant::now();
        let (conninfo, asked, _task) = slow_server(STALL * 100, Some(false)).await;
        let error = ask(&conninfo).await.unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Lost);
        assert!(error.to_string().contains("its session isn't at work"), "{error}");
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        assert!(began.elapsed() < STALL * 20, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn an_answer_that_comes_while_the_server_is_asked_counts() {
        let (conninfo, _, _task) = slow_server(STALL + LAST_WORDS_TIME / 2, Some(false)).await;
        ask(&conninfo).await.unwrap();
    }

    #[tokio::test]
    async fn a_server_that_cannot_be_asked_is_lost() {
        let (conninfo, _, _task) = slow_server(STALL * 100, None).await;
        let error = ask(&conninfo).await.unwrap_err();
        assert!(error.to_string().contains("no bytes for"), "{error}");
    }

    #[tokio::test]
    async fn bytes_that_trickle_in_are_no_silence() {
        let (conninfo, asked, _task) = slow_server(STALL * 100, Some(false)).await;
        let connection = RawConnection::connect(&conninfo).await.unwrap();
        let heard = AtomicU64::new(0);
        let trickling = async {
            for _ in 0..10 {
                sleep(STALL / 2).await;
                heard.fetch_add(1, Ordering::Relaxed);
            }
        };
        unless_lost(&connection.cancel_handle(), &heard, trickling).await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_server_that_waits_for_a_copys_rows_is_not_suspected() {
        let (conninfo, door) = door("").await;
        let conninfo = conninfo.with_stall_timeout(Duration::from_millis(50));
        let playing = async {
            let mut fed = door.peer().await;
            fed.welcome().await;
            fed.take().await;
            fed.send('G', &[0, 0, 0]).await;
            door.peer().await;
        };
        let feeding = async {
            let mut connection = RawConnection::connect(&conninfo).await.unwrap();
            connection.ask_copy_in("copying", "COPY t FROM STDIN").await.unwrap();
            timeout(Duration::from_millis(500), connection.until_it_objects()).await
        };
        tokio::select! {
            waited = feeding => assert!(waited.is_err(), "{waited:?}"),
            () = playing => panic!("the server was asked what it is doing"),
        }
    }
}
