//! Both sides read: what the source holds at one snapshot, and what the target allows.

use std::collections::{BTreeMap, BTreeSet};

use xxhash_rust::xxh3::xxh3_64;

use crate::catalog::{self, DatabaseFacts, ExtensionFacts, LeftOut, Locked, Scope, Unsupported};
use crate::engine::{self, JOINING, LOCK_PATIENCE, SourceIdentity, SourceSnapshot};
use crate::error::{Error, Result};
use crate::pg::QualifiedName;
use crate::toc::adapt::rejoin;
use crate::toc::{Entry, Finding, Kind, RoleMap, Severity, TargetFacts, Toc};
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
    /// What choosing a part of it comes to.
    pub(super) findings: Vec<Finding>,
    /// The part that was read, for reading the same on the target.
    pub(super) scope: Scope,
    pub(super) extensions: Vec<ExtensionFacts>,
    /// The superuser that initdb made.
    pub(super) bootstrap: String,
}

impl Source {
    /// Whether a table is among those that move.
    pub(super) fn moves_table(&self, name: &QualifiedName) -> bool {
        let is_it = |entry: &Entry| {
            let is_table = matches!(entry.kind, Kind::Table | Kind::TableData);
            is_table && entry.schema.as_ref() == Some(&name.schema) && entry.name == name.name
        };
        self.scope.choice.is_everything() || self.toc.entries.iter().any(is_it)
    }

    /// The names of what was chosen: schemas, and relations. None where everything was.
    pub(super) fn chosen_names(&self) -> Option<ChosenNames> {
        let mut names = ChosenNames::default();
        for entry in &self.toc.entries {
            match (entry.kind, &entry.schema) {
                (Kind::Schema, _) => names.schemas.insert(entry.name.clone()),
                (_, Some(schema)) => {
                    names.relations.insert(QualifiedName::new(schema, &entry.name))
                }
                _ => false,
            };
        }
        (!self.scope.choice.is_everything()).then_some(names)
    }
}

/// What a choice comes to, by name.
#[derive(Debug, Default)]
pub(super) struct ChosenNames {
    pub(super) schemas: BTreeSet<String>,
    pub(super) relations: BTreeSet<QualifiedName>,
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
        let (source, locked) = read_locked(session, pair).await?;
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

async fn read_locked(session: Session, pair: &Pair) -> Result<(Source, Locked)> {
    if pair.scope.choice.is_everything() {
        let locked = catalog::lock_all_tables(&session).await?;
        return Ok((read(session, pair).await?, locked));
    }
    // Which tables a choice comes to is known only once they are read: read again under the locks.
    let mut locked = BTreeSet::new();
    let mut source = read(session, pair).await?;
    loop {
        let tables = source.toc.entries.iter().filter(|entry| entry.kind == Kind::Table);
        let names = tables
            .filter_map(|table| Some(QualifiedName::new(table.schema.as_deref()?, &table.name)));
        let open: Vec<QualifiedName> = names.filter(|name| !locked.contains(name)).collect();
        if open.is_empty() {
            return Ok((source, Locked::All));
        }
        if catalog::lock_tables(&source.session, &open).await? == Locked::None {
            return Ok((source, Locked::None));
        }
        locked.extend(open);
        source = read(source.session, pair).await?;
    }
}

fn changing(changed: &[String]) -> Error {
    Error::new(crate::error::Kind::Refused, "reading the source's catalog")
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
    refuse_unknown_roles(&session, &pair.roles).await?;
    let mut findings = reading.findings;
    Ok(Source {
        identity: SourceIdentity::read(&session, pair.source.database()).await?,
        database: reading.database,
        toc: pair.roles.rename(reading.toc, &mut findings),
        unsupported: reading.unsupported,
        left_out: reading.left_out,
        findings,
        scope: Scope { search_path: reading.search_path, ..pair.scope.clone() },
        extensions: reading.extensions,
        bootstrap,
        session,
    })
}

/// A role that isn't there is a typing error: nothing would be mapped.
async fn refuse_unknown_roles(session: &Session, roles: &RoleMap) -> Result<()> {
    let names: Vec<&str> = roles.old().collect();
    let sql = "SELECT name FROM pg_catalog.unnest($1::pg_catalog.text[]) AS name \
               WHERE name NOT IN (SELECT rolname::text FROM pg_catalog.pg_roles)";
    let rows = session.query("looking for the roles to map", sql, &[&names]).await?;
    let missing: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Error::usage("looking for the roles to map")
            .because(format!("the source has no role {}", missing.join(", ")))
            .hint("name a role of the source on the left of --map-role OLD=NEW, as it is written")),
    }
}

