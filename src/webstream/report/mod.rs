//! The report that a move is signed off with: one HTML file, which needs nothing beside itself.

mod databases;
mod markup;
mod steps;
mod timeline;

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::commands::{self, DatabaseReport, History};
use crate::error::{Error, Result};

use super::clock;
use super::recipe::Recipe;
use super::record::Record;
use markup::Markup;

const TOOL: &str = env!("CARGO_PKG_VERSION");
/// How the name of the file ends in which what was compared is kept.
const KEPT: &str = "json";
const STYLE: &str = include_str!("style.css");

/// What the report tells: what was compared, and what is on record beside it.
struct SignOff<'a> {
    compared: &'a Compared,
    record: &'a Record,
}

/// What was compared, as it is kept beside the report: later steps are told without comparing again.
#[derive(Debug, Serialize, Deserialize)]
struct Compared {
    /// When, as the record tells times.
    at: String,
    /// Host and port of either side.
    source: String,
    target: String,
    accounts: Vec<Account>,
}

/// A database, as it was compared and as the ledger tells of its copy.
#[derive(Debug, Serialize, Deserialize)]
struct Account {
    compared: DatabaseReport,
    history: Option<History>,
    /// Why the ledger tells nothing.
    why_not: Option<String>,
}

/// Writes the report on what was compared, beside the backups; where it is.
pub(super) async fn write(recipe: &Recipe, reports: &[DatabaseReport]) -> Result<PathBuf> {
    let mut accounts = Vec::new();
    for compared in reports {
        let target = recipe.target()?.with_database(&compared.database);
        let (history, why_not) = match commands::history(&target).await {
            Ok(Some(history)) => (Some(history), None),
            Ok(None) => (None, Some("there is no ledger in it any more".to_owned())),
            // The comparison stands without it.
            Err(error) => (None, Some(error.message())),
        };
        accounts.push(Account { compared: compared.clone(), history, why_not });
    }
    let place = |(host, port): (String, u16)| format!("{host}, port {port}");
    let (source, target) = (recipe.source()?, recipe.target()?);
    let compared = Compared {
        at: clock::now(),
        source: source.host_and_port().map_or_else(|| source.display(), place),
        target: target.host_and_port().map_or_else(|| target.display(), place),
        accounts,
    };
    let name = format!("webstream-sign-off.{}.html", clock::stamp(&compared.at));
    let path = recipe.out().join(name);
    let kept = serde_json::to_string_pretty(&compared)
        .map_err(|error| Error::step("writing the report").because(error.to_string()))?;
    put(&path.with_extension(KEPT), &kept)?;
    put(&path, &html(&SignOff { compared: &compared, record: &recipe.record }))?;
    Ok(path)
}

/// Writes the newest report again, with the steps that were taken since; where it is. None where there
/// is none, or somebody has put it away.
pub fn renew(recipe: &Recipe) -> Result<Option<PathBuf>> {
    let Some(path) = &recipe.record.done.sign_off else { return Ok(None) };
    let kept = path.with_extension(KEPT);
    let doing = format!("reading {}", kept.display());
    let failed = || Error::step(&doing).hint("run `pgconvoy webstream verify` for a new report");
    let text = match std::fs::read_to_string(&kept) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed().io(error)),
    };
    let compared: Compared =
        serde_json::from_str(&text).map_err(|error| failed().because(error.to_string()))?;
    put(path, &html(&SignOff { compared: &compared, record: &recipe.record }))?;
    Ok(Some(path.clone()))
}

