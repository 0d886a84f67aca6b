//! The short window: rows are copied while the source lives, and what has changed by the time it is
//! fenced is copied anew, nothing else.

#[cfg(unix)]
use std::process::Command;
#[cfg(unix)]
use std::time::Duration;

use pgconvoy::commands::{self, Event, Phase, Request, SourceSince};
use pgconvoy::error::Kind;
use pgconvoy::servers::Cluster;
use pgconvoy::wire::{Conninfo, Environment};
#[cfg(unix)]
use tokio::time::sleep;

use crate::migration::request;
use crate::resuming::finished;
use crate::trial::{self, Watched};
use crate::{kit, pg_dump};

const SHOP: &str = "
    CREATE TABLE orders (id bigint PRIMARY KEY, note text);
    INSERT INTO orders SELECT i, repeat(md5(i::text), 60) FROM generate_series(1, 20000) i;
    CREATE INDEX ON orders (md5(note));
    CREATE TABLE lines (id bigint PRIMARY KEY, orders_id bigint REFERENCES orders, note text);
    INSERT INTO lines SELECT i, i, repeat(md5(i::text), 60) FROM generate_series(1, 17000) i;
    CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL UNIQUE, stamp int);
    INSERT INTO customers (name, stamp) SELECT 'c' || i, i FROM generate_series(1, 100) i;
    CREATE TABLE log (what text);
    CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NEW.stamp := -1; INSERT INTO public.log VALUES (NEW.name); RETURN NEW; END $$;
    CREATE TRIGGER stamp BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION stamp();
    CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM orders;
    GRANT SELECT ON orders TO PUBLIC;
";

/// A shop, the request to copy it warm, and the one that fences it and ends the job.
async fn shop() -> (Cluster, Cluster, [Request; 2]) {
    let (source, target) = tokio::join!(kit::bundled(15), kit::rds_like(15));
    trial::make_database(&source, "shop", SHOP).await;
    let request = Request { jobs: Some(2), ..request(&source, &target, &["shop"]) };
    let fence = vec!["shop".to_owned()];
    let last = Request { fence, ..request.clone() };
    (source, target, [Request { warm: true, ..request }, last])
}

/// The titles of the steps of a phase that a run has done.
fn done(run: &Watched, wanted: Phase) -> Vec<&str> {
    let titles = run.events.iter().filter_map(|event| match event {
        Event::StepFinished { phase, title, .. } if *phase == wanted => Some(title.as_str()),
        _ => None,
    });
    titles.collect()
}

