//! What the reading of the source's catalog says about single objects.

use crate::commands::survey::Source;
use crate::pg::RowFormat;
use crate::toc::Finding;

use super::gathered::named;

/// Objects that can't be moved, that stay behind, or that travel otherwise.
pub(super) fn findings(source: &Source) -> Vec<Finding> {
    let unsupported = source.unsupported.iter().map(|object| {
        Finding::refusal(&object.object, &object.why)
            .mend("move it by other means: drop it on the source, or work on a copy without it")
    });
    let left_out = source
        .left_out
        .iter()
        .map(|object| Finding::change(&object.object, format!("stays behind: {}", object.why)));
    let chosen = source.findings.iter().cloned();
    unsupported.chain(left_out).chain(chosen).chain(text_tables(source)).collect()
}

/// Text is slower than binary, and as exact.
fn text_tables(source: &Source) -> Option<Finding> {
    let tables = source.toc.entries.iter().filter_map(|entry| entry.table.as_deref());
    let text: Vec<String> = tables
        .filter(|table| table.format == RowFormat::Text)
        .map(|table| match &table.text_because {
            Some(why) => format!("{} ({why})", table.relation),
            None => table.relation.to_string(),
        })
        .collect();
    let travel = if text.len() == 1 { "travels" } else { "travel" };
    let (count, names) = (text.len(), named(&text));
    let what = format!("{count} {travel} as text, as binary can't carry all columns: {names}");
    (!text.is_empty()).then(|| Finding::note("tables", what))
}
