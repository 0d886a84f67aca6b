//! An archive that is written: listed, its rows in packs, and these joined.

pub(super) mod assembling;
mod encoder;
pub(super) mod lasting;
pub(super) mod listing;
pub(super) mod pack;
pub(super) mod script;
