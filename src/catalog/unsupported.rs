//! Objects of kinds that no family handles: found and named, so that nothing is left out silently.

use crate::error::Result;
use crate::pg::Oid;
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::scope::Scope;

/// The catalogs all of whose objects are of such a kind.
const CATALOGS: &[&str] = &[
    "pg_am",
    "pg_cast",
    "pg_conversion",
    "pg_event_trigger",
    "pg_foreign_data_wrapper",
    "pg_foreign_server",
    "pg_language",
    "pg_opclass",
    "pg_operator",
    "pg_opfamily",
    "pg_publication",
    "pg_transform",
    "pg_ts_config",
    "pg_ts_dict",
    "pg_ts_parser",
    "pg_ts_template",
];

/// Why such an object isn't moved.
const WHY: &str = "objects of this kind are not moved yet";

/// Reports every object that is the users' own and of a kind that isn't handled.
pub(super) async fn read(session: &Session, scope: &Scope, out: &mut Builder) -> Result<()> {
    let rows = session
        .query("looking for unsupported objects", &objects_sql(scope), &[])
        .await?;
    for row in &rows {
        if !out.is_extension_member(ObjectId::new(Oid(row.get(0)), row.get(1))) {
            let (kind, identity): (&str, &str) = (row.get(2), row.get(3));
            out.unsupported(format!("{kind} {identity}"), WHY);
        }
    }
    let rows = session
        .query("looking for unsupported objects", OTHERS_SQL, &[])
        .await?;
    for row in &rows {
        out.unsupported(row.get::<_, String>(0), WHY);
    }
    Ok(())
}

/// Objects that the server can name. A type that is an array's, a table's row or a domain isn't
/// one of them; nor is a foreign table in a schema out of scope.
fn objects_sql(scope: &Scope) -> String {
    let first = Oid::FIRST_NORMAL;
    let mut found: Vec<String> = CATALOGS
        .iter()
        .map(|catalog| {
            format!("SELECT tableoid, oid FROM pg_catalog.{catalog} WHERE oid >= {first}")
        })
        .collect();
    found.push(format!(
        "SELECT t.tableoid, t.oid FROM pg_catalog.pg_type t \
         WHERE t.oid >= {first} AND (NOT t.typisdefined OR t.typtype = 'b' AND NOT EXISTS \
               (SELECT FROM pg_catalog.pg_type e WHERE e.typarray = t.oid))"
    ));
    found.push(format!(
        "SELECT c.tableoid, c.oid FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind = 'f' AND {}",
        scope.schemas("n.nspname")
    ));
    format!(
        "SELECT f.tableoid, f.oid, i.type, i.identity FROM ({}) AS f, \
         LATERAL pg_catalog.pg_identify_object(f.tableoid, f.oid, 0) AS i \
         ORDER BY i.type, i.identity",
        found.join(" UNION ALL ")
    )
}

/// What has no OID of its own, or only the superuser may see in full.
const OTHERS_SQL: &str = "\
    SELECT pg_catalog.format('user mapping for %s on server %s', usename, srvname) \
    FROM pg_catalog.pg_user_mappings \
    UNION ALL SELECT pg_catalog.format('subscription %s', subname) \
    FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid \
    WHERE d.datname = pg_catalog.current_database() \
    UNION ALL SELECT pg_catalog.format('%s large objects', count(*)) \
    FROM pg_catalog.pg_largeobject_metadata HAVING count(*) > 0 \
    UNION ALL SELECT pg_catalog.format('security label of %s on %s %s', provider, objtype, objname) \
    FROM pg_catalog.pg_seclabels";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_catalog_is_asked_for_the_users_objects_only() {
        let sql = objects_sql(&Scope::default());
        for catalog in CATALOGS {
            let part = format!("FROM pg_catalog.{catalog} WHERE oid >= 16384");
            assert!(sql.contains(&part), "{catalog}");
        }
    }
}
