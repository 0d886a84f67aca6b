//! The one way to a server, whatever for: resolve, connect, ask for TLS, shake hands.

use std::fmt;
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::PathBuf;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use crate::error::{Error, Kind};

use super::channel;
use super::conninfo::{Conninfo, TcpSettings};
use super::endpoint::{Endpoint, Place, is_loopback};
use super::link::{Link, Socket};
use super::tls;
use super::tls_settings::{SslMode, Verification};

/// A way that leads to a server: a cancel request takes the same one again.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) endpoint: Endpoint,
    pub(super) address: Address,
    pub(super) encryption: Encryption,
}

/// A resolved place.
#[derive(Debug, Clone)]
pub(super) enum Address {
    Tcp(SocketAddr),
    #[cfg(unix)]
    Unix(PathBuf),
}

/// Whether to ask for TLS.
#[derive(Debug, Clone, Copy)]
pub(super) enum Encryption {
    Without,
    /// With TLS if the server has it.
    IfOffered,
    With(Verification),
}

/// Why an attempt failed, and what that says of the other ways.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) then: Then,
}

/// What to try after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Another address or host may do.
    NextAddress,
    /// The same address may accept a connection with, or without, TLS.
    OtherEncryption,
    /// Nothing: the next attempt would only hide the reason.
    Stop,
}

impl Encryption {
    /// Whether the certificate must be the host's.
    pub(super) fn verifies_host(self) -> bool {
        matches!(self, Encryption::With(Verification::IssuerAndHost))
    }
}

impl Failure {
    pub(super) fn new(then: Then, error: Error) -> Failure {
        Failure { error, then }
    }
}

impl Route {
    /// The endpoint with its address fixed: a name may stand for several servers.
    pub(super) fn fixed_endpoint(&self) -> Endpoint {
        let place = match (&self.endpoint.place, &self.address) {
            (Place::Host { name, .. }, Address::Tcp(address)) => {
                Place::Host { name: name.clone(), address: Some(address.ip()) }
            }
            (place, _) => place.clone(),
        };
        Endpoint { place, port: self.endpoint.port }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.address, &self.endpoint.place) {
            (Address::Tcp(address), Place::Host { name, .. })
                if *name != address.ip().to_string() =>
            {
                write!(f, "{} ({})", self.endpoint, address.ip())
            }
            _ => self.endpoint.fmt(f),
        }
    }
}

