//! Indexes, those behind constraints included, and the attachment of partitions' indexes.

use std::collections::{BTreeMap, HashMap};

use tokio_postgres::Row;

use crate::error::Result;
use crate::pg::{QualifiedName, class, quote_ident};
use crate::toc::{Entry, EntryId, Kind, Retired};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::constraints::{self, Constraint, ConstraintKind};
use super::fragments::qualified;
use super::relations::{Relation, RelationKind};
use super::rendered::rendered_if;
use super::scope::Scope;
use super::tables::{Attached, Parts};

/// An index.
#[derive(Debug, Clone)]
pub(super) struct Index {
    pub(super) oid: u32,
    pub(super) table: u32,
    pub(super) name: QualifiedName,
    /// `CREATE INDEX …`, complete; empty where a constraint brings the index.
    pub(super) definition: String,
    pub(super) partitioned: bool,
    /// Built, and complete: invalid ones are left by a failed CREATE INDEX CONCURRENTLY.
    pub(super) usable: bool,
    pub(super) clustered: bool,
    pub(super) replica_identity: bool,
    pub(super) unique: bool,
    /// Neither partial nor over expressions.
    pub(super) plain: bool,
    pub(super) nulls_not_distinct: bool,
    /// Column numbers: the key's, then those that are only included.
    pub(super) columns: Vec<i16>,
    pub(super) key_columns: usize,
    pub(super) options: Vec<String>,
    /// The index of the parent table that it is a part of.
    pub(super) parent: Option<u32>,
    pub(super) constraint: Option<Constraint>,
    pub(super) tablespace: Option<String>,
    /// Statistics targets of its columns, by number.
    pub(super) statistics: Vec<(i16, i32)>,
}

impl Index {
    fn object(&self) -> ObjectId {
        ObjectId::new(class::PG_CLASS, self.oid)
    }

    /// The columns of its key.
    pub(super) fn key(&self) -> &[i16] {
        &self.columns[..self.key_columns.min(self.columns.len())]
    }
}

/// All indexes in scope, by oid.
#[derive(Debug, Default)]
pub(super) struct Indexes {
    by_oid: BTreeMap<u32, Index>,
}

impl Indexes {
    pub(super) async fn read(session: &Session, scope: &Scope) -> Result<Self> {
        let sql = indexes_sql(scope, session.version().major());
        let mut indexes = Vec::new();
        let take = |row: Row| {
            indexes.push(from_row(&row)?);
            Ok(())
        };
        session.query_each("reading indexes", &sql, &[], take).await?;
        Ok(Indexes::new(indexes))
    }

    pub(super) fn new(indexes: impl IntoIterator<Item = Index>) -> Self {
        Indexes { by_oid: indexes.into_iter().map(|i| (i.oid, i)).collect() }
    }

    /// The indexes of tables that aren't an extension's, by oid.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Index> {
        self.by_oid.values()
    }
}

/// The INDEX ATTACH entries by the parent's index: (the part's index, its entry).
#[derive(Debug, Default)]
pub(super) struct IndexAttached(HashMap<u32, Vec<(u32, EntryId)>>);

impl IndexAttached {
    /// All attachments below an index, through every level.
    pub(super) fn below(&self, index: u32) -> Vec<EntryId> {
        let mut found = Vec::new();
        let mut open = vec![index];
        while let Some(index) = open.pop() {
            for &(part, id) in self.0.get(&index).into_iter().flatten() {
                found.push(id);
                open.push(part);
            }
        }
        found
    }
}

/// Adds INDEX, CONSTRAINT (primary key, unique, exclusion) and INDEX ATTACH entries.
pub(super) fn add(
    indexes: &Indexes,
    parts: Parts<'_>,
    attached: &Attached,
    out: &mut Builder,
) -> IndexAttached {
    for index in indexes.iter() {
        let Some(table) = parts.relations.own(index.table) else {
            continue;
        };
        if table.kind == RelationKind::Foreign {
            continue;
        }
        if !index.usable && !index.partitioned {
            out.left_out(
                format!("index {}", index.name),
                "it is invalid on the source: left by a failed build, and used by no query",
            );
            out.needs_no_entry(index.object());
            continue;
        }
        if let Some(space) = &index.tablespace {
            out.left_out(
                format!("tablespace of index {}", index.name),
                format!("the index lies in {space}; it moves to the target's default tablespace"),
            );
        }
        let id = add_index(index, table, parts, out);
        // Attaching a partition to a table that already has the index would build another one.
        for &attachment in attached.get(&table.oid).into_iter().flatten() {
            out.comes_after(id, attachment);
        }
    }
    add_attachments(indexes, out)
}

