//! What a killed process left behind. A cluster's home holds a file that its process keeps locked
//! for as long as it lives, so whoever gets that lock later may clear the home away.

use std::fs::File;
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

/// Stops and removes the clusters in `folder` whose process is gone. One that resists is left for
/// the next time: it must not stop what the caller came for.
pub(super) fn sweep(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX)
            && let Some(alone) = Abandoned::find(entry.path())
        {
            let _ = alone.clear_away();
        }
    }
}

/// A home without its process, its lock in our hands.
struct Abandoned {
    home: PathBuf,
    _locked: File,
}

impl Abandoned {
    /// The home, if it is one, is ours, isn't to be kept, and nobody holds its lock.
    fn find(home: PathBuf) -> Option<Abandoned> {
        if home.join(KEPT).exists() || !is_ours(&home) {
            return None;
        }
        let lock = File::options().write(true).open(home.join(LOCK)).ok()?;
        lock.try_lock().ok()?;
        Some(Abandoned { home, _locked: lock })
    }

    fn clear_away(&self) -> Result<()> {
        let home = &self.home;
        let failed = |error| Error::step(format!("clearing away {}", home.display())).io(error);
        if home.join("data/postmaster.pid").exists() {
            let programs = std::fs::read_to_string(home.join(PROGRAMS)).map_err(failed)?;
            let server = Server {
                installation: Installation::inspect(Path::new(&programs))?,
                account: Account::detect()?,
                home: home.clone(),
            };
            server.stop(StopMode::Immediate)?;
        }
        std::fs::remove_dir_all(home).map_err(failed)
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
        home.symlink_metadata().is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == us)
    }
    #[cfg(not(unix))]
    home.is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unlocked_home_that_is_not_kept_is_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let home = |name: &str| {
            let home = folder.path().join(format!("{PREFIX}{name}"));
            std::fs::create_dir(&home).unwrap();
            home
        };
        let [dead, kept, alive, young] = ["dead", "kept", "alive", "young"].map(home);
        for marked in [&dead, &kept, &alive] {
            File::create(marked.join(LOCK)).unwrap();
        }
        Alive::keep(&kept).unwrap();
        let lock = File::open(alive.join(LOCK)).unwrap();
        lock.lock().unwrap();

        sweep(folder.path());
        let left = [&dead, &kept, &alive, &young].map(|home| home.exists());
        assert_eq!(left, [false, true, true, true]);
    }
}
