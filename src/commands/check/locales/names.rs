//! Locales by name: for people, and for the CREATE DATABASE that keeps one.

use crate::catalog::DatabaseFacts;
use crate::pg::{quote_ident, quote_literal};

/// Windows' names of languages and countries, and everybody else's codes.
const WINDOWS: [(&str, &str); 24] = [
    ("English_United States", "en_US"),
    ("English_United Kingdom", "en_GB"),
    ("English_Australia", "en_AU"),
    ("English_Canada", "en_CA"),
    ("English_India", "en_IN"),
    ("German_Germany", "de_DE"),
    ("German_Austria", "de_AT"),
    ("German_Switzerland", "de_CH"),
    ("French_France", "fr_FR"),
    ("French_Canada", "fr_CA"),
    ("Spanish_Spain", "es_ES"),
    ("Spanish_Mexico", "es_MX"),
    ("Italian_Italy", "it_IT"),
    ("Portuguese_Brazil", "pt_BR"),
    ("Portuguese_Portugal", "pt_PT"),
    ("Dutch_Netherlands", "nl_NL"),
    ("Polish_Poland", "pl_PL"),
    ("Czech_Czechia", "cs_CZ"),
    ("Swedish_Sweden", "sv_SE"),
    ("Danish_Denmark", "da_DK"),
    ("Finnish_Finland", "fi_FI"),
    ("Russian_Russia", "ru_RU"),
    ("Turkish_Turkey", "tr_TR"),
    ("Japanese_Japan", "ja_JP"),
];

/// A database's locale for people: `en_US.UTF-8`, `C/en_US.UTF-8` where order and letters differ,
/// `icu:de-DE`.
pub(super) fn described(facts: &DatabaseFacts) -> String {
    let provider = match facts.locale_provider.as_str() {
        "i" => "icu",
        "b" => "builtin",
        _ if facts.collate == facts.ctype => return facts.collate.clone(),
        _ => return format!("{}/{}", facts.collate, facts.ctype),
    };
    format!("{provider}:{}", facts.locale.as_deref().unwrap_or_default())
}

/// The statement that makes the target's database with the source's locale, or with what comes
/// nearest to it elsewhere.
pub(super) fn keeping(source: &DatabaseFacts, database: &str) -> String {
    let encoding = match source.encoding.as_str() {
        "SQL_ASCII" => "SQL_ASCII",
        _ => "UTF8",
    };
    let provider = match (source.locale_provider.as_str(), &source.locale) {
        ("i", Some(locale)) => format!(" LOCALE_PROVIDER icu ICU_LOCALE {}", quote_literal(locale)),
        ("b", Some(locale)) => {
            format!(" LOCALE_PROVIDER builtin BUILTIN_LOCALE {}", quote_literal(locale))
        }
        _ => String::new(),
    };
    format!(
        "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}{provider};",
        quote_ident(database),
        quote_literal(encoding),
        quote_literal(&posix(&source.collate)),
        quote_literal(&posix(&source.ctype))
    )
}

/// What a locale is called outside of Windows.
fn posix(name: &str) -> String {
    let (language, codeset) = name.split_once('.').unwrap_or((name, ""));
    if let Some((_, code)) = WINDOWS.iter().find(|(windows, _)| *windows == language) {
        return format!("{code}.UTF-8");
    }
    // Newer Windows: en-US.
    match (language.split_once('-'), codeset) {
        (Some((a, b)), "") if a.len() == 2 && b.len() == 2 => format!("{a}_{b}.UTF-8"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_locales_have_names_elsewhere() {
        assert_eq!(posix("English_United States.1252"), "en_US.UTF-8");
        assert_eq!(posix("de-DE"), "de_DE.UTF-8");
        assert_eq!(posix("C"), "C");
        assert_eq!(posix("en_GB.UTF-8"), "en_GB.UTF-8");
    }
}
