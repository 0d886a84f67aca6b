//! What differs is found and named, rows by their keys and never by their values; what doesn't
//! differ isn't.

use pgconvoy::commands::{self, DatabaseReport, Event, Request, TableVerdict};
use pgconvoy::error::Kind;
use pgconvoy::servers::Cluster;

use crate::migration::{moved, request, verify};
use crate::{kit, trial};

/// One of everything that verification has an opinion on.
const STORE: &str = "
    CREATE TABLE changed (id int PRIMARY KEY, secret text);
    CREATE TABLE missing (a int, b text, secret text, PRIMARY KEY (a, b));
    CREATE TABLE added (id int PRIMARY KEY, secret text);
    CREATE TABLE keyless (secret text);
    CREATE TABLE gone (id int PRIMARY KEY, secret text);
    CREATE TABLE untouched (id int PRIMARY KEY, secret text);
    INSERT INTO changed SELECT i, 'secret ' || i FROM generate_series(1, 1000) i;
    INSERT INTO missing SELECT i, 'b' || i, 'secret ' || i FROM generate_series(1, 1000) i;
    INSERT INTO added SELECT i, 'secret ' || i FROM generate_series(1, 1000) i;
    INSERT INTO keyless SELECT 'secret ' || i % 500 FROM generate_series(1, 1000) i;
    INSERT INTO gone SELECT i, 'secret ' || i FROM generate_series(1, 10) i;
    INSERT INTO untouched SELECT i, 'secret ' || i FROM generate_series(1, 10) i;
    CREATE INDEX changed_secret ON changed (secret);
    ALTER TABLE missing ADD CONSTRAINT checked CHECK (a > 0);
    ALTER TABLE added ADD FOREIGN KEY (id) REFERENCES changed;
    CREATE SEQUENCE numbers;
    SELECT setval('numbers', 70);
    CREATE TABLE counted (id int GENERATED ALWAYS AS IDENTITY (INCREMENT BY -1), at int DEFAULT 7);
    INSERT INTO counted SELECT FROM generate_series(1, 5);
    CREATE TABLE hidden (id int PRIMARY KEY, secret text);
    INSERT INTO hidden SELECT i, 'secret ' || i FROM generate_series(1, 100) i;
    ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
    CREATE POLICY few ON hidden USING (id < 10);
    CREATE VIEW first_ones AS SELECT id FROM changed WHERE id < 10;
    CREATE MATERIALIZED VIEW summary AS SELECT count(*) FROM changed;
    GRANT SELECT ON untouched TO PUBLIC;
";

pub(crate) async fn verified(request: &Request) -> DatabaseReport {
    match verify(request).await {
        Ok(mut reports) => reports.remove(0),
        Err(error) => panic!("{error}"),
    }
}

/// The store moved from a bundled 15 to an RDS-like server.
async fn store(target_major: u32) -> (Cluster, Cluster, Request) {
    let (source, target) = tokio::join!(kit::bundled(15), kit::rds_like(target_major));
    trial::make_database(&source, "store", STORE).await;
    let request = request(&source, &target, &["store"]);
    moved(&request).await;
    (source, target, request)
}

fn located<'a>(report: &'a DatabaseReport, table: &str) -> &'a str {
    let named = format!("public.{table}:");
    let found = report.verification.located.iter().find(|text| text.starts_with(&named));
    found.unwrap_or_else(|| panic!("{table}: {:#?}", report.verification.located))
}

