//! Connection strings, as libpq takes them (documentation: "Connection Strings").

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};

use super::endpoint::{self, Endpoint, Place};
use super::environment::Environment;
use super::parameters::Parameters;
use super::passfile::PassFile;
use super::secret::Secret;
use super::tls_settings::TlsSettings;
use super::{keyword_value, uri};

/// How long an attempt at one address may take: without a limit, a host that drops packets would
/// hold a job up for minutes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// A session that waits for an index build is silent for hours, and what stands between (a NAT
/// gateway forgets a connection after minutes) must not take it for dead. The system's own two
/// hours are too long for that.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// A network that is silent for longer than this has rarely come back.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Where and how to connect: parsed, completed and validated.
///
/// Three defaults differ from libpq's. Off loopback, `sslmode` is `verify-full`, with the system's
/// roots where no `sslrootcert` is given: whoever wants less says so. (On loopback and Unix sockets
/// it is libpq's `prefer`.) An attempt at an address ends after 15 seconds (`connect_timeout`), and
/// TCP keepalives start after a minute (`keepalives_idle`).
#[derive(Debug, Clone)]
pub struct Conninfo {
    pub(super) endpoints: Vec<Endpoint>,
    user: String,
    database: String,
    names_database: bool,
    password: Option<Secret>,
    names_password: bool,
    passfile: Arc<PassFile>,
    pub(super) tls: TlsSettings,
    pub(super) tcp: TcpSettings,
    /// None waits as long as the system does.
    pub(super) connect_timeout: Option<Duration>,
    /// How long a server may be silent before it is asked why.
    pub(super) stall_timeout: Duration,
    pub(super) target: TargetSession,
    pub(super) channel_binding: ChannelBinding,
    application_name: String,
    options: Option<String>,
    client_encoding: String,
    lc_monetary: Option<String>,
    warnings: Vec<String>,
}

/// What keeps a TCP connection from dying unnoticed. None leaves it to the system.
#[derive(Debug, Clone, Copy)]
pub(super) struct TcpSettings {
    pub(super) keepalives: bool,
    pub(super) idle: Option<Duration>,
    pub(super) interval: Option<Duration>,
    pub(super) count: Option<u32>,
    /// Only Linux has it.
    #[cfg_attr(not(any(target_os = "linux", target_os = "android")), expect(dead_code))]
    pub(super) user_timeout: Option<Duration>,
}

/// `target_session_attrs`: which servers will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TargetSession {
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

/// `channel_binding`: whether SCRAM is tied to the TLS connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChannelBinding {
    Disable,
    Prefer,
    Require,
}

impl Conninfo {
    /// Parses a URI or keyword/value string and completes it from `environment`.
    pub fn parse(text: &str, environment: &Environment) -> Result<Conninfo> {
        let settings = Conninfo::settings(text)?;
        let password = |(name, value): &(String, String)| name == "password" && !value.is_empty();
        let names_password = settings.iter().any(password);
        let parameters = Parameters::complete(settings, environment)?;
        let conninfo = Conninfo::from_parameters(&parameters, environment)?;
        Ok(Conninfo { names_password, ..conninfo })
    }

    /// The settings that a URI or keyword/value string holds, in their order, whether they make
    /// sense or not.
    pub(crate) fn settings(text: &str) -> Result<Vec<(String, String)>> {
        match uri::without_scheme(text.trim()) {
            Some(rest) => uri::parse(rest),
            None => keyword_value::parse(text),
        }
    }

    fn from_parameters(parameters: &Parameters, environment: &Environment) -> Result<Conninfo> {
        let mut warnings = Vec::new();
        let user = parameters.get("user").or(environment.user.as_deref()).ok_or_else(|| {
            Error::usage("reading the connection string")
                .because("it names no user, and the system user's name is unknown")
                .hint("add user=NAME")
        })?;
        let passfile = match parameters.get("passfile") {
            Some(path) => Some(PathBuf::from(path)),
            None => environment.default_passfile(),
        };
        let endpoints = endpoint::all(parameters)?;
        let tls = TlsSettings::from_parameters(parameters, environment)?;
        tls.warn_about(&endpoints, &mut warnings);
        let name =
            parameters.get("application_name").or(parameters.get("fallback_application_name"));
        Ok(Conninfo {
            endpoints,
            user: user.to_owned(),
            database: parameters.get("dbname").unwrap_or(user).to_owned(),
            names_database: parameters.get("dbname").is_some(),
            password: parameters.get("password").map(Secret::new),
            names_password: false,
            passfile: Arc::new(match passfile {
                Some(path) => PassFile::read(&path, &mut warnings),
                None => PassFile::default(),
            }),
            tls,
            tcp: TcpSettings::from_parameters(parameters)?,
            connect_timeout: connect_timeout(parameters)?,
            stall_timeout: STALL_TIMEOUT,
            target: parameters
                .choice(
                    "target_session_attrs",
                    &[
                        ("any", TargetSession::Any),
                        ("read-write", TargetSession::ReadWrite),
                        ("read-only", TargetSession::ReadOnly),
                        ("primary", TargetSession::Primary),
                        ("standby", TargetSession::Standby),
                        ("prefer-standby", TargetSession::PreferStandby),
                    ],
                )?
                .unwrap_or(TargetSession::Any),
            channel_binding: parameters
                .choice(
                    "channel_binding",
                    &[
                        ("disable", ChannelBinding::Disable),
                        ("prefer", ChannelBinding::Prefer),
                        ("require", ChannelBinding::Require),
                    ],
                )?
                .unwrap_or(ChannelBinding::Prefer),
            application_name: name.unwrap_or("pgconvoy").to_owned(),
            options: parameters.get("options").map(str::to_owned),
            client_encoding: match parameters.get("client_encoding") {
                None | Some("auto") => "UTF8".to_owned(),
                Some(encoding) => encoding.to_owned(),
            },
            lc_monetary: Some("C".to_owned()),
            warnings,
        })
    }

