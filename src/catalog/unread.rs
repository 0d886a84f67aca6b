//! The net under all families: whatever of the user's no entry creates is reported by its name, so
//! that nothing is left out silently, not even what a later version of PostgreSQL brings.

use std::collections::{HashMap, HashSet};

use tokio_postgres::Row;

use crate::error::Result;
use crate::pg::{Oid, class, quote_ident};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::dependencies::{Dependencies, Nature};
use super::scope::Scope;

const READING: &str = "looking for objects that nobody read";

/// Catalogs whose rows aren't objects of their own: an enum's labels are read with it, and large
/// objects by group.
const READ_OTHERWISE: &str = "'pg_enum', 'pg_largeobject_metadata'";

/// Reports what no entry creates. All families have read by then, and what depends on what is
/// resolved.
pub(super) async fn report(
    session: &Session,
    dependencies: &Dependencies,
    out: &mut Builder,
) -> Result<()> {
    let sql = objects_sql(&catalogs(session).await?);
    let mut net = Net { out, dependencies, beyond: beyond(session).await?, known: HashMap::new() };
    let mut unread = Vec::new();
    let take = |row: Row| {
        let object = ObjectId::new(Oid(row.get(0)), row.get(1));
        if !net.is_accounted_for(object) {
            unread.push(object);
        }
        Ok(())
    };
    session.query_each(READING, &sql, &[], take).await?;
    let unread = wholes(&unread, dependencies);
    name(session, &unread, out).await
}

