//! Whether the source's text fits into the target's encoding.

use crate::catalog::DatabaseFacts;
use crate::commands::databases::SQL_ASCII;
use crate::commands::survey::Source;
use crate::error::Result;
use crate::pg::{quote_ident, quote_literal};
use crate::toc::{Finding, Toc, counted};
use crate::wire::Session;

use super::gathered::named;
use super::sides::Sides;

/// Compares both databases' encodings, and tries the names where they differ. `said` is the
/// client_encoding of the target's connection string.
pub(super) async fn findings(
    sides: &Sides<'_>,
    source: &Source,
    said: &str,
) -> Result<Vec<Finding>> {
    let target = sides.target_database(&source.database).await?;
    let chosen = Some(said).filter(|encoding| *encoding != "UTF8");
    let mut found: Vec<Finding> =
        judge(&source.database, &target, sides.target_name(), chosen).into_iter().collect();
    let may_lack = target.encoding != "UTF8" && target.encoding != source.database.encoding;
    if may_lack && !sides.target_is_missing() {
        found.extend(names(sides.target(), &source.toc, &target.encoding).await?);
    }
    Ok(found)
}

fn judge(
    source: &DatabaseFacts,
    target: &DatabaseFacts,
    database: &str,
    chosen: Option<&str>,
) -> Option<Finding> {
    let (from, to) = (source.encoding.as_str(), target.encoding.as_str());
    let object = "encoding";
    if from == to {
        return None;
    }
    if from == SQL_ASCII {
        let what = format!(
            "the source's {SQL_ASCII} doesn't say what its bytes mean, the target has {to}"
        );
        return Some(match chosen {
            Some(encoding) => Finding::note(
                object,
                format!("{what}: they are read as {encoding}, as client_encoding says"),
            ),
            None => Finding::refusal(object, what).mend(format!(
                "say it in --target: client_encoding={SQL_ASCII} where the bytes are {to} already (each \
                 text is checked), client_encoding=WIN1252 or the like where they are that; or keep \
                 them as they are in a database of your own making: {}",
                creating(database, SQL_ASCII)
            )),
        });
    }
    match to {
        "UTF8" => {
            let what =
                format!("text is converted from {from} to UTF8, which has all its characters");
            Some(Finding::note(object, what))
        }
        SQL_ASCII => {
            let what =
                format!("the target's {SQL_ASCII} doesn't check or convert text; {from} does");
            Some(Finding::change(object, what).mend(creating(database, from)))
        }
        _ => {
            let what = format!(
                "text is converted from {from} to {to}: the copy stops at the first character that \
                 {to} lacks"
            );
            Some(Finding::change(object, what).mend(creating(database, "UTF8")))
        }
    }
}

fn creating(database: &str, encoding: &str) -> String {
    format!(
        "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE 'C' LC_CTYPE 'C';",
        quote_ident(database),
        quote_literal(encoding)
    )
}

/// Whether every definition can be said in the target's encoding. Most are plain ASCII.
async fn names(target: &Session, toc: &Toc, encoding: &str) -> Result<Option<Finding>> {
    let doing = "trying names in the target's encoding";
    let sql = "SELECT pg_catalog.length($1)";
    let mut lacking = Vec::new();
    for entry in toc.entries.iter().filter(|entry| !entry.create.is_ascii()) {
        match target.query_one(doing, sql, &[&entry.create]).await {
            Err(error) if is_untranslatable(&error) => lacking.push(entry.title()),
            tried => drop(tried?),
        }
    }
    let what = format!(
        "{encoding} lacks characters of {}: {}",
        counted(lacking.len(), "definition"),
        named(&lacking)
    );
    let remedy = "make the target database with ENCODING 'UTF8'";
    Ok((!lacking.is_empty()).then(|| Finding::refusal("encoding", what).mend(remedy)))
}

/// untranslatable_character.
fn is_untranslatable(error: &crate::error::Error) -> bool {
    error.server_error().is_some_and(|server| server.sqlstate == "22P05")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toc::Severity;

    fn severity(from: &str, to: &str, chosen: Option<&str>) -> Option<Severity> {
        let facts = |encoding: &str| DatabaseFacts {
            encoding: encoding.to_owned(),
            ..DatabaseFacts::example()
        };
        judge(&facts(from), &facts(to), "shop", chosen).map(|finding| finding.severity)
    }

    #[test]
    fn the_same_encoding_is_no_finding() {
        assert_eq!(severity("LATIN1", "LATIN1", None), None);
    }

    #[test]
    fn utf8_takes_everything_that_has_a_meaning() {
        assert_eq!(severity("WIN1252", "UTF8", None), Some(Severity::Note));
        assert_eq!(severity("SQL_ASCII", "UTF8", None), Some(Severity::Refusal));
        assert_eq!(severity("SQL_ASCII", "UTF8", Some("WIN1252")), Some(Severity::Note));
    }

    #[test]
    fn a_smaller_encoding_may_lack_characters() {
        assert_eq!(severity("UTF8", "LATIN1", None), Some(Severity::Change));
        assert_eq!(severity("UTF8", "SQL_ASCII", None), Some(Severity::Change));
    }
}
