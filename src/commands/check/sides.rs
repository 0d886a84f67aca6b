//! The two servers of a job, connected to for checking.

use crate::catalog::{self, DatabaseFacts};
use crate::commands::databases::{self, Pair, TargetDatabase};
use crate::error::Result;
use crate::toc::TargetFacts;
use crate::wire::Session;

/// A session on either side, neither in a transaction.
pub(super) struct Sides<'a> {
    pub(super) pair: &'a Pair,
    pub(super) source: Session,
    pub(super) place: TargetDatabase,
    /// Whether the target database is there, and is to be dropped and made anew.
    pub(super) clears: bool,
    /// How many workers the job would have.
    pub(super) jobs: usize,
}

impl<'a> Sides<'a> {
    /// Connects to both.
    pub(super) async fn connect(pair: &'a Pair, jobs: usize) -> Result<Sides<'a>> {
        let (source, place) = tokio::try_join!(
            Session::connect(&pair.source),
            databases::target_database(&pair.target),
        )?;
        Ok(Sides { pair, source, place, clears: false, jobs })
    }

    /// From here on the target database is one that has yet to be made.
    pub(super) async fn clear(&mut self) -> Result<()> {
        self.place = TargetDatabase::Missing(databases::elsewhere(&self.pair.target).await?);
        self.clears = true;
        Ok(())
    }

    /// The session on the target: in the target database, or in another one where that is missing.
    pub(super) fn target(&self) -> &Session {
        self.place.session()
    }

    /// Whether the target database has yet to be made.
    pub(super) fn target_is_missing(&self) -> bool {
        matches!(self.place, TargetDatabase::Missing(_))
    }

    /// The target database's name.
    pub(super) fn target_name(&self) -> &str {
        self.pair.target.database()
    }

    /// The target database, as it is or as it would be made.
    pub(super) async fn target_database(&self, source: &DatabaseFacts) -> Result<DatabaseFacts> {
        match &self.place {
            TargetDatabase::There(session) => catalog::database_facts(session).await,
            TargetDatabase::Missing(server) => databases::prospect(server, source).await,
        }
    }

    /// What the target allows and has.
    pub(super) async fn target_facts(&self) -> Result<TargetFacts> {
        self.place.facts(self.target_name()).await
    }
}
