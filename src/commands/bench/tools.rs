//! The tools that are compared, and how each does the whole job.

use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::error::{Error, Result};
use crate::servers::BenchData;

use super::{BenchJob, Job, archives, pipes};

/// What pgcopydb splits tables by: its documentation's example.
const SPLIT: &str = "200MB";

/// A way to do the job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tool {
    /// pgconvoy, which reads nothing back.
    #[default]
    Pgconvoy,
    /// pgconvoy without ANALYZE, which most rivals leave to the user.
    PgconvoyBare,
    /// pgconvoy, which reads every row back and compares it.
    PgconvoyVerified,
    /// `pg_dump -Fd -j`, then `pg_restore -j`; or one of the two.
    Directory,
    /// `pg_dump -Fc | pg_restore`.
    Piped,
    /// `psql COPY | psql COPY`, as many as there are jobs, with the keys and indexes by
    /// `pg_restore -j` afterwards.
    Pipes,
    /// pgcopydb as it comes: it vacuums and analyzes.
    Pgcopydb,
    /// pgcopydb without its vacuum and analyze.
    PgcopydbBare,
}

impl Tool {
    /// All of them.
    pub const ALL: [Tool; 8] = [
        Tool::Pgconvoy,
        Tool::PgconvoyBare,
        Tool::PgconvoyVerified,
        Tool::Directory,
        Tool::Piped,
        Tool::Pipes,
        Tool::Pgcopydb,
        Tool::PgcopydbBare,
    ];

    /// Its name on the command line and in raw results.
    pub fn key(self) -> &'static str {
        match self {
            Tool::Pgconvoy => "pgconvoy",
            Tool::PgconvoyBare => "pgconvoy-bare",
            Tool::PgconvoyVerified => "pgconvoy-verified",
            Tool::Directory => "directory",
            Tool::Piped => "piped",
            Tool::Pipes => "pipes",
            Tool::Pgcopydb => "pgcopydb",
            Tool::PgcopydbBare => "pgcopydb-bare",
        }
    }

    /// Its name in results.
    pub fn name(self, job: BenchJob) -> &'static str {
        match (self, job) {
            (Tool::Directory, BenchJob::Dump) => return "pg_dump -Fd -j",
            (Tool::Directory, BenchJob::Restore) => return "pg_restore -j",
            _ => {}
        }
        match self {
            Tool::Pgconvoy => "pgconvoy",
            Tool::PgconvoyBare => "pgconvoy, no analyze",
            Tool::PgconvoyVerified => "pgconvoy, verified",
            Tool::Directory => "pg_dump -Fd -j, pg_restore -j",
            Tool::Piped => "pg_dump -Fc | pg_restore",
            Tool::Pipes => "psql COPY | psql COPY",
            Tool::Pgcopydb => "pgcopydb",
            Tool::PgcopydbBare => "pgcopydb, no vacuum",
        }
    }

    /// What to know before comparing it.
    pub fn caveat(self, job: BenchJob) -> &'static str {
        match (self, job) {
            (Tool::Pgconvoy, BenchJob::Dump) => {
                return "a manifest with checksums and fingerprints; can resume, so that all is \
                        written to disk twice";
            }
            (Tool::Directory, BenchJob::Dump) => return "no checksums, can't resume",
            _ => {}
        }
        match self {
            Tool::Pgconvoy => {
                "fingerprints and receipts, durable at every chunk; nothing read back"
            }
            Tool::PgconvoyBare => "the same; leaves ANALYZE to the user",
            Tool::PgconvoyVerified => "every row read back and compared",
            Tool::Directory => "verifies nothing, can't resume; leaves ANALYZE to the user",
            Tool::Piped => "the same, with one connection a side",
            Tool::Pipes => "no schema tool of its own, verifies nothing, no resume",
            Tool::Pgcopydb => "compares nothing unless asked; runs pg_dump and pg_restore",
            Tool::PgcopydbBare => "the same; leaves ANALYZE to the user",
        }
    }

    /// The program it takes that isn't installed.
    pub(super) async fn missing(self) -> Option<&'static str> {
        let programs: &[&str] = match self {
            Tool::Pgconvoy | Tool::PgconvoyBare | Tool::PgconvoyVerified => &[],
            Tool::Directory | Tool::Piped => &["pg_dump", "pg_restore"],
            Tool::Pipes => &["psql", "pg_dump", "pg_restore"],
            Tool::Pgcopydb | Tool::PgcopydbBare => &["pgcopydb"],
        };
        for &program in programs {
            let mut command = Command::new(program);
            command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
            if !command.status().await.is_ok_and(|status| status.success()) {
                return Some(program);
            }
        }
        None
    }

    /// Whether it does such a job.
    pub fn does(self, job: BenchJob) -> bool {
        match job {
            BenchJob::Migrate => true,
            BenchJob::Dump => matches!(self, Tool::Pgconvoy | Tool::Directory),
            BenchJob::Restore => self.is_ours() || self == Tool::Directory,
        }
    }

    /// Whether it can do the job at all: COPY by hand moves tables only, and nobody types it for
    /// thousands.
    pub(super) fn suits(self, data: BenchData) -> bool {
        self != Tool::Pipes || !matches!(data, BenchData::Many | BenchData::LargeObjects)
    }

    /// Whether it is pgconvoy.
    pub fn is_ours(self) -> bool {
        matches!(self, Tool::Pgconvoy | Tool::PgconvoyBare | Tool::PgconvoyVerified)
    }

    /// Does the job. How long the rows alone took, where that can be told.
    pub(super) async fn run(self, job: &Job) -> Result<Option<Duration>> {
        match job.of {
            BenchJob::Migrate => self.migrate(job).await,
            BenchJob::Dump => archives::dump(self, job).await.map(|()| None),
            BenchJob::Restore => archives::restore(self, job).await.map(|()| None),
        }
    }

    /// What pgconvoy is told beyond the job.
    pub(super) fn flags(self) -> &'static [&'static str] {
        match self {
            Tool::PgconvoyBare => &["--verify", "none", "--no-analyze"],
            Tool::PgconvoyVerified => &["--verify", "full"],
            _ => &["--verify", "none"],
        }
    }

    async fn migrate(self, job: &Job) -> Result<Option<Duration>> {
        match self {
            Tool::Pgconvoy | Tool::PgconvoyBare | Tool::PgconvoyVerified => {
                pgconvoy(job, self.flags()).await?;
            }
            Tool::Directory => directory(job).await?,
            Tool::Piped => {
                let from = program("pg_dump", &["-Fc", "-Z0", "-d", &job.source]);
                pipe(from, program("pg_restore", &["-d", &job.target])).await?;
            }
            Tool::Pipes => return pipes::run(job).await.map(Some),
            Tool::Pgcopydb => pgcopydb(job, &[]).await?,
            Tool::PgcopydbBare => pgcopydb(job, &["--skip-vacuum", "--skip-analyze"]).await?,
        }
        Ok(None)
    }
}

