//! What the database was like that an archive was made of, by the statement that creates it (source:
//! bin/pg_dump/pg_dump.c, dumpDatabase).

use crate::catalog::{DEFAULT_TABLESPACE, DatabaseFacts};
use crate::toc::{Token, tokens};

/// What `CREATE DATABASE … WITH …` tells; none where it doesn't tell enough to make another like it.
pub(super) fn facts(create: &str) -> Option<DatabaseFacts> {
    let tokens: Vec<Token<'_>> = tokens(create).map(|(_, token)| token).collect();
    let option = |name: &str| {
        // Between the two there may be an equals sign, which pg_dump writes and we don't.
        let at = tokens.iter().position(|token| token.is_word(name))?;
        match tokens[at + 1..].iter().find(|token| **token != Token::Mark('='))? {
            Token::String(text) => Some(text.trim_matches('\'').replace("''", "'")),
            Token::Word(word) => Some((*word).to_owned()),
            _ => None,
        }
    };
    let locale = option("LOCALE");
    let icu = option("ICU_LOCALE");
    let provider = match option("LOCALE_PROVIDER").as_deref() {
        Some("icu") => "i",
        Some("builtin") => "b",
        _ => "c",
    };
    let name = tokens.get(2)?.name()?;
    // Before 17 the locale of ICU stood where libc's does, and libc's beside it.
    Some(DatabaseFacts {
        oid: 0,
        name,
        owner: String::new(),
        encoding: option("ENCODING")?,
        locale_provider: provider.to_owned(),
        collate: option("LC_COLLATE").or_else(|| locale.clone())?,
        ctype: option("LC_CTYPE").or_else(|| locale.clone())?,
        locale: icu.or_else(|| option("BUILTIN_LOCALE")),
        icu_rules: option("ICU_RULES"),
        connection_limit: -1,
        is_template: false,
        tablespace: option("TABLESPACE").unwrap_or_else(|| DEFAULT_TABLESPACE.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_and_locales_are_told_in_every_versions_words() {
        let of_15 = facts(
            "CREATE DATABASE \"My db\" WITH TEMPLATE = template0 ENCODING = 'UTF8' \
             LOCALE_PROVIDER = libc LOCALE = 'en_US.UTF-8';\n",
        );
        let DatabaseFacts { name, encoding, collate, ctype, locale, .. } = of_15.unwrap();
        assert_eq!((name.as_str(), encoding.as_str()), ("My db", "UTF8"));
        assert_eq!(
            (collate.as_str(), ctype.as_str(), locale),
            ("en_US.UTF-8", "en_US.UTF-8", None)
        );
        let of_17 = facts(
            "CREATE DATABASE db WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = icu \
             LC_COLLATE = 'C' LC_CTYPE = 'de_DE' ICU_LOCALE = 'de-u-co-phonebk' ICU_RULES = '&a < b' \
             TABLESPACE = fast;\n",
        )
        .unwrap();
        assert_eq!(of_17.tablespace, "fast");
        assert_eq!((of_17.locale_provider.as_str(), of_17.ctype.as_str()), ("i", "de_DE"));
        assert_eq!(of_17.locale.as_deref(), Some("de-u-co-phonebk"));
        assert_eq!(of_17.icu_rules.as_deref(), Some("&a < b"));
        let of_ours = facts(
            "CREATE DATABASE \"db\" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' \
             LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'",
        )
        .unwrap();
        assert_eq!((of_ours.locale_provider.as_str(), of_ours.collate.as_str()), ("b", "C"));
        assert_eq!(of_ours.locale.as_deref(), Some("C.UTF-8"));
        assert_eq!(facts("CREATE DATABASE db;"), None);
    }
}
