//! Circles among definitions, and things that need what comes after the rows: each is made on a real
//! server, moved, and compared with the newest pg_dump. A statement that failed for its place in the
//! order would end the migration.
//!
//! The circles are those that pg_dump breaks (source: pg_dump_sort.c, repairDependencyLoop), and some
//! that it doesn't.

use pgconvoy::servers::Cluster;

use crate::migration::{between, moved};
use crate::{kit, pg_dump, trial};

/// What every circle may use: a table whose key others depend on, with rows, and roles.
const BASE: &str = "CREATE ROLE keeper; CREATE ROLE reader; CREATE SCHEMA l; \
     GRANT ALL ON SCHEMA l TO keeper; SET search_path = l; \
     CREATE TABLE t (id integer PRIMARY KEY, a integer UNIQUE, b text); \
     GRANT SELECT ON t TO keeper; \
     INSERT INTO t SELECT i, i, 'b' || i FROM generate_series(1, 10) i;";

/// Moves what `sql` makes to another database of the same server.
async fn migrated(sql: &str) -> Cluster {
    migrated_within(18, sql).await
}

async fn migrated_within(major: u32, sql: &str) -> Cluster {
    let cluster = kit::bundled(major).await;
    let session = cluster.superuser_session("postgres").await.unwrap();
    for database in ["source", "target"] {
        let sql = format!("CREATE DATABASE {database}");
        session.execute("making a database", &sql).await.unwrap();
    }
    kit::run(&cluster.superuser_conninfo("source"), &format!("{BASE} {sql}")).await;
    moved(&between(&cluster.conninfo("source"), &cluster.conninfo("target"))).await;
    cluster
}

async fn comes_out_the_same(sql: &str) {
    let cluster = migrated(sql).await;
    let (source, target) =
        (pg_dump::schema(&cluster, "source"), pg_dump::schema(&cluster, "target"));
    pg_dump::assert_equal(&source, &target, sql);
}

macro_rules! circles {
    ($($name:ident: $sql:expr;)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            comes_out_the_same($sql).await;
        })*
    };
}

