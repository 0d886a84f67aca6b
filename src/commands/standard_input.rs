//! An archive that comes by standard input. A restore reads its parts in any order, and more than once
//! where a run is begun again, so it is kept in a file until the command ends.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;
use tokio::sync::oneshot;

use crate::error::{Error, Result};

/// What stands for standard input.
pub(super) fn is_meant(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Standard input, in a file that only this user can read and that is gone with this.
pub(super) struct Kept {
    file: NamedTempFile,
    /// How many bytes that is.
    pub(super) bytes: u64,
}

impl Kept {
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }
}

/// Reads standard input to its end, into a file in the system's folder for temporary ones.
pub(super) async fn keep() -> Result<Kept> {
    let folder = std::env::temp_dir();
    let failed = |error: io::Error| cannot_keep(&folder, error);
    let file = NamedTempFile::with_prefix_in("pgconvoy-", &folder).map_err(failed)?;
    let into = file.reopen().map_err(failed)?;
    let (to, from) = oneshot::channel();
    // Nobody waits for the thread once the command is stopped: standard input may never end.
    std::thread::spawn(move || {
        let _is_taken = to.send(copy(into)).is_ok();
    });
    let copied = from.await.map_err(io::Error::other).and_then(|copied| copied);
    Ok(Kept { file, bytes: copied.map_err(failed)? })
}

fn copy(mut into: File) -> io::Result<u64> {
    let bytes = io::copy(&mut io::stdin().lock(), &mut into)?;
    into.flush()?;
    Ok(bytes)
}

fn cannot_keep(folder: &Path, error: io::Error) -> Error {
    Error::step(format!("keeping standard input in a file in {}", folder.display()))
        .io(error)
        .hint("name a folder that has room for the archive in TMPDIR (on Windows TMP); or restore from a file")
}
