//! When which step was taken: as a picture, and in words.

use super::markup::Markup;
use super::timeline::{self, Axis, Lane};
use super::{SignOff, grouped, shown};
use crate::webstream::clock;
use crate::webstream::next::SignedIn;
use crate::webstream::record::Done;

/// A step that is on record.
struct Step {
    name: String,
    at: String,
    what: String,
}

/// Shows all steps in the order of their times.
pub(super) fn tell(body: &mut Markup, sign_off: &SignOff<'_>) {
    let mut steps = taken(&sign_off.record.done);
    steps.push(Step {
        name: "verify".to_owned(),
        at: sign_off.compared.at.clone(),
        what: "all rows and definitions of both sides read and compared: this report".to_owned(),
    });
    steps.sort_by(|one, other| one.at.cmp(&other.at));
    body.element("h2", "The steps");
    let lanes = lanes(&steps, sign_off);
    timeline::draw(body, "When which step was taken", &lanes, Axis::Dates);
    body.around("table", |table| {
        table.around("thead", |head| {
            head.raw("<tr><th>step</th><th>done at (UTC)</th><th>what</th></tr>");
        });
        table.around("tbody", |rows| {
            for step in &steps {
                rows.around("tr", |row| {
                    row.element("td class=\"whole\"", &step.name);
                    row.element("td class=\"whole\"", &shown(&step.at));
                    row.element("td", &step.what);
                });
            }
        });
    });
    console(body, &sign_off.record.done);
}

fn taken(done: &Done) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut add = |name: &str, at: &str, what: String| {
        steps.push(Step { name: name.to_owned(), at: at.to_owned(), what });
    };
    if let Some(at) = &done.checked {
        add("check", at, "nothing stood in the way".to_owned());
    }
    for (database, provisioned) in &done.provisioned {
        let what = format!("{database} made on the target, for {}", provisioned.owner);
        add("provision", &provisioned.at, what);
    }
    for (database, rehearsal) in &done.rehearsed {
        #[expect(clippy::cast_precision_loss, reason = "a few days of seconds")]
        let took = timeline::duration(rehearsal.window_seconds as f64);
        add("rehearse", &rehearsal.at, format!("{database} moved into a throw-away in {took}"));
    }
    for (database, backup) in &done.backed_up {
        let (archive, rows) = (backup.archive.display(), grouped(backup.rows));
        add("backup", &backup.at, format!("{database}: {rows} rows in {archive}"));
    }
    if let Some(at) = &done.migrated {
        add("migrate", at, "all databases copied behind a fence, and all of it equal".to_owned());
    }
    for (configuration, repointed) in &done.repointed {
        let what = format!(
            "{} leads to the target; as it was: {}",
            configuration.display(),
            repointed.backup.display()
        );
        add("repoint", &repointed.at, what);
    }
    if let Some(SignedIn { at, who }) = &done.signed_in {
        add("sign in", at, format!("{who} has signed in to the admin console"));
    }
    if let Some(retired) = &done.retired {
        let databases: Vec<&str> = retired.limits.keys().map(String::as_str).collect();
        add("retire", &retired.at, format!("closed on the source: {}", databases.join(", ")));
    }
    steps
}

/// A mark for each step, one lane for those of one name and minute; the copies with how long they
/// took.
fn lanes(steps: &[Step], sign_off: &SignOff<'_>) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = Vec::new();
    for step in steps {
        let Some(at) = clock::seconds(&step.at) else { continue };
        match lanes.last_mut().filter(|last| last.label == step.name) {
            Some(last) => last.ended = at,
            None => {
                lanes.push(Lane { label: step.name.clone(), began: at, ended: at, class: "step" });
            }
        }
    }
    let copies = sign_off.compared.accounts.iter().filter_map(|account| account.history.as_ref());
    lanes.extend(copies.filter_map(|history| {
        Some(Lane {
            label: format!("copy of {}", history.database),
            began: history.began,
            ended: history.sealed?,
            class: "copy",
        })
    }));
    lanes.sort_by(|one, other| one.began.total_cmp(&other.began));
    lanes
}

fn console(body: &mut Markup, done: &Done) {
    body.element("h3", "Signing in to the admin console");
    match &done.signed_in {
        Some(SignedIn { at, who }) => {
            body.element("p", &format!("{who} has signed in after the move: {}.", shown(at)));
        }
        None => {
            body.element("p class=\"faint\"", "No answer is on record: try it, and note it here.");
        }
    }
}
