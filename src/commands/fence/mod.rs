//! The fence around a source: for the time of going over to the copy nobody else writes to it. The
//! named roles may not log in any more, their sessions are ended, and all tables are locked in SHARE
//! mode, which lets everybody read and nobody write, by sessions of ours: the copy counts as final
//! only if they live until its end.
//!
//! Locks go with the run. That roles may not log in is remembered on the source itself
//! ([`roles`]), and stays until `unfence`, or until a run that doesn't end well lifts it.

mod locks;
mod others;
mod refusals;
mod roles;

use std::time::Duration;

use tokio::time::sleep;

use crate::engine::{Event, Events, Stop};
use crate::error::{Error, Result};
use crate::toc::{TableData, counted, named};
use crate::wire::{Conninfo, Session};

use super::databases::{self, Pair};
use super::report::DatabaseReport;
use locks::Locks;
pub(super) use refusals::findings;
pub(super) use roles::{Lifted, lift};

/// How often the sessions that hold the locks are asked whether they are still there.
const WATCH: Duration = Duration::from_secs(1);

/// A fence that stands, for as long as the sessions live that hold its locks.
pub(super) struct Fence {
    /// What tells it from another one.
    pub(super) id: u32,
    /// Who may not log in.
    pub(super) roles: Vec<String>,
    /// Whether an earlier run had kept them all out already.
    stood: bool,
    /// By database; none where the fence of an earlier run is only looked at.
    locks: Vec<Locks>,
}

impl Fence {
    /// Who has yet to be kept out of the server of `pairs`, which from then on lead to that very
    /// one. What a fence takes and isn't there is refused: nothing is changed.
    pub(super) async fn refuse(names: &[String], pairs: &mut [Pair]) -> Result<Vec<String>> {
        let source = Session::connect(server(pairs)?).await?;
        for pair in pairs.iter_mut() {
            let database = pair.source.database().to_owned();
            pair.source = source.same_server().with_database(&database);
        }
        refusals::refuse(names, pairs).await?;
        roles::able(&source, names).await
    }

    /// Raises the fence around the databases of `pairs`: of the roles, `open` may still log in.
    pub(super) async fn raise(
        names: &[String],
        open: &[String],
        pairs: &[Pair],
        events: &Events,
        stop: &mut Stop,
    ) -> Result<Fence> {
        let source = Session::connect(server(pairs)?).await?;
        // Not to be stopped: what was sent to the server would happen all the same, perhaps once we
        // had found nothing to lift.
        let id = roles::keep_out(&source, open).await?;
        stop.or(Fence::close(id, names, open, pairs, (source, events))).await
    }

    /// Ends the sessions of those who may not log in any more, and locks the tables.
    async fn close(
        id: u32,
        names: &[String],
        open: &[String],
        pairs: &[Pair],
        (source, events): (Session, &Events),
    ) -> Result<Fence> {
        let databases: Vec<&str> = pairs.iter().map(|pair| pair.source.database()).collect();
        let mut ended = roles::end_sessions(&source, names, &databases).await?;
        let mut locks = Vec::new();
        for pair in pairs {
            locks.push(Locks::take(&pair.source).await?);
        }
        // Who was just logging in while that was forbidden.
        ended += roles::end_sessions(&source, names, &databases).await?;
        source.close().await;
        let tables = locks.iter().map(|locks| locks.tables.len()).sum();
        let words = format!(
            "the source is fenced: {} may not log in, {} ended, {} locked against writes",
            named(names),
            counted(ended, "session"),
            counted(tables, "table")
        );
        events.say(Event::Note(words)).await;
        let ours: Vec<String> = locks.iter().map(|locks| locks.pid().to_string()).collect();
        for pair in pairs {
            others::say(&pair.source, &ours, events).await?;
        }
        Ok(Fence { id, roles: names.to_vec(), stood: open.is_empty(), locks })
    }

    /// The fence of an earlier run, where one stands.
    pub(super) async fn standing(names: &[String], source: &Conninfo) -> Result<Fence> {
        let session = databases::maintenance(source).await?;
        let id = roles::id(&session).await?;
        let stood = id.is_some() && roles::able(&session, names).await?.is_empty();
        Ok(Fence { id: id.unwrap_or_default(), roles: names.to_vec(), stood, locks: Vec::new() })
    }

    /// Whether a finished job's copy was made under this very fence, so that it still is final.
    pub(super) fn has_kept(&self, report: &DatabaseReport) -> bool {
        report.fence.as_ref().is_some_and(|then| {
            let named = |role: &String| then.roles.contains(role);
            self.stood && then.id == self.id && self.roles.iter().all(named)
        })
    }

    /// Whether nobody can have written to the rows of these tables of a database since it was raised:
    /// others may have made tables since. Large objects can't be locked: who reads one takes the lock
    /// of those who write (source: storage/large_object/inv_api.c, open_lo_relation).
    pub(super) fn covers(&self, database: &str, tables: &[TableData]) -> bool {
        let locks = self.locks.iter().find(|locks| locks.database() == database);
        let is_locked = |locks: &Locks, table: &TableData| {
            !table.holds_large_objects() && locks.tables.contains(&table.relation)
        };
        locks.is_some_and(|locks| tables.iter().all(|table| is_locked(locks, table)))
    }

    /// Fails unless it has stood until now.
    pub(super) async fn holds(&self) -> Result<()> {
        let gone = |error: Error| {
            broken(format!("a session that held its locks is gone: {}", error.message()))
        };
        for locks in &self.locks {
            if !locks.are_held().await.map_err(gone)? {
                return Err(broken("a transaction that held its locks is gone".to_owned()));
            }
        }
        // Roles are the server's.
        let Some(locks) = self.locks.first() else { return Ok(()) };
        if roles::id(&locks.session).await.map_err(gone)? != Some(self.id) {
            return Err(broken("somebody has lifted it".to_owned()));
        }
        let able = roles::able(&locks.session, &self.roles).await.map_err(gone)?;
        if !able.is_empty() {
            return Err(broken(format!("somebody has let {} log in again", named(&able))));
        }
        Ok(())
    }

    /// The same for the last time: whoever came in all the same, and waits to write as soon as the
    /// locks go, is sent away.
    pub(super) async fn held(&self) -> Result<()> {
        if let Some(locks) = self.locks.first() {
            let source = Session::connect(&locks.session.same_server()).await?;
            let servers: Vec<Conninfo> =
                self.locks.iter().map(|locks| locks.session.same_server()).collect();
            let databases: Vec<&str> = servers.iter().map(Conninfo::database).collect();
            roles::end_sessions(&source, &self.roles, &databases).await?;
            source.close().await;
        }
        self.holds().await
    }

    /// Returns once it doesn't stand any more, with what happened.
    pub(super) async fn breaks(&self) -> Error {
        loop {
            if let Err(error) = self.holds().await {
                return error;
            }
            sleep(WATCH).await;
        }
    }
}

/// The server that the pairs lead to.
fn server(pairs: &[Pair]) -> Result<&Conninfo> {
    let first = pairs.first().map(|pair| &pair.source);
    first.ok_or_else(|| {
        let error = Error::usage("raising the fence").because("no database moves");
        error.hint("name those that do: --database NAME")
    })
}

/// Nothing mends that: what was written since isn't in the copy.
fn broken(because: String) -> Error {
    Error::step("keeping the source fenced")
        .because(format!("the fence is broken, so the copy may not be final: {because}"))
        .hint("see to the source, then run the same command again: it goes on from here")
}
