//! What an older source may hold and a newer major creates no more, beside what the catalog's reader
//! has found of that kind: PostgreSQL 13 took the type opaque away; 14 gave the system's functions of
//! arrays other types of arguments (source: catalog/pg_proc.dat), took postfix
//! operators away, and asks for a subscripting function of a type that has elements, where it
//! can't tell one by itself (source: operatorcmds.c, DefineOperator; typecmds.c, DefineType).

use crate::toc::clauses;
use crate::toc::target::TargetFacts;
use crate::toc::{Entry, Kind, Token, tokens};

use super::denied::Denial;
use super::operators;

/// Why no user of the target can create `entry`; none where its version isn't the reason.
pub(super) fn denial(entry: &Entry, target: &TargetFacts) -> Option<Denial> {
    let gone = |why: &str, mend: &str| {
        Some(Denial { why: why.to_owned(), mend: Some(format!("on the source, {mend}")) })
    };
    let major = target.version.major();
    if let Some(retired) = entry.retired.as_ref().filter(|retired| major >= retired.since) {
        return gone(&retired.why, &retired.mend);
    }
    if entry.kind == Kind::Operator && operators::is_taken(entry, target.version) {
        let why = format!(
            "in PostgreSQL {} its commutator or negator can't be one that belongs to another \
             operator already",
            target.version
        );
        return gone(&why, "create it anew without that commutator or negator");
    }
    let says = |word: &str| clauses::says(&entry.create, word);
    if entry.kind == Kind::Function && major >= 13 && is_of_opaque(&entry.create) {
        return gone(
            "PostgreSQL has no type opaque since 13",
            "create it anew with the type it means, such as trigger",
        );
    }
    if major < 14 {
        return None;
    }
    match entry.kind {
        Kind::Aggregate | Kind::Operator if calls_reshaped(entry) => gone(
            "the system's functions of arrays take anycompatiblearray since 14, so that it would \
             have to be declared with anycompatible instead of anyelement and anyarray",
            "drop it before the job, and create it on the target so declared",
        ),
        Kind::Operator if !says("RIGHTARG") => gone(
            "PostgreSQL has no postfix operators since 14",
            "call its function instead wherever it is used, and drop it",
        ),
        Kind::Type
            if says("ELEMENT")
                && !says("SUBSCRIPT")
                && (says("VARIABLE") || says("PASSEDBYVALUE")) =>
        {
            gone(
                "since 14 such a type's ELEMENT takes a SUBSCRIPT function, of which the source's \
                 version knows nothing",
                "make the type without ELEMENT, or make it on the target by hand",
            )
        }
        _ => None,
    }
}

/// Whether a function takes or returns the type opaque. Others may call an argument, or in a body a
/// column, so.
fn is_of_opaque(create: &str) -> bool {
    let head = clauses::around(create, "LANGUAGE").map_or(create, |(head, _)| head);
    let found: Vec<Token<'_>> = tokens(head).map(|(_, token)| token).collect();
    let taken = found
        .windows(2)
        .any(|two| two[0].is_word("opaque") && matches!(two[1], Token::Mark(',' | ')')));
    taken || clauses::says(head, "RETURNS opaque") || clauses::says(head, "SETOF opaque")
}

/// The functions that took anyarray before 14 (documentation: release notes of 14, "Migration").
const RESHAPED: [&str; 8] = [
    "array_append",
    "array_cat",
    "array_position",
    "array_positions",
    "array_prepend",
    "array_remove",
    "array_replace",
    "width_bucket",
];

/// Whether an aggregate or operator of polymorphic arrays is made of one of these functions.
fn calls_reshaped(entry: &Entry) -> bool {
    let found: Vec<_> = tokens(&entry.create).map(|(_, token)| token).collect();
    let arrays = found.iter().any(|token| token.is_word("ANYARRAY"));
    let calls = found.windows(3).any(|three| match three {
        [schema, _, function] => {
            schema.name().is_some_and(|name| name == "pg_catalog")
                && function.name().is_some_and(|name| RESHAPED.contains(&name.as_str()))
        }
        _ => false,
    });
    arrays && calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_only_called_opaque_is_not_of_that_type() {
        for sql in
            ["f() RETURNS opaque LANGUAGE c", "f(opaque, integer) RETURNS integer LANGUAGE c"]
        {
            assert!(is_of_opaque(sql), "{sql}");
        }
        for sql in [
            "f(opaque boolean) RETURNS integer LANGUAGE sql",
            "f() RETURNS TABLE(opaque boolean) LANGUAGE sql",
            "f() RETURNS boolean LANGUAGE sql BEGIN ATOMIC SELECT coalesce(a.opaque); END",
        ] {
            assert!(!is_of_opaque(sql), "{sql}");
        }
    }
}
