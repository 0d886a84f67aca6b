//! `check` against real servers: what stands in a job's way is found, and what mends it is told.

use pgconvoy::commands::{Finding, Severity, check};

use crate::migration::between;
use crate::{kit, migration};

/// What checking one database finds.
async fn findings(source: &str, target: &str) -> Vec<Finding> {
    let checked = check(&between(source, target)).await.unwrap();
    assert_eq!(checked.len(), 1);
    for finding in &checked[0].findings {
        eprintln!("{finding}");
    }
    checked.into_iter().flat_map(|checked| checked.findings).collect()
}

fn refusals(found: &[Finding]) -> Vec<&Finding> {
    found.iter().filter(|finding| finding.severity == Severity::Refusal).collect()
}

/// Whether a finding of this severity about this object says this.
fn says(found: &[Finding], severity: Severity, object: &str, what: &str) -> bool {
    found.iter().any(|f| f.severity == severity && f.object == object && f.what.contains(what))
}

fn remedy_of<'a>(found: &'a [Finding], object: &str) -> &'a str {
    let finding = found.iter().find(|finding| finding.object == object);
    finding.and_then(|finding| finding.remedy.as_deref()).unwrap_or_default()
}

#[tokio::test]
async fn two_servers_alike_have_nothing_to_refuse() {
    let (source, target) = (kit::bundled(15).await, kit::rds_like(15).await);
    kit::run(&source.conninfo("postgres"), "CREATE TABLE t (id int PRIMARY KEY, v text)").await;
    let found = findings(&source.conninfo("postgres"), &target.conninfo("postgres")).await;
    assert_eq!(refusals(&found), Vec::<&Finding>::new());
    let found = findings(&source.conninfo("postgres"), &target.conninfo("new")).await;
    assert_eq!(refusals(&found), Vec::<&Finding>::new());
}

#[tokio::test]
async fn everything_that_stops_the_job_is_found_at_once() {
    let (source, target) = (kit::bundled(18).await, kit::rds_like(15).await);
    let super_target = target.superuser_conninfo("postgres");
    kit::run(
        &source.conninfo("postgres"),
        "CREATE ROLE reader LOGIN PASSWORD 'reader';
         CREATE TABLE readable (id int); GRANT SELECT ON readable TO reader;
         CREATE TABLE secret (id int); CREATE SEQUENCE hidden_numbers;
         CREATE TABLE filtered (id int); ALTER TABLE filtered ENABLE ROW LEVEL SECURITY;
         GRANT SELECT ON filtered TO reader;
         CREATE SCHEMA closed; CREATE TABLE closed.t (id int)",
    )
    .await;
    kit::run(
        &super_target,
        "CREATE TABLE occupied (id int);
         ALTER DATABASE postgres SET default_transaction_read_only = on;
         ALTER DATABASE postgres CONNECTION LIMIT 3",
    )
    .await;
    let source = source.conninfo_as("reader", "reader", "postgres");
    let found = findings(&source, &target.conninfo("postgres")).await;
    let refused = |object, what| says(&found, Severity::Refusal, object, what);
    assert!(refused("target server", "older than the source's 18"));
    assert!(refused("target endpoint", "read-only"));
    assert!(refused("target database", "table public.occupied"));
    assert!(refused("source tables", "may not read 2 tables: closed.t, public.secret"));
    assert!(refused("source tables", "policies hide rows of 1 table from reader: public.filtered"));
    assert!(refused("source sequences", "public.hidden_numbers"));
    assert!(refused("source schemas", "closed"));
    assert!(refused("target server", "limit of 3 leaves"));
    assert_eq!(
        remedy_of(&found, "source schemas"),
        "on the source: GRANT USAGE ON SCHEMA \"closed\" TO \"reader\";"
    );
    assert!(found.iter().any(|f| f.remedy.as_deref()
        == Some(
            "on the source: GRANT SELECT ON TABLE \"closed\".\"t\", \"public\".\"secret\" TO \
             \"reader\";"
        )));
}

