//! Transforms: how a type travels into and out of a language (documentation: SQL command CREATE
//! TRANSFORM).

use crate::error::Result;
use crate::pg::{Oid, class, quote_ident};
use crate::toc::{Entry, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::fragments::{function_name, stands_alone};

/// Adds an entry for each of the user's transforms.
pub(super) async fn read(session: &Session, out: &mut Builder) -> Result<()> {
    let sql = format!(
        "select t.oid, pg_catalog.format_type(t.trftype, null) as type_name, l.lanname::text, \
         {} as from_sql, {} as to_sql from pg_catalog.pg_transform t \
         join pg_catalog.pg_language l on l.oid = t.trflang \
         where t.oid >= {} and {} order by type_name, l.lanname",
        function_name("t.trffromsql"),
        function_name("t.trftosql"),
        Oid::FIRST_NORMAL,
        stands_alone("pg_transform", "t.oid")
    );
    for row in session.query("reading transforms", &sql, &[]).await? {
        let entry =
            entry(row.get("type_name"), row.get("lanname"), row.get("from_sql"), row.get("to_sql"));
        out.add(ObjectId::new(class::PG_TRANSFORM, row.get("oid")), entry);
    }
    Ok(())
}

/// Both functions take one argument of type internal.
fn entry(type_name: &str, language: &str, from: Option<&str>, to: Option<&str>) -> Entry {
    let functions = [("FROM SQL", from), ("TO SQL", to)];
    let clauses: Vec<String> = functions
        .iter()
        .filter_map(|(word, function)| {
            Some(format!("{word} WITH FUNCTION {}(internal)", (*function)?))
        })
        .collect();
    let name = format!("FOR {type_name} LANGUAGE {}", quote_ident(language));
    Entry {
        create: format!("CREATE TRANSFORM {name} ({});\n", clauses.join(", ")),
        drop: format!("DROP TRANSFORM {name};\n"),
        ..Entry::new(
            Kind::Transform,
            None,
            format!("TRANSFORM FOR {type_name} LANGUAGE {language}"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transform_may_go_one_way_only() {
        assert_eq!(
            entry("\"s\".t", "plx", None, Some("\"s\".\"f\"")).create,
            "CREATE TRANSFORM FOR \"s\".t LANGUAGE \"plx\" \
             (TO SQL WITH FUNCTION \"s\".\"f\"(internal));\n"
        );
    }
}
