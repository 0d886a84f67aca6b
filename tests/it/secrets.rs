//! What nobody may see, and what nobody may be made to see: passwords, wherever they stand and whatever
//! fails, and names that would steer a terminal or be more than names in SQL.

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;

use pgconvoy::pg::{quote_ident, quote_literal};
use pgconvoy::servers::{Cluster, Spec};

use crate::kit::impostor::{Ended, run_in};
use crate::{kit, trial};

/// Secrets that the source's catalog holds.
const HELD: [&str; 3] = ["of-the-subscription", "of-the-mapping", "of-the-clerk"];

const SHOP: &str = r#"
    CREATE ROLE clerk LOGIN PASSWORD 'of-the-clerk';
    CREATE TABLE orders (id int PRIMARY KEY, note text);
    INSERT INTO orders SELECT i, 'note ' || i FROM generate_series(1, 1000) i;
    ALTER TABLE orders OWNER TO clerk;
    CREATE FOREIGN DATA WRAPPER w;
    CREATE SERVER elsewhere FOREIGN DATA WRAPPER w;
    CREATE USER MAPPING FOR clerk SERVER elsewhere OPTIONS ("user" 'u', password 'of-the-mapping');
    CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port=1 password=of-the-subscription'
      PUBLICATION p WITH (connect = false)"#;

/// What the source has, and the target not before the job's end.
const FINE: &str = "ALTER DATABASE shop SET trial.is_fine = 'yes'";

