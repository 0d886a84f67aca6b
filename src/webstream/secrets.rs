//! The variables that hold the services' passwords: in our own environment, in a file that a shell or a
//! service manager reads too, or in AWS Secrets Manager.

mod place;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};

use super::access;
use super::configuration::{Named, PasswordRef};
use super::dpapi;

pub use place::Secrets;

/// What the services' variables hold.
#[derive(Clone, Default)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Those of this process, and those of `wanted` that are kept in a place, which come before
    /// them.
    pub async fn gather(place: Option<&Secrets>, wanted: &BTreeSet<String>) -> Result<Variables> {
        let texts = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let mut variables: BTreeMap<String, String> = texts.collect();
        if let Some(place) = place {
            variables.extend(place.open().await?.read(wanted).await?);
        }
        Ok(Variables(variables))
    }

    /// What a variable holds, if it holds anything.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The password that a service finds. Where it lies encrypted in the configuration, and can't be
    /// decrypted on this system, the variable that [`variable_of`] names stands for it.
    pub fn password(&self, named: &Named) -> Result<Cow<'_, str>> {
        if let (PasswordRef::Dpapi(token), true) = (&named.password_ref, dpapi::IS_HERE) {
            let doing = format!("looking for the password of {}", named.username);
            return dpapi::decrypted(token).map(Cow::Owned).map_err(|error| error.within(doing));
        }
        let own = variable_of(&named.database);
        let name = match &named.password_ref {
            PasswordRef::Env(name) => name,
            PasswordRef::Dpapi(_) => &own,
        };
        let refused = |because: String| {
            Error::new(Kind::Refused, format!("looking for the password of {}", named.username))
                .because(because)
                .hint(format!(
                    "set {name}, or say where it is kept: --secrets file:PATH or aws:PREFIX"
                ))
        };
        match (self.0.get(name), &named.password_ref) {
            (Some(password), _) if !password.is_empty() => Ok(Cow::Borrowed(password)),
            (Some(_), _) => Err(refused(format!("the variable {name} is empty"))),
            (None, PasswordRef::Env(_)) => {
                Err(refused(format!("there is no variable {name} here")))
            }
            (None, PasswordRef::Dpapi(_)) => Err(refused(format!(
                "its passwordRef is a dpapi: token, which only its own Windows host can decrypt, and \
                 there is no variable {name} here"
            ))),
        }
    }
}

/// The variable that holds the password for a database.
pub fn variable_of(database: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("{}_PASSWORD", database.chars().map(plain).collect::<String>())
}

/// A secrets file that passwords are added to.
pub(super) struct SecretsFile {
    path: PathBuf,
    text: String,
}

