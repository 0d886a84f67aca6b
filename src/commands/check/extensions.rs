//! The versions and places of extensions. Whether the target has them at all, and lets its user
//! create them, adapting the table of contents tells.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::catalog::ExtensionFacts;
use crate::error::Result;
use crate::pg::quote_ident;
use crate::toc::{Finding, TargetFacts};

use super::sides::Sides;

/// Compares the source's extensions with what the target has or would install.
pub(super) async fn findings(
    sides: &Sides<'_>,
    source: &[ExtensionFacts],
    target: &TargetFacts,
) -> Result<Vec<Finding>> {
    let schemas = match sides.target_is_missing() {
        true => BTreeMap::new(),
        false => schemas(sides).await?,
    };
    let versions = source.iter().filter_map(|extension| version(extension, target));
    let places = source.iter().filter_map(|extension| place(extension, &schemas));
    Ok(versions.chain(places).collect())
}

/// Where the target's installed extensions are.
async fn schemas(sides: &Sides<'_>) -> Result<BTreeMap<String, String>> {
    let sql = "SELECT e.extname::text, n.nspname::text FROM pg_catalog.pg_extension e \
               JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace";
    let rows = sides.target().query("reading the target's extensions", sql, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Definitions name an extension's objects with their schema.
fn place(extension: &ExtensionFacts, schemas: &BTreeMap<String, String>) -> Option<Finding> {
    let ExtensionFacts { name, schema, .. } = extension;
    let there = schemas.get(name).filter(|there| *there != schema)?;
    let what = format!("is in schema {there} on the target, in {schema} on the source");
    let (ident, schema) = (quote_ident(name), quote_ident(schema));
    let remedy = format!(
        "in the target database: ALTER EXTENSION {ident} SET SCHEMA {schema}; or DROP EXTENSION \
         {ident}; and it is made where it belongs"
    );
    Some(Finding::refusal(format!("EXTENSION {name}"), what).mend(remedy))
}

fn version(extension: &ExtensionFacts, target: &TargetFacts) -> Option<Finding> {
    let there = target.extensions.get(&extension.name)?;
    let version = there.installed.as_ref().unwrap_or(&there.default_version);
    let object = format!("EXTENSION {}", extension.name);
    let (theirs, ours) = (&extension.version, version);
    match compare(theirs, ours) {
        Ordering::Equal => None,
        Ordering::Less => {
            let what = format!("will be version {ours}; the source's is {theirs}");
            Some(Finding::note(object, what))
        }
        Ordering::Greater => {
            let what = format!(
                "will be version {ours}, older than the source's {theirs}: what came since is \
                 missing"
            );
            let name = quote_ident(&extension.name);
            let remedy = match &there.installed {
                Some(_) if compare(&there.default_version, ours).is_gt() => {
                    format!("in the target database: ALTER EXTENSION {name} UPDATE;")
                }
                _ => format!(
                    "install version {theirs} of {} on the target server, or choose a newer server",
                    extension.name
                ),
            };
            Some(Finding::change(object, what).mend(remedy))
        }
    }
}

/// By numbers where both have them, as in 1.9 < 1.10; PostgreSQL itself gives versions no order.
fn compare(a: &str, b: &str) -> Ordering {
    let parts = |version: &str| -> Vec<(u64, String)> {
        let parts = version.split(|c: char| !c.is_ascii_alphanumeric());
        parts.map(|part| (part.parse().unwrap_or(0), part.to_owned())).collect()
    };
    parts(a).cmp(&parts(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_in_another_schema_is_refused() {
        let extension = ExtensionFacts {
            name: "citext".to_owned(),
            version: "1.6".to_owned(),
            schema: "public".to_owned(),
        };
        let schemas = |schema: &str| [("citext".to_owned(), schema.to_owned())].into();
        assert!(place(&extension, &schemas("extensions")).is_some());
        assert_eq!(place(&extension, &schemas("public")), None);
        assert_eq!(place(&extension, &BTreeMap::new()), None);
    }

    #[test]
    fn versions_are_compared_by_number() {
        assert_eq!(compare("1.9", "1.10"), Ordering::Less);
        assert_eq!(compare("1.6", "1.6"), Ordering::Equal);
        assert_eq!(compare("3.4.2", "3.4"), Ordering::Greater);
    }
}
