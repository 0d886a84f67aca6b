//! Rewrite rules other than views' own, and the states they can be in.

use crate::error::Result;
use crate::pg::{class, quote_ident};
use crate::toc::{Entry, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::relations::{Relation, Relations};
use super::rendered::rendered;
use super::scope::Scope;

/// The words between ALTER TABLE and the kind's name that set a rule's or trigger's state, from
/// `ev_enabled` or `tgenabled`; none for the state that CREATE gives.
pub(super) fn state(code: &str) -> Option<&'static str> {
    Some(match code {
        "D" => "DISABLE",
        "A" => "ENABLE ALWAYS",
        "R" => "ENABLE REPLICA",
        _ => return None,
    })
}

/// Adds RULE entries.
pub(super) async fn read(
    session: &Session,
    scope: &Scope,
    relations: &Relations,
    out: &mut Builder,
) -> Result<()> {
    let sql = format!(
        "SELECT r.oid, r.ev_class, r.rulename, r.ev_enabled::text AS enabled, \
                pg_catalog.pg_get_ruledef(r.oid) AS definition \
         FROM pg_catalog.pg_rewrite r \
         JOIN pg_catalog.pg_class c ON c.oid = r.ev_class \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE r.rulename <> '_RETURN' AND {}",
        scope.schemas("n.nspname")
    );
    let rows = session.query("reading rules", &sql, &[]).await?;
    for row in &rows {
        let object = ObjectId::new(class::PG_REWRITE, row.get("oid"));
        let Some(table) = relations.own(row.get("ev_class")) else {
            continue;
        };
        if !out.is_extension_member(object) {
            let name: &str = row.get("rulename");
            let definition =
                rendered(row, "definition", || format!("rule {name} of {}", table.name))?;
            let entry = entry(table, name, definition, state(row.get("enabled")));
            let id = out.add(object, entry);
            out.needs(id, table.object());
        }
    }
    Ok(())
}

fn entry(table: &Relation, name: &str, definition: &str, state: Option<&str>) -> Entry {
    let quoted = quote_ident(name);
    let mut create = format!("{};\n", definition.trim_end().trim_end_matches(';'));
    if let Some(state) = state {
        create.push_str(&format!("ALTER TABLE {} {state} RULE {quoted};\n", table.sql()));
    }
    Entry {
        create,
        drop: format!("DROP RULE {quoted} ON {};\n", table.sql()),
        ..Entry::new(Kind::Rule, Some(&table.name.schema), table.tag_of(name))
    }
}

#[cfg(test)]
mod tests {
    use super::super::relations::sample;
    use super::*;

    #[test]
    fn a_rules_state_follows_its_definition() {
        let table = sample::table(1, "t");
        let rule =
            entry(&table, "r", "CREATE RULE r AS ON DELETE TO s.t DO INSTEAD NOTHING;", state("A"));
        assert_eq!(
            rule.create,
            "CREATE RULE r AS ON DELETE TO s.t DO INSTEAD NOTHING;\n\
             ALTER TABLE \"s\".\"t\" ENABLE ALWAYS RULE \"r\";\n"
        );
        assert_eq!(state("O"), None);
    }
}
