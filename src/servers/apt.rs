//! Debian's package manager, for machines that have neither PostgreSQL nor npm. What it is told to
//! do is said first: it changes the machine.

use std::process::Command;

use crate::error::Result;

use super::account::{Account, run};
use super::sources::{Sources, Wanted};

/// Debian's package manager, where we may use it.
pub(super) struct Apt<'a> {
    sources: &'a Sources,
}

impl<'a> Apt<'a> {
    /// None where there is none, or where we may not: only root installs packages.
    pub(super) fn find(sources: &'a Sources) -> Result<Option<Apt<'a>>> {
        let usable = sources.on_path("apt-get").is_some() && Account::detect()? != Account::Own;
        Ok(usable.then_some(Apt { sources }))
    }

    /// Fetches the lists of packages: a fresh machine has none.
    pub(super) fn update(&self) -> Result<()> {
        self.tell_and_run(&["update"])
    }

    /// Installs a package and what it needs, no more. One that is there isn't upgraded: that
    /// replaces programs and libraries under running servers.
    pub(super) fn install(&self, package: &str) -> Result<()> {
        self.tell_and_run(&["install", "-y", "--no-upgrade", "--no-install-recommends", package])
    }

    /// The package of a server that fits, if the distribution has one. The plain package
    /// `postgresql` depends on the distribution's own major version.
    pub(super) fn postgresql_for(&self, wanted: Wanted) -> Option<String> {
        let depends = self.ask(&["depends", "postgresql"])?;
        let major = depends
            .split_whitespace()
            .find_map(|word| word.strip_prefix("postgresql-")?.parse::<u32>().ok())?;
        let fits = match wanted {
            Wanted::Major(wanted) => major == wanted,
            Wanted::AtLeast(wanted) => major >= wanted,
        };
        fits.then(|| format!("postgresql-{major}"))
    }

    fn ask(&self, arguments: &[&str]) -> Option<String> {
        let output = Command::new("apt-cache").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn tell_and_run(&self, arguments: &[&str]) -> Result<()> {
        let line = format!("apt-get {}", arguments.join(" "));
        self.sources.tell(&format!("running {line}"));
        let mut command = Command::new("apt-get");
        command
            .args(arguments)
            // Another one may be at work: seconds to wait for it.
            .args(["-o", "DPkg::Lock::Timeout=300"])
            .env("DEBIAN_FRONTEND", "noninteractive");
        run(&line, &mut command).map(drop)
    }
}
