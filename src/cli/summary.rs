//! The closing summary of a database, for people.

use std::collections::{BTreeMap, HashMap};

use crate::commands::{
    CatalogDifference, DatabaseReport, Finding, Sequel, Severity, TableVerdict, Verification,
    VerifyMode,
};
use crate::pg::{QualifiedName, quote_ident};

use super::page::{Page, Tone};
use super::source_view;
use super::units;

/// Where a list of differences is cut: `--json` has them all.
const SHOWN: usize = 50;

/// Where the lines of a definition are cut.
const SHOWN_LINES: usize = 5;

/// Kinds that aren't objects of their own.
const PARTS: [&str; 7] = [
    "TABLE DATA",
    "BLOBS",
    "TABLE ATTACH",
    "INDEX ATTACH",
    "SEQUENCE SET",
    "SEQUENCE OWNED BY",
    "MATERIALIZED VIEW DATA",
];

/// Summarizes what `migrate` did.
pub(super) fn migrated(page: &mut Page, report: &DatabaseReport) {
    done(page, report, "moved", Sequel::OF_MIGRATE);
}

/// Summarizes what `webstream migrate` did.
pub(super) fn webstream_migrated(page: &mut Page, report: &DatabaseReport) {
    done(page, report, "moved", Sequel::OF_WEBSTREAM);
}

/// Summarizes what `webstream rehearse` did.
pub(super) fn rehearsed(page: &mut Page, report: &DatabaseReport) {
    done(page, report, "rehearsed, and dropped again", Sequel::OF_WEBSTREAM);
}

/// Summarizes what `restore` did.
pub(super) fn restored(page: &mut Page, report: &DatabaseReport) {
    done(page, report, "restored", Sequel::OF_MIGRATE);
}

fn done(page: &mut Page, report: &DatabaseReport, what: &str, sequel: Sequel) {
    let name = &report.database;
    if report.was_finished {
        let when = report.finished_at.as_deref().unwrap_or("an earlier time");
        let text = format!("database {name}: already finished at {when}: nothing to do");
        page.line(0, Tone::Strong, &text);
    } else {
        let how = match (report.is_warm, report.was_resumed) {
            (false, false) => what.to_owned(),
            (false, true) => format!("{what}, going on from an earlier run"),
            (true, _) => "copied, and not final: the source may go on".to_owned(),
        };
        page.line(0, Tone::Strong, &format!("database {name}: {how}"));
        page.labelled("objects", Tone::Plain, &objects(&report.objects));
        page.labelled("rows", Tone::Plain, &rows(report));
        page.labelled("time", Tone::Plain, &time(report));
        if let Some(setbacks) = setbacks(report) {
            page.labelled("overcome", Tone::Plain, &setbacks);
        }
    }
    if report.is_warm {
        let next = "keep others from writing to the source, then run without --warm: best with \
                    --fence ROLE, and that does both";
        page.labelled("next", Tone::Notable, next);
    } else {
        verification(page, &report.verification);
    }
    source_view::since(page, report, sequel);
    changes(page, &report.changes);
    passwords(page, &report.passwords_to_set);
    page.gap();
}

/// Summarizes what `verify` found.
pub(super) fn verified(page: &mut Page, report: &DatabaseReport) {
    let (tone, verdict) = match report.verification.is_clean() {
        true => (Tone::Good, "equal"),
        false => (Tone::Bad, "different"),
    };
    page.line(0, tone, &format!("database {}: {verdict}", report.database));
    page.labelled("time", Tone::Plain, &units::seconds(report.seconds));
    verification(page, &report.verification);
    changes(page, &report.changes);
    page.gap();
}

/// What failed and went well when it was tried again.
fn setbacks(report: &DatabaseReport) -> Option<String> {
    let times = |count: u32| units::counted(u64::from(count), "time", "times");
    let mut all = Vec::new();
    if report.retries > 0 {
        all.push(format!("steps were tried again {}", times(report.retries)));
    }
    if report.restarts > 0 {
        all.push(format!("the run was begun again {}", times(report.restarts)));
    }
    (!all.is_empty()).then(|| all.join("; "))
}

