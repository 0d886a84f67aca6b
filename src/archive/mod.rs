//! pg_dump's archives, read and written: an end like a server is.
//!
//! The format is PostgreSQL's own (source: bin/pg_dump/pg_backup_archiver.c, pg_backup_custom.c,
//! pg_backup_directory.c, pg_backup_tar.c), so that pg_restore reads what is written here and the
//! other way round.
//!
//! - An archive that is read is an [`Archive`] (`open.rs`): its contents (`header.rs`, `contents.rs`),
//!   its data as streams (`files.rs` and `tar.rs`, or `custom.rs`, through `decode.rs`), its manifest,
//!   and whether all that holds (`check.rs`).
//! - What it holds becomes a table of contents in `entries.rs`, in our own spelling (`spelling.rs`),
//!   after `chosen.rs` has chosen and `vetting.rs` has looked it through.
//! - One that is written is listed first (`listing.rs`); then workers fill packs (`pack.rs`, through
//!   `encoder.rs`), which `assembling.rs` joins. A script (`script.rs`) has the listing only.

mod adler;
mod assembling;
mod blocks;
mod check;
mod chosen;
mod compressing;
mod contents;
mod copy_text;
mod custom;
mod damage;
mod decode;
mod encoder;
mod entries;
mod files;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod hashed;
mod header;
mod inflate;
mod large;
mod lengths;
mod listing;
#[cfg(test)]
mod made;
mod manifest;
mod money;
mod numbers;
mod object_lists;
mod open;
mod pack;
mod proof;
mod script;
mod since_15;
mod source;
mod spelling;
mod tar;
#[cfg(test)]
mod tests;
mod vetting;

pub use assembling::{Data, Written, remove, sync_folder, write_custom, write_directory};
pub use check::Measure;
pub use chosen::{Chosen, items_of_list, list_of};
pub use compressing::{Compressing, Laying};
pub use contents::{Contents, Item, ItemId, ItemSection, Place};
pub use damage::read_error;
pub(crate) use entries::{ArchivedToc, Need, toc_of};
pub use header::{Compression, CreatedAt, DUMPER, Header, Layout, Version};
pub(crate) use large::OBJECTS_AT_ONCE;
pub use lengths::Lengths;
pub use listing::{Described, Listing, ObjectItem, Part, list};
pub use manifest::{Chunk, Manifest, Rows};
pub use open::Archive;
pub use pack::{Open, Pack, Piece};
pub use script::write_script;
