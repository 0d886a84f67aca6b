//! Default privileges that stand on the target: what the job creates is to have what it has on the
//! source, and not what the target would give it.

use pgconvoy::commands::check;

use crate::kit;
use crate::migration::{moved, request, verify};
use crate::trial::{ask, change, make_database};

/// What everything in public is granted, and whether somebody else owns it.
const GRANTED: &str = "SELECT string_agg(a.what, ' ' ORDER BY a.what) FROM (
    SELECT relname || coalesce(relacl::text, '-') AS what FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S', 'v')
    UNION ALL SELECT proname || coalesce(proacl::text, '-') FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT typname || coalesce(typacl::text, '-') FROM pg_type
    WHERE typnamespace = 'public'::regnamespace AND typtype = 'e'
    UNION ALL SELECT nspname || coalesce(nspacl::text, '-') FROM pg_namespace
    WHERE nspname = 'more') a";

#[tokio::test(flavor = "multi_thread")]
async fn what_the_target_grants_by_default_is_not_granted_on_what_the_job_creates() {
    let (source, target) = (kit::bundled(15).await, kit::rds_like(15).await);
    make_database(
        &source,
        "shop",
        "CREATE TABLE public.t (id serial, n int); CREATE VIEW v AS SELECT 1 AS n;
         CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE TYPE public.mood AS ENUM ('fine'); CREATE SCHEMA more;
         CREATE TABLE public.told (n int); GRANT INSERT ON told TO PUBLIC;",
    )
    .await;
    change(&source, "shop", "CREATE ROLE onlooker; GRANT SELECT ON v TO onlooker;").await;
    change(&target, "postgres", "CREATE ROLE onlooker").await;
    kit::run(&target.conninfo("postgres"), "CREATE DATABASE shop").await;
    kit::run(
        &target.conninfo("shop"),
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO onlooker WITH GRANT OPTION;
         ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT INSERT ON TABLES TO PUBLIC;
         ALTER DEFAULT PRIVILEGES GRANT USAGE ON SEQUENCES TO onlooker;
         ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
         ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO onlooker;
         ALTER DEFAULT PRIVILEGES REVOKE USAGE ON TYPES FROM PUBLIC;
         ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO onlooker;",
    )
    .await;
    let defaults = "SELECT string_agg(concat_ws(' ', defaclrole::regrole, defaclnamespace, \
                    defaclobjtype, defaclacl), ' ' ORDER BY defaclnamespace, defaclobjtype) \
                    FROM pg_default_acl";
    change(
        &target,
        "shop",
        "CREATE ROLE another; ALTER DEFAULT PRIVILEGES FOR ROLE another GRANT SELECT ON TABLES \
         TO onlooker; ALTER DEFAULT PRIVILEGES FOR ROLE another REVOKE EXECUTE ON FUNCTIONS \
         FROM PUBLIC;",
    )
    .await;
    let before = ask(&target, "shop", defaults).await;
    let checked = check(&request(&source, &target, &["shop"])).await.unwrap();
    let others = checked[0].findings.iter().find(|f| f.object == "default privileges of another");
    assert!(others.unwrap().what.contains("aren't compared"), "{:#?}", checked[0].findings);
    moved(&request(&source, &target, &["shop"])).await;
    assert_eq!(ask(&target, "shop", GRANTED).await, ask(&source, "shop", GRANTED).await);
    assert_eq!(ask(&target, "shop", defaults).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_source_has_default_privileges_for_the_same_they_replace_the_targets() {
    let (source, target) = (kit::bundled(15).await, kit::rds_like(15).await);
    for cluster in [&source, &target] {
        change(cluster, "postgres", "CREATE ROLE onlooker").await;
    }
    make_database(&source, "shop", "CREATE TABLE public.t (n int);").await;
    // The source's superuser stands for the target's user.
    let theirs = "ALTER DEFAULT PRIVILEGES GRANT UPDATE ON TABLES TO onlooker";
    change(&source, "shop", theirs).await;
    kit::run(&target.conninfo("postgres"), "CREATE DATABASE shop").await;
    let own = "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO onlooker;
               ALTER DEFAULT PRIVILEGES GRANT USAGE ON SEQUENCES TO onlooker;";
    kit::run(&target.conninfo("shop"), own).await;
    let request = request(&source, &target, &["shop"]);
    let reports = moved(&request).await;
    let told = format!("{:?}", reports[0].changes);
    assert!(told.contains("GRANT SELECT ON TABLES TO"), "{told}");
    let verified = verify(&request).await.unwrap();
    assert!(verified[0].verification.is_clean(), "{:#?}", verified[0].verification);
    let kept = "SELECT string_agg(concat_ws(' ', d.defaclobjtype, a.privilege_type), ' '
                ORDER BY d.defaclobjtype) FROM pg_default_acl d, aclexplode(d.defaclacl) a
                WHERE a.grantee = 'onlooker'::regrole";
    assert_eq!(ask(&target, "shop", kept).await, "S USAGE r UPDATE");
}
