//! A live catalog, read into a [`Toc`]: a file per object family, set-based queries only, so that
//! their number doesn't grow with the number of objects.
//!
//! What the text of a definition can't be asked from the server for is put together here, as
//! pg_dump does (source: bin/pg_dump/pg_dump.c).

mod acls;
mod aggregates;
mod builder;
mod collations;
mod comments;
mod database;
mod default_acls;
mod domains;
mod extensions;
mod fragments;
mod functions;
mod grants;
mod roles;
mod schemas;
mod scope;
mod settings;
mod types;
mod unhandled;

pub use database::{DatabaseFacts, database_facts};
pub use extensions::ExtensionFacts;
pub use roles::passwords;
pub use scope::Scope;

use crate::toc::Toc;

/// What a live catalog holds.
#[derive(Debug)]
pub struct Reading {
    /// Everything that can be moved, in restoring order.
    pub toc: Toc,
    /// What is there but can't be moved yet, by name: nothing is left out silently.
    pub unsupported: Vec<Unsupported>,
}

/// An object of a kind, or with a property, that isn't handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// The object as people name it: `operator public.===(integer, integer)`.
    pub object: String,
    /// What about it isn't handled.
    pub why: String,
}
