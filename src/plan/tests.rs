//! Plans of a table of contents made by hand, which has one of everything that planning decides on.

use std::collections::BTreeSet;
use std::fmt::Write;

use proptest::prelude::*;

use super::*;
use crate::pg::ServerVersion;
use crate::toc::{
    ChunkRange, Entry, EntryId, Kind, TableData, TableSize, Toc, in_restoring_order, test_table,
};

const MEGABYTE: u64 = 1 << 20;

/// A table of contents in the making: entries are named by their title.
#[derive(Default)]
struct Draft(Vec<Entry>);

impl Draft {
    fn add(&mut self, kind: Kind, name: &str, create: &str, needs: &[&str]) -> &mut Self {
        let schema = (kind != Kind::Schema && kind != Kind::Role).then_some("public");
        let depends_on = needs
            .iter()
            .map(|title| self.0.iter().position(|entry| entry.title() == *title))
            .map(|found| EntryId(found.expect("what is needed is there") as u32))
            .collect();
        let (create, drop) = (format!("{create}\n"), format!("DROP {kind} {name};\n"));
        let owner = Some("shop".to_owned());
        self.0.push(Entry { owner, create, drop, depends_on, ..Entry::new(kind, schema, name) });
        self
    }

    /// A table and its rows.
    fn table(&mut self, name: &str, megabytes: u64) -> &mut Self {
        self.add(Kind::Table, name, &format!("CREATE TABLE {name} ();"), &["SCHEMA public"]);
        self.rows(name, megabytes)
    }

    fn rows(&mut self, name: &str, megabytes: u64) -> &mut Self {
        self.add(Kind::TableData, name, "", &[&format!("TABLE public.{name}")]);
        let bytes = megabytes * MEGABYTE;
        let size = TableSize { bytes, pages: bytes / 8192 };
        let rows = self.0.last_mut().expect("it was just added");
        rows.table = Some(Box::new(TableData { size, ..test_table(name) }));
        rows.drop.clear();
        self
    }
}

/// A shop: two big tables with a foreign key, small ones, a partitioned one, row security, a
/// trigger, views, a materialized view over another, grants.
fn shop() -> Vec<Entry> {
    let mut draft = Draft::default();
    draft
        .add(Kind::Role, "shop", "CREATE ROLE shop;", &[])
        .add(Kind::Schema, "public", "", &["ROLE shop"])
        .table("orders", 100)
        .table("lines", 70)
        .table("items", 1)
        .table("users", 2)
        .table("photos", 12)
        .add(Kind::Table, "visits", "CREATE TABLE visits () PARTITION BY;", &["SCHEMA public"])
        .table("visits_1", 1)
        .add(
            Kind::TableAttach,
            "visits_1",
            "ALTER TABLE visits ATTACH PARTITION visits_1;",
            &["TABLE public.visits", "TABLE public.visits_1"],
        )
        .add(Kind::Sequence, "ids", "CREATE SEQUENCE ids;", &["SCHEMA public"])
        .add(Kind::SequenceSet, "ids", "SELECT setval('ids', 7, true);", &["SEQUENCE public.ids"])
        .add(Kind::View, "recent", "CREATE VIEW recent AS …;", &["TABLE public.orders"]);
    for table in ["orders", "lines", "items", "users", "photos"] {
        let needs = [&*format!("TABLE public.{table}")];
        let create = format!("ALTER TABLE {table} ADD PRIMARY KEY (id);");
        draft.add(Kind::Constraint, &format!("{table} {table}_pkey"), &create, &needs);
    }
    draft
        .add(Kind::Index, "orders_note", "CREATE INDEX orders_note;", &["TABLE public.orders"])
        .add(Kind::Index, "visits_day", "CREATE INDEX ON ONLY visits;", &["TABLE public.visits"])
        .add(Kind::Index, "visits_1_day", "CREATE INDEX visits_1_day;", &["TABLE public.visits_1"])
        .add(
            Kind::IndexAttach,
            "visits_1_day",
            "ALTER INDEX visits_day ATTACH PARTITION visits_1_day;",
            &["INDEX public.visits_day", "INDEX public.visits_1_day"],
        )
        .add(
            Kind::FkConstraint,
            "lines lines_orders",
            "ALTER TABLE ONLY lines ADD CONSTRAINT lines_orders FOREIGN KEY (id) REFERENCES orders;",
            &["TABLE public.lines", "TABLE public.orders", "CONSTRAINT public.orders orders_pkey"],
        )
        .add(
            Kind::FkConstraint,
            "items items_users",
            "ALTER TABLE ONLY items ADD CONSTRAINT items_users FOREIGN KEY (id) REFERENCES users;",
            &["TABLE public.items", "TABLE public.users", "CONSTRAINT public.users users_pkey"],
        )
        .add(Kind::Trigger, "users stamp", "CREATE TRIGGER stamp;", &["TABLE public.users"])
        .add(Kind::Trigger, "visits count", "CREATE TRIGGER count;", &["TABLE public.visits"])
        .add(Kind::Policy, "users own", "CREATE POLICY own;", &["TABLE public.users"])
        .add(Kind::RowSecurity, "users", "ALTER TABLE users ENABLE;", &["TABLE public.users"])
        .add(
            Kind::MaterializedView,
            "totals",
            "CREATE MATERIALIZED VIEW totals;",
            &["TABLE public.orders"],
        )
        .add(
            Kind::MaterializedView,
            "grand_totals",
            "CREATE MATERIALIZED VIEW grand_totals;",
            &["MATERIALIZED VIEW public.totals"],
        )
        .add(
            Kind::MaterializedViewData,
            "totals",
            "REFRESH MATERIALIZED VIEW totals;",
            &["MATERIALIZED VIEW public.totals"],
        )
        .add(
            Kind::MaterializedViewData,
            "grand_totals",
            "REFRESH MATERIALIZED VIEW grand_totals;",
            &["MATERIALIZED VIEW public.grand_totals", "MATERIALIZED VIEW DATA public.totals"],
        )
        .add(Kind::Acl, "TABLE users", "GRANT SELECT ON users TO x;", &["TABLE public.users"]);
    draft.0
}

