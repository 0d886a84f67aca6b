//! What a source that can't be reached needs, so that it can.

use std::net::{IpAddr, UdpSocket};

use crate::commands::Finding;
use crate::error::Error;
use crate::wire::Conninfo;

/// Whether the source answered at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    /// Nobody did.
    Nobody,
    /// A server did, and its pg_hba.conf lets nobody in from here.
    NotAdmitted,
    /// A server did, and refuses this login.
    Otherwise,
}

/// Tells what is to be done about it.
pub(super) fn finding(error: &Error, source: &Conninfo) -> Finding {
    let silence = match error.server_error() {
        None => Silence::Nobody,
        Some(words) if words.sqlstate == "28000" => Silence::NotAdmitted,
        Some(_) => Silence::Otherwise,
    };
    let (host, port) = source.host_and_port().unwrap_or_else(|| ("127.0.0.1".to_owned(), 5432));
    let finding =
        Finding::refusal("source server", format!("can't be reached: {}", error.message()));
    match silence {
        Silence::Otherwise => finding.mend("mend --source, or give the password in PGPASSWORD"),
        Silence::Nobody | Silence::NotAdmitted => {
            let own = own_address(&host, port);
            finding.mend(ways(&host, port, source.user(), own, source.is_local()))
        }
    }
}

/// The address that this host has on the way there. Nothing is sent.
fn own_address(host: &str, port: u16) -> Option<IpAddr> {
    let host: IpAddr = host.parse().ok()?;
    let any = if host.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect((host, port)).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|own| !own.is_unspecified())
}

/// The ways to the source: a tunnel, or a door, with what closes it again.
fn ways(host: &str, port: u16, user: &str, own: Option<IpAddr>, is_local: bool) -> String {
    let bundled = if is_local { "BUNDLED-HOST" } else { host };
    let own = own.filter(|own| !own.is_loopback()).map_or_else(
        || "THIS-HOST'S-ADDRESS/32".to_owned(),
        |own| format!("{own}/{}", if own.is_ipv4() { 32 } else { 128 }),
    );
    let shown = match is_local {
        true => "where the bundled server isn't on this host, ",
        false => "",
    };
    format!(
        "run this on the bundled host, with its service started; or, {shown}either\n\
         a tunnel, which changes nothing there:\n\
         \x20 ssh -N -L 15432:127.0.0.1:{port} USER@{bundled}\n\
         \x20 then --source 'host=127.0.0.1 port=15432 user={user}'\n\
         or a door for this host alone. On the bundled host, as {user}, note what is there:\n\
         \x20 SHOW listen_addresses; SHOW hba_file;\n\
         \x20 ALTER SYSTEM SET listen_addresses = '127.0.0.1, BUNDLED-HOST''S-ADDRESS';\n\
         \x20 as the first line of the hba_file: host all {user} {own} scram-sha-256\n\
         \x20 sc.exe stop Webstream-Postgres, then sc.exe start Webstream-Postgres\n\
         \x20 let the firewall admit {own} to port {port}\n\
         its undo, once all is moved or given up:\n\
         \x20 ALTER SYSTEM RESET listen_addresses; (or SET to what was there)\n\
         \x20 take the line out of the hba_file, and the firewall's rule away\n\
         \x20 sc.exe stop Webstream-Postgres, then sc.exe start Webstream-Postgres"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_is_for_this_host_alone_and_is_closed_again() {
        let own = Some("10.0.0.9".parse().unwrap());
        let ways = ways("10.0.0.5", 5433, "postgres", own, false);
        for line in [
            "ssh -N -L 15432:127.0.0.1:5433 USER@10.0.0.5",
            "host all postgres 10.0.0.9/32 scram-sha-256",
            "ALTER SYSTEM RESET listen_addresses",
        ] {
            assert!(ways.contains(line), "{line}: {ways}");
        }
        assert!(!ways.contains("0.0.0.0"), "{ways}");
    }

    #[test]
    fn where_loopback_leads_nowhere_the_host_has_to_be_named() {
        let own = own_address("127.0.0.1", 5432);
        let ways = ways("127.0.0.1", 5432, "postgres", own, true);
        assert!(ways.contains("USER@BUNDLED-HOST"), "{ways}");
        assert!(ways.contains("THIS-HOST'S-ADDRESS/32"), "{ways}");
    }
}