fn add_index(index: &Index, table: &Relation, parts: Parts<'_>, out: &mut Builder) -> EntryId {
    let extras = extras(index, table);
    let ties =
        parts.dependencies.extension_ties(index.object(), &format!("INDEX {}", index.name.sql()));
    let id = match &index.constraint {
        Some(constraint) => {
            let mut entry = constraints::entry(constraint, index, table, parts.columns);
            entry.create.push_str(&extras);
            entry.create.push_str(&ties);
            let id = out.add(constraint.object(), entry);
            out.also_creates(id, index.object());
            id
        }
        None => {
            let entry = Entry {
                create: format!("{};\n{extras}{ties}", index.definition),
                drop: format!("DROP INDEX {};\n", index.name.sql()),
                ..Entry::new(Kind::Index, Some(&index.name.schema), &index.name.name)
            };
            out.add(index.object(), entry)
        }
    };
    out.needs(id, table.object());
    id
}

/// What CREATE INDEX can't say.
fn extras(index: &Index, table: &Relation) -> String {
    let mut sql = String::new();
    for (column, target) in &index.statistics {
        sql.push_str(&format!(
            "ALTER INDEX {} ALTER COLUMN {column} SET STATISTICS {target};\n",
            index.name.sql()
        ));
    }
    let name = quote_ident(&index.name.name);
    if index.clustered {
        sql.push_str(&format!("ALTER TABLE {} CLUSTER ON {name};\n", table.sql()));
    }
    if index.replica_identity {
        sql.push_str(&format!("{} REPLICA IDENTITY USING INDEX {name};\n", table.alter_only()));
    }
    sql
}

fn add_attachments(indexes: &Indexes, out: &mut Builder) -> IndexAttached {
    let mut attached = IndexAttached::default();
    for part in indexes.iter() {
        let Some(parent) = part.parent.and_then(|oid| indexes.by_oid.get(&oid)) else {
            continue;
        };
        if out.creator(part.object()).is_none() || out.creator(parent.object()).is_none() {
            continue;
        }
        let id = out.add_part(Entry {
            create: format!(
                "ALTER INDEX {} ATTACH PARTITION {};\n",
                parent.name.sql(),
                part.name.sql()
            ),
            retired: part.constraint.as_ref().and_then(unattachable),
            ..Entry::new(Kind::IndexAttach, Some(&part.name.schema), &part.name.name)
        });
        out.needs(id, parent.object());
        out.needs(id, part.object());
        let parts = attached.0.entry(parent.oid).or_default();
        parts.push((part.oid, id));
    }
    attached
}

/// Why no server attaches an index that a partition shares with its parent: it takes none that
/// excludes for equal to another (source: catalog/index.c, CompareIndexInfo).
fn unattachable(constraint: &Constraint) -> Option<Retired> {
    let excludes = constraint.kind == ConstraintKind::Exclusion || constraint.period;
    excludes.then(|| Retired {
        since: 0,
        why: "PostgreSQL attaches no index of an exclusion constraint, or of a key WITHOUT \
              OVERLAPS, to a partitioned table's; pg_dump's archives fail on it, too"
            .to_owned(),
        mend: "drop the partitioned table's constraint, and add it on the target after the job"
            .to_owned(),
    })
}

fn indexes_sql(scope: &Scope, major: u32) -> String {
    let nulls_not_distinct = match major {
        15.. => "i.indnullsnotdistinct",
        _ => "false",
    };
    let period = match major {
        18.. => "k.conperiod",
        _ => "false",
    };
    format!(
        "SELECT i.indexrelid, i.indrelid, n.nspname, c.relname, \
                CASE WHEN k.oid IS NULL \
                     THEN pg_catalog.pg_get_indexdef(i.indexrelid) END AS definition, \
                c.relkind = 'I' AS partitioned, i.indisvalid AND i.indisready AS usable, \
                i.indisclustered, i.indisreplident, i.indisunique, \
                i.indpred IS NULL AND i.indexprs IS NULL AS plain, \
                {nulls_not_distinct} AS nulls_not_distinct, i.indkey::int2[] AS columns, \
                i.indnkeyatts, c.reloptions, h.inhparent, ts.spcname, \
                k.oid AS constraint_oid, k.conname, k.contype::text AS contype, \
                k.condeferrable, k.condeferred, {period} AS period, \
                CASE WHEN k.contype = 'x' \
                     THEN pg_catalog.pg_get_constraintdef(k.oid) END AS constraint_definition, \
                s.numbers, s.targets \
         FROM pg_catalog.pg_index i \
         JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_catalog.pg_inherits h ON h.inhrelid = i.indexrelid \
         LEFT JOIN pg_catalog.pg_tablespace ts ON ts.oid = c.reltablespace \
         LEFT JOIN pg_catalog.pg_constraint k \
                ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid \
               AND k.contype IN ('p', 'u', 'x') \
         LEFT JOIN (SELECT attrelid, pg_catalog.array_agg(attnum ORDER BY attnum) AS numbers, \
                           pg_catalog.array_agg(attstattarget::int4 ORDER BY attnum) AS targets \
                    FROM pg_catalog.pg_attribute \
                    WHERE attstattarget >= 0 AND attnum > 0 GROUP BY attrelid) s \
                ON s.attrelid = i.indexrelid \
         WHERE {} ORDER BY i.indexrelid",
        scope.schemas("n.nspname")
    )
}

