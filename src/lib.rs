//! pgconvoy moves PostgreSQL databases: in parallel, checksummed, resumable after any crash and
//! verified to the last row. ARCHITECTURE.md has the map of the rooms and why they are so.

pub mod archive;
pub mod catalog;
pub mod cli;
pub mod commands;
pub mod copy;
pub mod engine;
pub mod error;
pub mod pg;
pub mod plan;
pub mod servers;
pub mod toc;
pub mod verify;
pub mod webstream;
pub mod wire;

/// What fuzzing feeds with bytes, and what the tests feed again with those that it kept.
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::archive::fuzz::archive;
    pub use crate::copy::fuzz::stream;
    pub use crate::engine::fuzz::ledger;
    pub use crate::wire::fuzz::{conninfo, messages, server};

    #[cfg(test)]
    mod tests {
        use std::path::Path;

        /// Feeds what is kept of a target's corpus; how much that is.
        fn replay(target: &str, feed: fn(&[u8])) -> usize {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
            let files = std::fs::read_dir(&folder).unwrap();
            let files = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
            files.inspect(|bytes| feed(bytes)).count()
        }

        #[test]
        fn what_fuzzing_kept_is_still_taken() {
            for (target, feed) in [
                ("stream", super::stream as fn(&[u8])),
                ("messages", super::messages),
                ("server", super::server),
                ("conninfo", super::conninfo),
                ("ledger", super::ledger),
                ("archive", super::archive),
            ] {
                assert!(replay(target, feed) > 0, "the corpus of {target} is empty");
            }
        }
    }
}