impl FromStr for Tool {
    type Err = Error;

    fn from_str(text: &str) -> Result<Tool> {
        Tool::ALL.into_iter().find(|tool| tool.key() == text).ok_or_else(|| {
            let keys = Tool::ALL.map(Tool::key).join(", ");
            Error::usage(format!("reading the tool {text:?}")).hint(format!("give one of {keys}"))
        })
    }
}

/// This very program.
pub(super) fn itself() -> Result<Command> {
    let path = std::env::current_exe();
    let looking = |error| Error::step("looking for pgconvoy's own program").io(error);
    Ok(Command::new(path.map_err(looking)?))
}

async fn pgconvoy(job: &Job, flags: &[&str]) -> Result<()> {
    let mut command = itself()?;
    let jobs = job.jobs.to_string();
    command.args(["migrate", "--json", "--source", &job.source, "--target", &job.target]);
    command.args(["--jobs", &jobs]).args(flags);
    succeed(command).await
}

async fn directory(job: &Job) -> Result<()> {
    archives::dump(Tool::Directory, job).await?;
    archives::restore(Tool::Directory, job).await
}

async fn pgcopydb(job: &Job, more: &[&str]) -> Result<()> {
    let (folder, jobs) = (archive(job, "pgcopydb"), job.jobs.to_string());
    let mut command = program("pgcopydb", &["clone", "--dir", &folder]);
    command.args(["--source", &job.source, "--target", &job.target]);
    command.args(["--table-jobs", &jobs, "--index-jobs", &jobs]);
    command.args(["--split-tables-larger-than", SPLIT]).args(more);
    succeed(command).await
}

/// A path in the job's folder.
pub(super) fn archive(job: &Job, name: &str) -> String {
    job.folder.path().join(name).to_string_lossy().into_owned()
}

pub(super) fn program(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(arguments);
    command
}

/// Runs a program to its end, which is to be good.
pub(super) async fn succeed(mut command: Command) -> Result<()> {
    let name = name_of(&command);
    let doing = format!("running {name}");
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.map_err(|error| Error::step(&doing).io(error))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(Error::step(doing).because(last_words(&output.stderr))),
    }
}

/// Runs two programs, one writing into the other.
pub(super) async fn pipe(mut from: Command, mut into: Command) -> Result<()> {
    let doing = format!("running {} | {}", name_of(&from), name_of(&into));
    let failed = |error| Error::step(&doing).io(error);
    from.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
    let mut writer = from.spawn().map_err(failed)?;
    let between: Stdio = match writer.stdout.take() {
        Some(stdout) => stdout.try_into().map_err(failed)?,
        None => Stdio::null(),
    };
    into.stdin(between).stdout(Stdio::null()).kill_on_drop(true);
    let reader = into.output().await.map_err(failed)?;
    let written = writer.wait().await.map_err(failed)?;
    match reader.status.success() && written.success() {
        true => Ok(()),
        false => Err(Error::step(&doing).because(last_words(&reader.stderr))),
    }
}

fn name_of(command: &Command) -> String {
    let path = std::path::Path::new(command.as_std().get_program());
    path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The end of what a program complained of.
fn last_words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.len().saturating_sub(3);
    match lines.is_empty() {
        true => "it failed without a word".to_owned(),
        false => lines[last..].join("\n"),
    }
}
