//! Cancelling what a session runs, from elsewhere (documentation: "Canceling Requests in
//! Progress").

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::error::{Error, Kind, Result};

use super::connect::in_time;
use super::conninfo::Conninfo;
use super::dial::{self, Route};

/// Cancels the statement that a session runs: over a connection of its own, by the same way and
/// with the same TLS.
#[derive(Clone)]
pub struct CancelHandle(Arc<Inner>);

struct Inner {
    route: Route,
    conninfo: Conninfo,
    process_id: i32,
    secret_key: i32,
}

impl CancelHandle {
    pub(super) fn new(
        route: &Route,
        conninfo: &Conninfo,
        process_id: i32,
        secret_key: i32,
    ) -> CancelHandle {
        CancelHandle(Arc::new(Inner {
            route: route.clone(),
            conninfo: conninfo.clone(),
            process_id,
            secret_key,
        }))
    }

    /// What leads to the session's own server.
    pub(super) fn same_server(&self) -> Conninfo {
        let Inner { route, conninfo, .. } = &*self.0;
        conninfo.with_endpoint(route.fixed_endpoint())
    }

    /// How long the session may be silent before its server is asked why.
    pub(super) fn stall_timeout(&self) -> Duration {
        self.0.conninfo.stall_timeout
    }

    /// The session's backend.
    pub(super) fn process_id(&self) -> i32 {
        self.0.process_id
    }

    /// The secret key with which tokio-postgres is handed the session.
    pub(super) fn secret_key(&self) -> i32 {
        self.0.secret_key
    }

    /// Asks the server to cancel. It doesn't say whether there was anything to cancel: the
    /// statement itself fails, or not.
    pub async fn cancel(&self) -> Result<()> {
        let failed = || {
            Error::new(
                Kind::Connect,
                format!("cancelling the statement of session {}", self.0.process_id),
            )
        };
        match in_time(&self.0.conninfo, Box::pin(self.send())).await {
            Some(result) => result,
            None => Err(failed().because("no answer in time").hint(format!(
                "end it yourself: SELECT pg_terminate_backend({})",
                self.0.process_id
            ))),
        }
    }

    async fn send(&self) -> Result<()> {
        let Inner { route, conninfo, .. } = &*self.0;
        let mut link = dial::open(route, conninfo).await.map_err(|failure| failure.error)?;
        let mut request = BytesMut::new();
        frontend::cancel_request(self.0.process_id, self.0.secret_key, &mut request);
        let sent = async {
            link.write_all(&request).await?;
            link.flush().await
        };
        sent.await.map_err(|error| dial::connecting(route).io(error).within("cancelling"))?;
        // The server closes the connection once it has passed the signal on, in whatever way.
        let _closed = link.read(&mut [0]).await;
        Ok(())
    }
}

/// The key would let anyone cancel.
impl fmt::Debug for CancelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CancelHandle").field(&self.0.process_id).finish()
    }
}
