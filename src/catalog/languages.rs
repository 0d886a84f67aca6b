//! Procedural languages that no extension brings (documentation: SQL command CREATE LANGUAGE).

use crate::error::Result;
use crate::pg::{Oid, class, quote_ident};
use crate::toc::{Entry, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::fragments::{function_name, stands_alone};

/// Adds an entry for each of the user's languages.
pub(super) async fn read(session: &Session, out: &mut Builder) -> Result<()> {
    let sql = format!(
        "select l.oid, l.lanname::text, pg_catalog.pg_get_userbyid(l.lanowner)::text as owner, \
         l.lanpltrusted, {} as handler, {} as inline_handler, {} as validator \
         from pg_catalog.pg_language l where l.lanispl and l.oid >= {} and {} order by l.lanname",
        function_name("l.lanplcallfoid"),
        function_name("l.laninline"),
        function_name("l.lanvalidator"),
        Oid::FIRST_NORMAL,
        stands_alone("pg_language", "l.oid")
    );
    for row in session.query("reading procedural languages", &sql, &[]).await? {
        let language = Language {
            name: row.get("lanname"),
            owner: row.get("owner"),
            trusted: row.get("lanpltrusted"),
            handler: row.get("handler"),
            inline: row.get("inline_handler"),
            validator: row.get("validator"),
        };
        let object = ObjectId::new(class::PG_LANGUAGE, row.get("oid"));
        match language.entry() {
            Some(entry) => _ = out.add(object, entry),
            None => {
                out.needs_no_entry(object);
                out.unsupported(format!("language {}", language.name), "it has no handler");
            }
        }
    }
    Ok(())
}

/// A language; its functions are named as SQL reads them.
#[derive(Debug)]
struct Language {
    name: String,
    owner: String,
    trusted: bool,
    handler: Option<String>,
    inline: Option<String>,
    validator: Option<String>,
}

impl Language {
    /// None for one without a handler, which CREATE LANGUAGE can't make.
    fn entry(&self) -> Option<Entry> {
        let name = quote_ident(&self.name);
        let trusted = if self.trusted { "TRUSTED " } else { "" };
        let mut create = format!(
            "CREATE {trusted}PROCEDURAL LANGUAGE {name} HANDLER {}",
            self.handler.as_ref()?
        );
        for (word, function) in [("INLINE", &self.inline), ("VALIDATOR", &self.validator)] {
            if let Some(function) = function {
                create.push_str(&format!(" {word} {function}"));
            }
        }
        create.push_str(";\n");
        Some(Entry {
            owner: Some(self.owner.clone()),
            create,
            drop: format!("DROP PROCEDURAL LANGUAGE {name};\n"),
            ..Entry::new(Kind::Language, None, self.name.as_str())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_names_the_functions_it_has() {
        let language = Language {
            name: "Pl\"x".to_owned(),
            owner: "o".to_owned(),
            trusted: true,
            handler: Some("\"s\".\"h\"".to_owned()),
            inline: None,
            validator: Some("\"s\".\"v\"".to_owned()),
        };
        let entry = language.entry().unwrap();
        assert_eq!(
            entry.create,
            "CREATE TRUSTED PROCEDURAL LANGUAGE \"Pl\"\"x\" HANDLER \"s\".\"h\" \
             VALIDATOR \"s\".\"v\";\n"
        );
        assert_eq!(
            entry.owner_sql("x").as_deref(),
            Some("ALTER PROCEDURAL LANGUAGE \"Pl\"\"x\" OWNER TO \"x\";\n")
        );
        assert!(Language { handler: None, ..language }.entry().is_none());
    }
}
