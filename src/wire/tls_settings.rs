//! What the connection string says about TLS (documentation: "SSL Support").

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};

use super::endpoint::Endpoint;
use super::environment::Environment;
use super::parameters::Parameters;
use super::tls::Materials;

/// `sslmode`, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SslMode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl SslMode {
    const WORDS: [(&'static str, SslMode); 6] = [
        ("disable", SslMode::Disable),
        ("allow", SslMode::Allow),
        ("prefer", SslMode::Prefer),
        ("require", SslMode::Require),
        ("verify-ca", SslMode::VerifyCa),
        ("verify-full", SslMode::VerifyFull),
    ];

    fn word(self) -> &'static str {
        SslMode::WORDS.iter().find(|(_, mode)| *mode == self).map_or("", |(word, _)| word)
    }
}

/// Whom to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Roots {
    /// The system's certificate store.
    System,
    /// The certificates in a PEM file.
    File(PathBuf),
}

/// What a certificate is checked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verification {
    /// Nothing: anyone in between can pass for the server.
    Nothing,
    /// That somebody trusted vouches for it.
    Issuer,
    /// That, and that it is the host's.
    IssuerAndHost,
}

/// The TLS settings of a connection.
#[derive(Debug, Clone)]
pub(super) struct TlsSettings {
    /// As said; None leaves it to where the server is.
    mode: Option<SslMode>,
    /// As said, or the user's own root.crt.
    roots: Option<Roots>,
    /// The client's certificate chain and its key.
    pub(super) client: Option<(PathBuf, PathBuf)>,
    pub(super) server_name_indication: bool,
    pub(super) tls13_only: bool,
    /// What the files hold, read at the first use and shared by all connections.
    pub(super) materials: Arc<Materials>,
}

impl TlsSettings {
    pub(super) fn from_parameters(
        parameters: &Parameters,
        environment: &Environment,
    ) -> Result<TlsSettings> {
        let mut mode = parameters.choice("sslmode", &SslMode::WORDS)?;
        let roots = match parameters.get("sslrootcert") {
            Some("system") => Some(Roots::System),
            Some(path) => Some(Roots::File(path.into())),
            None => existing(environment.user_file("root.crt")).map(Roots::File),
        };
        if roots == Some(Roots::System)
            && *mode.get_or_insert(SslMode::VerifyFull) < SslMode::VerifyFull
        {
            return Err(Error::usage("reading the connection parameter sslmode")
                .because(
                    "sslrootcert=system vouches for anybody's host, so the name must be checked",
                )
                .hint("use sslmode=verify-full with it"));
        }
        if mode == Some(SslMode::VerifyCa) && roots.is_none() {
            return Err(Error::usage("reading the connection parameter sslmode")
                .because("verify-ca without sslrootcert would accept any public site's certificate")
                .hint("add sslrootcert=FILE, or use sslmode=verify-full"));
        }
        Ok(TlsSettings {
            mode,
            roots,
            client: client_files(parameters, environment)?,
            server_name_indication: parameters.get("sslsni") != Some("0"),
            tls13_only: parameters
                .choice(
                    "ssl_min_protocol_version",
                    &[("TLSv1", false), ("TLSv1.1", false), ("TLSv1.2", false), ("TLSv1.3", true)],
                )?
                .unwrap_or(false),
            materials: Arc::default(),
        })
    }

    /// The mode towards a server on the same machine, or on another.
    pub(super) fn mode(&self, local: bool) -> SslMode {
        let default = if local { SslMode::Prefer } else { SslMode::VerifyFull };
        self.mode.unwrap_or(default)
    }

    /// What is checked under a mode. With roots at hand, `require` is `verify-ca`, as with libpq.
    pub(super) fn verification(&self, mode: SslMode) -> Verification {
        match mode {
            SslMode::Disable | SslMode::Allow | SslMode::Prefer => Verification::Nothing,
            SslMode::Require if self.roots.is_none() => Verification::Nothing,
            SslMode::Require | SslMode::VerifyCa => Verification::Issuer,
            SslMode::VerifyFull => Verification::IssuerAndHost,
        }
    }

