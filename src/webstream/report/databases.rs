//! What moved of a database, and what comparing it found.

use std::collections::BTreeMap;

use crate::commands::{DatabaseReport, Finding, History, Severity, TableVerdict};

use super::markup::Markup;
use super::timeline::{self, Axis, Lane};
use super::{Account, grouped};
use crate::webstream::clock;

/// Shows a database.
pub(super) fn tell(body: &mut Markup, account: &Account) {
    let compared = &account.compared;
    body.element("h2", &format!("Database {}", compared.database));
    match (&account.history, &account.why_not) {
        (Some(history), _) => copy(body, history),
        (None, why) => {
            let why = why.as_deref().unwrap_or_default();
            body.element("p class=\"faint\"", &format!("Its ledger tells nothing: {why}"));
        }
    }
    tables(body, account);
    objects(body, compared);
    differences(body, compared);
    changes(body, account);
}

/// How the copy went.
fn copy(body: &mut Markup, history: &History) {
    let began = clock::shown(history.began);
    let took = match history.sealed {
        Some(sealed) => format!("in {}", timeline::duration(sealed - history.began)),
        None => "in part, as it isn't finished".to_owned(),
    };
    let rows: u64 = history.tables.iter().map(|table| table.rows).sum();
    let bytes: u64 = history.tables.iter().map(|table| table.bytes).sum();
    body.element(
        "p",
        &format!(
            "Begun at {began}, copied {took}: {} rows, {} bytes of them, by pgconvoy {}.",
            grouped(rows),
            grouped(bytes),
            history.tool
        ),
    );
    let mut lanes: Vec<Lane> = history
        .phases
        .iter()
        .map(|phase| Lane {
            label: phase.phase.clone(),
            began: phase.began,
            ended: phase.ended,
            class: class(&phase.phase),
        })
        .collect();
    lanes.sort_by(|one, other| one.began.total_cmp(&other.began));
    let title = format!("The parts of the copy of {}", history.database);
    timeline::draw(body, &title, &lanes, Axis::Passed);
}

fn class(phase: &str) -> &'static str {
    match phase {
        "definitions" => "definitions",
        "data" => "data",
        "indexes" | "foreign keys" => "indexes",
        "verification" => "checking",
        _ => "settling",
    }
}

fn tables(body: &mut Markup, account: &Account) {
    let copied: BTreeMap<&str, &str> = account
        .history
        .iter()
        .flat_map(|history| &history.tables)
        .map(|table| (table.table.as_str(), table.fingerprint.as_str()))
        .collect();
    body.element("h3", "Tables");
    body.around("table", |table| {
        table.around("thead", |head| {
            head.raw(
                "<tr><th>table</th><th class=\"n\">rows</th><th>fingerprint</th><th>compared</th></tr>",
            );
        });
        table.around("tbody", |rows| {
            for verdict in &account.compared.verification.tables {
                rows.around("tr", |row| {
                    let name = verdict.table().to_string();
                    row.element("td", &name);
                    let (count, class, words) = told(verdict);
                    row.element("td class=\"n\"", &count);
                    let fingerprint = copied.get(name.as_str()).copied().unwrap_or("–");
                    row.element("td class=\"code\"", fingerprint);
                    row.element(&format!("td class=\"{class}\""), &words);
                });
            }
        });
    });
}

/// Rows, how it is to be shown, and the verdict.
fn told(verdict: &TableVerdict) -> (String, &'static str, String) {
    match verdict {
        TableVerdict::Equal { rows, .. } => (grouped(*rows), "good", "equal".to_owned()),
        TableVerdict::Differs { source_rows, target_rows, .. } => (
            grouped(*source_rows),
            "bad",
            format!("differs: {} rows on the target", grouped(*target_rows)),
        ),
        TableVerdict::Unread { .. } => ("–".to_owned(), "bad", "wasn't read".to_owned()),
    }
}

fn objects(body: &mut Markup, compared: &DatabaseReport) {
    body.element("h3", "Objects compared");
    let all: Vec<String> = compared
        .objects
        .iter()
        .map(|(kind, number)| format!("{}: {}", kind.to_lowercase(), grouped(*number as u64)))
        .collect();
    let words = match all.is_empty() {
        true => "none".to_owned(),
        false => all.join(", "),
    };
    body.element("p", &words);
    for note in &compared.verification.notes {
        body.element("p class=\"faint\"", note);
    }
}

fn differences(body: &mut Markup, compared: &DatabaseReport) {
    let found = &compared.verification;
    if found.is_clean() {
        return;
    }
    body.element("h3", "What differs");
    for located in &found.located {
        body.element("pre class=\"bad\"", located);
    }
    for difference in &found.catalog {
        body.element("pre class=\"bad\"", &difference.to_string());
    }
}

/// Everything changed or left out: when it was copied, and what comparing foretells beside that.
fn changes(body: &mut Markup, account: &Account) {
    body.element("h3", "Changed or left out");
    let mut all: Vec<&Finding> =
        account.history.iter().flat_map(|history| &history.changes).collect();
    all.extend(&account.compared.changes);
    all.sort();
    all.dedup();
    if all.is_empty() {
        return body.element("p", "Nothing.");
    }
    body.around("table", |table| {
        table.around("thead", |head| {
            head.raw("<tr><th>object</th><th>what, and why</th></tr>");
        });
        table.around("tbody", |rows| {
            for finding in all {
                rows.around("tr", |row| {
                    row.element("td", &finding.object);
                    row.around("td", |cell| {
                        if finding.severity == Severity::Note {
                            cell.element("span class=\"faint\"", "note: ");
                        }
                        cell.text(&finding.what);
                        if let Some(remedy) = &finding.remedy {
                            cell.element("pre", remedy);
                        }
                    });
                });
            }
        });
    });
}
