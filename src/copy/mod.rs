//! The data plane: rows leave the source as CopyData and enter the target as CopyData; on the way
//! they are counted, checksummed and fingerprinted, never decoded.
//!
//! What always holds: memory is a few buffers per stream, whatever the size of rows; a stream that
//! isn't proven whole never reaches the target's CopyDone; and a stream that is abandoned (its
//! future dropped) leaves connections that can't be used again, so it can't pass for a copy.

mod fingerprint;
mod frames;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod incoming;
mod keyed_lines;
mod load;
mod outgoing;
mod pump;
mod read;
mod rows;
#[cfg(test)]
mod scripted;
mod statements;
mod stream;
mod text_rows;

pub use fingerprint::{Fingerprint, NotAFingerprint};
pub use keyed_lines::KeyedRow;
pub use load::{Block, LoadPart, load};
pub use pump::forward;
pub use read::{KeyedRows, fingerprints, hand_on};
pub use statements::{CopyTable, Freeze};
pub use stream::{CopyPart, CopyStream, Progress, ReadPart, Tally};
pub use text_rows::TextRows;
