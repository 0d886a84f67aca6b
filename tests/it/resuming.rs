//! A run that is cut off, however it is, goes on when the same command is run again: no row is
//! missing, none is doubled, finished work isn't repeated.

use std::time::Duration;

use pgconvoy::commands::{Event, Phase, Request, ToastCompression};
use pgconvoy::error::Kind;
use pgconvoy::servers::{Cluster, Spec, StopMode};
use pgconvoy::wire::Session;

use tokio::time::timeout;

use crate::migration::request;
use crate::trial::{self, Watched};
use crate::{kit, pg_dump};

/// Two tables that travel in two chunks each, some that travel in one transaction, and what could
/// get in the way of copying a table twice: triggers, foreign keys, row security.
const SHOP: &str = "
    CREATE TABLE orders (id bigint PRIMARY KEY, note text);
    INSERT INTO orders SELECT i, repeat(md5(i::text), 60) FROM generate_series(1, 20000) i;
    CREATE INDEX ON orders (md5(note));
    CREATE TABLE lines (id bigint PRIMARY KEY, orders_id bigint REFERENCES orders, note text);
    INSERT INTO lines SELECT i, i, repeat(md5(i::text), 60) FROM generate_series(1, 17000) i;
    CREATE TABLE items (id bigint PRIMARY KEY, note text);
    INSERT INTO items SELECT i, repeat(md5(i::text), 60) FROM generate_series(1, 2500) i;
    CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL UNIQUE, stamp int);
    INSERT INTO customers (name, stamp) SELECT 'c' || i, i FROM generate_series(1, 100) i;
    CREATE TABLE suppliers (id int GENERATED ALWAYS AS IDENTITY, name text);
    INSERT INTO suppliers (name) SELECT 's' || i FROM generate_series(1, 50) i;
    CREATE TABLE log (what text);
    CREATE UNLOGGED TABLE baskets (id int PRIMARY KEY, what text);
    INSERT INTO baskets SELECT i, 'b' || i FROM generate_series(1, 30) i;
    CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NEW.stamp := -1; INSERT INTO public.log VALUES (NEW.name); RETURN NEW; END $$;
    CREATE TRIGGER stamp BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION stamp();
    ALTER TABLE suppliers ENABLE ROW LEVEL SECURITY;
    CREATE POLICY many ON suppliers USING (id > 10);
    CREATE VIEW names AS SELECT name FROM customers UNION ALL SELECT name FROM suppliers;
    CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM orders;
    CREATE TABLE visits (day date, who text) PARTITION BY RANGE (day);
    CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
    INSERT INTO visits SELECT '2025-01-01'::date + i, 'v' || i FROM generate_series(1, 300) i;
    CREATE INDEX ON visits (who);
    CREATE FUNCTION count_visit() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO public.log VALUES (NEW.who); RETURN NEW; END $$;
    CREATE TRIGGER visited AFTER INSERT ON visits FOR EACH ROW EXECUTE FUNCTION count_visit();
    REVOKE INSERT ON items FROM shop;
";

/// The shop on a bundled 15, an empty RDS-like 15, and the request to move one into the other with
/// one worker, so that steps come one after another.
async fn shop() -> (Cluster, Cluster, Request) {
    let (source, target) = tokio::join!(kit::bundled(15), kit::rds_like(15));
    trial::make_database(&source, "shop", SHOP).await;
    let request = Request { jobs: Some(1), ..request(&source, &target, &["shop"]) };
    (source, target, request)
}

/// Holds from the `count`-th finished step of a phase on.
pub(crate) fn finished(phase: Phase, count: usize) -> impl FnMut(&Event) -> bool {
    let mut seen = 0;
    move |event| {
        let counts = matches!(event, Event::StepFinished { phase: p, .. } if *p == phase);
        seen += usize::from(counts);
        counts && seen >= count
    }
}

/// Holds when a step of a phase starts.
pub(crate) fn started(phase: Phase) -> impl FnMut(&Event) -> bool {
    move |event| matches!(event, Event::StepStarted { phase: p, .. } if *p == phase)
}

/// How many chunks of a table the ledger has receipts for.
async fn chunks_done(target: &Cluster, table: &str) -> String {
    let sql = format!(
        "SELECT count(*) || ' of ' || (SELECT count(*) FROM pgconvoy.step \
         WHERE phase = 'data' AND title ~ '{table}( where|$)' AND parts > 0) \
         FROM pgconvoy.receipt JOIN pgconvoy.step ON id = step \
         WHERE phase = 'data' AND title ~ '{table}( where|$)'"
    );
    trial::ask(target, "shop", &sql).await
}

