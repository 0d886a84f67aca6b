//! Who else may write to a fenced database: nobody while the locks are held, but what waits for them
//! is written once they go, and the copy lacks it.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::engine::{Event, Events};
use crate::error::Result;
use crate::toc::named;
use crate::wire::{Conninfo, Session};

/// How long sessions may take to end by themselves: those that we have just closed do.
const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(100);

/// Says who but `ours` stays connected to the database, and which subscriptions write to it.
pub(super) async fn say(source: &Conninfo, ours: &[String], events: &Events) -> Result<()> {
    let session = Session::connect(source).await?;
    let database = source.database();
    let others = connected(&session, ours).await?;
    if !others.is_empty() {
        let words = format!(
            "others stay connected to database {database} of the source: {}; what they write to \
             its tables waits, but sequences may move, and new tables come",
            named(&others)
        );
        events.say(Event::Note(words)).await;
    }
    let subscriptions = subscriptions(&session).await?;
    if !subscriptions.is_empty() {
        let words = format!(
            "subscriptions write to database {database} of the source: {}; what comes by them waits \
             until the fence is down, and isn't in the copy; ALTER SUBSCRIPTION … DISABLE, there, \
             stops one",
            named(&subscriptions)
        );
        events.say(Event::Note(words)).await;
    }
    session.close().await;
    Ok(())
}

/// Server processes that act for a user, those in the background too: scheduled jobs, and what
/// applies a subscription. Left out are the parts of others, and what only reads the log; what a process is, is hidden from ordinary users. Autovacuum has no user.
async fn connected(session: &Session, ours: &[String]) -> Result<Vec<String>> {
    let sql = "SELECT pg_catalog.format('server process %s (user %s, application %s)', a.pid, \
               a.usename, coalesce(nullif(a.application_name, ''), 'unnamed')) \
               FROM pg_catalog.pg_stat_activity a \
               WHERE a.datname = pg_catalog.current_database() \
               AND a.usename IS NOT NULL AND a.usename <> 'rdsadmin' \
               AND a.pid <> pg_catalog.pg_backend_pid() \
               AND a.pid::pg_catalog.text <> ALL ($1) \
               AND coalesce(a.backend_type, '') NOT IN ('parallel worker', 'walsender') \
               ORDER BY a.pid";
    let until = Instant::now() + PATIENCE;
    loop {
        let rows =
            session.query("asking who else is connected to the source", sql, &[&ours]).await?;
        if rows.is_empty() || Instant::now() >= until {
            return Ok(rows.iter().map(|row| row.get(0)).collect());
        }
        sleep(PAUSE).await;
    }
}

async fn subscriptions(session: &Session) -> Result<Vec<String>> {
    let sql = "SELECT s.subname::text FROM pg_catalog.pg_subscription s \
               JOIN pg_catalog.pg_database d ON d.oid = s.subdbid \
               WHERE d.datname = pg_catalog.current_database() AND s.subenabled ORDER BY 1";
    let rows = session.query("looking for subscriptions of the source", sql, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
