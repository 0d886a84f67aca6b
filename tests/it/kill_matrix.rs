//! The kill matrix: the program is killed at each named point of the engine, at random instants, and
//! while its sessions are still at work on the target. Each time the same command is run again, and
//! all must be as if nobody had killed it: rows, definitions, sequences, large objects, roles; and no
//! receipt may have been written twice.
//!
//! That is a sample of all cases, which `PGCONVOY_TEST_SEED` repeats, unless `PGCONVOY_KILLS` says at how
//! many random instants, each with another in the run that follows: then every point is among them.
//! `PGCONVOY_KILL_CASES` tries all cases that hold a text, such as `Seal`.

mod lane;
mod shop;
mod state;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pgconvoy::commands::Phase;
use pgconvoy::engine::failpoint::{Act, Point};
use tokio::time::sleep;

use crate::kit;
use crate::random::{self, Random, from_environment};
use lane::{Lane, Receipts};
use state::State;

/// At how many random instants, unless said.
const INSTANTS: u64 = 8;
/// How many of all cases are tried then.
const SAMPLE: usize = 30;
/// How many targets there are.
const LANES: usize = 2;

/// Who is killed, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    /// At a point.
    At(Point),
    /// While what was sent to the target waits for a lock on this table in this mode. It is let go
    /// while the next run waits for it, or only after that has ended it.
    AtWork { table: &'static str, mode: &'static str, is_ended: bool },
    /// At an instant, as a share of how long a whole run takes; and then the next run, if it takes
    /// so long.
    After { thousandths: [u64; 2] },
}

/// Rows wait, an index's build waits, and so do the first receipt and the seal: all that follows is
/// with the server already.
const AT_WORK: [Case; 6] = [
    Case::AtWork { table: "public.orders", mode: "SHARE UPDATE EXCLUSIVE", is_ended: false },
    Case::AtWork { table: "public.orders", mode: "SHARE UPDATE EXCLUSIVE", is_ended: true },
    Case::AtWork { table: "public.orders", mode: "SHARE", is_ended: false },
    Case::AtWork { table: "public.orders", mode: "SHARE", is_ended: true },
    Case::AtWork { table: "pgconvoy.receipt", mode: "SHARE", is_ended: false },
    Case::AtWork { table: "pgconvoy.job", mode: "SHARE", is_ended: false },
];

/// A point that lies in the midst of the rows.
const MIDWAY: Point = Point::After(Act::Step(Phase::Data));

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_anywhere_comes_to_the_same_end() {
    let seed = random::seed();
    let kills = from_environment("PGCONVOY_KILLS");
    let instants = kills.unwrap_or(INSTANTS);
    eprintln!("kill matrix: PGCONVOY_TEST_SEED={seed}, {instants} instants");
    let mut random = Random::of_seed(seed);
    let mut cases: Vec<Case> = Point::all().into_iter().map(Case::At).collect();
    cases.extend(AT_WORK);
    cases.extend((0..instants).map(|_| {
        let thousandths = [random.below(1000), random.below(1000)];
        Case::After { thousandths }
    }));
    if let Ok(only) = std::env::var("PGCONVOY_KILL_CASES") {
        cases.retain(|case| format!("{case:?}").contains(&only));
    } else if kills.is_none() {
        while cases.len() > SAMPLE {
            cases.remove(random.below(cases.len() as u64) as usize);
        }
    }

    let began = Instant::now();
    let source = Arc::new(kit::bundled(15).await);
    shop::make_roles(&source).await;
    shop::make(&source, "shop").await;
    let cases = Arc::new(Mutex::new(cases.into_iter().enumerate()));
    let lanes = (0..LANES).map(|_| {
        let (source, cases) = (Arc::clone(&source), Arc::clone(&cases));
        tokio::spawn(async move {
            let mut lane = Lane::new(source).await;
            loop {
                let next = cases.lock().unwrap().next();
                let Some((number, case)) = next else { return lane.tally };
                let began = Instant::now();
                try_case(&mut lane, number, case).await;
                lane.clear().await;
                eprintln!("{case:?}: {:.1} s", began.elapsed().as_secs_f32());
            }
        })
    });
    let mut all = lane::Tally::default();
    for lane in lanes.collect::<Vec<_>>() {
        let tally = lane.await.unwrap();
        all.kills += tally.kills;
        all.lost_rows += tally.lost_rows;
        all.doubled_rows += tally.doubled_rows;
        all.redone_receipts += tally.redone_receipts;
        all.failures.extend(tally.failures);
    }
    eprintln!(
        "kill matrix: {} kills, {} rows lost, {} rows doubled, {} receipts redone, {:.0} s",
        all.kills,
        all.lost_rows,
        all.doubled_rows,
        all.redone_receipts,
        began.elapsed().as_secs_f32()
    );
    assert!(all.failures.is_empty(), "seed {seed}:\n{}", all.failures.join("\n"));
}

