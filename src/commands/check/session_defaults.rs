//! Defaults that every session of an application gets from its server: configuration files and
//! initdb set them, and a dump doesn't carry them.
//!
//! Our own sessions set some of these for themselves; `reset_val` is what they had before. What is
//! set on the source database itself travels with it, and is no matter here.

use std::collections::BTreeMap;

use crate::catalog;
use crate::error::Result;
use crate::pg::quote_ident;
use crate::toc::{Finding, Severity};
use crate::wire::Session;

use super::gathered::named;
use super::sides::Sides;

/// The settings that matter to an application, and what they decide. A change gives other results;
/// a note gives other limits or wording.
const WATCHED: [(&str, Severity, &str); 27] = [
    ("TimeZone", Severity::Change, "what times mean that are written or shown without a zone"),
    (
        "timezone_abbreviations",
        Severity::Change,
        "what times mean that are written with a zone's abbreviation",
    ),
    ("DateStyle", Severity::Change, "how dates are shown, and which of 1/2 is the month"),
    ("IntervalStyle", Severity::Change, "how intervals are shown"),
    (
        "default_text_search_config",
        Severity::Change,
        "how text is searched where no configuration is named",
    ),
    ("search_path", Severity::Change, "where unqualified names are looked for"),
    ("standard_conforming_strings", Severity::Change, "what a backslash in a string means"),
    ("backslash_quote", Severity::Change, "whether \\' may stand for a quote"),
    ("array_nulls", Severity::Change, "what NULL in an array's text means"),
    ("transform_null_equals", Severity::Change, "what = NULL means"),
    ("bytea_output", Severity::Change, "how bytea is shown"),
    ("extra_float_digits", Severity::Change, "how many digits of a float are shown"),
    ("xmlbinary", Severity::Change, "how bytea is put into XML"),
    ("xmloption", Severity::Change, "whether XML must be a document"),
    ("default_transaction_isolation", Severity::Change, "which isolation transactions have"),
    ("default_transaction_deferrable", Severity::Change, "whether transactions are deferrable"),
    ("lo_compat_privileges", Severity::Change, "whether large objects' privileges are checked"),
    ("default_toast_compression", Severity::Note, "how new large values are compressed"),
    ("lc_monetary", Severity::Note, "how money is shown"),
    ("lc_numeric", Severity::Note, "how to_char shows numbers"),
    ("lc_time", Severity::Note, "how to_char names months and days"),
    ("lc_messages", Severity::Note, "the language of messages"),
    ("statement_timeout", Severity::Note, "when a statement is ended"),
    ("lock_timeout", Severity::Note, "when a wait for a lock is ended"),
    ("idle_in_transaction_session_timeout", Severity::Note, "when an idle transaction is ended"),
    ("idle_session_timeout", Severity::Note, "when an idle session is ended"),
    ("transaction_timeout", Severity::Note, "when a transaction is ended"),
];

/// A setting as a session of some application would get it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Default {
    value: String,
    /// Set on the database, or for all roles in all databases.
    by_database: bool,
    /// Set on our own role: what others get isn't seen then.
    by_role: bool,
}

type Defaults = BTreeMap<String, Default>;

/// Compares both sides' defaults.
pub(super) async fn findings(sides: &Sides<'_>) -> Result<Vec<Finding>> {
    let (source, target) = tokio::try_join!(read(&sides.source), read(sides.target()))?;
    let mut found = judge(&source, &target, sides.target_name(), sides.target_is_missing());
    found.extend(money(sides).await?);
    Ok(found)
}

async fn read(session: &Session) -> Result<Defaults> {
    let names: Vec<&str> = WATCHED.iter().map(|(name, ..)| *name).collect();
    let sql = "WITH own AS (SELECT \
         pg_catalog.lower(pg_catalog.split_part(setting, '=', 1)) AS name, s.setrole <> 0 AS of_role \
         FROM pg_catalog.pg_db_role_setting s CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) setting \
         WHERE s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database \
         WHERE datname = pg_catalog.current_database())) \
         AND s.setrole IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = CURRENT_USER))) \
         SELECT s.name, coalesce(s.reset_val, ''), \
         EXISTS (SELECT FROM own WHERE own.name = pg_catalog.lower(s.name) AND NOT of_role), \
         EXISTS (SELECT FROM own WHERE own.name = pg_catalog.lower(s.name) AND of_role) \
         FROM pg_catalog.pg_settings s WHERE s.name = ANY ($1)";
    let rows = session.query("reading the defaults of sessions", sql, &[&names]).await?;
    let default = |row: &tokio_postgres::Row| Default {
        value: row.get(1),
        by_database: row.get(2),
        by_role: row.get(3),
    };
    Ok(rows.iter().map(|row| (row.get(0), default(row))).collect())
}

fn judge(source: &Defaults, target: &Defaults, database: &str, is_missing: bool) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut unseen = Vec::new();
    for (name, severity, decides) in WATCHED {
        // A version that lacks a setting has nothing to differ.
        let (Some(from), Some(to)) = (source.get(name), target.get(name)) else {
            continue;
        };
        if from.by_database {
            continue;
        }
        // Before the database is there we see another one's own settings.
        if from.by_role || to.by_role || to.by_database && is_missing {
            unseen.push(name);
            continue;
        }
        if means(name, &from.value) != means(name, &to.value) {
            found.push(differs(name, severity, decides, [from, to], database, is_missing));
        }
    }
    if !unseen.is_empty() {
        let what = format!(
            "couldn't be compared, as our own role or database sets them for itself: {}",
            named(&unseen)
        );
        found.push(Finding::note("session defaults", what));
    }
    found
}

