//! What `check` found, for people.

use crate::commands::{Checked, Severity};

use super::page::{Page, Tone};
use super::summary::findings;
use super::units;

/// Shows a database's findings.
pub(super) fn show(page: &mut Page, checked: &Checked, strict: bool) {
    let (tone, verdict) = match checked.is_refused(strict) {
        true => (Tone::Bad, "refused"),
        false => (Tone::Good, "ready to move"),
    };
    let counted = match checked.findings.is_empty() {
        true => "nothing found".to_owned(),
        false => counts(checked),
    };
    page.line(0, tone, &format!("database {}: {verdict}: {counted}", checked.database));
    findings(page, 2, &checked.findings);
    page.gap();
}

fn counts(checked: &Checked) -> String {
    let of = |severity| {
        checked.findings.iter().filter(|finding| finding.severity == severity).count() as u64
    };
    let all = [
        (of(Severity::Refusal), "refusal", "refusals"),
        (of(Severity::Change), "change", "changes"),
        (of(Severity::Note), "note", "notes"),
    ];
    let there = all.into_iter().filter(|(number, ..)| *number > 0);
    there.map(|(n, one, many)| units::counted(n, one, many)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Finding;

    fn render(findings: Vec<Finding>, strict: bool) -> String {
        let mut page = Page::new(false);
        show(&mut page, &Checked { database: "shop".into(), findings }, strict);
        page.into_text()
    }

    #[test]
    fn findings_are_listed_with_what_mends_them() {
        let findings = || {
            vec![
                Finding::change("role bo", "is left out").mend("CREATE ROLE bo;"),
                Finding::note("database shop", "isn't there: it will be created"),
            ]
        };
        insta::assert_snapshot!(render(findings(), false), @r#"
        database shop: ready to move: 1 change, 1 note
          changed: role bo: is left out
              CREATE ROLE bo;
          note: database shop: isn't there: it will be created
        "#);
        assert!(render(findings(), true).starts_with("database shop: refused: 1 change, 1 note\n"));
        assert_eq!(render(Vec::new(), true), "database shop: ready to move: nothing found\n\n");
    }

    #[test]
    fn of_many_findings_that_say_the_same_some_are_shown_and_all_are_counted() {
        let changes = |number: u32| -> Vec<Finding> {
            let other = Finding::change("role b", "stays");
            let alike = (0..number).map(|i| Finding::change(format!("f{i}"), "is left out"));
            alike.chain([other]).collect()
        };
        let shown = render(changes(200), false);
        assert!(shown.starts_with("database shop: ready to move: 201 changes\n"), "{shown}");
        assert!(
            shown.contains("f9: is left out\n  … and 190 more: is left out (--json"),
            "{shown}"
        );
        assert!(shown.contains("role b: stays") && !shown.contains("f10"), "{shown}");
        assert!(render(changes(11), false).contains("f10: is left out"));
    }
}
