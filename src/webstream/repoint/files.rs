//! Configurations written: each in one act, with the old one beside it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::commands::failpoint::{self, Act, Point};
use crate::error::{Error, Kind, Result};
use crate::webstream::access::give_access_of;

/// A new file that lies beside the one whose place it is to take.
pub(super) struct Prepared {
    place: PathBuf,
    backup: Backup,
    file: NamedTempFile,
}

/// The old contents under a name of their own, which go again where they aren't needed.
struct Backup {
    path: PathBuf,
    is_needed: bool,
}

impl Drop for Backup {
    fn drop(&mut self) {
        if !self.is_needed {
            // Another copy of a file that stays does no harm.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Prepared {
    /// Writes new contents beside a file, and keeps the old ones.
    pub(super) fn new(path: &Path, bytes: &[u8], stamp: &str) -> Result<Prepared> {
        let doing = format!("writing beside {}", path.display());
        let refused = |error| Error::new(Kind::Refused, &doing).io(error);
        // A link stays one: the file that it leads to is replaced. What is none keeps its name, which
        // Windows would spell in a way that few know.
        let is_link = fs::symlink_metadata(path).map_err(refused)?.is_symlink();
        let place = if is_link { fs::canonicalize(path) } else { std::path::absolute(path) };
        let place = place.map_err(refused)?;
        let old = fs::metadata(&place).map_err(refused)?;
        if old.permissions().readonly() {
            return Err(Error::new(Kind::Refused, format!("rewriting {}", path.display()))
                .because("the file is read-only")
                .hint("allow writing it, then run again; nothing was written"));
        }
        let folder = place.parent().unwrap_or(Path::new("."));
        let backup = keep(&place, stamp).map_err(refused)?;
        let mut file = NamedTempFile::new_in(folder).map_err(refused)?;
        file.write_all(bytes).map_err(refused)?;
        file.as_file().set_permissions(old.permissions()).map_err(refused)?;
        give_access_of(&place, file.path()).map_err(refused)?;
        file.as_file().sync_all().map_err(refused)?;
        Ok(Prepared { place, backup, file })
    }

    pub(super) fn backup(&self) -> &Path {
        &self.backup.path
    }
}

/// Puts all new files into their places. Where one can't be, those before it are put back.
pub(super) fn commit(all: Vec<Prepared>) -> Result<()> {
    let mut done: Vec<(PathBuf, PathBuf)> = Vec::new();
    for Prepared { place, mut backup, file } in all {
        failpoint::pass(Point::Before(Act::ReplaceConfiguration));
        if let Err(error) = file.persist(&place) {
            let mut because = error.error.to_string();
            for (place, backup) in done {
                if let Err(error) = fs::copy(&backup, &place) {
                    because += &format!("; {} stays rewritten: {error}", place.display());
                }
            }
            return Err(Error::step(format!("rewriting {}", place.display()))
                .because(because)
                .hint("mend that and run again; the files before it are as they were"));
        }
        backup.is_needed = true;
        done.push((place, backup.path.clone()));
    }
    Ok(())
}

/// Copies a file to a name that isn't taken, with all that may read it.
fn keep(place: &Path, stamp: &str) -> io::Result<Backup> {
    let old = fs::metadata(place)?;
    let (path, mut to) = beside(place, stamp)?;
    let backup = Backup { path, is_needed: false };
    io::copy(&mut File::open(place)?, &mut to)?;
    to.set_permissions(old.permissions())?;
    give_access_of(place, &backup.path)?;
    to.sync_all()?;
    Ok(backup)
}

/// A new file with the old one's name and a time, and a number where several are of one second.
fn beside(place: &Path, stamp: &str) -> io::Result<(PathBuf, File)> {
    let mut number = 1;
    loop {
        let mut name = place.file_name().unwrap_or_default().to_owned();
        name.push(match number {
            1 => format!(".{stamp}.bak"),
            _ => format!(".{stamp}-{number}.bak"),
        });
        let path = place.with_file_name(name);
        match ours_alone().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}

/// A copy may hold a password: nobody reads it before it has the old file's access.
fn ours_alone() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_file_is_kept_and_the_new_one_takes_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.config.xml");
        fs::write(&path, "old").unwrap();
        let prepared = Prepared::new(&path, b"new", "T").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        let backup = prepared.backup().to_owned();
        commit(vec![prepared]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read(&backup).unwrap(), b"old");
        assert!(backup.ends_with("app.config.xml.T.bak"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a"), folder.path().join("link"));
        fs::write(&path, "old").unwrap();
        std::os::unix::fs::symlink("a", &link).unwrap();
        commit(vec![Prepared::new(&link, b"new", "T").unwrap()]).unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("a"));
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read(folder.path().join("a.T.bak")).unwrap(), b"old");
    }

    #[test]
    fn a_backup_is_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "old").unwrap();
        fs::write(folder.path().join("a.T.bak"), "older").unwrap();
        commit(vec![Prepared::new(&path, b"new", "T").unwrap()]).unwrap();
        assert_eq!(fs::read(folder.path().join("a.T.bak")).unwrap(), b"older");
        assert_eq!(fs::read(folder.path().join("a.T-2.bak")).unwrap(), b"old");
    }

    #[cfg(unix)]
    #[test]
    fn a_backup_is_nobody_elses_while_it_is_written() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (_, file) = beside(&folder.path().join("a"), "T").unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0);
    }

    #[test]
    fn what_is_not_written_leaves_no_backup() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "old").unwrap();
        drop(Prepared::new(&path, b"new", "T").unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn all_are_written_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| folder.path().join(name));
        for path in &paths {
            fs::write(path, "old").unwrap();
        }
        let prepared = paths.each_ref().map(|path| Prepared::new(path, b"new", "T").unwrap());
        // A folder can't be replaced by a file.
        fs::remove_file(&paths[1]).unwrap();
        fs::create_dir(&paths[1]).unwrap();
        fs::write(paths[1].join("x"), "").unwrap();
        assert!(commit(prepared.into()).is_err());
        assert_eq!(fs::read(&paths[0]).unwrap(), b"old");
    }
}
