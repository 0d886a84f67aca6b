//! What an owner puts in the place of a sequence while a job runs: nothing of it is run.

use pgconvoy::commands::Event;
use pgconvoy::servers::Cluster;

use crate::kit;
use crate::migration::request;
use crate::trial;

/// Its index takes a while, before sequences are set.
const SHOP: &str = "
    CREATE TABLE ran (by_whom text);
    CREATE FUNCTION run() RETURNS text LANGUAGE plpgsql AS $$
      BEGIN INSERT INTO public.ran VALUES (current_user);
      RETURN '7, true); CREATE TABLE public.of_the_source (); --'; END $$;
    CREATE FUNCTION slow(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
      'BEGIN PERFORM pg_catalog.pg_sleep(2); RETURN i; END';
    CREATE TABLE orders AS SELECT 1 AS id;
    CREATE INDEX ON orders (public.slow(id));
    CREATE SEQUENCE q;
    SELECT nextval('q')";

/// As the database's owner does.
async fn swap(source: &Cluster, database: &str) {
    let sql = format!(
        "SET ROLE {database}; DROP SEQUENCE q; \
         CREATE VIEW q AS SELECT public.run() AS last_value, true AS is_called"
    );
    trial::change(source, database, &sql).await;
}

async fn assert_nothing_ran(source: &Cluster, target: &Cluster, database: &str) {
    let ran = "SELECT count(*)::text FROM public.ran";
    assert_eq!(trial::ask(source, database, ran).await, "0");
    let made = "SELECT count(*)::text FROM pg_class WHERE relname = 'of_the_source'";
    assert_eq!(trial::ask(target, database, made).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_in_a_sequence_s_place_runs_nothing_on_either_side() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    for database in ["during", "after"] {
        trial::make_database(&source, database, SHOP).await;
    }
    let during = request(&source, &target, &["during"]);
    let planned = |event: &Event| matches!(event, Event::Planned { .. });
    let watched = trial::harm(&during, planned, || swap(&source, "during")).await;
    assert_nothing_ran(&source, &target, "during").await;
    assert!(watched.error().to_string().contains("\"q\""), "{}", watched.error());

    let after = request(&source, &target, &["after"]);
    trial::run(&after).await.clean();
    swap(&source, "after").await;
    trial::run(&after).await.clean();
    assert_nothing_ran(&source, &target, "after").await;
}
