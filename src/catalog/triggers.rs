//! Triggers, and partitions' clones of them that differ from their parents in state, or by a tie to
//! an extension.

use crate::error::Result;
use crate::pg::{class, quote_ident};
use crate::toc::{Entry, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::dependencies::Dependencies;
use super::relations::{Relation, Relations};
use super::rendered::rendered;
use super::rules::state;
use super::scope::Scope;

/// Adds TRIGGER entries. What enforces foreign keys comes with these, and partitions' clones with
/// the parent's trigger.
pub(super) async fn read(
    session: &Session,
    scope: &Scope,
    relations: &Relations,
    dependencies: &Dependencies,
    out: &mut Builder,
) -> Result<()> {
    let sql = triggers_sql(scope, session.version().major());
    let rows = session.query("reading triggers", &sql, &[]).await?;
    for row in &rows {
        let object = ObjectId::new(class::PG_TRIGGER, row.get("oid"));
        let Some(table) = relations.own(row.get("tgrelid")) else {
            continue;
        };
        if out.is_extension_member(object) {
            continue;
        }
        let name: &str = row.get("tgname");
        let enabled: &str = row.get("enabled");
        let mut entry = match row.get("clone") {
            true => clone_entry(table, name, enabled),
            false => {
                let definition =
                    rendered(row, "definition", || format!("trigger {name} of {}", table.name))?;
                entry(table, name, definition, enabled)
            }
        };
        let trigger = format!("TRIGGER {} ON {}", quote_ident(name), table.sql());
        entry.create.push_str(&dependencies.extension_ties(object, &trigger));
        let id = out.add(object, entry);
        out.needs(id, table.object());
        if let Some(parent) = row.get::<_, Option<u32>>("parent") {
            out.needs(id, ObjectId::new(class::PG_TRIGGER, parent));
        }
    }
    Ok(())
}

fn entry(table: &Relation, name: &str, definition: &str, enabled: &str) -> Entry {
    let mut create = format!("{definition};\n");
    if let Some(state) = state(enabled) {
        create.push_str(&set_state(table, name, state));
    }
    Entry {
        create,
        drop: format!("DROP TRIGGER {} ON {};\n", quote_ident(name), table.sql()),
        ..Entry::new(Kind::Trigger, Some(&table.name.schema), table.tag_of(name))
    }
}

/// The state of a partition's clone, which came into being with the parent's trigger.
fn clone_entry(table: &Relation, name: &str, enabled: &str) -> Entry {
    Entry {
        create: set_state(table, name, state(enabled).unwrap_or("ENABLE")),
        ..Entry::new(Kind::Trigger, Some(&table.name.schema), table.tag_of(name))
    }
}

fn set_state(table: &Relation, name: &str, state: &str) -> String {
    format!("ALTER TABLE {} {state} TRIGGER {};\n", table.sql(), quote_ident(name))
}

/// A clone is told by its parent: in `tgparentid` since 13, by a dependency before
/// (source: pg_dump.c, getTriggers). Foreign keys' own triggers are no one's to define.
fn triggers_sql(scope: &Scope, major: u32) -> String {
    let (parent, join) = match major {
        13.. => ("t.tgparentid", ""),
        _ => (
            "coalesce(d.refobjid, 0)",
            "LEFT JOIN pg_catalog.pg_depend d \
                    ON d.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass \
                   AND d.objid = t.oid AND d.deptype = 'P' \
                   AND d.refclassid = 'pg_catalog.pg_trigger'::pg_catalog.regclass",
        ),
    };
    format!(
        "SELECT t.oid, t.tgrelid, t.tgname, t.tgenabled::text AS enabled, \
                u.oid IS NOT NULL AS clone, u.oid AS parent, \
                pg_catalog.pg_get_triggerdef(t.oid, false) AS definition \
         FROM pg_catalog.pg_trigger t \
         JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace {join} \
         LEFT JOIN pg_catalog.pg_trigger u ON u.oid = {parent} \
         LEFT JOIN pg_catalog.pg_constraint k ON k.oid = t.tgconstraint \
         WHERE k.contype IS DISTINCT FROM 'f' AND {} \
           AND CASE WHEN u.oid IS NULL THEN NOT t.tgisinternal \
                    ELSE t.tgenabled <> u.tgenabled \
                         OR EXISTS (SELECT FROM pg_catalog.pg_depend x WHERE x.deptype = 'x' \
                                    AND x.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass \
                                    AND x.objid = t.oid) END",
        scope.schemas("n.nspname")
    )
}

#[cfg(test)]
mod tests {
    use super::super::relations::sample;
    use super::*;

    #[test]
    fn a_triggers_state_follows_its_definition_and_a_clone_has_nothing_else() {
        let table = sample::table(1, "t");
        let definition =
            "CREATE TRIGGER x BEFORE INSERT ON s.t FOR EACH ROW EXECUTE FUNCTION s.f()";
        assert_eq!(
            entry(&table, "x", definition, "R").create,
            format!("{definition};\nALTER TABLE \"s\".\"t\" ENABLE REPLICA TRIGGER \"x\";\n")
        );
        assert_eq!(
            clone_entry(&table, "x", "O").create,
            "ALTER TABLE \"s\".\"t\" ENABLE TRIGGER \"x\";\n"
        );
    }
}
