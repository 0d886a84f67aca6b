//! Real servers for tests. A test starts its own clusters, which costs well under a second each,
//! and drops them at its end, on a panic too: statics, which nobody drops, hold none.

#[cfg(feature = "aws")]
mod aws;
#[cfg(target_os = "linux")]
pub(crate) mod impostor;
mod proxy;
#[cfg(target_os = "linux")]
mod small_disk;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use pgconvoy::error::Result;
use pgconvoy::servers::{Cluster, Sources, Spec};
use pgconvoy::wire::{Conninfo, Environment, Session};

#[cfg(feature = "aws")]
pub(crate) use aws::AwsStandIn;
pub(crate) use proxy::{Harm, Proxy, When};
#[cfg(target_os = "linux")]
pub(crate) use small_disk::SmallDisk;

/// Free bytes that all clusters of a run of the tests fit into.
const ENOUGH_MEMORY: u64 = 8 << 30;

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
    start_in(&quickest_folder(), spec).await
}

/// A cluster whose files lie in this folder.
pub(crate) async fn start_in(folder: &Path, spec: Spec) -> Cluster {
    match Cluster::start(&sources(), spec.without_fsync().in_folder(folder)).await {
        Ok(cluster) => cluster,
        Err(error) => panic!("{error}"),
    }
}

/// Memory, where there is enough of it: a cluster has a thousand files, and a disk that many were just
/// deleted from takes seconds to make as many again (ext4 spares the inodes of deleted files for a
/// while).
fn quickest_folder() -> PathBuf {
    static MEMORY: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
        let folder = Path::new("/dev/shm");
        let asked = Command::new("df").args(["-Pk"]).arg(folder).output().ok()?;
        let told = String::from_utf8(asked.stdout).ok()?;
        let free: u64 = told.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
        (free >= ENOUGH_MEMORY / 1024).then(|| folder.to_owned())
    });
    MEMORY.clone().unwrap_or_else(std::env::temp_dir)
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
