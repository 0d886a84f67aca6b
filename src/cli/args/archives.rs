//! The arguments of the commands that write, read and look through archives.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};

use super::{Beginning, Jobs, Output, Part, Patterns, ReadBack};

/// What a dump becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ArchiveFormat {
    Directory,
    Custom,
    Plain,
}

/// A section of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Section {
    PreData,
    Data,
    PostData,
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Dump {
    /// Where the database is
    #[arg(long, value_name = "C")]
    pub(in crate::cli) source: String,
    /// The database [default: the one that the connection string names]
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) database: Option<String>,
    /// Where the archive goes; nothing may be there. `-` is standard output, but for a folder
    #[arg(short, long, value_name = "PATH")]
    pub(in crate::cli) file: PathBuf,
    /// A folder with a file for each table, one file, or a script, with --schema-only
    #[arg(short = 'F', long, value_enum, default_value = "directory")]
    pub(in crate::cli) format: ArchiveFormat,
    /// zstd, gzip, lz4 or none, and maybe a level: zstd:9. pg_restore reads zstd and lz4 since 16
    /// [default: zstd, or gzip where --for-pg-restore is below 16]
    #[arg(short = 'Z', long, value_name = "METHOD[:LEVEL]")]
    pub(in crate::cli) compress: Option<String>,
    /// Write what this major version of pg_restore reads [default: what any does that knows the
    /// compression]
    #[arg(long, value_name = "MAJOR")]
    pub(in crate::cli) for_pg_restore: Option<u32>,
    /// No rows
    #[arg(short, long, conflicts_with = "data_only")]
    pub(in crate::cli) schema_only: bool,
    /// Nothing but rows
    #[arg(short = 'a', long)]
    pub(in crate::cli) data_only: bool,
    #[command(flatten)]
    pub(in crate::cli) part: Part,
    /// Give what role OLD owns, grants or was granted to role NEW; may be given several times
    #[arg(long = "map-role", value_name = "OLD=NEW")]
    pub(in crate::cli) map_roles: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) jobs: Jobs,
    /// Go on trying for so long when a server restarts, a connection breaks or a disk is full; 0
    /// stops at once [default: 600]
    #[arg(long, value_name = "SECONDS")]
    pub(in crate::cli) retry_for: Option<u64>,
    #[command(flatten)]
    pub(in crate::cli) output: Output,
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Inspect {
    /// A folder, a custom file or a tar file that `pgconvoy dump` or pg_dump made; `-` is standard
    /// input
    #[arg(value_name = "PATH")]
    pub(in crate::cli) archive: PathBuf,
    #[command(flatten)]
    pub(in crate::cli) output: Output,
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Restore {
    /// The archive: a folder, a custom or a tar file. `-` is standard input, which is kept in the
    /// folder for temporary files (TMPDIR) meanwhile
    #[arg(value_name = "PATH")]
    pub(in crate::cli) archive: PathBuf,
    /// Where it goes [default database: the one it was made of]
    #[arg(long, value_name = "C", required_unless_present = "list")]
    pub(in crate::cli) target: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) jobs: Jobs,
    #[command(flatten)]
    pub(in crate::cli) beginning: Beginning,
    /// Only definitions, no rows
    #[arg(short, long, conflicts_with = "data_only")]
    pub(in crate::cli) schema_only: bool,
    /// Only rows, large objects, where sequences stand, and refreshes: into tables that are there,
    /// and are empty
    #[arg(short = 'a', long)]
    pub(in crate::cli) data_only: bool,
    /// Only this section: what comes before rows, rows, or what comes after them; may be given
    /// several times. What it needs of the others has to be on the target
    #[arg(long = "section", value_enum, value_name = "SECTION")]
    pub(in crate::cli) sections: Vec<Section>,
    /// Print the archive's list as pg_restore does, and restore nothing
    #[arg(short, long, conflicts_with_all = ["json", "target"])]
    pub(in crate::cli) list: bool,
    /// Only the entries that are on such a list, pg_restore's or ours: take lines out, or begin them
    /// with a semicolon. What they need has to be on it, or on the target; their order changes nothing
    #[arg(short = 'L', long, value_name = "FILE")]
    pub(in crate::cli) use_list: Option<PathBuf>,
    /// Give what role OLD owns, grants or was granted to role NEW; may be given several times
    #[arg(long = "map-role", value_name = "OLD=NEW")]
    pub(in crate::cli) map_roles: Vec<String>,
    /// Read every row back and compare, only count rows, or compare nothing
    #[arg(long, value_enum, value_name = "HOW", default_value = "full")]
    pub(in crate::cli) verify: ReadBack,
    /// Go on trying for so long when a server restarts, a connection breaks or a disk is full; 0
    /// stops at once [default: 600]
    #[arg(long, value_name = "SECONDS")]
    pub(in crate::cli) retry_for: Option<u64>,
    /// Leave ANALYZE to you, as pg_restore does: until then the target plans its queries blindly
    #[arg(long)]
    pub(in crate::cli) no_analyze: bool,
    /// Refuse what would differ on the target or be left out, rather than report it
    #[arg(long)]
    pub(in crate::cli) strict: bool,
    #[command(flatten)]
    pub(in crate::cli) output: Output,
    #[command(flatten)]
    pub(in crate::cli) patterns: Patterns,
}
