//! A source that lives on while it is copied, or after: whoever goes over to the copy is told.

use pgconvoy::commands::{Event, Phase, Request, SourceSince};
use pgconvoy::servers::{Cluster, Spec};

use crate::migration::request;
use crate::{kit, trial};

const SHOP: &str = "
    CREATE TABLE orders (id serial PRIMARY KEY, note text);
    INSERT INTO orders (note) SELECT 'o' || i FROM generate_series(1, 100) i;
    CREATE TABLE lines (id int);
    INSERT INTO lines VALUES (1);
    CREATE TABLE visits (day int) PARTITION BY LIST (day);
    CREATE TABLE visits_1 PARTITION OF visits FOR VALUES IN (1);
";

/// A shop on a server that writes nothing by itself, and the request to move it.
async fn shop(major: u32) -> (Cluster, Cluster, Request) {
    let quiet = Spec::bundled().major(major).setting("autovacuum", "off");
    let (source, target) = tokio::join!(kit::start(quiet), kit::bundled(15.max(major)));
    trial::make_database(&source, "shop", SHOP).await;
    let request = request(&source, &target, &["shop"]);
    (source, target, request)
}

/// What a run that ends well says of its source.
async fn said(request: &Request) -> SourceSince {
    trial::run(request).await.clean().source_since.clone().unwrap()
}

fn changed<const N: usize>(what: [&str; N]) -> SourceSince {
    SourceSince::Changed { what: what.map(str::to_owned).into() }
}

async fn a_source_is_told_unchanged_only_until_it_is_written_to(major: u32) {
    let (source, target, request) = shop(major).await;
    // Neither the job itself nor others who read leave a trace.
    assert_eq!(said(&request).await, SourceSince::Unchanged);
    trial::ask(&source, "shop", "SELECT count(*)::text FROM public.orders").await;
    assert_eq!(said(&request).await, SourceSince::Unchanged);

    // Most numbers that a sequence gives take no transaction's number.
    trial::change(&source, "shop", "SELECT nextval('orders_id_seq')").await;
    assert_eq!(said(&request).await, changed(["SEQUENCE public.orders_id_seq"]));
    trial::change(&target, "shop", "SELECT setval('orders_id_seq', 101)").await;
    assert_eq!(said(&request).await, SourceSince::Unchanged);

    trial::change(
        &source,
        "shop",
        "UPDATE orders SET note = 'x' WHERE id = 7; INSERT INTO visits VALUES (1);
         ALTER TABLE lines ADD n int; TRUNCATE lines",
    )
    .await;
    let all = [
        "TABLE public.lines",
        "rows of public.lines",
        "rows of public.orders",
        "rows of public.visits_1",
    ];
    // What a session has written is counted when it ends.
    let mut told = said(&request).await;
    for _ in 0..50 {
        if told == changed(all) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        told = said(&request).await;
    }
    panic!("{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_of_15_is_told_unchanged_only_until_it_is_written_to() {
    a_source_is_told_unchanged_only_until_it_is_written_to(15).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_of_12_is_told_unchanged_only_until_it_is_written_to() {
    a_source_is_told_unchanged_only_until_it_is_written_to(12).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_while_the_job_runs_is_told_and_no_difference() {
    let (source, target, request) = shop(15).await;
    let copied = |event: &Event| matches!(event, Event::StepFinished { phase: Phase::Data, .. });
    let run = trial::harm(&request, copied, || {
        trial::change(&source, "shop", "INSERT INTO orders (note) VALUES ('late')")
    })
    .await;
    let told = run.clean().source_since.clone();
    let Some(SourceSince::Changed { what }) = told else { panic!("{told:?}") };
    assert!(what.contains(&"rows of public.orders".to_owned()), "{what:?}");
    let count = "SELECT count(*)::text FROM public.orders";
    assert_eq!(trial::ask(&target, "shop", count).await, "100");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_t_be_proven_is_not_claimed() {
    let (source, _target, request) = shop(15).await;
    assert_eq!(said(&request).await, SourceSince::Unchanged);
    let perhaps = |told: SourceSince, why: &str| match &told {
        SourceSince::Perhaps { because } => assert!(because.contains(why), "{because}"),
        _ => panic!("{told:?}"),
    };
    // What it may write before it commits is in no snapshot.
    let writer = source.superuser_session("shop").await.unwrap();
    let begin = "BEGIN; SELECT pg_catalog.txid_current()";
    writer.execute("writing", begin).await.unwrap();
    perhaps(said(&request).await, "under way");
    writer.execute("giving up", "ROLLBACK").await.unwrap();
    perhaps(said(&request).await, "in this database or another");
    source.restart(pgconvoy::servers::StopMode::Fast).await.unwrap();
    perhaps(said(&request).await, "started again");
}
