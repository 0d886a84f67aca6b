//! One data folder and the server on it: configured, started, stopped. Blocking; the cluster
//! calls it off the async threads.

use std::fs::File;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::error::{Error, Result};

use super::account::{Account, last_lines};
use super::cluster::StopMode;
use super::installation::Installation;

/// Seconds a server may take to start or stop. Generous: a loaded machine is slow, not broken.
const PATIENCE: &str = "120";

/// The paths and programs of one server. Its home holds `data`, `run` (log and socket, which the
/// server's account writes) and what clients read.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) installation: Installation,
    pub(super) account: Account,
    pub(super) home: PathBuf,
}

impl Server {
    pub(super) fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    pub(super) fn run_folder(&self) -> PathBuf {
        self.home.join("run")
    }

    /// Makes the folder that the server's account writes its log and socket to.
    pub(super) fn make_run_folder(&self) -> Result<()> {
        let folder = self.run_folder();
        std::fs::create_dir(&folder)
            .map_err(|error| Error::step(format!("making {}", folder.display())).io(error))?;
        self.account.give(&folder)
    }

    /// Writes a file into the data folder, readable by the server alone.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<()> {
        self.account.write_secret(&self.data().join(name), text)
    }

    /// Adds lines to postgresql.conf. Of several for one setting the last counts.
    pub(super) fn configure(&self, settings: &[(String, String)]) -> Result<()> {
        let path = self.data().join("postgresql.conf");
        let failed = |error| Error::step(format!("writing {}", path.display())).io(error);
        let mut file = File::options().append(true).open(&path).map_err(failed)?;
        for (name, value) in settings {
            let value = value.replace('\\', "\\\\").replace('\'', "''");
            writeln!(file, "{name} = '{value}'").map_err(failed)?;
        }
        Ok(())
    }

    /// Starts the server and waits until it lets clients in.
    pub(super) fn start(&self) -> Result<()> {
        let log = self.log_path();
        let log = log.to_string_lossy();
        self.pg_ctl("starting a server", &["-l", &log, "start"])
    }

    /// Stops the server and waits until it is gone. One that is gone already may have left its
    /// postmaster.pid, and the process that has that number now is somebody else's.
    pub(super) fn stop(&self, mode: StopMode) -> Result<()> {
        if self.is_up() {
            self.pg_ctl("stopping a server", &["-m", mode.word(), "stop"])?;
        }
        Ok(())
    }

    /// Whether somebody listens on the port in postmaster.pid, its fourth line (source:
    /// include/utils/pidfile.h).
    fn is_up(&self) -> bool {
        let told = std::fs::read_to_string(self.data().join("postmaster.pid"));
        let port: Option<u16> = told.ok().and_then(|text| text.lines().nth(3)?.trim().parse().ok());
        port.is_some_and(|port| TcpStream::connect(("127.0.0.1", port)).is_ok())
    }

    /// The end of the server's log.
    pub(super) fn log_tail(&self) -> String {
        let log = std::fs::read(self.log_path()).unwrap_or_default();
        last_lines(&String::from_utf8_lossy(&log), 40)
    }

    /// The commands that stop the server and remove its files, for people.
    pub(super) fn goodbye(&self) -> String {
        let home = self.home.display();
        let stop = format!(
            "{} -D {} -m fast stop",
            self.installation.program("pg_ctl").display(),
            self.data().display()
        );
        match self.account {
            Account::Own if cfg!(windows) => format!("\"{stop}\" && rmdir /s /q \"{home}\""),
            Account::Own => format!("{stop} && rm -r {home}"),
            #[cfg(unix)]
            Account::Other { uid, gid } => {
                format!("setpriv --reuid={uid} --regid={gid} --clear-groups {stop} && rm -r {home}")
            }
        }
    }

    fn log_path(&self) -> PathBuf {
        self.run_folder().join("log")
    }

    /// Its output goes to a file, not a pipe: on Windows the server inherits a pipe and holds it
    /// open for as long as it lives.
    fn pg_ctl(&self, doing: &str, arguments: &[&str]) -> Result<()> {
        let failed = |error| Error::step(doing).io(error);
        let said_at = self.home.join("pg_ctl.out");
        let said = File::create(&said_at).map_err(failed)?;
        let status = self
            .account
            .command(self.installation.program("pg_ctl"))
            .arg("-D")
            .arg(self.data())
            .args(["-w", "-t", PATIENCE])
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(said.try_clone().map_err(failed)?)
            .stdout(said)
            .status()
            .map_err(failed)?;
        if status.success() {
            return Ok(());
        }
        let said = read(&said_at);
        Err(Error::step(doing).because(format!("{}\n{}", said.trim(), self.log_tail())))
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}
