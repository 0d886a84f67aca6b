//! Faults while a dump runs: connections that break, a server that restarts or is written to. Each
//! dump ends well by itself, with the rows of one moment, and says what it overcame.

use std::time::Duration;

use pgconvoy::commands::{Compressing, DumpRequest, Dumped, Event, inspect};
use pgconvoy::servers::{Cluster, StopMode};
use pgconvoy::wire::{Conninfo, Environment};
use tokio::sync::Notify;

use crate::kit::{Harm, Proxy, When};
use crate::{dumps, pg_dump, trial};

const SNAPSHOT: &str = "SELECT pg_catalog.pg_export_snapshot()";
const IMPORT: &str = "SET TRANSACTION SNAPSHOT";
const COPY_OUT: &str = "TO STDOUT";
const RELEASE: &str = "COMMIT";

/// A source with a proxy before it, and a place for archives.
struct Stage {
    cluster: Cluster,
    proxy: Proxy,
    folder: tempfile::TempDir,
}

impl Stage {
    async fn new() -> Stage {
        let cluster = dumps::shop(15).await;
        let proxy = Proxy::before(&cluster).await;
        Stage { cluster, proxy, folder: tempfile::tempdir().unwrap() }
    }

    /// A dump through the proxy that tries again for half a minute.
    fn request(&self, name: &str) -> DumpRequest {
        let through = self.cluster.superuser_conninfo_through(self.proxy.port(), "shop");
        let source = Conninfo::parse(&(through + "&connect_timeout=2"), &Environment::default());
        DumpRequest {
            source: source.unwrap().with_stall_timeout(Duration::from_secs(1)),
            patience: Duration::from_secs(30),
            compressing: Compressing::parse("gzip:1").unwrap(),
            ..dumps::request(&self.cluster, "shop", &self.folder.path().join(name))
        }
    }

    async fn assert_restored(&self, request: &DumpRequest) {
        let copies = dumps::beside(&self.cluster).await;
        let restorer = pg_dump::restorers().remove(0);
        let path = request.path.as_ref().unwrap();
        dumps::assert_restored("shop", (&self.cluster, &copies), path, &restorer, "2").await;
    }
}

/// A dump that ends well, with what it said.
async fn overcomes(request: &DumpRequest, case: &str) -> (Dumped, String) {
    let (ended, said) = dumps::watched(request, |_| false).await;
    let notes = notes(&said);
    let dumped = ended.unwrap_or_else(|error| panic!("{case}: {error}; {notes}"));
    let inspected = inspect(request.path.as_ref().unwrap()).await.unwrap();
    assert!(inspected.is_sound(), "{case}: {:?}", inspected.flaws);
    (dumped, notes)
}

fn notes(said: &[Event]) -> String {
    let notes = said.iter().filter_map(|event| match event {
        Event::Note(words) => Some(words.as_str()),
        _ => None,
    });
    notes.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_may_break_anywhere() {
    let stage = Stage::new().await;
    let outage = Harm::Outage(Duration::from_secs(1));
    let whole = overcomes(&stage.request("whole"), "nothing breaks").await.0;
    // How often it is begun again: a worker's own connection is made anew under the same snapshot.
    for (number, (when, harm, restarts)) in [
        (When::Says(SNAPSHOT, 1), Harm::Cut, 1),
        (When::Says(SNAPSHOT, 1), Harm::CutInAnswer, 1),
        (When::Says(IMPORT, 1), Harm::Cut, 0),
        (When::Says(COPY_OUT, 1), Harm::CutInAnswer, 0),
        (When::Says(COPY_OUT, 2), Harm::CutInRequest, 0),
        (When::Says(COPY_OUT, 2), Harm::Stall, 0),
        (When::After(20_000_000), Harm::Cut, 0),
        (When::Says(COPY_OUT, 1), outage, 1),
        (When::Says(RELEASE, 1), Harm::Cut, 1),
    ]
    .into_iter()
    .enumerate()
    {
        let case = format!("{when:?} {harm:?}");
        let request = stage.request(&number.to_string());
        stage.proxy.will(when, harm);
        let struck = stage.proxy.struck();
        let (dumped, notes) = overcomes(&request, &case).await;
        assert_eq!(stage.proxy.struck(), struck + 1, "{case}");
        assert_eq!(dumped.restarts, restarts, "{case}: {notes}");
        assert_eq!((dumped.rows, dumped.bytes), (whole.rows, whole.bytes), "{case}: {notes}");
        assert!(!notes.contains("all anew"), "{case}: {notes}");
        assert!(notes.contains(if restarts > 0 { "begun again in" } else { "tried again in" }));
    }
    stage.assert_restored(&stage.request("7")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_restarts_is_waited_for_and_dumped_anew() {
    let stage = Stage::new().await;
    let request = stage.request("restarted");
    let begun = Notify::new();
    let is_done = |event: &Event| matches!(event, Event::StepFinished { .. });
    let (ended, ()) = tokio::join!(
        dumps::watched(&request, |event| {
            if is_done(event) {
                begun.notify_one();
            }
            false
        }),
        async {
            begun.notified().await;
            stage.cluster.restart(StopMode::Immediate).await.unwrap();
        }
    );
    let (ended, said) = ended;
    let notes = notes(&said);
    let dumped = ended.unwrap_or_else(|error| panic!("{error}; {notes}"));
    assert!(dumped.restarts > 0, "{notes}");
    assert!(notes.contains("its server was started again since; dumping all anew"), "{notes}");
    stage.assert_restored(&request).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_whose_connection_breaks_is_still_of_one_moment_while_the_source_lives_on() {
    let stage = Stage::new().await;
    let request = stage.request("lives on");
    let before = trial::ask(&stage.cluster, "shop", "SELECT count(*)::text FROM public.big").await;
    let begun = Notify::new();
    stage.proxy.will(When::Says(COPY_OUT, 2), Harm::Delay(Duration::from_millis(700)));
    let started = |event: &Event| matches!(event, Event::StepStarted { .. });
    let ((ended, said), ()) = tokio::join!(
        dumps::watched(&request, |event| {
            if started(event) {
                begun.notify_one();
            }
            false
        }),
        async {
            begun.notified().await;
            let grow = "INSERT INTO big SELECT g, 'new' FROM generate_series(70001, 80000) g; \
                    INSERT INTO child VALUES (70001)";
            trial::change(&stage.cluster, "shop", grow).await;
            stage.proxy.will(When::Says(COPY_OUT, 1), Harm::CutInAnswer);
        }
    );
    let notes = notes(&said);
    let dumped = ended.unwrap_or_else(|error| panic!("{error}; {notes}"));
    assert_eq!(dumped.restarts, 0, "{notes}");
    assert!(notes.contains("tried again in"), "{notes}");
    let inspected = inspect(request.path.as_ref().unwrap()).await.unwrap();
    let big =
        inspected.entries.iter().find(|entry| entry.kind == "TABLE DATA" && entry.name == "big");
    assert_eq!(big.unwrap().rows.unwrap().to_string(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_was_never_reached_is_not_waited_for() {
    let stage = Stage::new().await;
    stage.proxy.lead_to(1);
    let (ended, said) = dumps::watched(&stage.request("nothing"), |_| false).await;
    assert!(ended.is_err() && notes(&said).is_empty(), "{said:?}");
    assert_eq!(std::fs::read_dir(stage.folder.path()).unwrap().count(), 0);
}
