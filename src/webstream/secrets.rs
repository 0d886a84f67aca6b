//! The variables that hold the services' passwords: in our own environment, or in a file that a shell
//! or a service manager reads too.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::error::{Error, Kind, Result};

use super::configuration::{Named, PasswordRef};

/// What the services' variables hold.
#[derive(Clone, Default)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Those of this process, and those of a secrets file, which come before them.
    pub fn gather(file: Option<&Path>) -> Result<Variables> {
        let texts = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let mut variables: BTreeMap<String, String> = texts.collect();
        if let Some(file) = file {
            let doing = format!("reading {}", file.display());
            let text = std::fs::read_to_string(file)
                .map_err(|error| Error::new(Kind::Refused, &doing).io(error))?;
            variables.extend(parse(&text).map_err(|line| {
                Error::new(Kind::Refused, doing)
                    .because(format!("line {line} isn't NAME=value"))
                    .hint("mend that line; a value with spaces or quotes is put in single quotes")
            })?);
        }
        Ok(Variables(variables))
    }

    /// The password that a service finds. Where it lies encrypted in the configuration, the variable
    /// that [`variable_of`] names stands for it.
    pub fn password(&self, named: &Named) -> Result<&str> {
        let own = variable_of(&named.database);
        let name = match &named.password_ref {
            PasswordRef::Env(name) => name,
            PasswordRef::Dpapi(_) => &own,
        };
        let refused = |because: String| {
            Error::new(Kind::Refused, format!("looking for the password of {}", named.username))
                .because(because)
                .hint(format!("set {name}, or name the file that sets it: --secrets file:PATH"))
        };
        match (self.0.get(name), &named.password_ref) {
            (Some(password), _) if !password.is_empty() => Ok(password),
            (Some(_), _) => Err(refused(format!("the variable {name} is empty"))),
            (None, PasswordRef::Env(_)) => Err(refused(format!("there is no variable {name} here"))),
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
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
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
    fn no_value_is_shown() {
        let variables = Variables(parse("A=hush").unwrap());
        assert_eq!(format!("{variables:?}"), "{\"A\"}");
    }
}
