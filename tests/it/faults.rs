//! Faults while a job runs: connections cut, stalled and slow, answers lost, servers restarted, full
//! and elsewhere. Each run ends well by itself, with what an undisturbed one would have made, and
//! says what it overcame.
//!
//! The targets are bundled ones rather than RDS-like: the proxy reads what clients say, so there is
//! no TLS.

mod stage;

use std::time::{Duration, Instant};

use pgconvoy::commands::{Databases, Event, Phase, Request};
use pgconvoy::servers::{Spec, StopMode};

use tokio::time::sleep;

use crate::kit::{self, Harm, When};
use crate::resuming::started;
use crate::trial;
use stage::Side::{Source, Target};
use stage::{SHOP, Stage, command};

/// What clients say in each phase. The plan that goes into the ledger has some, too.
const CLAIM: &str = "pg_try_advisory_lock(";
const LEDGER: &str = "CREATE SCHEMA pgconvoy";
const SNAPSHOT: &str = "SELECT pg_catalog.pg_export_snapshot()";
const COPY_OUT: &str = "TO STDOUT";
const COPY_IN: &str = "FROM STDIN";
const INDEX: &str = "CREATE INDEX";
const KEY: &str = "FOREIGN KEY";
const SEAL: &str = "sealed_at = ";

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_to_the_source_may_break_anywhere() {
    let stage = Stage::new().await;
    for (when, harm) in [
        (When::Says(SNAPSHOT, 1), Harm::Cut),
        (When::Says(SNAPSHOT, 1), Harm::CutInAnswer),
        (When::Says("SET TRANSACTION SNAPSHOT", 1), Harm::Cut),
        (When::Says(COPY_OUT, 1), Harm::CutInRequest),
        (When::Says(COPY_OUT, 1), Harm::CutInAnswer),
        (When::Says(COPY_OUT, 2), Harm::Cut),
        (When::Says("last_value", 2), Harm::CutInAnswer),
        (When::Says(COPY_OUT, 1), Harm::Outage(Duration::from_secs(1))),
    ] {
        stage.survives(Source, when, harm).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_to_the_target_may_break_anywhere() {
    let stage = Stage::new().await;
    for (when, harm) in [
        (When::Says(CLAIM, 1), Harm::Cut),
        (When::Says("CREATE DATABASE", 1), Harm::CutInAnswer),
        (When::Says(LEDGER, 1), Harm::CutInAnswer),
        (When::Says("CREATE TABLE ", 2), Harm::Cut),
        (When::Says(COPY_IN, 1), Harm::CutInRequest),
        (When::Says(COPY_IN, 2), Harm::CutInAnswer),
        (When::After(4_000_000), Harm::Cut),
        (When::Says(INDEX, 1), Harm::Cut),
        (When::Says(KEY, 2), Harm::CutInRequest),
        (When::Says("setval", 1), Harm::CutInAnswer),
        (When::Says("REFRESH", 2), Harm::Cut),
        (When::Says(COPY_OUT, 1), Harm::CutInAnswer),
        (When::Says("ANALYZE", 1), Harm::Cut),
        (When::Says(SEAL, 1), Harm::CutInRequest),
        (When::Says(INDEX, 1), Harm::Outage(Duration::from_secs(1))),
    ] {
        stage.survives(Target, when, harm).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_commit_may_lose_its_answer() {
    let stage = Stage::new().await;
    stage.before_target.will(When::Always("COMMIT"), Harm::SwallowCommit);
    let watched = trial::run(&stage.request()).await;
    stage.assert_overcome(&watched, "every COMMIT's answer is swallowed").await;
    let report = watched.clean();
    // The plan's and the seal's are the leader's; all others are steps'.
    assert_eq!(report.restarts, 2, "{}", watched.notes());
    assert_eq!(stage.before_target.struck(), (report.retries + report.restarts) as usize);
    assert!(report.retries > 8, "{}", watched.notes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_falls_silent_is_noticed() {
    let stage = Stage::new().await;
    for (side, when, harm) in [
        (Source, When::Says(SNAPSHOT, 1), Harm::Stall),
        (Source, When::Says(COPY_OUT, 1), Harm::Stall),
        (Source, When::Says(COPY_OUT, 1), Harm::Blackout(Duration::from_secs(3))),
        (Target, When::Says(LEDGER, 1), Harm::Stall),
        (Target, When::After(4_000_000), Harm::Stall),
        (Target, When::Says(INDEX, 1), Harm::Stall),
        (Target, When::Says(INDEX, 1), Harm::Blackout(Duration::from_secs(3))),
        (Target, When::Says(SEAL, 1), Harm::Stall),
    ] {
        let began = Instant::now();
        stage.survives(side, when, harm).await;
        // Silence, an answer to why, a pause, and a run: far from anybody else's timeouts.
        assert!(began.elapsed() < Duration::from_secs(60), "{side:?} {when:?}: {harm:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_server_and_a_slow_network_are_no_silent_ones() {
    // An index that takes three times as long to build as a server may be silent.
    const SLOW: &str = "
        CREATE FUNCTION slow(id int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
            $$ BEGIN PERFORM pg_catalog.pg_sleep(0.1); RETURN id; END $$;
        CREATE TABLE items (id int, note text);
        INSERT INTO items SELECT i, repeat('x', 1000000) FROM generate_series(1, 30) i;
        CREATE INDEX slow ON items (public.slow(id));";
    // Not every server tells its sessions' states.
    let target = Spec::bundled().setting("track_activities", "off");
    let stage = Stage::of(SLOW, target).await;
    stage.before_target.will(When::Says(COPY_IN, 1), Harm::Slow(10_000_000));
    let locked = trial::harm(&stage.request(), started(Phase::Indexes), || async {
        stage.before_target.relent();
        let blocker = stage.target.superuser_session("shop").await.unwrap();
        let hold = "BEGIN; LOCK TABLE public.items; SELECT pg_catalog.pg_sleep(3); COMMIT";
        blocker.execute("holding a run up", hold).await.unwrap();
    })
    .await;
    let report = locked.clean();
    assert_eq!((report.retries, report.restarts), (0, 0), "{}", locked.notes());
    stage.assert_exact(&locked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn either_server_may_crash_and_come_back() {
    let stage = Stage::new().await;
    for (side, phase) in [
        (Source, Phase::Data),
        (Source, Phase::Verification),
        (Target, Phase::Data),
        (Target, Phase::Indexes),
        (Target, Phase::Verification),
    ] {
        let crash = async || {
            let server = match side {
                Source => &stage.source,
                Target => &stage.target,
            };
            server.restart(StopMode::Immediate).await.unwrap();
        };
        let watched = trial::harm(&stage.request(), started(phase), crash).await;
        // Once all rows are there, nobody misses the source.
        match (side, phase) {
            (Source, Phase::Verification) => stage.assert_exact(&watched).await,
            _ => stage.assert_overcome(&watched, &format!("{side:?} crashes in {phase}")).await,
        }
        watched.clean();
        stage.drop_database().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_may_come_back_elsewhere_behind_its_name() {
    let mut stage = Stage::new().await;
    let request = stage.request();
    let Stage { target, before_target, .. } = &mut stage;
    let watched = trial::harm(&request, started(Phase::Indexes), || async {
        target.restart_elsewhere(StopMode::Immediate).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        before_target.lead_to(target.port());
    })
    .await;
    stage.assert_overcome(&watched, "a failover").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_became_a_reader_is_waited_for() {
    let stage = Stage::new().await;
    let watched = trial::harm(&stage.request(), started(Phase::Indexes), || async {
        let data = trial::ask(&stage.target, "postgres", "SHOW data_directory").await;
        stage.target.stop(StopMode::Immediate).await.unwrap();
        std::fs::write(format!("{data}/standby.signal"), "").unwrap();
        stage.target.start_again().await.unwrap();
        let conninfo = stage.target.superuser_conninfo("postgres");
        tokio::spawn(async move {
            sleep(Duration::from_secs(3)).await;
            kit::run(&conninfo, "SELECT pg_catalog.pg_promote()").await;
        });
    })
    .await;
    assert!(watched.notes().contains("25006"), "{}", watched.notes());
    stage.assert_overcome(&watched, "a writer that became a reader").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_database_is_surveyed_again_where_that_failed() {
    let stage = Stage::new().await;
    trial::change(&stage.source, "postgres", "CREATE ROLE more").await;
    command(&stage.source, "CREATE DATABASE more OWNER more").await;
    let databases = ["shop", "more"].map(str::to_owned).to_vec();
    let request = Request { databases: Databases::Named(databases), ..stage.request() };
    stage.before_source.will(When::Says("SELECT pg_catalog.pg_export_snapshot()", 2), Harm::Cut);
    let watched = trial::run(&request).await;
    watched.ended.as_ref().unwrap();
    let restarts: Vec<u32> = watched.reports.iter().map(|report| report.restarts).collect();
    assert_eq!(restarts, [0, 1], "{}", watched.notes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_made_meanwhile_is_taken() {
    let stage = Stage::new().await;
    let wait = Harm::Delay(Duration::from_millis(700));
    stage.before_target.will(When::Says("CREATE DATABASE", 1), wait);
    let begun = |event: &Event| matches!(event, Event::Database { .. });
    let watched = trial::harm(&stage.request(), begun, async || {
        command(&stage.target, "CREATE DATABASE shop TEMPLATE template0").await;
    })
    .await;
    stage.assert_overcome(&watched, "a database that is there by then").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_may_have_no_connection_left_for_a_while() {
    let target = Spec::bundled().setting("max_connections", "8");
    let stage = Stage::of(SHOP, target).await;
    let crowd = async || {
        let mut crowd = Vec::new();
        while let Ok(session) = stage.target.superuser_session("postgres").await {
            crowd.push(session);
        }
        // The worker's connection breaks while all others are taken.
        stage.before_target.will(When::Says(INDEX, 1), Harm::Cut);
        tokio::spawn(async move {
            sleep(Duration::from_secs(4)).await;
            drop(crowd);
        });
    };
    // The first index waits for the crowd to gather, so that another one comes after it.
    stage.before_target.will(When::Says(INDEX, 1), Harm::Delay(Duration::from_secs(2)));
    let watched = trial::harm(&stage.request(), started(Phase::Indexes), crowd).await;
    assert!(watched.notes().contains("53300"), "{}", watched.notes());
    stage.assert_overcome(&watched, "too many connections").await;
}

/// Another session that takes one lock before a step is heard, and asks for another one that the
/// step holds when it waits for the first: the server ends the step.
async fn deadlock(stage: &Stage, phase: Phase, when: When, [first, second]: [&str; 2]) {
    stage.before_target.will(when, Harm::Delay(Duration::from_millis(700)));
    let watched = trial::harm(&stage.request(), started(phase), || async {
        let other = stage.target.superuser_session("shop").await.unwrap();
        let hold = format!("SET deadlock_timeout = '1h'; BEGIN; LOCK TABLE public.{first}");
        other.execute("holding a run up", &hold).await.unwrap();
        let waits = format!(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'public.{first}'::regclass"
        );
        while other.query_one("waiting", &waits, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            sleep(Duration::from_millis(20)).await;
        }
        let cross = format!("LOCK TABLE public.{second}; COMMIT");
        other.execute("deadlocking", &cross).await.unwrap();
    })
    .await;
    stage.assert_overcome(&watched, "a deadlock").await;
    assert!(watched.notes().contains("40P01"), "{}", watched.notes());
    let report = watched.clean();
    assert_eq!((report.retries, report.restarts), (1, 0), "{}", watched.notes());
    assert!(report.changes.is_empty(), "{:#?}", report.changes);
    stage.drop_database().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_the_server_ends_to_resolve_a_deadlock_is_tried_again() {
    let target = Spec::bundled().setting("deadlock_timeout", "2s");
    let stage = Stage::of(SHOP, target).await;
    deadlock(&stage, Phase::ForeignKeys, When::Says(KEY, 2), ["orders", "lines"]).await;
    // ANALYZE isn't left out for that.
    deadlock(&stage, Phase::Maintenance, When::Says("ANALYZE", 1), ["orders", "customers"]).await;
}

/// On Linux, and as root: see `kit::SmallDisk`.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_and_is_freed_is_waited_for() {
    let stage = Stage::new().await;
    let data = trial::ask(&stage.target, "postgres", "SHOW data_directory").await;
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(data).unwrap());
    let disk = kit::SmallDisk::mount(40, owner).unwrap();
    let space = format!("CREATE TABLESPACE small LOCATION '{}'", disk.folder().display());
    command(&stage.target, &space).await;
    command(&stage.target, "CREATE DATABASE shop TABLESPACE small").await;
    // The index finds the disk full until the operator removes what isn't ours.
    let ballast = disk.folder().join("ballast");
    let full = async || {
        let mut file = std::fs::File::create(&ballast).unwrap();
        while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    };
    let mut request = stage.request();
    request.target = request.target.with_stall_timeout(Duration::from_secs(20));
    stage.before_target.will(When::Says(INDEX, 1), Harm::Delay(Duration::from_millis(500)));
    let operator = tokio::spawn({
        let ballast = ballast.clone();
        async move {
            while !ballast.exists() {
                sleep(Duration::from_millis(50)).await;
            }
            sleep(Duration::from_secs(4)).await;
            std::fs::remove_file(&ballast).unwrap();
        }
    });
    let watched = trial::harm(&request, started(Phase::Indexes), full).await;
    operator.await.unwrap();
    assert!(watched.notes().contains("53100"), "{}", watched.notes());
    stage.assert_overcome(&watched, "a full disk").await;
    assert_eq!(watched.clean().restarts, 0, "{}", watched.notes());
    stage.drop_database().await;
    command(&stage.target, "DROP TABLESPACE small").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_written_to_arrives_as_one_moment_saw_it() {
    let stage = Stage::of(
        "CREATE TABLE orders (id bigint PRIMARY KEY, note text);
         INSERT INTO orders SELECT i, repeat(md5(i::text), 60) FROM generate_series(1, 4000) i;
         CREATE TABLE counts (orders bigint);
         INSERT INTO counts VALUES (4000);",
        Spec::bundled(),
    )
    .await;
    // Each moment sees as many orders as are counted.
    let writer = stage.source.superuser_session("shop").await.unwrap();
    let writing = tokio::spawn(async move {
        let write = "WITH new AS (INSERT INTO public.orders SELECT max(id) + 1, 'new' \
                         FROM public.orders RETURNING 1) \
                     UPDATE public.counts SET orders = orders + (SELECT count(*) FROM new)";
        let mut written = 0;
        while writer.execute("writing", write).await.is_ok() {
            written += 1;
            sleep(Duration::from_millis(10)).await;
        }
        written
    });
    let watched = trial::harm(&stage.request(), started(Phase::Verification), || async {
        stage.target.restart(StopMode::Immediate).await.unwrap();
    })
    .await;
    assert!(watched.clean().restarts > 0, "{}", watched.notes());
    let consistent = "SELECT (SELECT orders FROM public.counts) = count(*) AND count(*) > 4000 \
                      AND count(*) = max(id) AND count(DISTINCT id) = count(*) FROM public.orders";
    let consistent = format!("SELECT ({consistent})::text");
    assert_eq!(trial::ask(&stage.target, "shop", &consistent).await, "true");
    stage.source.stop(StopMode::Fast).await.unwrap();
    assert!(writing.await.unwrap() > 10);
}

/// Whatever the index `bad` fails on would fail again; meanwhile `long` is built by a worker whose
/// first connection broke.
#[tokio::test(flavor = "multi_thread")]
async fn what_would_fail_again_stops_everything_at_once() {
    let stage = Stage::of(
        "CREATE FUNCTION long(id int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
             $$ BEGIN IF current_setting('cluster_name') = 'target' THEN PERFORM
             pg_catalog.pg_sleep(100); END IF; RETURN id; END $$;
         CREATE FUNCTION bad(id int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
             $$ BEGIN IF current_setting('cluster_name') = 'target' THEN PERFORM
             pg_catalog.pg_sleep(3); RAISE 'it is bad' USING ERRCODE = '42501'; END IF;
             RETURN id; END $$;
         CREATE TABLE a AS SELECT i AS id, repeat(md5(i::text), 60) FROM generate_series(1, 3500) i;
         CREATE TABLE b AS TABLE a;
         CREATE INDEX long ON a (public.long(id)) WHERE id = 1;
         CREATE INDEX bad ON b (public.bad(id)) WHERE id = 1;",
        Spec::bundled().setting("cluster_name", "target"),
    )
    .await;
    stage.before_target.will(When::Says("CREATE INDEX long", 1), Harm::Cut);
    let began = Instant::now();
    let watched = trial::run(&Request { jobs: Some(2), ..stage.request() }).await;
    let error = watched.error().to_string();
    assert!(error.contains("it is bad"), "{error}");
    assert_eq!(stage.before_target.struck(), 1);
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    sleep(Duration::from_secs(1)).await;
    let at_work = "SELECT count(*)::text FROM pg_stat_activity \
                   WHERE datname = 'shop' AND pid <> pg_backend_pid()";
    assert_eq!(trial::ask(&stage.target, "shop", at_work).await, "0", "somebody is still at work");
}
