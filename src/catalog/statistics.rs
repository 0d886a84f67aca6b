//! Extended statistics: their definitions and targets.

use crate::error::Result;
use crate::pg::{Oid, QualifiedName};
use crate::toc::{Entry, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::fragments::qualified;
use super::relations::Relations;
use super::rendered::rendered;
use super::scope::Scope;

/// Adds STATISTICS entries.
pub(super) async fn read(
    session: &Session,
    scope: &Scope,
    relations: &Relations,
    out: &mut Builder,
) -> Result<()> {
    let sql = statistics_sql(scope, session.version().major());
    let rows = session.query("reading extended statistics", &sql, &[]).await?;
    for row in &rows {
        let object = ObjectId::new(Oid(row.get("tableoid")), row.get("oid"));
        let Some(table) = relations.own(row.get("stxrelid")) else {
            continue;
        };
        if !out.is_extension_member(object) {
            let name = qualified(row, "stxname");
            let target = row.get::<_, Option<i32>>("target").filter(|&t| t >= 0);
            let definition = rendered(row, "definition", || format!("extended statistics {name}"))?;
            let entry = entry(&name, row.get("owner"), definition, target);
            let id = out.add(object, entry);
            out.needs(id, table.object());
        }
    }
    Ok(())
}

fn entry(name: &QualifiedName, owner: &str, definition: &str, target: Option<i32>) -> Entry {
    let mut create = format!("{definition};\n");
    if let Some(target) = target {
        create.push_str(&format!("ALTER STATISTICS {} SET STATISTICS {target};\n", name.sql()));
    }
    Entry {
        owner: Some(owner.to_owned()),
        create,
        drop: format!("DROP STATISTICS {};\n", name.sql()),
        ..Entry::new(Kind::Statistics, Some(&name.schema), &name.name)
    }
}

fn statistics_sql(scope: &Scope, major: u32) -> String {
    let target = match major {
        13.. => "s.stxstattarget::int4",
        _ => "NULL::int4",
    };
    format!(
        "SELECT s.tableoid, s.oid, n.nspname, s.stxname, s.stxrelid, {target} AS target, \
                pg_catalog.pg_get_userbyid(s.stxowner)::text AS owner, \
                pg_catalog.pg_get_statisticsobjdef(s.oid) AS definition \
         FROM pg_catalog.pg_statistic_ext s \
         JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace \
         WHERE {}",
        scope.schemas("n.nspname")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_follows_the_definition() {
        let name = QualifiedName::new("s", "x");
        let entry = entry(&name, "o", "CREATE STATISTICS s.x ON a, b FROM s.t", Some(50));
        assert_eq!(
            entry.create,
            "CREATE STATISTICS s.x ON a, b FROM s.t;\n\
             ALTER STATISTICS \"s\".\"x\" SET STATISTICS 50;\n"
        );
    }
}
