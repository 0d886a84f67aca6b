//! The two servers, and the databases that come and go on the target.

use crate::error::Result;
use crate::pg::quote_ident;
use crate::servers::{BenchData, Cluster};
use crate::wire::Session;

use super::distance::Distance;

/// A data set's databases on two servers.
pub(super) struct Ends<'a> {
    source: &'a Cluster,
    target: &'a Cluster,
    pub(super) data: BenchData,
    /// The port of the delayed way to the target, where there is one.
    door: Option<u16>,
    /// What the source's databases take on disk.
    pub(super) bytes: u64,
    /// Processes of the source's and the target's servers: their parents are the servers.
    pub(super) server_processes: (i32, i32),
}

impl<'a> Ends<'a> {
    pub(super) async fn new(
        source: &'a Cluster,
        target: &'a Cluster,
        data: BenchData,
        door: Option<&Distance>,
    ) -> Result<Ends<'a>> {
        let session = source.superuser_session("postgres").await?;
        let names = data.databases();
        let sql = "SELECT pg_catalog.sum(pg_catalog.pg_database_size(datname))::bigint \
                   FROM pg_catalog.pg_database WHERE datname = ANY ($1)";
        let row = session.query_one("measuring the data set", sql, &[&names]).await?;
        let bytes = u64::try_from(row.get::<_, i64>(0)).unwrap_or_default();
        let theirs = target.superuser_session("postgres").await?;
        let server_processes = (background(&session).await?, background(&theirs).await?);
        let door = door.map(|door| door.port);
        Ok(Ends { source, target, data, door, bytes, server_processes })
    }

    pub(super) fn databases(&self) -> Vec<String> {
        self.data.databases()
    }

    /// How client programs connect to a database on both sides.
    pub(super) fn conninfos(&self, database: &str) -> (String, String) {
        let target = match self.door {
            Some(door) => self.target.superuser_conninfo_through(door, database),
            None => self.target.superuser_conninfo(database),
        };
        (self.source.superuser_conninfo(database), target)
    }

    /// The roles that the data set's objects belong to: the rivals don't carry roles.
    pub(super) async fn copy_roles(&self) -> Result<()> {
        let doing = "making the source's roles on the target";
        let source = self.source.superuser_session("postgres").await?;
        let target = self.target.superuser_session("postgres").await?;
        let sql = "SELECT rolname::text FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_'";
        let names = |rows: Vec<tokio_postgres::Row>| -> Vec<String> {
            rows.iter().map(|row| row.get(0)).collect()
        };
        let there = names(target.query(doing, sql, &[]).await?);
        for role in names(source.query(doing, sql, &[]).await?) {
            if !there.contains(&role) {
                target.execute(doing, &format!("CREATE ROLE {}", quote_ident(&role))).await?;
            }
        }
        Ok(())
    }

    /// An empty database on the target, and nothing left to write from the run before.
    pub(super) async fn fresh(&self, database: &str) -> Result<()> {
        drop_database(self.target, database).await?;
        let session = self.target.superuser_session("postgres").await?;
        let sql = format!("CREATE DATABASE {} TEMPLATE template0", quote_ident(database));
        session.execute("making a fresh database", &sql).await?;
        session.execute("flushing what was written before", "CHECKPOINT").await
    }

    pub(super) async fn drop_target(&self, database: &str) -> Result<()> {
        drop_database(self.target, database).await
    }

    pub(super) async fn drop_source(&self) -> Result<()> {
        for database in self.databases() {
            drop_database(self.source, &database).await?;
        }
        Ok(())
    }

    /// A session in a database on the target.
    pub(super) async fn target_session(&self, database: &str) -> Result<Session> {
        self.target.superuser_session(database).await
    }
}

async fn drop_database(cluster: &Cluster, database: &str) -> Result<()> {
    let session = cluster.superuser_session("postgres").await?;
    let doing = format!("dropping {database}");
    let end = "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity \
               WHERE datname = $1";
    session.query(&doing, end, &[&database]).await?;
    session.execute(&doing, &format!("DROP DATABASE IF EXISTS {}", quote_ident(database))).await
}

/// A process that lives as long as its server.
async fn background(session: &Session) -> Result<i32> {
    let sql = "SELECT pid FROM pg_catalog.pg_stat_activity WHERE backend_type = 'checkpointer'";
    Ok(session.query_one("looking for the server's processes", sql, &[]).await?.get(0))
}
