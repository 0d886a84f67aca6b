//! What a killed process left behind. A cluster's home holds a file that its process keeps locked
//! for as long as it lives, so whoever gets that lock later may clear the home away.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

use super::account::Account;
use super::cluster::StopMode;
use super::installation::Installation;
use super::server::Server;

/// How the homes of clusters are named.
pub(super) const PREFIX: &str = "pgconvoy-";

const LOCK: &str = "alive.lock";
const PROGRAMS: &str = "programs";
const KEPT: &str = "kept";

/// Proof that the process which made a cluster lives.
#[derive(Debug)]
pub(super) struct Alive {
    _locked: File,
}

impl Alive {
    /// Marks a home as ours, and notes with which programs its server can be stopped.
    pub(super) fn mark(server: &Server) -> Result<Alive> {
        let home = &server.home;
        let failed = |error| Error::step(format!("marking {} as ours", home.display())).io(error);
        std::fs::write(
            home.join(PROGRAMS),
            server.installation.bin().as_os_str().as_encoded_bytes(),
        )
        .map_err(failed)?;
        // Locked under another name first: nobody must find it unlocked.
        let fresh = home.join("alive.lock.new");
        let file = File::create(&fresh).map_err(failed)?;
        file.lock().map_err(failed)?;
        std::fs::rename(&fresh, home.join(LOCK)).map_err(failed)?;
        Ok(Alive { _locked: file })
    }

    /// Marks a home as one that shall outlive us.
    pub(super) fn keep(home: &Path) -> Result<()> {
        std::fs::write(home.join(KEPT), "")
            .map_err(|error| Error::step(format!("keeping {}", home.display())).io(error))
    }
}

/// Stops and removes the clusters in `folder` whose process is gone; how many there were.
pub(super) fn sweep(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX))
        .filter_map(|entry| abandoned(entry.path()))
        .filter(|home| clear_away(home).is_ok())
        .count()
}

/// The home, if it is one, is ours and nobody holds its lock.
fn abandoned(home: PathBuf) -> Option<PathBuf> {
    if home.join(KEPT).exists() || !is_ours(&home) {
        return None;
    }
    let lock = File::options().write(true).open(home.join(LOCK)).ok()?;
    match lock.try_lock() {
        Ok(()) => Some(home),
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => None,
    }
}

/// Another user's folder could name programs that we must not run.
fn is_ours(home: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let Ok(us) = super::account::effective_uid() else {
            return false;
        };
        home.symlink_metadata()
            .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == us)
    }
    #[cfg(not(unix))]
    home.is_dir()
}

fn clear_away(home: &Path) -> Result<()> {
    let failed = |error| Error::step(format!("clearing away {}", home.display())).io(error);
    let programs = std::fs::read_to_string(home.join(PROGRAMS)).map_err(failed)?;
    let server = Server {
        installation: Installation::inspect(Path::new(&programs))?,
        account: Account::detect()?,
        home: home.to_owned(),
    };
    server.stop(StopMode::Immediate)?;
    std::fs::remove_dir_all(home).map_err(failed)
}
