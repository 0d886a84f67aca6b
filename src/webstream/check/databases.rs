//! The databases that the configurations name, as they are on the source.

use serde::Serialize;

use crate::commands::Finding;
use crate::error::Result;
use crate::wire::Session;

use super::super::configuration::Named;

/// The database whose service makes the extension `citext` when it starts.
const IAM: &str = "webstream_iam";
const CITEXT: &str = "citext";

/// A database to be moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DatabaseFacts {
    /// Its name.
    pub database: String,
    /// The role that the services are there.
    pub role: String,
    /// Who owns it; none where the source hasn't got it.
    pub owner: Option<String>,
    /// Its encoding.
    pub encoding: Option<String>,
    /// How it sorts, and what it takes for a letter.
    pub locale: Option<String>,
    /// Its size on disk; none where this user isn't told.
    pub bytes: Option<i64>,
}

/// Asks the source for them.
pub(super) async fn read(source: &Session, named: &[Named]) -> Result<Vec<DatabaseFacts>> {
    let names: Vec<&str> = named.iter().map(|named| named.database.as_str()).collect();
    let sql = "SELECT d.datname::text, pg_catalog.pg_get_userbyid(d.datdba)::text, \
         pg_catalog.pg_encoding_to_char(d.encoding)::text, d.datcollate::text, d.datctype::text, \
         CASE WHEN pg_catalog.has_database_privilege(d.oid, 'CONNECT') \
           OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') \
           THEN pg_catalog.pg_database_size(d.oid) END \
         FROM pg_catalog.pg_database d WHERE d.datname = ANY ($1)";
    let rows = source.query("reading the databases", sql, &[&names]).await?;
    let facts = |named: &Named| {
        let row = rows.iter().find(|row| row.get::<_, &str>(0) == named.database);
        let text = |index| row.map(|row| row.get::<_, String>(index));
        let locale = text(3).zip(text(4)).map(|(collate, ctype)| match collate == ctype {
            true => collate,
            false => format!("{collate}, {ctype}"),
        });
        DatabaseFacts {
            database: named.database.clone(),
            role: named.username.clone(),
            owner: text(1),
            encoding: text(2),
            locale,
            bytes: row.and_then(|row| row.get(5)),
        }
    };
    Ok(named.iter().map(facts).collect())
}

/// What is wrong with them.
pub(super) fn judge(databases: &[DatabaseFacts]) -> Vec<Finding> {
    let finding = |facts: &DatabaseFacts| {
        let object = format!("database {}", facts.database);
        match &facts.owner {
            None => Some(
                Finding::refusal(object, "is named in a configuration, and the source hasn't got it")
                    .mend("check the Database in the connection string, and --source"),
            ),
            Some(owner) if *owner != facts.role => Some(
                Finding::note(
                    object,
                    format!(
                        "belongs to {owner} on the source, and the services are {}, who will own it \
                         on the target",
                        facts.role
                    ),
                )
                .mend(format!(
                    "if {owner} has to own it, write that into the connection string, or ALTER \
                     DATABASE … OWNER TO after the move"
                )),
            ),
            Some(_) => None,
        }
    };
    databases.iter().filter_map(finding).collect()
}

/// The extension that a service makes at its start must be there to be made, even where the source
/// hasn't got it yet. What the source has is the engine's to check.
pub(super) async fn extensions(target: &Session, named: &[Named]) -> Result<Option<Finding>> {
    if !named.iter().any(|named| named.database == IAM) {
        return Ok(None);
    }
    let sql = "SELECT pg_catalog.bool_or(trusted) FROM pg_catalog.pg_available_extension_versions \
               WHERE name = $1 HAVING pg_catalog.count(*) > 0";
    let rows = target.query("looking for the extension citext", sql, &[&CITEXT]).await?;
    let is_trusted = rows.first().map(|row| row.get::<_, Option<bool>>(0).unwrap_or_default());
    Ok(judge_citext(is_trusted))
}

fn judge_citext(is_trusted: Option<bool>) -> Option<Finding> {
    let object = format!("extension {CITEXT}");
    match is_trusted {
        Some(true) => None,
        Some(false) => Some(
            Finding::note(object, format!("takes a superuser on the target, and {IAM} makes it"))
                .mend(
                    "`pgconvoy webstream migrate` brings it; until then don't start the services",
                ),
        ),
        None => Some(
            Finding::refusal(object, format!("isn't to be had on the target, and {IAM} makes it"))
                .mend("add it to rds.allowed_extensions, or choose a target that has it"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Severity;

    #[test]
    fn a_database_that_is_not_there_is_refused_and_another_owner_is_told() {
        let facts = |owner: Option<&str>| DatabaseFacts {
            database: IAM.to_owned(),
            role: "iam".to_owned(),
            owner: owner.map(str::to_owned),
            encoding: None,
            locale: None,
            bytes: None,
        };
        let found = judge(&[facts(None), facts(Some("iam")), facts(Some("postgres"))]);
        let severities: Vec<_> = found.iter().map(|finding| finding.severity).collect();
        assert_eq!(severities, [Severity::Refusal, Severity::Note]);
    }

    #[test]
    fn citext_must_be_there_to_be_made() {
        assert_eq!(judge_citext(Some(true)), None);
        assert_eq!(judge_citext(Some(false)).unwrap().severity, Severity::Note);
        assert_eq!(judge_citext(None).unwrap().severity, Severity::Refusal);
    }
}
