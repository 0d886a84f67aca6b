//! Both sides read: what the source holds at one snapshot, and what the target allows.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::catalog::{self, DatabaseFacts, ExtensionFacts, LeftOut, Locked, Scope, Unsupported};
use crate::engine::{SourceIdentity, SourceSnapshot};
use crate::error::{Error, Kind, Result};
use crate::toc::adapt::memberships;
use crate::toc::{Kind as EntryKind, TargetFacts, Toc};
use crate::wire::Session;

use super::databases::Pair;

/// What the source holds, under a snapshot that is still open.
pub(super) struct Source {
    /// In the transaction whose snapshot everything was read under.
    pub(super) session: Session,
    pub(super) identity: SourceIdentity,
    pub(super) database: DatabaseFacts,
    pub(super) toc: Toc,
    pub(super) unsupported: Vec<Unsupported>,
    /// What stays behind on purpose.
    pub(super) left_out: Vec<LeftOut>,
    pub(super) extensions: Vec<ExtensionFacts>,
    /// The superuser that initdb made.
    pub(super) bootstrap: String,
}

/// How often a source is read whose tables are too many to be locked, and whose definitions change
/// meanwhile.
const TRIES: usize = 3;

/// Reads the source. Its tables are locked against changes of their definitions first, as the
/// functions that render definitions see the present catalog rather than the snapshot's. Where they
/// are too many to be locked, the reading counts only if nothing changed until its end.
pub(super) async fn source(pair: &Pair) -> Result<Source> {
    let mut tries = TRIES;
    loop {
        let session = Session::connect(&pair.source).await?;
        SourceSnapshot::begin(&session).await?;
        let locked = catalog::lock_tables(&session, &pair.scope).await?;
        let source = read(session, pair).await?;
        if locked == Locked::All {
            return Ok(source);
        }
        let now = Session::connect(&source.session.same_server()).await?;
        let changed = catalog::drift(&source.session, &now, &pair.scope).await?;
        tries -= 1;
        match changed.as_slice() {
            [] => return Ok(source),
            changed if tries == 0 => return Err(changing(changed)),
            _ => {}
        }
    }
}

fn changing(changed: &[String]) -> Error {
    Error::new(Kind::Refused, "reading the source's catalog")
        .because(format!(
            "definitions changed while they were read: {}; there are more tables than the source \
             has room to lock",
            changed.join(", ")
        ))
        .hint(
            "let that finish, then run again; or raise max_locks_per_transaction on the source, \
             so that its tables can be locked",
        )
}

/// Reads the source as one may who lacks the privileges that locks take.
pub(super) async fn source_unlocked(pair: &Pair) -> Result<Source> {
    let session = Session::connect(&pair.source).await?;
    SourceSnapshot::begin(&session).await?;
    read(session, pair).await
}

async fn read(session: Session, pair: &Pair) -> Result<Source> {
    let mut reading = catalog::read(&session, &pair.scope).await?;
    match ledgers_schema(&session).await?.as_deref() {
        None => {}
        Some([]) => reading.left_out.push(LeftOut {
            object: "schema pgconvoy".to_owned(),
            why: "it is the ledger of the job that filled this database".to_owned(),
        }),
        Some(others) => reading.unsupported.push(Unsupported {
            object: "schema pgconvoy".to_owned(),
            why: format!(
                "a target keeps its ledger under this name, and here it holds {}: rename the schema",
                others.join(", ")
            ),
        }),
    }
    let sql = "SELECT rolname::text FROM pg_catalog.pg_roles WHERE oid = 10";
    let bootstrap = session.query_one("reading the source's superuser", sql, &[]).await?.get(0);
    Ok(Source {
        identity: SourceIdentity::read(&session, pair.source.database()).await?,
        database: reading.database,
        toc: reading.toc,
        unsupported: reading.unsupported,
        left_out: reading.left_out,
        extensions: reading.extensions,
        bootstrap,
        session,
    })
}

/// What the source's schema of the ledger's name holds but a ledger; none where there is no such
/// schema.
async fn ledgers_schema(session: &Session) -> Result<Option<Vec<String>>> {
    let sql = "SELECT ARRAY(SELECT c.relname::text FROM pg_catalog.pg_class c \
               WHERE c.relnamespace = n.oid AND c.relkind NOT IN ('i', 't') \
               AND c.relname NOT IN ('job', 'step', 'receipt') ORDER BY 1), \
               EXISTS (SELECT FROM pg_catalog.pg_class c \
               WHERE c.relnamespace = n.oid AND c.relname = 'receipt') \
               FROM pg_catalog.pg_namespace n WHERE n.nspname = $1";
    let rows = session.query("looking for a ledger", sql, &[&Scope::LEDGER_SCHEMA]).await?;
    Ok(rows.first().map(|row| {
        let mut others: Vec<String> = row.get(0);
        if !row.get::<_, bool>(1) {
            others.push("no ledger of ours".to_owned());
        }
        others
    }))
}

/// What the target holds, read in a transaction in which we are members of the owners: it is
/// rolled back, so nothing is left of that.
pub(super) async fn target(
    session: &Session,
    toc: &Toc,
    facts: &TargetFacts,
    scope: &Scope,
) -> Result<Toc> {
    session.execute("reading the target's catalog", "BEGIN").await?;
    let read = async {
        let joins = memberships(toc, facts).0.concat();
        session.execute("joining the owners on the target", &joins).await?;
        catalog::read(session, scope).await
    };
    let reading = read.await;
    session.execute("reading the target's catalog", "ROLLBACK").await?;
    Ok(reading?.toc)
}

/// A digest of every entry of a table of contents, by title: what tells a changed catalog. What
/// rows there are, and where a sequence stands, is no part of it.
pub(super) fn digests(toc: &Toc) -> BTreeMap<String, u64> {
    let mut digests: BTreeMap<String, u64> = BTreeMap::new();
    let counted = toc
        .entries
        .iter()
        .filter(|e| !matches!(e.kind, EntryKind::SequenceSet | EntryKind::TableData));
    for entry in counted {
        let owner = entry.owner.as_deref().unwrap_or_default();
        let digest = xxh3_64(format!("{}\0{owner}\0{}", entry.create, entry.drop).as_bytes());
        let sum = digests.entry(entry.title()).or_default();
        *sum = sum.wrapping_add(digest);
    }
    digests
}
