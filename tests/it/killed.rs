//! The program killed at once, as `kill -9` does, where it gives itself what it has to take back:
//! a later run lets go of all of it, and is let in until then.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use pgconvoy::servers::Cluster;

use crate::{kit, pg_dump, trial};

/// Owners whom the target user must join, a publication whose owner is lent CREATE on the database,
/// and, last of all, a database that lets in nobody but its owner.
const SHOP: &str = "
    CREATE TABLE public.items (id serial PRIMARY KEY);
    INSERT INTO public.items SELECT FROM generate_series(1, 100);
    CREATE MATERIALIZED VIEW public.totals AS SELECT count(*) FROM public.items;
";
const MORE: &str = "
    CREATE ROLE clerk; CREATE SCHEMA back AUTHORIZATION clerk;
    CREATE TABLE back.orders (id int PRIMARY KEY); ALTER TABLE back.orders OWNER TO clerk;
    INSERT INTO back.orders SELECT generate_series(1, 100);
    CREATE TABLE of_clerk (id int); ALTER TABLE of_clerk OWNER TO clerk;
    CREATE PUBLICATION all_orders FOR TABLE back.orders;
    GRANT CREATE ON DATABASE shop TO clerk; ALTER PUBLICATION all_orders OWNER TO clerk;
    REVOKE CREATE ON DATABASE shop FROM clerk;
    REVOKE ALL ON DATABASE shop FROM PUBLIC;
    ALTER DATABASE shop SET work_mem = '5MB';
";

/// What is lent: the target user's memberships, CREATE on schemas and on the database; and who is
/// still there.
const OURS: &str = "
    SELECT concat_ws(' ', (SELECT string_agg(m.roleid::regrole::text, ',') FROM pg_auth_members m
        WHERE m.member = 'master'::regrole AND m.roleid::regrole::text <> 'rds_superuser'),
      (SELECT string_agg(nspname || nspacl::text, ',') FROM pg_namespace
        WHERE nspacl::text ~ '(clerk|shop)=[^,]*C[^,]*/[^cs]'),
      (SELECT datacl::text FROM pg_database WHERE datname = 'shop'
        AND datacl::text ~ 'clerk='),
      (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'))";

fn start(source: &Cluster, target: &Cluster, command: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_pgconvoy"))
        .args([command, "--json", "-j", "1", "--database", "shop", "--source"])
        .arg(source.conninfo("postgres"))
        .arg("--target")
        .arg(target.conninfo("postgres"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Runs the program, kills it once it says a line that holds all of `words`, and returns whether it
/// was killed.
fn killed_at(source: &Cluster, target: &Cluster, command: &str, words: [&str; 2]) -> bool {
    let mut child = start(source, target, command);
    let said = BufReader::new(child.stdout.take().unwrap());
    for line in said.lines() {
        let line = line.unwrap();
        if words.iter().all(|word| line.contains(word)) {
            child.kill().unwrap();
            child.wait().unwrap();
            return true;
        }
    }
    let ended = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{words:?}: {errors}");
    false
}

/// Kills the program, and its session, when all that is left to do is to seal the ledger.
async fn killed_at_its_seal(source: &Cluster, target: &Cluster) {
    let blocker = target.superuser_session("shop").await.unwrap();
    let lock = "BEGIN; LOCK TABLE pgconvoy.job IN SHARE MODE";
    blocker.execute("holding a run up", lock).await.unwrap();
    let mut child = start(source, target, "migrate");
    let waiting = "FROM pg_catalog.pg_locks WHERE NOT granted \
                   AND relation = 'pgconvoy.job'::pg_catalog.regclass";
    let count = format!("SELECT pg_catalog.count(*) {waiting}");
    while blocker.query_one("waiting", &count, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(child.try_wait().unwrap().is_none(), "it has ended before its seal");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let end = format!("SELECT pg_catalog.pg_terminate_backend(pid) {waiting}");
    blocker.query("ending a session", &end, &[]).await.unwrap();
    blocker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_killed_again_and_again_near_its_end_is_let_in_and_leaves_nothing_of_ours() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::rds_like(15));
    trial::make_database(&source, "shop", SHOP).await;
    trial::change(&source, "shop", MORE).await;
    for words in [["step_finished", "definitions"], ["step_started", "grants"]] {
        assert!(killed_at(&source, &target, "migrate", words), "{words:?} never came");
    }
    // As an administrator may have done meanwhile, or the end of another database's run: the next
    // run joins anew.
    for _ in 0..2 {
        trial::change(&target, "shop", "REVOKE clerk FROM master").await;
        killed_at_its_seal(&source, &target).await;
    }
    assert!(!killed_at(&source, &target, "migrate", ["never"; 2]));
    assert_eq!(trial::ask(&target, "shop", OURS).await, "0");
    trial::assert_same_rows(&source, &target, "shop").await;
    let (ours, theirs) = (pg_dump::schema(&source, "shop"), pg_dump::schema(&target, "shop"));
    pg_dump::assert_equal(&ours, &theirs.replace("master", "postgres"), "shop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_that_is_killed_leaves_nothing_of_ours() {
    let (source, target) = tokio::join!(kit::bundled(16), kit::rds_like(16));
    trial::make_database(&source, "shop", SHOP).await;
    assert!(!killed_at(&source, &target, "migrate", ["never"; 2]));
    assert!(killed_at(&source, &target, "verify", ["reading", "tables"]), "it never read");
    let shops = "SELECT (count(*) FILTER (WHERE m.set_option))::text FROM pg_auth_members m \
                 WHERE m.member = 'master'::regrole AND m.roleid = 'shop'::regrole";
    assert_eq!(trial::ask(&target, "shop", shops).await, "0");
    assert!(!killed_at(&source, &target, "verify", ["never"; 2]));
}
