//! Ledgers that are damaged, another version's, or of a target in use; and what others wrote, which
//! no run destroys.

use std::time::Duration;

use pgconvoy::commands::{self, Beginning, Event, Finding, Phase, Request, Severity, finish};
use pgconvoy::engine::{Claim, Ledger};
use pgconvoy::error::Kind;
use pgconvoy::servers::{Cluster, Spec};

use crate::kit;
use crate::migration::request;
use crate::trial::{self, Watched};

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
    let run = Box::pin(trial::run(request)).await;
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

fn beginning(request: &Request, beginning: Beginning) -> Request {
    Request { beginning, ..request.clone() }
}

/// Fails unless `check` and `migrate` both refuse, with these words.
async fn assert_foretold(request: &Request, words: &[&str]) {
    let checked = Box::pin(commands::check(request)).await.unwrap();
    let [checked] = &checked[..] else { panic!() };
    let refusals = checked.findings.iter().filter(|f| f.severity == Severity::Refusal);
    let text: Vec<String> = refusals.map(ToString::to_string).collect();
    let text = text.concat();
    for word in words {
        assert!(text.contains(word), "{word}: {text}");
    }
    Box::pin(assert_refused(request, words)).await;
}

fn drops(run: &Watched) -> usize {
    run.notes().matches("dropping database shop").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_forgets_an_open_job_and_a_finished_one_and_drops_once() {
    let (source, target, request) = shop(kit::rds_like(15).await).await;
    let restart = beginning(&request, Beginning::Restart);
    cut_off_after(&request, 1).await;
    trial::change(&source, "shop", "ALTER TABLE items ADD COLUMN price int").await;
    assert_refused(&request, &["TABLE public.items", "--restart"]).await;

    // The database is dropped once, however often the run has to begin again.
    let killer = target.superuser_session("postgres").await.unwrap();
    let lasting = Request { patience: Duration::from_secs(60), ..restart.clone() };
    let first_rows =
        |event: &Event| matches!(event, Event::StepFinished { phase: Phase::Data, .. });
    let run = trial::harm(&lasting, first_rows, || async {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shop'";
        killer.query("ending all sessions", end, &[]).await.unwrap();
    })
    .await;
    assert!(run.clean().restarts > 0);
    assert_eq!(drops(&run), 1, "{}", run.notes());
    trial::assert_same_rows(&source, &target, "shop").await;

    // The finished job has given the database and its tables to their owner.
    assert_foretold(&restart, &["belongs to shop", "GRANT \"shop\" TO \"master\";"]).await;
    kit::run(&target.conninfo("postgres"), "GRANT \"shop\" TO \"master\"").await;
    let run = trial::run(&restart).await;
    assert!(!run.clean().was_resumed && !run.clean().was_finished);
    assert!(run.notes().contains("a job from database shop, finished at"), "{}", run.notes());
    assert_eq!(drops(&run), 1);
    trial::assert_same_rows(&source, &target, "shop").await;
    assert!(trial::run(&request).await.clean().was_finished);
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_of_a_job_that_is_given_up_get_their_passwords_from_the_next_one() {
    let (source, target, request) = shop(kit::bundled(15).await).await;
    let request = Request { carry_passwords: true, ..request };
    cut_off_after(&request, 1).await;
    let verifier = "SELECT coalesce(rolpassword, 'none') FROM pg_authid WHERE rolname = 'shop'";
    assert_eq!(trial::ask(&target, "postgres", verifier).await, "none");
    trial::run(&beginning(&request, Beginning::Restart)).await.clean();
    let theirs = trial::ask(&source, "postgres", verifier).await;
    assert_eq!(trial::ask(&target, "postgres", verifier).await, theirs);
    // A finished job's roles have theirs, which somebody may have changed since.
    trial::change(&target, "postgres", "ALTER ROLE shop PASSWORD 'of theirs'").await;
    let changed = trial::ask(&target, "postgres", verifier).await;
    trial::run(&beginning(&request, Beginning::Restart)).await.clean();
    assert_eq!(trial::ask(&target, "postgres", verifier).await, changed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_destroys_nothing_that_others_wrote_or_use() {
    let (source, target, request) = shop(kit::bundled(15).await).await;
    let restart = beginning(&request, Beginning::Restart);
    cut_off_after(&request, 1).await;
    for (theirs, undone, named) in [
        ("CREATE TABLE invoices (id int)", "DROP TABLE invoices", "TABLE public.invoices"),
        ("INSERT INTO items VALUES (1, 'theirs')", "DELETE FROM items", "public.items"),
        (
            "INSERT INTO orders VALUES (-1, 'theirs')",
            "DELETE FROM orders WHERE id = -1",
            "public.orders",
        ),
        ("SELECT lo_from_bytea(77, 'theirs')", "SELECT lo_unlink(77)", "large objects"),
    ] {
        trial::change(&target, "shop", theirs).await;
        assert_foretold(&restart, &[named, "hasn't written", "DROP DATABASE \"shop\";"]).await;
        trial::change(&target, "shop", undone).await;
    }
    let other_run = kit::session(&target.conninfo("shop")).await;
    Claim::take(&other_run, None).await.unwrap();
    assert_foretold(&restart, &["another run is at work on it"]).await;
    other_run.close().await;
    let stranger = kit::session(&target.conninfo("shop")).await;
    let pid = stranger.process_id().to_string();
    assert_foretold(&restart, &["others are connected", &pid]).await;
    stranger.close().await;
    let dropping =
        |event: &Event| matches!(event, Event::Note(text) if text.contains("dropping database"));
    let cut_off = trial::interrupt(&restart, dropping).await;
    assert_eq!(cut_off.error().kind(), Kind::Interrupted, "{}", cut_off.error());
    assert!(!trial::run(&restart).await.clean().was_resumed);
    trial::assert_same_rows(&source, &target, "shop").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clean_makes_room_where_nobody_is_and_goes_on_with_its_own_job() {
    let (source, target, request) = shop(kit::bundled(15).await).await;
    let clean = beginning(&request, Beginning::Clean);
    trial::make_database(&target, "shop", "CREATE TABLE theirs (id int)").await;
    assert_foretold(&request, &["table public.theirs", "--clean"]).await;
    assert_foretold(&beginning(&request, Beginning::Restart), &["isn't empty"]).await;
    let stranger = kit::session(&target.conninfo("shop")).await;
    assert_foretold(&clean, &["others are connected"]).await;
    stranger.close().await;
    let checked = Box::pin(commands::check(&clean)).await.unwrap();
    let [checked] = &checked[..] else { panic!() };
    assert!(!checked.is_refused(false), "{checked:?}");
    let foretells = |f: &Finding| f.what.contains("is dropped") && f.what.contains("public.theirs");
    assert!(checked.findings.iter().any(foretells), "{checked:?}");

    let enough = |event: &Event| matches!(event, Event::StepFinished { phase: Phase::Data, .. });
    let first = trial::interrupt(&clean, enough).await;
    assert_eq!(first.error().kind(), Kind::Interrupted, "{}", first.error());
    assert_eq!(drops(&first), 1);
    let second = trial::run(&clean).await;
    assert!(second.clean().was_resumed);
    assert_eq!(drops(&second), 0);
    trial::assert_same_rows(&source, &target, "shop").await;
    assert!(trial::run(&clean).await.clean().was_finished);

    // A ledger that can't be read, and one of another source.
    let harm = "UPDATE pgconvoy.step SET body = body || ' ' WHERE id = 3";
    trial::change(&target, "shop", harm).await;
    assert_foretold(&beginning(&request, Beginning::Restart), &["damaged", "--clean"]).await;
    assert_eq!(drops(&trial::run(&clean).await), 1);
    let other = kit::start(Spec::bundled().major(15).encoding("UTF8", "C")).await;
    trial::make_database(&other, "shop", "CREATE TABLE orders (id int)").await;
    let from_other = crate::migration::request(&other, &target, &["shop"]);
    assert_foretold(&from_other, &["another database", "--restart"]).await;
    let run = trial::run(&beginning(&from_other, Beginning::Clean)).await;
    assert_eq!((drops(&run), run.clean().was_resumed), (1, false));

    finish(&request.target.with_database("shop"), false).await.unwrap();
    for how in [Beginning::GoOn, Beginning::Restart, Beginning::Clean] {
        assert_foretold(&beginning(&from_other, how), &["in use since"]).await;
        assert_foretold(&beginning(&request, how), &["in use since"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_target_user_lacks_for_clean_is_foretold() {
    let (_source, target, request) = shop(kit::rds_like(15).await).await;
    let clean = beginning(&request, Beginning::Clean);
    trial::make_database(&target, "shop", "CREATE TABLE theirs (id int)").await;
    trial::change(&target, "postgres", "ALTER ROLE master NOCREATEDB").await;
    assert_foretold(
        &clean,
        &["belongs to shop", "GRANT \"shop\" TO \"master\";", "ALTER ROLE \"master\" CREATEDB;"],
    )
    .await;
    trial::change(&target, "postgres", "ALTER ROLE master CREATEDB; GRANT shop TO master").await;
    let closing = "REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC, master";
    trial::change(&target, "postgres", closing).await;
    assert_foretold(&clean, &["permission denied for database \"postgres\"", "template1"]).await;
    let opening = "GRANT CONNECT ON DATABASE postgres TO PUBLIC";
    trial::change(&target, "postgres", opening).await;
    assert_eq!(drops(&trial::run(&clean).await), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_replaces_no_large_objects_that_others_changed() {
    let (source, target, request) = shop(kit::rds_like(15).await).await;
    trial::change(&source, "shop", "SET ROLE shop; SELECT lo_from_bytea(77, 'one')").await;
    let three = Request { jobs: Some(3), ..request.clone() };
    let objects_there = |event: &Event| match event {
        Event::StepFinished { phase: Phase::Data, title, .. } => title.contains("large objects"),
        _ => false,
    };
    let first = trial::interrupt_without(&source, "orders", &three, objects_there).await;
    assert_eq!(first.error().kind(), Kind::Interrupted, "{}", first.error());
    trial::change(&source, "shop", "SELECT lo_put(77, 0, 'two')").await;
    trial::change(&target, "shop", "SELECT lo_put(77, 0, 'own')").await;
    assert_refused(&request, &["the large objects", "changed since by others"]).await;
    let object = "SELECT encode(lo_get(77), 'escape')";
    assert_eq!(trial::ask(&target, "shop", object).await, "own");
    trial::change(&target, "shop", "SELECT lo_put(77, 0, 'one')").await;
    assert!(trial::run(&request).await.clean().was_resumed);
    assert_eq!(trial::ask(&target, "shop", object).await, "two");
}
