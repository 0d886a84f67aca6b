//! The service that runs the bundled instance: which commands stop it for good and bring it back, and
//! what its manager's answers mean. Pure: [`super::host`] runs them.

use serde::{Deserialize, Serialize};

/// The bundled service on Windows.
const BUNDLED: &str = "Webstream-Postgres";
/// Where Windows keeps its services' settings.
const REGISTRY: &str = r"HKLM\SYSTEM\CurrentControlSet\Services";

/// Who starts a host's services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manager {
    /// Windows' service control manager.
    ServiceControl,
    /// systemd.
    Systemd,
}

/// A service, as it was before it was stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Who starts it.
    pub manager: Manager,
    /// Its name; of systemd's, with `.service`.
    pub name: String,
    /// When it starts by itself, in its manager's word: `auto`, `enabled`.
    pub start: String,
    /// Who depends on it.
    pub dependents: Vec<Dependent>,
}

/// A service that depends on another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependent {
    /// Its name.
    pub name: String,
    /// Whether it runs.
    pub is_running: bool,
    /// Whether it is stopped with the other, or can't start without it.
    pub is_bound: bool,
    /// All that it depends on, as Windows has it; systemd's units say so themselves.
    pub needs: Vec<String>,
}

/// A program with its arguments.
pub(super) type CommandLine = Vec<String>;

fn command(words: &[&str]) -> CommandLine {
    words.iter().map(|word| (*word).to_owned()).collect()
}

impl Manager {
    /// This host's.
    pub(super) fn here() -> Manager {
        if cfg!(windows) { Manager::ServiceControl } else { Manager::Systemd }
    }

    /// The name of the service that is told nothing of.
    pub(super) fn usual_name(self) -> Option<&'static str> {
        match self {
            Manager::ServiceControl => Some(BUNDLED),
            Manager::Systemd => None,
        }
    }
}

impl Service {
    /// A service of which nothing but its name is known: enough to tell how it is stopped.
    pub fn named(manager: Manager, name: &str) -> Service {
        let start = match manager {
            Manager::ServiceControl => "auto",
            Manager::Systemd => "enabled",
        };
        Service { manager, name: name.to_owned(), start: start.to_owned(), dependents: Vec::new() }
    }

    /// Stops it, and keeps it from starting. On Windows nobody may depend on it any more: a service
    /// that does couldn't start (error 1058).
    pub fn stops(&self) -> Vec<CommandLine> {
        let name = self.name.as_str();
        match self.manager {
            Manager::ServiceControl => {
                let mut all = self.depending(false);
                all.push(command(&["sc.exe", "stop", name]));
                all.push(command(&["sc.exe", "config", name, "start=", "disabled"]));
                all
            }
            Manager::Systemd => {
                vec![command(&["systemctl", "--no-ask-password", "disable", "--now", name])]
            }
        }
    }

    /// Undoes that.
    pub fn starts(&self) -> Vec<CommandLine> {
        let name = self.name.as_str();
        match self.manager {
            Manager::ServiceControl => {
                let mut all = vec![
                    command(&["sc.exe", "config", name, "start=", &self.start]),
                    command(&["sc.exe", "start", name]),
                ];
                all.extend(self.depending(true));
                all
            }
            Manager::Systemd if self.start == "enabled" => {
                vec![command(&["systemctl", "--no-ask-password", "enable", "--now", name])]
            }
            Manager::Systemd => vec![command(&["systemctl", "--no-ask-password", "start", name])],
        }
    }

    /// Lets those that name it depend on all that they did, with or without it; `/` is none.
    fn depending(&self, with_it: bool) -> Vec<CommandLine> {
        let names_it = |one: &&Dependent| one.needs.iter().any(|need| same(need, &self.name));
        let depend = |one: &Dependent| {
            let needs = one.needs.iter().map(String::as_str);
            let kept: Vec<&str> = needs.filter(|need| with_it || !same(need, &self.name)).collect();
            let kept = if kept.is_empty() { "/".to_owned() } else { kept.join("/") };
            command(&["sc.exe", "config", &one.name, "depend=", &kept])
        };
        self.dependents.iter().filter(names_it).map(depend).collect()
    }

