//! What would fail midway is moved all the same, or told before anything is touched.

use crate::migration::request;
use crate::trial::{change, make_database, run};
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
