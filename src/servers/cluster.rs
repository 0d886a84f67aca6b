//! A throw-away cluster: running from [`Cluster::start`] until it is dropped.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::wire::{Conninfo, Environment, Session};

use super::account::Account;
use super::certificates::Certificates;
use super::installation::Installation;
use super::leftovers::{self, Alive};
use super::login::{Login, random_password, uri_escaped};
use super::rds_like;
use super::server::Server;
use super::sources::Sources;
use super::spec::{Flavour, Spec};
use super::template::{Initdb, Template};

/// How often another port is tried: between choosing one and using it somebody may take it.
const PORT_ATTEMPTS: u32 = 5;

/// The file with the authority's certificate, in the home.
const AUTHORITY: &str = "ca.pem";

/// How a server is stopped (documentation: "Shutting Down the Server").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopMode {
    /// Waits for clients to leave.
    Smart,
    /// Ends sessions, rolls back, checkpoints.
    Fast,
    /// Ends at once, as a crash does: the next start recovers.
    Immediate,
}

impl StopMode {
    pub(super) fn word(self) -> &'static str {
        match self {
            StopMode::Smart => "smart",
            StopMode::Fast => "fast",
            StopMode::Immediate => "immediate",
        }
    }
}

/// A running server with its own data, on a port of its own. Dropping it, on a panic too, stops
/// the server and removes its files; what a killed process leaves is swept by the next one.
#[derive(Debug)]
pub struct Cluster {
    server: Server,
    flavour: Flavour,
    port: u16,
    user: Login,
    superuser: Login,
    kept: bool,
    _alive: Alive,
}

impl Cluster {
    /// Finds or fetches the programs, starts a new cluster and waits until it lets clients in.
    pub async fn start(sources: &Sources, spec: Spec) -> Result<Cluster> {
        let installation = sources.find(spec.wanted).await?;
        let cache = sources.cache().to_owned();
        let cluster =
            off_the_async_threads(move || Cluster::start_blocking(installation, &spec, &cache))
                .await?;
        cluster.make_roles().await?;
        Ok(cluster)
    }

    /// A session as the superuser.
    pub async fn superuser_session(&self, database: &str) -> Result<Session> {
        let conninfo = self.superuser_conninfo(database);
        Session::connect(&Conninfo::parse(&conninfo, &Environment::default())?).await
    }

    /// How to connect to a database as a user of this kind of server would: a libpq URI, the
    /// password in it. On an RDS-like cluster that is the master, with `sslmode=verify-full`.
    pub fn conninfo(&self, database: &str) -> String {
        self.uri(&self.user, self.port, database)
    }

    /// The same as the superuser. On an RDS-like cluster only tests may: RDS lets nobody.
    pub fn superuser_conninfo(&self, database: &str) -> String {
        self.superuser_conninfo_through(self.port, database)
    }

    /// The same through something that listens on another port of 127.0.0.1.
    pub fn superuser_conninfo_through(&self, port: u16, database: &str) -> String {
        self.uri(&self.superuser, port, database)
    }

    /// The same as another role.
    pub fn conninfo_as(&self, user: &str, password: &str, database: &str) -> String {
        self.uri(&Login::new(user, password), self.port, database)
    }

    /// The superuser's way through the Unix socket, for client programs built without TLS.
    #[cfg(unix)]
    pub fn socket_conninfo(&self, database: &str) -> String {
        format!(
            "postgresql://{}@/{}?host={}&port={}",
            self.superuser.uri_part(),
            uri_escaped(database),
            uri_escaped(&self.server.run_folder().to_string_lossy()),
            self.port
        )
    }

