//! pg_class: tables, views and sequences, with what is known of each as a whole.

use std::collections::BTreeMap;

use tokio_postgres::Row;

use crate::error::Result;
use crate::pg::{Oid, QualifiedName, class};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::fragments::{RELATION_KINDS, qualified};
use super::rendered::rendered_if;
use super::scope::Scope;

/// What kind of relation it is: `relkind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RelationKind {
    Table,
    Partitioned,
    View,
    MaterializedView,
    Sequence,
    Foreign,
}

impl RelationKind {
    fn from_code(code: &str) -> Option<Self> {
        Some(match code {
            "r" => RelationKind::Table,
            "p" => RelationKind::Partitioned,
            "v" => RelationKind::View,
            "m" => RelationKind::MaterializedView,
            "S" => RelationKind::Sequence,
            "f" => RelationKind::Foreign,
            _ => return None,
        })
    }
}

/// A relation as a whole.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    pub(super) oid: u32,
    pub(super) name: QualifiedName,
    pub(super) kind: RelationKind,
    pub(super) owner: String,
    /// Never of a partitioned table, for which it means nothing and 18 refuses it.
    pub(super) unlogged: bool,
    /// `name=value`, as pg_class has them.
    pub(super) options: Vec<String>,
    /// The same of its TOAST table.
    pub(super) toast_options: Vec<String>,
    pub(super) access_method: Option<String>,
    /// `relreplident`: d(efault), n(othing), f(ull) or i(ndex).
    pub(super) replica_identity: String,
    pub(super) row_security: bool,
    pub(super) force_row_security: bool,
    pub(super) is_partition: bool,
    /// `FOR VALUES …`, of a partition.
    pub(super) bound: Option<String>,
    /// `RANGE (day)`, of a partitioned table.
    pub(super) partition_key: Option<String>,
    /// The type, of a typed table.
    pub(super) of_type: Option<String>,
    pub(super) populated: bool,
    pub(super) tablespace: Option<String>,
    /// What it inherits from, or the one it is a partition of, in order.
    pub(super) parents: Vec<u32>,
    /// The row type's oid.
    pub(super) row_type: u32,
    /// An extension brings it: it has no entry of its own.
    pub(super) member: bool,
}

impl Relation {
    pub(super) fn object(&self) -> ObjectId {
        ObjectId::new(class::PG_CLASS, self.oid)
    }

    /// Its name as SQL reads it.
    pub(super) fn sql(&self) -> String {
        self.name.sql()
    }

    /// Whether it has an entry of its own.
    fn is_own(&self) -> bool {
        !self.member
    }

    /// Whether it holds rows under a table's name: a plain or partitioned table.
    pub(super) fn is_table(&self) -> bool {
        matches!(self.kind, RelationKind::Table | RelationKind::Partitioned)
    }

    /// Whether it is defined as tables are, wherever its rows lie.
    pub(super) fn is_any_table(&self) -> bool {
        self.is_table() || self.kind == RelationKind::Foreign
    }

    /// `ALTER TABLE ONLY "s"."t"`: a change to this table and none of its children.
    pub(super) fn alter_only(&self) -> String {
        format!("ALTER TABLE ONLY {}", self.sql())
    }

    /// The tag of something that belongs to it: "orders orders_pkey".
    pub(super) fn tag_of(&self, part: &str) -> String {
        format!("{} {part}", self.name.name)
    }
}

/// All relations in scope, by oid.
#[derive(Debug, Default)]
pub(super) struct Relations {
    by_oid: BTreeMap<u32, Relation>,
    children: BTreeMap<u32, Vec<u32>>,
}

impl Relations {
    pub(super) async fn read(session: &Session, scope: &Scope, out: &Builder) -> Result<Self> {
        let sql = relations_sql(scope);
        let mut relations: Vec<Relation> = Vec::new();
        let take = |row: Row| {
            relations.extend(from_row(&row)?);
            Ok(())
        };
        session.query_each("reading relations", &sql, &[], take).await?;
        for relation in &mut relations {
            relation.member = out.is_extension_member(relation.object());
        }
        let inherits = "SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits \
                        ORDER BY inhrelid, inhseqno";
        let rows = session.query("reading inheritance", inherits, &[]).await?;
        let links = rows.iter().map(|row| (row.get(0), row.get(1)));
        Ok(Relations::new(relations, links))
    }

