//! Operators that a definition's text can't name their schemas for. `IS DISTINCT FROM`, `NULLIF`,
//! `CASE x WHEN`, row comparisons and `JOIN … USING` take their operator by name alone, from the
//! search_path, so with an empty one `citext IS DISTINCT FROM citext` comes to compare as text.
//! Where a definition uses such a form and an operator outside pg_catalog, it is read with that
//! operator's schema in the search_path. pg_dump doesn't, and changes what such a definition means.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::error::Result;
use crate::pg::{Oid, class, quote_ident};
use crate::toc::EntryId;
use crate::wire::Session;

use super::builder::Builder;
use super::dependencies::Dependencies;

/// The forms that name no operator, as the server renders them.
const FORMS: &[&str] = &[" DISTINCT FROM ", "NULLIF(", "CASE ", "ROW(", " USING ("];

/// Wraps the entries' definitions that need it.
pub(super) async fn put_in_path(
    session: &Session,
    dependencies: &Dependencies,
    out: &mut Builder,
) -> Result<()> {
    let sql = "SELECT o.oid, n.nspname::text FROM pg_catalog.pg_operator o \
               JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace \
               WHERE n.nspname <> 'pg_catalog'";
    let rows = session.query("reading operators' schemas", sql, &[]).await?;
    let schemas: HashMap<Oid, String> =
        rows.iter().map(|row| (Oid(row.get(0)), row.get(1))).collect();
    let mut needed: BTreeMap<EntryId, BTreeSet<&str>> = BTreeMap::new();
    for (object, id) in out.created() {
        let operators = dependencies.of(object).iter().filter(|e| e.to.class == class::PG_OPERATOR);
        for schema in operators.filter_map(|edge| schemas.get(&edge.to.oid)) {
            needed.entry(id).or_default().insert(schema);
        }
    }
    for (id, schemas) in needed {
        let create = &mut out.entries[id.0 as usize].create;
        if FORMS.iter().any(|form| create.contains(form)) {
            *create = with_path(create, &schemas);
        }
    }
    Ok(())
}

fn with_path(create: &str, schemas: &BTreeSet<&str>) -> String {
    let path: Vec<String> = schemas.iter().map(|schema| quote_ident(schema)).collect();
    format!("SET search_path = {};\n{create}SET search_path = '';\n", path.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_definition_leaves_the_search_path_empty() {
        assert_eq!(
            with_path("CREATE TRIGGER t;\n", &BTreeSet::from(["public"])),
            "SET search_path = \"public\";\nCREATE TRIGGER t;\nSET search_path = '';\n"
        );
    }
}
