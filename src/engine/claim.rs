//! One run at a time on a target database, on whatever machine the runs are.
//!
//! The leader holds an exclusive advisory lock, its working sessions a shared one. A backend works
//! on for a while after its client was killed, so a new run first waits for a dead run's sessions,
//! then ends them, before it believes the ledger.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::{Error, Kind, Result};
use crate::pg::quote_literal;
use crate::wire::{RawConnection, Session};

use super::failpoint::{self, Act, Point};

/// "pgcv": the first half of both locks' keys.
pub(super) const CLASS: i32 = 0x7067_6376;
const LEADER: i32 = 1;
const WORKERS: i32 = 2;

/// How long a leader's lock is waited for: the session of a client that was killed ends within
/// moments, one that lives doesn't.
const LEADER_PATIENCE: Duration = Duration::from_secs(5);
/// How long a dead run's sessions may finish by themselves.
const WORKERS_PATIENCE: Duration = Duration::from_secs(3);
/// How long ended sessions may take to be gone: rolling back is quick in PostgreSQL.
const ENDING_PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);

/// What a session that writes needs, whatever the target's defaults are: a commit is durable before
/// its receipt counts, and a database that the job itself made read-only by default takes writes.
pub(super) const WRITING: &str = "SET default_transaction_read_only = off; \
     SELECT pg_catalog.set_config('synchronous_commit', 'on', false) \
     WHERE pg_catalog.current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')";

/// The claim on a target database: it holds as long as its session lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    process_id: i32,
    /// When its session began: process ids are given out again.
    since: String,
}

impl Claim {
    /// Claims the database that `leader` is connected to, for as long as that session lives. A
    /// claim that this run had and lost is taken over: the server may not have noticed yet that
    /// nobody is there any more, and nothing of it is to be waited for.
    pub async fn take(leader: &Session, lost: Option<&Claim>) -> Result<Claim> {
        failpoint::pass(Point::Before(Act::Claim));
        if let Some(lost) = lost {
            lost.end(leader).await?;
        }
        if !lock_within(leader, LEADER, LEADER_PATIENCE).await? {
            return Err(busy(leader).await?);
        }
        let workers_patience = lost.map_or(WORKERS_PATIENCE, |_| Duration::ZERO);
        if !lock_within(leader, WORKERS, workers_patience).await? {
            end_workers(leader).await?;
            if !lock_within(leader, WORKERS, ENDING_PATIENCE).await? {
                return Err(Error::new(Kind::Refused, "waiting for a dead run's sessions")
                    .because("they are still at work on the target")
                    .hint("end them with pg_terminate_backend, then run again"));
            }
        }
        let unlock = format!("SELECT pg_catalog.pg_advisory_unlock({CLASS}, {WORKERS})");
        let sql = format!(
            "SELECT a.pid, {SINCE} FROM pg_catalog.pg_stat_activity a \
             WHERE a.pid = pg_catalog.pg_backend_pid()"
        );
        let ((), (), row) = tokio::try_join!(
            leader.execute("releasing the workers' lock", &unlock),
            leader.execute("preparing to write", WRITING),
            leader.query_one("claiming the target", &sql, &[]),
        )?;
        failpoint::pass(Point::After(Act::Claim));
        Ok(Claim { process_id: row.get(0), since: row.get(1) })
    }

    /// Ends the session that holds the claim, if it is still there.
    async fn end(&self, leader: &Session) -> Result<()> {
        let Claim { process_id, since } = self;
        let sql = format!(
            "SELECT pg_catalog.pg_terminate_backend(l.pid) {HOLDERS} \
             AND l.classid = {CLASS} AND l.objid = {LEADER} AND l.pid = {process_id} \
             AND {SINCE} = {}",
            quote_literal(since)
        );
        leader.query("ending a session that was cut off", &sql, &[]).await.map(drop)
    }

    /// Whether a run holds the database that `session` is connected to, and goes on doing so: a
    /// dead one's session ends within moments.
    pub async fn stays_held(session: &Session) -> Result<bool> {
        let until = Instant::now() + LEADER_PATIENCE;
        while Claim::is_held(session).await? {
            if Instant::now() >= until {
                return Ok(true);
            }
            sleep(PAUSE).await;
        }
        Ok(false)
    }

