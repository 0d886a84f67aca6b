//! The command line, as typed.

mod archives;
mod part;
mod webstream;

use std::num::NonZeroU16;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::commands::{BenchData, BenchJob, DemoSize, Tool};

pub(super) use archives::{ArchiveFormat, Dump, Inspect, Restore, Section};
pub(super) use part::{Part, Patterns};
pub(super) use webstream::{
    Step, Webstream, WebstreamCheck, WebstreamMigrate, WebstreamProvision, WebstreamRepoint,
    WebstreamRetire, WebstreamRun,
};

const CONNECTIONS: &str = "\
A connection string C is a libpq URI (postgresql://user@host:5432/db?sslmode=verify-full) or a \
list of keywords (host=… dbname=… user=…). What it leaves out comes from the PG* environment \
variables and the password file. Off loopback the default is sslmode=verify-full.

Exit codes: 0 done; 1 a difference was found; 2 usage; 3 preflight refuses; 4 could not connect; \
5 a step failed (run again to resume); 130 interrupted (run again to resume).";

const SOUNDNESS: &str = "\
All data is read to its end. Where the archive has a manifest, which pg_dump's have not, each chunk \
is held against its CRC-32, and all rows against their fingerprint.

Exit codes: 0 nothing is wrong; 1 something is; 2 usage; 3 it is no archive, or its table of \
contents can't be read; 5 a file can't be read; 130 interrupted.";

/// Moves PostgreSQL databases: parallel, checksummed, resumable, verified to the last row
#[derive(Debug, Parser)]
#[command(name = "pgconvoy", version, after_help = CONNECTIONS, max_term_width = 100)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

/// A command.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Move databases from server to server, or go on where an earlier run was cut off
    #[command(after_help = CONNECTIONS)]
    Migrate(Migrate),
    /// Find everything that would stop or change a migration, and say what mends it
    #[command(after_help = CONNECTIONS)]
    Check(Check),
    /// Show the steps and chunks of a migration without running them
    #[command(after_help = CONNECTIONS)]
    Plan(Plan),
    /// Compare all rows and the catalogs of both sides, and locate what differs
    #[command(after_help = CONNECTIONS)]
    Verify(Verify),
    /// Restore an archive of pg_dump's or of our own into a database, or go on with that
    #[command(after_help = CONNECTIONS)]
    Restore(Restore),
    /// Show how far a migration is, from the target's ledger alone
    #[command(after_help = CONNECTIONS)]
    Status(Status),
    /// Record that a finished migration's target is in use: no run touches it from then on
    #[command(after_help = CONNECTIONS)]
    Finish(Finish),
    /// Let the roles log in again that `migrate --fence` keeps out of the source
    #[command(after_help = CONNECTIONS)]
    Unfence(Unfence),
    /// Dump a database into an archive that pg_restore reads, or its definitions into a script
    #[command(after_help = CONNECTIONS)]
    Dump(Dump),
    /// List what an archive holds, and read all of it to see that it is whole
    #[command(after_help = SOUNDNESS)]
    Inspect(Inspect),
    /// WebStream's databases go from the bundled instance to a managed one, step by step
    #[command(subcommand)]
    Webstream(Webstream),
    /// Start two throw-away servers, fill one, and do the whole job between them
    Demo(Demo),
    /// Do the same job by pgconvoy and its rivals on throw-away servers, and compare
    Bench(Bench),
    /// Print a shell's completion script
    Completions(Completions),
    /// Print the manual page of pgconvoy, or of one of its commands
    Man(Man),
}

impl Command {
    /// Whether the output is for programs.
    pub(super) fn json(&self) -> bool {
        match self {
            Command::Migrate(args) => args.output.json,
            Command::Check(args) => args.output.json,
            Command::Plan(args) => args.output.json,
            Command::Verify(args) => args.output.json,
            Command::Restore(args) => args.output.json,
            Command::Status(args) => args.output.json,
            Command::Finish(args) => args.output.json,
            Command::Unfence(args) => args.output.json,
            Command::Dump(args) => args.output.json,
            Command::Inspect(args) => args.output.json,
            Command::Webstream(step) => step.step().output.json,
            Command::Demo(args) => args.output.json,
            Command::Bench(args) => args.output.json,
            Command::Completions(_) | Command::Man(_) => false,
        }
    }
}

/// How results are shown.
#[derive(Debug, Clone, ClapArgs)]
pub(super) struct Output {
    /// Print one JSON object a line on standard output
    #[arg(long)]
    pub(super) json: bool,
}

