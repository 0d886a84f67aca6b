//! The lists of large objects that a folder or a tar file has: a line each, of an OID and a file's
//! name (source: bin/pg_dump/pg_backup_directory.c, _EndLO).

use std::io::{BufRead, BufReader, Read};
use std::ops::Range;

use crate::error::Result;
use crate::pg::Oid;

use super::contents::{Item, Place};
use super::damage::{cut_off, told, wrong};
use super::files::{Files, Member};
use super::header::{Header, Layout, Version};

/// No line is longer: a number and a name.
const LONGEST_LINE: u64 = 1024;

/// The name of an entry's list. Before 1.16 there was one list only, whatever the entry says
/// (source: pg_backup_directory.c, _LoadLOs); in a tar file it says nothing of use in any version.
pub(super) fn name(item: &Item, header: &Header) -> String {
    match (&item.place, header.layout) {
        _ if header.version < Version::V1_16 => "blobs.toc".to_owned(),
        (Place::File(name), Layout::Directory) => name.clone(),
        _ => format!("blobs_{}.toc", item.id.0),
    }
}

/// Goes through the lines of a list that are wanted, counted from 0 on.
pub(super) fn each(
    files: &Files,
    list: &Member,
    wanted: &Range<u64>,
    take: &mut dyn FnMut(Oid, &Member) -> Result<()>,
) -> Result<()> {
    let mut lines = BufReader::new(list.data()?);
    let (mut read, mut number) = (0, 0);
    while number < wanted.end
        && let Some((line, oid, name)) =
            next(&mut lines).map_err(|error| told(&list.name, read, error))?
    {
        if number >= wanted.start {
            let member = files.member(&name).map_err(|error| error.within(&list.name))?;
            take(oid, &member)?;
        }
        number += 1;
        read += line;
    }
    Ok(())
}

/// The next line's length, and what it says.
fn next(lines: &mut impl BufRead) -> std::io::Result<Option<(u64, Oid, String)>> {
    let mut line = String::new();
    let length = lines.by_ref().take(LONGEST_LINE).read_line(&mut line)? as u64;
    if length == 0 {
        return Ok(None);
    }
    let Some(text) = line.strip_suffix('\n') else {
        return Err(if length == LONGEST_LINE { wrong("a line is too long") } else { cut_off() });
    };
    let parts = text.split_once(' ').and_then(|(oid, name)| Some((oid.parse().ok()?, name)));
    let (oid, name) = parts.ok_or_else(|| wrong("a line isn't an OID and a file's name"))?;
    match oid {
        0 => Err(wrong("a large object's OID is 0")),
        _ => Ok(Some((length, Oid(oid), name.to_owned()))),
    }
}
