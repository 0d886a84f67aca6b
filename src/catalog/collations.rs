//! Collations (documentation: SQL command CREATE COLLATION).

use crate::error::Result;
use crate::pg::{QualifiedName, class, quote_literal};
use crate::toc::{Entry, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::fragments::{qualified, stands_alone};
use super::scope::Scope;

/// Adds an entry for each of the user's collations.
pub(super) async fn read(session: &Session, scope: &Scope, out: &mut Builder) -> Result<()> {
    let sql = query(scope, session.version().major());
    for row in session.query("reading collations", &sql, &[]).await? {
        let collation = Collation {
            name: qualified(&row, "collname"),
            owner: row.get("owner"),
            provider: row.get("collprovider"),
            deterministic: row.get("collisdeterministic"),
            collate: row.get("collcollate"),
            ctype: row.get("collctype"),
            locale: row.get("locale"),
            rules: row.get("rules"),
        };
        let object = ObjectId::new(class::PG_COLLATION, row.get("oid"));
        match collation.entry() {
            Some(entry) => {
                out.add(object, entry);
            }
            None => out.unsupported(
                format!("collation {}", collation.name),
                format!("its provider \"{}\" is not known", collation.provider),
            ),
        }
    }
    Ok(())
}

/// A locale that isn't libc's lies in collcollate before 15, in colliculocale in 15 and 16, in
/// colllocale since 17.
fn query(scope: &Scope, major: u32) -> String {
    let locale = match major {
        17.. => "c.colllocale",
        15 | 16 => "c.colliculocale",
        _ => "case when c.collprovider = 'i' then c.collcollate::text end",
    };
    let rules = if major >= 16 { "c.collicurules" } else { "null::text" };
    format!(
        "select c.oid, n.nspname::text, c.collname::text, \
         pg_catalog.pg_get_userbyid(c.collowner)::text as owner, \
         c.collprovider::text, c.collisdeterministic, \
         c.collcollate::text, c.collctype::text, {locale} as locale, {rules} as rules \
         from pg_catalog.pg_collation c \
         join pg_catalog.pg_namespace n on n.oid = c.collnamespace \
         where {} and {} and c.collencoding in (-1, (select d.encoding \
         from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())) \
         order by n.nspname, c.collname",
        scope.schemas("n.nspname"),
        stands_alone("pg_collation", "c.oid")
    )
}

#[derive(Debug)]
struct Collation {
    name: QualifiedName,
    owner: String,
    provider: String,
    deterministic: bool,
    collate: Option<String>,
    ctype: Option<String>,
    locale: Option<String>,
    rules: Option<String>,
}

impl Collation {
    /// None for a provider that isn't known.
    fn entry(&self) -> Option<Entry> {
        let provider = match self.provider.as_str() {
            "c" => "libc",
            "i" => "icu",
            "b" => "builtin",
            "d" => "default",
            _ => return None,
        };
        let mut options = vec![format!("provider = {provider}")];
        if !self.deterministic {
            options.push("deterministic = false".to_owned());
        }
        let mut option = |name: &str, value: &Option<String>| {
            if let Some(value) = value {
                options.push(format!("{name} = {}", quote_literal(value)));
            }
        };
        if provider != "libc" {
            option("locale", &self.locale);
        } else if self.collate == self.ctype {
            option("locale", &self.collate);
        } else {
            option("lc_collate", &self.collate);
            option("lc_ctype", &self.ctype);
        }
        option("rules", &self.rules);
        let name = self.name.sql();
        Some(Entry {
            owner: Some(self.owner.clone()),
            create: format!("CREATE COLLATION {name} ({});\n", options.join(", ")),
            drop: format!("DROP COLLATION {name};"),
            ..Entry::new(Kind::Collation, Some(&self.name.schema), self.name.name.as_str())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn libc() -> Collation {
        Collation {
            name: QualifiedName::new("s", "c"),
            owner: "o".to_owned(),
            provider: "c".to_owned(),
            deterministic: true,
            collate: Some("C".to_owned()),
            ctype: Some("C".to_owned()),
            locale: None,
            rules: None,
        }
    }

    #[test]
    fn a_libc_collation_names_one_locale_or_both() {
        assert_eq!(
            libc().entry().unwrap().create,
            "CREATE COLLATION \"s\".\"c\" (provider = libc, locale = 'C');\n"
        );
        let both = Collation { ctype: Some("C.UTF-8".to_owned()), ..libc() };
        assert_eq!(
            both.entry().unwrap().create,
            "CREATE COLLATION \"s\".\"c\" \
             (provider = libc, lc_collate = 'C', lc_ctype = 'C.UTF-8');\n"
        );
    }

    #[test]
    fn an_icu_collation_keeps_its_rules_and_that_it_is_nondeterministic() {
        let icu = Collation {
            provider: "i".to_owned(),
            deterministic: false,
            locale: Some("und-u-ks-level2".to_owned()),
            rules: Some("&a < g".to_owned()),
            ..libc()
        };
        assert_eq!(
            icu.entry().unwrap().create,
            "CREATE COLLATION \"s\".\"c\" (provider = icu, deterministic = false, \
             locale = 'und-u-ks-level2', rules = '&a < g');\n"
        );
    }

    #[test]
    fn an_unknown_provider_is_not_guessed() {
        let odd = Collation { provider: "z".to_owned(), ..libc() };
        assert_eq!(odd.entry(), None);
    }
}