fn rows(report: &DatabaseReport) -> String {
    let pieces = match report.objects.contains_key("BLOB METADATA") {
        true => " and the pieces of large objects",
        false => "",
    };
    format!(
        "{} in {}{pieces}, {}",
        units::count(report.rows),
        units::counted(report.tables as u64, "table", "tables"),
        units::bytes(report.bytes)
    )
}

fn time(report: &DatabaseReport) -> String {
    let all = units::seconds(report.seconds);
    if report.phases.is_empty() {
        return all;
    }
    let phases = report.phases.iter().map(|(phase, s)| format!("{phase} {}", units::seconds(*s)));
    format!("{all} (overlapping: {})", phases.collect::<Vec<_>>().join(", "))
}

fn verification(page: &mut Page, found: &Verification) {
    let (tone, text) = verdict(found);
    page.labelled("verified", tone, &text);
    for text in found.tables.iter().filter_map(difference) {
        page.line(4, Tone::Bad, &text);
    }
    for located in &found.located {
        page.block(4, Tone::Bad, located);
    }
    for difference in found.catalog.iter().take(SHOWN) {
        catalog_difference(page, difference);
    }
    if found.catalog.len() > SHOWN {
        let more = format!("and {} more; --json has them all", found.catalog.len() - SHOWN);
        page.line(4, Tone::Bad, &more);
    }
    for note in &found.notes {
        page.block(4, Tone::Notable, note);
    }
}

/// How a table's rows differ.
fn difference(verdict: &TableVerdict) -> Option<String> {
    let objects = verdict.is_about_large_objects();
    let name = |table: &QualifiedName| match objects {
        true => "the large objects".to_owned(),
        false => table.to_string(),
    };
    let (one, many) = if objects { ("piece", "pieces") } else { ("row", "rows") };
    let (differs, was) = if objects { ("differ", "were") } else { ("differs", "was") };
    match verdict {
        TableVerdict::Equal { .. } => None,
        TableVerdict::Differs { table, source_rows, target_rows } => {
            let ours = units::counted(*source_rows, one, many);
            let sides = match source_rows == target_rows {
                true => format!("{ours} on both sides"),
                false => {
                    format!("{ours} on the source, {} on the target", units::count(*target_rows))
                }
            };
            Some(format!("{} {differs}: {sides}", name(table)))
        }
        TableVerdict::Unread { table } => {
            Some(format!("{} {was} not read on both sides", name(table)))
        }
    }
}

/// What is different, and of a definition the lines that are.
fn catalog_difference(page: &mut Page, difference: &CatalogDifference) {
    let CatalogDifference::Differs { entry, expected, found } = difference else {
        return page.line(4, Tone::Bad, &difference.to_string());
    };
    page.line(4, Tone::Bad, &format!("{entry} is defined otherwise on the target"));
    let only = |one: &str, other: &str| -> Vec<String> {
        let lines = one.lines().filter(|line| !other.lines().any(|there| there == *line));
        lines.map(|line| line.trim().to_owned()).collect()
    };
    for (side, lines) in [("expected", only(expected, found)), ("found", only(found, expected))] {
        for line in lines.iter().take(SHOWN_LINES) {
            page.line(8, Tone::Plain, &format!("{side}: {line}"));
        }
        if let Some(more @ 1..) = lines.len().checked_sub(SHOWN_LINES) {
            let more = units::counted(more as u64, "line", "lines");
            page.line(8, Tone::Plain, &format!("{side}: and {more} more"));
        }
    }
}

