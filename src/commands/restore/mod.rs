//! `pgconvoy restore`: an archive goes into a database, or goes on going there where an earlier run
//! was cut off.

mod catalog;
mod database;
mod findings;
mod list;
mod one_archive;
mod opened;
mod part;
mod standing;

use std::path::PathBuf;
use std::time::Duration;

use crate::engine::{Event, Events, Persistence, Stop};
use crate::error::{Kind, Result};
use crate::plan::VerifyMode;
use crate::toc::RoleMap;
use crate::wire::Conninfo;

use super::attempt::SoFar;
use super::report::DatabaseReport;
use super::request::{Beginning, default_jobs};
use super::standard_input;
use one_archive::restore_one;
use opened::Opened;

pub use list::list_archive;
pub use part::RestoredPart;

/// The superuser that initdb makes, unless told another name: who owns what nobody was given. On a
/// target that hasn't got it the target user stands for it.
const BOOTSTRAP: &str = "postgres";

/// A job from an archive to a server.
#[derive(Debug, Clone)]
pub struct RestoreRequest {
    /// The archive: a folder or a file; `-` for standard input.
    pub archive: PathBuf,
    /// Where it goes.
    pub target: Conninfo,
    /// Whom the archive's roles stand for.
    pub roles: RoleMap,
    /// Which part of it.
    pub part: RestoredPart,
    /// How it begins where the target holds something already.
    pub beginning: Beginning,
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
    if standard_input::is_meant(&request.archive) {
        let kept = stop.or(standard_input::keep()).await?;
        let words = format!(
            "standard input is kept in {} until this ends: {} bytes",
            kept.path().display(),
            kept.bytes
        );
        events.say(Event::Note(words)).await;
        let request = RestoreRequest { archive: kept.path().to_owned(), ..request.clone() };
        return restore_file(&request, events, stop).await;
    }
    restore_file(request, events, stop).await
}

async fn restore_file(
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
        false => request.target.with_database(&opened.identity.database),
    };
    let target = target.with_client_encoding("UTF8").with_lc_monetary(opened.money.as_deref());
    let mut persistence = Persistence::new(request.patience);
    let mut so_far = SoFar::begins(request.beginning, None);
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