/// Both sides of a job, and its databases.
#[derive(Debug, ClapArgs)]
pub(super) struct Sides {
    /// Where the databases are
    #[arg(long, value_name = "C")]
    pub(super) source: String,
    /// Where they go
    #[arg(long, value_name = "C")]
    pub(super) target: String,
    #[command(flatten)]
    pub(super) chosen: Chosen,
}

/// Which databases.
#[derive(Debug, ClapArgs)]
pub(super) struct Chosen {
    /// A database, of the same name on both sides; may be given several times
    /// [default: the ones that the connection strings name]
    #[arg(long = "database", value_name = "NAME", conflicts_with = "all_databases")]
    pub(super) databases: Vec<String>,
    /// Every database of the source that isn't a template, `postgres` only where it holds something
    #[arg(long)]
    pub(super) all_databases: bool,
    #[command(flatten)]
    pub(super) part: Part,
    /// Give what role OLD owns, grants or was granted to role NEW; may be given several times
    #[arg(long = "map-role", value_name = "OLD=NEW")]
    pub(super) map_roles: Vec<String>,
}

/// How many at once.
#[derive(Debug, ClapArgs)]
pub(super) struct Jobs {
    /// How many workers [default: this machine's cores]
    #[arg(short, long, value_name = "N")]
    pub(super) jobs: Option<NonZeroU16>,
}

/// What becomes of what the target holds already: it is dropped with its database, which is made
/// anew, once nothing speaks against that.
#[derive(Debug, ClapArgs)]
pub(super) struct Beginning {
    /// Forget the job in the target's ledger, drop what it has made, and begin anew; without this
    /// flag it goes on from there
    #[arg(long, conflicts_with = "clean")]
    pub(super) restart: bool,
    /// Drop whatever the target holds, unless it is this very job, which goes on
    #[arg(long)]
    pub(super) clean: bool,
}

/// How far the target's rows are read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ReadBack {
    Full,
    Counts,
    None,
}

/// How values that are stored apart are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Compression {
    Pglz,
    Lz4,
}

/// How values that are stored apart are compressed in this job.
#[derive(Debug, ClapArgs)]
pub(super) struct Compressed {
    /// Have the target compress values that are stored apart in this way; lz4 is quicker
    /// [default: the target's own]
    #[arg(long, value_enum, value_name = "METHOD")]
    pub(super) toast_compression: Option<Compression>,
}