circles! {
    a_view_and_a_function_of_its_row_keep_options_grants_comments_and_owner:
        "CREATE VIEW v AS SELECT id, a FROM t; \
         CREATE FUNCTION f(v) RETURNS boolean LANGUAGE sql AS 'SELECT $1.id > 0'; \
         CREATE OR REPLACE VIEW v WITH (security_barrier = true) AS \
         SELECT id, a FROM t WHERE f(ROW(id, a)::v) WITH LOCAL CHECK OPTION; \
         ALTER VIEW v ALTER a SET DEFAULT 7; ALTER VIEW v OWNER TO keeper; \
         GRANT SELECT ON v TO reader; COMMENT ON VIEW v IS 'c'; COMMENT ON COLUMN v.a IS 'd'; \
         CREATE RULE r AS ON INSERT TO v DO INSTEAD NOTHING; \
         CREATE MATERIALIZED VIEW m AS SELECT * FROM v;";
    a_view_that_reads_itself:
        "CREATE VIEW v AS SELECT id, b FROM t; CREATE OR REPLACE VIEW v AS SELECT * FROM v; \
         ALTER VIEW v OWNER TO keeper; GRANT SELECT ON v TO reader; COMMENT ON VIEW v IS 'c'; \
         CREATE VIEW w AS SELECT * FROM v;";
    a_materialized_view_within_a_circle_of_views:
        "CREATE VIEW v AS SELECT 1 AS x; CREATE MATERIALIZED VIEW m AS SELECT x FROM v; \
         CREATE FUNCTION f(m) RETURNS integer LANGUAGE sql AS 'SELECT 1'; \
         CREATE OR REPLACE VIEW v AS SELECT f(NULL) AS x;";
    a_view_and_a_table_with_a_column_of_its_row:
        "CREATE VIEW v AS SELECT 1 AS x; CREATE TABLE w (c v); INSERT INTO w SELECT v FROM v; \
         CREATE OR REPLACE VIEW v AS SELECT count(*)::integer AS x FROM w;";
    a_view_that_groups_by_a_key_and_what_builds_on_it:
        "CREATE VIEW v AS SELECT id, b, count(*) FROM t GROUP BY id; \
         CREATE VIEW w AS SELECT * FROM v; ALTER VIEW v OWNER TO keeper; \
         GRANT SELECT ON v TO reader; COMMENT ON VIEW v IS 'c'; \
         CREATE RULE r AS ON INSERT TO v DO INSTEAD NOTHING; \
         CREATE FUNCTION f(v) RETURNS SETOF v LANGUAGE sql AS 'SELECT * FROM l.v'; \
         CREATE VIEW x AS SELECT * FROM f(NULL);";
    rows_of_a_view_that_groups_by_a_key:
        "CREATE VIEW v AS SELECT id, b, count(*) FROM t GROUP BY id; \
         CREATE TYPE y AS (v v); CREATE TABLE u (x v, id serial PRIMARY KEY, y y[]); \
         INSERT INTO u (x) SELECT v FROM v; \
         CREATE TABLE c () INHERITS (u); INSERT INTO c (x) SELECT v FROM v;";
    a_materialized_view_that_groups_by_a_key_is_indexed_and_refreshed:
        "CREATE MATERIALIZED VIEW m AS SELECT id, b, count(*) FROM t GROUP BY id; \
         CREATE UNIQUE INDEX i ON m (id); COMMENT ON COLUMN m.b IS 'c'; \
         ALTER MATERIALIZED VIEW m OWNER TO keeper; \
         CREATE MATERIALIZED VIEW a AS SELECT count(*) FROM m; \
         CREATE TABLE u (x m); INSERT INTO u SELECT m FROM m;";
    a_view_that_groups_by_a_partitioned_tables_key:
        "CREATE TABLE p (a integer PRIMARY KEY, b integer) PARTITION BY LIST (a); \
         CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE INDEX ON p (b); \
         CREATE MATERIALIZED VIEW m AS SELECT a, b FROM p GROUP BY a; \
         CREATE VIEW v AS SELECT a, b FROM p GROUP BY a;";
    a_parsed_function_that_groups_by_a_key_and_what_calls_it:
        "CREATE FUNCTION f() RETURNS integer LANGUAGE sql BEGIN ATOMIC \
         SELECT count(b)::integer FROM (SELECT id, b FROM l.t GROUP BY id) x; END; \
         ALTER FUNCTION f() OWNER TO keeper; COMMENT ON FUNCTION f() IS 'c'; \
         GRANT EXECUTE ON FUNCTION f() TO reader; \
         CREATE TABLE u (a integer DEFAULT f(), b integer CHECK (b < f() + 100)); \
         INSERT INTO u (b) VALUES (1); \
         CREATE PROCEDURE p() LANGUAGE sql BEGIN ATOMIC \
         INSERT INTO l.t VALUES (1, 1, 'x') ON CONFLICT ON CONSTRAINT t_pkey DO NOTHING; END;";
    a_domain_whose_check_groups_by_a_key:
        "CREATE DOMAIN d AS integer; \
         CREATE FUNCTION f(integer) RETURNS boolean LANGUAGE sql BEGIN ATOMIC \
         SELECT count(b) >= 0 FROM (SELECT id, b FROM l.t GROUP BY id) x; END; \
         ALTER DOMAIN d ADD CONSTRAINT k CHECK (f(VALUE)); \
         CREATE TABLE u (x d); INSERT INTO u VALUES (1);";
    parsed_functions_that_call_each_other:
        "CREATE FUNCTION f(i integer) RETURNS integer LANGUAGE sql BEGIN ATOMIC SELECT 1; END; \
         CREATE FUNCTION g(i integer) RETURNS integer LANGUAGE sql \
         BEGIN ATOMIC SELECT l.f(i - 1); END; \
         CREATE OR REPLACE FUNCTION f(i integer) RETURNS integer LANGUAGE sql \
         BEGIN ATOMIC SELECT CASE WHEN i > 0 THEN l.g(i - 1) ELSE 0 END; END; \
         ALTER FUNCTION f(integer) OWNER TO keeper; COMMENT ON FUNCTION f(integer) IS 'c';";
    a_parsed_function_that_calls_itself:
        "CREATE FUNCTION f(i integer) RETURNS integer LANGUAGE sql RETURN 1; \
         CREATE OR REPLACE FUNCTION f(i integer) RETURNS integer LANGUAGE sql \
         RETURN CASE WHEN i > 0 THEN l.f(i - 1) ELSE 7 END;";
    a_parsed_function_and_a_materialized_view_that_read_each_other:
        "CREATE FUNCTION f() RETURNS integer LANGUAGE sql BEGIN ATOMIC SELECT 1; END; \
         CREATE MATERIALIZED VIEW m AS SELECT f() AS x WITH NO DATA; \
         CREATE OR REPLACE FUNCTION f() RETURNS integer LANGUAGE sql BEGIN ATOMIC \
         SELECT count(*)::integer FROM l.m; END;";
    a_parsed_aggregate_step_that_uses_its_aggregate:
        "CREATE FUNCTION f(integer, integer) RETURNS integer LANGUAGE sql RETURN $1 + $2; \
         CREATE AGGREGATE a(integer) (SFUNC = f, STYPE = integer, INITCOND = '0'); \
         CREATE OR REPLACE FUNCTION f(integer, integer) RETURNS integer LANGUAGE sql BEGIN ATOMIC \
         SELECT CASE WHEN $1 > 9 THEN (SELECT l.a(x) FROM (VALUES (1)) v(x)) ELSE $1 + $2 END; END;";
    a_generated_column_whose_parsed_function_reads_its_table:
        "CREATE FUNCTION f(integer) RETURNS integer LANGUAGE sql IMMUTABLE RETURN $1; \
         CREATE TABLE u (a integer, g integer GENERATED ALWAYS AS (f(a)) STORED); \
         INSERT INTO u VALUES (1); \
         CREATE OR REPLACE FUNCTION f(integer) RETURNS integer LANGUAGE sql IMMUTABLE BEGIN ATOMIC \
         SELECT $1 + 0 * count(*)::integer FROM l.u; END;";
    an_immutable_function_that_runs_while_it_is_stood_in_for:
        "CREATE DOMAIN d AS text NOT NULL; CREATE TYPE r AS (x d); \
         CREATE FUNCTION f() RETURNS text LANGUAGE sql IMMUTABLE RETURN 'f'; \
         CREATE FUNCTION h() RETURNS d LANGUAGE sql IMMUTABLE RETURN 'h'; \
         CREATE FUNCTION k() RETURNS r LANGUAGE sql IMMUTABLE RETURN ROW('k')::r; \
         CREATE FUNCTION o(OUT a text, OUT b text) LANGUAGE sql IMMUTABLE \
         BEGIN ATOMIC SELECT 'a' AS a, 'b' AS b; END; \
         CREATE TABLE u (a text DEFAULT f() || h(), b text GENERATED ALWAYS AS (f() || h()) STORED, \
         c d GENERATED ALWAYS AS (h()) STORED, e d GENERATED ALWAYS AS ((k()).x) STORED, \
         i text GENERATED ALWAYS AS ((o()).a) STORED); INSERT INTO u DEFAULT VALUES; \
         CREATE OR REPLACE FUNCTION f() RETURNS text LANGUAGE sql IMMUTABLE BEGIN ATOMIC \
         SELECT coalesce((SELECT a FROM l.u LIMIT 0), 'f'); END; \
         CREATE OR REPLACE FUNCTION h() RETURNS d LANGUAGE sql IMMUTABLE BEGIN ATOMIC \
         SELECT coalesce((SELECT a FROM l.u LIMIT 0), 'h')::l.d; END; \
         CREATE OR REPLACE FUNCTION k() RETURNS r LANGUAGE sql IMMUTABLE BEGIN ATOMIC \
         SELECT ROW(coalesce((SELECT a FROM l.u LIMIT 0), 'k'))::l.r; END; \
         CREATE OR REPLACE FUNCTION o(OUT a text, OUT b text) LANGUAGE sql IMMUTABLE BEGIN ATOMIC \
         SELECT coalesce((SELECT a FROM l.u LIMIT 0), 'a') AS a, 'b' AS b; END;";
    a_table_and_a_check_by_a_function_of_its_row:
        "CREATE TABLE u (a integer); \
         CREATE FUNCTION f(u) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1.a > 0'; \
         ALTER TABLE u ADD CONSTRAINT k CHECK (f(u)); INSERT INTO u VALUES (1); \
         COMMENT ON CONSTRAINT k ON u IS 'c'; \
         CREATE TABLE w (a integer, CHECK (w.* IS NOT NULL));";
    a_partitioned_table_and_a_check_by_a_function_of_its_row:
        "CREATE TABLE p (a integer) PARTITION BY LIST (a); \
         CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); \
         CREATE FUNCTION f(p) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true'; \
         ALTER TABLE p ADD CONSTRAINT k CHECK (f(NULL::p) AND a > 0); INSERT INTO p VALUES (1);";
    a_table_and_a_default_by_a_function_of_its_row:
        "CREATE TABLE u (a integer, b integer); \
         CREATE FUNCTION f(u) RETURNS integer LANGUAGE sql AS 'SELECT 1'; \
         CREATE FUNCTION g() RETURNS integer LANGUAGE sql BEGIN ATOMIC \
         SELECT count(*)::integer FROM l.u; END; \
         ALTER TABLE u ALTER b SET DEFAULT f(NULL), ALTER a SET DEFAULT g(); \
         CREATE TABLE c () INHERITS (u); ALTER TABLE c ALTER b DROP DEFAULT;";
    a_partition_that_proves_a_check_by_a_function_that_its_parent_only_claims:
        "CREATE FUNCTION f(integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true'; \
         CREATE TABLE p (a integer) PARTITION BY LIST (a); \
         CREATE TABLE o PARTITION OF p FOR VALUES IN (0); \
         ALTER TABLE p ADD CONSTRAINT k CHECK (f(a)) NOT VALID; \
         CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1) PARTITION BY LIST (a); \
         CREATE TABLE p11 PARTITION OF p1 FOR VALUES IN (1); INSERT INTO p VALUES (0), (1);";
    a_partition_below_another_that_proves_a_check_which_those_above_only_claim:
        "CREATE TABLE p (a integer) PARTITION BY LIST (a); \
         CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1) PARTITION BY LIST (a); \
         CREATE FUNCTION f(integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true'; \
         ALTER TABLE p ADD CONSTRAINT k CHECK (f(a)) NOT VALID; \
         CREATE TABLE p11 PARTITION OF p1 FOR VALUES IN (1); INSERT INTO p VALUES (1);";
    a_domain_without_the_default_that_its_base_got_later:
        "CREATE DOMAIN b AS text; CREATE DOMAIN d AS b; ALTER DOMAIN b SET DEFAULT 'x'; \
         CREATE DOMAIN e AS b; CREATE TABLE u (b b, d d, e e);";
    a_domain_and_a_check_by_a_function_of_its_own:
        "CREATE DOMAIN d AS integer; \
         CREATE FUNCTION f(d) RETURNS boolean LANGUAGE sql AS 'SELECT $1::integer > 0'; \
         ALTER DOMAIN d ADD CONSTRAINT k CHECK (f(VALUE)); CREATE TABLE u (x d);";
    a_domain_whose_check_calls_what_takes_it_and_tables_that_contain_it:
        "CREATE DOMAIN d AS integer; CREATE DOMAIN e AS d; \
         CREATE FUNCTION f(integer, d[] DEFAULT NULL) RETURNS boolean LANGUAGE sql \
         AS 'SELECT $1 > 0'; \
         CREATE TYPE c AS (x e); CREATE TABLE u (x e); \
         ALTER DOMAIN d ADD CONSTRAINT k CHECK (f(VALUE)); \
         CREATE TABLE a (x d[]); INSERT INTO a VALUES ('{1,2}'); \
         INSERT INTO u VALUES (1); CREATE TABLE b (x c, u u, a a[]); \
         INSERT INTO b VALUES (ROW(1), ROW(2), '{}'); \
         CREATE MATERIALIZED VIEW m AS SELECT x FROM a;";
    rows_within_rows:
        "CREATE TYPE c AS (x integer); CREATE TABLE u (c c, t t, ts t[]); \
         CREATE TYPE d AS (u u, z integer); CREATE TABLE w (d d); \
         INSERT INTO w SELECT ROW(ROW(ROW(1), t, ARRAY[t]), 2)::d FROM t; \
         CREATE TABLE o OF d;";
    rules_that_name_later_views_and_keys:
        "CREATE TABLE a (x integer); CREATE VIEW z AS SELECT x FROM a; \
         CREATE RULE i AS ON INSERT TO a WHERE EXISTS (SELECT FROM z) DO ALSO NOTHING; \
         CREATE RULE i AS ON INSERT TO z DO INSTEAD INSERT INTO a VALUES (NEW.x); \
         CREATE RULE u AS ON UPDATE TO z DO INSTEAD INSERT INTO t VALUES (NEW.x, 1, 'x') \
         ON CONFLICT ON CONSTRAINT t_a_key DO NOTHING; \
         CREATE RULE d AS ON DELETE TO z DO INSTEAD INSERT INTO t VALUES (1, 1, 'x') \
         ON CONFLICT (id) DO NOTHING;";
    foreign_keys_in_a_circle_and_to_the_table_itself:
        "CREATE TABLE a (id integer PRIMARY KEY, o integer, up integer REFERENCES a); \
         CREATE TABLE b (id integer PRIMARY KEY, o integer REFERENCES a); \
         INSERT INTO a VALUES (2, 1, NULL), (1, 1, 2); INSERT INTO b VALUES (1, 1); \
         ALTER TABLE a ADD FOREIGN KEY (o) REFERENCES b;";
    statistics_and_an_index_by_functions_of_the_row:
        "CREATE FUNCTION f(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1'; \
         CREATE FUNCTION g(t) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1.a'; \
         CREATE STATISTICS s ON (f(a)), b FROM t; CREATE INDEX i ON t (g(t));";
    a_policy_that_reads_views_and_other_tables:
        "CREATE VIEW v AS SELECT id, b FROM t GROUP BY id; \
         CREATE TABLE a (x integer); CREATE TABLE z (x integer); \
         CREATE POLICY p ON a USING (x IN (SELECT id FROM v) AND EXISTS (SELECT FROM z)); \
         CREATE POLICY p ON z USING (EXISTS (SELECT FROM a)); \
         ALTER TABLE a ENABLE ROW LEVEL SECURITY;";
    defaults_of_arguments_and_conditions_of_triggers:
        "CREATE FUNCTION z() RETURNS integer LANGUAGE sql AS 'SELECT 1'; \
         CREATE FUNCTION a(i integer DEFAULT l.z()) RETURNS integer LANGUAGE sql AS 'SELECT 1'; \
         CREATE FUNCTION w(t) RETURNS boolean LANGUAGE sql AS 'SELECT true'; \
         CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; \
         CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW WHEN (w(NEW)) EXECUTE FUNCTION g();";
    sequences_of_other_schemas_and_identities:
        "CREATE SCHEMA k; CREATE SEQUENCE k.q; \
         CREATE TABLE u (a integer DEFAULT nextval('k.q'), i integer GENERATED ALWAYS AS IDENTITY); \
         CREATE TABLE k.w (s serial, o integer DEFAULT nextval('k.q')); \
         ALTER SEQUENCE k.q OWNED BY k.w.s; INSERT INTO u DEFAULT VALUES;";
    a_view_that_sorts_by_a_class_whose_order_reads_another_view:
        "CREATE VIEW z AS SELECT 1 AS x; \
         CREATE FUNCTION lt(json, json) RETURNS boolean LANGUAGE sql IMMUTABLE \
         AS 'SELECT $1::text < $2::text'; \
         CREATE FUNCTION cmp(json, json) RETURNS integer LANGUAGE sql IMMUTABLE \
         BEGIN ATOMIC SELECT x - 1 FROM z; END; \
         CREATE OPERATOR < (FUNCTION = lt, LEFTARG = json, RIGHTARG = json); \
         CREATE OPERATOR <= (FUNCTION = lt, LEFTARG = json, RIGHTARG = json); \
         CREATE OPERATOR = (FUNCTION = lt, LEFTARG = json, RIGHTARG = json); \
         CREATE OPERATOR >= (FUNCTION = lt, LEFTARG = json, RIGHTARG = json); \
         CREATE OPERATOR > (FUNCTION = lt, LEFTARG = json, RIGHTARG = json); \
         CREATE OPERATOR CLASS c DEFAULT FOR TYPE json USING btree AS OPERATOR 1 <, \
         OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 cmp(json, json); \
         CREATE VIEW a AS SELECT DISTINCT j FROM (VALUES ('1'::json)) v (j);";
    a_partition_key_by_a_function:
        "CREATE FUNCTION f(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1'; \
         CREATE TABLE p (a integer) PARTITION BY LIST (f(a)); \
         CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); INSERT INTO p VALUES (1);";
}

