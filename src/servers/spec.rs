//! What a cluster is to be like.

use std::path::PathBuf;

use super::sources::Wanted;

/// The oldest version that the demo's databases load on.
const OLDEST_MAJOR: u32 = 13;

/// Which kind of server a cluster plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    /// A local instance as applications bundle it: a superuser `postgres` with a password, on
    /// loopback without TLS.
    Bundled,
    /// A managed service: TLS only, SCRAM, and a `master` user that is no superuser.
    RdsLike,
}

/// A cluster to start. Start from [`Spec::bundled`] or [`Spec::rds_like`].
#[derive(Debug, Clone)]
pub struct Spec {
    pub(super) flavour: Flavour,
    pub(super) wanted: Wanted,
    pub(super) locale: String,
    pub(super) encoding: String,
    pub(super) settings: Vec<(String, String)>,
    pub(super) parent: Option<PathBuf>,
}

impl Spec {
    /// A bundled local instance.
    pub fn bundled() -> Spec {
        Spec::of(Flavour::Bundled)
    }

    /// A target that behaves like Amazon RDS.
    pub fn rds_like() -> Spec {
        Spec::of(Flavour::RdsLike)
    }

    fn of(flavour: Flavour) -> Spec {
        // Only Linux has C.UTF-8 everywhere.
        let locale = if cfg!(target_os = "linux") { "C.UTF-8" } else { "C" };
        Spec {
            flavour,
            wanted: Wanted::AtLeast(OLDEST_MAJOR),
            locale: locale.to_owned(),
            encoding: "UTF8".to_owned(),
            settings: Vec::new(),
            parent: None,
        }
    }

    /// Runs exactly this major version.
    #[must_use]
    pub fn major(mut self, major: u32) -> Spec {
        self.wanted = Wanted::Major(major);
        self
    }

    /// The encoding and locale of its databases, such as `LATIN1` and `C`.
    #[must_use]
    pub fn encoding(mut self, encoding: &str, locale: &str) -> Spec {
        self.encoding = encoding.to_owned();
        self.locale = locale.to_owned();
        self
    }

    /// A line of postgresql.conf, such as `wal_level` = `logical`. The last one counts.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Spec {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Doesn't wait for the disk. For tests only: such a cluster doesn't survive the machine.
    #[must_use]
    pub fn without_fsync(self) -> Spec {
        self.setting("fsync", "off")
    }

    /// Puts its files into this folder instead of the temporary one, such as a small or a
    /// RAM-backed disk. The server's account must be able to enter it.
    #[must_use]
    pub fn in_folder(mut self, parent: impl Into<PathBuf>) -> Spec {
        self.parent = Some(parent.into());
        self
    }
}
