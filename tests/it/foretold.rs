//! What would fail midway is moved all the same, or told before anything is touched.

use std::time::Duration;

use pgconvoy::commands::{Event, check};
use pgconvoy::servers::{Cluster, Spec};

use crate::migration::request;
use crate::trial::{ask, assert_same_rows, change, harm, make_database, run};
use crate::{kit, pg_dump};

#[tokio::test(flavor = "multi_thread")]
async fn what_only_superusers_own_and_an_owner_who_is_none_any_more_part_and_that_is_told() {
    let (source, target) = (kit::bundled(15).await, kit::bundled(15).await);
    make_database(&source, "shop", "").await;
    change(
        &source,
        "shop",
        "CREATE ROLE retired SUPERUSER; CREATE FOREIGN DATA WRAPPER w;
         ALTER FOREIGN DATA WRAPPER w OWNER TO retired;
         CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
         CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f();
         ALTER EVENT TRIGGER e OWNER TO retired; ALTER ROLE retired NOSUPERUSER",
    )
    .await;
    let watched = run(&request(&source, &target, &["shop"])).await;
    let told = format!("{:?}", watched.clean().changes);
    for object in ["FOREIGN DATA WRAPPER w", "EVENT TRIGGER e"] {
        assert!(told.contains(object), "{object}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn public_is_what_it_is_on_the_source_whichever_side_had_dropped_it() {
    for major in [13, 15] {
        let (source, target) = (kit::bundled(major).await, kit::bundled(major).await);
        make_database(&source, "usual", "").await;
        make_database(&source, "made_anew", "").await;
        change(&source, "made_anew", "DROP SCHEMA public; CREATE SCHEMA public").await;
        for (database, dropped) in [("usual", true), ("made_anew", false), ("made_anew", true)] {
            let first = target.superuser_conninfo("postgres");
            kit::run(&first, &format!("DROP DATABASE IF EXISTS {database}")).await;
            kit::run(&first, &format!("CREATE DATABASE {database}")).await;
            if dropped {
                change(&target, database, "DROP SCHEMA public").await;
            }
            run(&request(&source, &target, &[database])).await.clean();
            let (ours, theirs) =
                (pg_dump::schema(&source, database), pg_dump::schema(&target, database));
            pg_dump::assert_equal(&ours, &theirs, database);
        }
    }
}

/// The objects that something is said of before the job, each with what is said.
pub(crate) async fn told(source: &Cluster, target: &Cluster, database: &str) -> Vec<String> {
    let checked = check(&request(source, target, &[database])).await.unwrap();
    let findings = checked.into_iter().flat_map(|checked| checked.findings);
    findings.map(|f| format!("{:?} {}: {}", f.severity, f.object, f.what)).collect()
}

pub(crate) fn assert_tells(told: &[String], beginning: &str) {
    assert!(told.iter().any(|line| line.starts_with(beginning)), "{beginning}: {told:#?}");
}

/// What an old server takes of tables, keys and routines, and newer ones don't.
const OLD_WAYS: &str = "
    CREATE TABLE plain (a int, b int);
    CREATE TABLE generated (a int, b int GENERATED ALWAYS AS (a * 2) STORED) INHERITS (plain);
    CREATE TABLE parted (a int NOT NULL, b int) PARTITION BY RANGE (a);
    CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (10);
    ALTER TABLE part ALTER a ADD GENERATED ALWAYS AS IDENTITY;
    CREATE TABLE strict (a int NOT NULL);
    CREATE TABLE lax (own int) INHERITS (strict); ALTER TABLE lax ALTER a DROP NOT NULL;
    CREATE TABLE laxer () INHERITS (lax); INSERT INTO lax VALUES (NULL, 1), (2, NULL);
    INSERT INTO laxer VALUES (NULL, 3); INSERT INTO strict VALUES (1);
    CREATE FUNCTION opaque() RETURNS opaque LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
    CREATE AGGREGATE gathered (anyelement) (SFUNC = array_append, STYPE = anyarray);
    CREATE OPERATOR ||| (FUNCTION = array_append, LEFTARG = anyarray, RIGHTARG = anyelement);
    CREATE OPERATOR === (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int);
    CREATE OPERATOR =#= (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int, COMMUTATOR = ===);
    CREATE OPERATOR =##= (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int, COMMUTATOR = ===);
    CREATE OPERATOR =###= (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int, COMMUTATOR = ===);";

#[tokio::test(flavor = "multi_thread")]
async fn what_newer_servers_refuse_moves_between_old_ones_and_is_told_before_others() {
    let (source, old, new) = tokio::join!(kit::bundled(12), kit::bundled(12), kit::bundled(18));
    make_database(&source, "shop", OLD_WAYS).await;
    run(&request(&source, &old, &["shop"])).await.clean();
    assert_same_rows(&source, &old, "shop").await;
    let told = told(&source, &new, "shop").await;
    for table in ["generated", "part", "lax", "laxer"] {
        assert_tells(&told, &format!("Refusal rows of TABLE public.{table}:"));
    }
    for object in ["FUNCTION public.opaque()", "AGGREGATE public.gathered(", "OPERATOR public.|||"]
    {
        assert_tells(&told, &format!("Change {object}"));
    }
    assert_tells(&told, "Change OPERATOR public.=###=");
    let kept = ["public.strict", "public.===", "public.=#=", "public.=##="];
    let kept = |line: &String| kept.iter().any(|name| line.contains(name));
    assert!(!told.iter().any(kept), "{told:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn public_under_another_name_and_owner_keeps_its_grants() {
    let (source, target) = (kit::bundled(12).await, kit::bundled(18).await);
    make_database(&source, "shop", "").await;
    let sql = "CREATE ROLE keeper; ALTER SCHEMA public RENAME TO was_public;
         ALTER SCHEMA was_public OWNER TO keeper";
    change(&source, "shop", sql).await;
    run(&request(&source, &target, &["shop"])).await.clean();
    let grants = "SELECT nspacl::text FROM pg_namespace WHERE nspname = 'was_public'";
    let ours = ask(&source, "shop", grants).await;
    assert_eq!(ask(&target, "shop", grants).await, ours);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_no_server_reads_are_refused_by_their_table_and_their_nulls_move() {
    let (source, target) = (kit::bundled(15).await, kit::bundled(18).await);
    let shapes = "CREATE VIEW v AS SELECT 1 AS n; CREATE TYPE pair AS (x int, tree pg_node_tree);
         CREATE TABLE empty (tree pg_node_tree, p pair, m pg_mcv_list);
         INSERT INTO empty VALUES (NULL, NULL, NULL);";
    make_database(&source, "nulls", shapes).await;
    run(&request(&source, &target, &["nulls"])).await.clean();
    let values = "CREATE TABLE trees AS SELECT ev_action AS tree FROM pg_rewrite
             WHERE ev_class = 'v'::regclass;
         CREATE TABLE pairs AS SELECT ARRAY[row(1, tree)::pair] AS ps FROM trees;";
    make_database(&source, "trees", &format!("{shapes} {values}")).await;
    let told = told(&source, &target, "trees").await;
    assert_tells(&told, "Refusal rows of TABLE public.trees:");
    assert_tells(&told, "Refusal rows of TABLE public.pairs:");
    assert!(!told.iter().any(|line| line.contains("TABLE public.empty")), "{told:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_holds_what_lies_in_no_table_is_not_empty() {
    let (source, target) = (kit::bundled(15).await, kit::bundled(15).await);
    make_database(&source, "shop", "").await;
    make_database(&target, "shop", "").await;
    change(
        &target,
        "shop",
        "CREATE OPERATOR CLASS c FOR TYPE int USING btree AS FUNCTION 1 btint4cmp(int, int);
         CREATE TEXT SEARCH PARSER p (START = prsd_start, GETTOKEN = prsd_nexttoken,
             END = prsd_end, LEXTYPES = prsd_lextype);
         CREATE TEXT SEARCH TEMPLATE t (LEXIZE = dsimple_lexize);
         CREATE ACCESS METHOD a TYPE TABLE HANDLER heap_tableam_handler;
         CREATE SUBSCRIPTION s CONNECTION 'dbname=x' PUBLICATION p WITH (connect = false);
         CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
         CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f();",
    )
    .await;
    let told = told(&source, &target, "shop").await.join("\n");
    for object in [
        "operator class public.c",
        "text search parser public.p",
        "text search template public.t",
        "access method a",
        "subscription s",
        "event trigger e",
    ] {
        assert!(told.contains(object), "{object}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_somebody_keeps_locked_ends_the_job_by_its_name_with_the_session_to_blame() {
    let few = Spec::bundled().major(15).setting("max_locks_per_transaction", "10");
    let (source, target) =
        (kit::start(few.setting("max_connections", "20")).await, kit::bundled(15).await);
    let tables: String = (0..300).map(|n| format!("CREATE TABLE t{n} (n int);")).collect();
    make_database(&source, "shop", "").await;
    for some in tables.split_inclusive(';').collect::<Vec<_>>().chunks(50) {
        change(&source, "shop", &some.concat()).await;
    }
    let holder = source.superuser_session("shop").await.unwrap();
    let pid: i32 =
        holder.query_one("asking who we are", "SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let planned = |event: &Event| matches!(event, Event::Planned { .. });
    let request = request(&source, &target, &["shop"]);
    let moving = harm(&request, planned, || async {
        let lock = "BEGIN; LOCK TABLE public.t7 IN ACCESS EXCLUSIVE MODE";
        holder.execute("keeping a table locked", lock).await.unwrap();
    });
    let watched = tokio::time::timeout(Duration::from_secs(150), moving).await.unwrap();
    let error = watched.error().to_string();
    assert!(error.contains("public.t7") && error.contains(&format!("pid {pid}")), "{error}");
    holder.execute("letting go", "ROLLBACK").await.unwrap();
    run(&request).await.clean();
    assert_eq!(ask(&target, "shop", "SELECT count(*)::text FROM public.t7").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_too_long_for_the_plain_storage_that_their_column_got_later_move() {
    let (source, target) = (kit::bundled(15).await, kit::bundled(15).await);
    make_database(
        &source,
        "shop",
        "CREATE TABLE wide (id int PRIMARY KEY, t text, b bytea);
         INSERT INTO wide SELECT i, string_agg(md5(i::text || j), ''), repeat('x', 99999)::bytea
             FROM generate_series(1, 3) i, generate_series(1, 600) j GROUP BY 1;
         ALTER TABLE wide ALTER t SET STORAGE PLAIN, ALTER b SET STORAGE PLAIN;
         CREATE TABLE above (id int, t text); ALTER TABLE above ALTER t SET STORAGE PLAIN;
         CREATE TABLE below () INHERITS (above);
         ALTER TABLE below ALTER t SET STORAGE EXTENDED; INSERT INTO below SELECT id, t FROM wide;
         CREATE TABLE below_too () INHERITS (above); CREATE TABLE small (t text, a int[]);
         ALTER TABLE small ALTER t SET STORAGE PLAIN, ALTER a SET STORAGE PLAIN;
         CREATE TABLE parted (id int, t text) PARTITION BY RANGE (id);
         CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (9);
         INSERT INTO parted SELECT id, t FROM wide; ALTER TABLE parted ALTER t SET STORAGE PLAIN;",
    )
    .await;
    run(&request(&source, &target, &["shop"])).await.clean();
    assert_same_rows(&source, &target, "shop").await;
    let (ours, theirs) = (pg_dump::schema(&source, "shop"), pg_dump::schema(&target, "shop"));
    pg_dump::assert_equal(&ours, &theirs, "shop");
}

/// Names that were no words of SQL yet, wherever a server renders them.
const NEWER_WORDS: &str = "
    CREATE TABLE t (id int PRIMARY KEY, system_user text DEFAULT 'me', json json, json_value int,
        CONSTRAINT own CHECK (system_user <> 'nobody' AND json IS NOT NULL AND json_value > 0));
    INSERT INTO t VALUES (1, 'me', '{}', 1);
    CREATE INDEX ON t (lower(system_user), (json_value + 1)) WHERE system_user <> '';
    CREATE VIEW v AS SELECT system_user, json, json_value AS json_table FROM t;
    CREATE MATERIALIZED VIEW m AS SELECT json.system_user FROM t json;
    CREATE POLICY p ON t USING (system_user = current_user);
    CREATE RULE r AS ON UPDATE TO v DO INSTEAD UPDATE t SET system_user = new.system_user;
    CREATE TYPE merge_action AS (json_array int);
    CREATE FUNCTION f(json json, json_object merge_action, OUT system_user text)
        LANGUAGE sql AS $$ SELECT $1::text $$;
    CREATE FUNCTION g(json int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT json + 1; END;
    CREATE FUNCTION h() RETURNS TABLE (json int, json_scalar int) LANGUAGE sql
        BEGIN ATOMIC SELECT g(json => 1), 2; END;
    CREATE PROCEDURE q(json text) LANGUAGE sql AS '';
    CREATE AGGREGATE a (json int) (SFUNC = int4pl, STYPE = int);
    CREATE ROLE words_reader; COMMENT ON FUNCTION f(json, merge_action) IS 'json';
    REVOKE ALL ON FUNCTION f, h FROM PUBLIC; GRANT EXECUTE ON FUNCTION g TO words_reader;
    COMMENT ON PROCEDURE q IS 'q'; COMMENT ON AGGREGATE a(int) IS 'a';
    ALTER FUNCTION f OWNER TO words_reader; ALTER PROCEDURE q OWNER TO words_reader;";

#[tokio::test(flavor = "multi_thread")]
async fn names_that_newer_servers_take_for_words_of_sql_stay_names() {
    let (source, target) = (kit::bundled(15).await, kit::bundled(18).await);
    make_database(&source, "shop", "").await;
    change(&source, "shop", NEWER_WORDS).await;
    run(&request(&source, &target, &["shop"])).await.clean();
    assert_same_rows(&source, &target, "shop").await;
    for view in ["v", "m"] {
        let read = format!("SELECT \"system_user\" FROM public.{view}");
        assert_eq!(ask(&target, "shop", &read).await, "me");
    }
}

/// What uses functions, operators, catalogs and columns that servers of 13 have, and what uses those
/// that no later one took away.
const OF_13: &str = "
    CREATE VIEW backing AS SELECT pg_is_in_backup() AS now;
    CREATE VIEW old_ids AS SELECT datlastsysoid FROM pg_database;
    CREATE TABLE t (n numeric DEFAULT factorial(3), b box, at boolean DEFAULT pg_is_in_backup(),
        CONSTRAINT small CHECK (n > 0));
    CREATE TABLE u (b box, CONSTRAINT within CHECK (b @ '((0,0),(9,9))'));
    CREATE VIEW fine AS SELECT a.usename, d.datname, array_append('{1}'::int[], 2) || 3 AS list,
        sum(b.buffers_alloc) AS n, get_bit('x'::bytea, 1) FROM pg_stat_activity a
        JOIN pg_database d USING (datname), pg_stat_bgwriter b GROUP BY 1, 2;";

#[tokio::test(flavor = "multi_thread")]
async fn what_uses_what_newer_servers_have_no_more_is_refused_by_its_name() {
    let (source, target) = (kit::bundled(13).await, kit::bundled(15).await);
    make_database(&source, "shop", OF_13).await;
    let said = told(&source, &target, "shop").await;
    for beginning in [
        "Refusal VIEW public.backing: uses pg_catalog.pg_is_in_backup(), which PostgreSQL 15 doesn't",
        "Refusal VIEW public.old_ids: uses pg_catalog.pg_database.datlastsysoid, which",
        "Refusal TABLE public.t: uses pg_catalog.pg_is_in_backup() in its default of column at",
        "Refusal TABLE public.u: uses the operator box @ box in its constraint within",
    ] {
        assert_tells(&said, beginning);
    }
    let gone = |line: &&String| line.contains("doesn't have");
    assert_eq!(said.iter().filter(gone).count(), 4, "{said:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_of_the_systems_views_that_are_gone_are_found_wherever_they_are_read() {
    let (source, target) = (kit::bundled(15).await, kit::bundled(18).await);
    let reads = "
        CREATE VIEW written AS SELECT w.checkpoints_timed FROM pg_stat_bgwriter w;
        CREATE MATERIALIZED VIEW kept AS SELECT * FROM pg_stat_bgwriter;
        CREATE FUNCTION asked(n int DEFAULT 1) RETURNS bigint LANGUAGE sql
            BEGIN ATOMIC SELECT checkpoints_req FROM pg_stat_bgwriter; END;
        CREATE TABLE t (n int); ALTER TABLE t ENABLE ROW LEVEL SECURITY;
        CREATE POLICY p ON t USING (n > (SELECT buffers_backend FROM pg_stat_bgwriter));
        CREATE RULE r AS ON DELETE TO t DO ALSO SELECT attcacheoff FROM pg_attribute;
        CREATE VIEW fine AS SELECT buffers_alloc, a.* FROM pg_stat_bgwriter, pg_stat_activity a;";
    make_database(&source, "shop", reads).await;
    let said = told(&source, &target, "shop").await;
    let bgwriter = "uses pg_catalog.pg_stat_bgwriter.";
    for beginning in [
        format!("Refusal VIEW public.written: {bgwriter}checkpoints_timed, which PostgreSQL 18"),
        format!("Refusal MATERIALIZED VIEW public.kept: {bgwriter}buffers_backend, pg_"),
        format!("Refusal FUNCTION public.asked(integer): {bgwriter}checkpoints_req in its body"),
        format!("Refusal TABLE public.t: {bgwriter}buffers_backend in its policy p"),
        "Refusal TABLE public.t: uses pg_catalog.pg_attribute.attcacheoff in its rule r".to_owned(),
    ] {
        assert_tells(&said, &beginning);
    }
    assert!(!said.iter().any(|line| line.contains("public.fine")), "{said:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_closed_to_the_target_user_after_its_job_says_what_lets_it_in() {
    let (source, target) = (kit::bundled(15).await, kit::rds_like(15).await);
    make_database(&source, "shop", "CREATE TABLE public.t (n int)").await;
    change(&source, "shop", "REVOKE CONNECT ON DATABASE shop FROM PUBLIC").await;
    let request = request(&source, &target, &["shop"]);
    run(&request).await.clean();
    let error = run(&request).await.error().to_string();
    assert!(error.contains("GRANT CONNECT ON DATABASE \"shop\" TO \"master\""), "{error}");
    assert!(error.contains("finished"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_that_only_the_superuser_is_a_member_of_stay_where_they_are() {
    let (source, target) = (kit::bundled(16).await, kit::bundled(16).await);
    make_database(&source, "shop", "CREATE TABLE public.t (n int)").await;
    let roles = "CREATE ROLE unused; CREATE ROLE used; GRANT unused, used TO postgres;
                 CREATE TABLE public.of_postgres (n int); GRANT SELECT ON of_postgres TO used;";
    change(&source, "shop", roles).await;
    run(&request(&source, &target, &["shop"])).await.clean();
    let there = "SELECT string_agg(rolname, ' ' ORDER BY 1) FROM pg_roles \
                 WHERE rolname IN ('used', 'unused')";
    assert_eq!(ask(&target, "shop", there).await, "used");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_among_the_systems_own_is_refused_where_only_its_array_is_needed() {
    let (source, target) = (kit::bundled(15).await, kit::bundled(15).await);
    make_database(&source, "shop", "").await;
    change(
        &source,
        "shop",
        "CREATE TYPE information_schema.pair AS (a int); CREATE TYPE information_schema.idle AS (a int);
         CREATE TABLE public.t (p information_schema.pair[]);",
    )
    .await;
    let told = told(&source, &target, "shop").await;
    assert_tells(&told, "Refusal composite type information_schema.pair");
    assert_tells(&told, "Change composite type information_schema.idle");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_with_room_for_few_locks_has_its_sequences_read_few_at_a_time() {
    let few = Spec::bundled().major(15).setting("max_locks_per_transaction", "10");
    let spec = few.setting("max_connections", "20");
    let (source, target) = (kit::start(spec).await, kit::bundled(15).await);
    make_database(&source, "shop", "").await;
    let session = source.superuser_session("shop").await.unwrap();
    for number in 0..400 {
        let sql = format!("CREATE SEQUENCE public.s{number}");
        session.execute("making sequences", &sql).await.unwrap();
    }
    // Others have taken nearly all that the lock table has; reading the catalog takes some 200.
    let mut held = 0;
    session.execute("taking locks", "BEGIN").await.unwrap();
    while held < 2000 {
        let lock = format!("SELECT pg_catalog.pg_advisory_xact_lock({held})");
        if session.execute("taking locks", &format!("SAVEPOINT s; {lock}")).await.is_err() {
            break;
        }
        held += 1;
    }
    let leave = format!(
        "ROLLBACK TO SAVEPOINT s; ROLLBACK; BEGIN; SELECT pg_catalog.pg_advisory_xact_lock(n) \
         FROM pg_catalog.generate_series(1, {}) n",
        held - 300
    );
    session.execute("leaving room", &leave).await.unwrap();
    let checked = check(&request(&source, &target, &["shop"])).await.unwrap();
    assert_eq!(checked[0].stopping(false).count(), 0, "{:#?}", checked[0].findings);
}

/// A key whose shares the server named around others, and these others.
const NUMBERED_KEYS: &str = "
    CREATE TABLE plain (id int PRIMARY KEY);
    CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY LIST (id);
    CREATE TABLE t (a int, b int);
    ALTER TABLE t ADD CONSTRAINT t_a_fkey1 FOREIGN KEY (b) REFERENCES plain,
        ADD CONSTRAINT t_a_fkey_1 FOREIGN KEY (b) REFERENCES plain,
        ADD CONSTRAINT t_a_fkey3 FOREIGN KEY (a) REFERENCES parted,
        ADD CONSTRAINT t_a_fkey FOREIGN KEY (a) REFERENCES parted;
    CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
    CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
    CREATE TABLE u (a int) PARTITION BY LIST (a);
    CREATE TABLE u_1 PARTITION OF u FOR VALUES IN (1);
    ALTER TABLE u_1 ADD CONSTRAINT u_a_fkey FOREIGN KEY (a) REFERENCES plain;
    ALTER TABLE u ADD CONSTRAINT u_a_fkey FOREIGN KEY (a) REFERENCES plain ON DELETE CASCADE;
    INSERT INTO plain VALUES (1); INSERT INTO parted VALUES (1); INSERT INTO u VALUES (1);
    INSERT INTO t VALUES (1, 1);";

#[tokio::test(flavor = "multi_thread")]
async fn keys_keep_their_names_from_the_server_that_names_their_shares() {
    for major in [15, 18] {
        let (source, target) = (kit::bundled(15).await, kit::rds_like(major).await);
        make_database(&source, "shop", NUMBERED_KEYS).await;
        run(&request(&source, &target, &["shop"])).await.clean();
        let left =
            "SELECT count(*)::text FROM pg_class WHERE relname ~ 'pgconvoy' AND relkind = 'r'";
        assert_eq!(ask(&target, "shop", left).await, "0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_and_comments_on_a_ranges_constructors_are_told_where_no_superuser_gives_them() {
    let (source, target) = (kit::bundled(15).await, kit::rds_like(18).await);
    let constructor = "FUNCTION public.span(double precision, double precision)";
    let sql = format!(
        "CREATE TYPE public.span AS RANGE (subtype = float8);
         RESET ROLE; REVOKE EXECUTE ON {constructor} FROM PUBLIC;
         COMMENT ON {constructor} IS 'from, to'"
    );
    make_database(&source, "shop", &sql).await;
    let told = told(&source, &target, "shop").await;
    let tag = "public.FUNCTION span(double precision, double precision)";
    for kind in ["ACL", "COMMENT"] {
        assert_tells(&told, &format!("Change {kind} {tag}: left out, as a range's constructors"));
    }
    run(&request(&source, &target, &["shop"])).await.clean();
    let public = "SELECT has_function_privilege('public', 'public.span(float8,float8)', 'EXECUTE')";
    assert_eq!(ask(&target, "shop", &format!("SELECT ({public})::text")).await, "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_that_the_target_lacks_is_refused_with_the_functions_made_of_it() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    make_database(&source, "shop", "").await;
    change(
        &source,
        "shop",
        "CREATE FUNCTION there(text) RETURNS text LANGUAGE c AS '$libdir/unaccent', 'unaccent_dict';
         CREATE FUNCTION lost(text) RETURNS text LANGUAGE c AS '$libdir/unaccent', 'unaccent_dict';
         UPDATE pg_proc SET probin = '$libdir/of_our_own' WHERE proname = 'lost'",
    )
    .await;
    let told = told(&source, &target, "shop").await;
    assert_tells(&told, "Refusal library $libdir/of_our_own: the target can't load it");
    assert!(told.iter().any(|line| line.contains("public.lost(text)")), "{told:#?}");
    assert!(!told.iter().any(|line| line.contains("$libdir/unaccent")), "{told:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_of_exclusion_constraints_that_no_server_attaches_are_told_before_the_job() {
    let (source, target) = tokio::join!(kit::bundled(18), kit::bundled(18));
    make_database(&source, "shop", "").await;
    change(
        &source,
        "shop",
        "CREATE EXTENSION btree_gist;
         CREATE TABLE stays (id int, during daterange, PRIMARY KEY (id, during WITHOUT OVERLAPS))
         PARTITION BY HASH (id);
         CREATE TABLE part PARTITION OF stays FOR VALUES WITH (MODULUS 1, REMAINDER 0);
         CREATE TABLE bills (id int, during daterange,
         FOREIGN KEY (id, PERIOD during) REFERENCES stays (id, PERIOD during));
         INSERT INTO stays VALUES (1, '[2020-01-01,2020-02-01)');",
    )
    .await;
    let told = told(&source, &target, "shop").await;
    assert_tells(&told, "Change INDEX ATTACH public.part_pkey: left out, as PostgreSQL attaches");
    assert_tells(&told, "Change FK CONSTRAINT public.bills bills_id_during_fkey: left out");
    run(&request(&source, &target, &["shop"])).await.clean();
    let held = "SELECT count(*)::text FROM pg_constraint WHERE conrelid = 'public.part'::regclass
                AND contype = 'p'";
    assert_eq!(ask(&target, "shop", held).await, "1");
}