/// The verdict in a line.
fn verdict(found: &Verification) -> (Tone, String) {
    let (objects, tables): (Vec<&TableVerdict>, Vec<&TableVerdict>) =
        found.tables.iter().partition(|verdict| verdict.is_about_large_objects());
    let differing = tables.iter().filter(|verdict| !verdict.is_equal()).count();
    let how = match found.mode {
        VerifyMode::None => {
            return (Tone::Notable, "nothing: run `pgconvoy verify` to compare".to_owned());
        }
        VerifyMode::Counts => "rows counted, not compared",
        VerifyMode::Full => "every row read back",
    };
    let definitions =
        || units::counted(found.catalog.len() as u64, "definition differs", "definitions differ");
    let differs = [
        (differing > 0).then(|| units::counted(differing as u64, "table differs", "tables differ")),
        objects.iter().any(|v| !v.is_equal()).then(|| "the large objects differ".to_owned()),
    ];
    let mut differs: Vec<String> = differs.into_iter().flatten().collect();
    if !differs.is_empty() {
        differs.extend((!found.catalog.is_empty()).then(definitions));
        return (Tone::Bad, format!("{} ({how})", differs.join(", ")));
    }
    let equal = match tables.len() {
        0 => "there are no tables".to_owned(),
        1 => "the one table is equal".to_owned(),
        all => format!("all {} tables are equal", units::count(all as u64)),
    };
    let tables = match (objects.is_empty(), tables.is_empty()) {
        (true, _) => equal,
        (false, true) => "the large objects are equal".to_owned(),
        (false, false) => format!("{equal}, the large objects too"),
    };
    if !found.catalog.is_empty() {
        return (Tone::Bad, format!("{tables} ({how}), but {}", definitions()));
    }
    if found.catalog_unread {
        return (Tone::Good, format!("{tables} ({how}); definitions are there, and not compared"));
    }
    (Tone::Good, format!("{tables} ({how}), and so are the catalogs"))
}

fn changes(page: &mut Page, changes: &[Finding]) {
    if changes.is_empty() {
        return;
    }
    page.line(2, Tone::Plain, "changed or left out, and worth knowing");
    findings(page, 4, changes);
}

/// How many findings are shown of those that say the same: of the functions of an extension each may
/// have its grants.
const SHOWN_ALIKE: usize = 10;

/// Findings, and how many more say the same of other objects.
pub(super) fn findings(page: &mut Page, indent: usize, findings: &[Finding]) {
    let mut alike: HashMap<(Severity, &str), usize> = HashMap::new();
    for finding in findings {
        *alike.entry((finding.severity, &finding.what)).or_default() += 1;
    }
    let mut shown: HashMap<(Severity, &str), usize> = HashMap::new();
    for finding in findings {
        let key = (finding.severity, finding.what.as_str());
        let number = shown.entry(key).or_default();
        *number += 1;
        // A line in place of one finding would save nothing.
        if *number <= SHOWN_ALIKE || alike[&key] == SHOWN_ALIKE + 1 {
            self::finding(page, indent, finding);
        } else if *number == SHOWN_ALIKE + 1 {
            let more = alike[&key] - SHOWN_ALIKE;
            let more = format!("… and {more} more: {} (--json lists all)", finding.what);
            page.line(indent, Tone::Plain, &more);
        }
    }
}

/// A finding: its object and what is so in a line, what mends it below.
fn finding(page: &mut Page, indent: usize, finding: &Finding) {
    let (tone, mark) = match finding.severity {
        Severity::Refusal => (Tone::Bad, "refused"),
        Severity::Change => (Tone::Notable, "changed"),
        Severity::Note => (Tone::Plain, "note"),
    };
    page.line(indent, tone, &format!("{mark}: {}: {}", finding.object, finding.what));
    if let Some(remedy) = &finding.remedy {
        page.block(indent + 4, Tone::Faint, remedy);
    }
}

fn passwords(page: &mut Page, roles: &[String]) {
    if roles.is_empty() {
        return;
    }
    page.line(2, Tone::Notable, "roles made without a password: set one for each");
    for role in roles {
        page.line(4, Tone::Plain, &format!("ALTER ROLE {} PASSWORD '…';", quote_ident(role)));
    }
}

