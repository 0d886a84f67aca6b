//! ICU's locales, which PostgreSQL keeps as language tags from 16 on: what was `en_US` or
//! `@colNumeric=yes` is stored as `en-US` and `und-u-kn-true` (source: collationcmds.c,
//! DefineCollation; ICU's documentation: "Locale", keywords of collation).

use std::collections::BTreeMap;

use crate::toc::{Token, tokens};

/// Values, and what language tags call them.
type Renamed = &'static [(&'static str, &'static str)];

/// Keywords of ICU's old names and those of language tags, with the values that are called
/// otherwise there.
const KEYWORDS: [(&str, &str, Renamed); 10] = [
    (
        "collation",
        "co",
        &[
            ("phonebook", "phonebk"),
            ("traditional", "trad"),
            ("dictionary", "dict"),
            ("gb2312han", "gb2312"),
        ],
    ),
    (
        "colstrength",
        "ks",
        &[
            ("primary", "level1"),
            ("secondary", "level2"),
            ("tertiary", "level3"),
            ("quaternary", "level4"),
            ("quarternary", "level4"),
            ("identical", "identic"),
        ],
    ),
    ("colalternate", "ka", &[("non-ignorable", "noignore")]),
    ("colbackwards", "kb", YES),
    ("colnormalization", "kk", YES),
    ("colcaselevel", "kc", YES),
    ("colcasefirst", "kf", &[("no", "false")]),
    ("colhiraganaquaternary", "kh", YES),
    ("colnumeric", "kn", YES),
    ("colreorder", "kr", &[]),
];

const YES: Renamed = &[("yes", "true"), ("no", "false")];

/// Whether two collations are defined alike but for how ICU's locale is written.
pub(super) fn same_but_for_form(ours: &str, theirs: &str) -> bool {
    let (ours, our_locale) = apart(ours);
    let (theirs, their_locale) = apart(theirs);
    ours == theirs && is_icus(&ours) && Locale::of(&our_locale) == Locale::of(&their_locale)
}

/// Other providers have names of their own for locales, in which case and form count.
fn is_icus(definition: &[Token<'_>]) -> bool {
    definition.windows(3).any(|three| {
        three[0].is_word("provider") && three[1] == Token::Mark('=') && three[2].is_word("icu")
    })
}

/// A definition without its locale, and that.
fn apart(sql: &str) -> (Vec<Token<'_>>, String) {
    let mut all: Vec<Token<'_>> = tokens(sql).map(|(_, token)| token).collect();
    let at = all.windows(3).position(|three| {
        three[0].is_word("locale")
            && three[1] == Token::Mark('=')
            && matches!(three[2], Token::String(_))
    });
    let locale = match at.map(|at| all.remove(at + 2)) {
        Some(Token::String(text)) => text.trim_matches('\'').to_owned(),
        _ => String::new(),
    };
    (all, locale)
}

/// What a locale says in either form.
#[derive(Debug, PartialEq, Eq)]
struct Locale {
    language: String,
    settings: BTreeMap<String, String>,
}

impl Locale {
    fn of(text: &str) -> Locale {
        let text = text.to_lowercase();
        let (language, mut settings) = match text.split_once('@') {
            Some((language, keywords)) => (language.to_owned(), old_settings(keywords)),
            None => match text.split_once("-u-") {
                Some((language, settings)) => (language.to_owned(), tag_settings(settings)),
                None => (text, BTreeMap::new()),
            },
        };
        // ICU takes an encoding's name from a locale of the operating system's, and leaves it out.
        let language = language.split('.').next().unwrap_or_default().replace('_', "-");
        let language = match language.as_str() {
            "" | "root" => "und".to_owned(),
            "c" | "posix" | "en-us-posix" => {
                settings.insert("va".to_owned(), "posix".to_owned());
                "en-us".to_owned()
            }
            _ => language,
        };
        Locale { language, settings }
    }
}

/// `colcasefirst=lower;colnumeric=yes`.
fn old_settings(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split(';').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs
        .map(|(key, value)| {
            let known = KEYWORDS.iter().find(|(old, ..)| *old == key);
            let (key, values) = known.map_or((key, &[][..]), |(_, new, values)| (*new, *values));
            let renamed = values.iter().find(|(old, _)| *old == value);
            (key.to_owned(), renamed.map_or(value, |(_, new)| *new).to_owned())
        })
        .collect()
}

/// `kf-lower-kn-true`, where `true` goes without saying. Keys have two letters, values have more.
fn tag_settings(text: &str) -> BTreeMap<String, String> {
    let mut settings: BTreeMap<String, String> = BTreeMap::new();
    let mut last = None;
    for part in text.split('-') {
        match &last {
            Some(key) if part.len() > 2 => {
                let value: &mut String = settings.entry(String::clone(key)).or_default();
                if !value.is_empty() {
                    value.push('-');
                }
                value.push_str(part);
            }
            _ => {
                settings.insert(part.to_owned(), String::new());
                last = Some(part.to_owned());
            }
        }
    }
    for value in settings.values_mut().filter(|value| value.is_empty()) {
        value.push_str("true");
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(ours: &str, theirs: &str) -> bool {
        let sql = |locale| {
            format!("CREATE COLLATION \"s\".\"c\" (provider = icu, locale = '{locale}');\n")
        };
        same_but_for_form(&sql(ours), &sql(theirs))
    }

    #[test]
    fn a_locale_is_the_same_as_a_language_tag() {
        assert!(same("en_US", "en-US"));
        assert!(same("", "und"));
        assert!(same("en_US.utf8", "en-US"));
        assert!(same("de_DE.utf8@collation=phonebook", "de-DE-u-co-phonebk"));
        assert!(same("C.UTF-8", "en-US-u-va-posix"));
        assert!(same("@colCaseFirst=lower;colNumeric=yes", "und-u-kf-lower-kn-true"));
        assert!(same("de@collation=phonebook", "de-u-co-phonebk"));
        assert!(same("und-u-kn-ks-level2", "und-u-kn-true-ks-level2"));
        assert!(same("und-u-kr-grek-digit", "und-u-kr-grek-digit"));
    }

    #[test]
    fn what_locales_say_counts() {
        assert!(!same("en_US", "en-GB"));
        assert!(!same("C.UTF-8", "en-US"));
        assert!(!same("@colStrength=secondary", "und-u-ks-level1"));
        assert!(!same("@colNumeric=yes", "und"));
        assert!(!same("und-u-kr-grek-digit", "und-u-kr-digit-grek"));
        let other = "CREATE COLLATION \"s\".\"c\" (provider = libc, locale = 'en-US');\n";
        let icu = "CREATE COLLATION \"s\".\"c\" (provider = icu, locale = 'en-US');\n";
        assert!(!same_but_for_form(icu, other));
        assert!(!same("@colNumeric", "und"));
    }

    #[test]
    fn locales_of_other_providers_are_names() {
        for provider in ["libc", "builtin"] {
            let sql = |locale| {
                format!("CREATE COLLATION s.c (provider = {provider}, locale = '{locale}');\n")
            };
            assert!(!same_but_for_form(&sql("en_US.utf8"), &sql("en-US.utf8")));
            assert!(!same_but_for_form(&sql("C.UTF-8"), &sql("c.utf-8")));
        }
    }
}
