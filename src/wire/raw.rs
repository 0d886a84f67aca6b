//! A raw connection: the socket is ours, so COPY data can be forwarded frame by frame.

use crate::error::Result;
use crate::pg::ServerVersion;

use super::Conninfo;

/// A connection in the simple query protocol, for workers: their statements, receipts and COPY.
pub struct RawConnection {}

impl RawConnection {
    /// Connects, tries every host in turn, and sets the session up as [`super::Session`] does.
    pub async fn connect(_conninfo: &Conninfo) -> Result<RawConnection> {
        unimplemented!()
    }

    /// The server's version.
    pub fn version(&self) -> ServerVersion {
        unimplemented!()
    }

    /// Runs statements, separated by `;`, in one round trip; rows are discarded.
    pub async fn execute(&mut self, _doing: &str, _sql: &str) -> Result<()> {
        unimplemented!()
    }

    /// Runs one statement; its rows as text.
    pub async fn query(&mut self, _doing: &str, _sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        unimplemented!()
    }
}
