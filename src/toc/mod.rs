//! The table of contents: whatever is to be moved, as a list of entries with pg_dump's granularity.
//!
//! A live catalog yields one, an archive yields one, and everything downstream sees only it. What
//! rewrites an entry works from its kind and SQL alone; size, key and columns are extras that a
//! live source knows. Nothing here does I/O.

mod access_method;
pub mod adapt;
mod bare_names;
mod chunk;
mod clauses;
pub mod closure;
mod entry;
mod finding;
mod kind;
mod large_objects;
mod merged_grants;
mod newer_words;
mod role_map;
mod role_names;
mod sort;
mod sql;
mod table;
mod target;

pub(crate) use access_method::stored_by;
pub use bare_names::bare_names;
pub use chunk::ChunkRange;
pub use entry::{Entry, EntryId, OneSided, Retired, Toc};
pub use finding::{Finding, Severity};
pub(crate) use finding::{counted, named};
pub use kind::{Kind, Section};
pub(crate) use large_objects::{
    ANY_LARGE_OBJECT, GROUP_KEY, LARGE_OBJECTS_VIEW, LargeObject, about_large_object, objects_sql,
    pieces_sql, settling, unlink_sql,
};
pub use large_objects::{LargeObjectGroup, LargeObjectSum};
pub(crate) use newer_words::unquoted;
pub use role_map::RoleMap;
pub(crate) use role_names::roles_named;
pub use sort::{Sorted, in_restoring_order};
pub(crate) use sql::{Token, statements, tokens};
#[cfg(test)]
pub(crate) use table::test_table;
pub use table::{Archived, ArchivedPart, KeyColumn, RowsOf, Side, TableData, TableSize};
pub use target::{
    MembershipOptions, OwnGrant, PublicSchema, StandingDefaults, StandingSchema, TargetExtension,
    TargetFacts, TargetHoldings, TargetRole,
};