async fn assert_moved(source: &Cluster, target: &Cluster) {
    trial::assert_same_rows(source, target, "shop").await;
    let theirs = pg_dump::schema(target, "shop");
    pg_dump::assert_equal(&pg_dump::schema(source, "shop"), &theirs, "shop");
    let next = "SELECT last_value || ' ' || is_called FROM public.customers_id_seq";
    assert_eq!(trial::ask(source, "shop", next).await, trial::ask(target, "shop", next).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_changed_since_a_warm_copy_is_copied_anew_under_the_fence() {
    let (source, target, [warm, last]) = shop().await;
    let schema = pg_dump::schema(&source, "shop");
    let first = trial::run(&warm).await;
    assert!(first.clean().is_warm && first.clean().source_since.is_none());
    assert!(!done(&first, Phase::Data).is_empty() && !done(&first, Phase::Indexes).is_empty());
    for late in [Phase::Verification, Phase::ForeignKeys, Phase::Settling, Phase::Maintenance] {
        assert!(done(&first, late).is_empty(), "{:?}", done(&first, late));
    }
    let triggers = "SELECT count(*)::text FROM pg_trigger WHERE NOT tgisinternal";
    assert_eq!(trial::ask(&target, "shop", triggers).await, "0");
    let sealed = "SELECT count(*)::text FROM pgconvoy.job WHERE sealed_at IS NOT NULL";
    assert_eq!(trial::ask(&target, "shop", sealed).await, "0");

    trial::change(
        &source,
        "shop",
        "UPDATE lines SET note = 'changed' WHERE id % 1000 = 7; DELETE FROM lines WHERE id = 8;
         INSERT INTO lines SELECT i, 1, 'new' FROM generate_series(50001, 50100) i;
         SELECT nextval('customers_id_seq') FROM generate_series(1, 50)",
    )
    .await;
    let second = trial::run(&last).await;
    let report = second.clean();
    assert!(report.was_resumed && !report.is_warm && report.fence.is_some());
    assert_eq!(report.source_since, Some(SourceSince::Unchanged));
    let copied = done(&second, Phase::Data);
    let all_lines = copied.iter().all(|title| title.contains("public.lines"));
    assert!(!copied.is_empty() && all_lines, "{copied:?}");
    let read_back = done(&second, Phase::Verification);
    for table in ["customers", "lines", "orders"] {
        assert!(read_back.iter().any(|title| title.contains(table)), "{read_back:?}");
    }
    assert!(done(&second, Phase::Definitions).is_empty());
    // The login that the fence took isn't in what pg_dump shows.
    trial::assert_same_rows(&source, &target, "shop").await;
    pg_dump::assert_equal(&schema, &pg_dump::schema(&target, "shop"), "shop");
    assert_moved(&source, &target).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_copy_may_be_warmed_up_again_and_cut_off_and_ends_without_a_fence_too() {
    let (source, target, [warm, last]) = shop().await;
    let cut = trial::interrupt(&warm, finished(Phase::Data, 1)).await;
    assert_eq!(cut.error().kind(), Kind::Interrupted, "{}", cut.error());
    trial::change(&source, "shop", "DELETE FROM orders WHERE id = 18000").await;
    assert!(trial::run(&warm).await.clean().is_warm);
    trial::change(&source, "shop", "INSERT INTO orders VALUES (90000, 'new')").await;
    assert!(trial::run(&warm).await.clean().is_warm);
    let order = "SELECT count(*)::text FROM public.orders WHERE id = 90000";
    assert_eq!(trial::ask(&target, "shop", order).await, "1");
    trial::change(&source, "shop", "UPDATE customers SET name = 'x' WHERE id = 7").await;

    let without_fence = Request { fence: Vec::new(), ..last };
    let cut = trial::interrupt(&without_fence, finished(Phase::ForeignKeys, 1)).await;
    assert_eq!(cut.error().kind(), Kind::Interrupted, "{}", cut.error());
    let late = trial::run(&warm).await;
    let error = late.error().to_string();
    assert_eq!(late.error().kind(), Kind::Refused, "{error}");
    assert!(error.contains("run it without --warm"), "{error}");
    assert!(!trial::run(&without_fence).await.clean().is_warm);
    assert_moved(&source, &target).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_proves_unchanged_since_a_warm_copy_is_not_read_again() {
    let quiet = pgconvoy::servers::Spec::bundled().major(15).setting("autovacuum", "off");
    let (source, target) = tokio::join!(kit::start(quiet), kit::bundled(15));
    trial::make_database(&source, "shop", SHOP).await;
    let last = request(&source, &target, &["shop"]);
    trial::run(&Request { warm: true, ..last.clone() }).await.clean();
    let second = trial::run(&last).await;
    assert_eq!(second.clean().source_since, Some(SourceSince::Unchanged));
    assert!(!second.notes().contains("reading"), "{}", second.notes());
    assert!(done(&second, Phase::Data).is_empty());
    assert_moved(&source, &target).await;
}

/// As if the last run had ended just before its seal, and its fence had been lifted.
async fn reopen(source: &Cluster, target: &Cluster) {
    let unseal = "UPDATE pgconvoy.job SET sealed_at = NULL, report = NULL";
    trial::change(target, "shop", unseal).await;
    let server = Conninfo::parse(&source.conninfo("postgres"), &Environment::default()).unwrap();
    commands::unfence(&server).await.unwrap();
}

/// Has a service write to the target, and asserts that the run which would end the job finds it.
async fn assert_found(target: &Cluster, last: &Request) -> Watched {
    trial::change(target, "shop", "UPDATE orders SET note = 'rehearsed' WHERE id = 5").await;
    let run = trial::run(last).await;
    assert!(run.ended.is_ok(), "{}", run.error());
    let [report] = run.reports.as_slice() else { panic!("{:?}", run.reports) };
    let differences = format!("{:?}", report.verification.tables);
    assert!(!report.verification.is_clean() && differences.contains("orders"), "{differences}");
    let sealed = "SELECT count(*)::text FROM pgconvoy.job WHERE sealed_at IS NOT NULL";
    assert_eq!(trial::ask(target, "shop", sealed).await, "0");
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_write_to_a_warm_target_is_found_before_it_is_sealed() {
    let (_source, target, [warm, last]) = shop().await;
    trial::run(&warm).await.clean();
    assert_found(&target, &last).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_write_between_two_fenced_runs_is_found_but_where_row_security_forbids() {
    let (source, target, [_, last]) = shop().await;
    let secret = "CREATE TABLE secrets AS SELECT 1 AS id; ALTER TABLE secrets OWNER TO shop; \
                  ALTER TABLE secrets ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY";
    trial::change(&source, "shop", secret).await;
    trial::run(&last).await.clean();
    reopen(&source, &target).await;
    let run = assert_found(&target, &last).await;
    let closed = "keep us from reading public.secrets back again";
    assert!(run.notes().contains(closed), "{}", run.notes());
}

#[tokio::test(flavor = "multi_thread")]
async fn sequences_that_move_between_two_fenced_runs_are_set_though_grants_stand() {
    let (source, target, [_, last]) = shop().await;
    trial::run(&last).await.clean();
    reopen(&source, &target).await;
    let draw = "SELECT nextval('customers_id_seq') FROM generate_series(1, 50)";
    trial::change(&source, "shop", draw).await;
    trial::run(&last).await.clean();
    let next = "SELECT last_value || ' ' || is_called FROM public.customers_id_seq";
    assert_eq!(trial::ask(&target, "shop", next).await, "150 true");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn an_unlogged_table_that_a_crash_of_the_source_emptied_is_copied_anew() {
    let quiet = pgconvoy::servers::Spec::bundled().major(15).setting("autovacuum", "off");
    let (source, target) = tokio::join!(kit::start(quiet), kit::bundled(15));
    let baskets = "CREATE UNLOGGED TABLE baskets AS SELECT generate_series(1, 30) AS id;";
    trial::make_database(&source, "shop", &format!("{SHOP}{baskets}")).await;
    let last = request(&source, &target, &["shop"]);
    trial::run(&Request { warm: true, ..last.clone() }).await.clean();

    // The server then restarts all of its processes but the first.
    let one = "SELECT pid::text FROM pg_stat_activity WHERE backend_type = 'background writer'";
    let pid = trial::ask(&source, "shop", one).await;
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    let count = "SELECT count(*)::text FROM public.baskets";
    let emptied = async || {
        let session = source.superuser_session("shop").await?;
        session.query_one("counting", count, &[]).await.map(|row| row.get::<_, String>(0) == "0")
    };
    while !emptied().await.is_ok_and(|emptied| emptied) {
        sleep(Duration::from_millis(100)).await;
    }
    let run = trial::run(&last).await;
    assert!(run.clean().was_resumed);
    // All other rows are proven by the marks.
    assert!(run.notes().contains("reading 1 finished chunk again"), "{}", run.notes());
    assert_eq!(trial::ask(&target, "shop", count).await, "0");
}
