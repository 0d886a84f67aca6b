//! Libraries that functions in C are made of: without them the target creates no such function
//! (source: fmgr_c_validator in catalog/pg_proc.c, which loads the library whatever
//! check_function_bodies says).

use std::collections::{BTreeMap, BTreeSet};

use crate::commands::survey::Source;
use crate::error::Result;
use crate::pg::quote_literal;
use crate::toc::{Finding, Kind, TargetFacts};

use super::gathered::{is_refusal_of_a_statement, named};
use super::routine_names::NAME;
use super::sides::Sides;
use super::words;

/// Refuses each library that the target can't load. A target user who is no superuser creates no
/// functions in C at all.
pub(super) async fn findings(
    sides: &Sides<'_>,
    source: &Source,
    facts: &TargetFacts,
) -> Result<Vec<Finding>> {
    if !facts.superuser {
        return Ok(Vec::new());
    }
    let moving: BTreeSet<(Option<&str>, &str)> = source
        .toc
        .entries
        .iter()
        .filter(|entry| matches!(entry.kind, Kind::Function | Kind::Procedure))
        .map(|entry| (entry.schema.as_deref(), entry.name.as_str()))
        .collect();
    let doing = "reading which libraries functions are made of";
    let mut libraries: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in sides.source.query(doing, &made_of(), &[]).await? {
        let (schema, name): (&str, &str) = (row.get(0), row.get(1));
        if moving.contains(&(Some(schema), name)) {
            libraries.entry(row.get(2)).or_default().push(format!("{schema}.{name}"));
        }
    }
    let mut found = Vec::new();
    for (library, functions) in &libraries {
        let load = format!("LOAD {}", quote_literal(library));
        match sides.target().execute("loading a library", &load).await {
            Ok(()) => {}
            Err(error) if is_refusal_of_a_statement(&error) => {
                found.push(refusal(library, functions, &words(&error)));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn refusal(library: &str, functions: &[String], words: &str) -> Finding {
    let what = format!("the target can't load it, of which is made {}: {words}", named(functions));
    Finding::refusal(format!("library {library}"), what).mend(
        "install it on the target, in the same place, or drop on the source what is made of it",
    )
}

/// The functions in C, by schema and name, and their libraries. Language 13 is C (source:
/// catalog/pg_language.dat).
fn made_of() -> String {
    format!(
        "SELECT n.nspname::text, {NAME}, p.probin FROM pg_catalog.pg_proc p \
         JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
         WHERE p.prolang = 13 AND p.oid >= 16384 AND p.probin IS NOT NULL ORDER BY 3, 1, 2"
    )
}