    /// From relations and (child, parent) pairs, a child's parents in order.
    pub(super) fn new(
        relations: impl IntoIterator<Item = Relation>,
        links: impl IntoIterator<Item = (u32, u32)>,
    ) -> Self {
        let mut all = Relations {
            by_oid: relations.into_iter().map(|r| (r.oid, r)).collect(),
            children: BTreeMap::new(),
        };
        for (child, parent) in links {
            if let Some(relation) = all.by_oid.get_mut(&child) {
                relation.parents.push(parent);
                all.children.entry(parent).or_default().push(child);
            }
        }
        all
    }

    /// Every relation, what extensions bring included.
    pub(super) fn any(&self, oid: u32) -> Option<&Relation> {
        self.by_oid.get(&oid)
    }

    /// The relation, if it has an entry of its own.
    pub(super) fn own(&self, oid: u32) -> Option<&Relation> {
        self.by_oid.get(&oid).filter(|relation| relation.is_own())
    }

    /// The relations with an entry of their own, by oid.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Relation> {
        self.by_oid.values().filter(|relation| relation.is_own())
    }

    /// The direct children and partitions.
    pub(super) fn children(&self, oid: u32) -> &[u32] {
        self.children.get(&oid).map_or(&[], Vec::as_slice)
    }
}

fn relations_sql(scope: &Scope) -> String {
    format!(
        "SELECT c.oid, n.nspname, c.relname, c.relkind::text AS kind, \
                pg_catalog.pg_get_userbyid(c.relowner) AS owner, \
                c.relpersistence = 'u' AND c.relkind <> 'p' AS unlogged, c.reloptions, \
                toast.reloptions AS toast_options, am.amname, \
                c.relreplident::text AS replica_identity, c.relrowsecurity, \
                c.relforcerowsecurity, c.relispartition, c.relispopulated, \
                CASE WHEN c.relispartition \
                     THEN pg_catalog.pg_get_expr(c.relpartbound, c.oid) END AS bound, \
                CASE WHEN c.relkind = 'p' \
                     THEN pg_catalog.pg_get_partkeydef(c.oid) END AS partition_key, \
                CASE WHEN c.reloftype <> 0 \
                     THEN pg_catalog.format_type(c.reloftype, NULL) END AS of_type, \
                ts.spcname, c.reltype \
         FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_catalog.pg_class toast ON toast.oid = c.reltoastrelid \
         LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam \
         LEFT JOIN pg_catalog.pg_tablespace ts ON ts.oid = c.reltablespace \
         WHERE c.relkind IN {RELATION_KINDS} AND c.oid >= {} AND {}",
        Oid::FIRST_NORMAL,
        scope.schemas("n.nspname"),
    )
}

fn from_row(row: &Row) -> Result<Option<Relation>> {
    let Some(kind) = RelationKind::from_code(row.get("kind")) else {
        return Ok(None);
    };
    let name = qualified(row, "relname");
    let (is_partition, partitioned) =
        (row.get("relispartition"), kind == RelationKind::Partitioned);
    let bound = rendered_if(row, is_partition, "bound", || format!("partition {name}"))?;
    let partition_key =
        rendered_if(row, partitioned, "partition_key", || format!("the partitioning of {name}"))?;
    Ok(Some(Relation {
        oid: row.get("oid"),
        name,
        kind,
        owner: row.get("owner"),
        unlogged: row.get("unlogged"),
        options: row.get::<_, Option<Vec<String>>>("reloptions").unwrap_or_default(),
        toast_options: row.get::<_, Option<Vec<String>>>("toast_options").unwrap_or_default(),
        access_method: row.get("amname"),
        replica_identity: row.get("replica_identity"),
        row_security: row.get("relrowsecurity"),
        force_row_security: row.get("relforcerowsecurity"),
        is_partition,
        bound,
        partition_key,
        of_type: row.get("of_type"),
        populated: row.get("relispopulated"),
        tablespace: row.get("spcname"),
        parents: Vec::new(),
        row_type: row.get("reltype"),
        member: false,
    }))
}

#[cfg(test)]
pub(super) mod sample {
    use super::*;

    /// A plain table `s.name`.
    pub(in crate::catalog) fn table(oid: u32, name: &str) -> Relation {
        Relation {
            oid,
            name: QualifiedName::new("s", name),
            kind: RelationKind::Table,
            owner: "o".to_owned(),
            unlogged: false,
            options: Vec::new(),
            toast_options: Vec::new(),
            access_method: Some("heap".to_owned()),
            replica_identity: "d".to_owned(),
            row_security: false,
            force_row_security: false,
            is_partition: false,
            bound: None,
            partition_key: None,
            of_type: None,
            populated: true,
            tablespace: None,
            parents: Vec::new(),
            row_type: oid + 1,
            member: false,
        }
    }
}
