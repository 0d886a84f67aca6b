//! Views and materialized views, and in which order the latter are refreshed.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::pg::{Oid, class};
use crate::toc::{Entry, EntryId, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::columns::{self, Columns};
use super::dependencies::Dependencies;
use super::inheritance::Inherited;
use super::relations::{Relation, RelationKind, Relations};
use super::reloptions;
use super::rendered::rendered;
use super::scope::Scope;
use super::stand_ins::{self, StandIn};
use super::tables::using;

/// A view's query.
#[derive(Debug, Clone)]
struct Query {
    rule: ObjectId,
    /// `SELECT …`, without the `;`.
    sql: String,
    /// Whether it reads the very view, or names its row type.
    reads_itself: bool,
}

/// Adds VIEW, MATERIALIZED VIEW and MATERIALIZED VIEW DATA entries.
pub(super) async fn read(
    session: &Session,
    scope: &Scope,
    relations: &Relations,
    columns: &Columns,
    dependencies: &Dependencies,
    out: &mut Builder,
) -> Result<()> {
    let rows = session.query("reading views", &views_sql(scope), &[]).await?;
    let mut queries: BTreeMap<u32, Query> = BTreeMap::new();
    for row in &rows {
        let oid: u32 = row.get("ev_class");
        let definition = rendered(row, "definition", || match relations.any(oid) {
            Some(view) => format!("view {}", view.name),
            None => format!("the view with OID {oid}"),
        })?;
        let rule = ObjectId::new(class::PG_REWRITE, row.get("rule"));
        let sql = without_end(definition).to_owned();
        queries.insert(oid, Query { rule, sql, reads_itself: row.get("reads_itself") });
    }
    let is_view =
        |r: &&Relation| matches!(r.kind, RelationKind::View | RelationKind::MaterializedView);
    for view in relations.iter().filter(is_view) {
        match queries.get(&view.oid) {
            Some(query) => add_view(view, query, columns, dependencies, out),
            None => {
                let why = "it has no query: its _RETURN rule is missing";
                out.unsupported(format!("view {}", view.name), why);
                out.needs_no_entry(view.object());
            }
        }
    }
    let reads = Reads { queries: &queries, relations, dependencies };
    add_refreshes(reads, out);
    Ok(())
}

fn add_view(
    view: &Relation,
    query: &Query,
    columns: &Columns,
    dependencies: &Dependencies,
    out: &mut Builder,
) {
    let materialized = view.kind == RelationKind::MaterializedView;
    let kind = match materialized {
        true => Kind::MaterializedView,
        false => Kind::View,
    };
    let mut create = match materialized {
        true => create_materialized_view(view, &query.sql),
        false => create_view(view, &query.sql),
    };
    if materialized {
        for column in columns.of(view.oid) {
            create.push_str(&columns::alterations(view, column, Inherited::default()));
        }
    }
    let name = format!("{kind} {}", view.sql());
    create.push_str(&dependencies.extension_ties(view.object(), &name));
    let id = out.add(
        view.object(),
        Entry {
            owner: Some(view.owner.clone()),
            create,
            drop: format!("DROP {name};\n"),
            ..Entry::new(kind, Some(&view.name.schema), &view.name.name)
        },
    );
    if !materialized {
        let sql = stand_ins::of_view(view, columns.of(view.oid));
        let stand_in = StandIn { sql, reads_itself: query.reads_itself };
        let key = stand_ins::key(&out.entries[id.0 as usize]);
        out.stand_ins.insert(key, stand_in);
    }
    out.also_creates(id, query.rule);
    out.also_creates(id, ObjectId::new(class::PG_TYPE, view.row_type));
    if let Some(space) = &view.tablespace {
        out.left_out(
            format!("tablespace of {}", view.name),
            format!("it lies in {space}; it moves to the target's default tablespace"),
        );
    }
}

fn create_view(view: &Relation, query: &str) -> String {
    let mut sql = format!("CREATE VIEW {}", view.sql());
    if let Some(list) = reloptions::with_list(&view.options, &[]) {
        sql.push_str(&format!(" WITH ({list})"));
    }
    sql.push_str(&format!(" AS\n{query}"));
    if let Some(clause) = reloptions::check_option(&view.options) {
        sql.push_str(&format!("\n  {clause}"));
    }
    sql.push_str(";\n");
    sql
}

fn create_materialized_view(view: &Relation, query: &str) -> String {
    let mut sql = format!("CREATE MATERIALIZED VIEW {}{}", view.sql(), using(view));
    if let Some(list) = reloptions::with_list(&view.options, &view.toast_options) {
        sql.push_str(&format!("\nWITH ({list})"));
    }
    sql.push_str(&format!(" AS\n{query}\n  WITH NO DATA;\n"));
    sql
}

fn without_end(sql: &str) -> &str {
    sql.trim_end().trim_end_matches(';')
}

/// Which materialized views a view's query reads, directly or through views.
#[derive(Clone, Copy)]
struct Reads<'a> {
    queries: &'a BTreeMap<u32, Query>,
    relations: &'a Relations,
    dependencies: &'a Dependencies,
}

