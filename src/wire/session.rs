//! An ordinary session for SQL: catalog reads, the ledger, preflight.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::error::Result;
use crate::pg::ServerVersion;

use super::Conninfo;

/// A session on tokio-postgres. Its timeouts are off and its search_path is empty.
pub struct Session {}

impl Session {
    /// Connects, tries every host in turn, and sets the session up.
    pub async fn connect(_conninfo: &Conninfo) -> Result<Session> {
        unimplemented!()
    }

    /// The server's version.
    pub fn version(&self) -> ServerVersion {
        unimplemented!()
    }

    /// Runs a query; `doing` names the purpose in an error.
    pub async fn query(
        &self,
        _doing: &str,
        _sql: &str,
        _params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        unimplemented!()
    }

    /// Runs a query that yields exactly one row.
    pub async fn query_one(
        &self,
        _doing: &str,
        _sql: &str,
        _params: &[&(dyn ToSql + Sync)],
    ) -> Result<Row> {
        unimplemented!()
    }

    /// Runs statements, separated by `;`, over the simple protocol.
    pub async fn execute(&self, _doing: &str, _sql: &str) -> Result<()> {
        unimplemented!()
    }
}
