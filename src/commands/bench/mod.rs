//! `pgconvoy bench`: the same job by pgconvoy and by its rivals, in turns, each into fresh
//! databases or folders. The only place that runs PostgreSQL's client programs.

mod archives;
mod chart;
mod distance;
mod ends;
mod latencies;
mod machine;
mod pipes;
mod processor_time;
mod results;
mod tools;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::archive::{Compressing, Compression};
use crate::engine::{Event, Events, Stop};
use crate::error::{Error, Kind, Result};
use crate::servers::{BenchData, Cluster, Sources, Spec};

use super::request::default_jobs;
use archives::Archives;
use distance::Distance;
use ends::Ends;
use processor_time::ProcessorTime;

pub use chart::chart;
pub use machine::Machine;
pub use results::{BenchResults, BenchRun, Spread};
pub use tools::Tool;

/// What the tools do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BenchJob {
    /// A server's database becomes another server's.
    #[default]
    Migrate,
    /// It becomes a folder.
    Dump,
    /// Each tool's own folder becomes a database.
    Restore,
}

impl FromStr for BenchJob {
    type Err = Error;

    fn from_str(text: &str) -> Result<BenchJob> {
        match text {
            "migrate" => Ok(BenchJob::Migrate),
            "dump" => Ok(BenchJob::Dump),
            "restore" => Ok(BenchJob::Restore),
            _ => Err(Error::usage(format!("reading the job {text:?}"))
                .hint("give migrate, dump or restore")),
        }
    }
}

/// What is to be compared.
#[derive(Debug, Clone)]
pub struct BenchRequest {
    /// What the tools do.
    pub job: BenchJob,
    /// How archives are compressed; none for not at all, and by zstd, or by gzip where the rival
    /// has no zstd.
    pub compress: Vec<Compressing>,
    /// Where archives lie meanwhile; none for where temporary files do.
    pub folder: Option<PathBuf>,
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

/// One tool's job on one database.
#[derive(Debug)]
struct Job {
    of: BenchJob,
    source: String,
    target: String,
    jobs: usize,
    /// How archives are compressed.
    compressing: Compressing,
    /// What it makes lies here.
    folder: TempDir,
    /// The archive that is made, or restored.
    archive: String,
}

/// Starts two throw-away servers, makes each data set on one, and has every tool do its job with it,
/// in turns.
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
                let name = tool.name(request.job);
                say(events, format!("{name} is left out: there is no {program}")).await;
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
    let mut results = BenchResults {
        job: request.job,
        machine,
        jobs,
        tls: request.tls,
        round_trip_ms,
        runs: Vec::new(),
    };
    for &data in &request.data {
        say(events, format!("making the data set {}", data.name())).await;
        data.make(&source, request.scale).await?;
        let ends = Ends::new(&source, &target, data, door.as_ref()).await?;
        ends.copy_roles().await?;
        let suits = |tool: &Tool| tool.does(request.job) && tool.suits(data);
        let tools: Vec<Tool> = tools.iter().copied().filter(suits).collect();
        for compressing in compressings(request, &tools, &ends).await {
            let data = match request.job {
                BenchJob::Migrate => data.name().to_owned(),
                BenchJob::Dump | BenchJob::Restore => format!("{}, {compressing}", data.name()),
            };
            let mut contest = Contest { request, ends: &ends, jobs, compressing, data, made: None };
            let tools = stop.or(contest.able(&tools, events)).await?;
            if request.job == BenchJob::Restore {
                say(events, format!("{}: making the archives", contest.data)).await;
                contest.made = Some(stop.or(Box::pin(Archives::make(&contest, &tools))).await?);
            }
            for round in 0..request.rounds {
                // Whoever comes first meets colder caches: everybody does in turn.
                for turn in 0..tools.len() {
                    let tool = tools[(turn + round) % tools.len()];
                    let (data, name) = (&contest.data, tool.name(request.job));
                    // What a tool can't do says something too, and the others go on.
                    match stop.or(Box::pin(contest.one(tool, round))).await {
                        Ok(run) => {
                            say(events, format!("{data}: {name} took {:.2} s", run.seconds)).await;
                            results.runs.push(run);
                        }
                        Err(error) if error.kind() == Kind::Interrupted => return Err(error),
                        Err(error) => say(events, format!("{data}: {name} failed: {error}")).await,
                    }
                }
            }
        }
        ends.drop_source().await?;
    }
    Ok(results)
}