async fn try_case(lane: &mut Lane, number: usize, case: Case) {
    let name = format!("{case:?}");
    match case {
        Case::After { thousandths } => {
            let mut before = Receipts::new();
            for thousandths in thousandths {
                let child = lane.start("shop");
                sleep(lane.takes.mul_f64(thousandths as f64 / 1000.0)).await;
                lane.kill(child).await;
                for (key, at) in lane.receipts().await {
                    before.entry(key).or_insert(at);
                }
            }
            lane.run_to_the_end("shop", &name).await;
            let whole = lane.whole.clone();
            lane.compare(&name, &whole, &before).await;
        }
        Case::AtWork { table, mode, is_ended } => {
            let blocker = killed_at_work(lane, table, mode).await;
            let dead = lane.waiting(&blocker, table).await;
            let child = lane.start("shop");
            match is_ended {
                true => until_ended(lane, &blocker, (table, &dead)).await,
                false => sleep(Duration::from_millis(500)).await,
            }
            blocker.close().await;
            lane.see_to_the_end(child, &name).await;
            let whole = lane.whole.clone();
            lane.compare(&name, &whole, &Receipts::new()).await;
        }
        Case::At(point) => match act(point) {
            Act::ForgetReceipts | Act::CountRun | Act::Lend => {
                dies(lane, MIDWAY, "shop", &["migrate"]).await;
                dies(lane, point, "shop", &["migrate"]).await;
                goes_on(lane, &name).await;
            }
            Act::RenewReceipts | Act::RemoveRows => {
                // A shop of its own: others read the other.
                let own = format!("shop_{number}");
                shop::make(&lane.source, &own).await;
                // Of four steps with rows one is left: it isn't under way beside the third, or the
                // server may end it after the kill, and rows that are complete stay as they are.
                dies_at(lane, (MIDWAY, 3), &own, &["migrate", "-j", "1"]).await;
                let changes = format!("SET search_path = public; {}", shop::CHANGES);
                shop::command(&lane.source, &own, &changes).await;
                dies(lane, point, &own, &["migrate"]).await;
                lane.run_to_the_end(&own, &name).await;
                let contents = State::of(&lane.source, &own).await;
                let expected = lane.whole.clone().with_contents_of(contents);
                lane.compare(&name, &expected, &Receipts::new()).await;
            }
            Act::EndWorkers => {
                let blocker = killed_at_work(lane, "public.orders", "SHARE UPDATE EXCLUSIVE").await;
                dies(lane, point, "shop", &["migrate"]).await;
                blocker.close().await;
                goes_on(lane, &name).await;
            }
            Act::DropDatabase | Act::LeaveOwners => {
                dies(lane, MIDWAY, "shop", &["migrate"]).await;
                dies(lane, point, "shop", &["migrate", "--restart"]).await;
                lane.run_to_the_end("shop", &name).await;
                // The roles that the first job has made are there: they stay as they are.
                let expected = lane.whole.clone().but_for_passwords();
                lane.compare(&name, &expected, &Receipts::new()).await;
            }
            Act::RecordCutOver | Act::RemoveLedger => is_finished(lane, point).await,
            Act::RaiseFence | Act::LiftFence => is_fenced(lane, point).await,
            _ => {
                dies(lane, point, "shop", &["migrate"]).await;
                goes_on(lane, &name).await;
            }
        },
    }
}

