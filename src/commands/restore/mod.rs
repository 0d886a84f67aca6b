//! `pgconvoy restore`: an archive goes into a database, or goes on going there where an earlier run
//! was cut off.

mod catalog;
mod database;
mod findings;
mod one_archive;
mod opened;

use std::path::PathBuf;
use std::time::Duration;

use crate::engine::{Events, Persistence, Stop};
use crate::error::{Kind, Result};
use crate::plan::VerifyMode;
use crate::toc::RoleMap;
use crate::wire::Conninfo;

use super::attempt::SoFar;
use super::report::DatabaseReport;
use super::request::{Beginning, default_jobs};
use one_archive::restore_one;
use opened::Opened;

/// The superuser that initdb makes, unless told another name: who owns what nobody was given. On a
/// target that hasn't got it the target user stands for it.
const BOOTSTRAP: &str = "postgres";

/// A job from an archive to a server.
#[derive(Debug, Clone)]
pub struct RestoreRequest {
    /// The archive: a folder or a file.
    pub archive: PathBuf,
    /// Where it goes.
    pub target: Conninfo,
    /// Whom the archive's roles stand for.
    pub roles: RoleMap,
    /// Whether only definitions are restored.
    pub schema_only: bool,
    /// How many workers; none for as many as this machine has cores.
    pub jobs: Option<usize>,
    /// How far the target is read back.
    pub verify: VerifyMode,
    /// How long a run that gets no further tries again by itself.
    pub patience: Duration,
    /// Whether the target's planner gets its statistics at once; else ANALYZE is left to the user.
    pub analyze: bool,
    /// Whether anything that would differ on the target is refused rather than reported.
    pub strict: bool,
}

impl RestoreRequest {
    /// Which part of the archive goes under which owners, in words: equal for equal jobs.
    fn terms(&self) -> Vec<String> {
        let schema_only = self.schema_only.then(|| "--schema-only".to_owned());
        schema_only.into_iter().chain(self.roles.words()).collect()
    }

    fn jobs(&self) -> usize {
        self.jobs.unwrap_or_else(default_jobs)
    }
}

/// Restores the archive of the request.
pub async fn restore(
    request: &RestoreRequest,
    events: &Events,
    stop: &mut Stop,
) -> Result<DatabaseReport> {
    let path = request.archive.display().to_string();
    let restoring = Box::pin(restore_persistently(request, events, stop));
    restoring.await.map_err(|error| match error.kind() {
        Kind::Usage => error,
        _ => error.within(format_args!("archive {path}")),
    })
}

async fn restore_persistently(
    request: &RestoreRequest,
    events: &Events,
    stop: &mut Stop,
) -> Result<DatabaseReport> {
    let opened = Opened::open(request).await?;
    let target = match request.target.names_database() {
        true => request.target.clone(),
        false => request.target.with_database(&opened.database),
    };
    let target = target.with_client_encoding("UTF8").with_lc_monetary(opened.money.as_deref());
    let mut persistence = Persistence::new(request.patience);
    let mut so_far = SoFar::begins(Beginning::GoOn, None);
    loop {
        let before = so_far.reached;
        let restoring = restore_one(request, &opened, &target, &mut so_far, events, stop);
        match Box::pin(restoring).await {
            Ok(report) => return Ok(report),
            Err(error) => {
                so_far.outlast(error, before, &mut persistence, events, stop).await?;
            }
        }
    }
}
