//! What an archive says of how its statements and rows are written.

use crate::error::{Error, Kind as ErrorKind, Result};
use crate::toc::statements;

use super::super::contents::Item;
use super::super::money;
use super::READING;

/// What our sessions are set to, too, as archives say it.
const SETTINGS: [&str; 3] = [
    "SET standard_conforming_strings = 'on';",
    "SELECT pg_catalog.set_config('search_path', '', false);",
    money::IN_C,
];

/// Refuses statements and rows that are written otherwise than our sessions read them.
pub(super) fn refuse_other_than_ours(item: &Item) -> Result<()> {
    let other = statements(&item.create).into_iter().find(|set| !SETTINGS.contains(set));
    let Some(other) = other else { return Ok(()) };
    Err(Error::new(ErrorKind::Refused, READING)
        .because(format!("it says {other}, which isn't known"))
        .hint("make it anew with the newest pg_dump, or restore it with pg_restore"))
}

/// What an archive's rows are encoded in, where that isn't UTF-8: the target reads them so.
pub(super) fn encoding(item: &Item) -> Result<String> {
    match item.encoding() {
        Some(name) => Ok(name.to_owned()),
        None => Err(Error::new(ErrorKind::Refused, READING)
            .because("it doesn't say what it is encoded in")
            .hint("make it anew with pg_dump --encoding UTF8, or restore it with pg_restore")),
    }
}
