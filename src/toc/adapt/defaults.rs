//! Default privileges of the target user's that stand in the target database: what the job creates
//! would get them.

use crate::toc::finding::Finding;
use crate::toc::target::{StandingDefaults, TargetFacts};
use crate::toc::{Entry, Kind, Toc};

/// The statements that put them aside, and those that make them anew. Those of a schema `public` that
/// the job drops go with it. Where the source's are for the same objects, these replace them, as
/// together they would be neither's.
pub(super) fn put_aside(
    toc: &Toc,
    target: &TargetFacts,
    findings: &mut Vec<Finding>,
) -> (Vec<String>, Vec<String>) {
    let dropped = |schema: &String| {
        let mut schemas = toc.entries.iter().filter(|entry| entry.kind == Kind::Schema);
        schemas.any(|e| e.name == *schema && e.create.starts_with("DROP SCHEMA"))
    };
    let (mut set_aside, mut restore) = (Vec::new(), Vec::new());
    for standing in &target.holds.default_privileges {
        if standing.schema.as_ref().is_some_and(dropped) {
            continue;
        }
        set_aside.push(standing.set_aside.clone());
        match toc.entries.iter().find(|entry| takes_the_place(entry, standing, target)) {
            None => restore.push(standing.restore.clone()),
            Some(entry) if entry.create == standing.restore => {}
            Some(entry) => {
                let what =
                    format!("replaces what {} has on the target for the same objects", target.user);
                let before = standing.restore.trim_end();
                findings.push(
                    Finding::change(entry.title(), what)
                        .mend(format!("to add those again, in the target database: {before}")),
                );
            }
        }
    }
    (set_aside, restore)
}

fn takes_the_place(entry: &Entry, standing: &StandingDefaults, target: &TargetFacts) -> bool {
    entry.kind == Kind::DefaultAcl
        && entry.owner.as_ref() == Some(&target.user)
        && entry.name == standing.name
        && entry.schema == standing.schema
}

#[cfg(test)]
mod tests {
    use super::super::tests;
    use super::*;

    #[test]
    fn the_sources_replace_the_targets_for_the_same_objects_and_no_others() {
        let named = |name: &str, restore: &str| StandingDefaults {
            name: name.to_owned(),
            set_aside: format!("no {restore}"),
            restore: restore.to_owned(),
            ..StandingDefaults::default()
        };
        let mut target = tests::target();
        target.holds.default_privileges = vec![named("tables", "a"), named("types", "b")];
        let of = |owner: &str, schema, create: &str| Entry {
            owner: Some(owner.to_owned()),
            create: create.to_owned(),
            ..Entry::new(Kind::DefaultAcl, schema, "tables")
        };
        let judged = |entry| {
            let mut findings = Vec::new();
            let toc = Toc { entries: vec![entry] };
            let (aside, restore) = put_aside(&toc, &target, &mut findings);
            assert_eq!(aside, ["no a", "no b"]);
            (restore.concat(), findings.len())
        };
        assert_eq!(judged(of("master", None, "x")), ("b".to_owned(), 1));
        assert_eq!(judged(of("master", None, "a")), ("b".to_owned(), 0));
        assert_eq!(judged(of("master", Some("s"), "x")), ("ab".to_owned(), 0));
        assert_eq!(judged(of("app", None, "x")), ("ab".to_owned(), 0));
    }
}
