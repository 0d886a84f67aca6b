//! The test kit's own promises.

use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Instant;

use pgconvoy::servers::{Cluster, StopMode};

use crate::kit;

#[tokio::test]
async fn every_major_starts_in_both_flavours() {
    for major in [13, 15, 17, 18] {
        let begun = Instant::now();
        let bundled = kit::bundled(major).await;
        let first = begun.elapsed();
        let rds_like = kit::rds_like(major).await;
        eprintln!("{major}: {first:?}, {:?}", begun.elapsed() - first);
        for cluster in [&bundled, &rds_like] {
            assert_eq!(cluster.installation().major(), major);
            assert!(listens(cluster.port()));
        }
        assert_eq!(
            kit::ask(&bundled.conninfo("postgres"), "SHOW fsync").await,
            "off"
        );
    }
}

#[tokio::test]
async fn a_cluster_starts_and_is_gone_after_drop() {
    let cluster = kit::bundled(15).await;
    let (port, home) = (cluster.port(), home_of(&cluster));
    assert!(listens(port) && home.exists());
    drop(cluster);
    assert!(!listens(port) && !home.exists());
}

#[tokio::test]
async fn a_cluster_is_gone_after_a_panic() {
    let cluster = kit::bundled(15).await;
    let (port, home) = (cluster.port(), home_of(&cluster));
    let test = tokio::spawn(async move {
        let _cluster = cluster;
        panic!("as a failing test does");
    });
    assert!(test.await.unwrap_err().is_panic());
    assert!(!listens(port) && !home.exists());
}

#[tokio::test]
async fn a_cluster_comes_back_after_a_crash_on_the_same_port() {
    let cluster = kit::bundled(15).await;
    let port = cluster.port();
    cluster.stop(StopMode::Immediate).await.unwrap();
    assert!(!listens(port));
    cluster.start_again().await.unwrap();
    assert_eq!(
        kit::ask(&cluster.conninfo("postgres"), "SHOW port").await,
        port.to_string()
    );
}

fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// The folder that goes with the cluster: the certificate's path names it.
fn home_of(cluster: &Cluster) -> PathBuf {
    cluster.authority().parent().unwrap().to_owned()
}
