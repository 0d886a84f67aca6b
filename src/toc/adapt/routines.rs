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
    if target.superuser {
        return;
    }
    let mut taken: Vec<Range<usize>> = Vec::new();
    let found = clauses(&entry.create);
    let end_of = |at: usize| {
        let next = found.iter().map(|(start, _)| *start).find(|start| *start > at);
        next.unwrap_or_else(|| {
            let rest = tokens(&entry.create).map(|(start, _)| start).find(|start| *start > at);
            rest.unwrap_or(entry.create.len())
        })
    };
    let administrator = |clause: &str| {
        let object = entry.drop.trim_end().trim_end_matches(';');
        let object = object.strip_prefix("DROP ").unwrap_or(object);
        format!("as an administrator of the target: ALTER {object} {};", clause.trim())
    };
    for (i, (at, token)) in found.iter().enumerate() {
        let negated = i > 0 && found[i - 1].1.is_word("NOT");
        if token.is_word("LEAKPROOF") && !negated {
            taken.push(*at..end_of(*at));
            let what = "is created without LEAKPROOF, which takes a superuser: what it returns is \
                        the same, but conditions that call it are no longer used before row \
                        security's and security barriers' own, so plans may be slower";
            findings.push(Finding::change(entry.title(), what).mend(administrator("LEAKPROOF")));
        } else if token.is_word("SUPPORT") {
            let name = found[i + 1..].iter().take_while(|(_, token)| is_of_name(*token)).count();
            // A qualified name alternates with dots: what follows it is another clause.
            let parts = (0..name).take_while(|n| n % 2 == 0 || is_dot(found[i + 1 + n].1)).count();
            let end = end_of(found[i + parts].0);
            taken.push(*at..end);
            let clause = &entry.create[*at..end];
            let what = format!(
                "is created without {}, which takes a superuser: what it returns is the same, but \
                 the planner knows less of it",
                clause.trim()
            );
            findings.push(Finding::change(entry.title(), what).mend(administrator(clause)));
        } else if token.is_word("SET") {
            let end = end_of_setting(&found, i).map_or(entry.create.len(), end_of);
            let clause = &entry.create[*at..end];
            if let Some(why) = refused_setting(clause, target) {
                taken.push(*at..end);
                let what = format!("is created without {}, as {why}", clause.trim());
                findings.push(Finding::change(entry.title(), what).mend(administrator(clause)));
            }
        }
    }
    let mut kept = entry.create.clone();
    for range in taken.into_iter().rev() {
        kept.replace_range(range, "");
    }
    entry.create = kept;
}

fn is_of_name(token: Token<'_>) -> bool {
    matches!(token, Token::Word(_) | Token::Quoted(_)) || is_dot(token)
}

fn is_dot(token: Token<'_>) -> bool {
    token == Token::Mark('.')
}

/// Where the last value of the setting that begins at `from` begins: values are strings with commas
/// between them.
fn end_of_setting(found: &[(usize, Token<'_>)], from: usize) -> Option<usize> {
    let mut last = None;
    for (at, token) in &found[from + 1..] {
        match token {
            Token::String(_) => last = Some(*at),
            Token::Mark(',') => {}
            _ if last.is_some() => break,
            _ => {}
        }
    }
    last
}
