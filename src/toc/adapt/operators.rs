//! Operators: estimators of the user's own, which take a superuser since the minor releases of
//! February 2026, are taken off and reported (source: operatorcmds.c, ValidateRestrictionEstimator).
//!
//! A link to a commutator or negator is one-sided where the other operator doesn't name its namer.
//! Minor releases of November 2026 make every link mutual as soon as it is made, and refuse those that
//! can't be: tried on 15.20. 18.6 of that month does as 17 always did, so it is taken to concern the
//! majors before 17 that are still maintained; of 14.25 and 16.16 it isn't known.

use crate::pg::ServerVersion;
use crate::toc::finding::Finding;
use crate::toc::sql::{Token, tokens};
use crate::toc::target::TargetFacts;
use crate::toc::{Entry, OneSided};

/// The first minor release of each major that asks for a superuser.
const SINCE: [u32; 5] = [140_021, 150_016, 160_012, 170_008, 180_002];

/// The first minor release of each major that links operators both ways.
const MUTUAL_SINCE: [u32; 3] = [140_025, 150_020, 160_016];

/// Why no user of the target can create an operator with the links it has.
pub(super) fn is_taken(entry: &Entry, target: ServerVersion) -> bool {
    links_both_ways(target) && (entry.retired.is_some() || entry.one_sided == Some(OneSided::Taken))
}

fn links_both_ways(version: ServerVersion) -> bool {
    MUTUAL_SINCE.iter().any(|since| (*since..=since / 10_000 * 10_000 + 9_999).contains(&version.0))
}

/// The operator as the target user may create it.
pub(super) fn fit(entry: &mut Entry, target: &TargetFacts, findings: &mut Vec<Finding>) {
    link_back(entry, target, findings);
    take_estimators_off(entry, target, findings);
    take_links_off(entry, target, findings);
}

fn link_back(entry: &mut Entry, target: &TargetFacts, findings: &mut Vec<Finding>) {
    if !links_both_ways(target.version) {
        return;
    }
    if let Some(OneSided::Back(create)) = entry.one_sided.take() {
        let what = format!(
            "is created with the operator that names it as its own commutator or negator, as \
             PostgreSQL {} lets none name another alone",
            target.version
        );
        findings.push(Finding::change(entry.title(), what));
        entry.create = create;
    }
}

fn take_estimators_off(entry: &mut Entry, target: &TargetFacts, findings: &mut Vec<Finding>) {
    let version = target.version.0;
    let asks = match SINCE.iter().find(|since| **since / 10_000 == version / 10_000) {
        Some(since) => version >= *since,
        None => version > 190_000,
    };
    if target.superuser || !asks {
        return;
    }
    let (kept, taken) = without(&entry.create, is_own_estimator);
    if taken.is_empty() {
        return;
    }
    let clauses = taken.join(", ");
    let what = format!(
        "is created without {clauses}, which takes a superuser: what it finds is the same, but how \
         many rows the planner expects is not"
    );
    let object = entry.drop.trim_end().trim_end_matches(';');
    let object = object.strip_prefix("DROP ").unwrap_or(object);
    findings.push(
        Finding::change(entry.title(), what)
            .mend(format!("as an administrator of the target: ALTER {object} SET ({clauses});")),
    );
    entry.create = kept;
}

/// Who names an operator as a partner must own it (source: OperatorCreate in pg_operator.c).
fn take_links_off(entry: &mut Entry, target: &TargetFacts, findings: &mut Vec<Finding>) {
    if target.superuser {
        return;
    }
    let (kept, taken) = without(&entry.create, is_link_to_the_systems);
    if taken.is_empty() {
        return;
    }
    let what = format!(
        "is created without {}, as only a superuser may link an operator to one of the system's: \
         what it finds is the same, but the planner can't put the other in its place",
        taken.join(", ")
    );
    findings.push(
        Finding::change(entry.title(), what).mend(format!(
            "as a superuser of the target, create it anew with {}",
            taken.join(", ")
        )),
    );
    entry.create = kept;
}

