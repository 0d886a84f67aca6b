//! A live catalog, read into a [`Toc`]: a file per object family, set-based queries only, so that
//! their number doesn't grow with the number of objects.
//!
//! What the text of a definition can't be asked from the server for is put together here, as
//! pg_dump does (source: bin/pg_dump/pg_dump.c).

mod builder;
mod checks;
mod columns;
mod constraints;
mod defaults;
mod dependencies;
mod extension_config;
mod foreign_keys;
mod indexes;
mod inheritance;
mod policies;
mod relations;
mod reloptions;
mod row_format;
mod rules;
mod scope;
mod sequences;
mod statistics;
mod table_data;
mod tables;
mod triggers;
mod unsupported;
mod views;

use crate::error::Result;
use crate::toc::{self, Toc};
use crate::wire::Session;

use builder::Builder;
use checks::Checks;
use columns::Columns;
use dependencies::Dependencies;
use extension_config::ExtensionConfig;
use indexes::Indexes;
use relations::Relations;
use sequences::Sequences;

pub use scope::Scope;

/// What a live catalog holds.
#[derive(Debug)]
pub struct Reading {
    /// Everything that can be moved, in restoring order.
    pub toc: Toc,
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

/// Reads the database that `session` is connected to. The session's search_path is empty, and it
/// holds the snapshot and the locks under which the reading shall be consistent.
pub async fn read(session: &Session, scope: &Scope) -> Result<Reading> {
    let dependencies = Dependencies::read(session).await?;
    let mut out = Builder::new(dependencies.extension_members());
    read_families(session, scope, &dependencies, &mut out).await?;
    dependencies.resolve(&mut out);
    Ok(finish(out))
}

/// Every family of objects adds its entries; none needs another's to be there already.
async fn read_families(
    session: &Session,
    scope: &Scope,
    dependencies: &Dependencies,
    out: &mut Builder,
) -> Result<()> {
    read_relations(session, scope, dependencies, out).await?;
    unsupported::read(session, scope, out).await
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

/// Brings the entries into restoring order; a loop that no family knows how to break is reported.
fn finish(out: Builder) -> Reading {
    let mut unsupported = out.unsupported;
    let sorted = toc::in_restoring_order(out.entries);
    unsupported.extend(sorted.loops.into_iter().map(|titles| Unsupported {
        object: titles.join(", "),
        why: "they depend on each other in a circle".to_owned(),
    }));
    Reading {
        toc: sorted.toc,
        unsupported,
        left_out: out.left_out,
    }
}
