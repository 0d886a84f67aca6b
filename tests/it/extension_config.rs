//! Extensions' configuration tables: the users' rows of them move, in the order that foreign keys
//! ask for, and nothing of what the extension brings is lost.

use pgconvoy::commands::Event;
use pgconvoy::error::Kind;

use crate::migration::request;
use crate::{kit, trial};

/// What a script of an extension would have made: tables that refer to each other against the
/// order of their names, one of whose rows the extension brings some itself, and a sequence.
const SCRIPT: &str = "
    CREATE EXTENSION citext;
    CREATE TABLE z_kinds (name text PRIMARY KEY, builtin bool NOT NULL DEFAULT false);
    INSERT INTO z_kinds VALUES ('number', true), ('text', true);
    CREATE TABLE m_things (id int PRIMARY KEY, kind text REFERENCES z_kinds, up int REFERENCES m_things);
    CREATE TABLE a_links (thing int NOT NULL REFERENCES m_things);
    CREATE SEQUENCE ids;
    ALTER EXTENSION citext ADD TABLE z_kinds;
    ALTER EXTENSION citext ADD TABLE m_things;
    ALTER EXTENSION citext ADD TABLE a_links;
    ALTER EXTENSION citext ADD SEQUENCE ids;
    SET allow_system_table_mods = on;
    UPDATE pg_catalog.pg_extension SET
        extconfig = ARRAY['a_links'::regclass, 'm_things'::regclass, 'z_kinds'::regclass,
                          'ids'::regclass]::oid[],
        extcondition = ARRAY['', '', 'WHERE NOT builtin', ''] WHERE extname = 'citext';
    RESET allow_system_table_mods;
";

const ROWS: &str = "
    INSERT INTO z_kinds VALUES ('mine'), ('yours');
    INSERT INTO m_things VALUES (2, 'mine', null), (1, 'number', 2);
    INSERT INTO a_links VALUES (1), (2), (2);
    SELECT setval('ids', 70);
    CREATE TABLE others (id int PRIMARY KEY, thing int REFERENCES m_things);
    INSERT INTO others SELECT i, 1 FROM generate_series(1, 100) i;
";

#[tokio::test(flavor = "multi_thread")]
async fn configuration_tables_move_in_the_order_of_their_foreign_keys() {
    for (from, to) in [(13, 15), (18, 18)] {
        let (source, target) = tokio::join!(kit::bundled(from), kit::bundled(to));
        for server in [&source, &target] {
            let session = server.superuser_session("postgres").await.unwrap();
            session.execute("making a database", "CREATE DATABASE shop").await.unwrap();
        }
        trial::change(&source, "shop", &format!("{SCRIPT}{ROWS}")).await;
        trial::change(&target, "shop", SCRIPT).await;
        let mut request = request(&source, &target, &["shop"]);
        request.jobs = Some(1);

        let first = trial::interrupt(&request, |event| {
            matches!(event, Event::StepFinished { title, .. } if title.contains("tables from"))
        })
        .await;
        assert_eq!(first.error().kind(), Kind::Interrupted, "{}", first.error());
        // A row that others refer to goes, and they with it: all are copied anew.
        let change = "UPDATE m_things SET kind = 'yours' WHERE id = 2; \
                      DELETE FROM z_kinds WHERE name = 'mine';";
        trial::change(&source, "shop", change).await;

        let second = trial::run(&request).await;
        second.clean();
        trial::assert_same_rows(&source, &target, "shop").await;
        let value = "SELECT last_value::text FROM public.ids";
        assert_eq!(trial::ask(&target, "shop", value).await, "70");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn composite_types_of_an_extension_are_the_extensions() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::rds_like(15));
    let sql = "CREATE EXTENSION tablefunc; \
               CREATE VIEW three AS SELECT * FROM crosstab3('VALUES (''r'', ''k'', ''v'')');";
    trial::make_database(&source, "shop", sql).await;
    trial::run(&request(&source, &target, &["shop"])).await.clean();
    assert_eq!(trial::ask(&target, "shop", "SELECT category_1 FROM public.three").await, "v");
}