    /// Those that would be stopped with it.
    pub(super) fn running_dependents(&self) -> Vec<&str> {
        let would = self.dependents.iter().filter(|one| one.is_bound && one.is_running);
        would.map(|one| one.name.as_str()).collect()
    }

    /// What lets it be stopped without them.
    pub(super) fn freeing(&self) -> String {
        match self.manager {
            Manager::ServiceControl => {
                "stop them (sc.exe stop NAME), then run again: their dependency \
                 is taken away, and they start without it"
                    .to_owned()
            }
            Manager::Systemd => format!(
                "take {} out of Requires=, BindsTo=, Requisite= and PartOf= of their units (systemctl \
                 edit --full NAME), which stops nobody, then run again",
                self.name
            ),
        }
    }
}

/// Windows' names of services mean the same in any case.
fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// The unit of the process that `systemctl status PID` was asked for: the second word of its first
/// line, behind a dot that shows its state.
pub(super) fn unit_of_status(answer: &str) -> Option<&str> {
    let name = answer.lines().next()?.split_whitespace().nth(1)?;
    name.ends_with(".service").then_some(name)
}

/// What `systemctl show` says of a property.
pub(super) fn property<'a>(answer: &'a str, name: &str) -> &'a str {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix('=');
    answer.lines().find_map(value).unwrap_or_default().trim()
}

/// The properties that name a unit's dependents, and whether these are stopped with it
/// (systemd.unit(5), "Mapping of unit properties to their inverses").
pub(super) const DEPENDENTS: [(&str, bool); 5] = [
    ("RequiredBy", true),
    ("RequisiteOf", true),
    ("BoundBy", true),
    ("ConsistsOf", true),
    ("WantedBy", false),
];

/// A unit's dependents, of those that are services, and whether they are stopped with it.
pub(super) fn dependents_of_unit(answer: &str) -> Vec<(String, bool)> {
    let mut all: Vec<(String, bool)> = Vec::new();
    for (name, is_bound) in DEPENDENTS {
        for unit in property(answer, name).split_whitespace().filter(|u| u.ends_with(".service")) {
            if !all.iter().any(|(known, _)| known == unit) {
                all.push((unit.to_owned(), is_bound));
            }
        }
    }
    all
}

/// What `sc.exe enumdepend` lists, and which of these run. Its labels are of the system's language, its
/// states aren't.
pub(super) fn dependents_of_service(answer: &str) -> Vec<(String, bool)> {
    let mut all: Vec<(String, bool)> = Vec::new();
    for line in answer.lines() {
        if let Some(name) = line.strip_prefix("SERVICE_NAME:") {
            all.push((name.trim().to_owned(), false));
        } else if let (true, Some(last)) =
            (line.split_whitespace().any(|word| word == "RUNNING"), all.last_mut())
        {
            last.1 = true;
        }
    }
    all
}

/// How the registry is asked for a value of a service.
pub(super) fn asks_registry(service: &str, value: &str) -> CommandLine {
    command(&["reg.exe", "query", &format!(r"{REGISTRY}\{service}"), "/v", value])
}

/// A value in reg.exe's answer, behind its name and type.
pub(super) fn registry_value<'a>(answer: &'a str, value: &str) -> Option<&'a str> {
    let rest = answer.lines().find_map(|line| line.trim().strip_prefix(value))?;
    let (_, value) = rest.trim_start().split_once(char::is_whitespace)?;
    Some(value.trim())
}