/// A class that is the default of a domain isn't what a range of the domain is ordered by unasked;
/// pg_dump leaves it out.
#[tokio::test(flavor = "multi_thread")]
async fn a_range_of_a_domain_keeps_the_domains_own_class() {
    let cluster = migrated(
        "CREATE DOMAIN d AS integer; \
         CREATE FUNCTION cmp(d, d) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $2 - $1'; \
         CREATE OPERATOR CLASS c DEFAULT FOR TYPE d USING btree AS OPERATOR 1 > (integer, integer), \
         OPERATOR 2 >= (integer, integer), OPERATOR 3 = (integer, integer), \
         OPERATOR 4 <= (integer, integer), OPERATOR 5 < (integer, integer), FUNCTION 1 cmp(d, d); \
         CREATE TYPE r AS RANGE (subtype = d, subtype_opclass = c);",
    )
    .await;
    let class = "SELECT opcname::text FROM pg_opclass o JOIN pg_range r ON r.rngsubopc = o.oid \
                 WHERE r.rngtypid = 'l.r'::regtype";
    assert_eq!(kit::ask(&cluster.superuser_conninfo("source"), class).await, "c");
    assert_eq!(kit::ask(&cluster.superuser_conninfo("target"), class).await, "c");
}

/// 15.20 refuses the check once anything else uses an array, a row or a range of the domain.
#[tokio::test(flavor = "multi_thread")]
async fn a_domain_whose_check_calls_what_takes_it_and_expressions_that_contain_it() {
    let sql = "CREATE DOMAIN d AS integer; CREATE TYPE c AS (x d); \
         CREATE FUNCTION f(integer, d[]) RETURNS boolean LANGUAGE sql AS 'SELECT $1 > 0'; \
         ALTER DOMAIN d ADD CONSTRAINT k CHECK (f(VALUE, NULL)); \
         CREATE DOMAIN a AS integer; ALTER DOMAIN a ADD CONSTRAINT a CHECK (f(VALUE, NULL)); \
         CREATE TABLE u (x integer CHECK (NULL::d[] IS NULL), y integer DEFAULT (NULL::c).x); \
         CREATE VIEW a_view AS SELECT NULL::c AS c; \
         CREATE INDEX i ON t ((NULL::d[] IS NULL)); CREATE POLICY p ON t USING (NULL::c IS NULL);";
    let cluster = migrated_within(15, sql).await;
    let (source, target) =
        (pg_dump::schema(&cluster, "source"), pg_dump::schema(&cluster, "target"));
    pg_dump::assert_equal(&source, &target, sql);
}

