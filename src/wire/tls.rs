//! The TLS handshake: rustls, with the ring provider and no process-wide state.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use crate::error::{Error, Kind};

use super::certificate::ServerCertificate;
use super::conninfo::Conninfo;
use super::dial::{Address, Failure, Route, Then, connecting};
use super::endpoint::Place;
use super::link::{Link, Socket};
use super::tls_settings::{Roots, TlsSettings, Verification};

/// What the files that the settings name hold, each read at its first use.
#[derive(Debug, Default)]
pub(super) struct Materials {
    trusted: OnceCell<Trusted>,
    client: OnceCell<Option<ClientIdentity>>,
}

/// Whom to trust.
#[derive(Debug, Clone)]
struct Trusted {
    roots: Arc<RootCertStore>,
    /// The certificates of `sslrootcert` as they are.
    listed: Arc<[CertificateDer<'static>]>,
}

/// Who we are.
#[derive(Debug)]
struct ClientIdentity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// Encrypts a socket.
pub(super) async fn handshake(
    socket: Socket,
    route: &Route,
    conninfo: &Conninfo,
    verification: Verification,
) -> Result<Link, Failure> {
    let stop =
        |error: Error| Failure::new(Then::Stop, error.within(format!("connecting to {route}")));
    let name = server_name(route).map_err(stop)?;
    let config = config(&conninfo.tls, verification).await.map_err(stop)?;
    match TlsConnector::from(config).connect(name, socket).await {
        Ok(stream) => Ok(Link::Tls(Box::new(stream))),
        Err(error) => Err(Failure::new(Then::OtherEncryption, explain(route, error))),
    }
}

async fn config(
    settings: &TlsSettings,
    verification: Verification,
) -> Result<Arc<ClientConfig>, Error> {
    let Materials { trusted, client } = &*settings.materials;
    let trusted = match verification {
        Verification::Nothing => Trusted::nobody(),
        Verification::Issuer | Verification::IssuerAndHost => {
            let read = || async { Trusted::read(settings.roots()) };
            trusted.get_or_try_init(read).await?.clone()
        }
    };
    let client = client.get_or_try_init(|| async { ClientIdentity::read(settings) }).await?;
    let provider = Arc::new(ring::default_provider());
    let verifier = ServerCertificate {
        verification,
        roots: trusted.roots,
        listed: trusted.listed,
        algorithms: provider.signature_verification_algorithms,
    };
    let versions: &[_] = if settings.tls13_only {
        &[&rustls::version::TLS13]
    } else {
        &[&rustls::version::TLS13, &rustls::version::TLS12]
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(|error| unusable("preparing TLS", &error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match client {
        Some(ClientIdentity { chain, key }) => {
            builder.with_client_auth_cert(chain.clone(), key.clone_key()).map_err(|error| {
                unusable("using sslcert and sslkey", &error)
                    .hint("give the certificate and the key that belong together")
            })?
        }
        None => builder.with_no_client_auth(),
    };
    config.enable_sni = settings.server_name_indication;
    // PostgreSQL issues no session tickets (source: libpq/be-secure-openssl.c).
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

impl Trusted {
    fn nobody() -> Trusted {
        Trusted { roots: Arc::new(RootCertStore::empty()), listed: Arc::new([]) }
    }

    fn read(from: &Roots) -> Result<Trusted, Error> {
        let mut roots = RootCertStore::empty();
        let mut listed = Vec::new();
        match from {
            Roots::File(path) => {
                listed = read_certificates("sslrootcert", path)?;
                // A listed server certificate need not do as an issuer: it is known by itself.
                roots.add_parsable_certificates(listed.iter().cloned());
            }
            Roots::System => {
                let found = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(found.certs);
                if roots.is_empty() {
                    let doing = "reading the system's root certificates";
                    return Err(Error::new(Kind::Connect, doing)
                        .because("there are none")
                        .hint("install ca-certificates, or add sslrootcert=FILE"));
                }
            }
        }
        Ok(Trusted { roots: Arc::new(roots), listed: listed.into() })
    }
}

impl ClientIdentity {
    fn read(settings: &TlsSettings) -> Result<Option<ClientIdentity>, Error> {
        let Some((certificate, key)) = &settings.client else {
            return Ok(None);
        };
        Ok(Some(ClientIdentity {
            chain: read_certificates("sslcert", certificate)?,
            key: read_key(key)?,
        }))
    }
}

fn read_certificates(parameter: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let failed = || Error::new(Kind::Connect, format!("reading {parameter} {}", path.display()));
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match certificates {
        Ok(certificates) if certificates.is_empty() => {
            Err(failed().because("there is no certificate in it").hint("give a file in PEM format"))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(failed()
            .because(error.to_string())
            .hint("give a file in PEM format that this user may read")),
    }
}

/// A key that others may read is refused, as with libpq.
fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let failed = || Error::new(Kind::Connect, format!("reading sslkey {}", path.display()));
    let metadata = std::fs::metadata(path)
        .map_err(|error| failed().io(error).hint("name the key's file with sslkey=FILE"))?;
    if open_to_others(&metadata) {
        return Err(failed()
            .because("others may read it")
            .hint(format!("run: chmod 0600 {}", path.display())));
    }
    PrivateKeyDer::from_pem_file(path).map_err(|error| {
        failed().because(error.to_string()).hint("give an unencrypted key in PEM format")
    })
}

/// Root's files may be readable by a group: that is how distributions share keys.
#[cfg(unix)]
fn open_to_others(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let closed = if metadata.uid() == 0 { 0o027 } else { 0o077 };
    metadata.mode() & closed != 0
}

/// Windows has no such bits; the folder's protection has to do.
#[cfg(not(unix))]
fn open_to_others(_metadata: &std::fs::Metadata) -> bool {
    false
}

/// What the server's certificate is to be issued for.
fn server_name(route: &Route) -> Result<ServerName<'static>, Error> {
    let address = match &route.address {
        Address::Tcp(address) => ServerName::from(address.ip()),
        #[cfg(unix)]
        Address::Unix(_) => return Err(Error::new(Kind::Connect, "TLS over a Unix socket")),
    };
    match (&route.endpoint.place, route.encryption) {
        (Place::Host { name, .. }, encryption) => match ServerName::try_from(name.clone()) {
            Ok(name) => Ok(name),
            Err(_) if encryption.verifies_host() => {
                Err(Error::new(Kind::Connect, "verifying the host")
                    .because(format!("{name:?} is no name that a certificate can hold"))
                    .hint("connect by the name in the server's certificate"))
            }
            Err(_) => Ok(address),
        },
        (Place::Folder(_), _) => Ok(address),
    }
}

fn unusable(doing: &str, error: &rustls::Error) -> Error {
    Error::new(Kind::Connect, doing).because(error.to_string())
}

/// A failed handshake in words that help.
fn explain(route: &Route, error: io::Error) -> Error {
    let failed = connecting(route);
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(tls) = tls else {
        return failed
            .because(format!("the TLS handshake broke off: {error}"))
            .hint("check that host and port are those of a PostgreSQL server");
    };
    let rustls::Error::InvalidCertificate(reason) = tls else {
        return failed
            .because(format!("the TLS handshake failed: {tls}"))
            .hint("check that the server speaks TLS 1.2 or later, and sslcert if it wants one");
    };
    match reason {
        // A bad signature: an authority of that name is listed, but it is not the one.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => failed
            .because("the server's certificate is issued by nobody who is trusted")
            .hint("give the provider's CA bundle, or the server's own certificate, with sslrootcert=FILE"),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            failed
                .because(format!("the server's certificate is not this host's: {tls}"))
                .hint("connect by the name in the certificate, or use sslmode=verify-ca")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => failed
            .because("the server's certificate has expired")
            .hint("renew it; meanwhile sslmode=require without sslrootcert connects unverified"),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => failed
            .because("the server's certificate is not valid yet")
            .hint("check this machine's clock"),
        CertificateError::Other(why) => failed
            .because(format!("the server's certificate is refused: {why}"))
            .hint(
                "give the server an X.509 version 3 certificate, or list its own in \
                 sslrootcert=FILE and let it speak TLS 1.3",
            ),
        _ => failed
            .because(format!("the server's certificate is refused: {tls}"))
            .hint("list the certificate itself in the file that sslrootcert=FILE names"),
    }
}
