//! Archives that are made and restored: by pgconvoy, and by pg_dump and pg_restore, all as folders.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::archive::Compressing;
use crate::error::{Error, Result};

use super::ends::Ends;
use super::tools::{Tool, itself, program, succeed};
use super::{BenchJob, Contest, Job};

/// An archive by pgconvoy and one by pg_dump, of every database of a data set.
pub(super) struct Archives {
    folder: TempDir,
}

impl Archives {
    /// Those that `tools` restore.
    pub(super) async fn make(contest: &Contest<'_>, tools: &[Tool]) -> Result<Archives> {
        let archives = Archives { folder: contest.folder()? };
        for database in contest.ends.databases() {
            for &tool in tools {
                let archive = archives.of(&database, tool);
                if !Path::new(&archive).exists() {
                    let job = Job { archive, ..contest.job(BenchJob::Dump, &database)? };
                    dump(tool, &job).await?;
                }
            }
        }
        Ok(archives)
    }

    /// The archive of a database that a tool restores: each its own.
    pub(super) fn of(&self, database: &str, tool: Tool) -> String {
        let by = if tool.is_ours() { "pgconvoy" } else { "pg_dump" };
        self.folder.path().join(format!("{database}.{by}")).to_string_lossy().into_owned()
    }
}

/// Whether the pg_dump there is can compress like this: 15 knows gzip only, and many builds of
/// later ones no more.
pub(super) async fn pg_dump_knows(compressing: Compressing, ends: &Ends<'_>) -> bool {
    let (source, _) = ends.conninfos("postgres");
    let how = for_pg_dump(compressing);
    succeed(program("pg_dump", &["-Fc", "-s", "-Z", &how, "-d", &source])).await.is_ok()
}

pub(super) async fn dump(tool: Tool, job: &Job) -> Result<()> {
    let jobs = job.jobs.to_string();
    if !tool.is_ours() {
        let how = for_pg_dump(job.compressing);
        let to = ["-Fd", "-Z", &how, "-j", &jobs, "-f", &job.archive, "-d", &job.source];
        return succeed(program("pg_dump", &to)).await;
    }
    let mut command = itself()?;
    command.args(["dump", "--json", "--source", &job.source, "--file", &job.archive]);
    command.args(["--jobs", &jobs, "--compress", &job.compressing.to_string()]);
    succeed(command).await
}

pub(super) async fn restore(tool: Tool, job: &Job) -> Result<()> {
    let jobs = job.jobs.to_string();
    if !tool.is_ours() {
        return succeed(program("pg_restore", &["-j", &jobs, "-d", &job.target, &job.archive]))
            .await;
    }
    let mut command = itself()?;
    command.args(["restore", &job.archive, "--json", "--target", &job.target, "--jobs", &jobs]);
    command.args(tool.flags());
    succeed(command).await
}

/// pg_dump takes gzip's level as a number, 0 for no compression at all, in every version; without
/// one it takes zlib's own default (documentation: pg_dump, --compress).
fn for_pg_dump(compressing: Compressing) -> String {
    match compressing.to_string().as_str() {
        "none" => "0".to_owned(),
        "gzip" => "6".to_owned(),
        other => other.trim_start_matches("gzip:").to_owned(),
    }
}

/// The bytes of all files in an archive's folder.
pub(super) fn size(archive: &str) -> Result<u64> {
    let folder = PathBuf::from(archive);
    let sum = || {
        let mut sum = 0;
        for file in std::fs::read_dir(&folder)? {
            sum += file?.metadata()?.len();
        }
        Ok(sum)
    };
    sum().map_err(|error| Error::step(format!("measuring {}", folder.display())).io(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pg_dump_of_any_version_is_told_of_gzip_in_numbers() {
        let told = |words| for_pg_dump(Compressing::parse(words).unwrap());
        assert_eq!(["none", "gzip", "gzip:1"].map(told), ["0", "6", "1"]);
        assert_eq!(["zstd", "zstd:9", "lz4"].map(told), ["zstd", "zstd:9", "lz4"]);
    }
}
