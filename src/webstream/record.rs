//! The plan file: what was said once, and what the steps have done. Never a secret.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};

use super::next::SignedIn;
use super::retire::Retired;

/// What a plan file is called that isn't given a name.
const NAME: &str = "pgconvoy.webstream.json";
const FORMAT: u32 = 1;

/// What was said, and what was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The format of this file.
    format: u32,
    /// The hosts' configurations, with full paths.
    pub configurations: Vec<PathBuf>,
    /// The bundled instance: a connection string without a password.
    pub source: Option<String>,
    /// The managed one, likewise.
    pub target: Option<String>,
    /// The services' version of Npgsql.
    pub npgsql_version: Option<String>,
    /// Where their passwords are.
    pub secrets: Option<String>,
    /// Where backups and reports go.
    pub out: Option<PathBuf>,
    /// The file of the authorities that the services trust, as they find it.
    #[serde(default)]
    pub root_certificate: Option<String>,
    /// Which of the target's locales stand for those of the source.
    #[serde(default)]
    pub locales: BTreeMap<String, String>,
    /// Likewise encodings.
    #[serde(default)]
    pub encodings: BTreeMap<String, String>,
    /// Addresses from which services were seen on the bundled instance, and the roles that they were.
    #[serde(default)]
    pub clients: BTreeMap<String, BTreeSet<String>>,
    /// Those of them whose hosts' configurations are known, or need none.
    #[serde(default)]
    pub known_clients: BTreeSet<String>,
    /// What has been done.
    #[serde(default)]
    pub done: Done,
}

/// What the steps have done. Times are by this machine's clock, in UTC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Done {
    /// `check` found nothing that stops the move, at this time.
    pub checked: Option<String>,
    /// By database: its owner, whose password is in a variable.
    pub provisioned: BTreeMap<String, Provisioned>,
    /// By database: what its rehearsal came to.
    pub rehearsed: BTreeMap<String, Rehearsal>,
    /// By database: its newest archive.
    pub backed_up: BTreeMap<String, BackedUp>,
    /// The copy behind a fence, all of it equal.
    pub migrated: Option<String>,
    /// A verification that found no difference.
    pub verified: Option<String>,
    /// The report that it was signed off with.
    pub sign_off: Option<PathBuf>,
    /// By configuration: what was written.
    pub repointed: BTreeMap<PathBuf, Repointed>,
    /// Every connection string of the repointed configurations led to its database.
    pub reached: Option<String>,
    /// A person has signed in to the admin console.
    pub signed_in: Option<SignedIn>,
    /// The bundled databases closed for good.
    pub retired: Option<Retired>,
}

/// A database that is there on the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provisioned {
    /// When.
    pub at: String,
    /// The role that owns it.
    pub owner: String,
    /// The variable that holds its password.
    pub variable: String,
}

/// What the move of a database will take, by its rehearsal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsal {
    /// When.
    pub at: String,
    /// How long it took, its verification and statistics included.
    pub window_seconds: u64,
    /// Its size on the target.
    pub target_bytes: i64,
    /// The write-ahead log of the target meanwhile, where it tells.
    pub wal_bytes: Option<i64>,
    /// Its rows.
    pub rows: u64,
    /// How many findings said what is changed or left out.
    pub findings: usize,
    /// Whether the copy was what was copied.
    pub was_equal: bool,
}

/// An archive of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackedUp {
    /// When.
    pub at: String,
    /// The archive, which was read to its end.
    pub archive: PathBuf,
    /// Its rows.
    pub rows: u64,
}

/// A configuration that leads to the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repointed {
    /// When.
    pub at: String,
    /// The file as it was.
    pub backup: PathBuf,
}

impl Record {
    /// Where the plan file is: as said, or beside the first configuration.
    pub fn place(said: Option<&Path>, configurations: &[PathBuf]) -> Result<PathBuf> {
        match (said, configurations.first()) {
            (Some(path), _) => Ok(path.to_owned()),
            (None, Some(configuration)) => Ok(configuration.with_file_name(NAME)),
            (None, None) => Err(Error::usage("looking for the plan file")
                .because("neither --plan nor --config was given")
                .hint("give --config app.config.xml")),
        }
    }

    /// A plan file's text, if there is one yet.
    pub(super) fn text(path: &Path) -> Result<Option<String>> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(refused(path).io(error)),
        }
    }

    /// Reads a plan file; an empty record where there is none yet.
    pub fn read(path: &Path) -> Result<Record> {
        Record::parse(path, Record::text(path)?.as_deref())
    }

    /// Reads a plan file's text.
    pub(super) fn parse(path: &Path, text: Option<&str>) -> Result<Record> {
        let Some(text) = text else {
            return Ok(Record { format: FORMAT, ..Record::default() });
        };
        let refused = || refused(path);
        let hint = "name another with --plan, or move it away to begin anew";
        let record: Record = serde_json::from_str(text)
            .map_err(|error| refused().because(error.to_string()).hint(hint))?;
        match record.format {
            FORMAT => Ok(record),
            other => Err(refused()
                .because(format!("it is of format {other}, and this pgconvoy writes {FORMAT}"))
                .hint("use the pgconvoy that wrote it")),
        }
    }

    /// Writes the plan file in one act.
    pub fn write(&self, path: &Path) -> Result<()> {
        let doing = format!("writing the plan file {}", path.display());
        let failed = |error| Error::step(&doing).io(error);
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::step(&doing).because(error.to_string()))?;
        text.push('\n');
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

fn refused(path: &Path) -> Error {
    Error::new(Kind::Refused, format!("reading the plan file {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_file_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let mut record = Record::read(&path).unwrap();
        assert_eq!(record.done, Done::default());
        record.target = Some("host=db".to_owned());
        record.done.verified = Some("2026-01-01T00:00:00Z".to_owned());
        record.write(&path).unwrap();
        assert_eq!(Record::read(&path).unwrap(), record);
    }

    #[test]
    fn a_file_that_is_no_plan_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        for text in ["", "{}", "{\"format\":2,\"configurations\":[]}"] {
            std::fs::write(&path, text).unwrap();
            assert!(Record::read(&path).is_err(), "{text}");
        }
    }
}
