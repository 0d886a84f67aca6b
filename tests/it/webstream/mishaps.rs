//! What goes wrong between the steps and around them: nothing is lost by it, and nobody is told that all
//! is well.

use std::fs;
use std::io::{Read, Write};
use std::process::Child;

use super::hosts::{Ended, FILES, Installation};
use crate::trial::{ask, change, make_database};

const CLOSED: &str = "SELECT pg_catalog.bool_and(datconnlimit = 0)::text \
     FROM pg_catalog.pg_database WHERE datname LIKE 'webstream%'";

const MAY_LOG_IN: &str = "SELECT pg_catalog.bool_or(rolcanlogin)::text FROM pg_catalog.pg_roles \
     WHERE rolname LIKE 'webstream%'";

async fn small() -> Installation {
    let it = Installation::empty(15, 16).await;
    for name in ["webstream_iam", "webstream_metrics", "webstream_activity"] {
        let sql = "CREATE TABLE public.t AS SELECT 1 AS n";
        make_database(&it.source, name, sql).await;
    }
    it
}

/// All steps until the services are led to the target.
fn lead_away(it: &Installation) {
    it.provision().fine();
    it.step(&["migrate"]).fine();
    it.step(&["verify"]).fine();
    let authority = it.target.authority().display().to_string();
    it.step(&["repoint", "--root-certificate", &authority]).fine();
}

fn plan(it: &Installation) -> serde_json::Value {
    serde_json::from_str(&it.text("gateway/pgconvoy.webstream.json")).unwrap()
}

/// A run that waits for an answer.
struct Asking(Child);

impl Asking {
    fn begun(it: &Installation, words: &[&str]) -> Asking {
        Asking(it.command(words).spawn().unwrap())
    }

    /// Waits for a question.
    fn until(&mut self, question: &str) {
        let mut said = String::new();
        let mut byte = [0];
        let stderr = self.0.stderr.as_mut().unwrap();
        while !said.ends_with(question) {
            assert_eq!(stderr.read(&mut byte).unwrap(), 1, "{said}");
            said.push(char::from(byte[0]));
        }
    }

    fn answered(&mut self, answer: &str) {
        self.0.stdin.as_mut().unwrap().write_all(answer.as_bytes()).unwrap();
    }

