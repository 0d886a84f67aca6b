//! pg_dump's archives, read and written: an end like a server is.
//!
//! The format is PostgreSQL's own (source: bin/pg_dump/pg_backup_archiver.c, pg_backup_custom.c,
//! pg_backup_directory.c, pg_backup_tar.c), so that pg_restore reads what is written here and the
//! other way round.

mod contents;
mod header;
mod manifest;
mod numbers;

pub use contents::{Contents, Item, ItemId, ItemSection, Place};
pub use header::{Compression, CreatedAt, Header, Layout, Version};
pub use manifest::{Chunk, Manifest, Rows};
