//! The encoding of an archive's rows.

use crate::error::{Error, Kind, Result};
use crate::toc::{Token, tokens};

use super::contents::Item;

/// Rows are sent in it, and the target converts them; texts that say nothing of their encoding stay as
/// they are. Definitions are sent as UTF-8, which those are that have nothing but ASCII in them.
pub(super) fn of_rows(items: &[Item]) -> Result<String> {
    let told = items.iter().find(|item| item.desc == "ENCODING").and_then(named);
    let encoding = told.unwrap_or_else(|| "UTF8".to_owned());
    let as_they_are = ["UTF8", "SQL_ASCII"].contains(&encoding.as_str());
    if as_they_are || items.iter().all(is_ascii) {
        return Ok(encoding);
    }
    Err(Error::new(Kind::Refused, "reading the archive's entries")
        .because(format!("its definitions are in encoding {encoding}, and not all in ASCII"))
        .hint("make it anew with pg_dump --encoding UTF8, or restore it with pg_restore"))
}

fn named(item: &Item) -> Option<String> {
    tokens(&item.create).find_map(|(_, token)| match token {
        Token::String(text) => Some(text.trim_matches('\'').to_owned()),
        _ => None,
    })
}

fn is_ascii(item: &Item) -> bool {
    let names = [&item.schema, &item.tablespace, &item.access_method, &item.copy];
    let texts = [&item.tag, &item.owner, &item.create, &item.drop];
    texts.into_iter().chain(names.into_iter().flatten()).all(|text| text.is_ascii())
}
