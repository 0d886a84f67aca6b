//! The files of an archive that is a folder or a tar file. A name in an archive never leads out of
//! it: neither by a path, nor by a link.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};

use super::damage::{Told, told, unreadable};
use super::decode::{Coding, decoded};
use super::source::Source;
use super::tar::Tar;

/// What a file's name ends in, by how it is compressed. A table of contents doesn't say that: as
/// with pg_restore, a file may have been compressed or not after it was dumped (source:
/// bin/pg_dump/compress_io.c, InitDiscoverCompressFileHandle).
const SUFFIXES: [(&str, Coding); 4] =
    [("", Coding::Plain), (".gz", Coding::Gzip), (".lz4", Coding::Lz4), (".zst", Coding::Zstd)];

/// An archive's files.
#[derive(Debug)]
pub(super) enum Files {
    /// In a folder.
    Folder(PathBuf),
    /// In a tar file.
    Tar(Tar),
}

/// One of them.
#[derive(Debug)]
pub(super) struct Member {
    /// Its name, as errors say it.
    pub(super) name: String,
    /// Its name in the archive.
    pub(super) file: String,
    /// How it is compressed.
    pub(super) coding: Coding,
    /// Its bytes.
    pub(super) length: u64,
    path: PathBuf,
    start: u64,
}

impl Files {
    /// The file that the archive calls by this name; its own may say how it is compressed.
    pub(super) fn member(&self, name: &str) -> Result<Member> {
        if !is_plain(name) {
            return Err(Error::new(Kind::Refused, format!("looking for the file {name:?}"))
                .because("the archive names it, but no archive has files of such names")
                .hint("don't trust this archive: make it anew"));
        }
        for (suffix, coding) in SUFFIXES {
            let file = format!("{name}{suffix}");
            let found = match self {
                Files::Folder(folder) => in_folder(folder, &file)?,
                Files::Tar(tar) => {
                    tar.place(&file).map(|(start, length)| (tar.path().to_owned(), start, length))
                }
            };
            if let Some((path, start, length)) = found {
                let name = match self {
                    Files::Folder(_) => path.display().to_string(),
                    Files::Tar(_) => format!("{file} in {}", path.display()),
                };
                return Ok(Member { name, file, coding, length, path, start });
            }
        }
        let doing = format!("looking for {name} in {}", self.path().display());
        Err(Error::new(Kind::Refused, doing)
            .because("it isn't there")
            .hint("the archive isn't whole: copy all of it again, or make it anew"))
    }

    /// The folder, or the tar file.
    pub(super) fn path(&self) -> &Path {
        match self {
            Files::Folder(folder) => folder,
            Files::Tar(tar) => tar.path(),
        }
    }

    /// The whole names of all of them, and of whatever else is in the folder.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        match self {
            Files::Tar(tar) => Ok(tar.names().map(str::to_owned).collect()),
            Files::Folder(folder) => {
                let unreadable = |error| unreadable(folder.display(), error);
                let mut names = Vec::new();
                for entry in std::fs::read_dir(folder).map_err(unreadable)? {
                    let name = entry.map_err(unreadable)?.file_name();
                    names.push(name.to_string_lossy().into_owned());
                }
                Ok(names)
            }
        }
    }
}

impl Member {
    /// What it holds, decompressed.
    pub(super) fn data(&self) -> Result<Told<Box<dyn Read + Send>>> {
        self.part(0, self.length)
    }

    /// What some of its bytes hold, decompressed.
    pub(super) fn part(&self, start: u64, length: u64) -> Result<Told<Box<dyn Read + Send>>> {
        let source = self.open(start, length)?;
        let offset = source.shared_offset();
        let data = decoded(source, self.coding).map_err(|error| told(&self.name, start, error))?;
        Ok(Told::new(data, self.name.clone(), offset))
    }

    /// Some of its bytes, as they are.
    pub(super) fn open(&self, start: u64, length: u64) -> Result<Source> {
        let length = length.min(self.length.saturating_sub(start));
        let start = self.start.saturating_add(start);
        Source::open(&self.path, start, length).map_err(|error| unreadable(&self.name, error))
    }
}

/// Whether a name is one as pg_dump gives them to files: it can't be a path.
pub(super) fn is_plain(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let ends = name.starts_with('.') || name.ends_with('.');
    !name.is_empty() && !ends && name.chars().all(is_plain) && !is_device(name)
}

/// Whether Windows takes a name for a device's, in any folder and with any ending (documentation of
/// Windows: "Naming Files, Paths, and Namespaces").
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().to_ascii_uppercase();
    match stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT")) {
        Some(number) => number.len() == 1 && number.chars().all(|c| c.is_ascii_digit()),
        None => matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL"),
    }
}

fn in_folder(folder: &Path, name: &str) -> Result<Option<(PathBuf, u64, u64)>> {
    let path = folder.join(name);
    let about = match std::fs::symlink_metadata(&path) {
        Ok(about) => about,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path.display(), error)),
    };
    if !about.is_file() {
        return Err(Error::new(Kind::Refused, format!("opening {}", path.display()))
            .because("it is no file, but a link, a folder or a device")
            .hint("put the file itself there, if you trust this archive"));
    }
    Ok(Some((path, 0, about.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn a_file_is_found_by_its_name_and_what_compresses_it() {
        let folder =
            folder(&[("1.dat", "a"), ("2.dat.gz", "b"), ("3.dat", "c"), ("3.dat.gz", "d")]);
        let files = Files::Folder(folder.path().to_owned());
        let coding = |name| files.member(name).map(|member| member.coding);
        assert_eq!(coding("1.dat").unwrap(), Coding::Plain);
        assert_eq!(coding("2.dat").unwrap(), Coding::Gzip);
        assert_eq!(coding("3.dat").unwrap(), Coding::Plain, "as pg_restore does");
        assert!(coding("4.dat").unwrap_err().to_string().contains("4.dat"));
    }

    #[test]
    fn a_name_never_leads_out_of_the_archive() {
        let outer = folder(&[("secret", "x")]);
        let inner = outer.path().join("archive");
        std::fs::create_dir(&inner).unwrap();
        let files = Files::Folder(inner.clone());
        let absolute = outer.path().join("secret").display().to_string();
        let devices = ["CON", "nul", "Com1.dat", "LPT9", "aux.dat.gz", "\\\\.\\pipe\\x", "1.dat."];
        let paths =
            ["../secret", "..", ".", "", "a/../../secret", "a\\b", "C:x", "a\0b", &absolute];
        for name in paths.into_iter().chain(devices) {
            assert!(files.member(name).is_err(), "{name}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(outer.path().join("secret"), inner.join("1.dat")).unwrap();
            let error = files.member("1.dat").unwrap_err().to_string();
            assert!(error.contains("link") && error.contains("1.dat"), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let folder = folder(&[]);
        let pipe = folder.path().join("1.dat");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let error = Files::Folder(folder.path().to_owned()).member("1.dat").unwrap_err();
        assert!(error.to_string().contains("device"), "{error}");
    }

    #[test]
    fn a_part_of_a_file_ends_where_the_file_does() {
        let folder = folder(&[("1.dat", "abcdef")]);
        let member = Files::Folder(folder.path().to_owned()).member("1.dat").unwrap();
        for (start, length, text) in [(0, 6, "abcdef"), (2, 3, "cde"), (4, 9, "ef"), (9, 9, "")] {
            let mut read = String::new();
            member.open(start, length).unwrap().read_to_string(&mut read).unwrap();
            assert_eq!(read, text);
        }
    }
}
