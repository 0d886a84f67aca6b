//! An archive that is read: opened, its data as streams, and whether all that holds.

pub(super) mod check;
mod copy_text;
mod custom;
pub(super) mod decode;
mod files;
mod inflate;
pub(super) mod lengths;
mod object_lists;
pub(super) mod open;
mod proof;
mod source;
mod tar;
