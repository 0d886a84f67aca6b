//! `pgconvoy bench`: the same job by pgconvoy and by its rivals, in turns, each into fresh
//! databases. The only place that runs PostgreSQL's client programs.

mod chart;
mod distance;
mod ends;
mod latencies;
mod machine;
mod pipes;
mod processor_time;
mod results;
mod tools;

use std::time::{Duration, Instant};

use crate::engine::{Event, Events, Stop};
use crate::error::{Error, Kind, Result};
use crate::servers::{BenchData, Cluster, Sources, Spec};

use super::request::default_jobs;
use distance::Distance;
use ends::Ends;
use processor_time::ProcessorTime;

pub use chart::chart;
pub use machine::Machine;
pub use results::{BenchResults, BenchRun, Spread};
pub use tools::Tool;

/// What is to be compared.
#[derive(Debug, Clone)]
pub struct BenchRequest {
    /// The data sets.
    pub data: Vec<BenchData>,
    /// How big they are: 1 is their usual size.
    pub scale: f64,
    /// How many workers each tool gets; none for as many as this machine has cores.
    pub jobs: Option<usize>,
    /// How often each tool does the job.
    pub rounds: usize,
    /// The tools; those that aren't installed are left out with a word.
    pub tools: Vec<Tool>,
    /// Whether the target is reached by TLS.
    pub tls: bool,
    /// How long a round trip to the target takes; none for as long as on loopback.
    pub round_trip: Option<Duration>,
}

/// One tool's job.
#[derive(Debug)]
struct Job {
    source: String,
    target: String,
    jobs: usize,
    folder: tempfile::TempDir,
}

/// Starts two throw-away servers, makes each data set on one, and has every tool move it to the
/// other, in turns.
pub async fn bench(
    request: &BenchRequest,
    sources: &Sources,
    events: &Events,
    stop: &mut Stop,
) -> Result<BenchResults> {
    let mut tools = Vec::new();
    for &tool in &request.tools {
        match tool.missing().await {
            None => tools.push(tool),
            Some(program) => {
                say(events, format!("{} is left out: there is no {program}", tool.name())).await;
            }
        }
    }
    let far = if request.tls { Spec::rds_like() } else { Spec::bundled() };
    let (source, target) =
        tokio::try_join!(Cluster::start(sources, Spec::bundled()), Cluster::start(sources, far),)?;
    let door = match request.round_trip {
        Some(round_trip) => Some(Distance::open(target.port(), round_trip).await?),
        None => None,
    };
    let machine = Machine::read(source.installation().version());
    let jobs = request.jobs.unwrap_or_else(default_jobs);
    let round_trip_ms = request.round_trip.map(|time| time.as_secs_f64() * 1000.0);
    let mut results =
        BenchResults { machine, jobs, tls: request.tls, round_trip_ms, runs: Vec::new() };
    for &data in &request.data {
        say(events, format!("making the data set {}", data.name())).await;
        data.make(&source, request.scale).await?;
        let ends = Ends::new(&source, &target, data, door.as_ref()).await?;
        ends.copy_roles().await?;
        let tools: Vec<Tool> = tools.iter().copied().filter(|tool| tool.suits(data)).collect();
        for round in 0..request.rounds {
            // Whoever comes first meets colder caches: everybody does in turn.
            for turn in 0..tools.len() {
                let tool = tools[(turn + round) % tools.len()];
                let (data, name) = (data.name(), tool.name());
                // What a tool can't do says something too, and the others go on.
                match stop.or(Box::pin(one(tool, &ends, jobs, round))).await {
                    Ok(run) => {
                        say(events, format!("{data}: {name} took {:.2} s", run.seconds)).await;
                        results.runs.push(run);
                    }
                    Err(error) if error.kind() == Kind::Interrupted => return Err(error),
                    Err(error) => say(events, format!("{data}: {name} failed: {error}")).await,
                }
            }
        }
        ends.drop_source().await?;
    }
    Ok(results)
}

/// One tool moves one data set into fresh databases.
async fn one(tool: Tool, ends: &Ends<'_>, jobs: usize, round: usize) -> Result<BenchRun> {
    let mut run = BenchRun {
        data: ends.data.name().to_owned(),
        tool,
        round,
        bytes: ends.bytes,
        ..BenchRun::default()
    };
    for database in ends.databases() {
        ends.fresh(&database).await?;
        let folder = tempfile::tempdir()
            .map_err(|error| Error::step("making a folder for an archive").io(error))?;
        let (source, target) = ends.conninfos(&database);
        let job = Job { source, target, jobs, folder };
        let before = ProcessorTime::read(ends);
        let started = Instant::now();
        let data_phase = tool
            .run(&job)
            .await
            .map_err(|error| error.within(format_args!("{} on {database}", tool.name())))?;
        run.seconds += started.elapsed().as_secs_f64();
        run.add_times(&before, &ProcessorTime::read(ends));
        if let Some(phase) = data_phase {
            *run.data_seconds.get_or_insert_default() += phase.as_secs_f64();
        }
        if tool.is_ours() {
            run.chunks = Some(latencies::read(ends, &database).await?);
        }
        ends.drop_target(&database).await?;
    }
    Ok(run)
}

async fn say(events: &Events, text: String) {
    events.say(Event::Note(text)).await;
}
