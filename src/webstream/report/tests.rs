use std::collections::BTreeMap;

use super::*;
use crate::commands::{CatalogDifference, CopiedTable, Finding, PhaseTimes, TableVerdict};
use crate::pg::QualifiedName;
use crate::webstream::next::SignedIn;
use crate::webstream::record::{BackedUp, Provisioned, Repointed};

/// A name that breaks whatever takes it for markup.
const HOSTILE: &str = "</td><script>alert(1)</script>\"'&amp;\u{202e}\u{0}";

fn history() -> History {
    let at = 1_800_000_000.0;
    let phase = |phase: &str, began: f64, ended: f64| PhaseTimes {
        phase: phase.to_owned(),
        began: at + began,
        ended: at + ended,
    };
    History {
        database: "webstream_iam".to_owned(),
        tool: "0.1.0".to_owned(),
        source_version: "15.4".to_owned(),
        target_version: "16.2".to_owned(),
        began: at,
        sealed: Some(at + 95.0),
        phases: vec![
            phase("definitions", 0.0, 4.0),
            phase("data", 4.0, 60.0),
            phase("indexes", 20.0, 75.0),
            phase("foreign keys", 75.0, 80.0),
            phase("verification", 80.0, 92.0),
            phase("settling", 92.0, 94.0),
        ],
        tables: vec![CopiedTable {
            table: "public.users".to_owned(),
            rows: 1_234_567,
            bytes: 98_765_432,
            fingerprint: "1:1234567:0123456789abcdef0123456789abcdef".to_owned(),
        }],
        changes: vec![Finding::change(HOSTILE, HOSTILE).mend(HOSTILE)],
    }
}

fn compared(table: TableVerdict) -> DatabaseReport {
    let mut report = DatabaseReport {
        database: "webstream_iam".to_owned(),
        objects: [("TABLE".to_owned(), 3), ("INDEX".to_owned(), 5)].into(),
        tables: 1,
        rows: 1_234_567,
        ..DatabaseReport::default()
    };
    report.verification.tables = vec![table];
    report.verification.notes = vec![HOSTILE.to_owned()];
    report
}

fn equal() -> DatabaseReport {
    compared(TableVerdict::Equal { table: QualifiedName::new("public", "users"), rows: 1_234_567 })
}

fn record() -> Record {
    let mut record = Record::default();
    record.configurations = vec![HOSTILE.into()];
    let at = |minute: u32| format!("2027-01-15T08:{minute:02}:00Z");
    let done = &mut record.done;
    done.checked = Some("2027-01-15T07:30:00Z".to_owned());
    let (owner, variable) = (HOSTILE.to_owned(), "W".to_owned());
    done.provisioned =
        BTreeMap::from([("webstream_iam".to_owned(), Provisioned { at: at(1), owner, variable })]);
    let backup = BackedUp { at: at(5), archive: "/b/iam.dump".into(), rows: 1_234_567 };
    done.backed_up = BTreeMap::from([("webstream_iam".to_owned(), backup)]);
    done.migrated = Some(at(9));
    let repointed = Repointed { at: at(20), backup: "/c.bak".into() };
    done.repointed = BTreeMap::from([("/c".into(), repointed)]);
    done.signed_in = Some(SignedIn { at: at(25), who: HOSTILE.to_owned() });
    record
}

fn written(record: &Record, compared: DatabaseReport, history: Option<History>) -> String {
    let compared = Compared {
        at: "2027-01-15T08:15:00Z".to_owned(),
        source: "127.0.0.1, port 5432".to_owned(),
        target: HOSTILE.to_owned(),
        accounts: vec![Account { compared, history, why_not: None }],
    };
    html(&SignOff { compared: &compared, record })
}

/// Reads it as XML: a browser then sees the same tree.
fn parsed(html: &str) -> roxmltree::Document<'_> {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    roxmltree::Document::parse_with_options(html, options).unwrap()
}

fn text(html: &str) -> String {
    parsed(html)
        .descendants()
        .filter(|node| node.is_text())
        .filter_map(|node| node.text())
        .collect()
}

#[test]
fn it_is_well_formed_and_holds_nothing_that_runs_or_is_fetched() {
    let html = written(&record(), equal(), Some(history()));
    let document = parsed(&html);
    let allowed = [
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "div", "span",
        "pre", "table", "thead", "tbody", "tr", "th", "td", "svg", "rect", "line", "circle",
        "text", "footer",
    ];
    for element in document.descendants().filter(roxmltree::Node::is_element) {
        let name = element.tag_name().name();
        assert!(allowed.contains(&name), "{name}");
        for attribute in element.attributes() {
            assert!(!matches!(attribute.name(), "href" | "src" | "style"), "{}", attribute.name());
            assert!(!attribute.name().starts_with("on"), "{}", attribute.name());
        }
    }
    assert!(!STYLE.contains("url(") && !STYLE.contains("@import") && !STYLE.contains('<'));
}

#[test]
fn hostile_names_are_shown_as_they_are_and_nothing_else() {
    let html = written(&record(), equal(), Some(history()));
    assert!(!html.contains("<script") && !html.contains('\u{202e}'), "{html}");
    let shown = HOSTILE.replace('\u{202e}', "\\u{202e}").replace('\u{0}', "\\u{0}");
    // The title and both places of the target, owner, configuration, note, finding, who signed in.
    assert!(text(&html).matches(&shown).count() >= 10, "{}", text(&html));
}

#[test]
fn it_tells_what_moved_when_and_that_all_is_equal() {
    let html = written(&record(), equal(), Some(history()));
    let text = text(&html);
    for said in [
        "Equal. Tables: 1; rows: 1,234,567; objects: 8.",
        "2027-01-15 08:15:00",
        "PostgreSQL 15.4",
        "1:1234567:0123456789abcdef0123456789abcdef",
        "copied in 1 min 35 s",
        "index: 5, table: 3",
        "/b/iam.dump",
        " has signed in after the move: 2027-01-15 08:25:00.",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert_eq!(html.matches("<svg").count(), 2);
    assert!(!text.contains("What differs"), "{text}");
}

#[test]
fn what_differs_is_named_first_of_all() {
    let table = QualifiedName::new("public", "users");
    let mut report = compared(TableVerdict::Differs { table, source_rows: 3, target_rows: 2 });
    report.verification.catalog =
        vec![CatalogDifference::Missing { entry: "INDEX public.users_name".to_owned() }];
    let html = written(&Record::default(), report, None);
    let text = text(&html);
    assert!(
        text.contains("Not equal.") && text.contains("differs: 2 rows on the target"),
        "{text}"
    );
    assert!(text.contains("INDEX public.users_name is missing"), "{text}");
    assert!(text.contains("No answer is on record"), "{text}");
}

#[test]
fn numbers_are_grouped_by_thousands() {
    let table = [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")];
    for (number, expected) in table {
        assert_eq!(grouped(number), expected);
    }
}