/// A range's functions stay where they are when it is moved or renamed, and may go elsewhere. No
/// dump shows them but for what calls them, and pg_dump fails on that.
#[tokio::test(flavor = "multi_thread")]
async fn a_ranges_own_functions_keep_their_names_and_schemas() {
    let cluster = migrated(
        "CREATE SCHEMA k; CREATE TYPE r AS RANGE (subtype = integer); ALTER TYPE r SET SCHEMA k; \
         CREATE TYPE \"R's\" AS RANGE (subtype = text); ALTER TYPE \"R's\" RENAME TO \"S\"\"\"; \
         CREATE TYPE q AS RANGE (subtype = date, multirange_type_name = k.m); \
         ALTER FUNCTION q(date, date) SET SCHEMA k; \
         ALTER FUNCTION k.q(date, date) RENAME TO \"Q\"\"\"; \
         ALTER TYPE k.m RENAME TO n; ALTER TYPE q OWNER TO keeper; \
         COMMENT ON FUNCTION q(date, date, text) IS 'c'; \
         ALTER FUNCTION q(date, date, text) OWNER TO keeper; \
         CREATE VIEW v AS SELECT r(1, 2), \"R's\"('a', 'b'), k.\"Q\"\"\"(NULL, NULL), m(NULL::q);",
    )
    .await;
    let functions = "SELECT string_agg(name, ', ' ORDER BY name) FROM (SELECT format('%s.%I(%s)', \
                     pronamespace::regnamespace, proname, \
                     pg_get_function_identity_arguments(oid)) AS name FROM pg_proc \
                     WHERE oid >= 16384 AND pronamespace::regnamespace::text <> 'pgconvoy') p";
    let source = kit::ask(&cluster.superuser_conninfo("source"), functions).await;
    assert_eq!(kit::ask(&cluster.superuser_conninfo("target"), functions).await, source);
    assert!(source.contains("k.\"Q\"\"\"(date, date)"), "{source}");
}

