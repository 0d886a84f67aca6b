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