#[tokio::test]
async fn session_defaults_that_differ_are_told_with_what_keeps_them() {
    let source = pgconvoy::servers::Spec::bundled()
        .major(15)
        .setting("timezone", "Europe/Berlin")
        .setting("datestyle", "ISO, DMY");
    let (source, target) = (kit::start(source).await, kit::rds_like(15).await);
    let found = findings(&source.conninfo("postgres"), &target.conninfo("postgres")).await;
    assert_eq!(
        remedy_of(&found, "setting TimeZone"),
        "ALTER DATABASE \"postgres\" SET \"TimeZone\" TO 'Europe/Berlin';"
    );
    assert!(says(&found, Severity::Change, "setting DateStyle", "DMY"));
    // What travels with the database is no matter.
    kit::run(
        &source.conninfo("postgres"),
        "ALTER DATABASE postgres SET timezone = 'Europe/Berlin'; \
         ALTER DATABASE postgres SET datestyle = 'ISO, DMY'",
    )
    .await;
    let found = findings(&source.conninfo("postgres"), &target.conninfo("postgres")).await;
    assert!(!found.iter().any(|f| f.object.starts_with("setting ")));
}

#[tokio::test]
async fn the_source_is_no_target() {
    let server = kit::bundled(15).await;
    let database = server.conninfo("postgres");
    let found = findings(&database, &database).await;
    assert!(says(&found, Severity::Refusal, "target database", "is the source itself"));
}

#[tokio::test]
async fn what_the_target_adds_to_new_objects_is_named() {
    let server = kit::bundled(15).await;
    kit::run(&server.conninfo("postgres"), "CREATE DATABASE there").await;
    kit::run(
        &server.conninfo("there"),
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;
         CREATE FUNCTION public.f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
         CREATE EVENT TRIGGER watching ON ddl_command_end EXECUTE FUNCTION public.f()",
    )
    .await;
    let found = findings(&server.conninfo("postgres"), &server.conninfo("there")).await;
    assert!(says(&found, Severity::Note, "default privileges of postgres", "PUBLIC"));
    assert!(says(&found, Severity::Change, "event triggers", "watching"));
}

#[tokio::test]
async fn citext_keys_that_collide_under_the_targets_ctype_are_found() {
    let spec = pgconvoy::servers::Spec::bundled().major(15).encoding("UTF8", "C");
    let (source, target) = (kit::start(spec).await, kit::bundled(15).await);
    kit::run(
        &source.conninfo("postgres"),
        "CREATE EXTENSION citext;
         CREATE TABLE users (email citext UNIQUE, login text, CHECK (login !~* 'é'));
         CREATE UNIQUE INDEX users_login ON users (lower(login)) WHERE login <> '';
         CREATE TABLE plain (email citext UNIQUE);
         INSERT INTO plain VALUES ('a'), ('b');
         INSERT INTO users VALUES ('É@x', 'ann'), ('é@x', 'bob'), (NULL, 'É'), (NULL, 'Ö'),
         (NULL, 'ö'), ('ascii', '')",
    )
    .await;
    kit::run(&target.conninfo("postgres"), "CREATE DATABASE there").await;
    let found = findings(&source.conninfo("postgres"), &target.conninfo("there")).await;
    let refused = |object, what| says(&found, Severity::Refusal, object, what);
    assert!(refused("INDEX public.users_email_key", "2 rows of public.users have keys"));
    assert!(refused("INDEX public.users_login", "2 rows of public.users have keys"));
    assert!(refused("CHECK CONSTRAINT public.users users_login_check", "1 row of public.users"));
    assert_eq!(refusals(&found).len(), 3);
    assert!(says(&found, Severity::Change, "locale", "upper and lower case"));
    assert!(!found.iter().any(|f| f.what.contains("ordered otherwise")));
    assert!(!found.iter().any(|f| f.to_string().contains("@x")), "values are never shown");
}

#[tokio::test]
async fn ranges_and_checks_that_another_order_would_judge_otherwise_are_found() {
    let server = kit::bundled(15).await;
    kit::run(
        &server.conninfo("postgres"),
        "CREATE DATABASE by_language TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'",
    )
    .await;
    kit::run(&server.conninfo("postgres"), "CREATE DATABASE by_code").await;
    kit::run(
        &server.conninfo("by_language"),
        "CREATE TABLE names (name text) PARTITION BY RANGE (name);
         CREATE TABLE names_a PARTITION OF names FOR VALUES FROM ('a') TO ('n');
         CREATE TABLE names_n PARTITION OF names FOR VALUES FROM ('n') TO (MAXVALUE);
         INSERT INTO names VALUES ('Bob'), ('ann'), ('zoe');
         CREATE TABLE checked (word text CHECK (word >= 'a'), length int CHECK (length > 0));
         INSERT INTO checked VALUES ('B', 1), ('b', 2)",
    )
    .await;
    let found = findings(&server.conninfo("by_language"), &server.conninfo("by_code")).await;
    let refused = |object, what| says(&found, Severity::Refusal, object, what);
    assert!(refused("TABLE ATTACH public.names_a", "1 row of public.names_a"));
    assert!(refused("CHECK CONSTRAINT public.checked checked_word_check", "1 row"));
    assert_eq!(refusals(&found).len(), 2);
    assert!(says(&found, Severity::Change, "locale", "ordered otherwise"));
}