    /// The user of [`Cluster::conninfo`].
    pub fn user(&self) -> &str {
        &self.user.name
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The programs it runs on.
    pub fn installation(&self) -> &Installation {
        &self.server.installation
    }

    /// The authority that signed an RDS-like server's certificate, for `sslrootcert`.
    pub fn authority(&self) -> PathBuf {
        self.server.home.join(AUTHORITY)
    }

    /// The end of the server's log.
    pub fn log_tail(&self) -> String {
        self.server.log_tail()
    }

    /// Stops the server; its data stays until the cluster is dropped.
    pub async fn stop(&self, mode: StopMode) -> Result<()> {
        let server = self.server.clone();
        off_the_async_threads(move || server.stop(mode)).await
    }

    /// Starts a stopped server again, on the same port.
    pub async fn start_again(&self) -> Result<()> {
        let server = self.server.clone();
        off_the_async_threads(move || server.start()).await
    }

    /// Stops the server and starts it again: its clients lose their sessions.
    pub async fn restart(&self, mode: StopMode) -> Result<()> {
        self.stop(mode).await?;
        self.start_again().await
    }

    /// Stops the server and starts it on another port, as a failover gives a server another address.
    pub async fn restart_elsewhere(&mut self, mode: StopMode) -> Result<()> {
        let server = self.server.clone();
        self.port = off_the_async_threads(move || {
            server.stop(mode)?;
            let port = free_port()?;
            server.configure(&[("port".to_owned(), port.to_string())])?;
            server.start().map(|()| port)
        })
        .await?;
        Ok(())
    }

    /// Lets the server outlive us; the commands that stop and remove it.
    pub fn keep(mut self) -> Result<String> {
        Alive::keep(&self.server.home)?;
        self.kept = true;
        Ok(self.server.goodbye())
    }

    fn start_blocking(installation: Installation, spec: &Spec, cache: &Path) -> Result<Cluster> {
        let parent = spec.parent.clone().unwrap_or_else(std::env::temp_dir);
        leftovers::sweep(&parent);
        let account = Account::detect()?;
        let superuser = match spec.flavour {
            Flavour::Bundled => "postgres",
            Flavour::RdsLike => rds_like::SUPERUSER,
        };
        let template = Initdb {
            installation: &installation,
            account,
            superuser,
            locale: &spec.locale,
            encoding: &spec.encoding,
        }
        .template(cache)?;

        let home = make_home(&parent)?;
        let superuser = Login::new(superuser, &template.password);
        let server = Server { installation, account, home };
        let mut cluster = Cluster::prepare(server, spec.flavour, superuser)?;
        cluster.fill(spec, &template)?;
        cluster.serve()?;
        Ok(cluster)
    }

    /// From here on a failure leaves nothing: dropping removes the home.
    fn prepare(server: Server, flavour: Flavour, superuser: Login) -> Result<Cluster> {
        let user = match flavour {
            Flavour::Bundled => superuser.clone(),
            Flavour::RdsLike => Login::new(rds_like::MASTER, &random_password()?),
        };
        Ok(Cluster {
            _alive: Alive::mark(&server)?,
            server,
            flavour,
            port: 0,
            user,
            superuser,
            kept: false,
        })
    }

    /// Makes the data folder: settings, who may connect, certificates.
    fn fill(&self, spec: &Spec, template: &Template) -> Result<()> {
        let server = &self.server;
        server.make_run_folder()?;
        template
            .copy_to(&server.data(), server.account)
            .map_err(|error| error.within("making a data folder"))?;
        server.configure(&self.settings())?;
        server.configure(&spec.settings)?;
        server.write("pg_hba.conf", &self.client_rules())?;
        if self.flavour == Flavour::RdsLike {
            let certificates = Certificates::generate()?;
            let authority = self.authority();
            std::fs::write(&authority, certificates.authority).map_err(|error| {
                Error::step(format!("writing {}", authority.display())).io(error)
            })?;
            server.write("server.crt", &certificates.server)?;
            server.write("server.key", &certificates.server_key)?;
        }
        Ok(())
    }

    /// Starts the server on a free port.
    fn serve(&mut self) -> Result<()> {
        let mut attempt = 1;
        loop {
            self.port = free_port()?;
            let port = ("port".to_owned(), self.port.to_string());
            self.server.configure(&[port])?;
            match self.server.start() {
                Err(error)
                    if attempt < PORT_ATTEMPTS && error.to_string().contains("could not bind") =>
                {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    fn settings(&self) -> Vec<(String, String)> {
        let socket = socket_folder(&self.server).unwrap_or_default();
        let mut settings = vec![
            ("listen_addresses", "127.0.0.1"),
            ("unix_socket_directories", &socket),
            ("password_encryption", "scram-sha-256"),
            ("timezone", "UTC"),
            ("log_timezone", "UTC"),
        ];
        if self.flavour == Flavour::RdsLike {
            settings.push(("ssl", "on"));
        }
        settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn client_rules(&self) -> String {
        let kind = match self.flavour {
            Flavour::Bundled => "host",
            // Whatever comes over the network must come by TLS.
            Flavour::RdsLike => "hostssl",
        };
        let mut rules = format!(
            "{kind} all all 127.0.0.1/32 scram-sha-256\n\
             {kind} replication all 127.0.0.1/32 scram-sha-256\n"
        );
        if cfg!(unix) {
            rules.push_str("local all all scram-sha-256\n");
        }
        rules
    }

    /// Makes an RDS-like server's roles; a bundled one has all it needs.
    async fn make_roles(&self) -> Result<()> {
        if self.flavour == Flavour::RdsLike {
            let session = self.superuser_session("postgres").await?;
            let major = self.server.installation.major();
            for statement in rds_like::roles(major, &self.user.password) {
                session.execute("making an RDS-like server's roles", &statement).await?;
            }
        }
        Ok(())
    }

    fn uri(&self, login: &Login, port: u16, database: &str) -> String {
        let (host, query) = match self.flavour {
            Flavour::Bundled => ("127.0.0.1", "sslmode=disable".to_owned()),
            Flavour::RdsLike => {
                let authority = self.authority();
                let authority = uri_escaped(&authority.to_string_lossy());
                ("localhost", format!("sslmode=verify-full&sslrootcert={authority}"))
            }
        };
        format!(
            "postgresql://{}@{host}:{}/{}?{query}",
            login.uri_part(),
            port,
            uri_escaped(database)
        )
    }
}

/// Nobody is left to tell of a failure; what stays is swept by the next cluster's start.
impl Drop for Cluster {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let stopped = self.server.stop(StopMode::Immediate).is_ok();
        if stopped {
            let _ = std::fs::remove_dir_all(&self.server.home);
        }
    }
}

async fn off_the_async_threads<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::step("running a server").because(error.to_string()))?
}

/// A folder that every account may enter: the server's account isn't always ours, and clients
/// read the authority's certificate in it.
fn make_home(parent: &Path) -> Result<PathBuf> {
    let failed = |error| {
        Error::step(format!("making a folder for a server in {}", parent.display())).io(error)
    };
    let home = tempfile::Builder::new()
        .prefix(&format!("{}{}-", leftovers::PREFIX, std::process::id()))
        .tempdir_in(parent)
        .map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o755))
            .map_err(failed)?;
    }
    Ok(home.keep())
}

/// Where the Unix socket lies; none on Windows, and none where the path would be too long for one
/// (`sun_path` holds 104 bytes on macOS, 108 on Linux).
fn socket_folder(server: &Server) -> Option<String> {
    const LONGEST: usize = 103 - "/.s.PGSQL.65535.lock".len();
    let folder = server.run_folder().to_string_lossy().into_owned();
    (cfg!(unix) && folder.len() <= LONGEST).then_some(folder)
}

fn free_port() -> Result<u16> {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| Error::step("choosing a free port").io(error))
}
