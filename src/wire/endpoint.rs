//! Where a server listens: a host and port, or a Unix socket.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

use super::parameters::{Parameters, invalid};

/// Where libpq builds look for the Unix socket: Debian's and Red Hat's folder, and PostgreSQL's own
/// default.
const SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// One of the places to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) place: Place,
    pub(super) port: u16,
}

/// What to reach, apart from the port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A folder with Unix sockets; one that starts with "@" is in the abstract namespace.
    Folder(PathBuf),
    /// A host by name or number; with `address` known, no name is looked up.
    Host { name: String, address: Option<IpAddr> },
}

impl Endpoint {
    /// Whether it is certain, before any name is looked up, that this is the same machine.
    pub(super) fn is_local(&self) -> bool {
        match &self.place {
            Place::Folder(_) => true,
            Place::Host { name, address } => match address.or_else(|| name.parse().ok()) {
                Some(address) => is_loopback(address),
                None => name.eq_ignore_ascii_case("localhost"),
            },
        }
    }

    /// What the password file calls the host.
    pub(super) fn passfile_host(&self) -> String {
        match &self.place {
            Place::Folder(folder) if is_default_folder(folder) => "localhost".into(),
            Place::Folder(folder) => folder.display().to_string(),
            Place::Host { name, .. } => name.clone(),
        }
    }
}

/// "host:port", or the socket's path.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Folder(folder) => {
                write!(f, "{}/.s.PGSQL.{}", folder.display(), self.port)
            }
            Place::Host { name, .. } if name.contains(':') => write!(f, "[{name}]:{}", self.port),
            Place::Host { name, .. } => write!(f, "{name}:{}", self.port),
        }
    }
}

/// Whether an address is this machine's own loopback.
pub(super) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// All places to try, in order: `host`, `hostaddr` and `port` are lists that go together.
pub(super) fn all(parameters: &Parameters) -> Result<Vec<Endpoint>> {
    let list = |keyword: &str| -> Vec<&str> {
        let value = parameters.get(keyword);
        value.map_or(Vec::new(), |value| value.split(',').map(str::trim).collect())
    };
    let (hosts, addresses, ports) = (list("host"), list("hostaddr"), list("port"));
    let count = hosts.len().max(addresses.len()).max(1);
    if !addresses.is_empty() && !hosts.is_empty() && addresses.len() != hosts.len() {
        return Err(uneven("hostaddr", addresses.len(), count));
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(uneven("port", ports.len(), count));
    }

    let mut endpoints = Vec::new();
    for index in 0..count {
        let host = hosts.get(index).copied().filter(|host| !host.is_empty());
        let address = addresses.get(index).copied();
        let address = address.filter(|address| !address.is_empty());
        let port = ports.get(index).or(ports.first()).copied().unwrap_or("");
        let port = if ports.len() > 1 { ports[index] } else { port };
        let port = parse_port(port)?;
        for place in places(host, address)? {
            endpoints.push(Endpoint { place, port });
        }
    }
    Ok(endpoints)
}

fn places(host: Option<&str>, address: Option<&str>) -> Result<Vec<Place>> {
    let address = address
        .map(|text| {
            let parsed: Result<IpAddr, _> = text.parse();
            parsed.map_err(|_| invalid("hostaddr", text, "an IP address; names go into host"))
        })
        .transpose()?;
    Ok(match (host, address) {
        (Some(host), None) if host.starts_with(['/', '@']) => {
            if cfg!(windows) {
                return Err(invalid("host", host, "a host name: there are no Unix sockets here"));
            }
            vec![Place::Folder(host.into())]
        }
        (Some(host), address) => vec![Place::Host { name: host.to_owned(), address }],
        (None, Some(address)) => {
            vec![Place::Host { name: address.to_string(), address: Some(address) }]
        }
        (None, None) if cfg!(windows) => {
            vec![Place::Host { name: "localhost".into(), address: None }]
        }
        (None, None) => SOCKET_FOLDERS.iter().map(|folder| Place::Folder(folder.into())).collect(),
    })
}

fn parse_port(text: &str) -> Result<u16> {
    if text.is_empty() {
        return Ok(5432);
    }
    match text.parse() {
        Ok(0) | Err(_) => Err(invalid("port", text, "a number from 1 to 65535")),
        Ok(port) => Ok(port),
    }
}

fn is_default_folder(folder: &Path) -> bool {
    SOCKET_FOLDERS.iter().any(|known| folder == Path::new(known))
}

fn uneven(keyword: &str, count: usize, hosts: usize) -> Error {
    Error::usage(format!("reading the connection parameter {keyword}"))
        .because(format!("it lists {count} values for {hosts} hosts"))
        .hint("list as many as there are hosts")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::environment::Environment;

    fn endpoints(settings: &[(&str, &str)]) -> Vec<Endpoint> {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let settings = settings.iter().map(owned).collect();
        all(&Parameters::complete(settings, &Environment::default()).unwrap()).unwrap()
    }

    fn shown(settings: &[(&str, &str)]) -> String {
        let shown: Vec<String> = endpoints(settings).iter().map(Endpoint::to_string).collect();
        shown.join(" ")
    }

    #[test]
    fn hosts_and_ports_go_together() {
        let table: [(&[(&str, &str)], &str); 6] = [
            (&[("host", "a,b"), ("port", "1,2")], "a:1 b:2"),
            (&[("host", "a,b"), ("port", "7")], "a:7 b:7"),
            (&[("host", "a,b"), ("port", ",7")], "a:5432 b:7"),
            (&[("host", "::1")], "[::1]:5432"),
            (&[("hostaddr", "10.0.0.1,10.0.0.2")], "10.0.0.1:5432 10.0.0.2:5432"),
            (&[("host", "a"), ("hostaddr", "10.0.0.1")], "a:5432"),
        ];
        for (settings, expected) in table {
            assert_eq!(shown(settings), expected);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_is_a_unix_socket_and_no_host_means_the_default_folders() {
        assert_eq!(shown(&[("host", "/run/pg,b"), ("port", "1,2")]), "/run/pg/.s.PGSQL.1 b:2");
        assert_eq!(shown(&[]), "/var/run/postgresql/.s.PGSQL.5432 /tmp/.s.PGSQL.5432");
    }

    #[test]
    fn loopback_is_known_by_name_and_by_number() {
        let local = |host: &str, address: &str| {
            endpoints(&[("host", host), ("hostaddr", address)])[0].is_local()
        };
        for host in ["localhost", "LOCALHOST", "127.3.2.1", "::1", "::ffff:127.0.0.1"] {
            assert!(local(host, ""), "{host}");
        }
        for host in ["localhost.example.com", "10.0.0.1", "::2", "db"] {
            assert!(!local(host, ""), "{host}");
        }
        assert!(local("db", "127.0.0.1"));
        assert!(!local("localhost", "10.0.0.1"));
    }
}
