//! A server that says nothing: at work, or unreachable? A building backend is silent for hours, and
//! so is a network that has swallowed an answer. What the server says on another connection tells
//! them apart.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::time::timeout;

use super::cancel::CancelHandle;
use super::raw::RawConnection;

/// How long the server gets to say what its session is doing.
const ASKING_TIME: Duration = Duration::from_secs(30);

/// Waits for something from a session's server. Whenever it has been silent for the connection's
/// `stall_timeout`, the server is asked on another connection what the session is doing: if it
/// waits for us, as we do for it, what it said got lost.
pub(super) async fn unless_lost<T>(
    session: &CancelHandle,
    waiting: impl Future<Output = T>,
) -> io::Result<T> {
    let mut waiting = pin!(waiting);
    loop {
        let limit = session.stall_timeout();
        match timeout(limit, &mut waiting).await {
            Ok(come) => return Ok(come),
            Err(_) if is_at_work(session.clone()).await => {}
            Err(_) => {
                let words =
                    format!("no bytes for {} s, and its session isn't at work", limit.as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, words));
            }
        }
    }
}

/// Boxed, as asking takes a connection, which waits in this way itself.
fn is_at_work(session: CancelHandle) -> Pin<Box<dyn Future<Output = bool> + Send>> {
    Box::pin(async move {
        // A server that can't be asked can't be heard either.
        timeout(ASKING_TIME, ask(&session)).await.is_ok_and(|asked| asked.unwrap_or(false))
    })
}

/// Whether the server works on what the session asked of it (documentation: pg_stat_activity).
async fn ask(session: &CancelHandle) -> crate::error::Result<bool> {
    let mut asking = RawConnection::connect(&session.same_server()).await?;
    let sql = format!(
        "SELECT pg_catalog.pg_backend_pid() = {}, EXISTS (SELECT FROM pg_catalog.pg_stat_activity \
         WHERE pid = {} AND state = 'active' AND wait_event_type IS DISTINCT FROM 'Client')",
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
    use super::*;
    use crate::error::{Kind, Result};
    use crate::wire::scripted::door;

    /// Asks a session that answers once another connection has said whether the process ids are the
    /// server's own, and whether the session is at work; and never unless it is waited for then.
    async fn asked(says: [&'static [u8; 1]; 2], is_waited_for: bool) -> Result<()> {
        let (conninfo, door) = door("").await;
        let conninfo = conninfo.with_stall_timeout(Duration::from_millis(500));
        let playing = async {
            let mut silent = door.peer().await;
            silent.welcome().await;
            silent.take().await;
            let mut other = door.peer().await;
            other.welcome().await;
            assert!(other.take().await.1.contains("pg_stat_activity"));
            let row = [b"\0\x02\0\0\0\x01", &says[0][..], b"\0\0\0\x01", &says[1][..]].concat();
            other.send('D', &row).await;
            other.send('C', b"SELECT 1\0").await;
            other.send('Z', b"I").await;
            if !is_waited_for {
                std::future::pending::<()>().await;
            }
            silent.send('C', b"SELECT 0\0").await;
            silent.send('Z', b"I").await;
            std::future::pending().await
        };
        let asking = async {
            let mut connection = RawConnection::connect(&conninfo).await?;
            connection.execute("asking", "SELECT 1").await
        };
        tokio::select! {
            answer = asking => answer,
            () = playing => unreachable!("the server plays until the answer is there"),
        }
    }

    #[tokio::test]
    async fn a_silent_session_is_waited_for_while_it_works_and_where_nobody_can_tell() {
        asked([b"t", b"t"], true).await.unwrap();
        asked([b"f", b"f"], true).await.unwrap();
    }

    #[tokio::test]
    async fn a_silent_session_that_is_not_at_work_is_lost() {
        let error = asked([b"t", b"f"], false).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Lost);
        assert!(error.to_string().contains("isn't at work"), "{error}");
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
