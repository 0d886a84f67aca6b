//! Going over to the copy: the source is fenced, so that nothing is written to it that the copy
//! lacks, and whatever becomes of the run, the service can be let in again.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pgconvoy::commands::{self, Beginning, Event, Phase, Request, SourceSince};
use pgconvoy::error::{Error, Kind};
use pgconvoy::servers::{Cluster, StopMode};
use pgconvoy::wire::{Conninfo, Environment};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::migration::request;
use crate::resuming::{finished, started};
use crate::{kit, pg_dump, trial};

const SHOP: &str = "
    CREATE TABLE orders (id bigserial PRIMARY KEY, note text);
    INSERT INTO orders (note) SELECT repeat(md5(i::text), 60) FROM generate_series(1, 20000) i;
    CREATE TABLE items (id bigint PRIMARY KEY, note text);
    INSERT INTO items SELECT i, repeat(md5(i::text), 60) FROM generate_series(1, 2500) i;
    CREATE TABLE lines (id int PRIMARY KEY, orders_id bigint REFERENCES orders);
    INSERT INTO lines SELECT i, i FROM generate_series(1, 100) i;
    CREATE TABLE visits (day int) PARTITION BY LIST (day);
    CREATE TABLE visits_1 PARTITION OF visits FOR VALUES IN (1);
    INSERT INTO visits SELECT 1 FROM generate_series(1, 50);
";

/// A shop whose service logs in as `shop`, and the request that fences it.
async fn shop(major: u32) -> (Cluster, Cluster, Request) {
    let (source, target) = tokio::join!(kit::bundled(major), kit::rds_like(major));
    trial::make_database(&source, "shop", SHOP).await;
    let request = request(&source, &target, &["shop"]);
    (source, target, Request { jobs: Some(1), fence: vec!["shop".to_owned()], ..request })
}

/// What the service's users do, as long as it runs: whatever is refused is tried again.
struct Service {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Vec<i64>>,
}

impl Service {
    fn start(source: &Cluster) -> Service {
        let conninfo = source.conninfo_as("shop", "of shop", "shop");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut committed = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let Ok(session) = kit::connect(&conninfo).await else {
                    sleep(Duration::from_millis(20)).await;
                    continue;
                };
                let order = "INSERT INTO public.orders (note) VALUES ('ordered') RETURNING id";
                while let Ok(row) = session.query_one("ordering", order, &[]).await {
                    committed.push(row.get(0));
                }
            }
            committed
        });
        Service { stop, task }
    }

    /// The orders that it was told are committed.
    async fn end(self) -> Vec<i64> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

/// Every run comes by that, those too whose rows are copied already; the fence stands by then.
fn planned(event: &Event) -> bool {
    matches!(event, Event::Planned { .. })
}

/// A table of the shop whose check, which comes with the triggers, isn't added as long as role
/// `held_up` is on the target, which is there from now on; for a minute at most.
async fn hold_up_on(target: &Cluster, source: &Cluster) {
    let held = "CREATE FUNCTION waited(int) RETURNS boolean LANGUAGE plpgsql AS $$
                BEGIN
                    FOR i IN 1..600 LOOP
                        EXIT WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_roles
                                              WHERE rolname = 'held_up');
                        PERFORM pg_catalog.pg_sleep(0.1);
                    END LOOP;
                    RETURN true;
                END $$;
                CREATE TABLE held (n int CHECK (public.waited(n)));
                INSERT INTO held VALUES (1)";
    trial::change(source, "shop", held).await;
    trial::change(target, "postgres", "CREATE ROLE held_up").await;
}

async fn may_log_in(cluster: &Cluster, role: &str) -> bool {
    let sql = format!("SELECT rolcanlogin::text FROM pg_roles WHERE rolname = '{role}'");
    trial::ask(cluster, "postgres", &sql).await == "true"
}

async fn fences(cluster: &Cluster) -> String {
    let sql = "SELECT count(*)::text FROM pg_roles WHERE rolname = 'pgconvoy_fenced'";
    trial::ask(cluster, "postgres", sql).await
}

async fn unfenced(source: &Cluster) -> Vec<String> {
    let source = Conninfo::parse(&source.conninfo("postgres"), &Environment::default()).unwrap();
    commands::unfence(&source).await.unwrap().roles
}

fn refused<const N: usize>(error: &Error, words: [&str; N]) {
    let text = error.to_string();
    assert_eq!(error.kind(), Kind::Refused, "{text}");
    for word in words {
        assert!(text.contains(word), "{word}: {text}");
    }
}

