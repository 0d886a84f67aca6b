//! Names that the target reads as words of its grammar, which an older source leaves bare.

use crate::toc::newer_words::quoted;
use crate::toc::target::TargetFacts;
use crate::toc::{Entry, Kind};

/// The entry with such names quoted. Roles' settings and the like are all ours, and quoted already.
pub(super) fn fit(mut entry: Entry, target: &TargetFacts) -> Entry {
    if !matches!(entry.kind, Kind::Role | Kind::TableData | Kind::LargeObjects) {
        let major = target.version.major();
        for sql in [&mut entry.create, &mut entry.drop] {
            if let Some(instead) = quoted(sql, major) {
                *sql = instead;
            }
        }
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::super::tests::target;
    use super::*;
    use crate::pg::ServerVersion;

    #[test]
    fn a_routine_is_created_and_found_again_by_what_its_parameters_are_called() {
        let entry = Entry {
            create: "CREATE FUNCTION s.f(json json);".to_owned(),
            drop: "DROP FUNCTION s.f(json json);".to_owned(),
            ..Entry::new(Kind::Function, Some("s"), "f(json)")
        };
        let target = TargetFacts { version: ServerVersion(180_000), ..target() };
        let fitted = fit(entry, &target);
        assert_eq!(fitted.create, "CREATE FUNCTION s.f(\"json\" json);");
        assert_eq!(fitted.drop, "DROP FUNCTION s.f(\"json\" json);");
    }
}
