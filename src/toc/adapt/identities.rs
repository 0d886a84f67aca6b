//! Identities of unlogged tables from sources before 15, where every sequence is logged: later
//! targets would make an unlogged one, whose value a crash takes (documentation: release notes of 15).

use crate::toc::Entry;
use crate::toc::target::TargetFacts;

/// The entry with what its target must be told.
pub(super) fn fit(mut entry: Entry, target: &TargetFacts) -> Entry {
    let told = std::mem::take(&mut entry.since_15);
    if target.version.major() >= 15 {
        entry.create.push_str(&told);
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::super::tests::target;
    use super::*;
    use crate::pg::ServerVersion;
    use crate::toc::Kind;

    #[test]
    fn only_a_target_that_has_unlogged_sequences_is_told_that_one_is_logged() {
        for (version, expected) in [(140_000, "a;\n"), (150_000, "a;\nb;\n")] {
            let entry = Entry {
                create: "a;\n".to_owned(),
                since_15: "b;\n".to_owned(),
                ..Entry::new(Kind::Table, Some("s"), "t")
            };
            let target = TargetFacts { version: ServerVersion(version), ..target() };
            assert_eq!(fit(entry, &target).create, expected);
        }
    }
}
