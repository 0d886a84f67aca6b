//! A source with a shop, an empty target, a proxy before each, and what is to be true of a run that
//! was harmed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use pgconvoy::commands::{Event, Request};
use pgconvoy::servers::{Cluster, Spec};

use crate::kit::{Harm, Proxy, When};
use crate::migration::between;
use crate::trial::{self, Watched};
use crate::{kit, pg_dump};

/// A table that no socket's buffers hold, small ones that travel together, and something for each
/// phase of a job.
pub(super) const SHOP: &str = "
    CREATE TABLE orders (id bigint PRIMARY KEY, note text);
    INSERT INTO orders SELECT i, repeat(md5(i::text), 60) FROM generate_series(1, 3500) i;
    CREATE INDEX ON orders (md5(note));
    CREATE TABLE lines (id serial PRIMARY KEY, orders_id bigint REFERENCES orders);
    INSERT INTO lines (orders_id) SELECT i FROM generate_series(1, 300) i;
    CREATE TABLE customers (id int GENERATED ALWAYS AS IDENTITY, name text NOT NULL UNIQUE);
    INSERT INTO customers (name) SELECT 'c' || i FROM generate_series(1, 100) i;
    CREATE VIEW names AS SELECT name FROM customers;
    CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM orders;
    GRANT SELECT ON orders TO PUBLIC;
";

/// How long a server may be silent in these tests.
const STALL: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    Source,
    Target,
}

/// A source with the shop, an empty target, and a proxy before each.
pub(super) struct Stage {
    pub(super) source: Cluster,
    pub(super) target: Cluster,
    pub(super) before_source: Proxy,
    pub(super) before_target: Proxy,
    /// What the source's schema is to pg_dump.
    schema: String,
}

impl Stage {
    pub(super) async fn new() -> Stage {
        Stage::of(SHOP, Spec::bundled()).await
    }

    pub(super) async fn of(sql: &str, target: Spec) -> Stage {
        let (source, target) = tokio::join!(kit::bundled(15), kit::start(target.major(15)));
        trial::make_database(&source, "shop", sql).await;
        let before_source = Proxy::before(&source).await;
        let before_target = Proxy::before(&target).await;
        let schema = pg_dump::schema(&source, "shop");
        Stage { source, target, before_source, before_target, schema }
    }

    /// A request through the proxies, with one worker, that tries again for half a minute.
    pub(super) fn request(&self) -> Request {
        let through = |cluster: &Cluster, proxy: &Proxy| {
            cluster.superuser_conninfo_through(proxy.port(), "shop") + "&connect_timeout=2"
        };
        let (source, target) = (
            through(&self.source, &self.before_source),
            through(&self.target, &self.before_target),
        );
        let request = between(&source, &target);
        Request {
            source: request.source.with_stall_timeout(STALL),
            target: request.target.with_stall_timeout(STALL),
            jobs: Some(1),
            patience: Duration::from_secs(30),
            ..request
        }
    }

    fn proxy(&self, side: Side) -> &Proxy {
        match side {
            Side::Source => &self.before_source,
            Side::Target => &self.before_target,
        }
    }

    /// A run overcomes this harm; then all is as before it.
    pub(super) async fn survives(&self, side: Side, when: When, harm: Harm) {
        let (proxy, began) = (self.proxy(side), Instant::now());
        let struck = proxy.struck();
        proxy.will(when, harm);
        let watched = trial::run(&self.request()).await;
        assert_eq!(proxy.struck(), struck + 1, "{side:?}, {when:?}: {harm:?} was never done");
        self.assert_overcome(&watched, &format!("{side:?}, {when:?}: {harm:?}")).await;
        let (report, seconds) = (watched.clean(), began.elapsed().as_secs_f32());
        let (retries, restarts) = (report.retries, report.restarts);
        eprintln!("{side:?}, {when:?}, {harm:?}: {retries} {restarts}, {seconds:.1} s");
        proxy.relent();
        self.drop_database().await;
    }

    pub(super) async fn drop_database(&self) {
        command(&self.target, "DROP DATABASE shop WITH (FORCE)").await;
    }

    /// The run ended well, said what it overcame, and repeated nothing that was done.
    pub(super) async fn assert_overcome(&self, watched: &Watched, what: &str) {
        let report = match &watched.ended {
            Ok(()) => watched.clean(),
            Err(error) => panic!("{what}: {error}\n{}", watched.notes()),
        };
        assert!(report.retries + report.restarts > 0, "{what}: nothing was tried again");
        assert!(!report.was_resumed && !report.was_finished, "{what}: {report:#?}");
        let notes = watched.notes();
        assert_eq!(notes.matches("; tried again in ").count(), report.retries as usize, "{notes}");
        assert_eq!(notes.matches("; begun again ").count(), report.restarts as usize, "{notes}");
        self.assert_exact(watched).await;
    }

    /// Nothing is missing, doubled, or was done twice.
    pub(super) async fn assert_exact(&self, watched: &Watched) {
        assert_nothing_was_repeated(watched);
        trial::assert_same_rows(&self.source, &self.target, "shop").await;
        let theirs = pg_dump::schema(&self.target, "shop");
        pg_dump::assert_equal(&self.schema, &theirs, "shop");
    }
}

/// Runs what runs in no transaction.
pub(super) async fn command(cluster: &Cluster, sql: &str) {
    let session = cluster.superuser_session("postgres").await.unwrap();
    session.execute("setting a stage", sql).await.unwrap();
}

/// Sequences aside, which a fresh start sets again.
fn assert_nothing_was_repeated(watched: &Watched) {
    let mut done = BTreeSet::new();
    for event in &watched.events {
        if let Event::StepFinished { step, title, .. } = event
            && title != "sequences"
        {
            assert!(done.insert(*step), "{title} was done twice: {}", watched.notes());
        }
    }
}
