//! What a dump came to, for people.

use crate::commands::Dumped;

use super::page::{Page, Tone};
use super::summary::findings;
use super::units;

/// Shows where the archive is, what it holds, and what it doesn't.
pub(super) fn show(page: &mut Page, dumped: &Dumped) {
    let place = dumped.path.as_ref().map(|path| format!(" into {}", path.display()));
    let title = format!("database {} dumped{}", dumped.database, place.unwrap_or_default());
    page.line(0, Tone::Strong, &title);
    let items = units::counted(dumped.items as u64, "entry", "entries");
    let holds = format!(
        "{items}; {} of {}, {}, {} compressed",
        units::counted(dumped.rows, "row", "rows"),
        units::counted(dumped.tables as u64, "table", "tables"),
        units::bytes(dumped.bytes),
        units::bytes(dumped.compressed)
    );
    match dumped.pg_restore {
        None => page.labelled("holds", Tone::Plain, &items),
        Some(oldest) => {
            page.labelled("holds", Tone::Plain, &holds);
            let readers = format!("by pg_restore {oldest} and later");
            page.labelled("is read", Tone::Plain, &readers);
        }
    }
    if dumped.taken_over > 0 {
        let parts = units::counted(dumped.taken_over as u64, "part", "parts");
        let text = format!("{parts} had been written by an earlier run");
        page.labelled("gone on", Tone::Plain, &text);
    }
    if !dumped.left_out.is_empty() {
        let text = format!(
            "these aren't, so make them on the target first: {}",
            dumped.left_out.join(", ")
        );
        page.labelled("not in it", Tone::Notable, &text);
    }
    if !dumped.findings.is_empty() {
        page.line(2, Tone::Plain, "worth knowing");
        findings(page, 4, &dumped.findings);
    }
}
