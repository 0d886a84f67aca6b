//! Whom a server runs as. PostgreSQL refuses to run as root, so as root it runs as another user.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::error::{Error, Result};

/// The account that owns a cluster's data and runs its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Account {
    /// We ourselves.
    Own,
    /// Another one, because we are root.
    #[cfg(unix)]
    Other {
        /// Its user id.
        uid: u32,
        /// Its group id.
        gid: u32,
    },
}

impl Account {
    /// The account for this process's servers: itself, or `postgres` or `nobody` under root.
    pub(super) fn detect() -> Result<Account> {
        #[cfg(unix)]
        if effective_uid()? == 0 {
            let passwd = std::fs::read_to_string("/etc/passwd")
                .map_err(|error| Error::step("reading /etc/passwd").io(error))?;
            return ["postgres", "nobody"]
                .iter()
                .find_map(|name| look_up(&passwd, name))
                .ok_or_else(|| {
                    Error::step("choosing an account for a PostgreSQL server")
                        .because(
                            "it refuses to run as root, and there is no user postgres or nobody",
                        )
                        .hint("create a user postgres, or run pgconvoy as an ordinary user")
                });
        }
        Ok(Account::Own)
    }

    /// A command that runs as this account, from a folder every account may enter, in a known
    /// language, and without PG* variables, which a server and its tools would obey.
    pub(super) fn command(self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command.env("LC_ALL", "C");
        #[cfg(unix)]
        {
            use std::os::unix::process::CommandExt;
            command.current_dir("/");
            if let Account::Other { uid, gid } = self {
                command.uid(uid).gid(gid);
            }
        }
        command
    }

    /// Writes a file that nobody but this account can read.
    pub(super) fn write_secret(self, path: &Path, text: &str) -> Result<()> {
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        options
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| Error::step(format!("writing {}", path.display())).io(error))?;
        self.give(path)
    }

    /// Gives one file or folder to this account.
    pub(super) fn give(self, path: &Path) -> Result<()> {
        #[cfg(unix)]
        if let Account::Other { uid, gid } = self {
            return std::os::unix::fs::lchown(path, Some(uid), Some(gid)).map_err(|error| {
                Error::step(format!("giving {} to the server's account", path.display())).io(error)
            });
        }
        let _ = path;
        Ok(())
    }
}

/// Runs a command to its end; its output, or an error with its last words.
pub(super) fn run(doing: &str, command: &mut Command) -> Result<String> {
    let output = command.stdin(std::process::Stdio::null()).output().map_err(|error| {
        Error::step(format!("{doing}: starting {:?}", command.get_program())).io(error)
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let mut words = String::from_utf8_lossy(&output.stdout).into_owned();
    words.push_str(&String::from_utf8_lossy(&output.stderr));
    Err(Error::step(doing).because(format!("{}: {}", output.status, last_lines(&words, 12))))
}

/// The last lines of a program's output: where it says what went wrong.
pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Our effective user id, told by whom a file belongs to that we make: the standard library has
/// no call for it.
#[cfg(unix)]
pub(super) fn effective_uid() -> Result<u32> {
    use std::os::unix::fs::MetadataExt;
    let told = tempfile::tempfile().and_then(|file| file.metadata());
    told.map(|metadata| metadata.uid())
        .map_err(|error| Error::step("making a file in the temporary folder").io(error))
}

#[cfg(unix)]
fn look_up(passwd: &str, wanted: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == wanted).then_some(())?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account::Other { uid, gid })
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let passwd = "postgresql:x:1:1::/:/bin/sh\npostgres:x:101:104:,,,:/var/lib:/bin/bash\n";
        assert_eq!(look_up(passwd, "postgres"), Some(Account::Other { uid: 101, gid: 104 }));
        assert_eq!(look_up(passwd, "nobody"), None);
    }
}