fn from_row(row: &Row) -> Result<Index> {
    let key_columns: i16 = row.get("indnkeyatts");
    let numbers: Option<Vec<i16>> = row.get("numbers");
    let targets: Option<Vec<i32>> = row.get("targets");
    let name = qualified(row, "relname");
    let contype: Option<&str> = row.get("contype");
    let definition = rendered_if(row, contype.is_none(), "definition", || format!("index {name}"))?
        .unwrap_or_default();
    let exclusion = contype == Some("x");
    let constraint_definition =
        rendered_if(row, exclusion, "constraint_definition", || format!("constraint {name}"))?;
    Ok(Index {
        oid: row.get("indexrelid"),
        table: row.get("indrelid"),
        name,
        definition,
        partitioned: row.get("partitioned"),
        usable: row.get("usable"),
        clustered: row.get("indisclustered"),
        replica_identity: row.get("indisreplident"),
        unique: row.get("indisunique"),
        plain: row.get("plain"),
        nulls_not_distinct: row.get("nulls_not_distinct"),
        columns: row.get("columns"),
        key_columns: key_columns.try_into().unwrap_or(0),
        options: row.get::<_, Option<Vec<String>>>("reloptions").unwrap_or_default(),
        parent: row.get("inhparent"),
        constraint: row.get::<_, Option<u32>>("constraint_oid").map(|oid| Constraint {
            oid,
            name: row.get("conname"),
            kind: constraints::kind(row.get("contype")),
            deferrable: row.get("condeferrable"),
            deferred: row.get("condeferred"),
            period: row.get("period"),
            definition: constraint_definition,
        }),
        tablespace: row.get("spcname"),
        statistics: numbers.into_iter().flatten().zip(targets.into_iter().flatten()).collect(),
    })
}

#[cfg(test)]
pub(super) mod sample {
    use super::*;

    /// A unique index `s.name` of the table, over its first column.
    pub(in crate::catalog) fn index(oid: u32, table: u32, name: &str) -> Index {
        Index {
            oid,
            table,
            name: QualifiedName::new("s", name),
            definition: format!("CREATE UNIQUE INDEX {name} ON s.t USING btree (a)"),
            partitioned: false,
            usable: true,
            clustered: false,
            replica_identity: false,
            unique: true,
            plain: true,
            nulls_not_distinct: false,
            columns: vec![1],
            key_columns: 1,
            options: Vec::new(),
            parent: None,
            constraint: None,
            tablespace: None,
            statistics: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::checks::Checks;
    use super::super::columns::Columns;
    use super::super::dependencies::Dependencies;
    use super::super::foreign_tables::ForeignTables;
    use super::super::relations::{Relations, sample as relation};
    use super::super::sequences::Sequences;
    use super::*;

    fn build(indexes: Vec<Index>) -> (Builder, IndexAttached) {
        let relations = Relations::new([relation::table(1, "p"), relation::table(2, "c")], []);
        let mut out = Builder::default();
        let attached = add(
            &Indexes::new(indexes),
            Parts {
                relations: &relations,
                columns: &Columns::default(),
                dependencies: &Dependencies::default(),
                checks: &Checks::default(),
                sequences: &Sequences::default(),
                foreign: &ForeignTables::default(),
            },
            &Attached::new(),
            &mut out,
        );
        (out, attached)
    }

    #[test]
    fn what_create_index_cannot_say_follows_it() {
        let (out, _) = build(vec![Index {
            clustered: true,
            replica_identity: true,
            statistics: vec![(1, 300)],
            ..sample::index(10, 1, "i")
        }]);
        assert_eq!(
            out.entries[0].create,
            "CREATE UNIQUE INDEX i ON s.t USING btree (a);\n\
             ALTER INDEX \"s\".\"i\" ALTER COLUMN 1 SET STATISTICS 300;\n\
             ALTER TABLE \"s\".\"p\" CLUSTER ON \"i\";\n\
             ALTER TABLE ONLY \"s\".\"p\" REPLICA IDENTITY USING INDEX \"i\";\n"
        );
    }

    #[test]
    fn an_invalid_index_is_left_out_by_name_and_not_attached() {
        let (out, attached) = build(vec![
            Index { partitioned: true, usable: false, ..sample::index(10, 1, "parent") },
            Index { usable: false, parent: Some(10), ..sample::index(11, 2, "broken") },
        ]);
        assert_eq!(out.entries.len(), 1);
        assert_eq!(out.left_out[0].object, "index s.broken");
        assert!(attached.below(10).is_empty());
    }

    #[test]
    fn attachments_are_found_through_every_level() {
        let (out, attached) = build(vec![
            sample::index(10, 1, "top"),
            Index { parent: Some(10), ..sample::index(11, 2, "middle") },
            Index { parent: Some(11), ..sample::index(12, 2, "leaf") },
        ]);
        let titles: Vec<String> =
            attached.below(10).iter().map(|id| out.entries[id.0 as usize].title()).collect();
        assert_eq!(titles, ["INDEX ATTACH s.middle", "INDEX ATTACH s.leaf"]);
    }
}
