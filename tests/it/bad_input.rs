//! What goes wrong is told once: what was being done, to which object, in the server's own words,
//! with what to do now, and never with a row's values. A second run finishes what is left.

#[cfg(target_os = "linux")]
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use pgconvoy::commands::{Conninfo, Environment, Event, Phase, Request};
use pgconvoy::error::{Error, Kind};
use pgconvoy::servers::{Cluster, Spec, StopMode};
use tokio::time::timeout;

#[cfg(target_os = "linux")]
use crate::kit::SmallDisk;
use crate::migration::request;
use crate::{kit, migration, trial};

/// About 40 MB of rows that nobody should see.
const ARCHIVE: &str = "
    CREATE TABLE pages (id bigint PRIMARY KEY, content text);
    INSERT INTO pages SELECT i, 'secret' || repeat(md5(i::text), 60) FROM generate_series(1, 20000) i;
    CREATE TABLE notes (id int PRIMARY KEY, content text);
    INSERT INTO notes SELECT i, 'secret ' || i FROM generate_series(1, 100) i;
";

/// Fails unless the error is of this kind, says all this, ends in something to do, and shows no
/// row.
fn assert_clear(error: &Error, kind: Kind, says: &[&str]) {
    let text = error.to_string();
    assert_eq!(error.kind(), kind, "{text}");
    for words in says {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(error.hint_text().is_some(), "no hint: {text}");
    assert!(!text.contains("secret"), "{text}");
}

fn between(source: &str, target: &str) -> Request {
    Request { jobs: Some(1), ..migration::between(source, target) }
}

#[test]
fn a_malformed_connection_string_is_refused_without_its_password() {
    for text in [
        "postgresql://ann:secret@host:no-port/db",
        "postgresql://ann:secret@host/db?no_such_option=1",
        "postgresql://ann:secret@[::1/db",
        "host=h password=secret sslmode=nonsense",
        "host=h password='secret",
        "mysql://ann:secret@host/db",
    ] {
        let error = Conninfo::parse(text, &Environment::default()).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage, "{text}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_or_lets_nobody_in_is_named() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::rds_like(15));
    let other = kit::rds_like(15).await;
    let (ours, theirs) = (source.conninfo("postgres"), target.conninfo("postgres"));
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let authority = |cluster: &Cluster| cluster.authority().to_str().unwrap().to_owned();
    let wrong_authority = theirs.replace(&authority(&target), &authority(&other));
    let name_of_no_certificate =
        theirs.replace("@localhost", "@other.example") + "&hostaddr=127.0.0.1";
    let unknown_host = ours.replace("@127.0.0.1", "@no-such-host.invalid");
    let refused_port = format!("postgresql://u@127.0.0.1:{nobody}/postgres");
    let wrong_password = target.conninfo_as("master", "a secret", "postgres");
    let unknown_user = source.conninfo_as("nobody", "a secret", "postgres");
    for (source, target, says) in [
        (&unknown_host, &theirs, &["no-such-host.invalid"][..]),
        (&ours, &unknown_host, &["no-such-host.invalid"]),
        (&ours, &refused_port, &["127.0.0.1", &nobody.to_string()]),
        (&ours, &wrong_password, &["password authentication failed", "master"]),
        (&unknown_user, &theirs, &["password authentication failed", "nobody"]),
        (&ours, &wrong_authority, &["certificate"]),
        (&ours, &name_of_no_certificate, &["certificate"]),
    ] {
        let watched = trial::run(&between(source, target)).await;
        assert_clear(watched.error(), Kind::Connect, says);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_taken_or_read_only_is_refused_untouched() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::rds_like(15));
    trial::make_database(&source, "archive", ARCHIVE).await;
    let master = kit::session(&target.conninfo("postgres")).await;
    master.execute("making a target", "CREATE DATABASE archive").await.unwrap();
    let request = request(&source, &target, &["archive"]);
    trial::change(&target, "archive", "CREATE TABLE pages (id int); GRANT ALL ON pages TO master")
        .await;
    let watched = trial::run(&request).await;
    assert_clear(watched.error(), Kind::Refused, &["database archive", "public.pages"]);

    trial::change(&target, "archive", "DROP TABLE pages").await;
    let read_only = "ALTER DATABASE archive SET default_transaction_read_only = on";
    trial::change(&target, "postgres", read_only).await;
    let watched = trial::run(&request).await;
    assert_clear(watched.error(), Kind::Refused, &["database archive", "read-only"]);
    let touched = "SELECT count(*)::text FROM pg_namespace WHERE nspname = 'pgconvoy'";
    assert_eq!(trial::ask(&target, "archive", touched).await, "0");

    trial::change(&target, "postgres", "ALTER DATABASE archive RESET ALL").await;
    trial::run(&request).await.clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_goes_away_is_the_cause_and_a_second_run_finishes() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::rds_like(15));
    trial::make_database(&source, "archive", ARCHIVE).await;
    let request = Request { jobs: Some(1), ..request(&source, &target, &["archive"]) };
    let master = kit::session(&target.conninfo("postgres")).await;
    master.execute("making a target", "CREATE DATABASE archive").await.unwrap();
    let blocker = target.superuser_session("archive").await.unwrap();
    let witness = source.superuser_session("postgres").await.unwrap();
    let copying = |event: &Event| matches!(event, Event::StepStarted { phase: Phase::Data, title, .. } if title.contains("pages"));
    // The target takes no rows until the source, in the midst of sending, is gone.
    let go_away = || async {
        let hold = "BEGIN; LOCK TABLE public.pages IN SHARE MODE";
        blocker.execute("holding the copy up", hold).await.unwrap();
        let sending = "SELECT count(*) FROM pg_catalog.pg_stat_activity \
                       WHERE query LIKE 'COPY %' AND wait_event = 'ClientWrite'";
        let sends = async {
            while witness.query_one("watching", sending, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            }
        };
        timeout(Duration::from_secs(60), sends).await.expect("no copy is held up");
        source.stop(StopMode::Immediate).await.unwrap();
        blocker.execute("letting go", "COMMIT").await.unwrap();
    };
    let watched = trial::harm(&request, copying, go_away).await;
    let says = ["database archive", "copying public.pages", "from the source"];
    assert_clear(watched.error(), Kind::Lost, &says);
    let away = trial::run(&request).await;
    assert_clear(away.error(), Kind::Connect, &["127.0.0.1"]);

    source.start_again().await.unwrap();
    assert!(trial::run(&request).await.clean().was_resumed);
    trial::assert_same_rows(&source, &target, "archive").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_character_that_the_targets_encoding_lacks_is_told_by_table_and_line() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::rds_like(15));
    trial::make_database(&source, "archive", ARCHIVE).await;
    let emoji = "UPDATE notes SET content = 'secret 😀' WHERE id = 50";
    trial::change(&source, "archive", emoji).await;
    let master = kit::session(&target.conninfo("postgres")).await;
    let latin = "CREATE DATABASE archive TEMPLATE template0 ENCODING 'LATIN1' \
                 LC_COLLATE 'C' LC_CTYPE 'C'";
    master.execute("making a target", latin).await.unwrap();
    let request = request(&source, &target, &["archive"]);
    let watched = trial::run(&request).await;
    let says = ["database archive", "copying public.notes", "LATIN1", "22P05", "line"];
    assert_clear(watched.error(), Kind::Step, &says);
    assert!(!watched.error().to_string().contains('😀'), "{}", watched.error());

    let mend = "UPDATE notes SET content = 'secret é' WHERE id = 50";
    trial::change(&source, "archive", mend).await;
    let second = trial::run(&request).await;
    assert!(second.clean().was_resumed);
    let latin = "SELECT content || octet_length(content) FROM public.notes WHERE id = 50";
    assert_eq!(trial::ask(&target, "archive", latin).await, "secret é8");
}