async fn nothing_that_a_service_committed_is_lost(major: u32) {
    let (source, target, request) = shop(major).await;
    trial::change(
        &source,
        "shop",
        "CREATE ROLE clerk NOLOGIN; GRANT SELECT ON items TO clerk;
         SELECT lo_from_bytea(0, 'a picture')",
    )
    .await;
    let before = pg_dump::schema(&source, "shop");
    let service = Service::start(&source);
    let run = trial::run(&request).await;
    let report = run.clean();
    assert_eq!(report.fence.as_ref().unwrap().roles, ["shop"]);
    assert_eq!(report.source_since, Some(SourceSince::Unchanged), "{}", run.notes());
    assert!(!run.notes().contains("others stay connected"), "{}", run.notes());
    let committed = service.end().await;
    assert!(!committed.is_empty());
    trial::assert_same_rows(&source, &target, "shop").await;
    let last = format!(
        "SELECT count(*)::text FROM public.orders WHERE id = {}",
        committed.last().unwrap()
    );
    assert_eq!(trial::ask(&target, "shop", &last).await, "1");
    // It may log in there, and no more here; nothing of the fence has moved.
    assert!(may_log_in(&target, "shop").await && !may_log_in(&source, "shop").await);
    assert_eq!(fences(&target).await, "0");
    if major >= 15 {
        pg_dump::assert_equal(&before, &pg_dump::schema(&target, "shop"), "shop");
    }

    // The copy is as final as it was, as long as the fence stands.
    assert!(trial::run(&request).await.clean().was_finished);
    assert_eq!(unfenced(&source).await, ["shop"]);
    assert!(may_log_in(&source, "shop").await && !may_log_in(&source, "clerk").await);
    assert_eq!((fences(&source).await, unfenced(&source).await), ("0".to_owned(), Vec::new()));

    // Without it that is proven anew, by reading the rows again; what was written since is named.
    let again = trial::run(&request).await;
    assert!(again.clean().was_resumed && !again.clean().was_finished);
    assert_ne!(again.clean().fence, report.fence);
    assert!(trial::run(&request).await.clean().was_finished);
    assert_eq!(unfenced(&source).await, ["shop"]);
    trial::change(&source, "shop", "INSERT INTO items VALUES (99999, 'late')").await;
    let late = ["written to since its rows were copied (public.items)", "--restart"];
    refused(trial::run(&request).await.error(), late);
    assert!(may_log_in(&source, "shop").await, "what is refused changes nothing");
    let options = if major >= 16 { " WITH INHERIT TRUE" } else { "" };
    trial::change(&target, "postgres", &format!("GRANT shop TO master{options}")).await;
    let anew = Request { beginning: Beginning::Restart, ..request };
    let run = trial::run(&anew).await;
    assert_eq!(run.clean().source_since, Some(SourceSince::Unchanged));
    trial::assert_same_rows(&source, &target, "shop").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_service_committed_on_12_is_lost_behind_the_fence() {
    nothing_that_a_service_committed_is_lost(12).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_service_committed_on_16_is_lost_behind_the_fence() {
    nothing_that_a_service_committed_is_lost(16).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_isn_t_named_waits_with_his_writes_and_is_told_of() {
    let (source, target, request) = shop(15).await;
    hold_up_on(&target, &source).await;
    let sql = "CREATE SUBSCRIPTION feed CONNECTION 'host=/nowhere dbname=x' PUBLICATION p
                   WITH (connect = false);
               ALTER SUBSCRIPTION feed ENABLE";
    trial::change(&source, "shop", sql).await;
    let other = source.superuser_session("shop").await.unwrap();
    let write = "SET lock_timeout = '100ms'; INSERT INTO public.visits VALUES (1)";
    let mut waited = None;
    let run = trial::harm(&request, started(Phase::Data), || async {
        waited = Some(other.execute("writing", write).await.unwrap_err());
        trial::change(&target, "postgres", "DROP ROLE held_up").await;
    })
    .await;
    run.ended.as_ref().unwrap();
    assert_eq!(waited.unwrap().server_error().unwrap().sqlstate, "55P03");
    let notes = run.notes();
    assert!(notes.contains("subscriptions write to database shop of the source: feed"), "{notes}");
    assert!(notes.contains("others stay connected to database shop"), "{notes}");
    trial::assert_same_rows(&source, &target, "shop").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_stopped_lifts_its_fence_and_the_next_one_takes_in_what_was_written() {
    let (source, target, request) = shop(15).await;
    for when in [started(Phase::Data), started(Phase::Indexes)] {
        let cut = trial::interrupt(&request, when).await;
        assert_eq!(cut.error().kind(), Kind::Interrupted, "{}", cut.error());
        assert!(cut.notes().contains("lifted: shop may log in again"), "{}", cut.notes());
        assert!(may_log_in(&source, "shop").await);
        assert_eq!(fences(&source).await, "0");
        trial::change(&source, "shop", "INSERT INTO items SELECT max(id) + 1, 'new' FROM items")
            .await;
    }
    trial::run(&request).await.clean();
    trial::assert_same_rows(&source, &target, "shop").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_after_foreign_keys_stand_can_t_be_taken_in_and_is_named() {
    let (source, _target, request) = shop(15).await;
    let cut = trial::interrupt(&request, finished(Phase::ForeignKeys, 1)).await;
    assert_eq!(cut.error().kind(), Kind::Interrupted, "{}", cut.error());
    trial::change(&source, "shop", "INSERT INTO items VALUES (99999, 'new')").await;
    let late = trial::run(&request).await;
    refused(late.error(), ["public.items", "--restart"]);
    assert!(may_log_in(&source, "shop").await, "a run that fails lifts its fence");
}

/// Starts a fenced run, and waits until it copies rows.
fn until_it_copies(mut program: Command, source: &Cluster, target: &Cluster, roles: &str) -> Child {
    let mut child = program
        .args(["migrate", "--json", "-j", "1", "--database", "shop", "--fence", roles, "--source"])
        .arg(source.conninfo("postgres"))
        .arg("--target")
        .arg(target.conninfo("postgres"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !(line.contains("step_finished") && line.contains("\"data\"")) {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "it never copied");
    }
    child.stdout = Some(said.into_inner());
    child
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_that_closes_has_the_fence_lifted_unless_the_run_is_to_outlive_it() {
    let (source, target, _) = shop(15).await;
    hold_up_on(&target, &source).await;
    let hang_up = |child: &Child| {
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    };
    let program = env!("CARGO_BIN_EXE_pgconvoy");
    let mut child = until_it_copies(Command::new(program), &source, &target, "shop");
    // Nobody reads any more, and both the shell and the system say so.
    drop(child.stdout.take());
    hang_up(&child);
    hang_up(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(may_log_in(&source, "shop").await);

    let mut nohup = Command::new("nohup");
    nohup.arg(program);
    let mut child = until_it_copies(nohup, &source, &target, "shop");
    hang_up(&child);
    trial::change(&target, "postgres", "DROP ROLE held_up").await;
    assert_eq!(child.wait().unwrap().code(), Some(0));
    trial::assert_same_rows(&source, &target, "shop").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_leaves_what_unfence_mends() {
    let (source, target, request) = shop(15).await;
    trial::change(&source, "shop", "CREATE ROLE worker LOGIN").await;
    let program = env!("CARGO_BIN_EXE_pgconvoy");
    let mut child = until_it_copies(Command::new(program), &source, &target, "shop,worker");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!may_log_in(&source, "shop").await && !may_log_in(&source, "worker").await);

    // A run that fails leaves the fence of another one alone.
    let again = Request { fence: vec!["shop".into(), "worker".into()], ..request };
    let cut = trial::interrupt(&again, |event| matches!(event, Event::Planned { .. })).await;
    let notes = cut.notes();
    assert!(notes.contains("an earlier run still stands on the source and keeps out shop, worker"));
    assert!(!notes.contains("may log in again"), "{notes}");
    assert_eq!(unfenced(&source).await, ["shop", "worker"]);
    assert!(may_log_in(&source, "shop").await && may_log_in(&source, "worker").await);
    trial::run(&again).await.clean();
    trial::assert_same_rows(&source, &target, "shop").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_whose_locks_are_gone_or_that_was_lifted_ends_the_run() {
    let (source, target, request) = shop(15).await;
    hold_up_on(&target, &source).await;
    let end_locks = "SELECT pg_terminate_backend(pid) FROM pg_locks
                     WHERE mode = 'ShareLock' AND locktype = 'relation'";
    let let_in = "ALTER ROLE shop LOGIN";
    for (harm, words) in [
        (end_locks, "held its locks is gone"),
        ("", "somebody has lifted it"),
        (let_in, "somebody has let shop log in again"),
    ] {
        let run = trial::harm(&request, planned, || async {
            match harm {
                "" => drop(unfenced(&source).await),
                harm => trial::change(&source, "shop", harm).await,
            }
        })
        .await;
        let error = run.error().to_string();
        assert_eq!(run.error().kind(), Kind::Step, "{error}");
        assert!(error.contains("the fence is broken") && error.contains(words), "{error}");
        // It was found out while the run was held up, not in the end.
        let past = |event: &Event| matches!(event, Event::StepFinished { title, .. } if title == "triggers");
        assert!(!run.events.iter().any(past), "{:?}", run.events);
        assert!(may_log_in(&source, "shop").await);
    }
    let let_go = "DROP ROLE held_up";
    trial::change(&target, "postgres", let_go).await;
    source.restart(StopMode::Fast).await.unwrap();
    trial::run(&request).await.clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_that_can_t_be_fenced_are_refused_with_the_reason() {
    let (source, _target, request) = shop(15).await;
    let sql = "CREATE ROLE staff NOLOGIN; CREATE ROLE ann LOGIN; GRANT staff TO ann;
               CREATE ROLE nobody NOLOGIN";
    trial::change(&source, "shop", sql).await;
    let fencing = |names: &[&str]| Request {
        fence: names.iter().map(ToString::to_string).collect(),
        ..request.clone()
    };
    // A server would cut a longer name to one that is there.
    let cut = "a".repeat(63);
    trial::change(&source, "shop", &format!("CREATE ROLE {cut} LOGIN")).await;
    let long = cut + "bc";
    let run = trial::run(&fencing(&["shop", "postgres", "staff", "nobody", "ghost", &long])).await;
    refused(
        run.error(),
        [
            "role postgres: is the one that pgconvoy itself",
            "role staff: can't log in anyway",
            "name the roles that log in: ann",
            "role nobody: can't log in anyway",
            "role ghost: isn't there",
            "aabc: isn't there",
            "checking before the start",
        ],
    );
    assert!(may_log_in(&source, "shop").await);
    assert_eq!(fences(&source).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_who_doesn_t_end_and_a_prepared_transaction_stop_the_fence() {
    let spec = pgconvoy::servers::Spec::bundled().major(15);
    let (source, target) =
        tokio::join!(kit::start(spec.setting("max_prepared_transactions", "5")), kit::bundled(15));
    trial::make_database(&source, "shop", SHOP).await;
    let request = request(&source, &target, &["shop"]);
    let request = Request { fence: vec!["shop".into()], ..request };
    let prepare = "BEGIN; INSERT INTO public.visits VALUES (1); PREPARE TRANSACTION 'half'";
    let session = source.superuser_session("shop").await.unwrap();
    session.execute("preparing", prepare).await.unwrap();
    refused(trial::run(&request).await.error(), ["prepared transactions", "half"]);
    session.execute("giving up", "ROLLBACK PREPARED 'half'").await.unwrap();

    let begin = "BEGIN; INSERT INTO public.visits VALUES (1)";
    session.execute("writing", begin).await.unwrap();
    let run = trial::run(&request).await;
    let error = run.error().to_string();
    assert!(error.contains("public.visits") && error.contains("pg_terminate_backend"), "{error}");
    assert!(may_log_in(&source, "shop").await, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_tables_than_there_is_room_to_lock_are_refused() {
    let few = pgconvoy::servers::Spec::bundled().major(15);
    let few = few.setting("max_locks_per_transaction", "10").setting("max_connections", "20");
    let (source, target) = tokio::join!(kit::start(few), kit::bundled(15));
    let tables = "DO $$ BEGIN FOR i IN 1..60 LOOP
                      EXECUTE format('CREATE TABLE public.%I (n int)', 't' || i);
                  END LOOP; END $$";
    trial::make_database(&source, "shop", tables).await;
    let request = request(&source, &target, &["shop"]);
    let run = trial::run(&Request { fence: vec!["shop".into()], ..request }).await;
    refused(run.error(), ["60 tables can't all be locked", "max_locks_per_transaction"]);
    assert!(may_log_in(&source, "shop").await);
}

/// A user of the source that may read everything, and little else.
async fn with_few_rights(major: u32, grant: &str) {
    let (source, target, fencing) = shop(major).await;
    let sql = "CREATE ROLE mover LOGIN PASSWORD 'm' IN ROLE pg_read_all_data";
    trial::change(&source, "shop", sql).await;
    let mover = source.conninfo_as("mover", "m", "shop");
    let source_as_mover = Conninfo::parse(&mover, &Environment::default()).unwrap();
    let request = Request { source: source_as_mover, ..fencing };
    let run = trial::run(&request).await;
    refused(
        run.error(),
        ["may neither keep it from logging in nor end its sessions", grant, "public.orders"],
    );
    assert!(may_log_in(&source, "shop").await);

    // What it says mends it.
    let mend = format!(
        "{grant} GRANT pg_signal_backend TO mover;
         GRANT UPDATE ON ALL TABLES IN SCHEMA public TO mover"
    );
    trial::change(&source, "shop", &mend).await;
    let service = Service::start(&source);
    let run = trial::run(&request).await;
    assert_eq!(run.clean().fence.as_ref().unwrap().roles, ["shop"]);
    service.end().await;
    trial::assert_same_rows(&source, &target, "shop").await;
    let lifted = commands::unfence(&request.source).await.unwrap();
    assert_eq!(lifted.roles, ["shop"]);
    assert!(may_log_in(&source, "shop").await);
    assert_eq!(fences(&source).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_user_of_15_lacks_is_told_and_enough() {
    with_few_rights(15, "ALTER ROLE \"mover\" CREATEROLE;").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_user_of_18_lacks_is_told_and_enough() {
    let grant = "ALTER ROLE \"mover\" CREATEROLE; GRANT \"shop\" TO \"mover\" WITH ADMIN OPTION;";
    with_few_rights(18, grant).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_restarts_is_waited_for_to_lift_the_fence_it_broke() {
    let (source, target, request) = shop(15).await;
    hold_up_on(&target, &source).await;
    let patient = Request { patience: Duration::from_secs(60), ..request.clone() };
    let run = trial::harm(&patient, planned, || async {
        source.stop(StopMode::Immediate).await.unwrap();
        sleep(Duration::from_secs(4)).await;
        source.start_again().await.unwrap();
    })
    .await;
    let error = run.error().to_string();
    assert!(error.contains("the fence is broken"), "{error}");
    assert!(run.notes().contains("lifted: shop may log in again"), "{}", run.notes());
    assert!(may_log_in(&source, "shop").await);

    // One that stays away is an error that says what to do.
    let short = Request { patience: Duration::from_secs(1), ..request };
    let run = trial::harm(&short, planned, || async {
        source.stop(StopMode::Immediate).await.unwrap();
    })
    .await;
    let error = run.error().to_string();
    for words in ["still stands", "until `pgconvoy unfence` lets"] {
        assert!(error.contains(words), "{words}: {error}");
    }
    source.start_again().await.unwrap();
    assert!(!may_log_in(&source, "shop").await);
    assert_eq!(unfenced(&source).await, ["shop"]);
}

/// Runs a migration whose fence waits for a writer, after its tables were listed: `sql` comes first.
async fn while_it_waits<F: Future<Output = ()>>(
    source: &Cluster,
    request: &Request,
    sql: &str,
    harm: impl FnOnce() -> F,
) -> trial::Watched {
    let writer = source.superuser_session("shop").await.unwrap();
    writer.execute("writing", "BEGIN; INSERT INTO public.visits VALUES (1)").await.unwrap();
    let meanwhile = async {
        let waiting = "SELECT count(*)::text FROM pg_locks
                       WHERE mode = 'ShareLock' AND locktype = 'relation' AND NOT granted";
        while trial::ask(source, "shop", waiting).await == "0" {
            sleep(Duration::from_millis(20)).await;
        }
        trial::change(source, "shop", sql).await;
        writer.execute("ending", "COMMIT").await.unwrap();
    };
    tokio::join!(trial::harm(request, started(Phase::Data), harm), meanwhile).0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_made_while_the_fence_is_raised_is_locked_too() {
    let (source, target, request) = shop(15).await;
    hold_up_on(&target, &source).await;
    let other = source.superuser_session("shop").await.unwrap();
    let write = "SET lock_timeout = '100ms'; INSERT INTO public.late VALUES (1)";
    let mut waited = None;
    let run = while_it_waits(&source, &request, "CREATE TABLE late (n int)", || async {
        waited = Some(other.execute("writing", write).await);
        trial::change(&target, "postgres", "DROP ROLE held_up").await;
    })
    .await;
    run.clean();
    assert_eq!(waited.unwrap().unwrap_err().server_error().unwrap().sqlstate, "55P03");
    trial::assert_same_rows(&source, &target, "shop").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_t_move_and_is_made_while_the_fence_is_raised_is_refused() {
    let (source, _target, request) = shop(15).await;
    let sql = "CREATE SCHEMA pgconvoy; CREATE TABLE pgconvoy.theirs (n int)";
    let run = while_it_waits(&source, &request, sql, || async {}).await;
    refused(run.error(), ["schema pgconvoy", "theirs"]);
    assert!(may_log_in(&source, "shop").await);
    assert_eq!(fences(&source).await, "0");
}
