//! Whether the job that a target's ledger holds can go on: for the same source, with the same terms
//! and definitions.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{Job, SourceIdentity};
use crate::error::{Error, Kind, Result};
use crate::pg::ToastCompression;
use crate::plan::{Plan, TableId};
use crate::toc::{TableData, Toc, named};

/// Whether the ledger's job is about this source.
pub(super) fn refuse_another_source(job: &Job, source: &SourceIdentity) -> Result<()> {
    let known = |identity: &SourceIdentity| (identity.system.clone(), identity.database.clone());
    if known(&job.source) != known(source) {
        return Err(another_job(format!("it copies another database, {}", job.source.database)));
    }
    Ok(())
}

/// Whether the target is in use by now: nothing touches it any more.
pub(super) fn refuse_cut_over(since: Option<&str>) -> Result<()> {
    let Some(since) = since else { return Ok(()) };
    Err(Error::new(Kind::Refused, "looking at the job in the target's ledger")
        .because(format!("the target is in use since {since}, when its cut-over was recorded"))
        .hint(
            "nothing is done to it any more; if that record is wrong, drop the target database by \
             hand, then run again",
        ))
}

/// Whether the ledger's job moves the same part, under the same owners.
pub(super) fn refuse_other_terms(job: &Job, terms: &[String]) -> Result<()> {
    if job.terms == terms {
        return Ok(());
    }
    let words = |terms: &[String]| match terms {
        [] => "no filters".to_owned(),
        some => some.join(" "),
    };
    Err(Error::new(Kind::Refused, "going on with the job in the target's ledger")
        .because(format!("it was begun with {}, not with {}", words(&job.terms), words(terms)))
        .hint(
            "run it with the same filters as before; or, to drop what it has made and begin anew \
             with these: --restart",
        ))
}

/// Whether the ledger's job compresses values as is asked now; where nothing is, it goes on as begun.
pub(super) fn refuse_other_compression(job: &Job, wanted: Option<ToastCompression>) -> Result<()> {
    if wanted.is_none() || job.toast_compression == wanted {
        return Ok(());
    }
    let words = |compression: Option<ToastCompression>| match compression {
        Some(method) => format!("--toast-compression {method}"),
        None => "no --toast-compression".to_owned(),
    };
    let (then, now) = (words(job.toast_compression), words(wanted));
    Err(Error::new(Kind::Refused, "going on with the job in the target's ledger")
        .because(format!("it was begun with {then}, not with {now}"))
        .hint(
            "run it without the flag, to go on as it was begun, or drop and recreate the target \
             database to begin anew",
        ))
}

/// Whether the source is still as the ledger's job was planned for.
pub(super) fn refuse_changed_definitions(
    then: &BTreeMap<String, u64>,
    now: &BTreeMap<String, u64>,
) -> Result<()> {
    let mut changed = changed_definitions(then, now);
    if changed.is_empty() {
        return Ok(());
    }
    let more = changed.len().saturating_sub(10);
    changed.truncate(10);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Err(another_job(format!(
        "the source's definitions changed since: {}{more}",
        changed.join(", ")
    )))
}

/// The titles of the definitions that differ.
pub(super) fn changed_definitions(
    then: &BTreeMap<String, u64>,
    now: &BTreeMap<String, u64>,
) -> Vec<String> {
    let names = |a: &BTreeMap<String, u64>, b: &BTreeMap<String, u64>| -> Vec<String> {
        a.iter()
            .filter(|(title, digest)| b.get(*title) != Some(digest))
            .map(|(t, _)| t.clone())
            .collect()
    };
    let mut changed = names(then, now);
    // The last large object of an owner or with some grants may go, as a table's last row may.
    changed.retain(|title| now.contains_key(title) || !is_large_objects(title));
    changed.extend(names(now, then));
    changed.sort();
    changed.dedup();
    changed
}

