//! Functions: attributes and settings that only a superuser may give are taken off, each reported.
//! The server renders the clauses between LANGUAGE and the body (source: pg_get_functiondef in
//! ruleutils.c).

use std::ops::Range;

use crate::toc::Entry;
use crate::toc::finding::Finding;
use crate::toc::sql::{Token, tokens};
use crate::toc::target::TargetFacts;

use super::entries::refused_setting;

/// The language a function is written in.
pub(super) fn language(create: &str) -> Option<String> {
    clauses(create).get(1)?.1.name()
}

/// The schemas of the search_path that a function sets for itself.
pub(super) fn search_path(create: &str) -> Vec<String> {
    let found = clauses(create);
    let sets =
        |pair: &[(usize, Token<'_>)]| pair[0].1.is_word("SET") && pair[1].1.is_word("search_path");
    let Some(from) = found.windows(2).position(sets) else { return Vec::new() };
    let values = found[from..=last_of_setting(&found, from)].iter();
    let schema = |token: &Token<'_>| match token {
        Token::String(text) => Some(text.trim_matches('\'').replace("''", "'")),
        _ => None,
    };
    values.filter_map(|(_, token)| schema(token)).collect()
}

/// The tokens from LANGUAGE up to the body.
fn clauses(create: &str) -> Vec<(usize, Token<'_>)> {
    let mut depth = 0;
    let mut inside = false;
    let mut found = Vec::new();
    for (at, token) in tokens(create) {
        match token {
            Token::Mark('(') => depth += 1,
            Token::Mark(')') => depth -= 1,
            _ => {}
        }
        inside = inside || depth == 0 && token.is_word("LANGUAGE");
        let body = ["AS", "BEGIN", "RETURN"].into_iter().any(|word| token.is_word(word));
        // A function may be of language "as", but not begin with it.
        if inside && body && found.len() > 1 {
            break;
        }
        if inside {
            found.push((at, token));
        }
    }
    found
}

/// The function as the target user may create it.
pub(super) fn fit(entry: &mut Entry, target: &TargetFacts, findings: &mut Vec<Finding>) {
    let found = clauses(&entry.create);
    let administrator = |clause: &str| {
        let object = entry.drop.trim_end().trim_end_matches(';');
        let object = object.strip_prefix("DROP ").unwrap_or(object);
        format!("as an administrator of the target: ALTER {object} {clause};")
    };
    let mut taken: Vec<Range<usize>> = Vec::new();
    for (i, (at, token)) in found.iter().enumerate() {
        let negated = i > 0 && found[i - 1].1.is_word("NOT");
        let last = match token {
            word if word.is_word("LEAKPROOF") && !negated && !target.superuser => i,
            word if word.is_word("SUPPORT") && !target.superuser => last_of_name(&found, i),
            word if word.is_word("SET") => last_of_setting(&found, i),
            _ => continue,
        };
        let end = found[last].0 + found[last].1.len();
        let clause = &entry.create[*at..end];
        let what = match token {
            word if word.is_word("LEAKPROOF") => {
                "is created without LEAKPROOF, which takes a superuser: what it returns is the \
                 same, but conditions that call it no longer come before row security's and \
                 security barriers' own, so plans may be slower"
                    .to_owned()
            }
            word if word.is_word("SUPPORT") => format!(
                "is created without {clause}, which takes a superuser: what it returns is the \
                 same, but the planner knows less of it"
            ),
            _ => match refused_setting(clause, target) {
                Some(why) => format!("is created without {clause}, as {why}"),
                None => continue,
            },
        };
        findings.push(Finding::change(entry.title(), what).mend(administrator(clause)));
        // With the space before it: what is left reads as the server renders it.
        let before = found[..i].last().map_or(*at, |(at, token)| at + token.len());
        taken.push(before..end);
    }
    for range in taken.into_iter().rev() {
        entry.create.replace_range(range, "");
    }
}

/// The index of the last part of the name that follows `from`: parts have dots between them.
fn last_of_name(found: &[(usize, Token<'_>)], from: usize) -> usize {
    let mut last = from + 1;
    while found.get(last + 1).is_some_and(|(_, token)| *token == Token::Mark('.')) {
        last += 2;
    }
    last.min(found.len() - 1)
}

/// The index of the last value of the setting that begins at `from`: values have commas between
/// them.
fn last_of_setting(found: &[(usize, Token<'_>)], from: usize) -> usize {
    let mut last = from;
    for (i, (_, token)) in found.iter().enumerate().skip(from + 1) {
        match token {
            Token::String(_) => last = i,
            Token::Mark(',') => {}
            _ if last > from => break,
            _ => {}
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_clauses_and_no_arguments() {
        let create = "CREATE OR REPLACE FUNCTION s.f(language text, leakproof integer)\n RETURNS \
                      integer\n LANGUAGE \"my language\"\nAS $f$ LANGUAGE c $f$;\n";
        assert_eq!(language(create).as_deref(), Some("my language"));
    }

    #[test]
    fn clauses_end_where_the_body_begins() {
        let atomic = "CREATE OR REPLACE FUNCTION s.f()\n RETURNS integer\n LANGUAGE sql\n STABLE\n\
                      BEGIN ATOMIC\n SELECT leakproof FROM s.t;\nEND;\n";
        let words: Vec<String> =
            clauses(atomic).iter().filter_map(|(_, token)| token.name()).collect();
        assert_eq!(words, ["language", "sql", "stable"]);
    }
}