    /// Whether a database was named, rather than taken to be the user's.
    pub fn names_database(&self) -> bool {
        self.names_database
    }

    /// The same server, another database.
    #[must_use]
    pub fn with_database(&self, database: &str) -> Conninfo {
        Conninfo { database: database.to_owned(), names_database: true, ..self.clone() }
    }

    /// The same, as another role.
    #[must_use]
    pub fn with_login(&self, user: &str, password: &str) -> Conninfo {
        let password = Some(Secret::new(password));
        Conninfo { user: user.to_owned(), password, ..self.clone() }
    }

    /// The same, but a server that is silent for so long is asked why.
    #[must_use]
    pub fn with_stall_timeout(&self, stall_timeout: Duration) -> Conninfo {
        Conninfo { stall_timeout, ..self.clone() }
    }

    /// The same, with text in another encoding: SQL_ASCII sources can't convert to UTF8.
    #[must_use]
    pub fn with_client_encoding(&self, encoding: &str) -> Conninfo {
        Conninfo { client_encoding: encoding.to_owned(), ..self.clone() }
    }

    /// The same, with amounts of money as another locale has them; none for the database's own.
    #[must_use]
    pub fn with_lc_monetary(&self, locale: Option<&str>) -> Conninfo {
        Conninfo { lc_monetary: locale.map(str::to_owned), ..self.clone() }
    }

    /// The same, but only this endpoint will do, whatever kind of server it has become.
    pub(super) fn with_endpoint(&self, endpoint: Endpoint) -> Conninfo {
        Conninfo { endpoints: vec![endpoint], target: TargetSession::Any, ..self.clone() }
    }

    /// The database connected to.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The user connected as.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The encoding text travels in.
    pub fn client_encoding(&self) -> &str {
        &self.client_encoding
    }

    /// The locale that amounts of money travel in; none for the database's own.
    pub fn lc_monetary(&self) -> Option<&str> {
        self.lc_monetary.as_deref()
    }

    /// The name the session goes by in pg_stat_activity.
    pub fn application_name(&self) -> &str {
        &self.application_name
    }

    /// Options for the server's command line.
    pub(super) fn options(&self) -> Option<&str> {
        self.options.as_deref()
    }

    /// Whether the string itself holds a password, which the list of processes then shows.
    pub fn names_password(&self) -> bool {
        self.names_password
    }

    /// Whether every host is this machine.
    pub fn is_local(&self) -> bool {
        self.endpoints.iter().all(Endpoint::is_local)
    }

    /// What the operator should know before connecting: a connection that isn't verified, a
    /// password file that isn't used.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The one host that is named, and its port; none for a socket, or several hosts.
    pub fn host_and_port(&self) -> Option<(String, u16)> {
        match self.endpoints.as_slice() {
            [Endpoint { place: Place::Host { name, .. }, port }] => Some((name.clone(), *port)),
            _ => None,
        }
    }

    /// Host, port and database for people and logs: never the password.
    pub fn display(&self) -> String {
        let hosts: Vec<String> = self.endpoints.iter().map(Endpoint::to_string).collect();
        format!("{}/{}", hosts.join(","), self.database)
    }

    /// The password for an endpoint: the given one, or the password file's.
    pub(super) fn password_for(&self, endpoint: &Endpoint) -> Option<&Secret> {
        self.password.as_ref().or_else(|| {
            let host = endpoint.passfile_host();
            self.passfile.find(&host, endpoint.port, &self.database, &self.user)
        })
    }
}

