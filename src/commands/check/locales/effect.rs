//! What a locale does to text, found by asking it.

use crate::catalog::{self, DatabaseFacts};
use crate::commands::check::is_refusal_of_a_statement;
use crate::commands::check::sides::Sides;
use crate::error::Result;
use crate::wire::Session;

/// In what two locales differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Effect {
    /// The order of texts.
    pub(super) order: bool,
    /// A letter's upper or lower case.
    pub(super) letters: bool,
    /// The same for a letter of ASCII, as Turkish has it.
    pub(super) ascii_letters: bool,
}

impl Effect {
    pub(super) fn differs(self) -> bool {
        self.order || self.letters
    }
}

/// How one locale answers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    order: String,
    letters: String,
    ascii_letters: String,
}

/// Asks both sides; none where there is no database to ask that has the target's locale, or where
/// an encoding lacks the letters.
pub(super) async fn compare(sides: &Sides<'_>, target: &DatabaseFacts) -> Result<Option<Effect>> {
    let here = catalog::database_facts(sides.target()).await?;
    if locale(&here) != locale(target) {
        return Ok(None);
    }
    let all_of_unicode = [&sides.source, sides.target()]
        .iter()
        .all(|session| session.parameter("server_encoding") == Some("UTF8"));
    let letters = letters(all_of_unicode);
    let (source, target) =
        tokio::try_join!(ask(&sides.source, &letters), ask(sides.target(), &letters))?;
    Ok(source.zip(target).map(|(source, target)| Effect {
        order: source.order != target.order,
        letters: source.letters != target.letters,
        ascii_letters: source.ascii_letters != target.ascii_letters,
    }))
}

fn locale(facts: &DatabaseFacts) -> [Option<&str>; 6] {
    [
        Some(&facts.encoding),
        Some(&facts.locale_provider),
        Some(&facts.collate),
        Some(&facts.ctype),
        facts.locale.as_deref(),
        facts.icu_rules.as_deref(),
    ]
}

async fn ask(session: &Session, letters: &[String]) -> Result<Option<Answer>> {
    let cases = "SELECT pg_catalog.string_agg(pg_catalog.lower(c) || pg_catalog.upper(c), ' ' \
                 ORDER BY n) FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY u(c, n)";
    let order = "SELECT pg_catalog.string_agg(w, E'\\n' ORDER BY w, n) \
                 FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY u(w, n)";
    let ascii: Vec<String> = (b'A'..=b'z').map(|byte| char::from(byte).to_string()).collect();
    let words = words(letters);
    let answer = async |sql, texts: &[String]| {
        let row = session.query_one("asking what the locale does", sql, &[&texts]).await;
        row.map(|row| row.get::<_, String>(0))
    };
    let answers =
        tokio::try_join!(answer(order, &words), answer(cases, letters), answer(cases, &ascii));
    match answers {
        Ok((order, letters, ascii_letters)) => Ok(Some(Answer { order, letters, ascii_letters })),
        // untranslatable_character: the encoding lacks a letter.
        Err(error) if is_refusal_of_a_statement(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Letters with two cases: those that every Western encoding has, or the cased scripts of Unicode.
fn letters(all_of_unicode: bool) -> Vec<String> {
    let ranges: &[std::ops::RangeInclusive<u32>] = match all_of_unicode {
        true => &[0xA1..=0x587, 0x10A0..=0x10FF, 0x1E00..=0x1FFF, 0x2126..=0x2132, 0xFF21..=0xFF5A],
        false => &[0xC0..=0xD6, 0xD8..=0xF6, 0xF8..=0xFF],
    };
    let points = ranges.iter().cloned().flatten().filter_map(char::from_u32);
    points.filter(|c| c.is_alphabetic()).map(String::from).collect()
}

/// Texts that languages order differently: by letters before case, accents and punctuation, or by
/// code alone.
fn words(letters: &[String]) -> Vec<String> {
    let tricky = [
        "a", "A", "b", "B", "z", "Z", "aa", "aA", "Aa", "ab", "a b", "a-b", "a_b", "ab1", "ab10",
        "ab2", "1", "10", "2", "-1", "_", "ch", "cz", "ci", "h", "i", "ll", "lz", "co-op", "coop",
        "CO-OP", "côte", "coté", "cote", "aé", "az", "Ä", "Ö", "ss", "ß",
    ];
    let ascii = (b' '..=b'~').map(|byte| char::from(byte).to_string());
    let letters = letters.iter().flat_map(|letter| [letter.clone(), format!("z{letter}a")]);
    tricky.map(str::to_owned).into_iter().chain(ascii).chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn western_letters_are_in_every_western_encoding() {
        let western = letters(false);
        assert!(western.iter().all(|letter| letter.chars().all(|c| u32::from(c) <= 0xFF)));
        assert!(western.contains(&"É".to_owned()));
    }

    #[test]
    fn of_unicode_every_cased_script_is_asked_for() {
        let all = letters(true);
        for letter in ["é", "Ω", "я", "İ", "ẞ"] {
            assert!(all.contains(&letter.to_owned()), "{letter}");
        }
    }
}
