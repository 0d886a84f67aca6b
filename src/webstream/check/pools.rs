//! Whether the target has room for all the connections that the services may open.
//!
//! Npgsql keeps a pool for each connection string in each process, of 100 connections at most unless
//! `Maximum Pool Size` says otherwise (its documentation: "Connection String Parameters").

use std::path::PathBuf;

use serde::Serialize;

use crate::commands::Finding;
use crate::error::Result;
use crate::wire::Session;

use super::super::configuration::Configuration;

/// What a pool is counted as that no size is said of: WebStream's own defaults are 10 to 20.
const UNSET: u64 = 20;
/// What it can grow to.
const UNSET_AT_WORST: u64 = 100;
/// Connections beside the services': people, monitoring, this tool.
const SPARE: u64 = 5;

/// A service's pool of connections to a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pool {
    /// The configuration that names it.
    pub configuration: PathBuf,
    /// The database.
    pub database: String,
    /// How many connections it opens at most, if that is said.
    pub size: Option<u32>,
}

/// How many connections a server lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Room {
    /// `max_connections`.
    pub max_connections: u64,
    /// Those that services never get.
    pub reserved: u64,
}

/// All pools, against the room that there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pools {
    /// Each of them.
    pub pools: Vec<Pool>,
    /// What they come to, those without a size counted as 20.
    pub expected: u64,
    /// What they can come to, those without a size counted as 100.
    pub worst: u64,
    /// What the target lets in, if it was reached.
    pub room: Option<Room>,
}

impl Room {
    /// Asks a server.
    pub(super) async fn ask(target: &Session) -> Result<Room> {
        let sql = "SELECT pg_catalog.current_setting('max_connections')::bigint, \
             pg_catalog.current_setting('superuser_reserved_connections')::bigint \
             + coalesce(pg_catalog.current_setting('reserved_connections', true)::bigint, 0) \
             + coalesce(nullif(pg_catalog.current_setting(\
               'rds.rds_superuser_reserved_connections', true), '')::bigint, 0)";
        let row = target.query_one("asking for max_connections", sql, &[]).await?;
        let number = |index| u64::try_from(row.get::<_, i64>(index)).unwrap_or_default();
        Ok(Room { max_connections: number(0), reserved: number(1) })
    }

    fn left(&self) -> u64 {
        self.max_connections.saturating_sub(self.reserved)
    }
}

impl Pools {
    /// Those of all configurations: each is read by one process for each database.
    pub(super) fn of(configurations: &[Configuration]) -> Result<Pools> {
        let mut pools = Vec::new();
        for configuration in configurations {
            for named in configuration.named()? {
                pools.push(Pool {
                    configuration: configuration.path().to_owned(),
                    database: named.database,
                    size: named.pool,
                });
            }
        }
        Ok(Pools::summed(pools))
    }

    fn summed(pools: Vec<Pool>) -> Pools {
        let sum = |unset| pools.iter().map(|pool| pool.size.map_or(unset, u64::from)).sum();
        let (expected, worst) = (sum(UNSET), sum(UNSET_AT_WORST));
        Pools { pools, expected, worst, room: None }
    }

    fn unset(&self) -> u64 {
        self.pools.iter().filter(|pool| pool.size.is_none()).count() as u64
    }

    /// The size that every pool without one can be given.
    fn fitting(&self, left: u64) -> Option<u64> {
        let said = self.expected - UNSET * self.unset();
        let each = left.checked_sub(said + SPARE)?.checked_div(self.unset())?;
        (each > 0).then(|| each.min(UNSET))
    }

    /// What is wrong with them, and the settings that mend it.
    pub(super) fn judge(&self) -> Option<Finding> {
        let room = self.room?;
        let (left, unset) = (room.left(), self.unset());
        if self.worst + SPARE <= left {
            return None;
        }
        let there = format!(
            "the target lets {left} in (max_connections {}, {} of them reserved)",
            room.max_connections, room.reserved
        );
        let raised = self.expected + SPARE + room.reserved;
        let raise = format!("raise max_connections to {raised} or more in the parameter group");
        let set = self.fitting(left).map(|size| {
            format!(
                "write Maximum Pool Size={size} into the connection strings that say none ({unset} \
                 of them)"
            )
        });
        let are_too_many = self.expected + SPARE > left;
        let remedy = match (set, are_too_many) {
            (Some(set), true) => format!("{set}; or {raise}"),
            (Some(set), false) => set,
            (None, _) => format!("make the pools smaller; or {raise}"),
        };
        let count = self.pools.len();
        Some(match are_too_many {
            true => Finding::refusal(
                "connection pools",
                format!(
                    "{count} pools come to {} connections, and {there}, of which {SPARE} are for \
                     people and tools",
                    self.expected
                ),
            ),
            false => Finding::note(
                "connection pools",
                format!(
                    "{unset} of {count} pools have no Maximum Pool Size: by Npgsql's default of \
                     100 they can come to {} connections, and {there}",
                    self.worst
                ),
            ),
        })
        .map(|finding| finding.mend(remedy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Severity;

    fn pools(sizes: &[Option<u32>], max_connections: u64) -> Pools {
        let pool = |size: &Option<u32>| Pool {
            configuration: "app.config.xml".into(),
            database: "webstream_iam".to_owned(),
            size: *size,
        };
        let room = Some(Room { max_connections, reserved: 3 });
        Pools { room, ..Pools::summed(sizes.iter().map(pool).collect()) }
    }

    #[test]
    fn an_unset_pool_counts_as_20_and_at_worst_as_100() {
        let pools = pools(&[Some(10), None, None], 500);
        assert_eq!((pools.expected, pools.worst), (50, 210));
        assert_eq!(pools.judge(), None);
    }

    #[test]
    fn pools_that_fit_only_as_long_as_none_grows_are_told() {
        let finding = pools(&[Some(10), None, None], 100).judge().unwrap();
        assert_eq!(finding.severity, Severity::Note);
        assert!(finding.what.contains("can come to 210 connections"), "{finding}");
        let remedy = finding.remedy.unwrap();
        assert!(remedy.contains("Maximum Pool Size=20 into") && !remedy.contains("raise"));
    }

    #[test]
    fn pools_that_never_fit_are_refused_with_the_size_that_does() {
        let finding = pools(&[Some(10), None, None], 48).judge().unwrap();
        assert_eq!(finding.severity, Severity::Refusal);
        let remedy = finding.remedy.unwrap();
        // 48 - 3 reserved - 10 said - 5 spare, for two.
        assert!(remedy.contains("Maximum Pool Size=15 into"), "{remedy}");
        assert!(remedy.contains("raise max_connections to 58 or more"), "{remedy}");
    }

    #[test]
    fn pools_whose_sizes_are_all_said_are_to_be_made_smaller() {
        let finding = pools(&[Some(90), Some(30)], 100).judge().unwrap();
        assert_eq!(finding.severity, Severity::Refusal);
        assert!(finding.remedy.unwrap().starts_with("make the pools smaller; or raise"));
        let nothing_left = pools(&[Some(100), None], 50).judge().unwrap();
        assert!(nothing_left.remedy.unwrap().starts_with("make the pools smaller"));
    }
}