/// How archives are compressed: as it was asked for, or not at all and then as well as all know.
async fn compressings(request: &BenchRequest, tools: &[Tool], ends: &Ends<'_>) -> Vec<Compressing> {
    let by = |by| Compressing { by, level: None };
    let none = by(Compression::None);
    if request.job == BenchJob::Migrate {
        return vec![none];
    }
    if !request.compress.is_empty() {
        return request.compress.clone();
    }
    let zstd = by(Compression::Zstd);
    let all_know = !tools.contains(&Tool::Directory) || archives::pg_dump_knows(zstd, ends).await;
    vec![none, if all_know { zstd } else { by(Compression::Gzip) }]
}

/// What the tools do in turns.
struct Contest<'a> {
    request: &'a BenchRequest,
    ends: &'a Ends<'a>,
    jobs: usize,
    compressing: Compressing,
    /// What the results call the data set.
    data: String,
    /// The archives that are restored.
    made: Option<Archives>,
}

impl Contest<'_> {
    /// The tools that can compress so.
    async fn able(&self, tools: &[Tool], events: &Events) -> Result<Vec<Tool>> {
        let mut able = tools.to_vec();
        if self.request.job != BenchJob::Migrate
            && tools.contains(&Tool::Directory)
            && !archives::pg_dump_knows(self.compressing, self.ends).await
        {
            let words = "pg_dump is left out: the one there is can't compress so";
            say(events, format!("{}: {words}", self.data)).await;
            able.retain(|tool| *tool != Tool::Directory);
        }
        Ok(able)
    }

    /// One tool does its job with one data set.
    async fn one(&self, tool: Tool, round: usize) -> Result<BenchRun> {
        let mut run = BenchRun {
            data: self.data.clone(),
            tool,
            round,
            bytes: self.ends.bytes,
            ..BenchRun::default()
        };
        let of = self.request.job;
        for database in self.ends.databases() {
            if of != BenchJob::Dump {
                self.ends.fresh(&database).await?;
            }
            let mut job = self.job(of, &database)?;
            if let Some(made) = &self.made {
                job.archive = made.of(&database, tool);
            }
            let before = ProcessorTime::read(self.ends);
            let started = Instant::now();
            let data_phase = tool
                .run(&job)
                .await
                .map_err(|error| error.within(format_args!("{} on {database}", tool.name(of))))?;
            run.seconds += started.elapsed().as_secs_f64();
            run.add_times(&before, &ProcessorTime::read(self.ends));
            if let Some(phase) = data_phase {
                *run.data_seconds.get_or_insert_default() += phase.as_secs_f64();
            }
            if of == BenchJob::Dump {
                *run.archive_bytes.get_or_insert_default() += archives::size(&job.archive)?;
                continue;
            }
            if tool.is_ours() {
                run.chunks = Some(latencies::read(self.ends, &database).await?);
            }
            self.ends.drop_target(&database).await?;
        }
        Ok(run)
    }

    fn job(&self, of: BenchJob, database: &str) -> Result<Job> {
        let folder = self.folder()?;
        let (source, target) = self.ends.conninfos(database);
        let archive = folder.path().join("dump").to_string_lossy().into_owned();
        let compressing = self.compressing;
        Ok(Job { of, source, target, jobs: self.jobs, compressing, folder, archive })
    }

    /// A folder that goes when it isn't needed any more.
    fn folder(&self) -> Result<TempDir> {
        let made = match &self.request.folder {
            Some(folder) => tempfile::tempdir_in(folder),
            None => tempfile::tempdir(),
        };
        made.map_err(|error| Error::step("making a folder for an archive").io(error))
    }
}

async fn say(events: &Events, text: String) {
    events.say(Event::Note(text)).await;
}
