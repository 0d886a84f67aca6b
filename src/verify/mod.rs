//! Whether the target holds what the source held: fingerprints compared, catalogs compared,
//! differing rows located.

mod catalogs;
mod data;
mod icu_locales;
mod indexes;
mod large_objects;
mod locate;
mod names;
mod operator_members;
mod renderings;
mod sequences;
mod stand_ins;

pub use catalogs::{CatalogDifference, compare_catalogs, uncompared};
pub use data::{TableVerdict, compare_counts, compare_tables};
pub use indexes::{CheckedIndexes, check_indexes};
pub use large_objects::compare_large_objects;
pub use locate::{Differing, Located, locate};
pub use names::{compare_names, only_named};
pub use sequences::{Sequences, compare_sequences};
