//! Whether the source understands the conditions that rows are chosen by, and which foreign keys
//! they may break.

use std::collections::{BTreeSet, HashMap};

use crate::commands::survey::Source;
use crate::error::Result;
use crate::pg::quote_ident;
use crate::toc::{EntryId, Finding, Kind, Side, TableData, Toc};

use super::gathered::is_refusal_of_a_statement;
use super::sides::Sides;
use super::words;

/// Conditions that can't be asked, and foreign keys whose rows may be without their match.
pub(super) async fn findings(sides: &Sides<'_>, source: &Source) -> Result<Vec<Finding>> {
    let mut found = keys(&source.toc);
    for table in source.toc.entries.iter().filter_map(|entry| entry.table.as_deref()) {
        if let Some(condition) = &table.filter {
            let planned =
                sides.source.execute("planning the choice of rows", &explain(table)).await;
            if let Err(error) = planned {
                if !is_refusal_of_a_statement(&error) {
                    return Err(error);
                }
                let what = format!("--where {condition}: the source can't tell: {}", words(&error));
                found.push(Finding::refusal(format!("TABLE {}", table.relation), what).mend(
                    "correct the condition; outside pg_catalog, functions, types and operators \
                     take their schema",
                ));
            }
        }
    }
    Ok(found)
}

/// Plans what the copy reads, and runs nothing.
fn explain(table: &TableData) -> String {
    let columns: Vec<String> = table.columns.iter().map(|name| quote_ident(name)).collect();
    let conditions: Vec<&str> = table.conditions(Side::Source).collect();
    format!(
        "EXPLAIN SELECT {} FROM ONLY {} WHERE ({})",
        columns.join(", "),
        table.relation.sql(),
        conditions.join(") AND (")
    )
}

/// Foreign keys to tables of which some rows stay behind, from tables of which all move.
fn keys(toc: &Toc) -> Vec<Finding> {
    let mut rows: HashMap<EntryId, &TableData> = HashMap::new();
    for entry in &toc.entries {
        rows.extend(
            entry
                .table
                .as_deref()
                .into_iter()
                .flat_map(|t| entry.depends_on.iter().map(move |id| (*id, t))),
        );
    }
    let tables = toc.iter().filter(|(_, entry)| entry.kind == Kind::Table);
    let partial: BTreeSet<EntryId> = tables
        .filter(|(id, table)| match rows.get(id) {
            Some(rows) => rows.filter.is_some(),
            None => !table.create.contains("PARTITION BY "),
        })
        .map(|(id, _)| id)
        .collect();
    let mut found = Vec::new();
    for (_, key) in toc.iter().filter(|(_, entry)| entry.kind == Kind::FkConstraint) {
        let tables: Vec<EntryId> = key
            .depends_on
            .iter()
            .copied()
            .filter(|id| toc.entry(*id).kind == Kind::Table)
            .collect();
        let refers = |id: &EntryId| {
            let table = toc.entry(*id);
            table.schema == key.schema
                && key.name.strip_prefix(&table.name).is_some_and(|rest| rest.starts_with(' '))
        };
        let referring = tables.iter().copied().find(|id| refers(id));
        let referenced = tables.iter().copied().find(|id| Some(*id) != referring);
        if let (Some(referring), Some(referenced)) = (referring, referenced)
            && partial.contains(&referenced)
            && !partial.contains(&referring)
        {
            let (from, to) = (toc.entry(referring).title(), toc.entry(referenced).title());
            let what = format!(
                "rows of {to} stay behind, and all of {from} move: one that refers to a row left \
                 behind makes the job fail at this key"
            );
            found.push(Finding::note(key.title(), what).mend(
                "choose the referring rows to match with --where, or leave their table's rows \
                 behind with --exclude-table-data",
            ));
        }
    }
    found
}
