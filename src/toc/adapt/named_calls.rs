//! What a routine is called, and which others its body calls by their names: a body that is a string
//! is read when it runs, so nothing else tells.

use std::collections::BTreeSet;

use crate::toc::bare_names::calls;
use crate::toc::sql::{Token, tokens};
use crate::toc::{Entry, Kind};

use super::routines;

/// A routine's schema and name.
pub(super) type Name = (String, String);

pub(super) fn is_routine(kind: Kind) -> bool {
    matches!(kind, Kind::Function | Kind::Procedure | Kind::Aggregate)
}

/// A routine's name, from the statement that drops it.
pub(super) fn name(entry: &Entry) -> Option<Name> {
    let mut quoted = tokens(&entry.drop).filter_map(|(_, token)| token.quoted_name());
    Some((quoted.next()?, quoted.next()?))
}

/// The routines that a string body calls, in every schema where it may find them; none for other
/// bodies, whose needs the server has recorded.
pub(super) fn named(entry: &Entry) -> Option<BTreeSet<Name>> {
    let language = routines::language(&entry.create)?;
    if language != "sql" && language != "plpgsql" {
        return None;
    }
    let path = routines::search_path(&entry.create);
    let mut found = BTreeSet::new();
    for (schema, name) in calls(string_body(&entry.create)?) {
        match schema {
            Some(schema) => _ = found.insert((schema, name)),
            None => found.extend(path.iter().map(|schema| (schema.clone(), name.clone()))),
        }
    }
    Some(found)
}

/// The last string of a definition: the server renders the body in dollar quotes, and after it
/// comes at most what extensions it depends on.
fn string_body(create: &str) -> Option<&str> {
    let strings = tokens(create).filter_map(|(_, token)| match token {
        Token::String(text) if text.starts_with('$') => Some(text),
        _ => None,
    });
    let quoted = strings.last()?;
    let tag = 2 + quoted[1..].find('$')?;
    quoted.get(tag..quoted.len().checked_sub(tag)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(name: &str, rest: &str) -> Entry {
        Entry {
            create: format!("CREATE OR REPLACE FUNCTION s.{name}(text)\n RETURNS text\n{rest};\n"),
            drop: format!("DROP FUNCTION \"s\".\"{name}\"(text);"),
            ..Entry::new(Kind::Function, Some("s"), format!("{name}(text)"))
        }
    }

    fn names(rest: &str) -> Vec<String> {
        let found = named(&function("f", rest)).unwrap_or_default();
        found.into_iter().map(|(schema, name)| format!("{schema}.{name}")).collect()
    }

    #[test]
    fn a_string_body_names_what_it_calls_with_its_schema_or_by_its_path() {
        let body = "AS $function$SELECT \"S\".f(g($1))$function$";
        assert_eq!(names(&format!(" LANGUAGE sql\n{body}")), ["S.f"]);
        let path = " LANGUAGE plpgsql\n SET search_path TO 'a', 'B'\n";
        assert_eq!(names(&format!("{path}{body}")), ["B.g", "S.f", "a.g"]);
        assert!(names(" LANGUAGE c\nAS '$libdir/f', $function$s.f()$function$").is_empty());
        assert!(names(" LANGUAGE sql\nBEGIN ATOMIC\n SELECT s.f();\nEND").is_empty());
    }
}
