//! The table of contents: whatever is to be moved, as a list of entries with pg_dump's granularity.
//!
//! A live catalog yields one, an archive yields one, and everything downstream sees only it. What
//! rewrites an entry works from its kind and SQL alone; size, key and columns are extras that a
//! live source knows. Nothing here does I/O.

mod entry;
mod kind;
mod sort;
mod table;

pub use entry::{Entry, EntryId, Toc};
pub use kind::{Kind, Section};
pub use sort::{Sorted, in_restoring_order};
pub use table::{KeyColumn, TableData, TableSize};
