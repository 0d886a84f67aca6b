//! Who may read the files that we write.

#[cfg(unix)]
use std::{fs::File, io, path::Path};

#[cfg(windows)]
pub(super) use super::windows::{give_access_of, new_private};

/// A new file that nobody but this user may read.
#[cfg(unix)]
pub(super) fn new_private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Lets those read a file that may read another, as the services do: it becomes that one's owner's.
#[cfg(unix)]
pub(super) fn give_access_of(old: &Path, new: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, chown};
    let (old, now) = (std::fs::metadata(old)?, std::fs::metadata(new)?);
    match (now.uid(), now.gid()) == (old.uid(), old.gid()) {
        true => Ok(()),
        false => chown(new, Some(old.uid()), Some(old.gid())),
    }
}
