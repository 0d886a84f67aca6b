//! What the configurations become.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::error::{Error, Kind, Result};
use crate::webstream::configuration::{Configuration, Keyword, Moved, Named, PasswordRef};
use crate::webstream::dpapi;
use crate::webstream::npgsql_version::NpgsqlVersion;
use crate::webstream::secrets::{Variables, variable_of};

use super::files::Prepared;

/// Where the services go, and how.
pub(super) struct Destination {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) version: NpgsqlVersion,
    pub(super) root_certificate: Option<String>,
    /// Where they are to lie encrypted in the configurations.
    pub(super) passwords: Option<Variables>,
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

/// What the configurations become, and the files that are to take their places, all or none. `stamp`
/// tells the backups from those of other times; none where nothing is to be written.
pub(super) fn rewrite(
    configurations: &[Configuration],
    destination: &Destination,
    stamp: Option<&str>,
) -> Result<(Vec<Rewritten>, Vec<Prepared>)> {
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
    Ok((all, prepared))
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
            let password_ref = match &self.passwords {
                Some(passwords) => token(&named, passwords)?,
                None => PasswordRef::Env(variable_of(&named.database)),
            };
            Ok((named.database, Moved { settings: settings.clone(), password_ref }))
        });
        moved.collect()
    }
}

/// A token that holds the password of a service's role on the target: the one that is there, if it
/// does.
fn token(named: &Named, passwords: &Variables) -> Result<PasswordRef> {
    let variable = variable_of(&named.database);
    let password = passwords.get(&variable).ok_or_else(|| {
        Error::new(Kind::Refused, format!("encrypting the password of {}", named.username))
            .because(format!("there is no variable {variable}"))
            .hint("give --secrets file:PATH as `provision` was given")
    })?;
    match &named.password_ref {
        PasswordRef::Dpapi(token)
            if dpapi::decrypted(token).is_ok_and(|there| there == password) =>
        {
            Ok(PasswordRef::Dpapi(token.clone()))
        }
        _ => dpapi::token(password).map(PasswordRef::Dpapi),
    }
}
