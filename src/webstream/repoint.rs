//! `pgconvoy webstream repoint`: the configurations lead to the target from now on. And the way back.

mod files;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::error::Result;

use super::configuration::{Configuration, Keyword, Moved, PasswordRef};
use super::npgsql_version::NpgsqlVersion;
use super::secrets::variable_of;
use files::Prepared;

/// Where the services go, and how.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The target's endpoint.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The services' version of Npgsql.
    pub version: NpgsqlVersion,
    /// The file of the authorities that the services trust, as they will find it; none where they
    /// verify nothing.
    pub root_certificate: Option<String>,
}

/// What becomes of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rewritten {
    /// The file.
    pub configuration: PathBuf,
    /// The lines that differ, without secrets; none where it leads to the target already.
    pub lines: Vec<ChangedLine>,
    /// The file as it was before, if it was written.
    pub backup: Option<PathBuf>,
}

/// A line before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangedLine {
    /// Its number, from 1.
    pub number: usize,
    /// As it was.
    pub before: String,
    /// As it will be.
    pub after: String,
}

/// Rewrites the configurations, all or none. `stamp` tells the backups from those of other times; none
/// where nothing is to be written.
pub(super) fn rewrite(
    configurations: &[Configuration],
    destination: &Destination,
    stamp: Option<&str>,
) -> Result<Vec<Rewritten>> {
    let mut all = Vec::new();
    let mut prepared = Vec::new();
    for configuration in configurations {
        let moved = destination.moved(configuration)?;
        let bytes = configuration.rewritten(&moved)?;
        let lines = configuration.changed_lines(&bytes)?;
        let backup = match stamp {
            Some(stamp) if !lines.is_empty() => {
                let file = Prepared::new(configuration.path(), &bytes, stamp)?;
                let backup = file.backup().to_owned();
                prepared.push(file);
                Some(backup)
            }
            _ => None,
        };
        all.push(Rewritten { configuration: configuration.path().to_owned(), lines, backup });
    }
    files::commit(prepared)?;
    Ok(all)
}

impl Destination {
    fn moved(&self, configuration: &Configuration) -> Result<BTreeMap<String, Moved>> {
        let mut settings = vec![
            (Keyword::Host, Some(self.host.clone())),
            (Keyword::Port, Some(self.port.to_string())),
            (Keyword::Password, None),
        ];
        settings.extend(match &self.root_certificate {
            Some(file) => self.version.verifying(file),
            None => self.version.encrypting(),
        });
        let moved = configuration.named()?.into_iter().map(|named| {
            let password_ref = PasswordRef::Env(variable_of(&named.database));
            (named.database, Moved { settings: settings.clone(), password_ref })
        });
        Ok(moved.collect())
    }
}
