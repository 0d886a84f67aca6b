//! What kind of endpoint a host's name is, as AWS builds names.
//!
//! Source: the Amazon RDS and Aurora user guides, "Amazon Aurora endpoint connections", "Working with
//! Amazon RDS Proxy endpoints", and the regions of China, whose names end otherwise.

use serde::Serialize;

use crate::commands::Finding;

/// A kind of endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointKind {
    /// A cluster's, which is always its writer.
    Cluster,
    /// A cluster's for its readers.
    Reader,
    /// One that somebody put together of a cluster's instances.
    Custom,
    /// A global database's, whose writer may be in another region.
    Global,
    /// A single instance's. An Aurora cluster's instances have such names, too.
    Instance,
    /// RDS Proxy's.
    Proxy,
    /// An address, an alias, or another provider's.
    Unknown,
}

impl EndpointKind {
    /// What it is, for people.
    pub fn words(self) -> &'static str {
        match self {
            EndpointKind::Cluster => "a cluster's (writer) endpoint",
            EndpointKind::Reader => "a cluster's reader endpoint",
            EndpointKind::Custom => "a custom endpoint",
            EndpointKind::Global => "a global database's endpoint",
            EndpointKind::Instance => "an instance's endpoint",
            EndpointKind::Proxy => "an RDS Proxy",
            EndpointKind::Unknown => "no name that AWS gives",
        }
    }

    /// Whether what it is called by is the cluster's name.
    pub(super) fn is_clusters(self) -> bool {
        matches!(self, EndpointKind::Cluster | EndpointKind::Reader | EndpointKind::Custom)
    }
}

/// What a host's name tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// Its kind.
    pub kind: EndpointKind,
    /// What AWS calls the instance or the cluster.
    pub identifier: Option<String>,
    /// The region.
    pub region: Option<String>,
}

impl Endpoint {
    /// Takes a host's name apart.
    pub fn of(host: &str) -> Endpoint {
        taken_apart(host).unwrap_or(Endpoint {
            kind: EndpointKind::Unknown,
            identifier: None,
            region: None,
        })
    }
}

fn taken_apart(host: &str) -> Option<Endpoint> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let inside =
        host.strip_suffix(".amazonaws.com").or_else(|| host.strip_suffix(".amazonaws.com.cn"))?;
    let mut labels: Vec<&str> = inside.split('.').collect();
    let is_name = |label: &&str| {
        !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    if !labels.iter().all(is_name) {
        return None;
    }
    // `NAME.X.REGION.rds`, in China `NAME.X.rds.REGION`.
    let service = labels.iter().rposition(|label| *label == "rds")?;
    if service + 2 < labels.len() {
        return None;
    }
    labels.remove(service);
    let (identifier, group, region) = match labels.as_slice() {
        [name, group, region] => (name, group, region),
        [name, "endpoint", group, region] if group.starts_with("proxy-") => (name, group, region),
        _ => return None,
    };
    let kind = match group.split_once('-') {
        None => EndpointKind::Instance,
        Some(("cluster", rest)) if rest.starts_with("ro-") => EndpointKind::Reader,
        Some(("cluster", rest)) if rest.starts_with("custom-") => EndpointKind::Custom,
        Some(("cluster", _)) => EndpointKind::Cluster,
        Some(("proxy", _)) => EndpointKind::Proxy,
        Some(("global", _)) => EndpointKind::Global,
        Some(_) => return None,
    };
    let region = (kind != EndpointKind::Global).then(|| (*region).to_owned());
    Some(Endpoint { kind, identifier: Some((*identifier).to_owned()), region })
}

