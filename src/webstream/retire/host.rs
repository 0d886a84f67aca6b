//! The host of the bundled instance: its service is found, stopped and started there, and nowhere else.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::error::{Error, Kind, Result};
use crate::wire::Session;

use super::service::{
    CommandLine, DEPENDENTS, Dependent, Manager, Service, asks_registry, dependents_of_service,
    dependents_of_unit, property, registry_value, start_word, unit_of_status,
};

/// What the server writes beside its data when it starts; the first line is its process.
const PID_FILE: &str = "postmaster.pid";
/// What sc.exe ends with where there is nothing to start or to stop.
const ALREADY: [i32; 2] = [1056, 1062];

/// A server that runs on this very host.
pub(super) struct Local {
    pub(super) data: PathBuf,
    process: String,
}

impl Local {
    /// Proves that the server is here, and not behind a tunnel: the file that it reads is here, too.
    pub(super) async fn of(source: &Session) -> Result<Local> {
        let doing = "looking for the bundled instance on this host";
        let sql = "SELECT pg_catalog.current_setting('data_directory'), \
                   pg_catalog.pg_read_file('postmaster.pid')";
        let row = source.query_one(doing, sql, &[]).await?;
        let (data, there): (String, String) = (row.get(0), row.get(1));
        let data = PathBuf::from(data);
        let refused = |because: String| {
            Error::new(Kind::Refused, doing).because(because).hint(
                "run it on the bundled host, as its administrator, or without --execute; nothing was \
                 changed",
            )
        };
        let path = data.join(PID_FILE);
        let here = std::fs::read_to_string(&path)
            .map_err(|error| refused(format!("{}: {error}", path.display())))?;
        let process = process_of(&here, &there)
            .ok_or_else(|| refused(format!("{} is another server's", path.display())))?;
        Ok(Local { data, process: process.to_owned() })
    }

    /// The service that runs it: the one that is named, or the one that its process belongs to.
    pub(super) fn service(&self, said: Option<&str>) -> Result<Service> {
        match Manager::here() {
            Manager::Systemd => unit(&self.process, said),
            manager @ Manager::ServiceControl => {
                windows_service(said.or(manager.usual_name()).unwrap_or_default())
            }
        }
    }
}

/// The process of both files, if they are one: they tell when it started, and where.
fn process_of<'a>(here: &'a str, there: &str) -> Option<&'a str> {
    here.lines().eq(there.lines()).then(|| here.lines().next()).flatten().map(str::trim)
}

/// Where the data of a server that was stopped lies: on its host.
pub(super) fn refuse_elsewhere(data: &Path) -> Result<()> {
    match data.is_dir() {
        true => Ok(()),
        false => Err(Error::new(Kind::Refused, "starting the bundled service")
            .because(format!("{} isn't on this host", data.display()))
            .hint("run it on the bundled host; nothing was changed")),
    }
}

fn unit(process: &str, said: Option<&str>) -> Result<Service> {
    let doing = "looking for the bundled instance's unit";
    let hint = "name it with --service NAME, or leave --execute out and stop the server by hand; \
                nothing was changed";
    let found = match said {
        Some(name) => name.to_owned(),
        None => {
            // Its exit code tells the unit's state.
            let answer = ask(&["systemctl", "status", process, "--no-pager", "--lines=0"])?;
            let words = String::from_utf8_lossy(&answer.stdout);
            unit_of_status(&words).map(str::to_owned).ok_or_else(|| {
                Error::new(Kind::Refused, doing)
                    .because(format!("process {process} belongs to no service of systemd"))
                    .hint(hint)
            })?
        }
    };
    let dependents: Vec<&str> = DEPENDENTS.iter().map(|(name, _)| *name).collect();
    let wanted = format!("--property=Id,MainPID,UnitFileState,{}", dependents.join(","));
    let answer = answered(&["systemctl", "show", &found, &wanted])?;
    let main = property(&answer, "MainPID");
    if main != process {
        return Err(Error::new(Kind::Refused, doing)
            .because(format!(
                "{found}'s main process is {main}, and the bundled instance is process {process}"
            ))
            .hint(hint));
    }
    let mut dependents = Vec::new();
    for (name, is_bound) in dependents_of_unit(&answer) {
        let state = answered(&["systemctl", "show", &name, "--property=ActiveState"])?;
        let is_running = matches!(
            property(&state, "ActiveState"),
            "active" | "activating" | "reloading" | "deactivating"
        );
        dependents.push(Dependent { name, is_running, is_bound, needs: Vec::new() });
    }
    let name = match property(&answer, "Id") {
        "" => found,
        id => id.to_owned(),
    };
    let start = property(&answer, "UnitFileState").to_owned();
    Ok(Service { manager: Manager::Systemd, name, start, dependents })
}