/// Rows on the source and on the target, of a table that differs.
fn counts(report: &DatabaseReport, name: &str) -> Option<(u64, u64)> {
    report.verification.tables.iter().find_map(|verdict| match verdict {
        TableVerdict::Differs { table, source_rows, target_rows } if table.name == name => {
            Some((*source_rows, *target_rows))
        }
        _ => None,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_differ_are_counted_and_named_by_their_keys_alone() {
    let (_source, target, request) = store(15).await;
    let before = verified(&request).await;
    assert!(before.verification.is_clean(), "{:#?}", before.verification);
    assert_eq!(before.rows, 4125);

    trial::change(
        &target,
        "store",
        "UPDATE changed SET secret = 'a secret' WHERE id = 77;
         DELETE FROM missing WHERE a = 13;
         ALTER TABLE added DROP CONSTRAINT added_id_fkey;
         INSERT INTO added VALUES (9001, 'a secret');
         ALTER TABLE added ADD FOREIGN KEY (id) REFERENCES changed NOT VALID;
         INSERT INTO keyless VALUES ('secret 1');
         UPDATE hidden SET secret = 'a secret' WHERE id = 55;",
    )
    .await;
    let report = verified(&request).await;
    assert_eq!(counts(&report, "changed"), Some((1000, 1000)));
    assert_eq!(counts(&report, "missing"), Some((1000, 999)));
    assert_eq!(counts(&report, "added"), Some((1000, 1001)));
    assert_eq!(counts(&report, "keyless"), Some((1000, 1001)));
    assert_eq!(counts(&report, "hidden"), Some((100, 100)));
    let equal = report.verification.tables.iter().filter(|verdict| verdict.is_equal());
    assert_eq!(equal.count(), 3, "{:#?}", report.verification.tables);
    for (table, told) in [
        ("changed", "1 row with other values, id (77)"),
        ("missing", "1 row missing on the target, a, b (13, b13)"),
        ("added", "1 row extra on the target, id (9001)"),
        ("keyless", "1 row extra on the target"),
        ("hidden", "1 row with other values, id (55)"),
    ] {
        assert!(located(&report, table).contains(told), "{}", located(&report, table));
    }
    let everything = format!("{report:?}");
    assert!(!everything.contains("a secret") && !everything.contains("secret 1"), "{everything}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_in_the_targets_catalog_is_named() {
    let (_source, target, request) = store(15).await;
    trial::change(
        &target,
        "store",
        "DROP INDEX changed_secret;
         ALTER TABLE missing DROP CONSTRAINT checked;
         ALTER TABLE missing ADD CONSTRAINT checked CHECK (a > 0) NOT VALID;
         ALTER TABLE added DROP CONSTRAINT added_id_fkey;
         ALTER TABLE added ADD FOREIGN KEY (id) REFERENCES changed NOT VALID;
         ALTER TABLE untouched OWNER TO master;
         GRANT UPDATE ON changed TO PUBLIC;
         ALTER TABLE counted ALTER at SET DEFAULT 8;
         SELECT setval('numbers', 60);
         SELECT setval('counted_id_seq', -4);
         ALTER TABLE hidden DISABLE ROW LEVEL SECURITY;
         CREATE TABLE surplus (id int);
         DROP TABLE gone;",
    )
    .await;
    let report = verified(&request).await;
    let told: Vec<String> = report.verification.catalog.iter().map(ToString::to_string).collect();
    for expected in [
        "INDEX public.changed_secret is missing",
        "missing checked",
        "FK CONSTRAINT public.added added_id_fkey differs",
        "TABLE public.untouched belongs to master instead of store",
        "ACL public.TABLE changed is on the target only",
        "TABLE public.counted differs",
        "SEQUENCE SET public.numbers differs:\n    expected: at 70\n    found:    at 60",
        "SEQUENCE SET public.counted_id_seq differs",
        "ROW SECURITY public.hidden is missing",
        "TABLE public.surplus is on the target only",
        "TABLE public.gone is missing",
    ] {
        assert!(told.iter().any(|text| text.contains(expected)), "{expected}: {told:#?}");
    }
    let unread = |verdict: &TableVerdict| matches!(verdict, TableVerdict::Unread { table } if table.name == "gone");
    assert!(report.verification.tables.iter().any(unread), "{:#?}", report.verification.tables);
    assert!(report.verification.located.is_empty(), "{:#?}", report.verification.located);
}

#[tokio::test(flavor = "multi_thread")]
async fn verifying_as_a_master_who_owns_nothing_leaves_no_membership_behind() {
    for major in [15, 17] {
        let (_source, target, request) = store(major).await;
        let memberships = "SELECT coalesce(string_agg(concat_ws(' ', roleid::regrole, \
            member::regrole, admin_option), ', ' ORDER BY oid_of), '') FROM (SELECT *, \
            roleid::text AS oid_of FROM pg_auth_members \
            WHERE roleid = 'store'::regrole) m";
        let before = trial::ask(&target, "store", memberships).await;
        let refused = kit::session(&target.conninfo("store")).await;
        let read = refused.query("reading", "SELECT 1 FROM public.changed LIMIT 1", &[]).await;
        assert!(read.is_err(), "{major}: the master reads what isn't its own");
        let report = verified(&request).await;
        assert!(report.verification.is_clean(), "{major}: {:#?}", report.verification);
        assert_eq!(trial::ask(&target, "store", memberships).await, before, "{major}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_lost_on_the_way_shows_in_the_migrations_own_report() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::rds_like(15));
    trial::make_database(&source, "store", STORE).await;
    let request = Request { jobs: Some(1), ..request(&source, &target, &["store"]) };
    let copied = |event: &Event| match event {
        Event::StepFinished { phase, .. } => *phase == commands::Phase::Data,
        _ => false,
    };
    let first = trial::interrupt(&request, copied).await;
    assert_eq!(first.error().kind(), Kind::Interrupted, "{}", first.error());
    let lose = "DELETE FROM missing WHERE a = 500; UPDATE missing SET secret = 'x' WHERE a = 7";
    trial::change(&target, "store", lose).await;
    let watched = trial::run(&request).await;
    if let Err(error) = &watched.ended {
        panic!("{error}");
    }
    let report = &watched.reports[0];
    assert_eq!(counts(report, "missing"), Some((1000, 999)));
    let told = located(report, "missing");
    assert!(told.contains("1 row missing on the target, a, b (500, b500)"), "{told}");
    assert!(told.contains("1 row with other values, a, b (7, b7)"), "{told}");
    let sealed = "SELECT (sealed_at IS NOT NULL)::text FROM pgconvoy.job";
    assert_eq!(trial::ask(&target, "store", sealed).await, "false");

    // Mended by hand, the table is read again, and the job comes to its end.
    let mend = "INSERT INTO missing (a, b, secret) VALUES (500, 'b500', 'secret 500'); \
                UPDATE missing SET secret = 'secret 7' WHERE a = 7";
    trial::change(&target, "store", mend).await;
    trial::run(&request).await.clean();
    assert_eq!(trial::ask(&target, "store", sealed).await, "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_that_a_migration_gave_extensions_are_no_difference_afterwards() {
    let (source, target) = (kit::bundled(15).await, kit::bundled(18).await);
    trial::make_database(&source, "shop", "").await;
    let sql = "CREATE EXTENSION citext; COMMENT ON EXTENSION citext IS 'ours'; \
               COMMENT ON EXTENSION plpgsql IS 'ours, too'";
    trial::change(&source, "shop", sql).await;
    let request = request(&source, &target, &["shop"]);
    moved(&request).await;
    let report = verified(&request).await;
    assert!(report.verification.is_clean(), "{:#?}", report.verification);
    let comments = "SELECT string_agg(obj_description(oid, 'pg_extension'), ' ' ORDER BY extname) \
                    FROM pg_extension";
    assert_eq!(trial::ask(&target, "shop", comments).await, "ours ours, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_renders_otherwise_once_it_is_restored_is_no_difference() {
    let written = "
        CREATE DOMAIN size AS varchar CHECK (VALUE IN ('S', 'M'));
        CREATE TABLE orders (id int PRIMARY KEY, state varchar DEFAULT 'new', size size,
            flag text GENERATED ALWAYS AS (CASE WHEN state IN ('new', 'old') THEN 'n' END) STORED,
            CONSTRAINT known CHECK (state IN ('new', 'paid')),
            CONSTRAINT late CHECK (state IN ('new', 'paid', 'odd')) NOT VALID);
        CREATE INDEX open_orders ON orders (id) WHERE state IN ('new', 'paid');
        CREATE POLICY few ON orders USING (state IN ('new', 'old'));
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
        CREATE TRIGGER tr BEFORE UPDATE ON orders FOR EACH ROW
            WHEN (OLD.state IN ('new', 'old')) EXECUTE FUNCTION f();
        CREATE VIEW parts AS SELECT q.* FROM (SELECT id, state FROM orders
            UNION ALL SELECT NULL, 'none' UNION ALL SELECT 0, NULL) AS q
            WHERE state IN ('new', 'old');
        CREATE VIEW within AS SELECT id FROM orders WHERE id BETWEEN 1 AND 9 AND state = 'new';
        CREATE VIEW beside AS SELECT * FROM orders NATURAL LEFT JOIN (SELECT 1 AS one) AS o;
        CREATE RULE r AS ON INSERT TO parts WHERE NEW.state IN ('new', 'old') DO INSTEAD NOTHING;
        CREATE COLLATION numbered (provider = icu, locale = '@colNumeric=yes;colCaseFirst=lower');
        INSERT INTO orders VALUES (1, 'new', 'S');";
    let source = kit::bundled(15).await;
    trial::make_database(&source, "store", written).await;
    for major in [15, 18] {
        let target = kit::bundled(major).await;
        let request = request(&source, &target, &["store"]);
        trial::run(&request).await.clean();
        let report = verified(&request).await;
        assert_eq!(report.verification.catalog, [], "{major}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn arrays_that_had_a_null_once_are_no_difference() {
    let (source, target) = (kit::bundled(15).await, kit::bundled(15).await);
    let arrays = "CREATE TABLE arrays (id int PRIMARY KEY, a int[]);
        INSERT INTO arrays SELECT i, '{1,NULL,3}' FROM generate_series(1, 3) i;
        UPDATE arrays SET a[2] = 2 WHERE id < 3;";
    trial::make_database(&source, "store", arrays).await;
    let request = request(&source, &target, &["store"]);
    let reports = moved(&request).await;
    let notes = &reports[0].verification.notes;
    assert_eq!(notes, &["the rows of public.arrays differ in binary form only"]);
    trial::change(&target, "store", "UPDATE arrays SET a[2] = 7 WHERE id = 2").await;
    let report = verified(&request).await;
    assert_eq!(located(&report, "arrays"), "public.arrays: 1 row with other values, id (2)");
}
