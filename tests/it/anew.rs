//! Ledgers that are damaged, another version's, or of a target in use; and what others wrote, which
//! no run destroys.

use pgconvoy::commands::{self, Event, Phase, Request, finish};
use pgconvoy::engine::Ledger;
use pgconvoy::error::Kind;
use pgconvoy::servers::Cluster;

use crate::migration::request;
use crate::{kit, trial};

const SHOP: &str = "
    CREATE TABLE orders (id bigint PRIMARY KEY, note text);
    INSERT INTO orders SELECT i, repeat(md5(i::text), 60) FROM generate_series(1, 20000) i;
    CREATE TABLE items (id int PRIMARY KEY, note text);
    INSERT INTO items SELECT i, 'i' || i FROM generate_series(1, 300) i;
    CREATE TABLE empty (id int);
    CREATE UNLOGGED TABLE baskets (id int PRIMARY KEY);
    INSERT INTO baskets SELECT generate_series(1, 30);
    CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM orders;
";

/// The shop on a bundled 15, an empty target, and the request to move it with one worker.
async fn shop(target: Cluster) -> (Cluster, Cluster, Request) {
    let source = kit::bundled(15).await;
    trial::make_database(&source, "shop", SHOP).await;
    let request = Request { jobs: Some(1), ..request(&source, &target, &["shop"]) };
    (source, target, request)
}