/// The catalogs of this server's version that hold a database's objects and may be read: not those
/// of the whole cluster, whose objects move where something needs them.
async fn catalogs(session: &Session) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT c.relname::text FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = 'oid' \
         WHERE c.relnamespace = 'pg_catalog'::pg_catalog.regnamespace AND c.relkind = 'r' \
         AND c.oid < {} AND NOT c.relisshared AND c.relname NOT IN ({READ_OTHERWISE}) \
         AND pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT') ORDER BY c.oid",
        Oid::FIRST_NORMAL
    );
    let rows = session.query(READING, &sql, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// All objects in `catalogs` that initdb didn't make. What isn't one by itself is left away:
/// TOAST tables with their indexes, names of NOT NULL since 18, and checks that are a parent's.
fn objects_sql(catalogs: &[String]) -> String {
    let each = catalogs.iter().map(|catalog| {
        let but = match catalog.as_str() {
            "pg_class" => " AND o.relnamespace <> 'pg_toast'::pg_catalog.regnamespace",
            "pg_constraint" => " AND o.contype <> 'n' AND (o.contype <> 'c' OR o.conislocal)",
            _ => "",
        };
        format!(
            "SELECT o.tableoid, o.oid FROM pg_catalog.{} o WHERE o.oid >= {}{but}",
            quote_ident(catalog),
            Oid::FIRST_NORMAL
        )
    });
    each.collect::<Vec<_>>().join(" UNION ALL ")
}

/// The schemas whose objects nobody moves: temporary ones, and the ledger.
async fn beyond(session: &Session) -> Result<HashSet<ObjectId>> {
    let sql = format!(
        "SELECT n.oid FROM pg_catalog.pg_namespace n \
         WHERE n.nspname ~ '^pg_(temp|toast)' OR n.nspname = '{}'",
        Scope::LEDGER_SCHEMA
    );
    let rows = session.query(READING, &sql, &[]).await?;
    Ok(rows.iter().map(|row| ObjectId::new(class::PG_NAMESPACE, row.get(0))).collect())
}

/// Of `unread` those that aren't part of others of them, nor belong to them: a table is named, its
/// row type, defaults and indexes go without saying. What is part of itself is named, too.
fn wholes(unread: &[ObjectId], dependencies: &Dependencies) -> Vec<ObjectId> {
    let all: HashSet<ObjectId> = unread.iter().copied().collect();
    let above = |object: ObjectId| {
        let owning = |nature| matches!(nature, Nature::Internal | Nature::Partition | Nature::Auto);
        let edges = dependencies.of(object).iter().filter(move |edge| owning(edge.nature));
        edges.map(|edge| edge.to).filter(|to| all.contains(to))
    };
    let goes_with_another = |object: ObjectId| {
        let mut seen = HashSet::from([object]);
        let mut open = vec![object];
        while let Some(part) = open.pop() {
            let mut is_whole = true;
            for whole in above(part) {
                is_whole = false;
                if seen.insert(whole) {
                    open.push(whole);
                }
            }
            if is_whole {
                return part != object;
            }
        }
        false
    };
    unread.iter().copied().filter(|&object| !goes_with_another(object)).collect()
}

/// Names what was found. What users put among the system's own objects is no part of the database,
/// for pg_dump either, which loses it without a word (source: pg_dump.c, selectDumpableNamespace):
/// tables there, and what something else needs, or a part of it such as a type's array, stop the job.
async fn name(session: &Session, unread: &[ObjectId], out: &mut Builder) -> Result<()> {
    let classes: Vec<u32> = unread.iter().map(|object| object.class.0).collect();
    let oids: Vec<u32> = unread.iter().map(|object| object.oid.0).collect();
    let sql = "SELECT pg_catalog.pg_describe_object(o.class, o.oid, 0) AS what, \
               coalesce(i.schema IN ('pg_catalog', 'information_schema'), \
               i.identity ~ ' on (pg_catalog|information_schema)[.]', false) AS system, \
               o.class = 'pg_catalog.pg_class'::pg_catalog.regclass \
               AND EXISTS (SELECT FROM pg_catalog.pg_class c \
               WHERE c.oid = o.oid AND c.relkind IN ('r', 'p', 'f', 'm')) \
               OR EXISTS (WITH RECURSIVE part(class, oid) AS ((SELECT o.class, o.oid \
               UNION ALL SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, c.reltype \
               FROM pg_catalog.pg_class c WHERE c.oid = o.oid \
               AND o.class = 'pg_catalog.pg_class'::pg_catalog.regclass) \
               UNION SELECT d.classid, d.objid FROM part p JOIN pg_catalog.pg_depend d \
               ON d.refclassid = p.class AND d.refobjid = p.oid AND d.deptype = 'i') \
               SELECT FROM part p JOIN pg_catalog.pg_depend d ON d.refclassid = p.class \
               AND d.refobjid = p.oid AND d.deptype = 'n' \
               AND (d.classid, d.objid) NOT IN (SELECT part.class, part.oid FROM part)) AS needed \
               FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.oid[]), \
               pg_catalog.unnest($2::pg_catalog.oid[])) o(class, oid) \
               CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.class, o.oid, 0) i ORDER BY 1";
    for row in session.query(READING, sql, &[&classes, &oids]).await? {
        // An object dropped since has no name any more; the locks keep those that matter.
        let Some(what) = row.get::<_, Option<String>>("what") else { continue };
        match (row.get("system"), row.get("needed")) {
            (true, true) => out.unsupported(
                what,
                "it lies in a schema of the system's own, which doesn't move, and it holds rows \
                 or something needs it; ALTER … SET SCHEMA takes it to one that does",
            ),
            (true, false) => out.left_out(what, "it lies in a schema of the system's own"),
            (false, _) => out.unsupported(what, "objects of its kind are not handled"),
        }
    }
    Ok(())
}

/// What tells the objects that something accounts for from those that nothing does.
struct Net<'a> {
    out: &'a Builder,
    dependencies: &'a Dependencies,
    /// Schemas that aren't moved.
    beyond: HashSet<ObjectId>,
    /// What was found out about objects that no entry creates.
    known: HashMap<ObjectId, bool>,
}

impl Net<'_> {
    /// Whether an entry or an extension creates `object`, whether it was reported, is part of
    /// something accounted for, or lies where nothing is moved from.
    fn is_accounted_for(&mut self, object: ObjectId) -> bool {
        if self.out.is_answered_for(object) || self.beyond.contains(&object) {
            return true;
        }
        if let Some(&known) = self.known.get(&object) {
            return known;
        }
        // Until it is found out: parts of each other account for nothing.
        self.known.insert(object, false);
        let dependencies = self.dependencies;
        let found = dependencies.of(object).iter().any(|edge| match edge.nature {
            Nature::Internal | Nature::Partition => self.is_accounted_for(edge.to),
            Nature::Auto => self.is_others(edge.to),
            Nature::Normal => self.beyond.contains(&edge.to),
            Nature::Extension | Nature::AutoExtension => false,
        });
        self.known.insert(object, found);
        found
    }

    /// Whether what belongs to `object` is none of the user's: an index of an extension's table,
    /// a default of a temporary one's.
    fn is_others(&mut self, object: ObjectId) -> bool {
        let dependencies = self.dependencies;
        self.out.is_extension_member(object)
            || dependencies.of(object).iter().any(|edge| self.beyond.contains(&edge.to))
    }
}

