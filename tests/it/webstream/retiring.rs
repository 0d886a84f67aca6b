//! The bundled instance's end on its host, where a stand-in for systemctl writes down what it is told:
//! no systemd runs where tests do.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Child;

use pgconvoy::servers::StopMode;

use super::hosts::{Ended, Installation};
use crate::trial::{ask, make_database};

const CLOSED: &str = "SELECT pg_catalog.bool_and(datconnlimit = 0)::text \
     FROM pg_catalog.pg_database WHERE datname LIKE 'webstream%'";

/// Answers from the files `unit` and `dependent`, whichever is asked for.
const SYSTEMCTL: &str = r#"#!/bin/sh
folder=$(dirname "$0")
echo "$*" >> "$folder/log"
case "$*" in
  status*) echo "● webstream-postgres.service - The bundled instance" ;;
  *disable*) cat "$folder/refusal" >&2 2>/dev/null && exit 1; exit 0 ;;
  "show webstream-postgres.service"*) cat "$folder/unit" ;;
  show*) cat "$folder/dependent" ;;
esac
"#;

struct Host {
    it: Installation,
}

impl Host {
    async fn new() -> Host {
        let it = Installation::empty(15, 15).await;
        for name in ["webstream_iam", "webstream_metrics", "webstream_activity"] {
            make_database(&it.source, name, "CREATE TABLE public.t AS SELECT 1 AS n").await;
        }
        it.provision().fine();
        for step in ["migrate", "verify", "repoint"] {
            it.step(&[step]).fine();
        }
        it.write("bin/systemctl", SYSTEMCTL.as_bytes());
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(it.path("bin/systemctl"), mode).unwrap();
        let sql =
            "SELECT pg_catalog.split_part(pg_catalog.pg_read_file('postmaster.pid'), E'\\n', 1)";
        let process = ask(&it.source, "postgres", sql).await;
        let host = Host { it };
        host.says(&process, "RequiredBy=gateway.service", "active");
        host
    }

    /// What its systemd says of the unit, and of the other one.
    fn says(&self, process: &str, dependents: &str, state: &str) {
        let unit = format!(
            "Id=webstream-postgres.service\nMainPID={process}\nUnitFileState=enabled\n{dependents}\n"
        );
        self.it.write("bin/unit", unit.as_bytes());
        self.it.write("bin/dependent", format!("ActiveState={state}\n").as_bytes());
    }

    fn step(&self, words: &[&str]) -> Ended {
        Installation::ended(self.begun(words))
    }

    fn begun(&self, words: &[&str]) -> Child {
        let plan = self.it.plan();
        let path = format!("{}:/usr/bin:/bin", self.it.path("bin").display());
        let words = [words, &["--plan", &plan]].concat();
        self.it.command(&words).env("PATH", path).spawn().unwrap()
    }

    /// What systemctl was told that changes something.
    fn told(&self) -> Vec<String> {
        let log = fs::read_to_string(self.it.path("bin/log")).unwrap_or_default();
        let asks = |line: &&str| line.starts_with("status") || line.starts_with("show");
        log.lines().filter(|line| !asks(line)).map(str::to_owned).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_of_the_bundled_instance_is_stopped_with_nobody_elses_and_comes_back() {
    let host = Host::new().await;
    let plan = host.it.text("gateway/pgconvoy.webstream.json");
    let said = host.step(&["retire", "--execute"]).refused();
    assert!(said.contains("gateway.service would be stopped with it, and runs"), "{said}");
    assert!(said.contains("Requires="), "{said}");
    // Another server's unit.
    let pid = std::process::id().to_string();
    host.says(&pid, "", "inactive");
    let said = host.step(&["retire", "--execute", "--service", "webstream-postgres.service"]);
    assert!(said.refused().contains("main process is"));
    assert_eq!(ask(&host.it.source, "postgres", CLOSED).await, "false");
    assert_eq!(host.told(), Vec::<String>::new());
    assert_eq!(host.it.text("gateway/pgconvoy.webstream.json"), plan);

    let sql = "SELECT pg_catalog.split_part(pg_catalog.pg_read_file('postmaster.pid'), E'\\n', 1)";
    let process = ask(&host.it.source, "postgres", sql).await;
    host.says(&process, "WantedBy=multi-user.target metrics.service", "active");
    let said = host.step(&["retire", "--execute", "--dry-run"]).fine();
    let stops = "systemctl --no-ask-password disable --now webstream-postgres.service";
    assert!(said.contains("nothing was changed") && said.contains(stops), "{said}");
    assert_eq!(host.told(), Vec::<String>::new());
    assert_eq!(ask(&host.it.source, "postgres", CLOSED).await, "false");

    // The databases are closed, the service isn't stopped: the same command goes on.
    host.it.write("bin/refusal", b"Access denied");
    let ended = host.step(&["retire", "--execute"]);
    assert_eq!(ended.code, Some(5), "{}", ended.said);
    assert!(
        ended.said.contains("the databases are closed") && ended.said.contains("Access denied")
    );
    assert_eq!(ask(&host.it.source, "postgres", CLOSED).await, "true");
    fs::remove_file(host.it.path("bin/refusal")).unwrap();
    let said = host.step(&["retire", "--execute"]).fine();
    assert!(said.contains("webstream-postgres.service is stopped"), "{said}");
    assert!(said.contains("metrics.service wants it"), "{said}");
    let only = &stops["systemctl ".len()..];
    assert_eq!(host.told(), [only, only]);
    host.it.source.stop(StopMode::Fast).await.unwrap();
    host.step(&["retire"]).fine();
    host.step(&["retire", "--execute"]).fine();
    assert_eq!(host.told(), [only, only]);

    let ended = host.step(&["unretire"]);
    assert_eq!(ended.code, Some(4), "{}", ended.said);
    let starts = "systemctl --no-ask-password enable --now webstream-postgres.service";
    assert!(ended.said.contains(starts), "{}", ended.said);
    // It takes a while to let anybody in.
    let opening = host.begun(&["unretire", "--execute"]);
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    host.it.source.start_again().await.unwrap();
    let opened = Installation::ended(opening);
    assert!(opened.fine().contains("starts as it did before"));
    assert_eq!(host.told().last().unwrap(), &starts["systemctl ".len()..]);
    assert_eq!(ask(&host.it.source, "postgres", CLOSED).await, "false");
    let plan: serde_json::Value =
        serde_json::from_str(&host.it.text("gateway/pgconvoy.webstream.json")).unwrap();
    assert!(plan["done"]["retired"].is_null());
}