/// The statement without the options for which `is_taken` holds, and those.
fn without(create: &str, is_taken: impl Fn(&str) -> bool) -> (String, Vec<String>) {
    let mut depth = 0;
    let mut open = 0;
    // Where each option of the outermost parentheses begins, and where the last one ends.
    let mut bounds: Vec<usize> = Vec::new();
    for (at, token) in tokens(create) {
        match token {
            Token::Mark('(') => {
                depth += 1;
                if depth == 1 {
                    open = at + 1;
                    bounds.push(open);
                }
            }
            Token::Mark(')') => {
                depth -= 1;
                if depth == 0 {
                    bounds.push(at + 1);
                    break;
                }
            }
            Token::Mark(',') if depth == 1 => bounds.push(at + 1),
            _ => {}
        }
    }
    let mut kept = Vec::new();
    let mut taken = Vec::new();
    for two in bounds.windows(2) {
        // Without the comma or the parenthesis.
        let option = &create[two[0]..two[1] - 1];
        match is_taken(option) {
            true => taken.push(option.trim().to_owned()),
            false => kept.push(option),
        }
    }
    let Some(close) = bounds.last().filter(|_| !taken.is_empty()) else {
        return (create.to_owned(), Vec::new());
    };
    let inside = kept.join(",");
    (format!("{}{}\n{}", &create[..open], inside.trim_end(), &create[close - 1..]), taken)
}

/// `RESTRICT = "s"."f"` or `JOIN = …`: what is in pg_catalog is named without a schema, or with that.
fn is_own_estimator(option: &str) -> bool {
    let words: Vec<Token<'_>> = tokens(option).map(|(_, token)| token).collect();
    let estimator = words.first().is_some_and(|w| w.is_word("RESTRICT") || w.is_word("JOIN"));
    let qualified = words.get(3) == Some(&Token::Mark('.'));
    estimator && qualified && words[2].name().as_deref() != Some("pg_catalog")
}

/// `COMMUTATOR = OPERATOR("pg_catalog".=)`, or `NEGATOR = …`.
fn is_link_to_the_systems(option: &str) -> bool {
    let words: Vec<Token<'_>> = tokens(option).map(|(_, token)| token).collect();
    let link = words.first().is_some_and(|w| w.is_word("COMMUTATOR") || w.is_word("NEGATOR"));
    let qualified = words.get(5) == Some(&Token::Mark('.'));
    link && qualified && words[4].name().as_deref() == Some("pg_catalog")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_estimators_of_the_users_own_go() {
        let create = "CREATE OPERATOR \"s\".<<< (\n    FUNCTION = \"s\".\"lt\",\n    LEFTARG = \"s\".\"e\",\n    \
                      RESTRICT = \"s\".\"mine\",\n    JOIN = \"pg_catalog\".\"scalarltjoinsel\"\n);\n";
        let (kept, taken) = without(create, is_own_estimator);
        assert_eq!(taken, ["RESTRICT = \"s\".\"mine\""]);
        assert_eq!(
            kept,
            "CREATE OPERATOR \"s\".<<< (\n    FUNCTION = \"s\".\"lt\",\n    LEFTARG = \"s\".\"e\",\n    \
             JOIN = \"pg_catalog\".\"scalarltjoinsel\"\n);\n"
        );
    }

    #[test]
    fn only_links_to_the_systems_operators_go() {
        let create = "CREATE OPERATOR \"s\".=== (\n    FUNCTION = \"pg_catalog\".\"int4eq\",\n    \
                      COMMUTATOR = OPERATOR(\"s\".===),\n    NEGATOR = OPERATOR(\"pg_catalog\".<>)\n);\n";
        let (kept, taken) = without(create, is_link_to_the_systems);
        assert_eq!(taken, ["NEGATOR = OPERATOR(\"pg_catalog\".<>)"]);
        assert!(kept.contains("===)\n);"), "{kept}");
    }

    #[test]
    fn built_in_estimators_leave_the_statement_as_it_is() {
        let create = "CREATE OPERATOR s.= (\n FUNCTION = s.eq,\n RESTRICT = eqsel\n);\n";
        assert_eq!(without(create, is_own_estimator), (create.to_owned(), Vec::new()));
    }
}
