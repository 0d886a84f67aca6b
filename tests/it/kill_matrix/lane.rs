//! A lane: one target on which cases are tried one after another, and what each is to come to.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pgconvoy::engine::failpoint::Point;
use pgconvoy::servers::Cluster;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use super::shop;
use super::state::State;
use crate::{kit, trial};

/// No run takes so long.
const LONG: Duration = Duration::from_secs(60);

/// What all cases of a lane came to.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) kills: usize,
    pub(super) lost_rows: i64,
    pub(super) doubled_rows: i64,
    pub(super) redone_receipts: usize,
    pub(super) failures: Vec<String>,
}

/// A lane.
pub(super) struct Lane {
    pub(super) source: Arc<Cluster>,
    pub(super) target: Cluster,
    /// What a run that nobody kills comes to.
    pub(super) whole: State,
    /// How long it takes.
    pub(super) takes: Duration,
    pub(super) tally: Tally,
}

/// When a receipt was written, by step and part.
pub(super) type Receipts = BTreeMap<(i32, i32), String>;

impl Lane {
    /// An RDS-like target, and a first run that nobody kills.
    pub(super) async fn new(source: Arc<Cluster>) -> Lane {
        let target = kit::rds_like(15).await;
        let nothing = State::of(&target, "postgres").await;
        let tally = Tally::default();
        let mut lane = Lane { source, target, whole: nothing, takes: Duration::ZERO, tally };
        let began = Instant::now();
        lane.run_to_the_end("shop", "the first run").await;
        lane.takes = began.elapsed();
        lane.whole = State::of(&lane.target, "shop").await;
        let found = lane.whole.clone().with_contents_of(State::of(&lane.source, "shop").await);
        assert!(lane.whole.differs_from(&found).words.is_empty(), "{:?}", lane.failures());
        assert!(lane.failures().is_empty(), "{:?}", lane.failures());
        lane.clear().await;
        lane
    }

    fn failures(&self) -> &[String] {
        &self.tally.failures
    }

