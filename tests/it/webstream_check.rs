//! `webstream check` against real servers: what the move needs is told before anything is done.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use pgconvoy::commands::{Finding, Severity, Stop};
use pgconvoy::servers::{Cluster, Spec};
use pgconvoy::webstream::{EndpointKind, Looking, Preflight, Recipe, Said, check};
use pgconvoy::wire::Environment;
use serde_json::Value;

use crate::kit;

/// A bundled instance with the databases of two services, and one host's configuration.
pub(crate) struct WebStream {
    pub(crate) source: Cluster,
    pub(crate) folder: tempfile::TempDir,
}

const DATABASES: [&str; 2] = ["webstream_iam", "webstream_metrics"];

impl WebStream {
    pub(crate) async fn start(major: u32) -> WebStream {
        let source = kit::bundled(major).await;
        for database in DATABASES {
            let sql = format!("CREATE ROLE {database} LOGIN PASSWORD 'secret-{database}'");
            kit::run(&source.conninfo("postgres"), &sql).await;
            let sql = format!("CREATE DATABASE {database} OWNER {database}");
            kit::run(&source.conninfo("postgres"), &sql).await;
        }
        let old = "CREATE TABLE samples (at timestamptz NOT NULL, value int);
             INSERT INTO samples SELECT now() - make_interval(days => d) + interval '1 hour', d
             FROM generate_series(1, 40) d;
             CREATE TABLE nodes (joined timestamptz, retired timestamptz)";
        let metrics =
            source.conninfo_as("webstream_metrics", "secret-webstream_metrics", DATABASES[1]);
        kit::run(&metrics, old).await;
        WebStream { source, folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn configuration(&self, pool: &str) -> PathBuf {
        let path = self.folder.path().join("app.config.xml");
        let pair = |database: &str| {
            format!(
                "<db><connectionString>Host=127.0.0.1;Port={};Database={database};\
                 Username={database}{pool}</connectionString><passwordRef>env:X</passwordRef></db>",
                self.source.port()
            )
        };
        let pairs: String = DATABASES.iter().map(|database| pair(database)).collect();
        let text = format!("<app retentionDays='14'>{pairs}</app>");
        std::fs::write(&path, text).unwrap();
        path
    }

    async fn check(&self, target: &str, looking: &Looking) -> Preflight {
        let said = Said {
            configurations: vec![self.configuration("")],
            source: Some(self.source.conninfo("postgres")),
            target: Some(target.to_owned()),
            ..Said::default()
        };
        let mut recipe = Recipe::open(said, &Environment::default()).unwrap();
        let (_, mut stop) = Stop::new();
        let found = Box::pin(check(&mut recipe, looking, &mut stop)).await.unwrap();
        for finding in &found.findings {
            eprintln!("{finding}");
        }
        assert_eq!(recipe.record.done.checked.is_some(), !found.is_refused());
        found
    }
}

fn verified_by(target: &Cluster) -> Looking {
    Looking { root_certificate: Some(target.authority()) }
}

fn refusals(found: &Preflight) -> Vec<&str> {
    let engines = found.checked.iter().flat_map(|checked| &checked.findings);
    let all: Vec<&Finding> = found.findings.iter().chain(engines).collect();
    let refused = all.into_iter().filter(|finding| finding.severity == Severity::Refusal);
    refused.map(|finding| finding.object.as_str()).collect()
}

fn note<'a>(found: &'a Preflight, object: &str) -> Option<&'a str> {
    let finding = found.findings.iter().find(|finding| finding.object == object);
    finding.map(|finding| finding.what.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_managed_target_is_looked_at_from_all_sides_and_the_move_may_begin() {
    let (webstream, target) = tokio::join!(WebStream::start(15), kit::rds_like(16));
    let service =
        webstream.source.conninfo_as("webstream_iam", "secret-webstream_iam", DATABASES[0]);
    // A service's sessions have names of their own.
    let service = kit::session(&format!("{service}&application_name=gateway")).await;
    let found = webstream.check(&target.conninfo("postgres"), &verified_by(&target)).await;
    assert_eq!(refusals(&found), Vec::<&str>::new());
    assert!(found.has_reached_both() && !found.is_refused());
    let tls = &found.tls;
    assert_eq!((tls.offered, tls.enforced, tls.verified), (Some(true), Some(true), Some(true)));
    assert_eq!((found.endpoint.kind, found.public), (EndpointKind::Unknown, "unknown"));
    assert!(note(&found, "target endpoint").is_some());
    let trips = found.latency.unwrap();
    assert!(trips.trips > 10 && trips.p50_ms > 0.0 && trips.p50_ms <= trips.p99_ms, "{trips:?}");
    assert_eq!((found.pools.expected, found.pools.worst), (40, 200));
    assert!(note(&found, "connection pools").unwrap().contains("can come to 200 connections"));
    let names: Vec<&str> = found.databases.iter().map(|d| d.database.as_str()).collect();
    assert_eq!(names, DATABASES);
    assert!(found.databases.iter().all(|d| d.bytes.is_some_and(|bytes| bytes > 1_000_000)));
    assert_eq!(found.checked.len(), 2);
    // The service comes by loopback, to which the configuration leads.
    let sessions: Vec<(&str, Option<&str>)> =
        found.connected.iter().map(|c| (c.role.as_str(), c.address.as_deref())).collect();
    assert_eq!(sessions, [("webstream_iam", Some("127.0.0.1"))]);
    assert!(note(&found, "services").unwrap().contains("1 session, called gateway"));
    let outdated = found.outdated.unwrap();
    assert_eq!((outdated.table.as_str(), outdated.rows), ("public.samples", Some(26)));
    let growth: Vec<_> = found
        .growth
        .iter()
        .map(|one| (one.table.as_deref(), one.recent_rows, one.rows, one.kept_days))
        .collect();
    assert_eq!(
        growth,
        [(None, None, None, None), (Some("public.samples"), Some(30), Some(40), Some(14))]
    );
    // What is kept for a shorter time than is there takes no more place than it does now.
    let metrics = &found.growth[1];
    assert!(metrics.monthly_bytes.is_some_and(|bytes| bytes > 0));
    assert_eq!(metrics.bytes_after_a_year, Some(metrics.bytes));
    service.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_spoils_the_move_is_all_told_at_once() {
    let target = kit::start(Spec::rds_like().major(15).setting("max_connections", "30"));
    let (webstream, target, other) = tokio::join!(WebStream::start(16), target, kit::rds_like(15));
    let drop = "DROP DATABASE webstream_iam";
    kit::run(&webstream.source.conninfo("postgres"), drop).await;
    // Another target's authority.
    let found = webstream.check(&target.conninfo("postgres"), &verified_by(&other)).await;
    assert_eq!((found.tls.offered, found.tls.verified), (Some(true), Some(false)));
    assert_eq!(
        refusals(&found),
        ["TLS", "connection pools", "database webstream_iam", "target server"]
    );
    assert!(note(&found, "TLS").unwrap().contains("issued by nobody who is trusted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_in_the_open_is_refused() {
    let (webstream, target) = tokio::join!(WebStream::start(15), kit::bundled(15));
    let found = webstream.check(&target.conninfo("postgres"), &Looking::default()).await;
    assert_eq!((found.tls.offered, found.tls.enforced), (Some(false), Some(false)));
    assert_eq!(refusals(&found), ["TLS"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_a_host_whose_configuration_is_missing_is_found() {
    let (webstream, target) = tokio::join!(WebStream::start(15), kit::rds_like(15));
    // Where the configuration leads elsewhere, loopback is another host.
    let path = webstream.configuration("");
    let text = std::fs::read_to_string(&path).unwrap().replace("127.0.0.1", "192.0.2.1");
    std::fs::write(&path, text).unwrap();
    let service =
        webstream.source.conninfo_as("webstream_iam", "secret-webstream_iam", DATABASES[0]);
    let service = kit::session(&format!("{service}&application_name=gateway")).await;
    let said = Said {
        configurations: vec![path],
        source: Some(webstream.source.conninfo("postgres")),
        target: Some(target.conninfo("postgres")),
        ..Said::default()
    };
    let mut recipe = Recipe::open(said, &Environment::default()).unwrap();
    let (_, mut stop) = Stop::new();
    let found = Box::pin(check(&mut recipe, &Looking::default(), &mut stop)).await.unwrap();
    assert_eq!(refusals(&found), ["host 127.0.0.1"]);
    recipe.record.known_clients.insert("127.0.0.1".to_owned());
    let found = Box::pin(check(&mut recipe, &Looking::default(), &mut stop)).await.unwrap();
    assert_eq!(refusals(&found), Vec::<&str>::new());
    service.close().await;
}

fn run(configuration: &Path, source: &str, target: &str) -> (Option<i32>, Vec<Value>) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_pgconvoy"))
        .args(["webstream", "check", "--json", "--source", source, "--target", target, "--config"])
        .arg(configuration)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_tell_the_outcome_by_the_exit_code() {
    let (webstream, target) = tokio::join!(WebStream::start(15), kit::rds_like(15));
    let small = webstream.configuration(";Maximum Pool Size=10");
    let (source, to) = (webstream.source.conninfo("postgres"), target.conninfo("postgres"));
    let (code, lines) = run(&small, &source, &to);
    assert_eq!((code, lines.len()), (Some(0), 1), "{lines:?}");
    assert_eq!((&lines[0]["event"], &lines[0]["refused"]), (&"preflight".into(), &false.into()));
    let large = webstream.configuration(";Maximum Pool Size=1000");
    assert_eq!(run(&large, &source, &to).0, Some(3));
    // Nobody listens there: what the source needs is told, and the target is looked at all the same.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (code, lines) = run(&small, &format!("host=127.0.0.1 port={free} user=postgres"), &to);
    assert_eq!(code, Some(4));
    let text = lines[0].to_string();
    assert!(text.contains("ssh -N -L 15432:127.0.0.1") && text.contains("RESET listen_addresses"));
    assert_eq!(lines[0]["tls"]["enforced"], true);
    assert!(!text.contains("password="), "{text}");
}