/// When each receipt but the sequences' was written.
async fn receipts(target: &Cluster) -> Vec<String> {
    let sql = "SELECT coalesce(string_agg(concat_ws(' ', step, part, finished_at), E'\n' \
               ORDER BY step, part), '') FROM pgconvoy.receipt \
               WHERE step NOT IN (SELECT id FROM pgconvoy.step WHERE title = 'sequences')";
    trial::ask(target, "shop", sql).await.lines().map(str::to_owned).collect()
}

/// Ends a session that is in the midst of a COPY, as soon as there is one.
async fn end_a_copy(killer: &Session) {
    let end = "SELECT count(*) FILTER (WHERE pg_catalog.pg_terminate_backend(pid)) \
               FROM pg_catalog.pg_stat_activity WHERE state = 'active' AND query LIKE 'COPY %'";
    while killer.query_one("ending a session", end, &[]).await.unwrap().get::<_, i64>(0) == 0 {}
}

async fn assert_moved(source: &Cluster, target: &Cluster, second: &Watched) {
    assert!(second.clean().was_resumed);
    trial::assert_same_rows(source, target, "shop").await;
    let (ours, theirs) = (pg_dump::schema(source, "shop"), pg_dump::schema(target, "shop"));
    pg_dump::assert_equal(&ours, &theirs, "shop");
    let memberships = "SELECT count(*)::text FROM pg_auth_members \
                       WHERE roleid = 'shop'::regrole AND member = 'master'::regrole";
    assert_eq!(trial::ask(target, "shop", memberships).await, "0", "ours aren't taken back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_stopped_while_rows_are_copied_goes_on_and_repeats_nothing() {
    let (source, target, request) = shop().await;
    let first = trial::interrupt(&request, finished(Phase::Data, 3)).await;
    assert_eq!(first.error().kind(), Kind::Interrupted, "{}", first.error());
    assert_eq!(chunks_done(&target, "orders").await, "2 of 2");
    assert_eq!(chunks_done(&target, "lines").await, "1 of 2");
    let before = receipts(&target).await;

    let second = trial::run(&request).await;
    assert_moved(&source, &target, &second).await;
    let after = receipts(&target).await;
    assert!(after.len() > before.len());
    for receipt in &before {
        assert!(after.contains(receipt), "repeated: {receipt}");
    }

    let third = trial::run(&request).await;
    assert!(third.clean().was_finished);
    assert_eq!(receipts(&target).await, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_on_the_source_between_two_runs_arrives_as_it_is_then() {
    let (source, target, request) = shop().await;
    let request = Request { jobs: Some(3), ..request };
    // Whatever can be done without one table's rows is done: indexes, triggers, verification.
    let (mut indexed, mut verified) = (false, false);
    let all_but_lines = |event: &Event| {
        if let Event::StepFinished { phase, title, .. } = event {
            let small_ones = title.contains("tables from");
            indexed |= *phase == Phase::Indexes && small_ones;
            verified |= *phase == Phase::Verification && small_ones;
        }
        indexed && verified
    };
    let first = trial::interrupt_without(&source, "lines", &request, all_but_lines).await;
    assert_eq!(first.error().kind(), Kind::Interrupted, "{}", first.error());
    assert_eq!(chunks_done(&target, "lines").await, "0 of 2");
    trial::change(
        &source,
        "shop",
        "UPDATE orders SET note = 'changed' WHERE id = 7;
         UPDATE customers SET stamp = 77 WHERE id = 7;
         DELETE FROM baskets WHERE id = 3;
         INSERT INTO items VALUES (99999, 'new');
         INSERT INTO lines SELECT i, 1, 'new' FROM generate_series(50001, 50100) i;
         DELETE FROM lines WHERE id < 10;
         SELECT nextval('customers_id_seq') FROM generate_series(1, 50);",
    )
    .await;
    let second = trial::run(&request).await;
    assert_moved(&source, &target, &second).await;
    assert!(second.notes().contains("public.customers changed"), "{}", second.notes());
    let sequence = "SELECT last_value || ' ' || is_called FROM public.customers_id_seq";
    assert_eq!(
        trial::ask(&source, "shop", sequence).await,
        trial::ask(&target, "shop", sequence).await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_in_a_table_done_half_done_and_not_begun_arrive() {
    let (source, target, request) = shop().await;
    let first = trial::interrupt(&request, finished(Phase::Data, 3)).await;
    assert_eq!(first.error().kind(), Kind::Interrupted, "{}", first.error());
    assert_eq!(chunks_done(&target, "orders").await, "2 of 2");
    assert_eq!(chunks_done(&target, "lines").await, "1 of 2");
    assert_eq!(chunks_done(&target, "items").await, "0 of 1");
    let change = |table: &str| {
        format!(
            "UPDATE {table} SET note = 'changed' WHERE id % 1000 = 7;
             DELETE FROM {table} WHERE id % 1000 = 8 AND id > 17000;
             DELETE FROM {table} WHERE id = 2500;
             INSERT INTO {table} (id, note) SELECT i, 'new' FROM generate_series(90001, 90100) i;"
        )
    };
    let changes = [change("lines"), "DELETE FROM lines WHERE orders_id = 2500;".to_owned()];
    let changes = changes.concat() + &change("orders") + &change("items");
    trial::change(&source, "shop", &changes).await;
    source.restart(StopMode::Fast).await.unwrap();
    let second = trial::run(&request).await;
    assert_moved(&source, &target, &second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_whose_sessions_are_ended_stop_the_run_and_the_next_one_goes_on() {
    let (source, target, request) = shop().await;
    let killer = target.superuser_session("postgres").await.unwrap();
    let first = trial::harm(&request, started(Phase::Data), || end_a_copy(&killer)).await;
    let error = first.error();
    assert_eq!(error.kind(), Kind::Step, "{error}");
    assert!(error.to_string().contains("copying public."), "{error}");
    assert!(error.to_string().contains("57P01"), "{error}");

    let killer = source.superuser_session("postgres").await.unwrap();
    let second = trial::harm(&request, finished(Phase::Data, 1), || end_a_copy(&killer)).await;
    let error = second.error();
    assert_eq!(error.kind(), Kind::Step, "{error}");
    assert!(error.to_string().contains("copying public."), "{error}");
    assert_ne!(chunks_done(&target, "orders").await, "0 of 2");

    let third = trial::run(&request).await;
    assert_moved(&source, &target, &third).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_target_empties_unlogged_tables_which_are_copied_again() {
    let (source, target, request) = shop().await;
    let request = Request { jobs: Some(3), ..request };
    let small_ones_there = |event: &Event| match event {
        Event::StepFinished { phase: Phase::Data, title, .. } => title.contains("tables from"),
        _ => false,
    };
    let first = trial::interrupt_without(&source, "lines", &request, small_ones_there).await;
    assert_eq!(first.error().kind(), Kind::Interrupted, "{}", first.error());
    target.restart(StopMode::Immediate).await.unwrap();
    let count = "SELECT count(*)::text FROM public.baskets";
    assert_eq!(trial::ask(&target, "shop", count).await, "0");
    let second = trial::run(&request).await;
    assert_moved(&source, &target, &second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_target_after_the_last_row_is_mended_or_told() {
    let (source, target, request) = shop().await;
    // Rows still go into a table that is held like this, foreign keys wait.
    let aisles = "SET ROLE shop; CREATE TABLE aisles (id bigint REFERENCES orders)";
    trial::change(&source, "shop", aisles).await;
    let held = ("public.aisles IN ROW EXCLUSIVE MODE", finished(Phase::Definitions, 2));
    let all_rows_there = started(Phase::ForeignKeys);
    let first = trial::interrupt_held_up(&target, held, &request, all_rows_there).await;
    assert_eq!(first.error().kind(), Kind::Interrupted, "{}", first.error());
    target.restart(StopMode::Immediate).await.unwrap();
    let count = "SELECT count(*)::text FROM public.baskets";
    assert_eq!(trial::ask(&target, "shop", count).await, "0");

    let second = trial::interrupt(&request, finished(Phase::ForeignKeys, 1)).await;
    assert_eq!(second.error().kind(), Kind::Interrupted, "{}", second.error());
    assert_eq!(trial::ask(&target, "shop", count).await, "30");
    target.restart(StopMode::Immediate).await.unwrap();
    let refused = trial::run(&request).await;
    assert_eq!(refused.error().kind(), Kind::Refused, "{}", refused.error());
    assert!(refused.error().to_string().contains("public.baskets"), "{}", refused.error());

    let refill = trial::ask(
        &source,
        "shop",
        "SELECT string_agg(format('(%s, %L)', id, what), ', ') FROM public.baskets",
    )
    .await;
    trial::change(&target, "shop", &format!("INSERT INTO baskets VALUES {refill}")).await;
    let last = trial::run(&request).await;
    assert_moved(&source, &target, &last).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_stopped_in_any_phase_goes_on() {
    let (source, target, request) = shop().await;
    let mut stopped = 0;
    for phase in Phase::ALL {
        for when in [true, false] {
            let watched = if when {
                trial::interrupt(&request, started(phase)).await
            } else {
                trial::interrupt(&request, finished(phase, 1)).await
            };
            match &watched.ended {
                Err(error) if error.kind() == Kind::Interrupted => stopped += 1,
                Err(error) => panic!("{phase}: {error}"),
                // Steps of some phases were all done when another one was stopped.
                Ok(()) => assert!(stopped > 8, "{phase}"),
            }
        }
    }
    let last = trial::run(&request).await;
    assert!(last.clean().was_finished || last.clean().was_resumed);
    trial::assert_same_rows(&source, &target, "shop").await;
    let (ours, theirs) = (pg_dump::schema(&source, "shop"), pg_dump::schema(&target, "shop"));
    pg_dump::assert_equal(&ours, &theirs, "shop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_stopped_when_only_its_seal_is_missing_goes_on() {
    let (source, target, request) = shop().await;
    trial::run(&request).await.clean();
    let unseal = "UPDATE pgconvoy.job SET sealed_at = NULL, report = NULL";
    trial::change(&target, "shop", unseal).await;
    let second = trial::run(&request).await;
    assert_moved(&source, &target, &second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_job_refuses_another_source_and_changed_definitions_by_name() {
    let (source, target, request) = shop().await;
    let first = trial::interrupt(&request, finished(Phase::Definitions, 1)).await;
    assert_eq!(first.error().kind(), Kind::Interrupted, "{}", first.error());

    // Of another locale: clusters made from one template have one system identifier.
    let other = kit::start(Spec::bundled().major(15).encoding("UTF8", "C")).await;
    trial::make_database(&other, "shop", "CREATE TABLE orders (id int)").await;
    let from_other = Request {
        source: crate::migration::request(&other, &target, &["shop"]).source,
        ..request.clone()
    };
    let refused = trial::run(&from_other).await;
    assert_eq!(refused.error().kind(), Kind::Refused, "{}", refused.error());
    assert!(refused.error().to_string().contains("another database"), "{}", refused.error());

    let change = "ALTER TABLE items ADD COLUMN price numeric; CREATE TABLE extras (id int)";
    trial::change(&source, "shop", change).await;
    let refused = trial::run(&request).await;
    let error = refused.error().to_string();
    assert_eq!(refused.error().kind(), Kind::Refused, "{error}");
    for name in ["TABLE public.items", "TABLE public.extras"] {
        assert!(error.contains(name), "{error}");
    }
    assert!(!error.contains("orders"), "{error}");

    trial::change(&source, "shop", "ALTER TABLE items DROP COLUMN price; DROP TABLE extras").await;
    let second = trial::run(&request).await;
    assert_moved(&source, &target, &second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_beside_the_first_is_refused_and_the_first_goes_on() {
    let (source, target, request) = shop().await;
    // A lock on the target holds the first run up while the second one tries.
    let first = trial::harm(&request, started(Phase::Data), || async {
        let blocker = target.superuser_session("shop").await.unwrap();
        let hold = "BEGIN; LOCK TABLE public.items";
        blocker.execute("holding the first run up", hold).await.unwrap();
        let second = timeout(Duration::from_secs(60), trial::run(&request)).await;
        let second = second.expect("the second run waits for the first one's locks");
        let error = second.error();
        assert_eq!(error.kind(), Kind::Refused, "{error}");
        assert!(error.to_string().contains("another run is at work"), "{error}");
    })
    .await;
    assert!(!first.clean().was_resumed);
    trial::assert_same_rows(&source, &target, "shop").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_goes_on_compresses_values_as_its_job_was_begun() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    let wide = "CREATE TABLE wide (t text); INSERT INTO wide VALUES (repeat('x', 9999))";
    trial::make_database(&source, "shop", wide).await;
    let plain = request(&source, &target, &["shop"]);
    let by = |method| Request {
        toast_compression: Some(method),
        ..request(&source, &target, &["shop"])
    };
    let known = "SELECT 'lz4' = ANY (enumvals) FROM pg_settings
                 WHERE name = 'default_toast_compression'";
    if trial::ask(&target, "postgres", &format!("SELECT ({known})::text")).await == "false" {
        let refused = trial::run(&by(ToastCompression::Lz4)).await;
        assert_eq!(refused.error().kind(), Kind::Refused, "{}", refused.error());
        return;
    }
    let cut = trial::interrupt(&by(ToastCompression::Lz4), finished(Phase::Definitions, 1)).await;
    assert_eq!(cut.error().kind(), Kind::Interrupted, "{}", cut.error());
    let other = trial::run(&by(ToastCompression::Pglz)).await;
    let error = other.error().to_string();
    assert_eq!(other.error().kind(), Kind::Refused, "{error}");
    assert!(error.contains("--toast-compression lz4"), "{error}");
    trial::run(&plain).await.clean();
    let method = "SELECT pg_column_compression(t) FROM public.wide";
    assert_eq!(trial::ask(&target, "shop", method).await, "lz4");
}
