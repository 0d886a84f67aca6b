//! pg_dump's archives, read and written: an end like a server is.
//!
//! The format is PostgreSQL's own (source: bin/pg_dump/pg_backup_archiver.c, pg_backup_custom.c,
//! pg_backup_directory.c, pg_backup_tar.c), so that pg_restore reads what is written here and the
//! other way round.

mod blocks;
mod contents;
mod copy_text;
mod custom;
mod damage;
mod decode;
mod entries;
mod files;
mod header;
mod inflate;
mod large;
#[cfg(test)]
mod made;
mod manifest;
mod numbers;
mod object_lists;
mod open;
mod proof;
mod source;
mod spelling;
mod tar;
#[cfg(test)]
mod tests;

pub use contents::{Contents, Item, ItemId, ItemSection, Place};
pub use damage::read_error;
pub(crate) use entries::{Listed, listed};
pub use header::{Compression, CreatedAt, Header, Layout, Version};
pub use manifest::{Chunk, FORMAT, Manifest, Rows};
pub use open::Archive;