impl TcpSettings {
    fn from_parameters(parameters: &Parameters) -> Result<TcpSettings> {
        // Zero leaves the system's own.
        let positive = |keyword| -> Result<Option<u64>> {
            let number = parameters.number(keyword)?;
            Ok(number.and_then(|number| u64::try_from(number).ok()).filter(|&number| number > 0))
        };
        let or_system = |keyword, default| -> Result<Option<Duration>> {
            Ok(match parameters.get(keyword) {
                Some(_) => positive(keyword)?.map(Duration::from_secs),
                None => Some(default),
            })
        };
        let count = positive("keepalives_count")?;
        Ok(TcpSettings {
            keepalives: parameters.number("keepalives")? != Some(0),
            idle: or_system("keepalives_idle", KEEPALIVE_IDLE)?,
            interval: or_system("keepalives_interval", KEEPALIVE_INTERVAL)?,
            count: count.and_then(|count| u32::try_from(count).ok()),
            user_timeout: positive("tcp_user_timeout")?.map(Duration::from_millis),
        })
    }
}

/// Zero and less mean no limit, as with libpq.
fn connect_timeout(parameters: &Parameters) -> Result<Option<Duration>> {
    Ok(match parameters.number("connect_timeout")? {
        None => Some(CONNECT_TIMEOUT),
        Some(seconds) => {
            u64::try_from(seconds).ok().filter(|&seconds| seconds > 0).map(Duration::from_secs)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        Environment {
            variables: variables.iter().map(owned).collect(),
            home: None,
            user: Some("ann".into()),
        }
    }

    fn parse(text: &str) -> Conninfo {
        Conninfo::parse(text, &environment(&[])).unwrap()
    }

    #[test]
    fn what_is_left_out_is_completed_as_libpq_does() {
        let conninfo = parse("");
        assert_eq!((conninfo.user(), conninfo.database()), ("ann", "ann"));
        assert_eq!(conninfo.application_name, "pgconvoy");
        assert_eq!(conninfo.connect_timeout, Some(CONNECT_TIMEOUT));

        let variables = [
            ("PGHOST", "db.example.com"),
            ("PGPORT", "6000"),
            ("PGDATABASE", "shop"),
            ("PGUSER", "bob"),
            ("PGPASSWORD", "hunter2"),
            ("PGAPPNAME", "app"),
            ("PGCONNECT_TIMEOUT", "0"),
        ];
        let conninfo = Conninfo::parse("user=eve", &environment(&variables)).unwrap();
        assert_eq!(conninfo.display(), "db.example.com:6000/shop");
        assert_eq!((conninfo.user(), conninfo.database()), ("eve", "shop"));
        assert_eq!(conninfo.application_name, "app");
        assert_eq!(conninfo.connect_timeout, None);
        let password = conninfo.password_for(&conninfo.endpoints[0]);
        assert_eq!(password.unwrap().reveal(), "hunter2");
    }

    #[test]
    fn a_password_in_the_string_is_told_from_one_in_the_environment() {
        assert!(parse("postgresql://u:hunter2@h/d").names_password());
        assert!(parse("host=h password=hunter2").names_password());
        let variables = environment(&[("PGPASSWORD", "hunter2")]);
        assert!(!Conninfo::parse("host=h password=''", &variables).unwrap().names_password());
    }

    #[test]
    fn no_rendering_shows_the_password() {
        let conninfo = parse("postgresql://u:hunter2@h/d");
        let shown = format!("{conninfo:?} {}", conninfo.display());
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn the_password_file_is_asked_for_the_database_connected_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pgpass");
        std::fs::write(&path, "h:5432:a:ann:one\nlocalhost:*:b:ann:two\n").unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        }
        let found = |text: &str, database: &str| {
            let variables = [("PGPASSFILE", path.to_str().unwrap())];
            let conninfo = Conninfo::parse(text, &environment(&variables)).unwrap();
            let conninfo = conninfo.with_database(database);
            let secret = conninfo.password_for(&conninfo.endpoints[0])?;
            Some(secret.reveal().to_owned())
        };
        assert_eq!(found("host=h", "a").as_deref(), Some("one"));
        assert_eq!(found("host=h", "b"), None);
        assert_eq!(found("host=localhost", "b").as_deref(), Some("two"));
        assert_eq!(found("host=h password=said", "a").as_deref(), Some("said"));
    }

    #[test]
    fn values_that_make_no_sense_are_usage_errors_that_name_the_parameter() {
        for (text, name) in [
            ("port=abc", "port"),
            ("port=0", "port"),
            ("port=65536", "port"),
            ("host=a,b,c port=1,2", "port"),
            ("host=a,b hostaddr=127.0.0.1", "hostaddr"),
            ("hostaddr=nowhere", "hostaddr"),
            ("sslmode=always", "sslmode"),
            ("connect_timeout=soon", "connect_timeout"),
            ("target_session_attrs=leader", "target_session_attrs"),
            ("channel_binding=maybe", "channel_binding"),
            ("sslmode=require sslrootcert=system", "sslmode"),
        ] {
            let error = Conninfo::parse(text, &environment(&[])).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{text}");
            assert!(error.to_string().contains(name), "{text}: {error}");
        }
    }
}
