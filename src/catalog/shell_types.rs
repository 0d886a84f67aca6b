//! Types and functions that need each other: a base type and its input and output functions, a
//! range and its canonical function. The type's name is created first, then the functions, then
//! the type (source: repairTypeFuncLoop in pg_dump_sort.c).

use crate::pg::QualifiedName;
use crate::toc::{Entry, EntryId, Kind};

use super::base_types::shell;
use super::builder::Builder;

/// Adds a SHELL TYPE entry for each type that needs a function which needs the type, and lets the
/// function need that instead. The entries' dependencies are resolved before.
pub(super) fn untie(out: &mut Builder) {
    let types = out.entries.iter().enumerate().filter(|(_, entry)| entry.kind == Kind::Type);
    let tied: Vec<(EntryId, Vec<EntryId>)> = types
        .map(|(at, entry)| {
            let id = EntryId(at as u32);
            (id, functions_that_need(id, entry, &out.entries))
        })
        .filter(|(_, functions)| !functions.is_empty())
        .collect();
    for (id, functions) in tied {
        let shell = out.add_part(shell_of(id, &out.entries));
        for function in functions {
            for need in &mut out.entries[function.0 as usize].depends_on {
                if *need == id {
                    *need = shell;
                }
            }
        }
        out.entries[id.0 as usize].depends_on.push(shell);
    }
}

fn functions_that_need(id: EntryId, entry: &Entry, entries: &[Entry]) -> Vec<EntryId> {
    let needed = entry.depends_on.iter().copied();
    needed
        .filter(|first| {
            let function = &entries[first.0 as usize];
            function.kind == Kind::Function && function.depends_on.contains(&id)
        })
        .collect()
}

/// A shell needs nothing but its schema.
fn shell_of(id: EntryId, entries: &[Entry]) -> Entry {
    let entry = &entries[id.0 as usize];
    let schema = entry.schema.as_deref().unwrap_or_default();
    let in_schema = |first: &EntryId| entries[first.0 as usize].kind == Kind::Schema;
    Entry {
        depends_on: entry.depends_on.iter().copied().filter(in_schema).collect(),
        ..shell(entry, &QualifiedName::new(schema, &entry.name).sql())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toc::in_restoring_order;

    fn entry(kind: Kind, name: &str, needs: &[u32]) -> Entry {
        Entry {
            depends_on: needs.iter().copied().map(EntryId).collect(),
            ..Entry::new(kind, Some("s"), name)
        }
    }

    fn sorted(entries: Vec<Entry>) -> Vec<String> {
        let mut out = Builder::default();
        out.entries = entries;
        untie(&mut out);
        let sorted = in_restoring_order(out.entries);
        assert!(sorted.loops.is_empty(), "{:?}", sorted.loops);
        sorted.toc.entries.iter().map(Entry::title).collect()
    }

    #[test]
    fn a_types_name_comes_before_its_functions_and_the_type_after_them() {
        let order = sorted(vec![
            entry(Kind::Type, "t", &[1, 2, 3]),
            entry(Kind::Function, "t_in(cstring)", &[0, 3]),
            entry(Kind::Function, "t_out(s.t)", &[0, 3]),
            Entry { schema: None, ..entry(Kind::Schema, "s", &[]) },
            entry(Kind::Function, "later(s.t)", &[0, 3]),
        ]);
        assert_eq!(
            order,
            [
                "SCHEMA s",
                "SHELL TYPE s.t",
                "FUNCTION s.t_in(cstring)",
                "FUNCTION s.t_out(s.t)",
                "TYPE s.t",
                "FUNCTION s.later(s.t)"
            ]
        );
    }

    #[test]
    fn a_type_that_no_function_of_its_own_needs_has_no_shell() {
        let order = sorted(vec![
            entry(Kind::Type, "r", &[1]),
            entry(Kind::Function, "diff(integer, integer)", &[]),
        ]);
        assert_eq!(order, ["FUNCTION s.diff(integer, integer)", "TYPE s.r"]);
    }
}
