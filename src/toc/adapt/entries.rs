//! Single entries that a target refuses from a user who is no superuser, or hasn't got at all.

use std::collections::BTreeMap;

use crate::pg::quote_ident;
use crate::toc::finding::Finding;
use crate::toc::sql::{Token, statements, tokens};
use crate::toc::target::TargetFacts;
use crate::toc::{Entry, Kind};

/// The entry as the target takes it, or none where it is left out.
pub(super) fn fit(
    mut entry: Entry,
    role_map: &BTreeMap<String, String>,
    target: &TargetFacts,
    findings: &mut Vec<Finding>,
) -> Option<Entry> {
    match entry.kind {
        Kind::Extension => extension(&entry, target, findings),
        Kind::Role => {
            if role_map.contains_key(&entry.name) && !target.roles.contains_key(&entry.name) {
                return None;
            }
            keep_statements(&mut entry, target, findings, role_statement);
        }
        Kind::DatabaseProperties => {
            keep_statements(&mut entry, target, findings, setting_statement);
        }
        Kind::Function | Kind::Procedure => function(&entry, target, findings),
        Kind::Acl | Kind::LargeObjects => {
            keep_statements(&mut entry, target, findings, |_, _| None);
            without_needless_roles(&mut entry, target);
        }
        _ => {}
    }
    let emptied = entry.create.is_empty() && entry.table.is_none() && entry.drop.is_empty();
    let carries_nothing = matches!(entry.kind, Kind::DatabaseProperties | Kind::Acl);
    (!(emptied && carries_nothing)).then_some(entry)
}

fn extension(entry: &Entry, target: &TargetFacts, findings: &mut Vec<Finding>) {
    match target.extensions.get(&entry.name) {
        None => findings.push(
            Finding::refusal(entry.title(), "isn't available on the target").mend(format!(
                "install {} on the target server (on RDS: see SHOW rds.extensions), or DROP \
                 EXTENSION on the source if nothing needs it",
                entry.name
            )),
        ),
        Some(there) if there.installed.is_none() && !there.trusted && !target.superuser => {
            // A managed service's administrator may create more than vanilla PostgreSQL lets it.
            let managed = target.known_settings.contains("rds.extensions");
            if !managed {
                let what = format!("takes a superuser, which {} isn't", target.user);
                findings.push(Finding::refusal(entry.title(), what).mend(format!(
                    "as a superuser, in the target database: {}",
                    entry.create.trim_end()
                )));
            }
        }
        Some(_) => {}
    }
}

/// Keeps the statements for which `refused` gives no reason.
fn keep_statements(
    entry: &mut Entry,
    target: &TargetFacts,
    findings: &mut Vec<Finding>,
    refused: impl Fn(&str, &TargetFacts) -> Option<String>,
) {
    if target.superuser {
        return;
    }
    let title = entry.title();
    let mut kept = String::new();
    for statement in statements(&entry.create) {
        match refused(statement, target) {
            None => {
                kept.push_str(statement);
                kept.push('\n');
            }
            Some(why) => findings.push(
                Finding::change(&title, format!("left out, as {why}: {statement}"))
                    .mend(format!("as an administrator of the target: {statement}")),
            ),
        }
    }
    entry.create = kept;
}

/// Attributes that only a superuser may give (documentation: ALTER ROLE).
fn role_statement(statement: &str, target: &TargetFacts) -> Option<String> {
    let privileged = ["SUPERUSER", "REPLICATION", "BYPASSRLS"];
    let words = tokens(statement).filter_map(|(_, token)| match token {
        Token::Word(word) => Some(word),
        _ => None,
    });
    let mut words = words.peekable();
    if !words.peek().is_some_and(|word| word.eq_ignore_ascii_case("ALTER")) {
        return None;
    }
    match words.find(|word| privileged.iter().any(|p| word.eq_ignore_ascii_case(p))) {
        Some(word) => Some(format!("{word} takes a superuser")),
        None => setting_statement(statement, target),
    }
}

/// Settings that only a superuser may set, or that the server doesn't know.
fn setting_statement(statement: &str, target: &TargetFacts) -> Option<String> {
    let mut after_set = tokens(statement).skip_while(|(_, token)| !token.is_word("SET")).skip(1);
    let name = match after_set.next()?.1 {
        Token::Quoted(quoted) => quoted.trim_matches('"').to_ascii_lowercase(),
        Token::Word(word) => word.to_ascii_lowercase(),
        _ => return None,
    };
    if target.superuser_settings.contains(&name) {
        Some(format!("{name} takes a superuser"))
    } else if name.contains('.') && !target.known_settings.contains(&name) {
        Some(format!("the target doesn't know {name}, which then takes a superuser"))
    } else {
        None
    }
}

fn function(entry: &Entry, target: &TargetFacts, findings: &mut Vec<Finding>) {
    if target.superuser {
        return;
    }
    let mut previous = None;
    for (_, token) in tokens(&entry.create) {
        let language = previous.is_some_and(|p: Token<'_>| p.is_word("LANGUAGE"));
        let untrusted = ["c", "internal", "plperlu", "plpython3u", "pltclu"];
        let why = match token {
            Token::Word(word) if language && untrusted.contains(&word.trim_matches('"')) => {
                format!("language {word} takes a superuser")
            }
            Token::Word(word) if word.eq_ignore_ascii_case("LEAKPROOF") => {
                "LEAKPROOF takes a superuser".to_owned()
            }
            _ => {
                previous = Some(token);
                continue;
            }
        };
        if previous.is_some_and(|p| p.is_word("NOT")) {
            continue;
        }
        findings.push(Finding::refusal(entry.title(), why).mend(
            "create it through an extension the target offers, or leave it out on the source",
        ));
        return;
    }
}

/// SET ROLE to ourselves needs no right and says nothing.
fn without_needless_roles(entry: &mut Entry, target: &TargetFacts) {
    let ours = format!("SET ROLE {};", quote_ident(&target.user));
    let mut as_ourselves = false;
    let needed = entry.create.lines().filter(|line| {
        let begins = *line == ours;
        let ends = as_ourselves && *line == "RESET ROLE;";
        as_ourselves = (as_ourselves || begins) && !ends;
        !begins && !ends
    });
    entry.create = needed.map(|line| format!("{line}\n")).collect();
}