fn planned(entries: Vec<Entry>, verify: VerifyMode) -> Plan {
    planned_for(entries, verify, 150_000)
}

fn planned_for(entries: Vec<Entry>, verify: VerifyMode, target: u32) -> Plan {
    let sorted = in_restoring_order(entries);
    assert!(sorted.loops.is_empty());
    let lent = |sql: &str| Statement::new("a right", sql);
    build(&PlanInput {
        toc: &sorted.toc,
        splitting: Splitting::Pages,
        jobs: 2,
        verify,
        analyze: true,
        target_user: Some("master"),
        target_version: Some(ServerVersion(target)),
        sequences: SequencesFrom::Source,
        defined_by: DefinedBy::Us,
        preparations: &Preparations {
            first: vec![lent("GRANT shop TO master;")],
            take_back_roles: vec![lent("REVOKE shop FROM master;")],
            ..Preparations::default()
        },
    })
}

/// One line a step: its number, what it needs, its part of the job, its title; below, what it runs.
fn rendered(plan: &Plan) -> String {
    let mut text = String::new();
    for step in &plan.steps {
        let needs = ranges(&step.needs);
        writeln!(text, "{} [{needs}] {}: {}", step.id.0, step.phase, step.title)
            .expect("a string takes all");
        if let Action::Apply { statements } | Action::TakeBack { statements } = &step.action {
            for statement in statements {
                writeln!(text, "     {}", statement.title).expect("a string takes all");
            }
        }
    }
    text
}