/// A choice that isn't closed stops those commands, too, that check nothing else.
pub(super) fn refuse_open_choice(source: &Source) -> Result<()> {
    let refused = source.findings.iter().filter(|finding| finding.severity == Severity::Refusal);
    let all: Vec<String> = refused.map(|finding| format!("\n  {finding}")).collect();
    match all.is_empty() {
        true => Ok(()),
        false => Err(Error::new(crate::error::Kind::Refused, "choosing what to read")
            .because(format!("what is chosen needs what is not:{}", all.concat()))
            .hint("choose more, or less, as said there")),
    }
}

/// What the source's schema of the ledger's name holds but a ledger; none where there is no such
/// schema.
async fn ledgers_schema(session: &Session) -> Result<Option<Vec<String>>> {
    let sql = "SELECT ARRAY(SELECT c.relname::text FROM pg_catalog.pg_class c \
               WHERE c.relnamespace = n.oid AND c.relkind NOT IN ('i', 't') \
               AND c.relname NOT IN ('job', 'step', 'receipt', 'source', 'large objects') ORDER BY 1), \
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
        let joins = rejoin(toc, facts).0.concat();
        let joins = format!(
            "SET LOCAL lock_timeout = '{LOCK_PATIENCE}';\n{joins}SET LOCAL lock_timeout = 0;\n"
        );
        session.execute(JOINING, &joins).await.map_err(engine::explained_joining)?;
        catalog::read(session, scope).await
    };
    let reading = read.await;
    session.execute("reading the target's catalog", "ROLLBACK").await?;
    let mut found = reading?.toc;
    // Default privileges of the target's own, which the job leaves or puts aside and makes anew, are
    // no part of the copy.
    let of = |entry: &Entry| (entry.title(), entry.owner.clone());
    let wanted: BTreeSet<_> = default_privileges(toc).map(of).collect();
    // Nor are extensions of its own.
    let ours = extensions(toc);
    let own: BTreeSet<String> =
        extensions(&found).difference(&ours).map(|name| (*name).to_owned()).collect();
    let moved = |entry: &Entry| match entry.kind {
        Kind::DefaultAcl => wanted.contains(&of(entry)),
        Kind::Extension => !own.contains(&entry.name),
        Kind::Comment => {
            entry.name.strip_prefix("EXTENSION ").is_none_or(|name| !own.contains(name))
        }
        _ => true,
    };
    found.entries.retain(moved);
    Ok(found)
}

fn extensions(toc: &Toc) -> BTreeSet<&str> {
    let extensions = toc.entries.iter().filter(|entry| entry.kind == Kind::Extension);
    extensions.map(|entry| entry.name.as_str()).collect()
}

fn default_privileges(toc: &Toc) -> impl Iterator<Item = &Entry> {
    toc.entries.iter().filter(|entry| entry.kind == Kind::DefaultAcl)
}

/// A digest of every entry of a table of contents, by title: what tells a changed catalog. What
/// rows there are, and where a sequence stands, is no part of it.
pub(super) fn digests(toc: &Toc) -> BTreeMap<String, u64> {
    let mut digests: BTreeMap<String, u64> = BTreeMap::new();
    let rows = |kind| matches!(kind, Kind::SequenceSet | Kind::TableData | Kind::LargeObjectData);
    let counted = toc.entries.iter().filter(|entry| !rows(entry.kind));
    for entry in counted {
        let owner = entry.owner.as_deref().unwrap_or_default();
        let digest = xxh3_64(format!("{}\0{owner}\0{}", entry.create, entry.drop).as_bytes());
        let sum = digests.entry(entry.title()).or_default();
        *sum = sum.wrapping_add(digest);
    }
    digests
}