impl Reads<'_> {
    fn materialized_views(&self, view: u32) -> BTreeSet<u32> {
        let mut found = BTreeSet::new();
        let mut seen = BTreeSet::from([view]);
        let mut open = vec![view];
        while let Some(view) = open.pop() {
            for read in self.directly(view) {
                if !seen.insert(read) {
                    continue;
                }
                match self.relations.any(read).map(|relation| relation.kind) {
                    Some(RelationKind::MaterializedView) => {
                        found.insert(read);
                    }
                    Some(RelationKind::View) => open.push(read),
                    _ => {}
                }
            }
        }
        found
    }

    fn directly(&self, view: u32) -> impl Iterator<Item = u32> {
        self.queries
            .get(&view)
            .into_iter()
            .flat_map(|query| self.dependencies.of(query.rule))
            .filter(|edge| edge.to.class == class::PG_CLASS)
            .map(|edge| edge.to.oid.0)
    }

    /// Whether a refresh can work: what it reads is populated, all the way up.
    fn is_refreshable(&self, view: &Relation) -> bool {
        view.populated
            && self.materialized_views(view.oid).iter().all(|&oid| {
                oid == view.oid
                    || self.relations.any(oid).is_some_and(|above| self.is_refreshable(above))
            })
    }
}

fn add_refreshes(reads: Reads<'_>, out: &mut Builder) {
    let mut refreshes: BTreeMap<u32, EntryId> = BTreeMap::new();
    for view in reads.relations.iter() {
        if view.kind != RelationKind::MaterializedView || !view.populated {
            continue;
        }
        if !reads.is_refreshable(view) {
            out.left_out(
                format!("rows of materialized view {}", view.name),
                "it reads a materialized view that is not populated, so it can't be refreshed",
            );
            continue;
        }
        let id = out.add_part(Entry {
            create: format!("REFRESH MATERIALIZED VIEW {};\n", view.sql()),
            ..Entry::new(Kind::MaterializedViewData, Some(&view.name.schema), &view.name.name)
        });
        out.needs(id, view.object());
        refreshes.insert(view.oid, id);
    }
    for (&view, &id) in &refreshes {
        for above in reads.materialized_views(view) {
            if let Some(&first) = refreshes.get(&above) {
                out.comes_after(id, first);
            }
        }
    }
}

/// Before 16 every view's rule is recorded to need the view as a whole, for its OLD and NEW: what
/// reads itself needs columns of its own, or its row type.
fn views_sql(scope: &Scope) -> String {
    format!(
        "SELECT r.oid AS rule, r.ev_class, pg_catalog.pg_get_viewdef(c.oid) AS definition, \
         EXISTS (SELECT FROM pg_catalog.pg_depend d \
         WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid \
         AND (d.refclassid, d.refobjid, d.refobjsubid > 0) IN (\
         ('pg_catalog.pg_class'::pg_catalog.regclass, c.oid, true), \
         ('pg_catalog.pg_type'::pg_catalog.regclass, c.reltype, false))) AS reads_itself \
         FROM pg_catalog.pg_rewrite r \
         JOIN pg_catalog.pg_class c ON c.oid = r.ev_class \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE r.rulename = '_RETURN' AND c.relkind IN ('v', 'm') AND c.oid >= {} AND {}",
        Oid::FIRST_NORMAL,
        scope.schemas("n.nspname")
    )
}

#[cfg(test)]
mod tests {
    use super::super::dependencies::{Edge, Nature};
    use super::super::relations::sample;
    use super::*;

    fn view(oid: u32, name: &str, kind: RelationKind) -> Relation {
        Relation { kind, access_method: None, ..sample::table(oid, name) }
    }

    #[test]
    fn a_views_options_and_check_option_are_written() {
        let v = Relation {
            options: vec!["security_barrier=true".to_owned(), "check_option=cascaded".to_owned()],
            ..view(1, "v", RelationKind::View)
        };
        assert_eq!(
            create_view(&v, without_end(" SELECT 1;")),
            "CREATE VIEW \"s\".\"v\" WITH (\"security_barrier\"='true') AS\n SELECT 1\n  \
             WITH CASCADED CHECK OPTION;\n"
        );
        let m = view(2, "m", RelationKind::MaterializedView);
        assert_eq!(
            create_materialized_view(&m, " SELECT 1"),
            "CREATE MATERIALIZED VIEW \"s\".\"m\" AS\n SELECT 1\n  WITH NO DATA;\n"
        );
    }

    /// The view `last` reads `middle`, a plain view that reads the materialized view `first`.
    fn refreshed(first_populated: bool) -> Builder {
        let rule = |oid: u32| ObjectId::new(class::PG_REWRITE, 1000 + oid);
        let reads = |from: u32, to: u32| Edge {
            from: rule(from),
            to: ObjectId::new(class::PG_CLASS, to),
            to_column: 1,
            nature: Nature::Normal,
        };
        let first = Relation {
            populated: first_populated,
            ..view(3, "first", RelationKind::MaterializedView)
        };
        let relations = Relations::new(
            [
                view(1, "last", RelationKind::MaterializedView),
                view(2, "middle", RelationKind::View),
                first,
            ],
            [],
        );
        let dependencies = Dependencies::new([reads(1, 2), reads(2, 3)]);
        let query = |oid: u32| {
            let query = Query { rule: rule(oid), sql: "SELECT 1".to_owned(), reads_itself: false };
            (oid, query)
        };
        let queries = [query(1), query(2), query(3)].into();
        let mut out = Builder::default();
        add_refreshes(
            Reads { queries: &queries, relations: &relations, dependencies: &dependencies },
            &mut out,
        );
        Dependencies::default().resolve(&mut out);
        out
    }

    #[test]
    fn a_refresh_follows_those_it_reads_through_views() {
        let out = refreshed(true);
        let names: Vec<&str> = out.entries.iter().map(|e| e.name.as_str()).collect();
        assert_eq!(names, ["last", "first"]);
        assert_eq!(out.entries[0].depends_on, [EntryId(1)]);
    }

    #[test]
    fn what_reads_an_unpopulated_view_is_not_refreshed_and_said_so() {
        let out = refreshed(false);
        assert!(out.entries.is_empty());
        assert_eq!(out.left_out[0].object, "rows of materialized view s.last");
    }
}
