//! What is there on the target before anything is made.

use crate::error::{Error, Kind, Result};
use crate::wire::Session;

use super::locale::Locale;

/// An older server can't be given all that a newer one has.
pub(super) fn refuse_older(source: &Session, target: &Session) -> Result<()> {
    let (ours, theirs) = (source.version().major(), target.version().major());
    match theirs >= ours {
        true => Ok(()),
        false => Err(Error::new(Kind::Refused, "provisioning the target")
            .because(format!(
                "the target is PostgreSQL {theirs}, older than the bundled instance's {ours}"
            ))
            .hint(format!("make a target of PostgreSQL {ours} or later; nothing was changed"))),
    }
}

pub(super) async fn is_role(target: &Session, role: &str) -> Result<bool> {
    let sql = "SELECT FROM pg_catalog.pg_roles WHERE rolname = $1";
    let rows = target.query(&format!("looking for the role {role}"), sql, &[&role]).await?;
    Ok(!rows.is_empty())
}

/// A database that is there.
pub(super) struct Standing {
    database: String,
    owner: String,
    locale: Locale,
}

pub(super) async fn standing(target: &Session, database: &str) -> Result<Option<Standing>> {
    let Some(locale) = Locale::of(target, database).await? else { return Ok(None) };
    let doing = format!("asking for the owner of database {database}");
    let sql = "SELECT pg_catalog.pg_get_userbyid(datdba)::text FROM pg_catalog.pg_database \
               WHERE datname = $1";
    let row = target.query_one(&doing, sql, &[&database]).await?;
    Ok(Some(Standing { database: database.to_owned(), owner: row.get(0), locale }))
}

impl Standing {
    /// In what it isn't the database that would be made.
    pub(super) fn differences(&self, owner: &str, wanted: &Locale) -> Vec<String> {
        let Standing { database, owner: theirs, locale } = self;
        let mut differences = Vec::new();
        if theirs != owner {
            differences.push(format!(
                "database {database} is there already and is {theirs}'s: drop it, or run ALTER \
                 DATABASE \"{database}\" OWNER TO \"{owner}\""
            ));
        }
        if !locale.is_like(wanted) {
            differences.push(format!(
                "database {database} is there already with {locale}, and is to have {wanted}: drop \
                 it, or say that it is to be so (--locale FROM=TO, --encoding FROM=TO)"
            ));
        }
        differences
    }
}
