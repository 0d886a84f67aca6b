//! Who was seen on the bundled instance: a host whose file nobody has given keeps all from being led
//! away.

use std::fs;
use std::io;

use pgconvoy::servers::Cluster;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::hosts::Installation;
use crate::kit;
use crate::trial::{ask, make_database};

/// Another address of this machine, as another host has.
const ELSEWHERE: &str = "127.0.0.2";

/// The port of a way to a server on which clients come from there.
async fn way_from_elsewhere(server: &Cluster) -> u16 {
    let rules = ask(server, "postgres", "SELECT pg_catalog.current_setting('hba_file')").await;
    let known = fs::read_to_string(&rules).unwrap();
    fs::write(&rules, format!("{known}host all all {ELSEWHERE}/32 scram-sha-256\n")).unwrap();
    ask(server, "postgres", "SELECT pg_catalog.pg_reload_conf()::text").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, to) = (listener.local_addr().unwrap().port(), server.port());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(forward(client, to));
        }
    });
    port
}

async fn forward(mut client: TcpStream, to: u16) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(format!("{ELSEWHERE}:0").parse().map_err(io::Error::other)?)?;
    let server = format!("127.0.0.1:{to}").parse().map_err(io::Error::other)?;
    let mut server = socket.connect(server).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_are_still_connected_are_named_and_their_hosts_asked_for() {
    let it = Installation::empty(15, 15).await;
    for name in ["webstream_iam", "webstream_metrics", "webstream_activity"] {
        make_database(&it.source, name, "CREATE TABLE public.t AS SELECT 1 AS n").await;
    }
    it.provision().fine();
    let way = way_from_elsewhere(&it.source).await;
    let service = it.source.conninfo_as("webstream_iam", "of webstream_iam", "webstream_iam")
        + "&application_name=Gateway";
    let port = it.source.port();
    let service = service.replace(&format!(":{port}/"), &format!(":{way}/"));
    let session = kit::session(&service).await;
    let said = it.step(&["migrate"]).refused();
    assert!(
        said.contains("webstream_iam in webstream_iam, from 127.0.0.2: 1 session, called Gateway"),
        "{said}"
    );
    let fenced = "SELECT pg_catalog.bool_and(rolcanlogin)::text FROM pg_catalog.pg_roles \
                  WHERE rolname LIKE 'webstream%'";
    assert_eq!(ask(&it.source, "postgres", fenced).await, "true");
    session.close().await;
    it.step(&["migrate"]).fine();
    it.step(&["verify"]).fine();
    let before = it.snapshot();
    let said = it.step(&["repoint"]).refused();
    assert!(said.contains("127.0.0.2 (webstream_iam)") && said.contains("--client"), "{said}");
    assert_eq!(it.snapshot(), before);
    it.step(&["repoint", "--client", ELSEWHERE]).fine();
}
