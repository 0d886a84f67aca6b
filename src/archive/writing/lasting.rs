//! Files that outlive a crash.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::error::{Error, Result};

/// So many files are synced at once: file systems make those that come together last by one write of
/// their journal.
const AT_ONCE: usize = 16;

/// Files that are written first, and made to last together.
#[derive(Debug, Default)]
pub(super) struct Lasting {
    files: Vec<PathBuf>,
}

impl Lasting {
    /// Makes a file.
    pub(super) fn put(
        &mut self,
        path: PathBuf,
        write: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<()> {
        File::create(&path)
            .and_then(|mut file| write(&mut file))
            .map_err(|error| Error::step(format!("writing {}", path.display())).io(error))?;
        self.files.push(path);
        Ok(())
    }

    /// Returns once all of them are on disk.
    pub(super) fn sync(self) -> Result<()> {
        let next = AtomicUsize::new(0);
        let sync = || {
            while let Some(path) = self.files.get(next.fetch_add(1, Ordering::Relaxed)) {
                // Windows syncs only what was opened to be written.
                let synced = OpenOptions::new().write(true).open(path);
                let synced = synced.and_then(|file| file.sync_all());
                synced.map_err(|error| {
                    Error::step(format!("writing {}", path.display())).io(error)
                })?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let threads = AT_ONCE.min(self.files.len());
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(sync)).collect();
            threads.into_iter().try_for_each(|thread| {
                thread.join().unwrap_or_else(|panic| {
                    Err(Error::panicked("writing an archive", panic.as_ref()))
                })
            })
        })
    }
}

/// Makes the names in a folder outlive a crash. Windows keeps them by itself, and opens no folder.
pub fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(windows) {
        return Ok(());
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| Error::step(format!("syncing {}", folder.display())).io(error))
}
