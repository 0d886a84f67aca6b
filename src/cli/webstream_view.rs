//! The steps of the WebStream recipe, for people.

use crate::error::Error;
use crate::webstream::{Counted, Reached, Tried};

use super::page::{Page, Tone};
use super::units;

/// Shows what a service would find.
pub(super) fn reached(page: &mut Page, tried: &Tried, reached: &Reached) {
    heading(page, tried);
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
pub(super) fn not_reached(page: &mut Page, tried: &Tried, error: &Error) {
    heading(page, tried);
    page.block(2, Tone::Bad, &error.message());
    if let Some(hint) = error.hint_text() {
        page.block(2, Tone::Plain, &format!("hint: {hint}"));
    }
    page.gap();
}

fn heading(page: &mut Page, tried: &Tried) {
    let title = format!("database {}, {}", tried.database, tried.configuration.display());
    page.line(0, Tone::Strong, &title);
}