/// Fails unless the run is refused with these words.
async fn assert_refused(request: &Request, words: &[&str]) {
    let run = trial::run(request).await;
    let error = run.error();
    assert_eq!(error.kind(), Kind::Refused, "{error}");
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_anywhere_in_a_ledger_is_found_and_named() {
    let (_source, target, request) = shop(kit::bundled(15).await).await;
    trial::run(&request).await.clean();
    let session = kit::session(&target.superuser_conninfo("shop")).await;
    let ledger = Ledger::of(&session);
    assert!(ledger.read().await.unwrap().is_some());
    let texts = [
        ("job", "body", "the job isn't"),
        ("job", "tool", "the job isn't"),
        ("job", "report", "the finished job's report"),
        ("step", "phase", "step 3 "),
        ("step", "title", "step 3 "),
        ("step", "body", "step 3 "),
        ("receipt", "fingerprint", "the receipt of step 3,"),
    ];
    let numbers = [
        ("step", "parts", "step 3 "),
        ("step", "cost", "step 3 "),
        ("step", "id", "of the plan"),
        ("receipt", "rows", "the receipt of step 3,"),
        ("receipt", "bytes", "the receipt of step 3,"),
        ("receipt", "crc32", "the receipt of step 3,"),
        ("receipt", "part", "the receipt of step 3,"),
    ];
    let mut flips = Vec::new();
    for (table, column, named) in texts {
        for (place, bit) in [("1", 1), ("length(x) / 2", 2), ("length(x)", 4)] {
            let place = place.replace('x', column);
            let flipped = format!(
                "overlay({column} placing chr(ascii(substr({column}, {place}, 1)) # {bit}) \
                 from {place})"
            );
            flips.push((table, column, flipped, named));
        }
    }
    for (table, column, named) in numbers {
        for bit in [1 << 20, 1 << 21] {
            flips.push((table, column, format!("{column} # {bit}"), named));
        }
    }
    for (table, column, flipped, named) in flips {
        let only = match table {
            "job" => "true",
            "step" => "id = 3",
            _ => "step = 3",
        };
        let flip = format!("BEGIN; UPDATE pgconvoy.{table} SET {column} = {flipped} WHERE {only}");
        session.execute("flipping a bit", &flip).await.unwrap();
        let read = ledger.read().await;
        session.execute("flipping it back", "ROLLBACK").await.unwrap();
        let error = read.err().unwrap_or_else(|| panic!("{flip}: it isn't noticed"));
        assert_eq!(error.kind(), Kind::Refused, "{error}");
        assert!(error.to_string().contains(named), "{flip}: {error}");
        assert!(error.hint_text().unwrap().contains("--clean"), "{error}");
    }
    for gone in [
        "DELETE FROM pgconvoy.step WHERE id = 3",
        "DELETE FROM pgconvoy.step \
         WHERE id = (SELECT max(id) FROM pgconvoy.step)",
    ] {
        session.execute("losing a step", &format!("BEGIN; {gone}")).await.unwrap();
        let read = ledger.read().await;
        session.execute("finding it again", "ROLLBACK").await.unwrap();
        assert!(read.unwrap_err().to_string().contains("the plan"), "{gone}");
    }
    let older = "UPDATE pgconvoy.job SET format = 1, tool = '0.0.9'";
    session.execute("growing older", older).await.unwrap();
    assert_refused(&request, &["format 1", "0.0.9", "--clean"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_in_use_is_touched_by_no_run() {
    let (source, target, request) = shop(kit::rds_like(15).await).await;
    let place = request.target.with_database("shop");
    let mut finished = 0;
    let midway = |event: &Event| {
        finished += usize::from(matches!(event, Event::StepFinished { .. }));
        finished > 3
    };
    let first = trial::interrupt(&request, midway).await;
    assert_eq!(first.error().kind(), Kind::Interrupted, "{}", first.error());
    for drop_ledger in [false, true] {
        let open = finish(&place, drop_ledger).await.unwrap_err();
        assert_eq!(open.kind(), Kind::Refused, "{open}");
    }
    trial::run(&request).await.clean();

    let status = commands::status(&place).await.unwrap();
    let job = status.job.unwrap();
    assert_eq!((job.begun_again, job.cut_over_at), (1, None));
    assert_eq!(status.ending.unwrap().tables, 4);
    let recorded = finish(&place, false).await.unwrap();
    assert!(!recorded.was_recorded);
    let at = recorded.cut_over_at.unwrap();
    let again = finish(&place, false).await.unwrap();
    assert_eq!((again.was_recorded, again.cut_over_at.as_deref()), (true, Some(at.as_str())));
    let status = commands::status(&place).await.unwrap();
    assert_eq!(status.job.unwrap().cut_over_at, Some(at.clone()));
    trial::change(&target, "shop", "DELETE FROM items").await;
    assert_refused(&request, &["in use since", &at]).await;
    assert_eq!(trial::ask(&target, "shop", "SELECT count(*)::text FROM public.items").await, "0");

    let stranger = "CREATE TABLE pgconvoy.mine (n int)";
    trial::change(&target, "shop", stranger).await;
    let stopped = finish(&place, true).await.unwrap_err();
    assert!(stopped.to_string().contains("pgconvoy"), "{stopped}");
    trial::change(&target, "shop", "DROP TABLE pgconvoy.mine").await;
    assert!(finish(&place, true).await.unwrap().ledger_dropped);
    assert_refused(&request, &["isn't empty"]).await;
    let none = finish(&place, false).await.unwrap_err();
    assert!(none.to_string().contains("no ledger"), "{none}");
    drop(source);
}

/// Runs until `count` steps of the data phase are done, and is cut off there.
async fn cut_off_after(request: &Request, count: usize) {
    let mut seen = 0;
    let enough = |event: &Event| {
        seen += usize::from(matches!(event, Event::StepFinished { phase: Phase::Data, .. }));
        seen >= count
    };
    let first = trial::interrupt(request, enough).await;
    assert_eq!(first.error().kind(), Kind::Interrupted, "{}", first.error());
}

async fn assert_moved(source: &Cluster, target: &Cluster, request: &Request) {
    assert!(trial::run(request).await.clean().was_resumed);
    trial::assert_same_rows(source, target, "shop").await;
}

const ITEMS: &str = "SELECT string_agg(i::text, ' ' ORDER BY id) FROM public.items i WHERE id < 3";

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_keeps_rows_that_others_wrote_into_a_table_that_is_still_to_come() {
    let (source, target, request) = shop(kit::rds_like(15).await).await;
    cut_off_after(&request, 1).await;
    trial::change(&target, "shop", "INSERT INTO items VALUES (1, 'theirs')").await;
    assert_refused(&request, &["public.items", "holds rows that the job hasn't copied"]).await;
    assert_eq!(trial::ask(&target, "shop", ITEMS).await, "(1,theirs)");
    trial::change(&target, "shop", "DELETE FROM items").await;
    assert_moved(&source, &target, &request).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_empties_no_table_that_others_changed_or_may_be_changing() {
    let (source, target, request) = shop(kit::rds_like(15).await).await;
    let three = Request { jobs: Some(3), ..request.clone() };
    let small_ones_there = |event: &Event| match event {
        Event::StepFinished { phase: Phase::Data, title, .. } => title.contains("tables from"),
        _ => false,
    };
    let first = trial::interrupt_without(&source, "orders", &three, small_ones_there).await;
    assert_eq!(first.error().kind(), Kind::Interrupted, "{}", first.error());
    trial::change(&target, "shop", "UPDATE items SET note = 'theirs' WHERE id = 1").await;
    trial::change(&source, "shop", "UPDATE items SET note = 'changed' WHERE id = 2").await;
    assert_refused(&request, &["public.items", "changed since by others"]).await;
    assert_eq!(trial::ask(&target, "shop", ITEMS).await, "(1,theirs) (2,i2)");

    // As it was: now it may be emptied, unless somebody is there who might write into it.
    trial::change(&target, "shop", "UPDATE items SET note = 'i1' WHERE id = 1").await;
    let stranger = kit::session(&target.conninfo("shop")).await;
    stranger.execute("showing oneself", "SET application_name = 'billing'").await.unwrap();
    let pid = stranger.process_id().to_string();
    assert_refused(&request, &["emptied", "billing", &pid, "pg_terminate_backend"]).await;
    stranger.close().await;
    assert_moved(&source, &target, &request).await;
    assert_eq!(trial::ask(&target, "shop", ITEMS).await, "(1,i1) (2,changed)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_that_destroys_nothing_only_names_who_else_is_connected() {
    let (source, target, request) = shop(kit::rds_like(15).await).await;
    cut_off_after(&request, 1).await;
    let stranger = kit::session(&target.conninfo("shop")).await;
    stranger.execute("showing oneself", "SET application_name = 'billing'").await.unwrap();
    let second = trial::run(&request).await;
    assert!(second.clean().was_resumed);
    assert!(second.notes().contains("application billing"), "{}", second.notes());
    trial::assert_same_rows(&source, &target, "shop").await;
}
