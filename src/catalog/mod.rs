//! A live catalog, read into a [`Toc`]: a file per object family, set-based queries only, so that
//! their number doesn't grow with the number of objects.
//!
//! What the text of a definition can't be asked from the server for is put together here, as
//! pg_dump does (source: bin/pg_dump/pg_dump.c).

mod access_methods;
mod acls;
mod aggregates;
mod base_types;
mod builder;
mod casts;
mod checks;
mod choice;
mod chosen;
mod collations;
mod column_storage;
mod columns;
mod comments;
mod constraints;
mod conversions;
mod database;
mod default_acls;
mod defaults;
mod dependencies;
mod domain_checks;
mod domains;
mod drift;
mod earlier_defaults;
mod event_triggers;
mod extension_config;
mod extensions;
mod foreign_keys;
mod foreign_servers;
mod foreign_tables;
mod fragments;
mod functions;
mod generic_options;
mod grants;
mod holdings;
mod indexes;
mod inheritance;
mod key_bounds;
mod languages;
mod large_objects;
mod locks;
mod operator_classes;
mod operator_families;
mod operator_links;
mod operator_members;
mod operator_schemas;
mod operators;
mod parameter_acls;
mod partition_roots;
mod pattern;
mod policies;
mod publications;
mod ranges;
mod relations;
mod reloptions;
mod rendered;
mod roles;
mod row_format;
mod rules;
mod schemas;
mod scope;
mod security_labels;
mod sequences;
mod settings;
mod shell_types;
mod stand_ins;
mod statistics;
mod subscriptions;
mod table_data;
mod tables;
mod target;
mod text_search;
mod transforms;
mod triggers;
mod types;
mod unread;
mod unrecorded;
mod user_mappings;
mod views;

use crate::error::Result;
use crate::toc::{EntryId, Finding, Toc};
use crate::wire::Session;

use builder::Builder;
use checks::Checks;
use columns::Columns;
use dependencies::Dependencies;
use domain_checks::Added;
use extension_config::ExtensionConfig;
use foreign_tables::ForeignTables;
use indexes::Indexes;
use operator_members::Members;
use relations::Relations;
use sequences::Sequences;

pub use choice::{Choice, Flag, Rule, choose_of_archive};
pub use database::{DatabaseFacts, database_facts, database_facts_of};
pub use drift::drift;
pub use extensions::ExtensionFacts;
pub use locks::{LockTable, Locked, lock_all_tables, lock_tables};
pub use roles::{FENCE_ROLE, FENCED, passwords};
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
    /// What choosing a part of the database comes to.
    pub findings: Vec<Finding>,
    /// The search_path under which names without a schema were matched; none where nothing was.
    pub search_path: Option<String>,
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
    let checks = read_code(session, scope, &dependencies, &mut out).await?;
    read_relations(session, scope, &dependencies, &mut out).await?;
    event_triggers::read(session, &mut out).await?;
    subscriptions::read(session, &mut out).await?;
    large_objects::read(session, &mut out).await?;
    operator_schemas::put_in_path(session, &dependencies, &mut out).await?;
    // These are about other entries.
    comments::read(session, &mut out).await?;
    security_labels::read(session, &mut out).await?;
    acls::read(session, &mut out).await?;
    parameter_acls::read(session, &roles, &mut out).await?;
    default_acls::read(session, scope, &mut out).await?;

    domain_checks::precede_containers(&checks, &dependencies, &mut out);
    rendered::report_lost_owners(&mut out);
    dependencies.resolve(&mut out);
    unread::report(session, &dependencies, &mut out).await?;
    shell_types::untie(&mut out);
    domain_checks::precede_readers(&checks, &dependencies, &mut out);
    earlier_defaults::precede(session, &mut out).await?;
    unrecorded::add(&mut out);
    drop(dependencies);
    let (findings, search_path) = chosen::choose(session, scope, &mut out).await?;
    let sorted = stand_ins::sort(out.entries, &mut out.stand_ins);
    let mut unsupported = out.unsupported;
    let circles = sorted.loops.iter();
    unsupported.extend(circles.map(|ids| circle(ids, &sorted.toc)));
    let (toc, left_out) = (sorted.toc, out.left_out);
    Ok(Reading { toc, database, extensions, unsupported, left_out, findings, search_path })
}

/// Entries that need each other in a circle that no family knows how to break.
fn circle(ids: &[EntryId], toc: &Toc) -> Unsupported {
    let titles: Vec<String> = ids.iter().map(|&id| toc.entry(id).title()).collect();
    Unsupported {
        object: titles.join(", "),
        why: "they depend on each other in a circle".to_owned(),
    }
}

/// Schemas, and the types and routines in them. The checks that are added to domains are returned.
async fn read_code(
    session: &Session,
    scope: &Scope,
    dependencies: &Dependencies,
    out: &mut Builder,
) -> Result<Vec<Added>> {
    schemas::read(session, scope, out).await?;
    languages::read(session, out).await?;
    transforms::read(session, out).await?;
    collations::read(session, scope, out).await?;
    conversions::read(session, scope, out).await?;
    text_search::read(session, scope, out).await?;
    foreign_servers::read(session, out).await?;
    user_mappings::read(session, out).await?;
    types::read(session, scope, out).await?;
    base_types::read(session, scope, out).await?;
    ranges::read(session, scope, out).await?;
    let checks = domains::read(session, scope, dependencies, out).await?;
    functions::read(session, scope, dependencies, out).await?;
    aggregates::read(session, scope, out).await?;
    casts::read(session, out).await?;
    read_operators(session, scope, out).await?;
    Ok(checks)
}

/// Operators, what indexes know of them, and kinds of index and table.
async fn read_operators(session: &Session, scope: &Scope, out: &mut Builder) -> Result<()> {
    access_methods::read(session, out).await?;
    operators::read(session, scope, out).await?;
    let members = Members::read(session).await?;
    operator_families::read(session, scope, &members, out).await?;
    operator_classes::read(session, scope, &members, out).await
}

/// Tables, views, sequences and all that belongs to them.
async fn read_relations(
    session: &Session,
    scope: &Scope,
    dependencies: &Dependencies,
    out: &mut Builder,
) -> Result<()> {
    let relations = Relations::read(session, scope, out).await?;
    let columns = Columns::read(session, scope).await?;
    let checks = Checks::read(session, scope, dependencies, &relations, out).await?;
    let sequences = Sequences::read(session).await?;
    let foreign = ForeignTables::read(session).await?;
    let indexes = Indexes::read(session, scope).await?;
    let config = ExtensionConfig::read(session).await?;

    let parts = tables::Parts {
        dependencies,
        relations: &relations,
        columns: &columns,
        checks: &checks,
        sequences: &sequences,
        foreign: &foreign,
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
    policies::read(session, scope, &relations, out).await?;
    publications::read(session, &relations, out).await
}
