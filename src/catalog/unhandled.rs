//! The kinds of object that no family reads yet: each such object is reported by name, so that
//! nothing is left out silently.

use crate::error::Result;
use crate::pg::Oid;
use crate::wire::Session;

use super::builder::Builder;
use super::fragments::stands_alone;
use super::scope::Scope;

/// Reports every object of a kind that isn't handled, and every security label.
pub(super) async fn read(session: &Session, scope: &Scope, out: &mut Builder) -> Result<()> {
    let sql = query(scope);
    for row in session.query("looking for objects that are not handled", &sql, &[]).await? {
        let what: String = row.get("what");
        out.unsupported(row.get::<_, String>("object"), format!("{what} are not handled yet"));
    }
    Ok(())
}

/// Catalogs whose objects live in a schema, the column that says which, and what they are.
const IN_SCHEMAS: [(&str, &str, &str); 8] = [
    ("pg_operator", "oprnamespace", "operators"),
    ("pg_opclass", "opcnamespace", "operator classes"),
    ("pg_opfamily", "opfnamespace", "operator families"),
    ("pg_conversion", "connamespace", "encoding conversions"),
    ("pg_ts_parser", "prsnamespace", "text search parsers"),
    ("pg_ts_dict", "dictnamespace", "text search dictionaries"),
    ("pg_ts_template", "tmplnamespace", "text search templates"),
    ("pg_ts_config", "cfgnamespace", "text search configurations"),
];

/// Catalogs whose objects live in none.
const IN_DATABASE: [(&str, &str); 8] = [
    ("pg_cast", "casts"),
    ("pg_transform", "transforms"),
    ("pg_am", "access methods"),
    ("pg_language", "procedural languages"),
    ("pg_foreign_data_wrapper", "foreign data wrappers"),
    ("pg_foreign_server", "foreign servers"),
    ("pg_event_trigger", "event triggers"),
    ("pg_publication", "publications"),
];

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
    let foreign_tables = format!(
        "select 'foreign tables', {} from pg_catalog.pg_class o \
         join pg_catalog.pg_namespace n on n.oid = o.relnamespace \
         where o.relkind = 'f' and {} and {}",
        described("pg_class"),
        own("pg_class"),
        scope.schemas("n.nspname")
    );
    // Subscriptions and user mappings can't be described by every user,
    // and the label's object may be part of another.
    let special = [
        "select 'user mappings', 'user mapping for ' || m.usename || ' on server ' || m.srvname \
         from pg_catalog.pg_user_mappings m",
        "select 'subscriptions', 'subscription ' || s.subname from pg_catalog.pg_subscription s \
         join pg_catalog.pg_database d on d.oid = s.subdbid \
         where d.datname = pg_catalog.current_database()",
        "select 'security labels', 'security label on ' \
         || pg_catalog.pg_describe_object(l.classoid, l.objoid, l.objsubid) \
         from pg_catalog.pg_seclabel l",
    ]
    .map(str::to_owned);
    let branches: Vec<String> =
        in_schemas.chain(in_database).chain([foreign_tables]).chain(special).collect();
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