fn differs(
    name: &str,
    severity: Severity,
    decides: &str,
    [from, to]: [&Default; 2],
    database: &str,
    is_missing: bool,
) -> Finding {
    let what = format!(
        "is {:?} on the source's server and {:?} on the target's; it decides {decides}",
        from.value, to.value
    );
    let assignment = catalog::setting_assignment(&format!("{name}={}", from.value));
    let mut remedy = format!("ALTER DATABASE {} SET {assignment};", quote_ident(database));
    if name.starts_with("lc_") {
        remedy.push_str(" (with the target's own name of that locale)");
    }
    if is_missing {
        remedy = format!("once the database is there: {remedy}");
    }
    let object = format!("setting {name}");
    let finding = match severity {
        Severity::Refusal => Finding::refusal(object, what),
        Severity::Change => Finding::change(object, what),
        Severity::Note => Finding::note(object, what),
    };
    finding.mend(remedy)
}

/// What a value means, where the same is written in several ways.
fn means(name: &str, value: &str) -> String {
    let value = value.to_lowercase();
    match name {
        "TimeZone" => match value.strip_prefix("etc/").unwrap_or(&value) {
            "utc" | "gmt" | "uct" | "zulu" | "universal" | "greenwich" | "gmt0" | "gmt+0"
            | "gmt-0" => "utc".to_owned(),
            _ => value,
        },
        // glibc spells codesets either way.
        _ if name.starts_with("lc_") => value.replace('-', ""),
        // Zero and more are all the shortest that is exact (documentation: extra_float_digits).
        "extra_float_digits" if !value.starts_with('-') => "1".to_owned(),
        _ => value,
    }
}

/// A value of type money is a number of the smallest unit, which lc_monetary decides: 100 of them
/// are one dollar, or 100 yen.
async fn money(sides: &Sides<'_>) -> Result<Option<Finding>> {
    let sql = "SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p') AND c.oid >= 16384 AND EXISTS \
         (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped \
         AND a.atttypid IN (790, 791)) ORDER BY 1";
    let rows = sides.source.query("looking for money", sql, &[]).await?;
    let tables: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    if tables.is_empty() {
        return Ok(None);
    }
    let (from, to) = (smallest_unit(&sides.source).await?, smallest_unit(sides.target()).await?);
    if from == to {
        return Ok(None);
    }
    let what = format!(
        "hold money, of which the source counts in 1/{from} and the target in 1/{to} (lc_monetary): \
         every amount would change: {}",
        named(&tables)
    );
    let remedy = format!(
        "ALTER DATABASE {} SET lc_monetary TO a locale whose currency is counted in 1/{from}; in a \
         database made beforehand",
        quote_ident(sides.target_name())
    );
    Ok(Some(Finding::refusal("tables", what).mend(remedy)))
}

async fn smallest_unit(session: &Session) -> Result<i64> {
    // The ratio of one unit to the smallest one: its binary form is that number.
    let sql = "SELECT pg_catalog.cash_send(1::pg_catalog.int4::pg_catalog.money)";
    let bytes: Vec<u8> = session.query_one("asking what money counts in", sql, &[]).await?.get(0);
    Ok(bytes.iter().fold(0, |value, byte| value << 8 | i64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults(all: &[(&str, &str)]) -> Defaults {
        let default =
            |value: &str| Default { value: value.to_owned(), by_database: false, by_role: false };
        all.iter().map(|(name, value)| ((*name).to_owned(), default(value))).collect()
    }

    #[test]
    fn a_difference_is_told_with_the_statement_that_keeps_the_sources_value() {
        let source = defaults(&[("TimeZone", "Europe/Berlin"), ("search_path", "app, public")]);
        let target = defaults(&[("TimeZone", "UTC"), ("search_path", "\"$user\", public")]);
        let found = judge(&source, &target, "shop", false);
        let remedies: Vec<&str> = found.iter().filter_map(|f| f.remedy.as_deref()).collect();
        assert_eq!(
            remedies,
            [
                "ALTER DATABASE \"shop\" SET \"TimeZone\" TO 'Europe/Berlin';",
                "ALTER DATABASE \"shop\" SET \"search_path\" TO 'app', 'public';",
            ]
        );
    }

    #[test]
    fn the_same_written_otherwise_is_no_difference() {
        let source = defaults(&[
            ("TimeZone", "Etc/UTC"),
            ("lc_time", "en_US.UTF-8"),
            ("extra_float_digits", "1"),
        ]);
        let target = defaults(&[
            ("TimeZone", "GMT"),
            ("lc_time", "en_US.utf8"),
            ("extra_float_digits", "3"),
        ]);
        assert!(judge(&source, &target, "shop", false).is_empty());
    }

    #[test]
    fn what_the_database_sets_for_itself_travels_with_it() {
        let mut source = defaults(&[("TimeZone", "Europe/Berlin")]);
        source.get_mut("TimeZone").unwrap().by_database = true;
        assert!(judge(&source, &defaults(&[("TimeZone", "UTC")]), "shop", false).is_empty());
    }

    #[test]
    fn what_our_own_role_sets_for_itself_hides_what_others_get() {
        let mut source = defaults(&[("TimeZone", "Europe/Berlin")]);
        source.get_mut("TimeZone").unwrap().by_role = true;
        let found = judge(&source, &defaults(&[("TimeZone", "UTC")]), "shop", false);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].severity, Severity::Note);
    }
}
