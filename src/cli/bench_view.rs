//! A benchmark's results, for people; `--json` has every run.

use std::path::Path;

use crate::commands::{BenchJob, BenchResults, BenchRun, Tool, chart};
use crate::error::{Error, Result};

use super::page::{Page, Tone};
use super::units;

/// Shows each data set as a table, and what to know before believing it.
pub(super) fn show(page: &mut Page, results: &BenchResults) {
    for data in results.data_sets() {
        let size = results.of(data, Tool::Pgconvoy).next().map_or(0, |run| run.bytes);
        let title = format!("{data}: {}, {} jobs", units::bytes(size), results.jobs);
        page.line(0, Tone::Strong, &title);
        let mut heading = format!("{:<30}", "");
        for column in columns(results.job) {
            heading.push_str(&format!("{:>width$}", column.title(), width = column.width()));
        }
        page.line(2, Tone::Faint, &heading);
        for tool in results.tools(data) {
            page.line(2, Tone::Plain, &of_tool(results, data, tool));
        }
        for tool in Tool::ALL.into_iter().filter(|tool| tool.is_ours()) {
            if let Some(times) = results.of(data, tool).find_map(|run| run.chunks) {
                let words = format!(
                    "{}: {} chunks, milliseconds p50 {} p90 {} p99 {} max {}",
                    tool.name(results.job),
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
            page.line(2, Tone::Faint, &about(tool, results.job));
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

fn about(tool: Tool, job: BenchJob) -> String {
    format!("{}: {}", tool.name(job), tool.caveat(job))
}

/// Makes the folder that results are written into: whoever can't be given them is told at once.
pub(super) fn make(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .map_err(|error| Error::step(format!("making {}", folder.display())).io(error))
}

/// Writes the raw results and their picture.
pub(super) fn write(folder: &Path, results: &BenchResults) -> Result<()> {
    let put = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text)
            .map_err(|error| Error::step(format!("writing {}", path.display())).io(error))
    };
    let raw = serde_json::to_string_pretty(results)
        .map_err(|error| Error::step("writing the results").because(error.to_string()))?;
    put("results.json", raw + "\n")?;
    put("chart.svg", chart(results))
}

/// What is shown of a tool's runs.
#[derive(Clone, Copy)]
enum Column {
    Seconds,
    /// This one's time as a share of the tool's.
    Against(Tool),
    Client,
    Source,
    Target,
    Archive,
}

fn columns(job: BenchJob) -> &'static [Column] {
    use Column::{Against, Archive, Client, Seconds, Source, Target};
    const OURS: Column = Against(Tool::Pgconvoy);
    const BARE: Column = Against(Tool::PgconvoyBare);
    match job {
        BenchJob::Migrate => &[Seconds, OURS, BARE, Client, Source, Target],
        BenchJob::Dump => &[Seconds, OURS, Client, Source, Archive],
        BenchJob::Restore => &[Seconds, OURS, BARE, Client, Target],
    }
}

impl Column {
    fn title(self) -> &'static str {
        match self {
            Column::Seconds => "seconds",
            Column::Against(Tool::PgconvoyBare) => "no analyze/its",
            Column::Against(_) => "ours/its",
            Column::Client => "client",
            Column::Source => "source",
            Column::Target => "target",
            Column::Archive => "archive",
        }
    }

    fn width(self) -> usize {
        match self {
            Column::Against(_) => 20,
            Column::Archive => 10,
            _ => 8,
        }
    }

    fn value(self, results: &BenchResults, data: &str, tool: Tool) -> String {
        let shown =
            |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |s| format!("{s:.1}"));
        let median = |what: fn(&BenchRun) -> Option<f64>| results.median(data, tool, what);
        match self {
            Column::Seconds => shown(median(|run| Some(run.seconds))),
            Column::Client => shown(median(|run| run.client_cpu)),
            Column::Source => shown(median(|run| run.source_cpu)),
            Column::Target => shown(median(|run| run.target_cpu)),
            Column::Archive => {
                let made = results.of(data, tool).find_map(|run| run.archive_bytes);
                made.map_or_else(|| "-".to_owned(), units::bytes)
            }
            Column::Against(ours) => match results.ratio(data, ours, tool) {
                Some(r) if ours != tool => format!("{:.2} ({:.2}-{:.2})", r.median, r.min, r.max),
                _ => String::new(),
            },
        }
    }
}

fn of_tool(results: &BenchResults, data: &str, tool: Tool) -> String {
    let mut line = format!("{:<30}", tool.name(results.job));
    for column in columns(results.job) {
        let value = column.value(results, data, tool);
        line.push_str(&format!("{value:>width$}", width = column.width()));
    }
    line
}
