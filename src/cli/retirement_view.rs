//! The end of the bundled instance, and its return, for people.

use crate::webstream::{Manager, Retired, Retiring, Service, Stopped};

use super::page::{Page, Tone};

/// What lines stand under.
const INDENT: usize = 16;

/// Shows that the bundled databases are closed, and what becomes of their service.
pub(super) fn retired(page: &mut Page, before: &Retired, retiring: &Retiring) {
    let databases: Vec<&str> = before.limits.keys().map(String::as_str).collect();
    if retiring.dry_run {
        page.line(0, Tone::Strong, "nothing was changed; this would be done");
        page.labelled("close", Tone::Plain, &databases.join(", "));
    } else {
        page.line(0, Tone::Strong, "the bundled databases are closed");
        page.labelled("closed", Tone::Good, &databases.join(", "));
    }
    match &before.service {
        Some(stopped) => {
            dependents(page, &stopped.service);
            if stopped.is_done {
                let words = format!("{} is stopped, and doesn't start again", stopped.service.name);
                page.labelled("service", Tone::Good, &words);
            } else {
                page.labelled(
                    "service",
                    Tone::Notable,
                    "not stopped yet; with --execute this is run:",
                );
                commands(page, &stopped.service.stops());
            }
        }
        None => {
            let words = "stop the bundled service, and keep it from starting (or run this with \
                         --execute on its host):";
            page.labelled("then", Tone::Plain, words);
            let said = retiring.service.as_deref();
            for (manager, usual) in
                [(Manager::ServiceControl, "Webstream-Postgres"), (Manager::Systemd, "SERVICE")]
            {
                commands(page, &Service::named(manager, said.unwrap_or(usual)).stops());
            }
        }
    }
    page.labelled("undo", Tone::Plain, "pgconvoy webstream unretire");
}

/// Shows that they are open again.
pub(super) fn unretired(page: &mut Page, before: &Retired, executed: bool) {
    let databases: Vec<&str> = before.limits.keys().map(String::as_str).collect();
    page.labelled("open again", Tone::Good, &databases.join(", "));
    match &before.service {
        Some(Stopped { service, .. }) if executed => {
            let words = format!("{} runs, and starts as it did before", service.name);
            page.labelled("service", Tone::Good, &words);
        }
        Some(Stopped { service, .. }) => {
            page.labelled("service", Tone::Notable, "what brings it back as it was:");
            commands(page, &service.starts());
        }
        None => {}
    }
    let fence = "the services' roles are kept out as they were before `retire`, by the fence of \
                 `migrate`: `pgconvoy webstream rollback` lets them in";
    if before.roles.is_empty() {
        page.labelled("fence", Tone::Notable, fence);
    }
}

fn dependents(page: &mut Page, service: &Service) {
    for dependent in &service.dependents {
        let words = match (service.manager, dependent.is_bound) {
            (Manager::Systemd, true) => {
                "is bound to it: take it out of its unit, or it starts the bundled instance again"
            }
            (Manager::Systemd, false) => {
                "wants it: take it out of its unit, or it starts the bundled instance again"
            }
            (Manager::ServiceControl, _) => "depended on it, directly or not",
        };
        page.labelled("dependent", Tone::Notable, &format!("{} {words}", dependent.name));
    }
}

fn commands(page: &mut Page, commands: &[Vec<String>]) {
    for words in commands {
        page.line(INDENT, Tone::Plain, &words.join(" "));
    }
}