    pub(super) fn command(&self, source: &str, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgconvoy"));
        command.args(words).arg("--json");
        if words[0] != "unfence" {
            command.arg("--target").arg(self.target.conninfo("shop"));
        }
        if words[0] == "migrate" {
            command.arg("--carry-passwords");
            if !words.contains(&"-j") {
                command.args(["-j", "2"]);
            }
        }
        if words[0] != "finish" {
            command.arg("--source").arg(self.source.conninfo(source));
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Runs a command that is to die at the n-th passing of a point. Whether it did; one that ends
    /// well before it hasn't.
    pub(super) async fn dies_at(
        &mut self,
        (point, count): (Point, u64),
        source: &str,
        words: &[&str],
    ) -> bool {
        let mut command = self.command(source, words);
        command.env("PGCONVOY_FAILPOINT", format!("{point}:{count}"));
        let child = command.spawn().unwrap();
        let Some(output) = self.output(child, &format!("{point}:{count}")).await else {
            return false;
        };
        let died = output.status.signal().is_some();
        self.tally.kills += usize::from(died);
        if !died && !output.status.success() {
            self.tally.failures.push(format!("{point}:{count}: {}", said(&output)));
        }
        died
    }

    pub(super) fn start(&self, source: &str) -> Child {
        self.command(source, &["migrate"]).spawn().unwrap()
    }

    /// Kills a child; whether there was something to be killed.
    pub(super) async fn kill(&mut self, mut child: Child) -> bool {
        child.start_kill().ok();
        let killed = child.wait().await.unwrap().signal().is_some();
        self.tally.kills += usize::from(killed);
        killed
    }

    /// Runs a migration that nobody kills and that is to end well.
    pub(super) async fn run_to_the_end(&mut self, source: &str, case: &str) {
        let child = self.start(source);
        self.see_to_the_end(child, case).await;
    }

    pub(super) async fn see_to_the_end(&mut self, child: Child, case: &str) {
        let Some(output) = self.output(child, case).await else { return };
        if !output.status.success() {
            self.tally.failures.push(format!("{case}: {}: {}", output.status, said(&output)));
        }
    }

    /// How a child ended; none where it hangs, which is a failure.
    async fn output(&mut self, child: Child, case: &str) -> Option<Output> {
        let id = child.id().unwrap_or_default().to_string();
        let ended = tokio::spawn(child.wait_with_output());
        let deadline = sleep(LONG);
        tokio::pin!(ended, deadline);
        tokio::select! {
            output = &mut ended => return Some(output.unwrap().unwrap()),
            () = deadline => {}
        }
        let sql = "SELECT string_agg(concat_ws(' ', pid, datname, wait_event_type, \
                   pg_blocking_pids(pid), left(query, 200)), E'\\n' ORDER BY pid) \
                   FROM pg_stat_activity WHERE usename IS NOT NULL";
        let source = trial::ask(&self.source, "postgres", sql).await;
        let target = trial::ask(&self.target, "postgres", sql).await;
        Command::new("kill").args(["-9", &id]).status().await.unwrap();
        let said = said(&ended.await.unwrap().unwrap());
        let words = format!("{case}: it hangs: {said}\nsource:\n{source}\ntarget:\n{target}");
        self.tally.failures.push(words);
        None
    }

    /// When the receipts that there are were written, the sequences' aside: these are always set
    /// again.
    pub(super) async fn receipts(&self) -> Receipts {
        let Ok(session) = self.target.superuser_session("shop").await else {
            return Receipts::new();
        };
        let sql = "SELECT step, part, finished_at::text FROM pgconvoy.receipt \
                   WHERE step NOT IN (SELECT id FROM pgconvoy.step WHERE title = 'sequences')";
        let rows = session.query("reading receipts", sql, &[]).await.unwrap_or_default();
        session.close().await;
        rows.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect()
    }

    /// The job is done: it is to be as one that nobody killed, and of the receipts that it had
    /// `before` it was killed last, none was written anew.
    pub(super) async fn compare(&mut self, case: &str, expected: &State, before: &Receipts) {
        let found = State::of(&self.target, "shop").await;
        let difference = expected.differs_from(&found);
        let after = self.receipts().await;
        let redone = before.iter().filter(|(key, at)| after.get(*key) != Some(*at)).count();
        let tally = &mut self.tally;
        tally.lost_rows += difference.lost_rows;
        tally.doubled_rows += difference.doubled_rows;
        tally.redone_receipts += redone;
        tally.failures.extend(difference.words.iter().map(|words| format!("{case}: {words}")));
        if redone > 0 {
            tally.failures.push(format!("{case}: {redone} receipts were written anew"));
        }
    }

    /// Makes room for the next case.
    pub(super) async fn clear(&self) {
        shop::command(&self.target, "postgres", "DROP DATABASE IF EXISTS shop WITH (FORCE)").await;
        let roles = "DROP ROLE IF EXISTS shop, clerk, readers";
        shop::command(&self.target, "postgres", roles).await;
    }

    /// A lock on a table of the target, taken as soon as the table is there; and the session that
    /// holds it.
    pub(super) async fn lock(&self, table: &str, mode: &str) -> pgconvoy::wire::Session {
        let until = Instant::now() + LONG;
        loop {
            if let Ok(session) = self.target.superuser_session("shop").await {
                let sql = format!("BEGIN; LOCK TABLE {table} IN {mode} MODE");
                if session.execute("holding a run up", &sql).await.is_ok() {
                    return session;
                }
            }
            assert!(Instant::now() < until, "{table} never came");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// The processes that wait for the lock that `blocker` holds on a table.
    pub(super) async fn waiting(&self, blocker: &pgconvoy::wire::Session, table: &str) -> Vec<i32> {
        let sql = format!(
            "SELECT pid FROM pg_catalog.pg_locks \
             WHERE NOT granted AND locktype = 'relation' \
             AND relation = '{table}'::pg_catalog.regclass"
        );
        let rows = blocker.query("asking who waits", &sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

/// A child's last words.
fn said(output: &Output) -> String {
    let lines = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    let all: Vec<&str> = lines.iter().flat_map(|text| text.lines()).collect();
    all[all.len().saturating_sub(12)..].join("\n")
}
