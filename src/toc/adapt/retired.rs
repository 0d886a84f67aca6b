//! What an older source may hold and a newer major creates no more: PostgreSQL 14 took postfix
//! operators away, and asks for a subscripting function of a type that has elements, where it
//! can't tell one by itself (source: operatorcmds.c, DefineOperator; typecmds.c, DefineType).

use crate::toc::clauses;
use crate::toc::target::TargetFacts;
use crate::toc::{Entry, Kind};

use super::denied::Denial;

/// Why no user of the target can create `entry`; none where its version isn't the reason.
pub(super) fn denial(entry: &Entry, target: &TargetFacts) -> Option<Denial> {
    if target.version.major() < 14 {
        return None;
    }
    let says = |word: &str| clauses::says(&entry.create, word);
    let gone = |why: &str, mend: &str| {
        Some(Denial { why: why.to_owned(), mend: Some(format!("on the source, {mend}")) })
    };
    match entry.kind {
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