/// A source has one fence.
static FENCE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A fence that is killed while it is raised or lifted: a job goes on behind it, and in the end
/// everybody is let in again.
async fn is_fenced(lane: &mut Lane, point: Point) {
    let _alone = FENCE.lock().await;
    let name = point.to_string();
    let fenced = ["migrate", "--fence", "shop"];
    if act(point) == Act::RaiseFence {
        dies(lane, point, "shop", &fenced).await;
    }
    let child = lane.command("shop", &fenced).spawn().unwrap();
    lane.see_to_the_end(child, &name).await;
    if act(point) == Act::LiftFence {
        dies(lane, point, "shop", &["unfence"]).await;
    }
    let child = lane.command("shop", &["unfence"]).spawn().unwrap();
    lane.see_to_the_end(child, &name).await;
    let sql = "SELECT string_agg(concat_ws(' ', rolname, rolcanlogin), ', ' ORDER BY rolname)
               FROM pg_roles WHERE rolname IN ('shop', 'pgconvoy_fenced')";
    let roles = crate::trial::ask(&lane.source, "postgres", sql).await;
    if roles != "shop t" {
        lane.tally.failures.push(format!("{name}: {roles}"));
    }
    let whole = lane.whole.clone();
    lane.compare(&name, &whole, &Receipts::new()).await;
}

fn act(point: Point) -> Act {
    match point {
        Point::Before(act) | Point::After(act) => act,
        Point::Effect(phase) | Point::Receipt(phase) => Act::Step(phase),
    }
}

/// A run that must come to the point, and dies there.
async fn dies(lane: &mut Lane, point: Point, source: &str, words: &[&str]) {
    dies_at(lane, (point, 1), source, words).await;
}

/// The same, where it comes to the point for the n-th time.
async fn dies_at(lane: &mut Lane, (point, count): (Point, u64), source: &str, words: &[&str]) {
    if !lane.dies_at((point, count), source, words).await {
        lane.tally.failures.push(format!("{point}:{count} is never passed by {words:?}"));
    }
}

/// The run after one that was killed, with what that has left.
async fn goes_on(lane: &mut Lane, case: &str) {
    let before = lane.receipts().await;
    lane.run_to_the_end("shop", case).await;
    let whole = lane.whole.clone();
    lane.compare(case, &whole, &before).await;
}

/// Kills a run one of whose sessions waits for a lock, which is held on.
async fn killed_at_work(lane: &mut Lane, table: &str, mode: &str) -> pgconvoy::wire::Session {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let mut child = lane.start("shop");
        let blocker = lane.lock(table, mode).await;
        // A run that is past the table before it is locked comes to its end.
        let ended = loop {
            if let Some(ended) = child.try_wait().unwrap() {
                break ended;
            }
            if !lane.waiting(&blocker, table).await.is_empty() {
                lane.kill(child).await;
                return blocker;
            }
            assert!(Instant::now() < until, "nobody waits for {table}");
            sleep(Duration::from_millis(10)).await;
        };
        assert!(ended.success(), "a run failed before anybody waited for {table}");
        blocker.close().await;
        lane.clear().await;
    }
}

/// Waits until the dead run's sessions wait for the table no more: the next run's do by then.
async fn until_ended(
    lane: &Lane,
    blocker: &pgconvoy::wire::Session,
    (table, dead): (&str, &[i32]),
) {
    let until = Instant::now() + Duration::from_secs(30);
    while lane.waiting(blocker, table).await.iter().any(|pid| dead.contains(pid)) {
        assert!(Instant::now() < until, "those who wait for {table} are never ended");
        sleep(Duration::from_millis(10)).await;
    }
}

/// `finish` that is killed, and what is on record then.
async fn is_finished(lane: &mut Lane, point: Point) {
    lane.run_to_the_end("shop", "before finish").await;
    let removes = act(point) == Act::RemoveLedger;
    let words: &[&str] = if removes { &["finish", "--drop-ledger"] } else { &["finish"] };
    dies(lane, point, "shop", words).await;
    let record = match removes {
        true => "SELECT (to_regclass('pgconvoy.job') IS NULL)::text",
        false => "SELECT (cut_over_at IS NOT NULL)::text FROM pgconvoy.job",
    };
    let is_done = crate::trial::ask(&lane.target, "shop", record).await == "true";
    let is_after = matches!(point, Point::After(_));
    if is_done != is_after {
        lane.tally.failures.push(format!("{point}: done is {is_done}"));
    }
    if !(removes && is_done) {
        let child = lane.command("shop", words).spawn().unwrap();
        lane.see_to_the_end(child, &point.to_string()).await;
    }
    let whole = lane.whole.clone();
    lane.compare(&point.to_string(), &whole, &Receipts::new()).await;
}