/// What fails on the target in a way that ends a job, and quotes the whole statement.
const QUOTING: &str = "
    CREATE FUNCTION quoting(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
      'BEGIN IF pg_catalog.current_setting(''trial.is_fine'', true) IS NULL THEN
       RAISE EXCEPTION ''refused: %'', pg_catalog.current_query() USING ERRCODE = ''42501'';
       END IF; RETURN i; END';
    CREATE INDEX quoted ON orders (public.quoting(id))";

/// The password of a URI.
fn password(uri: &str) -> &str {
    let (_, rest) = uri.split_once("://").unwrap();
    let (login, _) = rest.split_once('@').unwrap();
    login.split_once(':').unwrap().1
}

/// The URI without its password.
fn without_password(uri: &str) -> String {
    uri.replacen(&format!(":{}@", password(uri)), "@", 1)
}

/// A password file for these URIs.
fn passfile(folder: &std::path::Path, clusters: [(&Cluster, &str); 2]) -> String {
    let path = folder.join("pgpass");
    let lines = clusters.map(|(cluster, uri)| {
        format!("*:{}:*:{}:{}\n", cluster.port(), cluster.user(), password(uri))
    });
    std::fs::write(&path, lines.concat()).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What a server has logged.
async fn log(cluster: &Cluster) -> String {
    trial::ask(cluster, "postgres", "SELECT pg_catalog.pg_read_file(pg_current_logfile())").await
}

/// Every row of the ledger.
async fn ledger(cluster: &Cluster) -> String {
    let mut all = String::new();
    for table in ["job", "step", "receipt", "source"] {
        let sql = format!("SELECT coalesce(string_agg(t::text, ' '), '') FROM pgconvoy.{table} t");
        all += &trial::ask(cluster, "shop", &sql).await;
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_ever_seen() {
    let logged = Spec::bundled()
        .major(15)
        .setting("log_statement", "all")
        .setting("logging_collector", "on");
    let (source, target) = tokio::join!(kit::bundled(15), kit::start(logged));
    let postgres = source.superuser_session("postgres").await.unwrap();
    postgres.execute("making a database", "CREATE DATABASE shop").await.unwrap();
    let session = source.superuser_session("shop").await.unwrap();
    for statement in SHOP.split(';') {
        let statement = format!("SET search_path = public; {statement}");
        session.execute("making a trial's database", &statement).await.unwrap();
    }
    trial::change(&source, "shop", FINE).await;
    trial::change(&source, "shop", QUOTING).await;
    let (from, to) = (source.conninfo("shop"), target.conninfo("shop"));
    let folder = tempfile::tempdir().unwrap();
    let file = passfile(folder.path(), [(&source, &from), (&target, &to)]);
    let by_file = [("PGPASSFILE", file.as_str())];
    let (bare_from, bare_to) = (without_password(&from), without_password(&to));
    let wrong = to.replacen(password(&to), "a-wrong-password", 1);
    let without_tls = bare_to.replacen("sslmode=disable", "sslmode=require", 1);
    let misspelt = to.replacen("/shop", "/sh@op", 1);
    let mut said = String::new();
    let mut all = |ended: Ended, expected: i32, what: &str| {
        assert_eq!(ended.code, Some(expected), "{what}: {}", ended.said);
        said += &ended.said;
    };
    let both = |from, to| ["--source", from, "--target", to];
    let with = |command, more: &[&'static str], ends: [&str; 4]| {
        let words = [&[command], &ends[..], more].concat();
        run_in(&by_file, &words)
    };

    all(with("check", &[], both(&from, &wrong)), 4, "a wrong password");
    all(with("migrate", &["--json"], both(&from, &wrong)), 4, "a wrong password");
    all(with("check", &[], both(&from, &without_tls)), 4, "no TLS");
    all(with("check", &["--json"], both(&from, &misspelt)), 2, "a malformed URI");
    all(run_in(&by_file, &["status", &to]), 2, "a URI that is no flag's");
    all(with("check", &["--json"], both(&from, &to)), 0, "check");
    all(with("plan", &[], both(&bare_from, &bare_to)), 0, "plan");

    all(with("migrate", &[], both(&from, &to)), 5, "a server that quotes");
    let held = ledger(&target).await;
    trial::change(&target, "shop", FINE).await;
    all(with("migrate", &["--json"], both(&bare_from, &bare_to)), 0, "migrate");
    all(with("migrate", &[], both(&from, &to)), 0, "migrate again");
    all(with("verify", &[], both(&from, &to)), 0, "verify");
    all(with("verify", &["--json"], both(&from, &to)), 0, "verify");
    let held = held + &ledger(&target).await;
    let password_by_variable = [("PGPASSWORD", password(&to))];
    all(run_in(&password_by_variable, &["status", "--target", &bare_to]), 0, "status");
    all(run_in(&password_by_variable, &["finish", "--target", &to]), 0, "finish");

    let verifier = "SELECT rolpassword FROM pg_authid WHERE rolname = 'clerk'";
    let verifier = trial::ask(&source, "shop", verifier).await;
    let logged = log(&target).await;
    assert!(logged.contains("CREATE TABLE"), "nothing is logged");
    let secrets = [password(&from), password(&to), "a-wrong-password", verifier.as_str()];
    for secret in secrets.into_iter().chain(HELD) {
        for (place, text) in [("is said", &said), ("the ledger", &held), ("the log", &logged)] {
            assert!(!text.contains(secret), "{secret} in {place}:\n{text}");
        }
    }
}

/// Has the ledger hold another job, with the checksum that belongs to it.
async fn forge(target: &Cluster, change: impl Fn(&mut serde_json::Value)) {
    let column = |name| async move {
        trial::ask(target, "shop", &format!("SELECT {name}::text FROM pgconvoy.job")).await
    };
    let mut job = serde_json::from_str(&column("body").await).unwrap();
    change(&mut job);
    let (format, tool, body) = (column("format").await, column("tool").await, job.to_string());
    let checksum = crc32fast::hash(format!("{format}\0{tool}\0{body}\0").as_bytes());
    let body = quote_literal(&body);
    let sql = format!("UPDATE pgconvoy.job SET body = {body}, checksum = {checksum}");
    trial::change(target, "shop", &sql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_ledger_has_nothing_run_on_the_source() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    trial::make_database(&source, "shop", "CREATE TABLE orders AS SELECT 1 AS id").await;
    trial::change(&source, "shop", FINE).await;
    trial::change(&source, "shop", QUOTING).await;
    let (from, to) = (source.conninfo("shop"), target.conninfo("shop"));
    let migrate = ["migrate", "--source", &from, "--target", &to];
    assert_eq!(run_in(&[], &migrate).code, Some(5));
    trial::change(&target, "shop", FINE).await;

    let evil = "true)) TO STDOUT; CREATE TABLE public.of_the_target (); --";
    for field in ["filter", "condition"] {
        forge(&target, |job| job["tables"][0][field] = evil.into()).await;
        let ended = run_in(&[], &migrate);
        assert_eq!(ended.code, Some(3), "{}", ended.said);
        assert!(ended.said.contains("it reads other rows of public.orders"), "{}", ended.said);
        forge(&target, |job| job["tables"][0][field] = serde_json::Value::Null).await;
    }
    let tables = trial::ask(&target, "shop", "SELECT body FROM pgconvoy.job").await;
    let tables: serde_json::Value = serde_json::from_str(&tables).unwrap();
    forge(&target, |job| job["tables"] = serde_json::json!([])).await;
    let ended = run_in(&[], &migrate);
    assert_eq!(ended.code, Some(3), "{}", ended.said);
    assert!(ended.said.contains("leads nowhere"), "{}", ended.said);
    forge(&target, |job| job["tables"] = tables["tables"].clone()).await;
    let ended = run_in(&[], &migrate);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let made = "SELECT count(*)::text FROM pg_class WHERE relname = 'of_the_target'";
    assert_eq!(trial::ask(&source, "shop", made).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_another_role_could_have_forged_is_refused() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    trial::make_database(&source, "shop", "CREATE TABLE orders AS SELECT 1 AS id").await;
    trial::change(&source, "shop", FINE).await;
    trial::change(&source, "shop", QUOTING).await;
    let (from, to) = (source.conninfo("shop"), target.conninfo("shop"));
    let both = ["--source", &from, "--target", &to];
    let run = |words: &[&str]| run_in(&[], &[words, &both].concat());
    assert_eq!(run(&["migrate", "--strict"]).code, Some(5));
    trial::change(&target, "shop", FINE).await;
    for (theirs, ours) in [
        (
            "CREATE FUNCTION pgconvoy.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; \
             ALTER FUNCTION pgconvoy.f() OWNER TO shop",
            "DROP FUNCTION pgconvoy.f()",
        ),
        ("ALTER TABLE pgconvoy.step OWNER TO shop", "ALTER TABLE pgconvoy.step OWNER TO postgres"),
        ("ALTER SCHEMA pgconvoy OWNER TO shop", "SELECT 1"),
    ] {
        trial::change(&target, "shop", theirs).await;
        for command in [&["migrate"][..], &["migrate", "--restart"], &["migrate", "--clean"]] {
            let ended = run(command);
            assert_eq!(ended.code, Some(3), "{theirs}, {command:?}: {}", ended.said);
            assert!(ended.said.contains("it belongs to shop"), "{}", ended.said);
        }
        let ended = run_in(&[], &["status", "--target", &to]);
        assert!(ended.said.contains("it belongs to shop"), "{}", ended.said);
        trial::change(&target, "shop", ours).await;
    }
    forge_index(&target, "ALTER ROLE shop SUPERUSER; ").await;
    let ended = run(&["migrate", "--strict"]);
    assert_eq!(ended.code, Some(3), "{}", ended.said);
    let superuser = "SELECT rolsuper::text FROM pg_roles WHERE rolname = 'shop'";
    assert_eq!(trial::ask(&target, "shop", superuser).await, "false");
    // Roles of ours, whoever of them is a superuser, go on with each other's jobs.
    let back = "ALTER SCHEMA pgconvoy OWNER TO CURRENT_USER";
    trial::change(&target, "shop", back).await;
    forge_index(&target, "").await;
    assert_eq!(run(&["migrate"]).code, Some(0));
}

/// Has the ledger's step of the index begin with another statement.
async fn forge_index(target: &Cluster, evil: &str) {
    const INDEX: &str = "FROM pgconvoy.step WHERE body LIKE '%CREATE INDEX%'";
    let column = |name| async move {
        trial::ask(target, "shop", &format!("SELECT {name}::text {INDEX}")).await
    };
    let (id, phase, title) = (column("id").await, column("phase").await, column("title").await);
    let (parts, cost) = (column("parts").await, column("cost").await);
    let body = column("body").await.replace("ALTER ROLE shop SUPERUSER; ", "");
    let body = body.replace("CREATE INDEX", &format!("{evil}CREATE INDEX"));
    let written = format!("{id}\0{phase}\0{title}\0{parts}\0{cost}\0{body}\0");
    let checksum = crc32fast::hash(written.as_bytes());
    let body = quote_literal(&body);
    let sql =
        format!("UPDATE pgconvoy.step SET body = {body}, checksum = {checksum} WHERE id = {id}");
    trial::change(target, "shop", &sql).await;
}

/// A name that means harm to a terminal, to SQL, to JSON, to psql and to a format string.
fn evil(number: usize) -> String {
    format!("{number}'\"\\$$;--/*\n\u{1b}[31m\u{9b}2J\u{202e}\\q%s{{}}\r")
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_mean_harm_are_only_names() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::rds_like(15));
    let evil: Vec<String> = (0..20).map(evil).collect();
    let id = |number: usize| quote_ident(&evil[number]);
    let text = |number: usize| quote_literal(&evil[number]);
    let (database, role, schema, table) = (&evil[0], id(1), id(2), format!("{}.{}", id(2), id(3)));
    let postgres = source.superuser_session("postgres").await.unwrap();
    for sql in [format!("CREATE ROLE {role}"), format!("CREATE DATABASE {}", id(0))] {
        postgres.execute("making names", &sql).await.unwrap();
    }
    let session = source.superuser_session(database).await.unwrap();
    let mut sql = format!("CREATE SCHEMA {schema} AUTHORIZATION {role};");
    for statement in [
        format!("CREATE TYPE {schema}.{} AS ENUM ({}, {})", id(4), text(4), text(5)),
        format!(
            "CREATE TABLE {table} ({} int PRIMARY KEY, {} text DEFAULT {} CONSTRAINT {} \
             CHECK ({} <> {}), g {schema}.{})",
            id(5),
            id(6),
            text(6),
            id(7),
            id(6),
            text(7),
            id(4)
        ),
        format!("INSERT INTO {table} SELECT i, {} || i FROM generate_series(1, 100) i", text(8)),
        format!("CREATE INDEX {} ON {table} (({} || {}))", id(8), id(6), text(9)),
        format!("COMMENT ON TABLE {table} IS {}", text(10)),
        format!("COMMENT ON COLUMN {table}.{} IS {}", id(6), text(11)),
        format!("CREATE VIEW {schema}.{} AS SELECT {} AS {} FROM {table}", id(12), id(6), id(13)),
        format!(
            "CREATE FUNCTION {schema}.{}({} int) RETURNS int LANGUAGE sql AS {}",
            id(14),
            id(15),
            quote_literal(&format!("SELECT 1 -- {}", evil[15].replace('\n', " ")))
        ),
        format!("CREATE SEQUENCE {schema}.{}", id(16)),
        format!("CREATE PUBLICATION {} FOR TABLE {table}", id(17)),
        format!("CREATE POLICY {} ON {table} USING ({} <> {})", id(18), id(6), text(18)),
        format!("GRANT SELECT ON {table} TO {role} WITH GRANT OPTION"),
        format!("ALTER TABLE {table} OWNER TO {role}"),
        "CREATE TABLE public.victim (id int)".to_owned(),
    ] {
        write!(sql, "{statement};").unwrap();
    }
    session.execute("making names", &sql).await.unwrap();
    let (from, to) = (source.conninfo(database), target.conninfo(database));
    let both = ["--source", &from, "--target", &to];
    let target_only = ["--target", to.as_str()];
    for (command, ends, code) in [
        ("check", &both[..], 0),
        ("plan", &both, 0),
        ("migrate", &both, 0),
        ("migrate", &both, 0),
        ("verify", &both, 0),
        ("status", &target_only, 0),
    ] {
        shown_harmless(command, ends, code);
    }
    let differs = format!("UPDATE {table} SET {} = {} WHERE {} = 7", id(6), text(19), id(5));
    let session = target.superuser_session(database).await.unwrap();
    session.execute("changing a row", &differs).await.unwrap();
    shown_harmless("verify", &both, 1);
    let more = format!("DROP INDEX {schema}.{}", id(8));
    session.execute("dropping an index", &more).await.unwrap();
    shown_harmless("verify", &both, 1);
    shown_harmless("migrate", &[&both[..], &["--restart"]].concat(), 3);
    let refused = format!("{}=public.nobody", evil[3]);
    shown_harmless("check", &[&both[..], &["--where", &refused]].concat(), 2);
    shown_harmless("finish", &target_only, 0);

    let names = "SELECT string_agg(x, ' ' ORDER BY x) FROM (SELECT relname::text FROM pg_class \
                 UNION ALL SELECT nspname FROM pg_namespace UNION ALL SELECT proname FROM pg_proc \
                 UNION ALL SELECT typname FROM pg_type UNION ALL SELECT conname FROM pg_constraint \
                 UNION ALL SELECT description FROM pg_description WHERE description ~ '2J') n(x) \
                 WHERE x ~ '2J' OR x = 'victim'";
    let ours = trial::ask(&source, database, names).await;
    let index = format!("{} ", evil[8]);
    assert_eq!(ours.replacen(&index, "", 1), trial::ask(&target, database, names).await);
}

/// Runs the program for people and for programs.
fn shown_harmless(command: &str, words: &[&str], code: i32) {
    let people = run_in(&[], &[&[command], words].concat());
    let harmless = |said: &str| {
        let steers = |c: char| c != '\n' && c.is_control() || c == '\u{202e}';
        assert!(!said.contains(steers), "{command}: {said:?}");
    };
    harmless(&people.said);
    assert_eq!(people.code, Some(code), "{command}: {}", people.said);
    let programs = run_in(&[], &[&[command], words, &["--json"]].concat());
    harmless(&programs.said);
    let lines: Vec<_> = programs.said.lines().filter(|line| line.starts_with('{')).collect();
    assert!(!lines.is_empty(), "{command}: {}", programs.said);
    for line in lines {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}