/// The addresses an endpoint stands for.
pub(super) async fn resolve(endpoint: &Endpoint) -> io::Result<Vec<Address>> {
    match &endpoint.place {
        Place::Host { address: Some(address), .. } => {
            Ok(vec![Address::Tcp((*address, endpoint.port).into())])
        }
        Place::Host { name, .. } => {
            let found = tokio::net::lookup_host((name.as_str(), endpoint.port)).await?;
            Ok(found.map(Address::Tcp).collect())
        }
        #[cfg(unix)]
        Place::Folder(folder) => Ok(vec![Address::Unix(socket_path(folder, endpoint.port))]),
        #[cfg(not(unix))]
        Place::Folder(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// The encryptions to try at an address, in order. Unix sockets go without, as with libpq.
pub(super) fn encryptions(conninfo: &Conninfo, address: &Address) -> Vec<Encryption> {
    let address = match address {
        Address::Tcp(address) => address.ip(),
        #[cfg(unix)]
        Address::Unix(_) => return vec![Encryption::Without],
    };
    let mode = conninfo.tls.mode(is_loopback(address));
    match mode {
        SslMode::Disable => vec![Encryption::Without],
        SslMode::Allow => vec![Encryption::Without, Encryption::With(Verification::Nothing)],
        SslMode::Prefer => vec![Encryption::IfOffered, Encryption::Without],
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
            vec![Encryption::With(conninfo.tls.verification(mode))]
        }
    }
}

/// Opens a link along a route.
pub(super) async fn open(route: &Route, conninfo: &Conninfo) -> Result<Link, Failure> {
    let socket = connect(&route.address, &conninfo.tcp)
        .await
        .map_err(|error| Failure::new(Then::NextAddress, unreachable(route, error)))?;
    match route.encryption {
        Encryption::Without => Ok(Link::Plain(socket)),
        Encryption::IfOffered => encrypt(socket, route, conninfo, None).await,
        Encryption::With(verification) => {
            encrypt(socket, route, conninfo, Some(verification)).await
        }
    }
}

/// Asks for TLS (documentation: "SSL Session Encryption"). Exactly one byte of the answer is read:
/// what is behind it must be the handshake's, or somebody put it there.
async fn encrypt(
    mut socket: Socket,
    route: &Route,
    conninfo: &Conninfo,
    wanted: Option<Verification>,
) -> Result<Link, Failure> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    let mut answer = [0];
    let asked = async {
        socket.write_all(&request).await?;
        socket.read(&mut answer).await
    };
    let broken = |error| Failure::new(Then::NextAddress, not_postgres(route, error));
    match asked.await {
        Ok(0) => return Err(broken(channel::hung_up())),
        Ok(_) => {}
        Err(error) => return Err(broken(error)),
    }
    match (answer[0], wanted) {
        (b'S', wanted) => {
            let verification = wanted.unwrap_or(Verification::Nothing);
            tls::handshake(socket, route, conninfo, verification).await
        }
        (b'N', None) => Ok(Link::Plain(socket)),
        (b'N', Some(_)) => Err(Failure::new(
            Then::Stop,
            connecting(route)
                .because("the server has no TLS")
                .hint("turn ssl on there, or add sslmode=disable if the network between is safe"),
        )),
        (b'E', _) => Err(Failure::new(
            Then::OtherEncryption,
            connecting(route)
                .because("the server refused to talk about TLS")
                .hint("check the server's log; it may have no room for another connection"),
        )),
        (other, _) => Err(Failure::new(
            Then::Stop,
            not_postgres(route, io::Error::other(format!("it answered {:?}", char::from(other)))),
        )),
    }
}

async fn connect(address: &Address, settings: &TcpSettings) -> io::Result<Socket> {
    match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            // A statement waits for its answer: nothing follows that it could be joined to.
            stream.set_nodelay(true)?;
            settings.apply(&stream)?;
            Ok(Socket::Tcp(stream))
        }
        #[cfg(unix)]
        Address::Unix(path) => Ok(Socket::Unix(UnixStream::connect(path).await?)),
    }
}

impl TcpSettings {
    fn apply(&self, stream: &TcpStream) -> io::Result<()> {
        let socket = SockRef::from(stream);
        if self.keepalives {
            let mut keepalive = TcpKeepalive::new();
            if let Some(idle) = self.idle {
                keepalive = keepalive.with_time(idle);
            }
            if let Some(interval) = self.interval {
                keepalive = keepalive.with_interval(interval);
            }
            if let Some(count) = self.count {
                keepalive = keepalive.with_retries(count);
            }
            socket.set_keepalive(true)?;
            socket.set_tcp_keepalive(&keepalive)?;
        }
        // Only there; elsewhere libpq ignores it, too.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if self.user_timeout.is_some() {
            socket.set_tcp_user_timeout(self.user_timeout)?;
        }
        Ok(())
    }
}

/// The socket's path; a folder that starts with "@" stands for a name without a file (Linux).
#[cfg(unix)]
fn socket_path(folder: &std::path::Path, port: u16) -> PathBuf {
    let path = folder.join(format!(".s.PGSQL.{port}"));
    match path.to_str().and_then(|path| path.strip_prefix('@')) {
        Some(name) => PathBuf::from(format!("\0{name}")),
        None => path,
    }
}

/// A failure to connect along a route.
pub(super) fn connecting(route: &Route) -> Error {
    Error::new(Kind::Connect, format!("connecting to {route}"))
}

fn unreachable(route: &Route, error: io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "check host and port, and that the server runs and listens there"
        }
        io::ErrorKind::NotFound => {
            "check that the server runs, and where its socket is (unix_socket_directories)"
        }
        io::ErrorKind::PermissionDenied => "run as a user who may open the server's socket",
        _ => "check host and port, and that no firewall is in between",
    };
    connecting(route).io(error).hint(hint)
}

/// The peer answers in no way a PostgreSQL server does.
pub(super) fn not_postgres(route: &Route, error: io::Error) -> Error {
    connecting(route).io(error).hint("check that host and port are those of a PostgreSQL server")
}
