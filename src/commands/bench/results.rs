//! What was measured, and what it comes to.

use serde::{Deserialize, Serialize};

use super::BenchJob;
use super::latencies::ChunkTimes;
use super::machine::Machine;
use super::processor_time::ProcessorTime;
use super::tools::Tool;

/// The raw results of a benchmark.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BenchResults {
    /// What the tools did.
    #[serde(default)]
    pub job: BenchJob,
    /// What they were measured on.
    pub machine: Machine,
    /// How many workers each tool got.
    pub jobs: usize,
    /// Whether the target was reached by TLS.
    #[serde(default)]
    pub tls: bool,
    /// How long a round trip to the target took, in milliseconds; none where nothing delayed it.
    #[serde(default)]
    pub round_trip_ms: Option<f64>,
    /// Every run, in the order they were made.
    pub runs: Vec<BenchRun>,
}

/// One tool's job on one data set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BenchRun {
    /// The data set, and how its archive is compressed if there is one.
    pub data: String,
    /// The tool.
    pub tool: Tool,
    /// Which round: the runs of a round are compared with each other.
    pub round: usize,
    /// What the source's databases take on disk.
    pub bytes: u64,
    /// From start to end.
    pub seconds: f64,
    /// The rows alone, where the tool's phases can be told apart.
    pub data_seconds: Option<f64>,
    /// Processor time of the tool, in seconds.
    pub client_cpu: Option<f64>,
    /// Processor time of the source's server.
    pub source_cpu: Option<f64>,
    /// Processor time of the target's server.
    pub target_cpu: Option<f64>,
    /// Bytes of the archive that was made.
    #[serde(default)]
    pub archive_bytes: Option<u64>,
    /// How long the chunks took, of pgconvoy.
    pub chunks: Option<ChunkTimes>,
}

impl BenchRun {
    pub(super) fn add_times(&mut self, before: &ProcessorTime, after: &ProcessorTime) {
        let add = |sum: &mut Option<f64>, before: Option<f64>, after: Option<f64>| {
            if let (Some(before), Some(after)) = (before, after) {
                *sum = Some(sum.unwrap_or_default() + after - before);
            }
        };
        add(&mut self.client_cpu, before.clients, after.clients);
        add(&mut self.source_cpu, before.source, after.source);
        add(&mut self.target_cpu, before.target, after.target);
    }
}

/// The least, the median and the most of some measurements.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The one in the middle, or the mean of the two there.
    pub median: f64,
    /// The most.
    pub max: f64,
}

impl Spread {
    /// Of at least one number.
    pub fn of(mut numbers: Vec<f64>) -> Option<Spread> {
        numbers.sort_by(f64::total_cmp);
        let (min, max) = (*numbers.first()?, *numbers.last()?);
        let half = numbers.len() / 2;
        let median = match numbers.len().is_multiple_of(2) {
            true => f64::midpoint(numbers[half - 1], numbers[half]),
            false => numbers[half],
        };
        Some(Spread { min, median, max })
    }
}

impl BenchResults {
    /// The data sets, in the order they were measured.
    pub fn data_sets(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for run in &self.runs {
            if !names.contains(&run.data.as_str()) {
                names.push(&run.data);
            }
        }
        names
    }

    /// The tools that did a data set, in their usual order.
    pub fn tools(&self, data: &str) -> Vec<Tool> {
        let did = |tool: &Tool| self.of(data, *tool).next().is_some();
        Tool::ALL.into_iter().filter(did).collect()
    }

    /// A tool's runs on a data set.
    pub fn of(&self, data: &str, tool: Tool) -> impl Iterator<Item = &BenchRun> {
        self.runs.iter().filter(move |run| run.data == data && run.tool == tool)
    }

    /// A tool's time on a data set.
    pub fn seconds(&self, data: &str, tool: Tool) -> Option<Spread> {
        Spread::of(self.of(data, tool).map(|run| run.seconds).collect())
    }

    /// One tool's time as a share of another's, round by round.
    pub fn ratio(&self, data: &str, ours: Tool, theirs: Tool) -> Option<Spread> {
        let ratios = self.of(data, theirs).filter_map(|theirs| {
            let mut ours = self.of(data, ours);
            let ours = ours.find(|run| run.round == theirs.round)?;
            Some(ours.seconds / theirs.seconds)
        });
        Spread::of(ratios.collect())
    }

    /// The median of one measurement of a tool's runs on a data set.
    pub fn median(
        &self,
        data: &str,
        tool: Tool,
        what: impl Fn(&BenchRun) -> Option<f64>,
    ) -> Option<f64> {
        Spread::of(self.of(data, tool).filter_map(what).collect()).map(|spread| spread.median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(tool: Tool, round: usize, seconds: f64) -> BenchRun {
        BenchRun { data: "narrow".to_owned(), tool, round, seconds, ..BenchRun::default() }
    }

    #[test]
    fn a_median_is_the_middle_or_between_the_two_there() {
        assert_eq!(Spread::of(vec![]), None);
        let of = |numbers: &[f64]| Spread::of(numbers.to_vec()).unwrap();
        assert_eq!(of(&[3.0, 1.0, 2.0]), Spread { min: 1.0, median: 2.0, max: 3.0 });
        assert_eq!(of(&[4.0, 1.0]), Spread { min: 1.0, median: 2.5, max: 4.0 });
    }

    #[test]
    fn runs_are_compared_within_their_round() {
        let results = BenchResults {
            runs: vec![
                run(Tool::Pgconvoy, 0, 1.0),
                run(Tool::Piped, 0, 2.0),
                run(Tool::Piped, 1, 4.0),
                run(Tool::Pgconvoy, 1, 3.0),
            ],
            ..BenchResults::default()
        };
        let spread = results.ratio("narrow", Tool::Pgconvoy, Tool::Piped).unwrap();
        assert_eq!(spread, Spread { min: 0.5, median: 0.625, max: 0.75 });
        assert_eq!(results.tools("narrow"), [Tool::Pgconvoy, Tool::Piped]);
        assert_eq!(results.ratio("wide", Tool::Pgconvoy, Tool::Piped), None);
    }
}