    fn ended(self) -> Ended {
        Installation::ended(self.0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_run_has_put_on_record_stays_there() {
    let it = small().await;
    let said = it.said();
    let words: Vec<&str> = ["run"].into_iter().chain(said.iter().map(String::as_str)).collect();
    let before = FILES.map(|name| fs::read(it.path(name)).unwrap());
    let mut first = Asking::begun(&it, &words);
    first.until("[y/N] ");
    lead_away(&it);
    first.answered("y\n");
    let refused = first.ended().refused();
    assert!(refused.contains("something else has written it since"), "{refused}");
    assert_eq!(plan(&it)["done"]["repointed"].as_object().unwrap().len(), 3);
    it.step(&["rollback"]).fine();
    assert_eq!(FILES.map(|name| fs::read(it.path(name)).unwrap()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_was_edited_meanwhile_keeps_what_was_edited() {
    let it = small().await;
    let said = it.said();
    let words: Vec<&str> =
        ["run", "--yes"].into_iter().chain(said.iter().map(String::as_str)).collect();
    let ask_all: Vec<&str> = words.iter().copied().filter(|word| *word != "--yes").collect();
    let mut run = Asking::begun(&it, &ask_all);
    for _ in 0..3 {
        run.until("[y/N] ");
        run.answered("y\n");
    }
    run.until("write these configurations? [y/N] ");
    let edited = it.text(FILES[0]).replace("Pool Size=20", "Pool Size=19");
    it.write(FILES[0], edited.as_bytes());
    run.answered("y\n");
    let refused = run.ended().refused();
    assert!(
        refused.contains("it was changed meanwhile") && refused.contains(FILES[0]),
        "{refused}"
    );
    assert_eq!(it.text(FILES[0]), edited);
    assert!(it.text(FILES[1]).contains("Host=127.0.0.1"));

    let ended = it.run(&words);
    assert!(ended.said.contains("--signed-in NAME"), "{}", ended.said);
    assert!(it.text(FILES[0]).contains("Host=localhost"));
    assert!(it.text(FILES[0]).contains("Pool Size=19"));
    assert!(plan(&it)["done"]["reached"].is_string());

    // A file that leads back is written again, and what it leads to isn't known.
    it.write(FILES[0], edited.as_bytes());
    it.step(&["repoint"]).fine();
    assert!(plan(&it)["done"]["reached"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(all(debug_assertions, unix))]
async fn the_bundled_databases_are_closed_only_as_they_were_copied() {
    let it = small().await;
    lead_away(&it);
    it.step(&["backup"]).fine();
    change(&it.source, "postgres", "ALTER ROLE webstream_iam LOGIN").await;
    let said = it.step(&["retire"]).refused();
    assert!(said.contains("webstream_iam may log in to the bundled instance"), "{said}");
    change(&it.source, "postgres", "ALTER ROLE webstream_iam NOLOGIN").await;

    // What was begun and came to nothing is taken again.
    it.step(&["status"]).fine();
    let other = it.source.superuser_session("postgres").await.unwrap();
    let sql = "BEGIN; ALTER ROLE webstream_iam CONNECTION LIMIT 5";
    other.execute("keeping a role for itself", sql).await.unwrap();
    let retiring = it.spawned(&["retire"]);
    let sql = "SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(pid))::text \
               FROM pg_catalog.pg_stat_activity WHERE wait_event_type = 'Lock'";
    while ask(&it.source, "postgres", sql).await == "0" {}
    assert_ne!(Installation::ended(retiring).code, Some(0));
    other.execute("letting it go", "ROLLBACK").await.unwrap();
    assert_eq!(ask(&it.source, "postgres", CLOSED).await, "false");
    let path = it.plan();
    it.run(&["run", "--yes", "--signed-in", "Ann", "--plan", &path]).fine();
    assert_eq!(ask(&it.source, "postgres", CLOSED).await, "true");

    it.step(&["unretire"]).fine();
    change(&it.source, "webstream_iam", "INSERT INTO public.t VALUES (2)").await;
    let said = it.step(&["retire"]).refused();
    assert!(said.contains("webstream_iam: rows of public.t"), "{said}");
    assert_eq!(ask(&it.source, "postgres", CLOSED).await, "false");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_is_not_taken_by_half() {
    let it = small().await;
    lead_away(&it);
    let led = FILES.map(|name| it.text(name));
    let named = it.named(FILES[0]);
    let session = it.as_application(&named[1]).await;
    session.execute("naming itself", "SET application_name = 'Metrics Engine'").await.unwrap();
    let said = it.step(&["rollback"]).refused();
    assert!(said.contains("still connected to the target"), "{said}");
    session.close().await;

    // Without the plan file nothing says what the files were.
    let other = it.path("other.json").display().to_string();
    let source = format!("host=127.0.0.1 port={} user=postgres", it.source.port());
    let mut words = it.said();
    words.extend(["--source", &source, "--plan", &other].map(str::to_owned));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let said = it.run(&[&["rollback"], &words[..]].concat()).refused();
    assert!(said.contains("doesn't say what these were before"), "{said}");
    assert_eq!(ask(&it.source, "postgres", MAY_LOG_IN).await, "false");
    assert_eq!(FILES.map(|name| it.text(name)), led);
    it.step(&["rollback"]).fine();
    assert_eq!(ask(&it.source, "postgres", MAY_LOG_IN).await, "true");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(all(debug_assertions, unix))]
async fn a_verification_counts_for_the_copy_that_it_was_of() {
    let it = small().await;
    it.provision().fine();
    it.step(&["migrate"]).fine();
    it.step(&["verify"]).fine();
    it.step(&["migrate"]).fine();
    assert!(plan(&it)["done"]["verified"].is_string());
    change(&it.source, "webstream_iam", "INSERT INTO public.t VALUES (2)").await;
    change(&it.source, "postgres", "ALTER ROLE webstream_iam LOGIN").await;
    assert_eq!(it.killed_at("after seal:1", &["migrate"]).code, None);
    assert!(plan(&it)["done"]["verified"].is_null());
    assert!(plan(&it)["done"]["migrated"].is_null());

    // A target is no copy of itself.
    let target = it.target();
    let other = it.path("other.json").display().to_string();
    let mut words = it.said();
    words.extend(["--source", &target, "--plan", &other].map(str::to_owned));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let said = it.run(&[&["verify"], &words[..]].concat()).refused();
    assert!(said.contains("are one and the same"), "{said}");
}