/// Whether the plan reads of the source what one made today would: conditions on rows go there as SQL,
/// and a ledger is whose the target is. Where all rows are there, a table may be gone from the source.
pub(super) fn refuse_what_nobody_asked_for(
    plan: &Plan,
    now: &Toc,
    data_is_complete: bool,
) -> Result<()> {
    let today = now.entries.iter().filter_map(|entry| entry.table.as_deref());
    let today: BTreeMap<_, _> = today.map(|table| (&table.relation, table)).collect();
    let is_asked_for = |table: &TableData| match today.get(&table.relation) {
        Some(now) => {
            let conditions = (&now.condition, &now.filter) == (&table.condition, &table.filter);
            conditions && (data_is_complete || now.columns == table.columns)
        }
        None => {
            // The last large object may go.
            let may_be_gone = data_is_complete || table.holds_large_objects();
            may_be_gone && table.condition.is_none() && table.filter.is_none()
        }
    };
    match plan.tables.iter().find(|table| !is_asked_for(table)) {
        None => Ok(()),
        Some(table) => Err(another_job(format!(
            "it reads other rows of {} than this source and these flags say",
            table.relation
        ))),
    }
}

fn is_large_objects(title: &str) -> bool {
    title.strip_prefix(crate::toc::Kind::LargeObjects.tag()).is_some_and(|r| r.starts_with(' '))
}

fn another_job(because: String) -> Error {
    Error::new(Kind::Refused, "going on with the job in the target's ledger")
        .because(because)
        .hint("to drop what it has made and begin anew: --restart")
}

/// The source has changed after the job went beyond its rows.
pub(super) fn too_late_to_renew(changed: &[String]) -> Error {
    Error::new(Kind::Refused, "going on with the job in the target's ledger")
        .because(format!(
            "the source was written to since its rows were copied ({}), and foreign keys, triggers \
             or grants stand on them already",
            named(changed)
        ))
        .hint(
            "to drop what the job has made and begin anew: --restart; next time copy with --warm \
             first, so that rows can be renewed under the fence",
        )
}

/// A job that has gone beyond its rows can't wait for later ones.
pub(super) fn too_late_to_warm() -> Error {
    Error::new(Kind::Refused, "going on with the job in the target's ledger")
        .because("foreign keys, triggers or grants stand on its rows already")
        .hint("run it without --warm, to end it; or, to drop what it has made: --restart --warm")
}

/// Foreign keys, triggers or grants are there already: rows can't be copied as if they weren't.
pub(super) fn too_late_to_copy(plan: &Plan, lost: &BTreeSet<TableId>) -> Error {
    let names: Vec<String> =
        lost.iter().map(|table| plan.table(*table).relation.to_string()).collect();
    Error::new(Kind::Refused, "going on with the job in the target's ledger")
        .because(format!(
            "after all rows were copied the target has lost those of {}: unlogged tables are \
             empty after a crash",
            names.join(", ")
        ))
        .hint(
            "fill these tables again, then run again; or, to drop what the job has made and begin \
             anew: --restart",
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toc::{Entry, Kind as EntryKind, test_table};

    fn refused(stored: TableData, data_is_complete: bool) -> bool {
        let mut entry = Entry::new(EntryKind::TableData, Some("public"), "a");
        entry.table = Some(Box::new(test_table("a")));
        let plan = Plan { tables: vec![stored], steps: Vec::new() };
        let now = Toc { entries: vec![entry] };
        refuse_what_nobody_asked_for(&plan, &now, data_is_complete).is_err()
    }

    #[test]
    fn a_ledger_has_the_source_asked_for_nothing_but_what_was_chosen() {
        let evil = Some("true)) TO PROGRAM 'id'; --".to_owned());
        for complete in [false, true] {
            assert!(!refused(test_table("a"), complete));
            assert!(refused(TableData { condition: evil.clone(), ..test_table("a") }, complete));
            assert!(refused(TableData { filter: evil.clone(), ..test_table("a") }, complete));
            assert!(refused(TableData { filter: evil.clone(), ..test_table("b") }, complete));
        }
        assert!(refused(test_table("b"), false));
        assert!(!refused(test_table("b"), true));
        assert!(refused(TableData { columns: vec!["secret".into()], ..test_table("a") }, false));
    }
}
