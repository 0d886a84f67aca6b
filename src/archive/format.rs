//! What both sides speak: the table of contents, its numbers, how data is laid down, and how damage is
//! told.

pub(super) mod adler;
pub(super) mod blocks;
pub(super) mod compressing;
pub(super) mod contents;
pub(super) mod damage;
pub(super) mod header;
pub(super) mod manifest;
pub(super) mod numbers;
pub(super) mod object_rows;
