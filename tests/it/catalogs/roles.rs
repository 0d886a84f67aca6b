//! Roles of two servers, as pg_dumpall prints them.

use crate::oracle::Side;
use crate::pg_dump;

/// What pg_dumpall prints of the roles that the copy's server has: those that nothing in a database
/// names are not moved.
pub(super) fn of_both(original: Side<'_>, copy: Side<'_>) -> (Vec<String>, Vec<String>) {
    let (mut ours, theirs) = (pg_dump::globals(original.cluster), pg_dump::globals(copy.cluster));
    let roles: Vec<&str> = theirs
        .iter()
        .filter_map(|line| line.trim_end().strip_prefix("CREATE ROLE ")?.strip_suffix(';'))
        .collect();
    let begins = |text: &str, role: &str| {
        text.strip_prefix(role).is_some_and(|rest| rest.starts_with([' ', ';']))
    };
    let grants = |text: &str| {
        roles.iter().any(|role| {
            let member = text.strip_prefix(role).and_then(|rest| rest.strip_prefix(" TO "));
            member.is_some_and(|text| roles.iter().any(|role| begins(text, role)))
        })
    };
    ours.retain(|line| match line.split_once("ROLE ") {
        Some(("CREATE " | "ALTER ", text)) => roles.iter().any(|role| begins(text, role)),
        _ => line.strip_prefix("GRANT ").is_none_or(grants),
    });
    let [before, after] = [original, copy].map(|side| side.cluster.installation().major());
    match before < 16 && after >= 16 {
        true => (ours, theirs.iter().map(|line| without_grant_options(line)).collect()),
        false => (ours, theirs),
    }
}

/// A grant of a role as versions before 16 have it: each grant has a grantor of its own since, and
/// says itself whether the member inherits.
fn without_grant_options(line: &str) -> String {
    match line.strip_prefix("GRANT ").and(line.split_once(" GRANTED BY ")) {
        Some((grant, _)) => {
            let options = [(" WITH INHERIT TRUE", ""), (", INHERIT TRUE", "")];
            options.iter().fold(grant.to_owned(), |text, (a, b)| text.replace(a, b)) + ";\n"
        }
        None => line.to_owned(),
    }
}
