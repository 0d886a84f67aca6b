//! Fresh data folders. `initdb` takes a second and always makes the same, so what it made is kept
//! in the cache and copied.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};

use super::account::{Account, run};
use super::fetch::make_folder;
use super::installation::Installation;
use super::login::random_password;

/// Grows when a template's content changes: other versions of this program share the cache.
const LAYOUT: u32 = 2;

/// In a template: the data folder, and the superuser's password.
const DATA: &str = "data";
const PASSWORD: &str = "password";

/// What `initdb` is asked for.
pub(super) struct Initdb<'a> {
    pub(super) installation: &'a Installation,
    pub(super) account: Account,
    pub(super) superuser: &'a str,
    pub(super) locale: &'a str,
    pub(super) encoding: &'a str,
}

/// A data folder nobody runs a server on, and its superuser's password.
pub(super) struct Template {
    home: PathBuf,
    pub(super) password: String,
}

impl Template {
    /// Makes a data folder at `data`, which must not exist yet.
    pub(super) fn copy_to(&self, data: &Path, account: Account) -> Result<()> {
        copy_tree(&self.home.join(DATA), data, account)
    }
}

impl Initdb<'_> {
    /// The template for this in the cache, made if need be.
    pub(super) fn template(&self, cache: &Path) -> Result<Template> {
        // Tests ask from many threads at once: the first makes it, the others find it.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);

        let templates = cache.join("templates");
        let home = templates.join(self.name());
        if !home.exists() {
            make_folder(&templates)?;
            let failed = |error| Error::step("making a folder for initdb").io(error);
            let at_work = tempfile::Builder::new()
                .prefix(".making-")
                .tempdir_in(&templates)
                .map_err(failed)?;
            self.account.give(at_work.path())?;
            self.run(at_work.path())?;
            // Another process may have been quicker: then its template is as good as ours.
            if let Err(error) = std::fs::rename(at_work.path(), &home)
                && !home.exists()
            {
                return Err(failed(error));
            }
        }
        let password = std::fs::read_to_string(home.join(PASSWORD))
            .map_err(|error| Error::step("reading a template's password").io(error))?;
        Ok(Template { home, password })
    }

    fn run(&self, home: &Path) -> Result<()> {
        let password = home.join(PASSWORD);
        self.account.write_secret(&password, &random_password()?)?;
        let mut command = self.account.command(self.installation.program("initdb"));
        command
            .arg("-D")
            .arg(home.join(DATA))
            .args(["-U", self.superuser, "-E", self.encoding])
            .arg(format!("--locale={}", self.locale))
            .args(["-A", "scram-sha-256", "--no-sync"])
            .arg(format!("--pwfile={}", password.display()));
        run("initdb", &mut command).map(drop)
    }

    /// Another layout, build, locale or superuser is another template.
    fn name(&self) -> String {
        let mut hasher = DefaultHasher::new();
        LAYOUT.hash(&mut hasher);
        self.installation.bin().hash(&mut hasher);
        self.installation.version().hash(&mut hasher);
        (self.superuser, self.locale, self.encoding).hash(&mut hasher);
        format!("{}-{:016x}", self.installation.major(), hasher.finish())
    }
}

/// Copies a folder with all below, and gives the copy to `account`.
fn copy_tree(from: &Path, to: &Path, account: Account) -> Result<()> {
    let failed = |error| Error::step(format!("copying {}", from.display())).io(error);
    std::fs::create_dir(to).map_err(failed)?;
    for entry in std::fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let target = to.join(entry.file_name());
        if entry.file_type().map_err(failed)?.is_dir() {
            copy_tree(&entry.path(), &target, account)?;
        } else {
            std::fs::copy(entry.path(), &target).map_err(failed)?;
            account.give(&target)?;
        }
    }
    let permissions = from.metadata().map_err(failed)?.permissions();
    std::fs::set_permissions(to, permissions).map_err(failed)?;
    account.give(to)
}