fn windows_service(name: &str) -> Result<Service> {
    let ask_registry = |service: &str, value: &str| -> Result<Option<String>> {
        let asks = asks_registry(service, value);
        let asks: Vec<&str> = asks.iter().map(String::as_str).collect();
        let answer = ask(&asks)?;
        let words = String::from_utf8_lossy(&answer.stdout);
        Ok(registry_value(&words, value).map(str::to_owned))
    };
    let start = ask_registry(name, "Start")?;
    let delayed = ask_registry(name, "DelayedAutostart")?;
    let start =
        start.and_then(|start| start_word(&start, delayed.as_deref())).ok_or_else(|| {
            Error::new(Kind::Refused, "looking for the bundled instance's service")
                .because(format!("there is no service {name} on this host"))
                .hint("name it with --service NAME; nothing was changed")
        })?;
    // More than the 1 KiB that it takes without a size.
    let listed = answered(&["sc.exe", "enumdepend", name, "65536"])?;
    let mut dependents = Vec::new();
    for (dependent, is_running) in dependents_of_service(&listed) {
        let needs = ask_registry(&dependent, "DependOnService")?.unwrap_or_default();
        let needs = needs.split("\\0").filter(|need| !need.is_empty()).map(str::to_owned).collect();
        dependents.push(Dependent { name: dependent, is_running, is_bound: true, needs });
    }
    let (manager, start) = (Manager::ServiceControl, start.to_owned());
    Ok(Service { manager, name: name.to_owned(), start, dependents })
}

/// Runs commands, one after the other.
pub(super) fn run(commands: &[CommandLine]) -> Result<()> {
    for words in commands {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = ask(&words)?;
        let is_done = output.status.success()
            || (words[0] == "sc.exe"
                && output.status.code().is_some_and(|code| ALREADY.contains(&code)));
        if !is_done {
            return Err(failed(&words, &output));
        }
    }
    Ok(())
}

fn answered(words: &[&str]) -> Result<String> {
    let output = ask(words)?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(failed(words, &output)),
    }
}

fn failed(words: &[&str], output: &Output) -> Error {
    let said = [&output.stderr, &output.stdout].map(|bytes| String::from_utf8_lossy(bytes));
    let said: Vec<&str> = said.iter().map(|text| text.trim()).filter(|t| !t.is_empty()).collect();
    Error::step(format!("running {}", words.join(" ")))
        .because(format!("{} ({})", said.join("; "), output.status))
        .hint("mend that, as this host's administrator, then run the same command again")
}

fn ask(words: &[&str]) -> Result<Output> {
    let (program, arguments) = words.split_first().unwrap_or((&"", &[]));
    Command::new(program).args(arguments).output().map_err(|error: io::Error| {
        Error::new(Kind::Refused, format!("running {}", words.join(" ")))
            .io(error)
            .hint("leave --execute out, and see to the service as this host does")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_behind_a_tunnel_is_told_from_one_on_this_host() {
        let here = "77\n/var/lib/pg\n1700000000\n5432\n/tmp\n127.0.0.1\n";
        assert_eq!(process_of(here, &here.replace('\n', "\r\n")), Some("77"));
        assert_eq!(process_of(here, &here.replace("1700000000", "1700000001")), None);
        assert_eq!(process_of("", here), None);
        assert_eq!(process_of("", ""), None);
    }
}
