//! The test kit's own promises.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pgconvoy::servers::{Cluster, Spec, StopMode};

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
        assert_eq!(kit::ask(&bundled.conninfo("postgres"), "SHOW fsync").await, "off");
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
    assert_eq!(kit::ask(&cluster.conninfo("postgres"), "SHOW port").await, port.to_string());
}

#[tokio::test]
async fn what_a_killed_process_leaves_the_next_start_clears_away() {
    const ROLE: &str = "PGCONVOY_TEST_TO_BE_KILLED";
    const NAME: &str = "servers::what_a_killed_process_leaves_the_next_start_clears_away";
    if std::env::var_os(ROLE).is_some() {
        let cluster = kit::bundled(15).await;
        println!("\nHOME {} {}", cluster.port(), home_of(&cluster).display());
        std::future::pending::<()>().await;
    }
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(ROLE, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(victim.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap)
        .find_map(|line| line.strip_prefix("HOME ").map(str::to_owned));
    let said = said.unwrap();
    let (port, home) = said.split_once(' ').unwrap();
    let (port, home) = (port.parse().unwrap(), PathBuf::from(home));
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert!(listens(port) && home.exists());

    let _next = kit::bundled(15).await;
    assert!(!listens(port) && !home.exists());
}

#[tokio::test]
async fn the_rds_like_master_is_no_superuser() {
    for major in [13, 15, 16, 18] {
        let cluster = kit::rds_like(major).await;
        let master = kit::session(&cluster.conninfo("postgres")).await;
        let row = master
            .query_one(
                "asking",
                "SELECT r.rolsuper, r.rolcreaterole, r.rolcreatedb, \
                 pg_has_role('rds_superuser', 'MEMBER'), pg_has_role('pg_monitor', 'USAGE'), \
                 pg_get_userbyid(d.datdba), pg_get_userbyid(e.extowner), s.ssl \
                 FROM pg_roles r, pg_database d, pg_extension e, pg_stat_ssl s \
                 WHERE r.rolname = current_user AND d.datname = current_database() \
                 AND e.extname = 'plpgsql' AND s.pid = pg_backend_pid()",
                &[],
            )
            .await
            .unwrap();
        let flags: [bool; 5] = std::array::from_fn(|column| row.get(column));
        assert_eq!(flags, [false, true, true, true, true], "{major}");
        assert_eq!(row.get::<_, &str>(5), "master");
        assert_eq!(row.get::<_, &str>(6), "rdsadmin");
        assert!(row.get::<_, bool>(7), "TLS");

        master.execute("trusted", "CREATE EXTENSION citext SCHEMA public").await.unwrap();
        for refused in [
            "CREATE EXTENSION dblink SCHEMA public",
            "COMMENT ON EXTENSION plpgsql IS 'mine'",
            "SELECT * FROM pg_authid",
            "CREATE ROLE other SUPERUSER",
        ] {
            let error = master.execute("refused", refused).await.unwrap_err();
            let state = error.server_error().map(|error| error.sqlstate.clone());
            assert_eq!(state.as_deref(), Some("42501"), "{major}: {refused}: {error}");
        }
        let admins = cluster.conninfo("rdsadmin");
        let error = kit::connect(&admins).await.err().unwrap().to_string();
        assert!(error.contains("permission denied for database"), "{error}");
    }
}

#[tokio::test]
async fn the_rds_like_server_refuses_plaintext() {
    let cluster = kit::rds_like(15).await;
    let encrypted = cluster.conninfo("postgres");
    let (plain, _) = encrypted.split_once("sslmode=").unwrap();
    let error = kit::connect(&format!("{plain}sslmode=disable")).await;
    let error = error.err().unwrap().to_string();
    assert!(error.contains("no encryption"), "{error}");
}

#[tokio::test]
async fn the_rds_like_servers_certificate_is_verified() {
    let cluster = kit::rds_like(15).await;
    let other = kit::rds_like(15).await;
    let conninfo = cluster
        .conninfo("postgres")
        .replace(cluster.authority().to_str().unwrap(), other.authority().to_str().unwrap());
    let error = kit::connect(&conninfo).await.err().unwrap().to_string();
    assert!(error.contains("certificate"), "{error}");
}

#[tokio::test]
async fn a_cluster_speaks_the_encoding_it_was_asked_for() {
    let cluster = kit::start(Spec::bundled().encoding("LATIN1", "C")).await;
    let conninfo = cluster.conninfo("postgres");
    assert_eq!(kit::ask(&conninfo, "SHOW server_encoding").await, "LATIN1");
}

#[tokio::test]
async fn a_kept_cluster_stays_until_its_goodbye_is_said() {
    let cluster = kit::bundled(15).await;
    let (port, home) = (cluster.port(), home_of(&cluster));
    let goodbye = cluster.keep().unwrap();
    drop(kit::bundled(15).await);
    assert!(listens(port), "neither its drop nor the next one's start ends it");
    let mut shell = Command::new("sh");
    assert!(shell.args(["-c", &goodbye]).status().unwrap().success());
    assert!(!listens(port) && !home.exists());
}

#[tokio::test]
async fn a_server_whose_postmaster_was_killed_is_cleared_away_too() {
    let cluster = kit::bundled(15).await;
    let home = home_of(&cluster);
    let pid = std::fs::read_to_string(home.join("data/postmaster.pid")).unwrap();
    let pid = pid.lines().next().unwrap();
    assert!(Command::new("kill").args(["-9", pid]).status().unwrap().success());
    while listens(cluster.port()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(cluster);
    assert!(!home.exists());
}

fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// The folder that goes with the cluster: the certificate's path names it.
fn home_of(cluster: &Cluster) -> PathBuf {
    cluster.authority().parent().unwrap().to_owned()
}
