//! Who is still connected to the source, and from which hosts: one whose configuration wasn't given
//! is a host that was forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::commands::Finding;
use crate::error::Result;
use crate::wire::Session;

use super::super::configuration::Configuration;
use super::super::sessions::Connected;

/// The addresses that services may come from: those that were said, and the bundled host itself, where
/// a configuration leads to. From a host that runs both, a service comes by loopback, or by the name
/// that its configuration has for it.
pub(super) async fn accounted_for(
    configurations: &[Configuration],
    said: &BTreeSet<String>,
) -> Result<BTreeSet<IpAddr>> {
    let said = said.iter().filter_map(|address| address.parse::<IpAddr>().ok());
    let mut all: BTreeSet<IpAddr> = said.map(|address| address.to_canonical()).collect();
    let mut hosts = BTreeSet::new();
    for configuration in configurations {
        hosts.extend(configuration.named()?.into_iter().map(|named| (named.host, named.port)));
    }
    for (host, port) in &hosts {
        // A name that isn't known here accounts for nothing.
        if let Ok(addresses) = tokio::net::lookup_host((host.as_str(), *port)).await {
            all.extend(addresses.map(|address| address.ip().to_canonical()));
        }
    }
    Ok(all)
}

/// Whether this user is shown others' sessions (documentation: "Viewing Statistics").
pub(super) async fn sees_all(source: &Session) -> Result<bool> {
    let sql = "SELECT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')";
    Ok(source.query_one("asking whether all sessions are shown", sql, &[]).await?.get(0))
}

/// What the sessions mean for the move.
pub(super) fn judge(
    connected: &[Connected],
    service_roles: &[String],
    accounted_for: &BTreeSet<IpAddr>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut forgotten: BTreeMap<&str, Vec<&Connected>> = BTreeMap::new();
    let mut others: Vec<&Connected> = Vec::new();
    let mut services: Vec<&Connected> = Vec::new();
    for one in connected {
        let address = one.address.as_deref();
        match (service_roles.contains(&one.role), address) {
            (false, _) => others.push(one),
            (true, Some(address)) if !is_accounted_for(address, accounted_for) => {
                forgotten.entry(address).or_default().push(one);
            }
            (true, _) => services.push(one),
        }
    }
    for (address, sessions) in forgotten {
        let what = format!(
            "was forgotten: none of the configurations is known to be this host's, and a service \
             there is connected ({})",
            listed(&sessions)
        );
        found.push(Finding::refusal(format!("host {address}"), what).mend(format!(
            "give its app.config.xml with --config, and say that it is given with --client \
             {address}"
        )));
    }
    if !services.is_empty() {
        let what = format!("are still connected to the source: {}", listed(&services));
        found.push(
            Finding::note("services", what)
                .mend("stop them on every host before `pgconvoy webstream migrate`"),
        );
    }
    if !others.is_empty() {
        let what = format!("are connected to the source's databases: {}", listed(&others));
        found
            .push(Finding::note("other roles", what).mend(
                "find out who they are; they need another connection string afterwards, too",
            ));
    }
    found
}

fn is_accounted_for(address: &str, accounted_for: &BTreeSet<IpAddr>) -> bool {
    address.parse::<IpAddr>().is_ok_and(|address| {
        let address = address.to_canonical();
        let loopback = |known: &IpAddr| known.is_loopback() && address.is_loopback();
        accounted_for.contains(&address) || accounted_for.iter().any(loopback)
    })
}

fn listed(sessions: &[&Connected]) -> String {
    let lines = sessions.iter().map(|one| one.described());
    lines.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Severity;

    fn session(role: &str, address: Option<&str>) -> Connected {
        Connected {
            database: "webstream_iam".to_owned(),
            role: role.to_owned(),
            address: address.map(str::to_owned),
            application: String::new(),
            sessions: 1,
        }
    }

    fn found(sessions: &[Connected], known: &[&str]) -> Vec<(Severity, String)> {
        let known = known.iter().map(|address| address.parse().unwrap()).collect();
        let found = judge(sessions, &["iam".to_owned()], &known);
        found.into_iter().map(|finding| (finding.severity, finding.object)).collect()
    }

    #[test]
    fn a_service_from_an_unknown_address_is_a_host_that_was_forgotten() {
        let sessions = [session("iam", Some("10.0.0.7")), session("iam", Some("10.0.0.8"))];
        assert_eq!(
            found(&sessions, &["127.0.0.1", "10.0.0.7"]),
            [
                (Severity::Refusal, "host 10.0.0.8".to_owned()),
                (Severity::Note, "services".to_owned())
            ]
        );
    }

    #[test]
    fn loopback_is_one_place_whatever_it_is_written_as_and_a_socket_is_there_too() {
        let sessions = [
            session("iam", Some("::1")),
            session("iam", Some("127.0.0.1")),
            session("iam", Some("::ffff:10.0.0.7")),
            session("iam", None),
        ];
        let services = [(Severity::Note, "services".to_owned())];
        assert_eq!(found(&sessions, &["127.0.0.1", "10.0.0.7"]), services);
        // Where no configuration leads to loopback, a service there is another one.
        assert_eq!(found(&sessions[..1], &["10.0.0.7"]).len(), 1);
        assert_eq!(found(&sessions[..1], &["10.0.0.7"])[0].0, Severity::Refusal);
    }

    #[test]
    fn people_who_are_connected_are_no_forgotten_host() {
        let people = [(Severity::Note, "other roles".to_owned())];
        assert_eq!(found(&[session("ann", Some("10.9.9.9"))], &["127.0.0.1"]), people);
        assert_eq!(found(&[], &[]), []);
    }
}
