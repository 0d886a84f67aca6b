//! Views and functions that came in two, a stand-in and the whole, as they were in a circle: where
//! that is cut is decided by all that is there, and a target may have been left without some of it.
//! So they are compared as the one object that they are.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::toc::{Entry, Kind, Token, tokens};

/// The entries, with what replaces a stand-in in its place.
pub(super) fn joined<'e>(entries: Vec<Cow<'e, Entry>>) -> Vec<Cow<'e, Entry>> {
    let mut wholes: HashMap<(Kind, Option<String>, String), String> = HashMap::new();
    let (later, first): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|entry| stood_in_for(entry).is_some());
    for entry in &later {
        if let Some((kind, name)) = stood_in_for(entry) {
            let create = entry.create.replacen("CREATE OR REPLACE ", "CREATE ", 1);
            wholes.insert((kind, entry.schema.clone(), name.to_owned()), create);
        }
    }
    if wholes.is_empty() {
        return first;
    }
    let join = |entry: Cow<'e, Entry>| {
        let key = (entry.kind, entry.schema.clone(), entry.name.clone());
        match wholes.get(&key) {
            Some(create) => Cow::Owned(Entry { create: create.clone(), ..entry.into_owned() }),
            None => entry,
        }
    };
    first.into_iter().map(join).collect()
}

/// Whether a view is as a stand-in is, on whatever server that is rendered: NULLs that come from
/// nowhere, or no columns at all.
pub(super) fn reads_nothing(create: &str) -> bool {
    let words = tokens(create).map(|(_, token)| token);
    let mut query = words.skip_while(|word| !word.is_word("SELECT")).skip(1);
    let first = query.find(|word| *word != Token::Mark('('));
    first.is_some_and(|word| word.is_word("NULL") || word == Token::Mark(';'))
        && !query.any(|word| word.is_word("FROM"))
}

/// What an entry replaces the stand-in of, by its kind and name.
fn stood_in_for(entry: &Entry) -> Option<(Kind, &str)> {
    match entry.kind {
        Kind::Rule => Some((Kind::View, entry.name.strip_suffix(" _RETURN")?)),
        Kind::Function | Kind::Procedure => Some((entry.kind, entry.name.strip_suffix(" BODY")?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: Kind, name: &str, create: &str) -> Entry {
        Entry { create: create.to_owned(), ..Entry::new(kind, Some("s"), name) }
    }

    #[test]
    fn what_came_in_two_equals_what_came_in_one() {
        let in_two = [
            entry(Kind::View, "v", "CREATE VIEW s.v AS SELECT NULL;"),
            entry(Kind::Function, "f()", "CREATE FUNCTION s.f() AS '';"),
            entry(Kind::Rule, "v _RETURN", "CREATE OR REPLACE VIEW s.v AS SELECT s.f();"),
            entry(Kind::Function, "f() BODY", "CREATE OR REPLACE FUNCTION s.f() RETURN 1;"),
        ];
        let in_one = [
            entry(Kind::View, "v", "CREATE VIEW s.v AS SELECT s.f();"),
            entry(Kind::Function, "f()", "CREATE FUNCTION s.f() RETURN 1;"),
        ];
        assert_eq!(joined(in_two.iter().map(Cow::Borrowed).collect()), in_one.map(Cow::Owned));
    }
}
