//! The steps of the WebStream recipe, for people.

use std::path::Path;

use crate::error::Error;
use crate::webstream::{Counted, Provisioned, Reached, Rewritten, RolledBack};

use super::page::{Page, Tone};
use super::units;

/// Shows what a service would find.
pub(super) fn reached(page: &mut Page, title: &str, reached: &Reached) {
    page.line(0, Tone::Strong, title);
    let Reached { host, port, role, server, tls, latency_ms, tables, .. } = reached;
    page.labelled("server", Tone::Plain, &format!("{host}, port {port}, PostgreSQL {server}"));
    page.labelled("role", Tone::Plain, role);
    match tls {
        Some(tls) => page.labelled("TLS", Tone::Good, tls),
        None => page.labelled("TLS", Tone::Notable, "none"),
    }
    page.labelled("round trip", Tone::Plain, &format!("{latency_ms:.1} ms"));
    for Counted { table, rows, exact } in tables {
        let rows = units::counted(u64::try_from(*rows).unwrap_or_default(), "row", "rows");
        let rows = if *exact { rows } else { format!("about {rows}") };
        page.labelled("table", Tone::Plain, &format!("{table}: {rows}"));
    }
    page.gap();
}

/// Shows that a service would get nowhere.
pub(super) fn not_reached(page: &mut Page, title: &str, error: &Error) {
    page.line(0, Tone::Strong, title);
    page.block(2, Tone::Bad, &error.message());
    if let Some(hint) = error.hint_text() {
        page.block(2, Tone::Plain, &format!("hint: {hint}"));
    }
    page.gap();
}

/// Shows a database that is ready to be filled.
pub(super) fn provisioned(page: &mut Page, provisioned: &Provisioned) {
    let Provisioned { database, was_made, owner, owner_was_made, variable } = provisioned;
    page.line(0, Tone::Strong, &format!("database {database}"));
    let made = |made: &bool| if *made { "made" } else { "was there" };
    page.labelled("database", Tone::Good, made(was_made));
    page.labelled("owner", Tone::Good, &format!("{owner}, {}", made(owner_was_made)));
    page.labelled("password", Tone::Plain, &format!("in {variable}, tried by logging in"));
    page.gap();
}

/// Shows where the report is that a move is signed off with.
pub(super) fn sign_off(page: &mut Page, path: &Path) {
    page.labelled("sign-off", Tone::Good, &path.display().to_string());
}

/// Shows what becomes of a configuration.
pub(super) fn rewritten(page: &mut Page, rewritten: &Rewritten) {
    let Rewritten { configuration, lines, backup } = rewritten;
    page.line(0, Tone::Strong, &configuration.display().to_string());
    if lines.is_empty() {
        page.line(2, Tone::Good, "leads to the target already");
    }
    for line in lines {
        page.line(2, Tone::Faint, &format!("line {}", line.number));
        page.line(2, Tone::Bad, &format!("- {}", line.before.trim()));
        page.line(2, Tone::Good, &format!("+ {}", line.after.trim()));
    }
    if let Some(backup) = backup {
        page.labelled("backup", Tone::Plain, &backup.display().to_string());
    }
    page.gap();
}

/// Shows that services which verify nobody can be led better.
pub(super) fn unverified(page: &mut Page) {
    page.line(
        0,
        Tone::Notable,
        "SSL Mode=Require encrypts, and verifies nobody: give --root-certificate FILE, the \
         provider's authorities as the services find them, for VerifyFull",
    );
    page.gap();
}

/// Shows what the way back came to.
pub(super) fn rolled_back(page: &mut Page, back: &RolledBack) {
    if back.configurations.is_empty() && back.roles.is_empty() {
        page.line(0, Tone::Good, "nothing to do: the services are led to the bundled instance");
        return;
    }
    page.line(0, Tone::Strong, "back to the bundled instance");
    for configuration in &back.configurations {
        page.labelled("put back", Tone::Good, &configuration.display().to_string());
    }
    for backup in &back.backups {
        page.labelled("kept", Tone::Plain, &backup.display().to_string());
    }
    if !back.roles.is_empty() {
        page.labelled("may log in", Tone::Good, &back.roles.join(", "));
    }
    page.labelled("then", Tone::Plain, "start the services; the copy on the target stays: to move again, `pgconvoy webstream migrate \
         --restart`; where the services wrote to it, drop its databases and `provision` first");
}
