//! pg_dump's archives, read and written: an end like a server is.
//!
//! The format is PostgreSQL's own (source: bin/pg_dump/pg_backup_archiver.c, pg_backup_custom.c,
//! pg_backup_directory.c, pg_backup_tar.c), so that pg_restore reads what is written here and the
//! other way round.
//!
//! - What both sides speak is in `format/`: contents, numbers, blocks, the manifest.
//! - An archive that is read is an [`Archive`] (`reading/open.rs`): its data as streams (`files.rs` and
//!   `tar.rs`, or `custom.rs`, through `decode.rs`), and whether all that holds (`check.rs`).
//! - What it holds becomes a table of contents in `entries.rs`, in our own spelling
//!   (`entries/spelling.rs`), after `chosen.rs` has chosen and `vetting.rs` has looked it through.
//! - One that is written is listed first (`writing/listing.rs`); then workers fill packs (`pack.rs`,
//!   through `encoder.rs`), which `assembling.rs` joins. A script (`script.rs`) has the listing only.

mod entries;
mod format;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
#[cfg(test)]
mod made;
mod reading;
#[cfg(test)]
mod tests;
mod writing;

pub use entries::chosen::{Chosen, items_of_list, list_of};
pub(crate) use entries::large::OBJECTS_AT_ONCE;
pub(crate) use entries::{ArchivedToc, Need, toc_of};
pub use format::compressing::{Compressing, Laying};
pub use format::contents::{Contents, Item, ItemId, ItemSection, Part, Place};
pub use format::damage::read_error;
pub use format::header::{Compression, CreatedAt, DUMPER, Header, Layout, Version};
pub use format::manifest::{Chunk, Manifest, Rows};
pub(crate) use format::object_rows::each_piece;
pub use reading::check::Measure;
pub use reading::lengths::Lengths;
pub use reading::open::Archive;
pub use writing::assembling::{Data, Written, remove, write_custom, write_directory};
pub use writing::lasting::sync_folder;
pub use writing::listing::{Described, Listing, ObjectItem, list};
pub use writing::pack::{Open, Pack, Piece};
pub use writing::script::write_script;
