//! The whole job while the services work, into databases that nobody finds afterwards.

use std::time::Duration;

use pgconvoy::error::Error;
use pgconvoy::wire::Session;

use super::hosts::Installation;
use crate::kit;
use crate::trial::{ask, change, make_database};

const DATABASES: [&str; 3] = ["webstream_iam", "webstream_metrics", "webstream_activity"];
const THROW_AWAYS: &str = "SELECT pg_catalog.count(*)::text FROM pg_catalog.pg_database \
     WHERE datname LIKE '%rehearsal%'";
const ROLES: &str = "SELECT pg_catalog.string_agg(rolname, ' ' ORDER BY rolname) \
     FROM pg_catalog.pg_roles";

async fn provisioned() -> Installation {
    let it = Installation::empty(15, 16).await;
    for name in DATABASES {
        let sql = "CREATE TABLE public.t AS SELECT n FROM generate_series(1, 1000) n";
        make_database(&it.source, name, sql).await;
    }
    change(&it.source, "postgres", "CREATE ROLE reporting LOGIN PASSWORD 'r'").await;
    change(&it.source, "webstream_iam", "GRANT SELECT ON public.t TO reporting").await;
    let said = it.step_told("rehearse").refused();
    assert!(said.contains("isn't provisioned") && said.contains("provision` first"), "{said}");
    it.provision().fine();
    it
}

/// A service at work, until it fails.
async fn writing(service: Session) -> Error {
    loop {
        if let Err(error) = service.execute("writing", "INSERT INTO public.t VALUES (0)").await {
            return error;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_tells_what_the_move_will_take_while_services_write_and_leaves_nothing() {
    let it = provisioned().await;
    let roles = ask(&it.target, "postgres", ROLES).await;
    let service = it.source.conninfo_as("webstream_iam", "of webstream_iam", "webstream_iam");
    let service = kit::session(&service).await;
    let writing = tokio::spawn(writing(service));
    let said = it.step(&["rehearse"]).fine();
    assert!(!writing.is_finished(), "{:?}", writing.await);
    writing.abort();
    assert_eq!(said.matches("rehearsed, and dropped again").count(), 3, "{said}");
    assert!(said.contains("the move as a whole") && said.contains("of write-ahead log"), "{said}");
    assert!(!said.contains("was written to since") && !said.contains("_rehearsal"), "{said}");
    assert_eq!(ask(&it.target, "postgres", THROW_AWAYS).await, "0");
    assert_eq!(ask(&it.target, "postgres", ROLES).await, roles);
    let empty = "SELECT pg_catalog.count(*)::text FROM pg_catalog.pg_class \
                 WHERE relnamespace = 'public'::pg_catalog.regnamespace";
    assert_eq!(ask(&it.target, "webstream_iam", empty).await, "0");
    let plan: serde_json::Value =
        serde_json::from_str(&it.text("gateway/pgconvoy.webstream.json")).unwrap();
    let rehearsed = &plan["done"]["rehearsed"]["webstream_metrics"];
    assert_eq!((&rehearsed["rows"], &rehearsed["was_equal"]), (&1000.into(), &true.into()));
    assert!(rehearsed["target_bytes"].as_i64().unwrap() > 1_000_000, "{rehearsed}");
}

#[cfg(all(debug_assertions, unix))]
#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_that_is_stopped_or_killed_leaves_nothing_for_good() {
    let it = provisioned().await;
    // What is killed leaves its database, and the next rehearsal knows it.
    assert_eq!(it.killed_at("after data effect:1", &["rehearse"]).code, None);
    assert_eq!(ask(&it.target, "postgres", THROW_AWAYS).await, "1");
    // Somebody keeps the next one waiting, who is then stopped.
    let blocker = it.source.superuser_session("webstream_activity").await.unwrap();
    blocker
        .execute("blocking", "BEGIN; LOCK TABLE public.t IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let child = it.spawned(&["rehearse"]);
    let waiting = "SELECT pg_catalog.count(*)::text FROM pg_catalog.pg_stat_activity \
                WHERE wait_event_type = 'Lock' AND datname = 'webstream_activity'";
    for _ in 0..300 {
        if ask(&it.source, "postgres", waiting).await != "0" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(ask(&it.target, "postgres", THROW_AWAYS).await, "1");
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let ended = Installation::ended(child);
    assert_eq!(ended.code, Some(130), "{}", ended.said);
    assert!(ended.said.contains("run it again to begin anew"), "{}", ended.said);
    assert_eq!(ask(&it.target, "postgres", THROW_AWAYS).await, "0");
    blocker.close().await;

    // Another's database of that name stays.
    let make = "CREATE DATABASE webstream_iam_pgconvoy_rehearsal";
    let superuser = it.target.superuser_session("postgres").await.unwrap();
    superuser.execute("making another's database", make).await.unwrap();
    let theirs = "CREATE TABLE public.theirs AS SELECT 1 AS n";
    change(&it.target, "webstream_iam_pgconvoy_rehearsal", theirs).await;
    let said = it.step(&["rehearse"]).refused();
    assert!(said.contains("no rehearsal of this source has made it"), "{said}");
    let there = "SELECT pg_catalog.count(*)::text FROM public.theirs";
    assert_eq!(ask(&it.target, "webstream_iam_pgconvoy_rehearsal", there).await, "1");
}