#[cfg(test)]
mod tests {
    use super::super::dependencies::Edge;
    use super::*;
    use crate::toc::{Entry, Kind};

    const TABLE: ObjectId = ObjectId { class: class::PG_CLASS, oid: Oid(20_000) };
    const TRIGGER: ObjectId = ObjectId { class: class::PG_TRIGGER, oid: Oid(20_001) };
    const ROW_TYPE: ObjectId = ObjectId { class: class::PG_TYPE, oid: Oid(20_002) };
    const ARRAY_TYPE: ObjectId = ObjectId { class: class::PG_TYPE, oid: Oid(20_003) };
    const SCHEMA: ObjectId = ObjectId { class: class::PG_NAMESPACE, oid: Oid(20_004) };

    fn edge(from: ObjectId, to: ObjectId, nature: Nature) -> Edge {
        Edge { from, to, to_column: 0, nature }
    }

    fn builder() -> Builder {
        let mut out = Builder::default();
        out.add(TABLE, Entry::new(Kind::Table, Some("s"), "t"));
        out
    }

    fn unread(out: &Builder, edges: &[Edge], beyond: &[ObjectId]) -> Vec<ObjectId> {
        let dependencies = Dependencies::new(edges.iter().copied());
        let beyond = beyond.iter().copied().collect();
        let mut net = Net { out, dependencies: &dependencies, beyond, known: HashMap::new() };
        let all = [TABLE, TRIGGER, ROW_TYPE, ARRAY_TYPE];
        all.into_iter().filter(|&object| !net.is_accounted_for(object)).collect()
    }

    fn edges() -> [Edge; 4] {
        [
            edge(TABLE, SCHEMA, Nature::Normal),
            edge(TRIGGER, TABLE, Nature::Auto),
            edge(ROW_TYPE, TABLE, Nature::Internal),
            edge(ARRAY_TYPE, ROW_TYPE, Nature::Internal),
        ]
    }

    #[test]
    fn what_belongs_to_a_table_but_has_no_entry_is_found_and_its_parts_are_not() {
        assert_eq!(unread(&builder(), &edges(), &[]), [TRIGGER]);
    }

    #[test]
    fn a_table_that_nobody_read_is_found_and_stands_for_all_that_is_part_of_it() {
        let found = unread(&Builder::default(), &edges(), &[]);
        assert_eq!(found, [TABLE, TRIGGER, ROW_TYPE, ARRAY_TYPE]);
        assert_eq!(wholes(&found, &Dependencies::new(edges())), [TABLE]);
    }

    #[test]
    fn what_was_reported_isn_t_found_again() {
        let mut out = builder();
        out.needs_no_entry(TRIGGER);
        assert_eq!(unread(&out, &edges(), &[]), []);
    }

    #[test]
    fn what_lies_where_nothing_is_moved_from_isn_t_looked_for() {
        assert_eq!(unread(&Builder::default(), &edges(), &[SCHEMA]), []);
    }

    #[test]
    fn what_belongs_to_an_extension_s_table_is_the_extension_s() {
        let out = Builder::new([TABLE].into());
        assert_eq!(unread(&out, &edges(), &[]), []);
    }

    #[test]
    fn parts_of_each_other_account_for_nothing() {
        let circle = [
            edge(ROW_TYPE, ARRAY_TYPE, Nature::Internal),
            edge(ARRAY_TYPE, ROW_TYPE, Nature::Internal),
        ];
        let found = unread(&builder(), &circle, &[]);
        assert_eq!(found, [TRIGGER, ROW_TYPE, ARRAY_TYPE]);
        assert_eq!(wholes(&found, &Dependencies::new(circle)), found);
    }
}
