//! Circles that go through a view, or through a function whose body is parsed when it is created:
//! a stand-in of the same columns or arguments comes first, and is replaced once all that the query
//! or the body needs is there (source: pg_dump_sort.c, repairViewRuleMultiLoop; pg_dump gives up
//! where functions call each other, and where a view reads itself).

use std::collections::{HashMap, HashSet};

use crate::pg::{quote_ident, quote_literal};
use crate::toc::{Entry, EntryId, Kind, Sorted, Token, in_restoring_order, tokens};

use super::columns::Column;
use super::relations::Relation;

/// What can stand in for a view or function, by its entry's kind, schema and name: a title may be
/// several's, as names may have dots in them.
pub(super) type StandIns = HashMap<(Kind, Option<String>, String), StandIn>;

/// What stands in for a view or function.
#[derive(Debug)]
pub(super) struct StandIn {
    /// The SQL that creates it.
    pub(super) sql: String,
    /// Whether the query reads the view itself or names its row type, so that something must stand
    /// in for it always.
    pub(super) reads_itself: bool,
}

/// Which entry is to be split, the SQL of its stand-in, and what that doesn't need.
type Split = (EntryId, String, Vec<EntryId>);

/// The key of an entry's stand-in.
pub(super) fn key(entry: &Entry) -> (Kind, Option<String>, String) {
    (entry.kind, entry.schema.clone(), entry.name.clone())
}

