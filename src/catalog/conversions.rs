//! Conversions between encodings (documentation: SQL command CREATE CONVERSION).

use crate::error::Result;
use crate::pg::{QualifiedName, class, quote_literal};
use crate::toc::{Entry, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::fragments::{function_name, qualified, stands_alone};
use super::rendered::rendered;
use super::scope::Scope;

/// Adds an entry for each of the user's conversions.
pub(super) async fn read(session: &Session, scope: &Scope, out: &mut Builder) -> Result<()> {
    let sql = format!(
        "select c.oid, n.nspname::text, c.conname::text, c.condefault, \
         pg_catalog.pg_get_userbyid(c.conowner)::text as owner, \
         pg_catalog.pg_encoding_to_char(c.conforencoding)::text as source, \
         pg_catalog.pg_encoding_to_char(c.contoencoding)::text as target, {} as function \
         from pg_catalog.pg_conversion c \
         join pg_catalog.pg_namespace n on n.oid = c.connamespace \
         where {} and {} order by n.nspname, c.conname",
        function_name("c.conproc"),
        scope.schemas("n.nspname"),
        stands_alone("pg_conversion", "c.oid")
    );
    for row in session.query("reading encoding conversions", &sql, &[]).await? {
        let name = qualified(&row, "conname");
        let conversion = Conversion {
            function: rendered(&row, "function", || format!("conversion {name}"))?.to_owned(),
            name,
            owner: row.get("owner"),
            default: row.get("condefault"),
            from: row.get("source"),
            to: row.get("target"),
        };
        out.add(ObjectId::new(class::PG_CONVERSION, row.get("oid")), conversion.entry());
    }
    Ok(())
}

#[derive(Debug)]
struct Conversion {
    name: QualifiedName,
    owner: String,
    default: bool,
    from: String,
    to: String,
    /// As SQL reads it.
    function: String,
}

impl Conversion {
    fn entry(&self) -> Entry {
        let name = self.name.sql();
        Entry {
            owner: Some(self.owner.clone()),
            create: format!(
                "CREATE {}CONVERSION {name} FOR {} TO {} FROM {};\n",
                if self.default { "DEFAULT " } else { "" },
                quote_literal(&self.from),
                quote_literal(&self.to),
                self.function
            ),
            drop: format!("DROP CONVERSION {name};\n"),
            ..Entry::new(Kind::Conversion, Some(&self.name.schema), self.name.name.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_conversion_says_so() {
        let conversion = Conversion {
            name: QualifiedName::new("s", "c"),
            owner: "o".to_owned(),
            default: true,
            from: "LATIN1".to_owned(),
            to: "UTF8".to_owned(),
            function: "\"pg_catalog\".\"iso8859_1_to_utf8\"".to_owned(),
        };
        assert_eq!(
            conversion.entry().create,
            "CREATE DEFAULT CONVERSION \"s\".\"c\" FOR 'LATIN1' TO 'UTF8' \
             FROM \"pg_catalog\".\"iso8859_1_to_utf8\";\n"
        );
    }
}
