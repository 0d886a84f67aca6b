//! Who granted what: a session that may act for several roles is taken by the server for the one
//! that holds most, so on a target where we are no superuser the owner's own grants are at stake.

use pgconvoy::servers::Cluster;

use crate::migration::{moved, request};
use crate::trial::{ask, change, make_database};
use crate::{kit, pg_dump};

/// `z Owner` owns all, and comes last wherever roles are in order; the links pass on what they were
/// granted, in a chain; `lone` owns something too, so that the job is a member of all of them.
const ROLES: &str = "
    CREATE ROLE first_link; CREATE ROLE second_link; CREATE ROLE last_link;
    CREATE ROLE lone; CREATE ROLE reader;
    CREATE ROLE \"z Owner\";
    CREATE SCHEMA chained; CREATE SCHEMA arguments;
    GRANT USAGE ON SCHEMA chained, arguments
        TO \"z Owner\", first_link, second_link, last_link, reader;
    CREATE TABLE chained.of_lone (n int); ALTER TABLE chained.of_lone OWNER TO lone;
    CREATE TYPE arguments.pair AS (a int, b int);";

/// One of each kind of object whose grants can be passed on: what it is, how it is made, how GRANT
/// names it, and what is granted.
const OBJECTS: [(&str, &str, &str, &str); 8] = [
    ("TABLE", "chained.t", "(a int, b int, c int)", "SELECT, UPDATE"),
    ("VIEW", "chained.v", "AS SELECT 1 AS n", "SELECT"),
    ("SEQUENCE", "chained.s", "", "USAGE"),
    ("FUNCTION", "chained.f(int)", "RETURNS int LANGUAGE sql AS 'SELECT 1'", "EXECUTE"),
    (
        "FUNCTION",
        "chained.of_pair(arguments.pair)",
        "RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "EXECUTE",
    ),
    ("PROCEDURE", "chained.p(int)", "LANGUAGE sql AS 'SELECT 1'", "EXECUTE"),
    ("DOMAIN", "chained.d", "AS int", "USAGE"),
    ("SCHEMA", "inner_part", "", "USAGE, CREATE"),
];

/// Grants to PUBLIC are no part of it, as some kinds are born with them.
fn chain(privileges: &str, object: &str) -> String {
    format!(
        "SET ROLE \"z Owner\"; GRANT {privileges} ON {object} TO first_link WITH GRANT OPTION;
         SET ROLE first_link; GRANT {privileges} ON {object} TO second_link WITH GRANT OPTION;
         SET ROLE second_link; GRANT {privileges} ON {object} TO last_link;
         SET ROLE \"z Owner\"; GRANT {privileges} ON {object} TO reader;
         GRANT {privileges} ON {object} TO second_link;
         RESET ROLE;"
    )
}

async fn source(major: u32) -> Cluster {
    let source = kit::bundled(major).await;
    make_database(&source, "chains", "").await;
    change(&source, "chains", ROLES).await;
    for (kind, name, definition, privileges) in OBJECTS {
        let word = match kind {
            "VIEW" => "TABLE",
            kind => kind,
        };
        let sql = format!(
            "CREATE {kind} {name} {definition}; ALTER {kind} {name} OWNER TO \"z Owner\"; {}",
            chain(privileges, &format!("{word} {name}"))
        );
        change(&source, "chains", &sql).await;
    }
    let sql = [
        // Columns alone, columns beside their table, and an owner who took from itself.
        "CREATE TABLE chained.columns (a int, b int); ALTER TABLE chained.columns OWNER TO \"z Owner\"; \
         REVOKE UPDATE ON SEQUENCE chained.s FROM \"z Owner\";",
        &chain("UPDATE (a), SELECT (b)", "chained.columns"),
        &chain("INSERT (c)", "chained.t"),
        // The column's grants rest on the table's.
        "SET ROLE first_link; GRANT SELECT (a) ON chained.t TO reader; \
         SET ROLE \"z Owner\"; GRANT SELECT (b), UPDATE (b) ON chained.t TO last_link; RESET ROLE; \
         REVOKE UPDATE ON chained.t FROM \"z Owner\"; GRANT UPDATE ON chained.t TO \"z Owner\";",
        // The owner alone grants, but to roles of the session's own.
        "CREATE TABLE chained.alone (a int); ALTER TABLE chained.alone OWNER TO \"z Owner\"; \
         GRANT SELECT ON chained.alone TO lone WITH GRANT OPTION; \
         GRANT SELECT ON chained.alone TO reader; \
         GRANT SELECT (a) ON chained.alone TO last_link;",
        "SELECT lo_create(4711); SELECT lo_create(4712); ALTER LARGE OBJECT 4711 OWNER TO \"z Owner\";",
        &chain("SELECT", "LARGE OBJECT 4711"),
        "SET ROLE pg_database_owner; GRANT USAGE ON SCHEMA public TO first_link WITH GRANT OPTION; \
         SET ROLE first_link; GRANT USAGE ON SCHEMA public TO last_link; \
         SET ROLE pg_database_owner; GRANT USAGE ON SCHEMA public TO reader; RESET ROLE;",
        "GRANT CONNECT, TEMPORARY ON DATABASE chains TO first_link WITH GRANT OPTION; \
         SET ROLE first_link; GRANT TEMPORARY ON DATABASE chains TO last_link; RESET ROLE; \
         GRANT TEMPORARY ON DATABASE chains TO reader;",
    ];
    change(&source, "chains", &sql.concat()).await;
    source
}