/// `38 tables, 12 indexes, …`, most first.
fn objects(counts: &BTreeMap<String, usize>) -> String {
    let own = counts.iter().filter(|(kind, _)| !PARTS.contains(&kind.as_str()));
    let mut counts: Vec<(&String, u64)> = own.map(|(kind, n)| (kind, *n as u64)).collect();
    counts.sort_by_key(|(kind, number)| (std::cmp::Reverse(*number), *kind));
    let named = counts.iter().map(|(tag, number)| {
        let (one, many) = names(tag);
        units::counted(*number, &one, &many)
    });
    match counts.is_empty() {
        true => "none".to_owned(),
        false => named.collect::<Vec<_>>().join(", "),
    }
}

/// pg_dump's name of a kind, for one and for many.
fn names(tag: &str) -> (String, String) {
    let fixed = |one: &str, many: &str| (one.to_owned(), many.to_owned());
    match tag {
        "ACL" => fixed("object's grants", "objects' grants"),
        "DEFAULT ACL" => fixed("set of default privileges", "sets of default privileges"),
        "DATABASE PROPERTIES" => fixed("database's properties", "databases' properties"),
        "FK CONSTRAINT" => fixed("foreign key", "foreign keys"),
        "BLOB METADATA" => fixed("large object", "large objects"),
        "STATISTICS" => fixed("extended statistics", "extended statistics"),
        "ROW SECURITY" => fixed("table with row security", "tables with row security"),
        other => {
            let one = other.to_lowercase();
            let many = match one.as_str() {
                word if word.ends_with(['x', 's']) => format!("{word}es"),
                word if word.ends_with('y') => format!("{}ies", &word[..word.len() - 1]),
                word => format!("{word}s"),
            };
            (one, many)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Phase;

    fn render(write: impl FnOnce(&mut Page)) -> String {
        let mut page = Page::new(false);
        write(&mut page);
        page.into_text()
    }

    #[test]
    fn what_was_overcome_is_said() {
        assert_eq!(setbacks(&report()), None);
        let disturbed = DatabaseReport { retries: 3, restarts: 1, ..report() };
        let said = setbacks(&disturbed).unwrap();
        assert_eq!(said, "steps were tried again 3 times; the run was begun again 1 time");
        assert!(render(|page| migrated(page, &disturbed)).contains(&said));
    }

    fn report() -> DatabaseReport {
        let equal =
            |name, rows| TableVerdict::Equal { table: QualifiedName::new("public", name), rows };
        let objects = [("TABLE", 2), ("INDEX", 1), ("POLICY", 2), ("FK CONSTRAINT", 1), ("ACL", 3)];
        DatabaseReport {
            database: "shop".into(),
            objects: objects.map(|(kind, n)| (kind.to_owned(), n)).into(),
            tables: 2,
            rows: 1_234_567,
            bytes: 45_300_000,
            seconds: 12.34,
            phases: [(Phase::Definitions, 0.3), (Phase::Data, 9.0)].into(),
            changes: vec![
                Finding::change("role bo", "is no superuser here").mend("GRANT x TO y;\nGRANT z;"),
                Finding::note("database shop", "will be created"),
            ],
            passwords_to_set: vec!["bo".into()],
            verification: Verification {
                mode: VerifyMode::Full,
                tables: vec![equal("a", 1_234_560), equal("b", 7)],
                ..Verification::default()
            },
            ..DatabaseReport::default()
        }
    }

    #[test]
    fn a_clean_migration_says_what_moved_and_what_is_left_to_do() {
        insta::assert_snapshot!(render(|page| migrated(page, &report())), @r#"
        database shop: moved
          objects       3 objects' grants, 2 policies, 2 tables, 1 foreign key, 1 index
          rows          1,234,567 in 2 tables, 45.3 MB
          time          12.3 s (overlapping: definitions 0.3 s, data 9.0 s)
          verified      all 2 tables are equal (every row read back), and so are the catalogs
          changed or left out, and worth knowing
            changed: role bo: is no superuser here
                GRANT x TO y;
                GRANT z;
            note: database shop: will be created
          roles made without a password: set one for each
            ALTER ROLE "bo" PASSWORD '…';
        "#);
    }

    #[test]
    fn what_differs_is_named_with_its_rows() {
        let table = |name| QualifiedName::new("public", name);
        let mut report = report();
        report.verification = Verification {
            mode: VerifyMode::Full,
            tables: vec![
                TableVerdict::Equal { table: table("a"), rows: 1 },
                TableVerdict::Differs { table: table("b"), source_rows: 7, target_rows: 8 },
                TableVerdict::Unread { table: table("c") },
            ],
            located: vec!["public.b: 1 rows only on the target, id (9);".into()],
            catalog: vec![
                CatalogDifference::Missing { entry: "INDEX public.b_x".into() },
                CatalogDifference::Differs {
                    entry: "TABLE public.c".into(),
                    expected: "CREATE TABLE c (\n    a integer,\n    b text\n);".into(),
                    found: "CREATE TABLE c (\n    a bigint,\n    b text\n);".into(),
                },
            ],
            notes: vec!["sequences were not compared".into()],
            ..Verification::default()
        };
        report.changes.clear();
        insta::assert_snapshot!(render(|page| verified(page, &report)), @r#"
        database shop: different
          time          12.3 s
          verified      2 tables differ, 2 definitions differ (every row read back)
            public.b differs: 7 rows on the source, 8 on the target
            public.c was not read on both sides
            public.b: 1 rows only on the target, id (9);
            INDEX public.b_x is missing on the target
            TABLE public.c is defined otherwise on the target
                expected: a integer,
                found: a bigint,
            sequences were not compared
        "#);
    }

    #[test]
    fn large_objects_are_no_table() {
        let view = || QualifiedName::new("pgconvoy", "large objects");
        let mut report = report();
        report.objects = [("BLOB METADATA".to_owned(), 5), ("BLOBS".to_owned(), 1)].into();
        report.verification.tables.push(TableVerdict::Equal { table: view(), rows: 6 });
        assert_eq!(objects(&report.objects), "5 large objects");
        assert!(rows(&report).ends_with("in 2 tables and the pieces of large objects, 45.3 MB"));
        assert!(
            verdict(&report.verification)
                .1
                .starts_with("all 2 tables are equal, the large objects")
        );
        let differs = TableVerdict::Differs { table: view(), source_rows: 1, target_rows: 1 };
        report.verification.tables[2] = differs;
        assert_eq!(
            verdict(&report.verification).1,
            "the large objects differ (every row read back)"
        );
        assert_eq!(
            difference(&report.verification.tables[2]).unwrap(),
            "the large objects differ: 1 piece on both sides"
        );
    }

    #[test]
    fn a_job_that_was_finished_before_says_when() {
        let report = DatabaseReport {
            was_finished: true,
            finished_at: Some("2026-01-02 03:04:05+00".into()),
            changes: Vec::new(),
            passwords_to_set: Vec::new(),
            ..report()
        };
        insta::assert_snapshot!(render(|page| migrated(page, &report)), @r#"
        database shop: already finished at 2026-01-02 03:04:05+00: nothing to do
          verified      all 2 tables are equal (every row read back), and so are the catalogs
        "#);
    }

    #[test]
    fn without_verification_nothing_is_claimed() {
        let none = Verification { mode: VerifyMode::None, ..Verification::default() };
        assert_eq!(verdict(&none).1, "nothing: run `pgconvoy verify` to compare");
        let counts = Verification { mode: VerifyMode::Counts, ..report().verification };
        assert!(verdict(&counts).1.contains("rows counted, not compared"));
        let missing = CatalogDifference::Missing { entry: "INDEX x".into() };
        let catalog = Verification { catalog: vec![missing], ..report().verification };
        assert_eq!(
            verdict(&catalog).1,
            "all 2 tables are equal (every row read back), but 1 definition differs"
        );
    }

    #[test]
    fn every_kind_has_a_plural() {
        let some = ["TABLE", "INDEX", "POLICY", "OPERATOR CLASS", "STATISTICS", "BLOB METADATA"];
        assert_eq!(
            some.map(|tag| names(tag).1),
            [
                "tables",
                "indexes",
                "policies",
                "operator classes",
                "extended statistics",
                "large objects"
            ]
        );
    }
}