/// Whether services may be led there. `is_aurora` is what the server itself says, if it was reached.
pub(super) fn judge(host: &str, endpoint: &Endpoint, is_aurora: Option<bool>) -> Option<Finding> {
    let refusal = |what: &str, remedy: &str| {
        let what = format!("{host} is {}: {what}", endpoint.kind.words());
        Some(Finding::refusal("target endpoint", what).mend(remedy))
    };
    let name_the_writer = "name the cluster endpoint in --target: NAME.cluster-….rds.amazonaws.com";
    match (endpoint.kind, is_aurora) {
        (EndpointKind::Cluster, _) | (EndpointKind::Instance, Some(false) | None) => None,
        (EndpointKind::Instance, Some(true)) => refusal(
            "the server is Aurora, and after a failover this instance is a reader",
            name_the_writer,
        ),
        (EndpointKind::Reader, _) => refusal("it takes no writes", name_the_writer),
        (EndpointKind::Custom, _) => {
            refusal("any of its instances may answer, readers too", name_the_writer)
        }
        (EndpointKind::Global, _) => refusal(
            "its writer may be in another region, and every look-up would go there",
            "name the cluster endpoint of the region that the services are in",
        ),
        (EndpointKind::Proxy, _) => refusal(
            "it shares sessions between clients, so settings, locks and snapshots don't stay with \
             one",
            "name the endpoint of the cluster or instance behind it",
        ),
        (EndpointKind::Unknown, _) => {
            let what = format!(
                "{host} is {}: whether it follows the writer after a failover can't be told",
                endpoint.kind.words()
            );
            Some(Finding::note("target endpoint", what).mend(
                "name the endpoint that the provider shows: Aurora's cluster endpoint, or RDS's \
                 instance endpoint; an alias of it hides the name that its certificate is for",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Severity;

    fn kind(host: &str) -> EndpointKind {
        Endpoint::of(host).kind
    }

    #[test]
    fn the_name_tells_the_kind() {
        let table = [
            ("ws.cluster-c1abc2def.eu-central-1.rds.amazonaws.com", EndpointKind::Cluster),
            ("ws.cluster-ro-c1abc2def.eu-central-1.rds.amazonaws.com", EndpointKind::Reader),
            ("ws.cluster-custom-c1abc2def.eu-central-1.rds.amazonaws.com", EndpointKind::Custom),
            ("ws.c1abc2def.eu-central-1.rds.amazonaws.com", EndpointKind::Instance),
            ("WS.C1ABC2DEF.EU-Central-1.RDS.amazonaws.com.", EndpointKind::Instance),
            ("ws.proxy-c1abc2def.eu-central-1.rds.amazonaws.com", EndpointKind::Proxy),
            ("rw.endpoint.proxy-c1abc2def.eu-central-1.rds.amazonaws.com", EndpointKind::Proxy),
            ("ws.global-c1abc2def.global.rds.amazonaws.com", EndpointKind::Global),
            ("ws.c1abc2def.rds.cn-north-1.amazonaws.com.cn", EndpointKind::Instance),
            ("ws.cluster-c1abc2def.rds.cn-north-1.amazonaws.com.cn", EndpointKind::Cluster),
            ("ws.shardgrp-c1abc2def.eu-central-1.rds.amazonaws.com", EndpointKind::Unknown),
            ("cluster-ro-abc.internal", EndpointKind::Unknown),
            ("10.0.0.7", EndpointKind::Unknown),
            ("rds.amazonaws.com", EndpointKind::Unknown),
            ("a.b.c.d.rds.amazonaws.com", EndpointKind::Unknown),
            ("ws.c1abc.eu-central-1.rds.amazonaws.com.evil.example", EndpointKind::Unknown),
            ("$(x).c1abc.eu-central-1.rds.amazonaws.com", EndpointKind::Unknown),
            ("", EndpointKind::Unknown),
        ];
        for (host, expected) in table {
            assert_eq!(kind(host), expected, "{host}");
        }
    }

    #[test]
    fn a_cluster_is_known_by_its_own_name_and_region() {
        let endpoint = Endpoint::of("ws-1.cluster-c1abc.eu-west-2.rds.amazonaws.com");
        assert_eq!(endpoint.identifier.as_deref(), Some("ws-1"));
        assert_eq!(endpoint.region.as_deref(), Some("eu-west-2"));
    }

    #[test]
    fn only_the_writers_own_endpoints_pass() {
        let severity = |host: &str, is_aurora| {
            judge(host, &Endpoint::of(host), is_aurora).map(|finding| finding.severity)
        };
        let at = |group: &str| format!("ws.{group}.eu-west-2.rds.amazonaws.com");
        assert_eq!(severity(&at("cluster-abc"), Some(true)), None);
        assert_eq!(severity(&at("abc"), Some(false)), None);
        assert_eq!(severity(&at("abc"), None), None);
        for group in ["cluster-ro-abc", "cluster-custom-abc", "proxy-abc", "global-abc"] {
            assert_eq!(severity(&at(group), None), Some(Severity::Refusal), "{group}");
        }
        assert_eq!(severity(&at("abc"), Some(true)), Some(Severity::Refusal));
        assert_eq!(severity("db.example.com", Some(false)), Some(Severity::Note));
    }
}
