//! The kinds of object that no family reads yet: each such object is reported by name, so that
//! nothing is left out silently.

use crate::error::Result;
use crate::pg::Oid;
use crate::wire::Session;

use super::builder::Builder;
use super::fragments::stands_alone;
use super::scope::Scope;

/// Reports every object of a kind that isn't handled.
pub(super) async fn read(session: &Session, scope: &Scope, out: &mut Builder) -> Result<()> {
    let sql = query(scope);
    for row in session.query("looking for objects that are not handled", &sql, &[]).await? {
        let what: String = row.get("what");
        out.unsupported(row.get::<_, String>("object"), format!("{what} are not handled yet"));
    }
    Ok(())
}

/// Catalogs whose objects live in a schema, the column that says which, and what they are.
const IN_SCHEMAS: [(&str, &str, &str); 3] = [
    ("pg_operator", "oprnamespace", "operators"),
    ("pg_opclass", "opcnamespace", "operator classes"),
    ("pg_opfamily", "opfnamespace", "operator families"),
];

/// Catalogs whose objects live in none.
const IN_DATABASE: [(&str, &str); 2] = [("pg_cast", "casts"), ("pg_am", "access methods")];

fn query(scope: &Scope) -> String {
    let described = |catalog: &str| {
        format!(
            "pg_catalog.pg_describe_object('pg_catalog.{catalog}'::pg_catalog.regclass, o.oid, 0)"
        )
    };
    let own = |catalog: &str| {
        format!("o.oid >= {} and {}", Oid::FIRST_NORMAL, stands_alone(catalog, "o.oid"))
    };
    let in_schemas = IN_SCHEMAS.iter().map(|(catalog, schema, what)| {
        format!(
            "select '{what}' as what, {} as object from pg_catalog.{catalog} o \
             join pg_catalog.pg_namespace n on n.oid = o.{schema} where {} and {}",
            described(catalog),
            own(catalog),
            scope.schemas("n.nspname")
        )
    });
    let in_database = IN_DATABASE.iter().map(|(catalog, what)| {
        format!(
            "select '{what}', {} from pg_catalog.{catalog} o where {}",
            described(catalog),
            own(catalog)
        )
    });
    // An enum's hash is made from OIDs, which differ between clusters: the rows belong into other
    // partitions there (source: pg_dump.c, forcePartitionRootLoad).
    let hashed_enums = format!(
        "select 'partitions by the hash of an enum', {} from pg_catalog.pg_class o \
         join pg_catalog.pg_namespace n on n.oid = o.relnamespace \
         join pg_catalog.pg_partitioned_table p on p.partrelid = o.oid and p.partstrat = 'h' \
         where exists (select from pg_catalog.pg_opclass c \
         where c.oid = any (p.partclass) and c.opcname = 'enum_ops') and {}",
        described("pg_class"),
        scope.schemas("n.nspname")
    );
    // Large objects may be many.
    let special = ["select 'large objects', pg_catalog.count(*) || ' large objects' \
         from pg_catalog.pg_largeobject_metadata having pg_catalog.count(*) > 0"]
    .map(str::to_owned);
    let branches: Vec<String> =
        in_schemas.chain(in_database).chain([hashed_enums]).chain(special).collect();
    format!("{} order by 1, 2", branches.join(" union all "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_catalog_is_asked_for_the_users_own_objects() {
        let sql = query(&Scope::default());
        let catalogs = IN_SCHEMAS
            .map(|(catalog, ..)| catalog)
            .into_iter()
            .chain(IN_DATABASE.map(|(catalog, _)| catalog));
        for catalog in catalogs {
            assert!(
                sql.contains(&format!(
                    "part.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass"
                )),
                "{catalog}"
            );
        }
    }
}