/// All privileges that pg_dump doesn't tell of with the definitions.
const OTHERS: &str = "SELECT string_agg(lomacl::text, ' ' ORDER BY oid) || \
     (SELECT datacl::text FROM pg_database WHERE datname = current_database()) \
     FROM pg_largeobject_metadata";

async fn chains_move(source_major: u32, target: Cluster) {
    let source = source(source_major).await;
    moved(&request(&source, &target, &["chains"])).await;
    let (ours, theirs) = (pg_dump::schema(&source, "chains"), pg_dump::schema(&target, "chains"));
    pg_dump::assert_equal(&ours.replace("postgres", "master"), &theirs, "chains");
    assert_eq!(ask(&target, "chains", OTHERS).await, ask(&source, "chains", OTHERS).await);
    let lent = "SELECT coalesce(string_agg(nspname || nspacl::text, ' '), '') FROM pg_namespace \
                WHERE nspname IN ('chained', 'arguments') AND nspacl::text ~ 'lone|Owner.?=[^/]*C'";
    assert_eq!(ask(&target, "chains", lent).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn chains_of_grant_options_keep_their_grantors_on_an_rds_like_15() {
    chains_move(15, kit::rds_like(15).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chains_of_grant_options_keep_their_grantors_on_an_rds_like_18() {
    chains_move(15, kit::rds_like(18).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_membership_that_the_target_user_gave_itself_has_its_options_again_afterwards() {
    let (source, target) = tokio::join!(kit::bundled(16), kit::rds_like(16));
    make_database(&source, "shop", "CREATE TABLE t (n int); INSERT INTO t VALUES (1)").await;
    let as_master = "SET SESSION AUTHORIZATION master; CREATE ROLE shop LOGIN; \
                     GRANT shop TO master WITH INHERIT FALSE, SET FALSE";
    change(&target, "postgres", as_master).await;
    let memberships = "SELECT string_agg(concat_ws(' ', grantor::regrole, admin_option, \
                       inherit_option, set_option), ', ' ORDER BY grantor) FROM pg_auth_members \
                       WHERE roleid = 'shop'::regrole AND member = 'master'::regrole";
    let before = ask(&target, "postgres", memberships).await;
    let request = request(&source, &target, &["shop"]);
    moved(&request).await;
    assert_eq!(ask(&target, "postgres", memberships).await, before);
    assert!(before.contains("master f f f"), "{before}");
}

/// Grants of and to `postgres`, which becomes the target's master, and of and to a master that the
/// source has as well: by table, column, schema, function and large object.
const OF_TWO: &str = "
    CREATE ROLE master; CREATE ROLE keeper; CREATE ROLE reader;
    CREATE TABLE public.ours (n int, m int); CREATE TABLE public.kept (n int, m int);
    ALTER TABLE kept OWNER TO keeper; CREATE TABLE public.theirs (n int);
    ALTER TABLE theirs OWNER TO master;
    GRANT SELECT ON ours TO master WITH GRANT OPTION; GRANT INSERT ON ours TO reader;
    GRANT UPDATE (m) ON ours TO master, reader;
    GRANT INSERT, SELECT ON theirs TO postgres WITH GRANT OPTION;
    SET ROLE master; GRANT SELECT ON ours TO reader; GRANT DELETE ON theirs TO reader; RESET ROLE;
    SET ROLE keeper;
    GRANT SELECT, UPDATE ON public.kept TO master WITH GRANT OPTION;
    GRANT INSERT, SELECT ON public.kept TO postgres;
    GRANT SELECT (n) ON public.kept TO postgres; GRANT UPDATE (n) ON public.kept TO master;
    RESET ROLE;
    SET ROLE master; GRANT UPDATE ON public.kept TO reader; RESET ROLE;
    CREATE SCHEMA rooms; GRANT USAGE ON SCHEMA rooms TO master, reader;
    CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
    REVOKE ALL ON FUNCTION f() FROM PUBLIC; GRANT EXECUTE ON FUNCTION f() TO master;
    SELECT lo_create(7); GRANT SELECT ON LARGE OBJECT 7 TO master;";

#[tokio::test(flavor = "multi_thread")]
async fn two_roles_that_become_one_hold_together_what_each_had_and_nothing_differs() {
    let (source, target) = (kit::bundled(15).await, kit::rds_like(15).await);
    make_database(&source, "shop", "").await;
    change(&source, "shop", OF_TWO).await;
    moved(&request(&source, &target, &["shop"])).await;
    let acl = "SELECT relacl::text FROM pg_class WHERE oid = 'public.kept'::regclass";
    assert_eq!(
        ask(&target, "shop", acl).await,
        "{keeper=arwdDxt/keeper,master=ar*w*/keeper,reader=w/master}"
    );
    let acl = "SELECT relacl::text FROM pg_class WHERE oid = 'public.ours'::regclass";
    assert_eq!(ask(&target, "shop", acl).await, "{master=arwdDxt/master,reader=ar/master}");
}