/// Who is kept from writing to the source.
#[derive(Debug, ClapArgs)]
pub(super) struct Fencing {
    /// Keep these roles from logging in to the source, end their sessions, and lock its tables
    /// against writes before the snapshot is taken; repeatable. Undone by `unfence`, or at once
    /// where the run doesn't end well
    #[arg(long, value_name = "ROLE,…", value_delimiter = ',')]
    pub(super) fence: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Migrate {
    #[command(flatten)]
    pub(super) sides: Sides,
    #[command(flatten)]
    pub(super) jobs: Jobs,
    #[command(flatten)]
    pub(super) beginning: Beginning,
    /// Read every row back and compare, only count rows, or compare nothing
    #[arg(long, value_enum, value_name = "HOW", default_value = "full")]
    pub(super) verify: ReadBack,
    /// Go on trying for so long when a server restarts, a connection breaks or a disk is full; 0
    /// stops at once [default: 600]
    #[arg(long, value_name = "SECONDS")]
    pub(super) retry_for: Option<u64>,
    /// Ask a server that is silent for so long whether it is still at work [default: 60]
    #[arg(long, value_name = "SECONDS")]
    pub(super) stall_timeout: Option<NonZeroU16>,
    /// Leave ANALYZE to you, as pg_restore does: until then the target plans its queries blindly
    #[arg(long)]
    pub(super) no_analyze: bool,
    /// Refuse what would differ on the target or be left out, rather than report it
    #[arg(long)]
    pub(super) strict: bool,
    /// Give new roles the password verifiers that the source keeps, if it can be read
    #[arg(long)]
    pub(super) carry_passwords: bool,
    #[command(flatten)]
    pub(super) compressed: Compressed,
    /// Copy rows and build indexes while the source lives on; the same command without this flag,
    /// best with --fence, then copies anew only those tables that have changed, and ends the job
    #[arg(long, conflicts_with = "fence")]
    pub(super) warm: bool,
    #[command(flatten)]
    pub(super) fencing: Fencing,
    #[command(flatten)]
    pub(super) output: Output,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Check {
    #[command(flatten)]
    pub(super) sides: Sides,
    #[command(flatten)]
    pub(super) beginning: Beginning,
    /// Refuse what would differ on the target, too
    #[arg(long)]
    pub(super) strict: bool,
    #[command(flatten)]
    pub(super) compressed: Compressed,
    #[command(flatten)]
    pub(super) fencing: Fencing,
    #[command(flatten)]
    pub(super) output: Output,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Plan {
    /// Where the databases are
    #[arg(long, value_name = "C")]
    pub(super) source: String,
    /// Where they go [default: a target that allows everything]
    #[arg(long, value_name = "C")]
    pub(super) target: Option<String>,
    #[command(flatten)]
    pub(super) chosen: Chosen,
    #[command(flatten)]
    pub(super) jobs: Jobs,
    #[command(flatten)]
    pub(super) output: Output,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Verify {
    #[command(flatten)]
    pub(super) sides: Sides,
    #[command(flatten)]
    pub(super) jobs: Jobs,
    /// Check the target's indexes against their tables, too, by the extension amcheck
    #[arg(long)]
    pub(super) deep: bool,
    #[command(flatten)]
    pub(super) output: Output,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Status {
    /// Where the databases go
    #[arg(long, value_name = "C")]
    pub(super) target: String,
    /// A database; may be given several times [default: the one that the connection string names]
    #[arg(long = "database", value_name = "NAME")]
    pub(super) databases: Vec<String>,
    #[command(flatten)]
    pub(super) output: Output,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Finish {
    /// Where the databases have gone
    #[arg(long, value_name = "C")]
    pub(super) target: String,
    /// A database; may be given several times [default: the one that the connection string names]
    #[arg(long = "database", value_name = "NAME")]
    pub(super) databases: Vec<String>,
    /// Remove the finished job's ledger (schema pgconvoy) instead, and all record with it
    #[arg(long)]
    pub(super) drop_ledger: bool,
    #[command(flatten)]
    pub(super) output: Output,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Unfence {
    /// Where the fence is
    #[arg(long, value_name = "C")]
    pub(super) source: String,
    #[command(flatten)]
    pub(super) output: Output,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Demo {
    /// How much data, roughly: a number and KB, MB or GB
    #[arg(long, default_value = "200MB")]
    pub(super) size: DemoSize,
    #[command(flatten)]
    pub(super) jobs: Jobs,
    /// Leave the servers up, and say how to connect
    #[arg(long)]
    pub(super) keep: bool,
    #[command(flatten)]
    pub(super) output: Output,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Bench {
    /// What the tools do: migrate, dump (into a folder), or restore (each from its own folder)
    #[arg(long, value_name = "JOB", default_value = "migrate")]
    pub(super) job: BenchJob,
    /// How archives are compressed; may be given several times [default: none, and zstd, or gzip
    /// where pg_dump doesn't know that]
    #[arg(long, value_name = "METHOD[:LEVEL]")]
    pub(super) compress: Vec<String>,
    /// A data set: narrow, many, wide, large-objects or demo; may be given several times
    /// [default: all]
    #[arg(long, value_name = "NAME")]
    pub(super) data: Vec<BenchData>,
    /// How big the data sets are: 1 takes 6 GB in all
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    pub(super) scale: f64,
    #[command(flatten)]
    pub(super) jobs: Jobs,
    /// How often each tool does each job, in turns
    #[arg(long, value_name = "N", default_value = "3")]
    pub(super) rounds: NonZeroU16,
    /// A tool to compare: pgconvoy, pgconvoy-bare, pgconvoy-verified, directory, piped,
    /// pipes, pgcopydb or pgcopydb-bare; may be given several times [default: all that do the job]
    #[arg(long = "tool", value_name = "NAME")]
    pub(super) tools: Vec<Tool>,
    /// Reach the target by TLS
    #[arg(long)]
    pub(super) tls: bool,
    /// Have a round trip to the target take so many milliseconds
    #[arg(long, value_name = "MS")]
    pub(super) round_trip: Option<NonZeroU16>,
    /// Write the raw results (results.json) and a picture of them (chart.svg) into this folder;
    /// archives lie there meanwhile, or else where temporary files do (TMPDIR)
    #[arg(long, value_name = "FOLDER")]
    pub(super) out: Option<PathBuf>,
    #[command(flatten)]
    pub(super) output: Output,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Completions {
    /// The shell
    pub(super) shell: Shell,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Man {
    /// The command
    pub(super) command: Option<String>,
}

#[cfg(test)]
mod tests;
