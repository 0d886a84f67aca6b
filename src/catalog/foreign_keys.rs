//! Foreign keys.

use crate::error::Result;
use crate::pg::{class, quote_ident};
use crate::toc::{Entry, Kind, Retired};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::indexes::IndexAttached;
use super::relations::{Relation, RelationKind, Relations};
use super::rendered::rendered;
use super::scope::Scope;

/// Whether two columns of a key have different collations, of which one can take different bytes for
/// equal (source: ATAddForeignKeyConstraint in commands/tablecmds.c).
const COLLATED: &str = "EXISTS (SELECT FROM ROWS FROM (pg_catalog.unnest(k.conkey), \
     pg_catalog.unnest(k.confkey)) AS pair(ours, theirs) \
     JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = pair.ours \
     JOIN pg_catalog.pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = pair.theirs \
     JOIN pg_catalog.pg_collation o ON o.oid IN (a.attcollation, b.attcollation) \
     WHERE a.attcollation <> b.attcollation AND NOT o.collisdeterministic)";

/// Adds FK CONSTRAINT entries. A partition's share of its parent's key comes with the parent's.
pub(super) async fn read(
    session: &Session,
    scope: &Scope,
    relations: &Relations,
    attached: &IndexAttached,
    out: &mut Builder,
) -> Result<()> {
    let sql = format!(
        "SELECT k.oid, k.conrelid, k.confrelid, k.conindid, k.conname, \
                pg_catalog.pg_get_constraintdef(k.oid) AS definition, {COLLATED} AS collated \
         FROM pg_catalog.pg_constraint k \
         JOIN pg_catalog.pg_class c ON c.oid = k.conrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE k.contype = 'f' AND k.conparentid = 0 AND {}",
        scope.schemas("n.nspname")
    );
    let rows = session.query("reading foreign keys", &sql, &[]).await?;
    for row in &rows {
        let Some(table) = relations.own(row.get("conrelid")) else {
            continue;
        };
        let name: &str = row.get("conname");
        let definition =
            rendered(row, "definition", || format!("foreign key {name} of {}", table.name))?;
        let mut entry = entry(table, name, definition);
        entry.retired = row.get::<_, bool>("collated").then(|| Retired {
            since: 18,
            why: "its columns have other collations than those it refers to, and they aren't \
                  deterministic"
                .to_owned(),
            mend: "give the columns of both tables the same collation".to_owned(),
        });
        let id = out.add(ObjectId::new(class::PG_CONSTRAINT, row.get("oid")), entry);
        out.needs(id, table.object());
        if let Some(referenced) = relations.any(row.get("confrelid")) {
            out.needs(id, referenced.object());
        }
        // A partitioned table's unique index is valid once every partition's is attached.
        for attachment in attached.below(row.get("conindid")) {
            out.comes_after(id, attachment);
        }
    }
    Ok(())
}

/// On a partitioned table the key goes down to the partitions, so there is no ONLY.
fn entry(table: &Relation, name: &str, definition: &str) -> Entry {
    let alter = match table.kind {
        RelationKind::Partitioned => format!("ALTER TABLE {}", table.sql()),
        _ => table.alter_only(),
    };
    Entry {
        create: format!("{alter}\n    ADD CONSTRAINT {} {definition};\n", quote_ident(name)),
        drop: format!("{alter} DROP CONSTRAINT {};\n", quote_ident(name)),
        ..Entry::new(Kind::FkConstraint, Some(&table.name.schema), table.tag_of(name))
    }
}

#[cfg(test)]
mod tests {
    use super::super::relations::sample;
    use super::*;

    #[test]
    fn a_partitioned_tables_key_goes_down_to_its_partitions() {
        let plain = sample::table(1, "t");
        let partitioned = Relation { kind: RelationKind::Partitioned, ..plain.clone() };
        let definition = "FOREIGN KEY (a) REFERENCES s.r(a) NOT VALID";
        assert_eq!(
            entry(&plain, "k", definition).create,
            "ALTER TABLE ONLY \"s\".\"t\"\n    ADD CONSTRAINT \"k\" FOREIGN KEY (a) \
             REFERENCES s.r(a) NOT VALID;\n"
        );
        assert!(
            entry(&partitioned, "k", definition).create.starts_with("ALTER TABLE \"s\".\"t\"\n")
        );
    }
}