/// The word that sc.exe has for a service's Start and DelayedAutostart.
pub(super) fn start_word(start: &str, delayed: Option<&str>) -> Option<&'static str> {
    match (start, delayed) {
        ("0x2", Some("0x1")) => Some("delayed-auto"),
        ("0x2", _) => Some("auto"),
        ("0x3", _) => Some("demand"),
        ("0x4", _) => Some("disabled"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(commands: Vec<CommandLine>) -> Vec<String> {
        commands.into_iter().map(|words| words.join(" ")).collect()
    }

    fn dependent(name: &str, needs: &[&str]) -> Dependent {
        let needs = needs.iter().map(|need| (*need).to_owned()).collect();
        Dependent { name: name.to_owned(), is_running: false, is_bound: true, needs }
    }

    #[test]
    fn on_windows_nobody_depends_on_a_service_that_is_disabled_until_it_is_back() {
        let mut service = Service::named(Manager::ServiceControl, BUNDLED);
        service.dependents = vec![
            dependent("Gateway", &["Tcpip", "webstream-postgres"]),
            dependent("Metrics", &[BUNDLED]),
            dependent("Indirect", &["Gateway"]),
        ];
        assert_eq!(
            lines(service.stops()),
            [
                "sc.exe config Gateway depend= Tcpip",
                "sc.exe config Metrics depend= /",
                "sc.exe stop Webstream-Postgres",
                "sc.exe config Webstream-Postgres start= disabled",
            ]
        );
        service.start = "delayed-auto".to_owned();
        assert_eq!(
            lines(service.starts()),
            [
                "sc.exe config Webstream-Postgres start= delayed-auto",
                "sc.exe start Webstream-Postgres",
                "sc.exe config Gateway depend= Tcpip/webstream-postgres",
                "sc.exe config Metrics depend= Webstream-Postgres",
            ]
        );
    }

    #[test]
    fn a_unit_is_enabled_again_only_if_it_was() {
        let mut unit = Service::named(Manager::Systemd, "pg.service");
        assert_eq!(lines(unit.stops()), ["systemctl --no-ask-password disable --now pg.service"]);
        assert_eq!(lines(unit.starts()), ["systemctl --no-ask-password enable --now pg.service"]);
        unit.start = "disabled".to_owned();
        assert_eq!(lines(unit.starts()), ["systemctl --no-ask-password start pg.service"]);
    }

    #[test]
    fn who_is_stopped_with_it_is_told_from_who_only_wants_it() {
        let answer = "Id=pg.service\nMainPID=77\nRequiredBy=gateway.service\nRequisiteOf=\nBoundBy=\
                      a.mount gateway.service\nConsistsOf=\nWantedBy=multi-user.target metrics.service\n";
        assert_eq!(property(answer, "MainPID"), "77");
        assert_eq!(
            dependents_of_unit(answer),
            [("gateway.service".to_owned(), true), ("metrics.service".to_owned(), false)]
        );
        let mut unit = Service::named(Manager::Systemd, "pg.service");
        unit.dependents = dependents_of_unit(answer)
            .into_iter()
            .map(|(name, is_bound)| Dependent {
                name,
                is_running: true,
                is_bound,
                needs: Vec::new(),
            })
            .collect();
        assert_eq!(unit.running_dependents(), ["gateway.service"]);
    }

    #[test]
    fn the_unit_of_a_process_is_on_the_first_line() {
        let answer =
            "● postgresql@15-main.service - PostgreSQL Cluster 15-main\n  Loaded: loaded\n";
        assert_eq!(unit_of_status(answer), Some("postgresql@15-main.service"));
        assert_eq!(unit_of_status("● session-2.scope - Session 2 of User a\n"), None);
        assert_eq!(unit_of_status(""), None);
    }

    #[test]
    fn windows_answers_are_read_whatever_its_language() {
        let answer = "Enum: entriesRead  = 2\r\n\r\nSERVICE_NAME: Gateway\r\nDISPLAY_NAME: WebStream\r\n        \
             TYP                : 10  WIN32_OWN_PROCESS\r\n        STATUS             : 4  RUNNING\r\n\r\n\
             SERVICE_NAME: Metrics\r\n        STATUS             : 1  STOPPED\r\n";
        assert_eq!(
            dependents_of_service(answer),
            [("Gateway".to_owned(), true), ("Metrics".to_owned(), false)]
        );
        let answer = "\r\nHKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\Gateway\r\n    \
                      DependOnService    REG_MULTI_SZ    Tcpip\\0Webstream-Postgres\r\n\r\n";
        assert_eq!(registry_value(answer, "DependOnService"), Some("Tcpip\\0Webstream-Postgres"));
        assert_eq!(registry_value(answer, "Start"), None);
        assert_eq!(start_word("0x2", None), Some("auto"));
        assert_eq!(start_word("0x2", Some("0x1")), Some("delayed-auto"));
        assert_eq!(start_word("0x9", None), None);
    }
}
