//! An installation of PostgreSQL: a folder with `initdb`, `pg_ctl` and `postgres`.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

use super::account::{Account, run};

/// Server programs of one version that the server's account can run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    bin: PathBuf,
    major: u32,
    version: String,
}

impl Installation {
    /// Looks at a folder of programs: whether it is an installation, and of which version.
    pub fn inspect(bin: &Path) -> Result<Installation> {
        let doing = format!("looking for PostgreSQL's server programs in {}", bin.display());
        for name in ["initdb", "pg_ctl", "postgres"] {
            if !program(bin, name).is_file() {
                return Err(Error::step(doing)
                    .because(format!("there is no {name}"))
                    .hint("name a folder with initdb, pg_ctl and postgres"));
            }
        }
        let mut command = Account::detect()?.command(program(bin, "postgres"));
        let said = run(&doing, command.arg("--version")).map_err(|error| {
            error.hint("put the installation where the account that runs servers can read it")
        })?;
        let version = said.trim().trim_start_matches("postgres (PostgreSQL) ").to_owned();
        let major = major_of(&version)
            .ok_or_else(|| Error::step(doing).because(format!("it calls its version {said:?}")))?;
        Ok(Installation { bin: bin.to_owned(), major, version })
    }

    /// The major version, such as 15.
    pub fn major(&self) -> u32 {
        self.major
    }

    /// The version in the server's own words, such as `15.18 (Debian 15.18-0+deb12u1)`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The folder of programs.
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// One of the programs.
    pub fn program(&self, name: &str) -> PathBuf {
        program(&self.bin, name)
    }

    /// Whether an extension's control file is there: some systems package contrib separately.
    pub fn has_extension(&self, name: &str) -> bool {
        let control = format!("{name}.control");
        self.extension_folders().iter().any(|folder| folder.join(&control).is_file())
    }

    /// Where builds and distributions put extensions, relative to the programs. `pg_config` would
    /// know, but not every installation has it.
    fn extension_folders(&self) -> Vec<PathBuf> {
        let bin = self.bin.canonicalize().unwrap_or_else(|_| self.bin.clone());
        let root = bin.parent().unwrap_or(&bin);
        let major = self.major;
        vec![
            root.join("share/extension"),
            root.join("share/postgresql/extension"),
            root.join(format!("share/postgresql@{major}/extension")),
            root.join(format!("share/postgresql{major}/extension")),
            PathBuf::from(format!("/usr/share/postgresql/{major}/extension")),
            PathBuf::from(format!("/usr/share/postgresql{major}/extension")),
        ]
    }
}

fn program(bin: &Path, name: &str) -> PathBuf {
    bin.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// The major version in `15.18`, `18beta1` or `19devel`.
fn major_of(version: &str) -> Option<u32> {
    let digits = version.len() - version.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    version[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_major_version_is_read_from_releases_betas_and_development() {
        assert_eq!(major_of("15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major_of("18beta1"), Some(18));
        assert_eq!(major_of("19devel"), Some(19));
        assert_eq!(major_of("unknown"), None);
    }

    #[test]
    fn a_folder_without_server_programs_is_refused_with_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let error = Installation::inspect(folder.path()).unwrap_err().to_string();
        assert!(error.contains("there is no initdb"), "{error}");
    }
}