impl SecretsFile {
    /// Opens a file, or begins one.
    pub(super) fn open(path: &Path) -> Result<SecretsFile> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                let doing = format!("reading {}", path.display());
                return Err(Error::new(Kind::Refused, doing).io(error));
            }
        };
        Ok(SecretsFile { path: path.to_owned(), text })
    }

    /// What it holds.
    fn variables(&self) -> Result<BTreeMap<String, String>> {
        parse(&self.text).map_err(|line| {
            Error::new(Kind::Refused, format!("reading {}", self.path.display()))
                .because(format!("line {line} isn't NAME=value"))
                .hint("mend that line; a value with spaces or quotes is put in single quotes")
        })
    }

    /// Adds a password to the file, unless the variable is there already. Only the file's owner can
    /// read it, and it is on the disk before anybody uses the password.
    pub(super) fn keep(&mut self, name: &str, password: &str) -> Result<()> {
        // Another run may have added to it.
        self.text = SecretsFile::open(&self.path)?.text;
        let there = parse(&self.text).unwrap_or_default().remove(name);
        match there {
            Some(there) if there == password => return Ok(()),
            Some(_) => {
                let doing = format!("keeping a password in {}", self.path.display());
                return Err(Error::new(Kind::Refused, doing)
                    .because(format!("{name} is there already, empty or with another value"))
                    .hint(format!("take the line {name}=… out of the file, then run again")));
            }
            None => {}
        }
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        let is_plain = password.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if password.contains(['\'', '\n', '\0']) {
            return Err(Error::new(Kind::Refused, format!("keeping the password {name}"))
                .because("it has a character that can't be written so that every reader agrees")
                .hint("choose another without quotes and line breaks"));
        }
        self.text += &match is_plain {
            true => format!("{name}={password}\n"),
            false => format!("{name}='{password}'\n"),
        };
        self.write()
    }

    fn write(&self) -> Result<()> {
        let failed = |error| Error::step(format!("writing {}", self.path.display())).io(error);
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        // Nobody else may read it before there is anything in it, nor under its new name.
        let mut file = tempfile::Builder::new()
            .make_in(folder.unwrap_or(Path::new(".")), access::new_private)
            .map_err(failed)?;
        file.write_all(self.text.as_bytes()).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&self.path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

/// A new password: 32 letters and digits, 190 bits.
pub(super) fn generated() -> Result<String> {
    const SIGNS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut password = String::new();
    while password.len() < 32 {
        let mut bytes = [0; 64];
        getrandom::fill(&mut bytes).map_err(|error| {
            Error::step("asking the system for random bytes").because(error.to_string())
        })?;
        // Beyond a multiple of 62 some signs would come more often than others.
        let fair = bytes.iter().filter(|byte| **byte < 248);
        let signs = fair.map(|byte| char::from(SIGNS[usize::from(byte % 62)]));
        password.extend(signs.take(32 - password.len()));
    }
    Ok(password)
}

/// Only names are shown.
impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Reads `NAME=value` lines as a shell does that sources them: comments, `export`, and quotes around a
/// whole value. The number of the first line that is something else.
fn parse(text: &str) -> Result<BTreeMap<String, String>, usize> {
    let mut variables = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start_matches('\u{feff}').trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").map_or(line, str::trim_start);
        let (name, value) = line.split_once('=').ok_or(number + 1)?;
        let is_name = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let value = unquoted(value).filter(|_| is_name(name)).ok_or(number + 1)?;
        variables.insert(name.to_owned(), value);
    }
    Ok(variables)
}

fn unquoted(value: &str) -> Option<String> {
    for quote in ['\'', '"'] {
        if let Some(rest) = value.strip_prefix(quote) {
            let inner = rest.strip_suffix(quote)?;
            let is_plain = !inner.contains([quote, '\\', '$', '`']) || quote == '\'';
            return (is_plain && !inner.contains(quote)).then(|| inner.to_owned());
        }
    }
    let is_special = |c: char| c.is_whitespace() || "'\"\\$`&|;<>()#*?[]~!".contains(c);
    (!value.contains(is_special)).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_a_shell_can_source_is_read() {
        let text = "# comment\n\nA=1\nexport B='x y$\"'\r\nC=\"z z\"\n_D2=\n";
        let variables = parse(text).unwrap();
        let pairs: Vec<_> = variables.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("A", "1"), ("B", "x y$\""), ("C", "z z"), ("_D2", "")]);
    }

    #[test]
    fn what_a_shell_would_understand_otherwise_is_refused() {
        for text in ["A", "A B=1", "A=x y", "A=$B", "A='x'y'", "A=\"$x\"", "A='x", "=1", "A=a;b"] {
            assert_eq!(parse(&format!("X=1\n{text}")).unwrap_err(), 2, "{text}");
        }
    }

    #[test]
    fn what_another_run_has_added_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.env");
        let (mut one, mut other) =
            (SecretsFile::open(&path).unwrap(), SecretsFile::open(&path).unwrap());
        one.keep("A", "1").unwrap();
        other.keep("B", "2").unwrap();
        assert!(other.keep("A", "3").is_err());
        let kept = SecretsFile::open(&path).unwrap().variables().unwrap();
        assert_eq!(kept.into_values().collect::<Vec<_>>(), ["1", "2"]);
    }

    #[test]
    fn no_value_is_shown() {
        let variables = Variables(parse("A=hush").unwrap());
        assert_eq!(format!("{variables:?}"), "{\"A\"}");
    }
}
