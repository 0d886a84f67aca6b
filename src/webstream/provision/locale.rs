//! How a database sorts and what its text is in: as on the source, or as somebody says, never as we
//! guess. A server on Windows names its locales otherwise than one on Linux.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::Result;
use crate::pg::quote_literal;
use crate::wire::Session;

/// A database's encoding and locale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Locale {
    encoding: String,
    collate: String,
    ctype: String,
    /// Whether libc provides it.
    is_libc: bool,
}

impl Locale {
    /// A database's; none where there is no such database.
    pub(super) async fn of(server: &Session, database: &str) -> Result<Option<Locale>> {
        let is_libc = match server.version().major() {
            15.. => "datlocprovider = 'c'",
            _ => "true",
        };
        let sql = format!(
            "SELECT pg_catalog.pg_encoding_to_char(encoding)::text, datcollate::text, \
                    datctype::text, {is_libc} FROM pg_catalog.pg_database WHERE datname = $1"
        );
        let doing = format!("reading the locale of database {database}");
        let rows = server.query(&doing, &sql, &[&database]).await?;
        Ok(rows.first().map(|row| Locale {
            encoding: row.get(0),
            collate: row.get(1),
            ctype: row.get(2),
            is_libc: row.get(3),
        }))
    }

    /// What it is to be on the target.
    pub(super) fn mapped(
        self,
        locales: &BTreeMap<String, String>,
        encodings: &BTreeMap<String, String>,
    ) -> Locale {
        let map =
            |name: String, by: &BTreeMap<String, String>| by.get(&name).cloned().unwrap_or(name);
        Locale {
            encoding: map(self.encoding, encodings),
            collate: map(self.collate, locales),
            ctype: map(self.ctype, locales),
            is_libc: self.is_libc,
        }
    }

    /// Why the target can't make a database with it.
    pub(super) async fn unknown_to(
        &self,
        target: &Session,
        database: &str,
    ) -> Result<Option<String>> {
        if !self.is_libc {
            return Ok(Some(format!(
                "database {database} has a locale that isn't the operating system's: make the \
                 database on the target yourself"
            )));
        }
        // Codesets are spelled either way: en_US.UTF-8 is en_US.utf8 (documentation: "Collation
        // Support"). What initdb was given is no collation everywhere.
        let sql = "SELECT wanted.name FROM pg_catalog.unnest($1::pg_catalog.text[]) wanted(name) \
             WHERE wanted.name NOT IN ('C', 'POSIX') AND NOT EXISTS \
               (SELECT FROM pg_catalog.pg_database d WHERE d.datname = 'template0' \
                AND pg_catalog.pg_encoding_to_char(d.encoding) = $2 \
                AND wanted.name IN (d.datcollate, d.datctype)) AND NOT EXISTS \
               (SELECT FROM pg_catalog.pg_collation c WHERE c.collprovider = 'c' \
                AND pg_catalog.lower(pg_catalog.replace(c.collcollate, '-', '')) \
                    = pg_catalog.lower(pg_catalog.replace(wanted.name, '-', '')) \
                AND c.collencoding IN (-1, pg_catalog.pg_char_to_encoding($2)))";
        let names = [self.collate.as_str(), self.ctype.as_str()];
        let doing = format!("looking for the locale of database {database}");
        let rows = target.query(&doing, sql, &[&&names[..], &self.encoding]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let name: String = row.get(0);
        Ok(Some(format!(
            "database {database} has {self}, which the target hasn't: say what is to stand for it, \
             with --locale '{name}=en_US.UTF-8' for instance, and --encoding {}=UTF8 where the \
             encoding doesn't go with that",
            self.encoding
        )))
    }

    /// Whether a database that has one may do for the other.
    pub(super) fn is_like(&self, other: &Locale) -> bool {
        let plain = |name: &str| name.replace('-', "").to_ascii_lowercase();
        let all = |one: &Locale| (one.encoding.clone(), plain(&one.collate), plain(&one.ctype));
        all(self) == all(other)
    }

    /// As CREATE DATABASE is told.
    pub(super) fn sql(&self) -> String {
        format!(
            "ENCODING {} LC_COLLATE {} LC_CTYPE {}",
            quote_literal(&self.encoding),
            quote_literal(&self.collate),
            quote_literal(&self.ctype),
        )
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.collate == self.ctype {
            true => write!(f, "the encoding {} and the locale {}", self.encoding, self.collate),
            false => write!(
                f,
                "the encoding {} and the locales {} and {}",
                self.encoding, self.collate, self.ctype
            ),
        }
    }
}