/// More tables that foreign keys bind than are emptied at once otherwise.
const MANY: &str = "
    CREATE EXTENSION citext;
    CREATE TABLE kinds (n int PRIMARY KEY);
    DO $$ BEGIN
        FOR i IN 100..220 LOOP
            EXECUTE format('CREATE TABLE public.of_%s (kind int REFERENCES public.kinds)', i);
            EXECUTE format('ALTER EXTENSION citext ADD TABLE public.of_%s', i);
        END LOOP;
    END $$;
    ALTER EXTENSION citext ADD TABLE kinds;
    SET allow_system_table_mods = on;
    UPDATE pg_catalog.pg_extension SET
        extconfig = ARRAY(SELECT oid FROM pg_class WHERE relname ~ '^(kinds|of_...)$' ORDER BY relname),
        extcondition = array_fill(''::text, ARRAY[122]) WHERE extname = 'citext';
    RESET allow_system_table_mods;
";

const ROWS_OF_MANY: &str = "
    INSERT INTO kinds VALUES (1), (2);
    DO $$ BEGIN
        FOR i IN 100..220 LOOP
            EXECUTE format('INSERT INTO public.of_%s VALUES (1)', i);
        END LOOP;
    END $$;
    CREATE TABLE others (id int);
    INSERT INTO others VALUES (1);
";

#[tokio::test(flavor = "multi_thread")]
async fn configuration_tables_bound_by_foreign_keys_are_emptied_together_however_many() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    for server in [&source, &target] {
        let session = server.superuser_session("postgres").await.unwrap();
        session.execute("making a database", "CREATE DATABASE shop").await.unwrap();
        trial::change(server, "shop", MANY).await;
    }
    trial::change(&source, "shop", ROWS_OF_MANY).await;
    let mut request = request(&source, &target, &["shop"]);
    request.jobs = Some(1);
    let first = trial::interrupt(&request, |event| {
        matches!(event, Event::StepFinished { title, .. } if title.contains("122 tables from"))
    })
    .await;
    assert_eq!(first.error().kind(), Kind::Interrupted, "{}", first.error());
    trial::change(&source, "shop", "UPDATE of_200 SET kind = 2").await;
    let second = trial::run(&request).await;
    second.clean();
    assert!(second.notes().contains("copying it anew"), "{}", second.notes());
    trial::assert_same_rows(&source, &target, "shop").await;
}

/// The extension brings a row that its own trigger lets nobody delete.
const GUARDED: &str = "
    CREATE EXTENSION citext;
    CREATE TABLE settings (name text PRIMARY KEY, value int);
    INSERT INTO settings VALUES ('brought', 1);
    CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE TRIGGER kept BEFORE DELETE ON settings FOR EACH ROW EXECUTE FUNCTION keep();
    ALTER EXTENSION citext ADD TABLE settings;
    ALTER EXTENSION citext ADD FUNCTION keep();
    SET allow_system_table_mods = on;
    UPDATE pg_catalog.pg_extension SET extconfig = ARRAY['settings'::regclass]::oid[],
        extcondition = ARRAY[''] WHERE extname = 'citext';
    RESET allow_system_table_mods;
";

#[tokio::test(flavor = "multi_thread")]
async fn an_extensions_own_triggers_do_not_fire_when_its_table_is_emptied() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    for server in [&source, &target] {
        let session = server.superuser_session("postgres").await.unwrap();
        session.execute("making a database", "CREATE DATABASE shop").await.unwrap();
        trial::change(server, "shop", GUARDED).await;
    }
    trial::change(&source, "shop", "UPDATE settings SET value = 2").await;
    trial::run(&request(&source, &target, &["shop"])).await.clean();
    trial::assert_same_rows(&source, &target, "shop").await;
}