/// What a table inherits comes first in a copy; `migrated` finds nothing different.
#[tokio::test(flavor = "multi_thread")]
async fn statistics_of_a_child_whose_columns_change_places() {
    migrated(
        "CREATE TABLE p (x integer, y integer); CREATE TABLE k (a integer, y integer, x integer); \
         ALTER TABLE k INHERIT p; CREATE STATISTICS s ON a, x, y FROM k;",
    )
    .await;
}

/// pg_dump cuts such a circle by the views' age, this by their names: what comes out is the same, but
/// each dump creates another of the two twice.
#[tokio::test(flavor = "multi_thread")]
async fn two_views_that_need_each_other_keep_their_queries() {
    let cluster = migrated(
        "CREATE VIEW a AS SELECT 1 AS x, 'a'::text COLLATE \"C\" AS y; \
         CREATE VIEW b AS SELECT x FROM a; \
         CREATE FUNCTION f(b) RETURNS integer LANGUAGE sql AS 'SELECT 1'; \
         CREATE OR REPLACE VIEW a AS SELECT f(NULL::b) AS x, 'a'::text COLLATE \"C\" AS y;",
    )
    .await;
    let queries = "SELECT pg_get_viewdef('l.a'::regclass) || pg_get_viewdef('l.b'::regclass)";
    let source = kit::ask(&cluster.superuser_conninfo("source"), queries).await;
    assert_eq!(kit::ask(&cluster.superuser_conninfo("target"), queries).await, source);
    assert!(source.contains("l.f(NULL::l.b)"), "{source}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_down_from_a_parent_after_the_rows_keeps_its_comments_and_ties_to_extensions() {
    let cluster = migrated(
        "CREATE EXTENSION citext; \
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; \
         CREATE TABLE p (a integer, b integer) PARTITION BY RANGE (a); \
         CREATE TABLE m PARTITION OF p FOR VALUES FROM (0) TO (9) PARTITION BY LIST (b); \
         CREATE TABLE a PARTITION OF m DEFAULT; \
         ALTER TABLE p ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES t; \
         COMMENT ON CONSTRAINT k ON a IS 'of a key'; \
         CREATE TRIGGER g AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION f(); \
         COMMENT ON TRIGGER g ON a IS 'of a trigger'; \
         ALTER TRIGGER g ON a DEPENDS ON EXTENSION citext; \
         CREATE TABLE c () INHERITS (t); CREATE TABLE d () INHERITS (c); \
         ALTER TABLE t ADD CONSTRAINT l CHECK (a > 1) NOT VALID; \
         COMMENT ON CONSTRAINT l ON d IS 'of a check'; \
         ALTER TABLE t ADD CONSTRAINT n NOT NULL b NOT VALID; \
         COMMENT ON CONSTRAINT n ON d IS 'of a NOT NULL';",
    )
    .await;
    let told = "SELECT string_agg(told, ', ' ORDER BY told) FROM ( \
                SELECT description || ': ' || pg_describe_object(classoid, objoid, 0) AS told \
                FROM pg_description WHERE description LIKE 'of a %' UNION ALL \
                SELECT deptype::text || ': ' || pg_describe_object(classid, objid, 0) FROM pg_depend \
                WHERE deptype = 'x') x";
    let ours = trial::ask(&cluster, "source", told).await;
    assert_eq!(ours.matches(": ").count(), 5, "{ours}");
    assert_eq!(trial::ask(&cluster, "target", told).await, ours);
}

/// An operator class for pairs, which compares their first halves only.
const PAIRS_BY_HALF: &str = "
    CREATE FUNCTION lt(pair, pair) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT $1.a < $2.a';
    CREATE FUNCTION le(pair, pair) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT $1.a <= $2.a';
    CREATE FUNCTION eq(pair, pair) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT $1.a = $2.a';
    CREATE FUNCTION ge(pair, pair) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT $1.a >= $2.a';
    CREATE FUNCTION gt(pair, pair) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT $1.a > $2.a';
    CREATE FUNCTION cmp(pair, pair) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1.a - $2.a';
    CREATE OPERATOR < (FUNCTION = lt, LEFTARG = pair, RIGHTARG = pair);
    CREATE OPERATOR <= (FUNCTION = le, LEFTARG = pair, RIGHTARG = pair);
    CREATE OPERATOR = (FUNCTION = eq, LEFTARG = pair, RIGHTARG = pair);
    CREATE OPERATOR >= (FUNCTION = ge, LEFTARG = pair, RIGHTARG = pair);
    CREATE OPERATOR > (FUNCTION = gt, LEFTARG = pair, RIGHTARG = pair);
    CREATE OPERATOR CLASS pairs_by_half DEFAULT FOR TYPE pair USING btree AS OPERATOR 1 <,
        OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 cmp(pair, pair);";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_older_than_its_types_operator_class_goes_on_comparing_without_it() {
    let sql = format!(
        "CREATE TYPE pair AS (a int, b int); CREATE DOMAIN couple AS pair;
         CREATE TABLE pairs (p pair UNIQUE, c couple PRIMARY KEY);
         INSERT INTO pairs VALUES ((1, 2), (1, 2)), ((1, 3), (1, 3));
         CREATE VIEW whole AS SELECT p FROM pairs GROUP BY p;
         {PAIRS_BY_HALF}
         CREATE VIEW half AS SELECT DISTINCT p FROM pairs;
         CREATE TABLE halves (p pair UNIQUE);"
    );
    let cluster = migrated(&sql).await;
    let counted = "SELECT (SELECT count(*) FROM l.whole) || ' ' || (SELECT count(*) FROM l.half)";
    assert_eq!(trial::ask(&cluster, "source", counted).await, "2 1");
    assert_eq!(trial::ask(&cluster, "target", counted).await, "2 1");
    let classes = "SELECT string_agg(o.opcname, ' ' ORDER BY x.indexrelid::regclass::text)
         FROM pg_index x JOIN pg_opclass o ON o.oid = x.indclass[0]
         WHERE x.indrelid IN ('l.pairs'::regclass, 'l.halves'::regclass)";
    let expected = "pairs_by_half record_ops record_ops";
    assert_eq!(trial::ask(&cluster, "source", classes).await, expected);
    assert_eq!(trial::ask(&cluster, "target", classes).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_added_to_a_domain_comes_before_a_function_that_reads_it_through_a_views_row() {
    migrated_within(
        15,
        "CREATE DOMAIN d AS integer; CREATE VIEW v AS SELECT 1 AS a; \
         CREATE FUNCTION of_v(v) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT 1'; \
         ALTER DOMAIN d ADD CONSTRAINT c CHECK (VALUE > 0 OR of_v(NULL::v) IS NULL); \
         CREATE FUNCTION reader() RETURNS d IMMUTABLE LANGUAGE sql \
         BEGIN ATOMIC SELECT CASE WHEN of_v(NULL::v) IS NULL THEN NULL::d END; END; \
         CREATE OR REPLACE VIEW v AS SELECT 1 AS a, reader() AS b;",
    )
    .await;
}
