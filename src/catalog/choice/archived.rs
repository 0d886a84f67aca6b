//! What the rules of a choice match in an archive: there is no server to ask, so the patterns are
//! matched here. Names without a schema match in every schema, as with pg_restore: an archive has no
//! search_path.

use std::collections::BTreeSet;

use regex_lite::{Regex, RegexBuilder};

use crate::error::{Error, Result};
use crate::pg::QualifiedName;
use crate::toc::closure;
use crate::toc::{Entry, Finding, Kind};

use super::{Choice, Flag, Matches};

/// By entry whether it is chosen or needed, and what there is to say of that.
pub fn choose_of_archive(choice: &Choice, entries: &[Entry]) -> Result<(Vec<bool>, Vec<Finding>)> {
    if choice.is_everything() {
        return Ok((vec![true; entries.len()], Vec::new()));
    }
    let matches = Matches::of_entries(choice, entries)?;
    let idle = matches.idle(choice, "in the archive")?;
    let (kept, mut findings) = closure::kept(entries, &matches.choosing(choice, entries));
    let note = |what: String| Finding::note("filters", what);
    findings.extend(choice.beside_the_point().map(note));
    findings.extend(idle.iter().map(|rule| note(format!("{rule} matches nothing in the archive"))));
    Ok((kept, findings))
}

impl Matches {
    fn of_entries(choice: &Choice, entries: &[Entry]) -> Result<Matches> {
        let schemas: BTreeSet<&str> = entries
            .iter()
            .filter_map(|entry| match entry.kind {
                Kind::Schema => Some(entry.name.as_str()),
                _ => entry.schema.as_deref(),
            })
            .collect();
        let of_kinds = |kinds: &[Kind]| -> Vec<&Entry> {
            entries.iter().filter(|entry| kinds.contains(&entry.kind)).collect()
        };
        let extensions = of_kinds(&[Kind::Extension]);
        let relations = of_kinds(&[
            Kind::Table,
            Kind::ForeignTable,
            Kind::View,
            Kind::MaterializedView,
            Kind::Sequence,
        ]);
        let mut matches = Matches::default();
        for (at, rule) in choice.rules.iter().enumerate() {
            let (schema, name) = rule.pattern.regexes();
            let regex = |text: &str| regex(text).map_err(|error| error.within(rule));
            let name = regex(name)?;
            let schema = schema.map(regex).transpose()?;
            let named: Vec<&str> = match rule.flag {
                Flag::Schema | Flag::ExcludeSchema => schemas.iter().copied().collect(),
                Flag::Extension | Flag::ExcludeExtension => {
                    extensions.iter().map(|entry| entry.name.as_str()).collect()
                }
                _ => {
                    for relation in &relations {
                        let its = relation.schema.as_deref().unwrap_or_default();
                        let fits = schema.as_ref().is_none_or(|schema| schema.is_match(its));
                        if fits && name.is_match(&relation.name) {
                            let key = QualifiedName::new(its, &relation.name);
                            matches.relations.entry(key).or_default().push(at);
                        }
                    }
                    continue;
                }
            };
            for fitting in named.into_iter().filter(|one| name.is_match(one)) {
                matches.names.entry(fitting.to_owned()).or_default().push(at);
            }
        }
        Ok(matches)
    }
}

fn regex(text: &str) -> Result<Regex> {
    let whole = format!("^({text})$");
    RegexBuilder::new(&whole).dot_matches_new_line(true).build().map_err(|error| {
        Error::usage("reading a pattern").because(error.to_string()).hint(
            "correct the pattern: what isn't * or ? is a sign of regular expressions, unless it is \
             within double quotes",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Rule;

    fn entries() -> Vec<Entry> {
        let entry = |kind, schema, name: &str| Entry::new(kind, Some(schema), name);
        vec![
            Entry::new(Kind::Schema, None, "app"),
            Entry::new(Kind::Extension, None, "hstore"),
            entry(Kind::Table, "app", "orders"),
            entry(Kind::Table, "app", "Orders (x)"),
            entry(Kind::View, "public", "orders_seen"),
            entry(Kind::Table, "public", "log_1"),
        ]
    }

    fn matched(flag: Flag, pattern: &str) -> Vec<String> {
        let choice = Choice::new(vec![Rule::new(flag, pattern).unwrap()]);
        let matches = Matches::of_entries(&choice, &entries()).unwrap();
        let relations = matches.relations.keys().map(ToString::to_string);
        let mut all: Vec<String> = matches.names.keys().cloned().chain(relations).collect();
        all.sort();
        all
    }

    #[test]
    fn patterns_match_as_a_server_would_have_them() {
        assert_eq!(matched(Flag::Table, "ORD*"), ["app.orders", "public.orders_seen"]);
        assert_eq!(matched(Flag::Table, "orders"), ["app.orders"]);
        assert_eq!(matched(Flag::Table, "app.*"), ["app.Orders (x)", "app.orders"]);
        assert_eq!(matched(Flag::Table, "\"Orders (x)\""), ["app.Orders (x)"]);
        assert_eq!(matched(Flag::Include, "*.log_[0-9]"), ["public.log_1"]);
        assert_eq!(
            matched(Flag::ExcludeTable, "p?blic.(log_1|orders_seen)"),
            ["public.log_1", "public.orders_seen"]
        );
        assert_eq!(matched(Flag::Schema, "*"), ["app", "public"]);
        assert_eq!(matched(Flag::Extension, "h*"), ["hstore"]);
        assert_eq!(matched(Flag::Table, "nothing"), [""; 0]);
    }

    #[test]
    fn what_chooses_nothing_or_is_no_pattern_is_refused() {
        for (pattern, words) in
            [("nothing", "nothing in the archive matches --table nothing"), ("a(", "--table a(")]
        {
            let choice = Choice::new(vec![Rule::new(Flag::Table, pattern).unwrap()]);
            let error = choose_of_archive(&choice, &entries()).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
            assert_eq!(error.kind(), crate::error::Kind::Usage);
        }
    }
}
