//! The demo's databases, on the versions they must load on.

use std::time::Instant;

use pgconvoy::servers::{Cluster, DEMO_DATABASES, DemoSize, make_demo_databases};

use crate::kit;

#[tokio::test]
async fn the_demo_databases_load_on_every_major() {
    for major in [13, 15, 18] {
        let cluster = kit::bundled(major).await;
        let logins = make_demo_databases(&cluster, DemoSize(1)).await.unwrap();
        assert_eq!(logins.len(), DEMO_DATABASES.len());
        for login in logins {
            let conninfo = cluster.conninfo_as(login.role, &login.password, login.role);
            let owned = kit::ask(
                &conninfo,
                "SELECT count(*) FILTER (WHERE relowner <> current_user::regrole) || ' of ' || \
                 count(*) FROM pg_class WHERE oid >= 16384 AND relkind IN ('r', 'p', 'S', 'v', 'm')",
            )
            .await;
            assert!(owned.starts_with("0 of "), "{major}, {}: {owned}", login.role);
        }
    }
}

#[tokio::test]
async fn the_demo_is_about_as_large_as_asked() {
    for asked in demo_sizes() {
        let cluster = kit::bundled(15).await;
        let begun = Instant::now();
        make_demo_databases(&cluster, asked).await.unwrap();
        let made = size_of(&cluster).await;
        let ratio = made / asked.0 as f64;
        eprintln!("{asked:?}: {made} bytes, {ratio:.2}, in {:?}", begun.elapsed());
        assert!((0.85..1.15).contains(&ratio), "{asked:?}: {made} bytes");
    }
}

#[tokio::test]
async fn the_demo_is_the_same_every_time() {
    let mut prints = Vec::new();
    for _ in 0..2 {
        let cluster = kit::bundled(15).await;
        make_demo_databases(&cluster, DemoSize(1)).await.unwrap();
        let sql = "SELECT md5(string_agg(u::text, ' ' ORDER BY id)) FROM public.users u";
        prints.push(kit::ask(&cluster.conninfo("webstream_iam"), sql).await);
    }
    assert_eq!(prints[0], prints[1]);
}

fn demo_sizes() -> Vec<DemoSize> {
    match std::env::var("PGCONVOY_TEST_DEMO_SIZE") {
        Ok(size) => vec![size.parse().unwrap()],
        Err(_) => vec![DemoSize(50_000_000)],
    }
}

async fn size_of(cluster: &Cluster) -> f64 {
    let sql = "SELECT sum(pg_database_size(datname))::float8::text FROM pg_database \
               WHERE datname LIKE 'webstream%'";
    let size = kit::ask(&cluster.conninfo("postgres"), sql).await;
    size.parse().unwrap()
}
