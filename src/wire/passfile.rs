//! The password file (documentation: "The Password File").

use std::io;
use std::path::Path;

use super::secret::Secret;

/// The file's lines, wildcards and all.
#[derive(Debug, Default)]
pub(super) struct PassFile(Vec<Line>);

#[derive(Debug)]
struct Line {
    host: String,
    port: String,
    database: String,
    user: String,
    password: Secret,
}

impl PassFile {
    /// Reads the file; one that isn't there has no lines. A file that others may read is not used,
    /// as with libpq: the warning says so.
    pub(super) fn read(path: &Path, warnings: &mut Vec<String>) -> PassFile {
        let shown = path.display();
        match try_read(path) {
            Ok(Ok(text)) => PassFile::parse(&text),
            Ok(Err(why)) => {
                warnings.push(format!("password file {shown} is not used: {why}"));
                PassFile::default()
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => PassFile::default(),
            Err(error) => {
                warnings.push(format!("password file {shown} cannot be read: {error}"));
                PassFile::default()
            }
        }
    }

    pub(super) fn parse(text: &str) -> PassFile {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        PassFile(lines.filter_map(Line::parse).collect())
    }

    /// The password in the first line that fits. Connections over the default Unix socket are
    /// those to "localhost".
    pub(super) fn find(
        &self,
        host: &str,
        port: u16,
        database: &str,
        user: &str,
    ) -> Option<&Secret> {
        let port = port.to_string();
        let fits = |pattern: &str, value: &str| pattern == "*" || unescape(pattern) == value;
        let line = self.0.iter().find(|line| {
            fits(&line.host, host)
                && fits(&line.port, &port)
                && fits(&line.database, database)
                && fits(&line.user, user)
        });
        line.map(|line| &line.password)
    }
}

impl Line {
    fn parse(line: &str) -> Option<Line> {
        let (host, rest) = take_field(line)?;
        let (port, rest) = take_field(rest)?;
        let (database, rest) = take_field(rest)?;
        let (user, rest) = take_field(rest)?;
        let password = take_field(rest).map_or(rest, |(password, _)| password);
        Some(Line {
            host: host.to_owned(),
            port: port.to_owned(),
            database: database.to_owned(),
            user: user.to_owned(),
            password: Secret::new(unescape(password)),
        })
    }
}

/// A field up to its colon, still escaped, and what follows the colon.
fn take_field(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ':' => return Some((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    None
}

/// Backslash takes the next character as it is.
fn unescape(field: &str) -> String {
    let mut text = String::with_capacity(field.len());
    let mut characters = field.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.extend(characters.next()),
            other => text.push(other),
        }
    }
    text
}

/// The file's text, or why it isn't to be used.
fn try_read(path: &Path) -> io::Result<Result<String, String>> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Ok(Err("it is not a plain file".into()));
    }
    if open_to_others(&metadata) {
        return Ok(Err(format!("others may read it; run: chmod 0600 {}", path.display())));
    }
    std::fs::read_to_string(path).map(Ok)
}

#[cfg(unix)]
fn open_to_others(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o077 != 0
}

/// Windows has no such bits; libpq trusts the folder's protection there, too.
#[cfg(not(unix))]
fn open_to_others(_metadata: &std::fs::Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str, host: &str, database: &str) -> Option<String> {
        let file = PassFile::parse(file);
        let secret = file.find(host, 5432, database, "ann")?;
        Some(secret.reveal().to_owned())
    }

    #[test]
    fn the_first_line_that_fits_gives_the_password() {
        let file = "# host:port:database:user:password\n\
                    db1:5433:*:ann:wrong port\n\
                    db1:*:shop:ann:one\n\
                    db1:5432:*:*:two\r\n\
                    *:*:*:bob:wrong user\n\
                    *:*:*:*:last";
        assert_eq!(found(file, "db1", "shop").as_deref(), Some("one"));
        assert_eq!(found(file, "db1", "other").as_deref(), Some("two"));
        assert_eq!(found(file, "db2", "shop").as_deref(), Some("last"));
        assert_eq!(found("db1:5432:shop:ann", "db1", "shop"), None);
    }

    #[test]
    fn colons_and_backslashes_are_escaped() {
        let file = r"\:\:1:*:a\\b:ann:p\:w\\d:rest";
        assert_eq!(found(file, "::1", r"a\b").as_deref(), Some(r"p:w\d"));
    }

    #[test]
    fn debug_output_shows_no_password() {
        let text = format!("{:?}", PassFile::parse("*:*:*:*:hunter2"));
        assert!(!text.contains("hunter2"));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_not_used_and_a_missing_one_is_no_matter() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pgpass");
        let mut warnings = Vec::new();
        PassFile::read(&path, &mut warnings);
        assert!(warnings.is_empty());

        std::fs::write(&path, "*:*:*:*:pw").unwrap();
        for (mode, used) in [(0o644, false), (0o640, false), (0o600, true)] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            let file = PassFile::read(&path, &mut warnings);
            assert_eq!(file.find("h", 1, "d", "u").is_some(), used, "{mode:o}");
        }
        assert_eq!(warnings.len(), 2);
        assert!(warnings[0].contains("chmod 0600"));
    }
}