/// Numbers in order, a row of them as its first and last.
fn ranges(ids: &[StepId]) -> String {
    let mut rows: Vec<(u32, u32)> = Vec::new();
    for StepId(id) in ids {
        match rows.last_mut() {
            Some((_, last)) if *last + 1 == *id => *last = *id,
            _ => rows.push((*id, *id)),
        }
    }
    let shown = |(first, last): &(u32, u32)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    rows.iter().map(shown).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_shops_plan() {
    insta::assert_snapshot!(rendered(&planned(shop(), VerifyMode::Full)), @r"
    0 [] definitions: roles
         ROLE shop
         a right
    1 [0] definitions: definitions
         SCHEMA public
         SEQUENCE public.ids
         TABLE public.items
         TABLE public.lines
         TABLE public.orders
         TABLE public.photos
         TABLE public.users
         TABLE public.visits
         TABLE public.visits_1
         VIEW public.recent
         MATERIALIZED VIEW public.totals
         MATERIALIZED VIEW public.grand_totals
         TABLE ATTACH public.visits_1
    2 [1] data: public.lines where ctid < '(2986,0)'::pg_catalog.tid
    3 [1] data: public.lines where ctid >= '(2986,0)'::pg_catalog.tid AND ctid < '(5973,0)'::pg_catalog.tid
    4 [1] data: public.lines where ctid >= '(5973,0)'::pg_catalog.tid
    5 [1] data: public.orders where ctid < '(3200,0)'::pg_catalog.tid
    6 [1] data: public.orders where ctid >= '(3200,0)'::pg_catalog.tid AND ctid < '(6400,0)'::pg_catalog.tid
    7 [1] data: public.orders where ctid >= '(6400,0)'::pg_catalog.tid AND ctid < '(9600,0)'::pg_catalog.tid
    8 [1] data: public.orders where ctid >= '(9600,0)'::pg_catalog.tid
    9 [1] data: public.photos
    10 [1] data: 3 tables from public.items to public.visits_1
    11 [2-4] data: all rows of public.lines
    12 [5-8] data: all rows of public.orders
    13 [0-12] data: all rows copied
    14 [11] verification: public.lines where ctid < '(2986,0)'::pg_catalog.tid
    15 [11] verification: public.lines where ctid >= '(2986,0)'::pg_catalog.tid AND ctid < '(5973,0)'::pg_catalog.tid
    16 [11] verification: public.lines where ctid >= '(5973,0)'::pg_catalog.tid
    17 [12] verification: public.orders where ctid < '(3200,0)'::pg_catalog.tid
    18 [12] verification: public.orders where ctid >= '(3200,0)'::pg_catalog.tid AND ctid < '(6400,0)'::pg_catalog.tid
    19 [12] verification: public.orders where ctid >= '(6400,0)'::pg_catalog.tid AND ctid < '(9600,0)'::pg_catalog.tid
    20 [12] verification: public.orders where ctid >= '(9600,0)'::pg_catalog.tid
    21 [9] verification: public.photos
    22 [10] verification: 3 tables from public.items to public.visits_1
    23 [10] indexes: indexes of 3 tables from public.items to public.visits_1
         CONSTRAINT public.items items_pkey
         CONSTRAINT public.users users_pkey
         INDEX public.visits_1_day
         POLICY public.users own
    24 [1 11] indexes: CONSTRAINT public.lines lines_pkey
         CONSTRAINT public.lines lines_pkey
    25 [1 12] indexes: CONSTRAINT public.orders orders_pkey
         CONSTRAINT public.orders orders_pkey
    26 [1 9] indexes: CONSTRAINT public.photos photos_pkey
         CONSTRAINT public.photos photos_pkey
    27 [1 12] indexes: INDEX public.orders_note
         INDEX public.orders_note
    28 [1] indexes: INDEX public.visits_day
         INDEX public.visits_day
    29 [23 28] indexes: INDEX ATTACH public.visits_1_day
         INDEX ATTACH public.visits_1_day
    30 [13] indexes: triggers
         TRIGGER public.users stamp
         TRIGGER public.visits count
    31 [1 13 23 25] foreign keys: foreign keys
         FK CONSTRAINT public.items items_users
         FK CONSTRAINT public.lines lines_orders
    32 [31] foreign keys: validate FK CONSTRAINT public.lines lines_orders
         validate FK CONSTRAINT public.lines lines_orders
    33 [1 13-32] verification: all data settled
    34 [33] settling: sequences
    35 [34] settling: grants
         ROW SECURITY public.users
         ACL public.TABLE users
    36 [1 35] settling: MATERIALIZED VIEW DATA public.totals
         MATERIALIZED VIEW DATA public.totals
    37 [1 35-36] settling: MATERIALIZED VIEW DATA public.grand_totals
         MATERIALIZED VIEW DATA public.grand_totals
    38 [33] maintenance: statistics
         statistics of public.items
    39 [33] maintenance: statistics
         statistics of public.lines
    40 [33] maintenance: statistics
         statistics of public.orders
    41 [33] maintenance: statistics
         statistics of public.photos
         statistics of public.users
         statistics of public.visits
    42 [36] maintenance: statistics of public.totals
         statistics of public.totals
    43 [37] maintenance: statistics of public.grand_totals
         statistics of public.grand_totals
    44 [0-43] settling: our own memberships taken back
         a right
    ");
}

#[test]
fn every_step_comes_after_all_it_needs() {
    for verify in [VerifyMode::Full, VerifyMode::Counts, VerifyMode::None] {
        let plan = planned(shop(), verify);
        for (index, step) in plan.steps.iter().enumerate() {
            assert_eq!(step.id.0 as usize, index);
            assert!(step.needs.iter().all(|need| need.0 < step.id.0), "{}", step.title);
        }
    }
}

#[test]
fn every_entry_is_created_once_and_after_what_it_depends_on() {
    let toc = in_restoring_order(shop()).toc;
    let plan = planned(shop(), VerifyMode::Full);
    let created = |title: &str| {
        let steps = plan.steps.iter().filter_map(|step| match &step.action {
            Action::Apply { statements } => {
                let at = statements.iter().position(|statement| statement.title == title)?;
                Some((step.id, at))
            }
            _ => None,
        });
        steps.collect::<Vec<_>>()
    };
    let applied = |entry: &&Entry| !matches!(entry.kind, Kind::TableData | Kind::SequenceSet);
    for entry in toc.entries.iter().filter(applied) {
        let own = created(&entry.title());
        let [(step, place)] = own.as_slice() else { panic!("{}: {own:?}", entry.title()) };
        let all_before = before(&plan, *step);
        for needed in entry.depends_on.iter().map(|id| toc.entry(*id)).filter(applied) {
            let (there, at) = created(&needed.title())[0];
            let in_time = all_before.contains(&there) || (there == *step && at < *place);
            assert!(in_time, "{} before {}", needed.title(), entry.title());
        }
    }
}

#[test]
fn what_acts_on_rows_and_what_forbids_to_empty_tables_comes_after_all_rows() {
    let plan = planned(shop(), VerifyMode::Full);
    let copies: BTreeSet<StepId> = plan.copies().map(|(step, _, _)| step).collect();
    for step in &plan.steps {
        let Action::Apply { statements } = &step.action else { continue };
        let late = statements.iter().any(|statement| {
            [
                "TRIGGER",
                "FK CONSTRAINT",
                "validate",
                "ROW SECURITY",
                "ACL",
                "MATERIALIZED VIEW DATA",
            ]
            .iter()
            .any(|kind| statement.title.starts_with(kind))
        });
        if late {
            assert!(copies.is_subset(&before(&plan, step.id)), "{}", step.title);
            assert!(plan.beyond_data().contains(&step.id), "{}", step.title);
        }
    }
}

#[test]
fn statistics_are_left_to_those_who_say_so() {
    let toc = in_restoring_order(shop()).toc;
    let plan = build(&PlanInput {
        toc: &toc,
        splitting: Splitting::Pages,
        jobs: 2,
        verify: VerifyMode::Full,
        analyze: false,
        target_user: None,
        target_version: Some(ServerVersion(150_000)),
        sequences: SequencesFrom::Source,
        defined_by: DefinedBy::Us,
        preparations: &Preparations::default(),
    });
    assert!(plan.steps.iter().all(|step| step.phase != Phase::Maintenance), "{}", rendered(&plan));
}

#[test]
fn a_table_is_analyzed_without_its_children_where_analyze_would_go_on_to_them() {
    for (target, only) in [(170_000, ""), (180_000, "ONLY ")] {
        let plan = planned_for(shop(), VerifyMode::Full, target);
        let statements = plan.steps.iter().flat_map(|step| match &step.action {
            Action::Apply { statements } => statements.as_slice(),
            _ => &[],
        });
        let analyzed: Vec<&str> = statements
            .map(|statement| statement.sql.trim_end())
            .filter(|sql| sql.starts_with("ANALYZE"))
            .collect();
        let items = format!("ANALYZE {only}\"public\".\"items\";");
        assert!(analyzed.contains(&items.as_str()), "{analyzed:?}");
        assert!(analyzed.contains(&"ANALYZE \"public\".\"visits\";"), "{analyzed:?}");
    }
}

/// All steps that are done before a step starts.
fn before(plan: &Plan, step: StepId) -> BTreeSet<StepId> {
    let mut all = BTreeSet::new();
    let mut pending = plan.steps[step.0 as usize].needs.clone();
    while let Some(need) = pending.pop() {
        if all.insert(need) {
            pending.extend(&plan.steps[need.0 as usize].needs);
        }
    }
    all
}

/// Entries in another order, what they depend on renumbered.
fn shuffled(entries: &[Entry], order: &[usize]) -> Vec<Entry> {
    let mut place = vec![EntryId(0); entries.len()];
    for (at, &index) in order.iter().enumerate() {
        place[index] = EntryId(at as u32);
    }
    let moved = |&index: &usize| {
        let mut entry = entries[index].clone();
        for need in &mut entry.depends_on {
            *need = place[need.0 as usize];
        }
        entry.depends_on.sort_unstable();
        entry
    };
    order.iter().map(moved).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn the_order_in_which_entries_are_come_by_plays_no_part(
        order in Just((0..shop().len()).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let plan = planned(shop(), VerifyMode::Full);
        prop_assert_eq!(planned(shuffled(&shop(), &order), VerifyMode::Full), plan);
    }

    #[test]
    fn the_chunks_of_every_table_cover_all_of_it_once(
        sizes in prop::collection::vec(0_u64..3000, 1..30),
        jobs in 1_usize..20,
    ) {
        let mut draft = Draft::default();
        draft.add(Kind::Role, "shop", "", &[]).add(Kind::Schema, "public", "", &[]);
        for (number, megabytes) in sizes.iter().enumerate() {
            draft.table(&format!("t{number}"), *megabytes);
        }
        let toc = Toc { entries: draft.0 };
        let toc = in_restoring_order(toc.entries).toc;
        let plan = build(&PlanInput {
            toc: &toc,
            splitting: Splitting::Pages,
            jobs,
            verify: VerifyMode::Full,
            analyze: true,
            target_user: None,
            target_version: None,
            sequences: SequencesFrom::Source,
            defined_by: DefinedBy::Us,
        preparations: &Preparations::default(),
        });
        prop_assert_eq!(plan.tables.len(), sizes.len());
        for table in 0..plan.tables.len() {
            let own = plan.copies().filter(|(_, _, chunk)| chunk.table.0 as usize == table);
            let ranges: Vec<&ChunkRange> = own.map(|(_, _, chunk)| &chunk.range).collect();
            if let [ChunkRange::Whole] = ranges.as_slice() {
                continue;
            }
            let mut next = Some(0);
            for range in ranges {
                let ChunkRange::Pages { from, to } = range else { panic!("{range:?}") };
                prop_assert_eq!(Some(*from), next);
                prop_assert!(to.is_none_or(|to| to > *from));
                next = *to;
            }
            prop_assert_eq!(next, None);
        }
    }
}

#[test]
fn rows_are_vacuumed_only_where_autovacuum_would_not_come_to_them() {
    let vacuums = |target| {
        let plan = planned_for(shop(), VerifyMode::None, target);
        let vacuum = |step: &&Step| matches!(step.action, Action::Vacuum { .. });
        plan.steps.iter().filter(vacuum).count()
    };
    assert_eq!((vacuums(120_022), vacuums(130_000)), (2, 0));
}

#[test]
fn many_tables_that_need_no_other_are_created_beside_one_another() {
    let table = |number: u32| Entry::new(Kind::Table, Some("public"), format!("t{number:03}"));
    let mut entries: Vec<Entry> = (0..500).map(table).collect();
    entries.push(Entry::new(Kind::Schema, None, "public"));
    entries.push(Entry { depends_on: vec![EntryId(7)], ..table(900) });
    let plan = planned(entries, VerifyMode::None);
    let made = |title: &str| {
        let found = plan.steps.iter().filter(|step| step.title == title && step.parts() > 0);
        found.collect::<Vec<_>>()
    };
    let (tables, others) = (made("tables"), made("definitions"));
    assert_eq!((tables.len(), others.len()), (3, 2));
    assert!(tables.iter().all(|step| step.needs == [others[0].id]), "after the schema alone");
    assert!(others[1].id > tables[2].id && tables.iter().all(|step| step.id < others[1].needs[0]));
}
