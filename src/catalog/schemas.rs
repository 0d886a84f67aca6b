//! Schemas.

use crate::error::Result;
use crate::pg::{class, quote_ident};
use crate::toc::{Entry, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::fragments::stands_alone;
use super::scope::Scope;

/// The role that owns `public` in a fresh database from 15 on: whoever owns the database.
const DATABASE_OWNER: &str = "pg_database_owner";

/// Adds an entry for each of the user's schemas.
pub(super) async fn read(session: &Session, scope: &Scope, out: &mut Builder) -> Result<()> {
    let sql = format!(
        "select n.oid, n.nspname::text, pg_catalog.pg_get_userbyid(n.nspowner)::text as owner \
         from pg_catalog.pg_namespace n \
         where {} and {} order by n.nspname",
        scope.schemas("n.nspname"),
        stands_alone("pg_namespace", "n.oid")
    );
    for row in session.query("reading schemas", &sql, &[]).await? {
        let name: String = row.get("nspname");
        let owner: String = row.get("owner");
        out.add(ObjectId::new(class::PG_NAMESPACE, row.get("oid")), entry(&name, owner));
    }
    let sql = "select not exists (select from pg_catalog.pg_namespace where nspname = 'public')";
    if session.query_one("looking for schema public", sql, &[]).await?.get(0) {
        out.add_part(absence());
    }
    Ok(())
}

/// A new database has `public`, which this one hasn't.
fn absence() -> Entry {
    Entry {
        create: "DROP SCHEMA IF EXISTS \"public\";\n".to_owned(),
        ..Entry::new(Kind::Schema, None, "public")
    }
}

/// `public` is there in every fresh database, so creating it must do no harm where it stands; and
/// where the owner is the one a fresh database gives it, it is neither dropped nor given away.
fn entry(name: &str, owner: String) -> Entry {
    let ident = quote_ident(name);
    let mut entry = Entry::new(Kind::Schema, None, name);
    if name != "public" {
        entry.create = format!("CREATE SCHEMA {ident};\n");
    } else {
        entry.create = format!("CREATE SCHEMA IF NOT EXISTS {ident};\n");
        if owner == DATABASE_OWNER {
            return entry;
        }
    }
    entry.drop = format!("DROP SCHEMA {ident};");
    entry.owner = Some(owner);
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_created_and_given_to_its_owner() {
        let entry = entry("My \"s\"", "o".to_owned());
        assert_eq!(entry.create, "CREATE SCHEMA \"My \"\"s\"\"\";\n");
        assert_eq!(
            entry.owner_sql("o").as_deref(),
            Some("ALTER SCHEMA \"My \"\"s\"\"\" OWNER TO \"o\";\n")
        );
    }

    #[test]
    fn public_stays_as_it_is_unless_somebody_else_owns_it() {
        let untouched = entry("public", DATABASE_OWNER.to_owned());
        assert_eq!(untouched.create, "CREATE SCHEMA IF NOT EXISTS \"public\";\n");
        assert_eq!((untouched.owner, untouched.drop), (None, String::new()));
        let taken = entry("public", "app".to_owned());
        assert!(taken.owner_sql("app").is_some());
    }
}