/// A view of the same columns that reads nothing.
pub(super) fn of_view(view: &Relation, columns: &[Column]) -> String {
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

/// A function that finds nothing, from the `definition` of one that ends in the parsed `body`.
/// Bodies that are strings aren't looked at until they run; but a table whose expressions call an
/// immutable function of constants has it run (source: evaluate_function in clauses.c), so what
/// returns one value of a type (`returns`) must come to an end. No row is NULL without a cast that a
/// domain could refuse, and such a query isn't inlined.
pub(super) fn of_function(definition: &str, body: &str, returns: Option<&str>) -> Option<String> {
    let declared = definition.trim_end().strip_suffix(body.trim_end())?.trim_end();
    let nothing = returns.map(|name| format!("SELECT NULL::{name} WHERE false"));
    Some(format!("{declared}\nAS {};\n", quote_literal(&nothing.unwrap_or_default())))
}

/// Sorts `entries`; splits those that have stand-ins until no circle goes through one.
pub(super) fn sort(mut entries: Vec<Entry>, stand_ins: &mut StandIns) -> Sorted {
    loop {
        let sorted = in_restoring_order(entries);
        let splittable = sorted.loops.iter().flatten().find_map(|&id| {
            let stand_in = stand_ins.remove(&key(sorted.toc.entry(id)))?.sql;
            let freed = freed(&sorted.toc.entries, id, &stand_in);
            (!freed.is_empty()).then_some((id, stand_in, freed))
        });
        let splits = match splittable {
            Some(split) => vec![split],
            None => readers_of_themselves(&sorted.toc.entries, stand_ins),
        };
        if splits.is_empty() {
            return sorted;
        }
        entries = sorted.toc.entries;
        for (id, stand_in, freed) in splits {
            split(&mut entries, id, stand_in, &freed);
        }
    }
}

/// CREATE OR REPLACE makes views that read themselves, which can't be created as such. No entry
/// depends on itself, so no circle shows it.
fn readers_of_themselves(entries: &[Entry], stand_ins: &mut StandIns) -> Vec<Split> {
    if !stand_ins.values().any(|stand_in| stand_in.reads_itself) {
        return Vec::new();
    }
    let entries = entries.iter().zip(0..);
    let reads_itself = |entry: &Entry| stand_ins.get(&key(entry)).is_some_and(|s| s.reads_itself);
    let found: Vec<_> = entries.filter(|(entry, _)| reads_itself(entry)).collect();
    found
        .into_iter()
        .filter_map(|(entry, id)| Some((EntryId(id), stand_ins.remove(&key(entry))?.sql, vec![])))
        .collect()
}

/// The needs of the entry that its stand-in hasn't got: those that need the entry in turn, but for
/// the types that the stand-in names as well.
fn freed(entries: &[Entry], id: EntryId, stand_in: &str) -> Vec<EntryId> {
    let (needing, named) = (needing(entries, id), names(stand_in));
    let needs = entries[id.0 as usize].depends_on.iter().copied();
    needs
        .filter(|need| {
            let entry = &entries[need.0 as usize];
            let name = (entry.schema.clone().unwrap_or_default(), entry.name.clone());
            needing[need.0 as usize] && !named.contains(&name)
        })
        .collect()
}

/// The names with a schema in some SQL.
fn names(sql: &str) -> HashSet<(String, String)> {
    let found: Vec<Token<'_>> = tokens(sql).map(|(_, token)| token).collect();
    let qualified = found.windows(3).filter(|three| three[1] == Token::Mark('.'));
    qualified.filter_map(|three| Some((three[0].name()?, three[2].name()?))).collect()
}

/// What is `freed` is needed by the query or body alone, which becomes an entry of its own: a view's
/// is its _RETURN rule, as pg_dump calls it.
fn split(entries: &mut Vec<Entry>, id: EntryId, stand_in: String, freed: &[EntryId]) {
    let mut needs = entries[id.0 as usize].depends_on.clone();
    needs.push(id);
    let whole = &mut entries[id.0 as usize];
    whole.depends_on.retain(|first| !freed.contains(first));
    let create = std::mem::replace(&mut whole.create, stand_in);
    let (kind, name) = match whole.kind {
        Kind::View => (Kind::Rule, format!("{} _RETURN", whole.name)),
        kind => (kind, format!("{} BODY", whole.name)),
    };
    let rest = Entry {
        create: create.replacen("CREATE ", "CREATE OR REPLACE ", 1),
        depends_on: needs,
        ..Entry::new(kind, whole.schema.as_deref(), name)
    };
    entries.push(rest);
}

/// By entry, whether it needs `id`, directly or not.
fn needing(entries: &[Entry], id: EntryId) -> Vec<bool> {
    let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); entries.len()];
    for (i, entry) in entries.iter().enumerate() {
        for first in &entry.depends_on {
            needed_by[first.0 as usize].push(i);
        }
    }
    let mut found = vec![false; entries.len()];
    let mut open = vec![id.0 as usize];
    while let Some(i) = open.pop() {
        for &after in &needed_by[i] {
            if !std::mem::replace(&mut found[after], true) {
                open.push(after);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::relations::sample;
    use super::*;

    fn stand_in(sql: &str, reads_itself: bool) -> StandIn {
        StandIn { sql: sql.to_owned(), reads_itself }
    }

    #[test]
    fn a_stand_in_has_the_views_columns() {
        let column = Column {
            name: "a".to_owned(),
            type_name: "text".to_owned(),
            collation: Some("\"pg_catalog\".\"C\"".to_owned()),
            ..Column::default()
        };
        assert_eq!(
            of_view(&sample::table(1, "v"), &[column]),
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
        let view = key(&entries[0]);
        let mut stand_ins = StandIns::from([(view, stand_in("CREATE VIEW stand-in", false))]);
        let sorted = sort(entries, &mut stand_ins);
        assert!(sorted.loops.is_empty());
        let creates: Vec<(String, &str)> =
            sorted.toc.entries.iter().map(|entry| (entry.title(), entry.create.as_str())).collect();
        assert_eq!(creates[1].1, "CREATE VIEW stand-in");
        assert_eq!(creates[2].0, "FUNCTION s.f(v)");
        assert_eq!(creates[3].0, "RULE s.v _RETURN");
        assert_eq!(creates[3].1, "CREATE OR REPLACE VIEW v");
    }

    #[test]
    fn a_view_that_reads_itself_is_there_before_its_query() {
        let view = |name: &str, from: &str| Entry {
            create: format!("CREATE VIEW \"s\".\"{name}\" AS\nSELECT v.a\n   FROM {from};\n"),
            ..Entry::new(Kind::View, Some("s"), name)
        };
        let entries = vec![view("v", "s.v"), view("w", "s.t v")];
        let keys = entries
            .iter()
            .map(|entry| (key(entry), stand_in("CREATE VIEW stand-in", entry.name == "v")));
        let sorted = sort(entries.clone(), &mut keys.collect());
        let creates: Vec<&str> = sorted.toc.entries.iter().map(|e| e.create.as_str()).collect();
        let query = entries[0].create.replace("CREATE", "CREATE OR REPLACE");
        assert_eq!(creates.len(), 3);
        assert!(creates.contains(&"CREATE VIEW stand-in"), "{creates:?}");
        assert!(creates.contains(&query.as_str()), "{creates:?}");
        assert!(creates.contains(&entries[1].create.as_str()), "{creates:?}");
    }

    #[test]
    fn a_stand_in_comes_after_the_types_that_it_names() {
        let entry = |kind, name: &str, needs: &[u32]| Entry {
            create: format!("CREATE FUNCTION {name}"),
            depends_on: needs.iter().copied().map(EntryId).collect(),
            ..Entry::new(kind, Some("s"), name)
        };
        // A domain whose check calls f, which takes the domain and calls g, whose check is f.
        let entries = vec![
            entry(Kind::Domain, "d", &[2]),
            entry(Kind::Function, "f(s.d)", &[0, 2]),
            entry(Kind::Function, "g()", &[1]),
        ];
        let stand_ins = [
            (key(&entries[1]), stand_in("CREATE FUNCTION s.f(s.d) AS ''", false)),
            (key(&entries[2]), stand_in("CREATE FUNCTION s.g() AS ''", false)),
        ];
        let sorted = sort(entries, &mut StandIns::from(stand_ins));
        assert!(sorted.loops.is_empty());
        let titles: Vec<String> = sorted.toc.entries.iter().map(Entry::title).collect();
        let place = |title: &str| titles.iter().position(|t| t == title).unwrap();
        assert!(place("DOMAIN s.d") < place("FUNCTION s.f(s.d)"), "{titles:?}");
        assert!(place("FUNCTION s.f(s.d)") < place("FUNCTION s.g() BODY"), "{titles:?}");
    }

    #[test]
    fn a_function_stands_in_without_its_parsed_body() {
        let body = "BEGIN ATOMIC\n SELECT s.g();\nEND";
        let definition =
            format!("CREATE OR REPLACE FUNCTION s.f()\n RETURNS void\n LANGUAGE sql\n{body}\n");
        assert_eq!(
            of_function(&definition, body, None).as_deref(),
            Some("CREATE OR REPLACE FUNCTION s.f()\n RETURNS void\n LANGUAGE sql\nAS '';\n")
        );
        assert_eq!(of_function("AS $$ $$", body, None), None);
        let value = of_function(&definition, body, Some("s.\"It's\"")).unwrap();
        assert!(value.ends_with("\nAS 'SELECT NULL::s.\"It''s\" WHERE false';\n"), "{value}");
    }
}