/// Writes a file in one act.
fn put(path: &Path, text: &str) -> Result<()> {
    let failed = |error| Error::step(format!("writing {}", path.display())).io(error);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

fn html(sign_off: &SignOff<'_>) -> String {
    let mut page = Markup::default();
    page.raw("<!DOCTYPE html>\n");
    page.around("html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\"", |page| {
        page.around("head", |head| {
            head.raw(
                "<meta charset=\"utf-8\"/><meta name=\"viewport\" \
                 content=\"width=device-width\"/>\n<meta http-equiv=\"Content-Security-Policy\" \
                 content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n",
            );
            head.element("title", &format!("WebStream on {}", sign_off.compared.target));
            head.raw(&format!("<style>\n{STYLE}</style>"));
        });
        page.around("body", |body| {
            heading(body, sign_off);
            steps::tell(body, sign_off);
            for account in &sign_off.compared.accounts {
                databases::tell(body, account);
            }
            signatures(body);
            footer(body);
        });
    });
    page.into_text()
}

fn heading(body: &mut Markup, sign_off: &SignOff<'_>) {
    body.element("h1", "WebStream's databases: the move, for sign-off");
    body.element(
        "p class=\"lead\"",
        &format!("{} → {}", sign_off.compared.source, sign_off.compared.target),
    );
    let reports = || sign_off.compared.accounts.iter().map(|account| &account.compared);
    let is_equal =
        !sign_off.compared.accounts.is_empty() && reports().all(|r| r.verification.is_clean());
    let (rows, tables): (u64, usize) =
        reports().fold((0, 0), |(rows, tables), r| (rows + r.rows, tables + r.tables));
    let objects: usize = reports().flat_map(|report| report.objects.values()).sum();
    let (class, words) = match is_equal {
        true => (
            "verdict equal",
            format!(
                "Equal. Tables: {tables}; rows: {}; objects: {objects}. All were read on both sides \
                 and compared: none differs.",
                grouped(rows)
            ),
        ),
        false => (
            "verdict different",
            "Not equal. What differs is named below; the target is not to be put to use."
                .to_owned(),
        ),
    };
    body.element(&format!("div class=\"{class}\""), &words);
    body.around("table class=\"facts\"", |table| {
        facts(table, sign_off);
    });
}

fn facts(table: &mut Markup, sign_off: &SignOff<'_>) {
    let mut fact = |name: &str, value: &str| {
        table.around("tr", |row| {
            row.element("th scope=\"row\"", name);
            row.element("td", value);
        });
    };
    let version = |of: fn(&History) -> &String| {
        let history =
            sign_off.compared.accounts.iter().find_map(|account| account.history.as_ref());
        history.map_or(String::new(), |history| format!(", PostgreSQL {}", of(history)))
    };
    fact("compared and written", &shown(&sign_off.compared.at));
    fact(
        "from",
        &format!("{}{}", sign_off.compared.source, version(|history| &history.source_version)),
    );
    fact(
        "to",
        &format!("{}{}", sign_off.compared.target, version(|history| &history.target_version)),
    );
    let names: Vec<&str> =
        sign_off.compared.accounts.iter().map(|a| a.compared.database.as_str()).collect();
    fact("databases", &names.join(", "));
    let configurations: Vec<String> =
        sign_off.record.configurations.iter().map(|path| path.display().to_string()).collect();
    fact("configurations", &configurations.join("\n"));
    fact("by", &format!("pgconvoy {TOOL}"));
}

fn signatures(body: &mut Markup) {
    body.around("div class=\"signatures\"", |lines| {
        for line in ["name", "date", "signature"] {
            lines.element("div", line);
        }
    });
}

fn footer(body: &mut Markup) {
    body.around("footer", |footer| {
        footer.element(
            "p",
            "A fingerprint is the version of its format, the number of rows, and the sum of a hash of \
             each row, which doesn't depend on their order: equal rows have equal fingerprints. It \
             was computed of the rows as they left the source. Comparing read all rows of both sides \
             once more.",
        );
        footer.element("p", &format!("Made by pgconvoy {TOOL}. Times are in UTC."));
    });
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut text = digits[..first].to_owned();
    for group in digits.as_bytes()[first..].chunks(3) {
        if !text.is_empty() {
            text.push(',');
        }
        text.extend(group.iter().map(|digit| char::from(*digit)));
    }
    text
}

/// A time of the record, for people.
fn shown(at: &str) -> String {
    clock::seconds(at).map_or_else(|| at.to_owned(), clock::shown)
}

#[cfg(test)]
mod tests;