    /// Whether a run holds the database that `session` is connected to.
    pub(super) async fn is_held(session: &Session) -> Result<bool> {
        let sql = format!("SELECT EXISTS (SELECT {})", holders(LEADER));
        let row = session.query_one("asking who works on the target", &sql, &[]).await?;
        Ok(row.get(0))
    }

    /// Marks `worker` as a working session of the run that holds the claim by the session
    /// `leader`.
    pub(super) async fn join(worker: &mut RawConnection, leader: i32) -> Result<()> {
        failpoint::pass(Point::Before(Act::Join));
        let sql = format!(
            "SELECT pg_catalog.pg_try_advisory_lock_shared({CLASS}, {WORKERS}) \
             AND EXISTS (SELECT {} AND l.pid = {leader})",
            holders(LEADER)
        );
        if says_yes(worker, "joining the run", &sql).await? {
            failpoint::pass(Point::After(Act::Join));
            return Ok(());
        }
        Err(Error::new(Kind::Stale, "joining the run")
            .because("the claim on this target is lost")
            .hint("run the same command again, unless another run is at work on it"))
    }

    /// Ends the working session that `worker` takes the place of, and waits until it is gone: what
    /// it committed by then is all that it did.
    pub(super) async fn succeed(worker: &mut RawConnection, predecessor: i32) -> Result<()> {
        let its_lock = format!("{} AND l.pid = {predecessor}", holders(WORKERS));
        let doing = "ending a session that was cut off";
        let end = format!("SELECT pg_catalog.pg_terminate_backend(l.pid) {its_lock}");
        worker.execute(doing, &end).await?;
        let is_there = format!("SELECT EXISTS (SELECT {its_lock})");
        let until = Instant::now() + ENDING_PATIENCE;
        while says_yes(worker, doing, &is_there).await? {
            if Instant::now() >= until {
                return Err(Error::new(Kind::Lost, doing)
                    .because(format!("server process {predecessor} is still at work"))
                    .hint("end it with pg_terminate_backend, then run the same command again"));
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }
}

async fn says_yes(worker: &mut RawConnection, doing: &str, sql: &str) -> Result<bool> {
    let rows = worker.query(doing, sql).await?;
    Ok(rows.first().and_then(|row| row.first()?.as_deref()) == Some("t"))
}

async fn lock_within(leader: &Session, key: i32, patience: Duration) -> Result<bool> {
    let sql = format!("SELECT pg_catalog.pg_try_advisory_lock({CLASS}, {key})");
    let until = Instant::now() + patience;
    loop {
        let row = leader.query_one("claiming the target", &sql, &[]).await?;
        if row.get::<_, bool>(0) {
            return Ok(true);
        }
        if Instant::now() >= until {
            return Ok(false);
        }
        sleep(PAUSE).await;
    }
}

/// When a session began, whatever this one's time zone is.
const SINCE: &str = "pg_catalog.date_part('epoch', a.backend_start)::text";

/// The locks `l` of this database that other sessions `a` hold by a key.
fn holders(key: i32) -> String {
    format!("{HOLDERS} AND l.classid = {CLASS} AND l.objid = {key}")
}

pub(super) const HOLDERS: &str = "FROM pg_catalog.pg_locks l \
     JOIN pg_catalog.pg_database d ON d.oid = l.database AND d.datname = pg_catalog.current_database() \
     LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
     WHERE l.locktype = 'advisory' AND l.granted AND l.pid <> pg_catalog.pg_backend_pid()";

async fn busy(leader: &Session) -> Result<Error> {
    let sql = format!(
        "SELECT l.pid, coalesce(pg_catalog.host(a.client_addr), 'a local socket') {}",
        holders(LEADER)
    );
    let who = leader.query("asking who works on the target", &sql, &[]).await?;
    let who = who.first().map_or_else(
        || "another run has just let go of it".to_owned(),
        |row| {
            let (pid, from): (i32, String) = (row.get(0), row.get(1));
            format!("another run is at work on it: server process {pid}, connected from {from}")
        },
    );
    Ok(Error::new(Kind::Refused, "claiming the target")
        .because(who)
        .hint("let that run finish, or stop it, then run again"))
}

async fn end_workers(leader: &Session) -> Result<()> {
    failpoint::pass(Point::Before(Act::EndWorkers));
    let sql = format!("SELECT pg_catalog.pg_terminate_backend(l.pid) {}", holders(WORKERS));
    leader.query("ending a dead run's sessions", &sql, &[]).await?;
    failpoint::pass(Point::After(Act::EndWorkers));
    Ok(())
}