#[tokio::test]
async fn every_topic_can_be_asked_of_every_major() {
    for major in [13, 17, 18] {
        let server = kit::bundled(major).await;
        let postgres = server.conninfo("postgres");
        kit::run(&postgres, "CREATE DATABASE a TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
            .await;
        kit::run(&postgres, "CREATE DATABASE b").await;
        kit::run(
            &server.conninfo("a"),
            "CREATE EXTENSION citext;
             CREATE TABLE t (k citext PRIMARY KEY, m money, n char(3), CHECK (n = lower(n)));
             INSERT INTO t VALUES ('é', 1, 'Ä')",
        )
        .await;
        kit::run(&server.conninfo("b"), "CREATE EXTENSION citext WITH SCHEMA pg_catalog").await;
        let found = findings(&server.conninfo("a"), &server.conninfo("b")).await;
        assert!(says(&found, Severity::Refusal, "EXTENSION citext", "is in schema pg_catalog"));
        assert!(says(&found, Severity::Refusal, "CHECK CONSTRAINT public.t t_n_check", "1 row"));
        assert_eq!(refusals(&found).len(), 2, "{major}");
        assert!(says(&found, Severity::Change, "locale", "upper and lower case"), "{major}");
        assert!(!found.iter().any(|f| f.what.contains("couldn't be")), "{major}");
    }
}

#[tokio::test]
async fn a_text_that_the_targets_encoding_lacks_is_told_beforehand() {
    let server = kit::bundled(15).await;
    let postgres = server.conninfo("postgres");
    kit::run(
        &postgres,
        "CREATE DATABASE narrow TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
    )
    .await;
    kit::run(&postgres, "CREATE TABLE \"числа\" (id int)").await;
    let found = findings(&postgres, &server.conninfo("narrow")).await;
    assert!(says(&found, Severity::Change, "encoding", "from UTF8 to LATIN1"));
    assert!(says(&found, Severity::Refusal, "encoding", "TABLE public.числа"));
}

#[tokio::test]
async fn a_finished_job_is_told_and_another_ones_target_is_refused() {
    let server = kit::bundled(15).await;
    let postgres = server.conninfo("postgres");
    for database in ["one", "other"] {
        kit::run(&postgres, &format!("CREATE DATABASE {database}")).await;
        kit::run(&server.conninfo(database), "CREATE TABLE t (id int)").await;
    }
    let target = server.conninfo("target");
    migration::moved(&between(&server.conninfo("one"), &target)).await;
    let found = findings(&server.conninfo("one"), &target).await;
    assert_eq!(refusals(&found), Vec::<&Finding>::new());
    assert!(says(&found, Severity::Note, "target database", "this job was finished"));
    let found = findings(&server.conninfo("other"), &target).await;
    assert!(says(&found, Severity::Refusal, "target database", "it copies another database, one"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_creating_a_table_anew_would_mix_up_or_lose_is_found() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    kit::run(
        &source.superuser_conninfo("postgres"),
        "CREATE TABLE parent (a int); CREATE TABLE told (b int) INHERITS (parent); \
         CREATE TABLE held (b int) INHERITS (parent); ALTER TABLE parent ADD z int; \
         CREATE TABLE holder (v held[]); \
         SET allow_system_table_mods = on; CREATE TABLE information_schema.mine (a int); \
         CREATE FUNCTION pg_catalog.mine() RETURNS int LANGUAGE sql AS 'SELECT 1';",
    )
    .await;
    let found = findings(&source.conninfo("postgres"), &target.conninfo("postgres")).await;
    let order = "it has (a, z, b) instead of (a, b, z)";
    assert!(says(&found, Severity::Change, "column order of public.told", order), "{found:#?}");
    assert!(says(&found, Severity::Refusal, "column order of public.held", "by place"));
    assert!(says(&found, Severity::Refusal, "table information_schema.mine", "the system's own"));
    assert!(says(&found, Severity::Change, "function mine()", "the system's own"), "{found:#?}");
    assert_eq!(refusals(&found).len(), 2, "{found:#?}");
}
