//! Extensions. Their members are never entries: the extension's script brings them.

use crate::error::Result;
use crate::pg::{Oid, class, quote_ident};
use crate::toc::{Entry, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::scope::Scope;

/// An extension as it is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionFacts {
    /// Its name.
    pub name: String,
    /// The installed version.
    pub version: String,
    /// The schema it is installed in.
    pub schema: String,
}

/// Adds an entry for each extension but those that initdb installs, and tells of all of them.
pub(super) async fn read(
    session: &Session,
    _scope: &Scope,
    out: &mut Builder,
) -> Result<Vec<ExtensionFacts>> {
    let rows = session
        .query(
            "reading extensions",
            "select e.oid, e.extname::text, e.extversion, n.nspname::text \
             from pg_catalog.pg_extension e \
             join pg_catalog.pg_namespace n on n.oid = e.extnamespace order by e.extname",
            &[],
        )
        .await?;
    let mut facts = Vec::with_capacity(rows.len());
    for row in rows {
        let oid: u32 = row.get("oid");
        let extension = ExtensionFacts {
            name: row.get("extname"),
            version: row.get("extversion"),
            schema: row.get("nspname"),
        };
        if Oid(oid) >= Oid::FIRST_NORMAL {
            out.add(ObjectId::new(class::PG_EXTENSION, oid), entry(&extension));
        }
        facts.push(extension);
    }
    Ok(facts)
}

/// Neither version nor owner: the target installs what it has, as whoever may.
fn entry(extension: &ExtensionFacts) -> Entry {
    let name = quote_ident(&extension.name);
    Entry {
        create: format!(
            "CREATE EXTENSION IF NOT EXISTS {name} WITH SCHEMA {};\n",
            quote_ident(&extension.schema)
        ),
        drop: format!("DROP EXTENSION {name};"),
        ..Entry::new(Kind::Extension, None, extension.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_goes_into_its_schema_in_whatever_version_there_is() {
        let entry = entry(&ExtensionFacts {
            name: "uuid-ossp".to_owned(),
            version: "1.1".to_owned(),
            schema: "public".to_owned(),
        });
        assert_eq!(
            entry.create,
            "CREATE EXTENSION IF NOT EXISTS \"uuid-ossp\" WITH SCHEMA \"public\";\n"
        );
        assert_eq!(entry.owner_sql("o"), None);
    }
}
