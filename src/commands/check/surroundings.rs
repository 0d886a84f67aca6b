//! What the target does by itself to new objects: default privileges and event triggers that are
//! there before the job.

use crate::error::Result;
use crate::pg::quote_ident;
use crate::toc::Finding;

use super::gathered::named;
use super::sides::Sides;

/// A privilege that new objects of a role get by default.
#[derive(Debug, Clone, PartialEq, Eq)]
struct DefaultGrant {
    role: String,
    /// Where it holds; none everywhere.
    schema: Option<String>,
    /// `TABLES` and the like.
    objects: String,
    /// Who gets it; none for PUBLIC.
    grantee: Option<String>,
    /// Whether the role is the target user.
    is_ours: bool,
}

/// Names what stands ready to change the job's objects.
pub(super) async fn findings(sides: &Sides<'_>) -> Result<Vec<Finding>> {
    // A new database has neither: both live in a database.
    if sides.target_is_missing() {
        return Ok(Vec::new());
    }
    let (grants, triggers) = tokio::try_join!(default_grants(sides), event_triggers(sides))?;
    let mut found: Vec<Finding> = grants.iter().map(default_grant).collect();
    found.extend(triggers);
    Ok(found)
}

/// Objects are created by the target user, so its own default privileges alone hold for them; those
/// of other roles hold for what these create once they work there. Those that
/// hold everywhere are whole lists, built-in grants included (documentation: ALTER DEFAULT
/// PRIVILEGES): only what they add matters.
async fn default_grants(sides: &Sides<'_>) -> Result<Vec<DefaultGrant>> {
    let sql = "SELECT DISTINCT r.rolname::text, n.nspname::text, \
         CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' \
         WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' \
         ELSE 'LARGE OBJECTS' END AS objects, g.rolname::text, r.rolname = CURRENT_USER \
         FROM pg_catalog.pg_default_acl d JOIN pg_catalog.pg_roles r ON r.oid = d.defaclrole \
         LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace \
         CROSS JOIN LATERAL pg_catalog.aclexplode(d.defaclacl) a \
         LEFT JOIN pg_catalog.pg_roles g ON g.oid = a.grantee \
         WHERE a.grantee <> d.defaclrole \
         AND NOT (d.defaclnamespace = 0 AND a.grantee = 0 AND d.defaclobjtype IN ('f', 'T')) \
         ORDER BY 1, 2, 3, 4";
    let rows = sides.target().query("reading the target's default privileges", sql, &[]).await?;
    let grant = |row: &tokio_postgres::Row| DefaultGrant {
        role: row.get(0),
        schema: row.get(1),
        objects: row.get(2),
        grantee: row.get(3),
        is_ours: row.get(4),
    };
    Ok(rows.iter().map(grant).collect())
}

fn default_grant(grant: &DefaultGrant) -> Finding {
    let grantee = grant.grantee.as_deref();
    let place = match &grant.schema {
        Some(schema) => format!(" in schema {schema}"),
        None => String::new(),
    };
    let becomes = match grant.is_ours {
        true => {
            "are put aside for the time of the job, and hold again after it unless the source has \
             some in their place"
        }
        false => "don't hold for what the job makes, stay as they are, and aren't compared",
    };
    let what = format!(
        "on the target give {} privileges on all new {}{place}: they {becomes}",
        grantee.unwrap_or("PUBLIC"),
        grant.objects.to_lowercase()
    );
    let place = match &grant.schema {
        Some(schema) => format!(" IN SCHEMA {}", quote_ident(schema)),
        None => String::new(),
    };
    let remedy = format!(
        "in the target database: ALTER DEFAULT PRIVILEGES FOR ROLE {}{place} REVOKE ALL ON {} FROM \
         {};",
        quote_ident(&grant.role),
        grant.objects,
        grantee.map_or_else(|| "PUBLIC".to_owned(), quote_ident)
    );
    Finding::note(format!("default privileges of {}", grant.role), what).mend(remedy)
}

async fn event_triggers(sides: &Sides<'_>) -> Result<Option<Finding>> {
    let sql = "SELECT t.evtname::text FROM pg_catalog.pg_event_trigger t \
         WHERE t.evtenabled IN ('O', 'A') AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend part \
         WHERE part.classid = 'pg_catalog.pg_event_trigger'::pg_catalog.regclass \
         AND part.objid = t.oid AND part.deptype = 'e') ORDER BY 1";
    let rows = sides.target().query("reading the target's event triggers", sql, &[]).await?;
    let names: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let Some(first) = names.first() else {
        return Ok(None);
    };
    let what = format!(
        "{} run at every definition the job makes, and may change or refuse it: {}",
        names.len(),
        named(&names)
    );
    let name = quote_ident(first);
    let remedy = format!(
        "for the time of the job, in the target database: ALTER EVENT TRIGGER {name} DISABLE;"
    );
    Ok(Some(Finding::change("event triggers", what).mend(remedy)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_grant_is_told_with_its_revocation() {
        let finding = default_grant(&DefaultGrant {
            role: "me".to_owned(),
            schema: Some("public".to_owned()),
            objects: "TABLES".to_owned(),
            grantee: None,
            is_ours: true,
        });
        assert_eq!(
            finding.remedy.as_deref(),
            Some(
                "in the target database: ALTER DEFAULT PRIVILEGES FOR ROLE \"me\" IN SCHEMA \
                 \"public\" REVOKE ALL ON TABLES FROM PUBLIC;"
            )
        );
    }
}
