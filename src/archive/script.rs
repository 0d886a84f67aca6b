//! Definitions as a script that people read and psql runs.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Write};

use super::contents::{Contents, Item, ItemSection};
use crate::pg::quote_ident;
use crate::toc::{Token, tokens};

/// What a session needs before definitions of any age can be made in it (source:
/// pg_backup_archiver.c, _doSetFixedOutputState).
const SETTINGS: &str = "\
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET default_tablespace = '';
SET default_table_access_method = heap;
";

/// Writes the definitions of an archive in the order that pg_restore makes them in: grants after all
/// else, then what fires or reads once all is there. What belongs to the database itself is left to
/// whoever makes that.
///
/// Part of it is in the server's words. So that none is taken by psql for one of its own commands,
/// it is told to heed none but one that nobody can foretell (documentation: psql, `\restrict`).
pub fn write_script(contents: &Contents, to: &mut dyn Write) -> io::Result<()> {
    let header = &contents.header;
    let (database, server) = (line(&header.database), line(&header.server_version));
    writeln!(to, "-- Definitions of database {database}, PostgreSQL {server}.")?;
    writeln!(to, "-- Written by {}.\n", line(&header.dumper_version))?;
    let key = format!("{:016x}{:016x}", chance(), chance());
    write!(to, "\\restrict {key}\n\n{SETTINGS}")?;
    for item in contents.items.iter().filter(|item| item.is_of_the_archive()) {
        to.write_all(item.create.as_bytes())?;
    }
    writeln!(to)?;
    let is_shown = |item: &&Item| {
        let is_apart = item.is_of_the_archive() || item.is_of_the_database();
        item.section != ItemSection::Data && !is_apart
    };
    for pass in [Pass::Main, Pass::Grants, Pass::Last] {
        let items = contents.items.iter().filter(is_shown);
        for item in items.filter(|item| Pass::of(item) == pass && !item.create.is_empty()) {
            write_item(item, to)?;
        }
    }
    writeln!(to, "\\unrestrict {key}")
}

/// The standard library's hashes start at random.
fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// When a definition's turn comes (source: pg_backup_archiver.c, _tocEntryRestorePass).
#[derive(PartialEq, Eq)]
enum Pass {
    Main,
    Grants,
    Last,
}

impl Pass {
    fn of(item: &Item) -> Pass {
        let is_about = |what| {
            matches!(item.desc.as_str(), "COMMENT" | "SECURITY LABEL") && item.tag.starts_with(what)
        };
        match item.desc.as_str() {
            "ACL" | "DEFAULT ACL" => Pass::Grants,
            "EVENT TRIGGER" | "MATERIALIZED VIEW DATA" => Pass::Last,
            _ if is_about("EVENT TRIGGER ") => Pass::Last,
            _ => Pass::Main,
        }
    }
}

/// Outside of quotes SQL has no backslash, and psql takes one for a command of its own: a server that
/// words its definitions so means psql, not PostgreSQL (CVE-2025-8714).
fn refuse_commands(item: &Item) -> io::Result<()> {
    match tokens(&item.create).any(|(_, token)| token == Token::Mark('\\')) {
        false => Ok(()),
        true => Err(io::Error::other(format!(
            "{} {} has a backslash outside of quotes, which psql would take for a command: don't trust \
             this server",
            item.desc, item.tag
        ))),
    }
}

fn write_item(item: &Item, to: &mut dyn Write) -> io::Result<()> {
    refuse_commands(item)?;
    let schema = item.schema.as_ref().map(|schema| format!(" in schema {}", line(schema)));
    writeln!(to, "--\n-- {} {}{}\n--\n", item.desc, line(&item.tag), schema.unwrap_or_default())?;
    write!(to, "{}", item.create)?;
    let object = item.drop.trim_end().strip_prefix("DROP ");
    if let Some(object) = object.and_then(|object| object.strip_suffix(';'))
        && !item.owner.is_empty()
    {
        writeln!(to, "ALTER {object} OWNER TO {};", quote_ident(&item.owner))?;
    }
    writeln!(to)
}

/// A name in a comment: it may hold anything, the comment's end too.
fn line(name: &str) -> String {
    name.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::super::header::{Compression, Layout, Version};
    use super::super::made;
    use super::*;

    #[test]
    fn a_command_for_psql_is_never_written() {
        let mut contents = made::contents(Layout::Directory, Compression::None, Version::V1_16);
        let mut script = |create: &str, tag: &str| {
            contents.items[0].create = create.to_owned();
            contents.items[0].tag = tag.to_owned();
            let mut script = Vec::new();
            write_script(&contents, &mut script).map(|()| String::from_utf8(script).unwrap())
        };
        for harmful in ["CREATE VIEW v AS SELECT 1\n\\! id\n;", "SELECT 1 \\gexec", "\\q"] {
            let error = script(harmful, "v").unwrap_err().to_string();
            assert!(error.contains("TABLE v has a backslash"), "{error}");
        }
        let good = "COMMENT ON TABLE t IS E'a\\\\b'; SELECT '\\! id', \"\\\", $$\\$$; -- \\! id\n";
        let written = script(good, "a\n\\! id\r\\! id").unwrap();
        let commands: Vec<&str> = written.lines().filter(|line| line.starts_with('\\')).collect();
        let [restrict, unrestrict] = commands.as_slice() else { panic!("{written}") };
        assert_eq!(restrict.replace("\\r", "\\unr"), *unrestrict);
        assert!(!written.contains('\r'), "{written}");
    }
}
