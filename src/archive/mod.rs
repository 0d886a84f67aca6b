//! pg_dump's archives, read and written: an end like a server is.
//!
//! The format is PostgreSQL's own (source: bin/pg_dump/pg_backup_archiver.c, pg_backup_custom.c,
//! pg_backup_directory.c, pg_backup_tar.c), so that pg_restore reads what is written here and the
//! other way round.

mod adler;
mod assembling;
mod compressing;
mod contents;
mod encoder;
mod header;
mod listing;
mod manifest;
mod numbers;
mod pack;
mod script;

pub use assembling::{Data, Written, remove, sync_folder, write_custom, write_directory};
pub use compressing::{Compressing, Laying};
pub use contents::{Contents, Item, ItemId, ItemSection, Place};
pub use header::{Compression, CreatedAt, Header, Layout, Version};
pub use listing::{Described, Listing, ObjectItem, Part, list};
pub use manifest::{Chunk, Manifest, Rows};
pub use pack::{Open, Pack, Piece};
pub use script::write_script;
