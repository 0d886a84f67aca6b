//! A live catalog, read into a [`Toc`]: a file per object family, set-based queries only, so that
//! their number doesn't grow with the number of objects.
//!
//! What the text of a definition can't be asked from the server for is put together here, as
//! pg_dump does (source: bin/pg_dump/pg_dump.c).

mod acls;
mod aggregates;
mod builder;
mod checks;
mod collations;
mod columns;
mod comments;
mod constraints;
mod database;
mod default_acls;
mod defaults;
mod dependencies;
mod domains;
mod drift;
mod extension_config;
mod extensions;
mod foreign_keys;
mod fragments;
mod functions;
mod grants;
mod indexes;
mod inheritance;
mod key_bounds;
mod lacking;
mod locks;
mod operator_schemas;
mod parameter_acls;
mod pattern;
mod policies;
mod ranges;
mod relations;
mod reloptions;
mod roles;
mod row_format;
mod rules;
mod schemas;
mod scope;
mod sequences;
mod settings;
mod statistics;
mod table_data;
mod tables;
mod target;
mod triggers;
mod types;
mod unhandled;
mod view_loops;
mod views;

use crate::error::Result;
use crate::toc::{EntryId, Toc};
use crate::wire::Session;

use builder::Builder;
use checks::Checks;
use columns::Columns;
use dependencies::Dependencies;
use extension_config::ExtensionConfig;
use indexes::Indexes;
use relations::Relations;
use sequences::Sequences;

pub use database::{DatabaseFacts, database_facts, database_facts_of};
pub use drift::drift;
pub use extensions::ExtensionFacts;
pub use locks::{LockTable, Locked, lock_tables};
pub use pattern::Pattern;
pub use roles::passwords;
pub use scope::Scope;
pub(crate) use settings::assignment as setting_assignment;
pub use target::target_facts;

/// What a live catalog holds.
#[derive(Debug)]
pub struct Reading {
    /// Everything that can be moved, in restoring order.
    pub toc: Toc,
    /// The database itself.
    pub database: DatabaseFacts,
    /// The extensions installed, those that initdb brings included.
    pub extensions: Vec<ExtensionFacts>,
    /// What is there but can't be moved yet, by name: nothing is left out silently.
    pub unsupported: Vec<Unsupported>,
    /// What isn't moved on purpose, by name: the target does well without it.
    pub left_out: Vec<LeftOut>,
}

/// An object of a kind, or with a property, that isn't handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// The object as people name it: `operator public.===(integer, integer)`.
    pub object: String,
    /// What about it isn't handled.
    pub why: String,
}

/// An object, or a property of one, that is left behind on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The object as people name it: `index public.orders_idx`.
    pub object: String,
    /// Why it stays behind.
    pub why: String,
}

/// Reads the database that `session` is connected to. The session's search_path is empty, and it is
/// in a transaction: the one that holds the snapshot and the locks under which the reading shall be
/// consistent.
pub async fn read(session: &Session, scope: &Scope) -> Result<Reading> {
    let dependencies = Dependencies::read(session).await?;
    let mut out = Builder::new(dependencies.extension_members());
    let database = database_facts(session).await?;
    database::read(session, &database, &mut out).await?;
    let roles = roles::read(session, &mut out).await?;
    let extensions = extensions::read(session, scope, &mut out).await?;
    read_code(session, scope, &dependencies, &mut out).await?;
    read_relations(session, scope, &dependencies, &mut out).await?;
    unhandled::read(session, scope, &mut out).await?;
    operator_schemas::put_in_path(session, &dependencies, &mut out).await?;
    // These two are about other entries.
    comments::read(session, &mut out).await?;
    acls::read(session, &mut out).await?;
    parameter_acls::read(session, &roles, &mut out).await?;
    default_acls::read(session, scope, &mut out).await?;

    let lacking = dependencies.resolve(&mut out);
    let (entries, lacking) = lacking::without(out.entries, lacking);
    out.left_out.extend(lacking);
    let sorted = view_loops::sort(entries, &mut out.stand_ins);
    let mut unsupported = out.unsupported;
    let circles = sorted.loops.iter();
    unsupported.extend(circles.map(|ids| circle(ids, &sorted.toc)));
    Ok(Reading { toc: sorted.toc, database, extensions, unsupported, left_out: out.left_out })
}

/// Entries that need each other in a circle that no family knows how to break.
fn circle(ids: &[EntryId], toc: &Toc) -> Unsupported {
    let titles: Vec<String> = ids.iter().map(|&id| toc.entry(id).title()).collect();
    Unsupported {
        object: titles.join(", "),
        why: "they depend on each other in a circle".to_owned(),
    }
}

/// Schemas, and the types and routines in them.
async fn read_code(
    session: &Session,
    scope: &Scope,
    dependencies: &Dependencies,
    out: &mut Builder,
) -> Result<()> {
    schemas::read(session, scope, out).await?;
    collations::read(session, scope, out).await?;
    types::read(session, scope, out).await?;
    ranges::read(session, scope, out).await?;
    domains::read(session, scope, dependencies, out).await?;
    functions::read(session, scope, out).await?;
    aggregates::read(session, scope, out).await
}

/// Tables, views, sequences and all that belongs to them.
async fn read_relations(
    session: &Session,
    scope: &Scope,
    dependencies: &Dependencies,
    out: &mut Builder,
) -> Result<()> {
    let relations = Relations::read(session, scope, dependencies, out).await?;
    let columns = Columns::read(session, scope).await?;
    let checks = Checks::read(session, scope, dependencies, &relations, out).await?;
    let sequences = Sequences::read(session).await?;
    let indexes = Indexes::read(session, scope).await?;
    let config = ExtensionConfig::read(session).await?;

    let parts = tables::Parts {
        dependencies,
        relations: &relations,
        columns: &columns,
        checks: &checks,
        sequences: &sequences,
    };
    let attached = tables::add(parts, out);
    defaults::add(dependencies, &relations, &columns, out);
    checks.add(&relations, &columns, out);
    sequences::read(session, parts, &config.relations(), out).await?;
    views::read(session, scope, &relations, &columns, dependencies, out).await?;

    table_data::read(session, scope, parts, &indexes, &config, out).await?;

    let attached = indexes::add(&indexes, parts, &attached, out);
    foreign_keys::read(session, scope, &relations, &attached, out).await?;
    statistics::read(session, scope, &relations, out).await?;
    rules::read(session, scope, &relations, out).await?;
    triggers::read(session, scope, &relations, dependencies, out).await?;
    policies::read(session, scope, &relations, out).await
}