    /// Whom to trust, where anything is verified.
    pub(super) fn roots(&self) -> &Roots {
        self.roots.as_ref().unwrap_or(&Roots::System)
    }

    /// Says where a connection to another machine is weaker than it could be.
    pub(super) fn warn_about(&self, endpoints: &[Endpoint], warnings: &mut Vec<String>) {
        for endpoint in endpoints.iter().filter(|endpoint| !endpoint.is_local()) {
            let mode = self.mode(false);
            let word = mode.word();
            if mode < SslMode::Require {
                warnings.push(format!(
                    "the connection to {endpoint} may go unencrypted (sslmode={word}); \
                     use sslmode=verify-full with sslrootcert=FILE"
                ));
            } else if self.verification(mode) == Verification::Nothing {
                warnings.push(format!(
                    "the connection to {endpoint} is encrypted, but the server is not verified \
                     (sslmode={word}); use sslmode=verify-full with sslrootcert=FILE"
                ));
            }
        }
    }
}

/// `sslcert` and `sslkey`, or the user's own postgresql.crt and postgresql.key.
fn client_files(
    parameters: &Parameters,
    environment: &Environment,
) -> Result<Option<(PathBuf, PathBuf)>> {
    let said = |keyword: &str| parameters.get(keyword).map(PathBuf::from);
    let Some(certificate) =
        said("sslcert").or_else(|| existing(environment.user_file("postgresql.crt")))
    else {
        return match said("sslkey") {
            Some(_) => Err(Error::usage("reading the connection parameter sslkey")
                .because("there is a key but no certificate")
                .hint("add sslcert=FILE")),
            None => Ok(None),
        };
    };
    match said("sslkey").or_else(|| environment.user_file("postgresql.key")) {
        Some(key) => Ok(Some((certificate, key))),
        None => Err(Error::usage("reading the connection parameter sslcert")
            .because("there is a certificate but no key")
            .hint("add sslkey=FILE")),
    }
}

fn existing(path: Option<PathBuf>) -> Option<PathBuf> {
    path.filter(|path| Path::is_file(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Conninfo;

    fn conninfo(text: &str) -> Conninfo {
        let environment = Environment { user: Some("ann".into()), ..Environment::default() };
        Conninfo::parse(text, &environment).unwrap()
    }

    #[test]
    fn off_loopback_the_default_verifies_the_host_against_the_system_s_roots() {
        let tls = conninfo("host=db.example.com").tls;
        assert_eq!(tls.mode(false), SslMode::VerifyFull);
        assert_eq!(tls.mode(true), SslMode::Prefer);
        assert_eq!(tls.roots(), &Roots::System);
        assert_eq!(conninfo("sslrootcert=system").tls.mode(true), SslMode::VerifyFull);
    }

    #[test]
    fn require_verifies_the_issuer_once_roots_are_given() {
        let bare = conninfo("host=db sslmode=require").tls;
        assert_eq!(bare.verification(SslMode::Require), Verification::Nothing);
        let rooted = conninfo("host=db sslmode=require sslrootcert=/ca.pem").tls;
        assert_eq!(rooted.verification(SslMode::Require), Verification::Issuer);
    }

    #[test]
    fn connections_off_loopback_that_are_not_verified_are_warned_about() {
        for (text, count) in [
            ("host=db", 0),
            ("host=db sslmode=require sslrootcert=/ca.pem", 0),
            ("host=db sslmode=require", 1),
            ("host=db,localhost sslmode=prefer", 1),
            ("host=db,db2 sslmode=disable", 2),
            ("host=localhost sslmode=disable", 0),
        ] {
            assert_eq!(conninfo(text).warnings().len(), count, "{text}");
        }
    }
}
