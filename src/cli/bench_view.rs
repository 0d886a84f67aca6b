//! A benchmark's results, for people; `--json` has every run.

use std::path::Path;

use crate::commands::{BenchResults, Tool, chart};
use crate::error::{Error, Result};

use super::page::{Page, Tone};
use super::units;

/// Shows each data set as a table, and what to know before believing it.
pub(super) fn show(page: &mut Page, results: &BenchResults) {
    for data in results.data_sets() {
        let size = results.of(data, Tool::Pgconvoy).next().map_or(0, |run| run.bytes);
        let title = format!("{data}: {}, {} jobs", units::bytes(size), results.jobs);
        page.line(0, Tone::Strong, &title);
        page.line(
            2,
            Tone::Faint,
            &row("", "seconds", ["ours/its", "no analyze/its"], "client", "source", "target"),
        );
        for tool in results.tools(data) {
            page.line(2, Tone::Plain, &of_tool(results, data, tool));
        }
        for tool in Tool::ALL.into_iter().filter(|tool| tool.is_ours()) {
            if let Some(times) = results.of(data, tool).find_map(|run| run.chunks) {
                let words = format!(
                    "{}: {} chunks, milliseconds p50 {} p90 {} p99 {} max {}",
                    tool.name(),
                    times.chunks,
                    times.p50,
                    times.p90,
                    times.p99,
                    times.max
                );
                page.line(2, Tone::Faint, &words);
            }
        }
        page.gap();
    }
    page.line(0, Tone::Plain, "Seconds and processor seconds are medians; ours/its is pgconvoy's");
    page.line(
        0,
        Tone::Plain,
        "time as a share of the tool's in the same round: median (least-most).",
    );
    for tool in Tool::ALL {
        if results.runs.iter().any(|run| run.tool == tool) {
            page.line(2, Tone::Faint, &format!("{}: {}", tool.name(), tool.caveat()));
        }
    }
    let machine = &results.machine;
    let memory = machine.memory.map(|bytes| format!(", {}", units::bytes(bytes)));
    let processor = machine.processor.as_ref().map(|name| format!(", {name}"));
    let delay = results.round_trip_ms.map(|ms| format!(", a round trip to it of {ms} ms"));
    let words = format!(
        "PostgreSQL {} on {}, {} cores{}{}; both servers on this machine{}{}",
        machine.postgresql,
        machine.system,
        machine.cores,
        memory.unwrap_or_default(),
        processor.unwrap_or_default(),
        if results.tls { ", the target reached by TLS" } else { "" },
        delay.unwrap_or_default()
    );
    page.line(0, Tone::Faint, &words);
}

/// Writes the raw results and their picture.
pub(super) fn write(folder: &Path, results: &BenchResults) -> Result<()> {
    let put = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text)
            .map_err(|error| Error::step(format!("writing {}", path.display())).io(error))
    };
    std::fs::create_dir_all(folder)
        .map_err(|error| Error::step(format!("making {}", folder.display())).io(error))?;
    let raw = serde_json::to_string_pretty(results)
        .map_err(|error| Error::step("writing the results").because(error.to_string()))?;
    put("results.json", raw + "\n")?;
    put("chart.svg", chart(results))
}

fn of_tool(results: &BenchResults, data: &str, tool: Tool) -> String {
    let seconds = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |s| format!("{s:.1}"));
    let total = results.seconds(data, tool).map(|spread| spread.median);
    let ratio = |ours: Tool| match results.ratio(data, ours, tool) {
        Some(r) if ours != tool => format!("{:.2} ({:.2}-{:.2})", r.median, r.min, r.max),
        _ => String::new(),
    };
    row(
        tool.name(),
        &seconds(total),
        [&ratio(Tool::Pgconvoy), &ratio(Tool::PgconvoyBare)],
        &seconds(results.median(data, tool, |run| run.client_cpu)),
        &seconds(results.median(data, tool, |run| run.source_cpu)),
        &seconds(results.median(data, tool, |run| run.target_cpu)),
    )
}

fn row(
    tool: &str,
    total: &str,
    ratios: [&str; 2],
    client: &str,
    source: &str,
    target: &str,
) -> String {
    let [ours, bare] = ratios;
    format!("{tool:<30}{total:>8}{ours:>20}{bare:>20}{client:>8}{source:>8}{target:>8}")
}
