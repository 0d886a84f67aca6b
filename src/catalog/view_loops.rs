//! Circles that go through a view: it is created with its columns and no query first, and gets the
//! query once all that this needs is there (source: pg_dump_sort.c, repairViewRuleMultiLoop).

use std::collections::HashMap;

use crate::pg::{QualifiedName, quote_ident};
use crate::toc::{Entry, EntryId, Kind, Sorted, in_restoring_order};

use super::columns::Column;
use super::relations::Relation;

/// For each view the statement that creates it without its query.
pub(super) type StandIns = HashMap<QualifiedName, String>;

/// A view of the same columns that reads nothing.
pub(super) fn stand_in(view: &Relation, columns: &[Column]) -> String {
    let columns: Vec<String> = columns
        .iter()
        .map(|column| {
            let collation = match &column.collation {
                Some(collation) => format!(" COLLATE {collation}"),
                None => String::new(),
            };
            let name = quote_ident(&column.name);
            format!("NULL::{}{collation} AS {name}", column.type_name)
        })
        .collect();
    format!("CREATE VIEW {} AS\nSELECT\n    {};\n", view.sql(), columns.join(",\n    "))
}

/// Sorts `entries`; splits views until no circle goes through one.
pub(super) fn sort(mut entries: Vec<Entry>, stand_ins: &mut StandIns) -> Sorted {
    loop {
        let sorted = in_restoring_order(entries);
        let view = sorted.loops.iter().flatten().find_map(|&id| {
            let entry = sorted.toc.entry(id);
            let name = QualifiedName::new(entry.schema.as_deref()?, &entry.name);
            let stand_in = (entry.kind == Kind::View).then(|| stand_ins.remove(&name))??;
            Some((id, stand_in))
        });
        let Some((id, stand_in)) = view else {
            return sorted;
        };
        entries = sorted.toc.entries;
        split(&mut entries, id, stand_in);
    }
}

/// The query becomes the view's _RETURN rule, as pg_dump calls it.
fn split(entries: &mut Vec<Entry>, id: EntryId, stand_in: String) {
    let needs_columns = |first: &EntryId| {
        matches!(
            entries[first.0 as usize].kind,
            Kind::Schema
                | Kind::Collation
                | Kind::Extension
                | Kind::Type
                | Kind::Domain
                | Kind::Table
        )
    };
    let kept: Vec<EntryId> =
        entries[id.0 as usize].depends_on.iter().copied().filter(needs_columns).collect();
    let view = &mut entries[id.0 as usize];
    let mut needs = std::mem::replace(&mut view.depends_on, kept);
    needs.push(id);
    let create = std::mem::replace(&mut view.create, stand_in);
    let rule = Entry {
        create: create.replacen("CREATE VIEW", "CREATE OR REPLACE VIEW", 1),
        depends_on: needs,
        ..Entry::new(Kind::Rule, view.schema.as_deref(), format!("{} _RETURN", view.name))
    };
    entries.push(rule);
}

#[cfg(test)]
mod tests {
    use super::super::relations::sample;
    use super::*;

    #[test]
    fn a_stand_in_has_the_views_columns() {
        let column = Column {
            name: "a".to_owned(),
            type_name: "text".to_owned(),
            collation: Some("\"pg_catalog\".\"C\"".to_owned()),
            ..Column::default()
        };
        assert_eq!(
            stand_in(&sample::table(1, "v"), &[column]),
            "CREATE VIEW \"s\".\"v\" AS\nSELECT\n    \
             NULL::text COLLATE \"pg_catalog\".\"C\" AS \"a\";\n"
        );
    }

    #[test]
    fn a_view_and_a_function_that_need_each_other_are_untied() {
        let entry = |kind, name: &str, needs: &[u32]| Entry {
            create: format!("CREATE VIEW {name}"),
            depends_on: needs.iter().copied().map(EntryId).collect(),
            ..Entry::new(kind, Some("s"), name)
        };
        let entries = vec![
            entry(Kind::View, "v", &[1, 2]),
            entry(Kind::Function, "f(v)", &[0]),
            entry(Kind::Table, "t", &[]),
        ];
        let name = QualifiedName::new("s", "v");
        let mut stand_ins = StandIns::from([(name, "CREATE VIEW stand-in".to_owned())]);
        let sorted = sort(entries, &mut stand_ins);
        assert!(sorted.loops.is_empty());
        let creates: Vec<(String, &str)> =
            sorted.toc.entries.iter().map(|entry| (entry.title(), entry.create.as_str())).collect();
        assert_eq!(creates[1].1, "CREATE VIEW stand-in");
        assert_eq!(creates[2].0, "FUNCTION s.f(v)");
        assert_eq!(creates[3].0, "RULE s.v _RETURN");
        assert_eq!(creates[3].1, "CREATE OR REPLACE VIEW v");
    }
}