/// Has a database hold text that isn't valid in its own encoding, which only superusers can.
async fn spoil(source: &Cluster, sql: &str) {
    let cast = "CREATE CAST (bytea AS text) WITHOUT FUNCTION";
    let all = format!("{cast}; {sql}; DROP CAST (bytea AS text)");
    trial::change(source, "archive", &all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_not_valid_in_its_own_encoding_is_told_with_a_query_that_finds_it() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::rds_like(15));
    trial::make_database(&source, "archive", ARCHIVE).await;
    spoil(&source, "UPDATE notes SET content = '\\x736563726574ff'::bytea::text WHERE id = 50")
        .await;
    let request = request(&source, &target, &["archive"]);
    let watched = trial::run(&request).await;
    let says = ["copying public.notes", "22021", "line", "on the source: DO $$"];
    assert_clear(watched.error(), Kind::Step, &says);
    let hint = watched.error().hint_text().unwrap();
    let query = &hint[hint.find("DO $$").unwrap()..hint.find("END $$;").unwrap() + 7];
    let session = source.superuser_session("archive").await.unwrap();
    session.execute("looking for such rows", query).await.unwrap();
    let at = "SELECT ctid::text FROM public.notes WHERE id = 50";
    let at = trial::ask(&source, "archive", at).await;
    let found = session.take_warnings();
    assert!(found.len() == 1 && found[0].contains(&at), "{at}: {found:?}");

    let mend = "UPDATE notes SET content = 'mended' WHERE id = 50";
    trial::change(&source, "archive", mend).await;
    trial::run(&request).await.clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_that_are_not_valid_in_their_own_encoding_are_refused_by_name() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    trial::make_database(&source, "archive", ARCHIVE).await;
    let request = request(&source, &target, &["archive"]);
    trial::change(&source, "archive", "COMMENT ON TABLE notes IS 'x'").await;
    let comment = "UPDATE pg_description SET description = '\\xff'::bytea::text
                   WHERE objoid = 'notes'::regclass";
    spoil(&source, comment).await;
    let said = trial::run(&request).await;
    assert_clear(said.error(), Kind::Refused, &["comment", "notes", "isn't valid"]);
    trial::change(&source, "archive", "COMMENT ON TABLE notes IS NULL").await;

    let function = "CREATE FUNCTION spoilt() RETURNS int LANGUAGE sql AS 'SELECT 1';
         UPDATE pg_proc SET prosrc = '\\x73656c65637420312d2dff'::bytea::text
         WHERE proname = 'spoilt'";
    spoil(&source, function).await;
    let said = trial::run(&request).await;
    assert_clear(said.error(), Kind::Refused, &["definition", "spoilt", "isn't valid"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_does_not_know_its_encoding_moves_once_the_target_is_told() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    let database = "CREATE DATABASE archive TEMPLATE template0 ENCODING 'SQL_ASCII' \
                    LC_COLLATE 'C' LC_CTYPE 'C'";
    kit::run(&source.superuser_conninfo("postgres"), database).await;
    let latin = "CREATE TABLE notes (content text); INSERT INTO notes VALUES (E'caf\\xe9')";
    trial::change(&source, "archive", latin).await;
    let plain = request(&source, &target, &["archive"]);
    trial::run(&plain).await.clean();
    trial::assert_same_rows(&source, &target, "archive").await;

    let first = target.superuser_conninfo("postgres");
    kit::run(&first, "DROP DATABASE archive").await;
    kit::run(&first, &database.replace("SQL_ASCII", "UTF8")).await;
    let refused = trial::run(&plain).await;
    assert_clear(refused.error(), Kind::Refused, &["SQL_ASCII", "client_encoding=WIN1252"]);

    trial::change(&source, "archive", "COMMENT ON TABLE notes IS E'caf\\xe9'").await;
    let told = Request {
        target: plain.target.with_client_encoding("LATIN1"),
        ..request(&source, &target, &["archive"])
    };
    let refused = trial::run(&told).await;
    assert_clear(refused.error(), Kind::Refused, &["comment", "TABLE public notes", "isn't valid"]);
    trial::change(&source, "archive", "COMMENT ON TABLE notes IS NULL").await;
    trial::run(&told).await.clean();
    assert_eq!(trial::ask(&target, "archive", "SELECT content FROM public.notes").await, "café");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_the_target_refuses_is_not_shown() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::rds_like(15));
    trial::make_database(
        &source,
        "archive",
        "CREATE FUNCTION fits(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
         CREATE DOMAIN note AS text CHECK (fits(VALUE));
         -- A reference to an object makes rows travel as text, of which the server quotes more.
         CREATE TABLE notes (id int PRIMARY KEY, content note, kind regclass DEFAULT 'pg_class');
         INSERT INTO notes SELECT i, 'secret ' || i FROM generate_series(1, 100) i;
         CREATE OR REPLACE FUNCTION fits(text) RETURNS boolean LANGUAGE sql IMMUTABLE
             AS $$ SELECT $1 <> 'secret 50' $$;",
    )
    .await;
    let watched = trial::run(&request(&source, &target, &["archive"])).await;
    assert_clear(watched.error(), Kind::Step, &["copying public.notes", "23514", "line 50"]);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_full_target_disk_is_told_and_a_second_run_finishes_once_there_is_room() {
    let ours = std::fs::metadata("/proc/self").unwrap().uid();
    let disk = match SmallDisk::mount(85, ours) {
        Ok(disk) => disk,
        Err(why) => {
            eprintln!("no disk can be filled here, as none can be mounted: {why}");
            return;
        }
    };
    // Rows of a table that was emptied in the same transaction then need no WAL: it is a table that
    // fills the disk, and not the log, which would end the server.
    let spec =
        Spec::rds_like().major(15).setting("wal_level", "minimal").setting("max_wal_senders", "0");
    let (source, target) = tokio::join!(kit::bundled(15), kit::start_in(disk.folder(), spec));
    let pages = |name: &str| {
        format!(
            "CREATE TABLE {name} (id bigint PRIMARY KEY, content text);
             INSERT INTO {name} SELECT i, 'secret' || repeat(md5(i::text), 60)
             FROM generate_series(1, 14000) i;"
        )
    };
    let sql = pages("pages") + &pages("more_pages");
    trial::make_database(&source, "archive", &sql).await;
    let request = Request { jobs: Some(1), ..request(&source, &target, &["archive"]) };
    let watched = trial::run(&request).await;
    let says = ["database archive", "pages", "No space left on device", "53100"];
    assert_clear(watched.error(), Kind::Step, &says);

    disk.resize(400);
    assert!(trial::run(&request).await.clean().was_resumed);
    trial::assert_same_rows(&source, &target, "archive").await;
}
