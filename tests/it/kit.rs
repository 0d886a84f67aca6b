//! Real servers for tests. A test starts its own clusters, which costs well under a second each,
//! and drops them at its end, on a panic too: statics, which nobody drops, hold none.

#[cfg(target_os = "linux")]
pub(crate) mod impostor;
mod proxy;
#[cfg(target_os = "linux")]
mod small_disk;

use pgconvoy::error::Result;
use pgconvoy::servers::{Cluster, Sources, Spec};
use pgconvoy::wire::{Conninfo, Environment, Session};

pub(crate) use proxy::{Harm, Proxy, When};
#[cfg(target_os = "linux")]
pub(crate) use small_disk::SmallDisk;

/// Where this run's servers come from. Fetching is said on stderr.
pub(crate) fn sources() -> Sources {
    Sources::from_environment(|line| eprintln!("{line}")).unwrap()
}

/// A bundled cluster of this major version, a missing version being a failure.
pub(crate) async fn bundled(major: u32) -> Cluster {
    start(Spec::bundled().major(major)).await
}

/// An RDS-like cluster of this major version.
pub(crate) async fn rds_like(major: u32) -> Cluster {
    start(Spec::rds_like().major(major)).await
}

/// A cluster like this, its disk's pace aside.
pub(crate) async fn start(spec: Spec) -> Cluster {
    match Cluster::start(&sources(), spec.without_fsync()).await {
        Ok(cluster) => cluster,
        Err(error) => panic!("{error}"),
    }
}

/// An ordinary session.
pub(crate) async fn session(conninfo: &str) -> Session {
    match connect(conninfo).await {
        Ok(session) => session,
        Err(error) => panic!("{error}"),
    }
}

/// The same, for tests of who is let in. Nothing comes from this process's PG* variables.
pub(crate) async fn connect(conninfo: &str) -> Result<Session> {
    Session::connect(&Conninfo::parse(conninfo, &Environment::default())?).await
}

/// One value, as text.
pub(crate) async fn ask(conninfo: &str, sql: &str) -> String {
    let session = session(conninfo).await;
    let row = session.query_one("asking", sql, &[]).await.unwrap();
    row.get(0)
}

/// Runs statements as an application would, with its server's search_path.
pub(crate) async fn run(conninfo: &str, sql: &str) {
    let session = session(conninfo).await;
    session.execute("preparing a test", "RESET search_path").await.unwrap();
    session.execute("preparing a test", sql).await.unwrap();
    session.close().await;
}
