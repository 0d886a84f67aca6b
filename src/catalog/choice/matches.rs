//! What the rules of a choice match, and what that says of entries.
//!
//! Only the matching is done by a server, whose regular expressions the patterns are. What the
//! matches mean for the entries is decided here, and what those need in `toc/closure/`.

use std::collections::{HashMap, HashSet};

use crate::error::{Error, Result};
use crate::pg::QualifiedName;
use crate::toc::closure::{Choosing, Selection, Ties};
use crate::toc::{Entry, EntryId, Kind};
use crate::wire::Session;

use crate::catalog::fragments::RELATION_KINDS;
use crate::catalog::scope::Scope;

use super::{Choice, Flag, Rule};

/// What the rules match: names, by the rules' places.
#[derive(Debug, Default)]
pub(in crate::catalog) struct Matches {
    /// Schemas' and extensions' names.
    pub(super) names: HashMap<String, Vec<usize>>,
    pub(super) relations: HashMap<QualifiedName, Vec<usize>>,
}

impl Matches {
    /// Asks the server. A relation's pattern without a schema matches what the search_path shows,
    /// as in pg_dump: `path` instead of the session's own, which is empty.
    pub(in crate::catalog) async fn read(
        session: &Session,
        scope: &Scope,
        path: &str,
    ) -> Result<Matches> {
        let doing = "matching names with what was asked for";
        let set = "SELECT pg_catalog.set_config('search_path', $1, true)";
        session.query(doing, set, &[&path]).await?;
        // Where it fails, the transaction has ended, and with it what was set.
        let found = session.query(doing, &query(scope), &[]).await.map_err(not_a_pattern)?;
        session.query(doing, set, &[&""]).await?;
        let mut matches = Matches::default();
        for row in found {
            let (rule, schema, name): (i32, Option<String>, String) =
                (row.get(0), row.get(1), row.get(2));
            let rule = usize::try_from(rule).unwrap_or_default();
            match schema {
                Some(schema) => {
                    matches
                        .relations
                        .entry(QualifiedName::new(schema, name))
                        .or_default()
                        .push(rule);
                }
                None => matches.names.entry(name).or_default().push(rule),
            }
        }
        Ok(matches)
    }

    /// The rules that match nothing: an error for what was to go, a note for what was not to.
    pub(in crate::catalog) fn idle(&self, choice: &Choice, place: &str) -> Result<Vec<String>> {
        let busy: HashSet<usize> =
            self.names.values().chain(self.relations.values()).flatten().copied().collect();
        let rules = choice.rules.iter().enumerate();
        let idle: Vec<&Rule> =
            rules.filter(|(at, _)| !busy.contains(at)).map(|(_, rule)| rule).collect();
        let wanted: Vec<String> =
            idle.iter().filter(|r| !r.flag.leaves_behind()).map(|r| r.to_string()).collect();
        if wanted.is_empty() {
            return Ok(idle.iter().map(|rule| rule.to_string()).collect());
        }
        Err(Error::usage("choosing what to move")
            .because(format!("nothing {place} matches {}", wanted.join(", ")))
            .hint(
                "correct the pattern: a name in no schema of the search_path takes its schema, \
                 upper case takes double quotes, and the shell takes away quotes of its own",
            ))
    }

    /// What the rules make of the entries.
    pub(in crate::catalog) fn choosing(&self, choice: &Choice, entries: &[Entry]) -> Choosing {
        let judge = Judge { choice, matches: self, ties: Ties::of(entries), entries };
        let ids = (0..entries.len() as u32).map(EntryId);
        Choosing {
            selection: ids.clone().map(|id| judge.selection(id)).collect(),
            without_rows: ids.filter(|id| judge.is_without_rows(*id)).collect(),
            whole: !choice.is_part(),
        }
    }

    /// Tells each table which of its rows travel. Returns the rules that no table's rows follow.
    pub(in crate::catalog) fn filter_rows(
        &self,
        choice: &Choice,
        entries: &mut [Entry],
    ) -> Vec<String> {
        let ties = Ties::of(entries);
        let mut conditions: Vec<(usize, Vec<&str>)> = Vec::new();
        let mut used = HashSet::new();
        for (at, _) in entries.iter().enumerate().filter(|(_, e)| e.table.is_some()) {
            let rules = self.about_rows(choice, &ties, entries, EntryId(at as u32), Flag::Where);
            used.extend(rules.iter().copied());
            let texts = rules.iter().filter_map(|rule| choice.rules[*rule].condition.as_deref());
            conditions.push((at, texts.collect()));
        }
        for (at, texts) in conditions {
            if let (Some(table), [_, ..]) = (&mut entries[at].table, texts.as_slice()) {
                table.filter = Some(match texts.as_slice() {
                    [one] => (*one).to_owned(),
                    several => format!("({})", several.join(") AND (")),
                });
            }
        }
        let rules = choice.rules.iter().enumerate().filter(|(_, rule)| rule.flag == Flag::Where);
        rules.filter(|(at, _)| !used.contains(at)).map(|(_, rule)| rule.to_string()).collect()
    }

    fn of_relation(&self, choice: &Choice, name: &QualifiedName, flag: Flag) -> Vec<usize> {
        let rules = self.relations.get(name).into_iter().flatten().copied();
        rules.filter(|rule| choice.rules[*rule].flag == flag).collect()
    }

    fn of_name(&self, choice: &Choice, name: &str, flag: Flag) -> Option<usize> {
        let mut rules = self.names.get(name).into_iter().flatten().copied();
        rules.find(|rule| choice.rules[*rule].flag == flag)
    }

    /// The rules about the rows of a relation, or of a partitioned table above it.
    fn about_rows(
        &self,
        choice: &Choice,
        ties: &Ties<'_>,
        entries: &[Entry],
        id: EntryId,
        flag: Flag,
    ) -> Vec<usize> {
        let above = ties.table_of_rows(id).map(|table| ties.lineage(table)).unwrap_or_default();
        let mut rules: Vec<usize> = name(&entries[id.0 as usize])
            .into_iter()
            .chain(above.into_iter().filter_map(|table| name(&entries[table.0 as usize])))
            .flat_map(|name| self.of_relation(choice, &name, flag))
            .collect();
        rules.sort_unstable();
        rules.dedup();
        rules
    }
}

/// SQLSTATE invalid_regular_expression is the user's mistake.
fn not_a_pattern(error: Error) -> Error {
    match error.server_error().is_some_and(|words| words.sqlstate == "2201B") {
        true => error.as_kind(crate::error::Kind::Usage).hint(
            "correct the pattern: what isn't * or ? is a sign of regular expressions, unless it is \
             within double quotes",
        ),
        false => error,
    }
}

fn query(scope: &Scope) -> String {
    let branches = scope.choice.rules.iter().enumerate().map(|(at, rule)| {
        let pattern = &rule.pattern;
        match rule.flag {
            Flag::Schema | Flag::ExcludeSchema => format!(
                "SELECT {at} AS rule, NULL::text, n.nspname::text FROM pg_catalog.pg_namespace n \
                 WHERE {} AND {}",
                scope.schemas("n.nspname"),
                pattern.name_condition("n.nspname")
            ),
            Flag::Extension | Flag::ExcludeExtension => format!(
                "SELECT {at}, NULL, e.extname::text FROM pg_catalog.pg_extension e WHERE {}",
                pattern.name_condition("e.extname")
            ),
            _ => {
                let visible = match pattern.is_unqualified() {
                    true => " AND pg_catalog.pg_table_is_visible(c.oid)",
                    false => "",
                };
                format!(
                    "SELECT {at}, n.nspname::text, c.relname::text FROM pg_catalog.pg_class c \
                     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                     WHERE c.relkind IN {RELATION_KINDS} AND {} AND {}{visible}",
                    scope.schemas("n.nspname"),
                    pattern.condition("n.nspname", "c.relname")
                )
            }
        }
    });
    branches.collect::<Vec<_>>().join(" UNION ALL ")
}

fn name(entry: &Entry) -> Option<QualifiedName> {
    Some(QualifiedName::new(entry.schema.as_deref()?, &entry.name))
}

/// What is said of entries.
struct Judge<'a> {
    choice: &'a Choice,
    matches: &'a Matches,
    ties: Ties<'a>,
    entries: &'a [Entry],
}

impl Judge<'_> {
    fn selection(&self, id: EntryId) -> Selection {
        let entry = &self.entries[id.0 as usize];
        match entry.kind {
            Kind::Schema => self.of_schema(&entry.name),
            Kind::Extension => self.of_extension(&entry.name),
            Kind::Table | Kind::ForeignTable | Kind::View | Kind::MaterializedView => {
                self.of_relation(id)
            }
            Kind::Sequence => self.of_sequence(id),
            _ => match &entry.schema {
                Some(schema) => self.of_schema(schema),
                None if self.choice.is_part() => Selection::Open,
                None => Selection::Chosen,
            },
        }
    }

    fn of_relation(&self, id: EntryId) -> Selection {
        let line = self.ties.lineage(id);
        let by = |flag| {
            let names = line.iter().filter_map(|id| name(&self.entries[id.0 as usize]));
            names.flat_map(|name| self.matches.of_relation(self.choice, &name, flag)).next()
        };
        if let Some(rule) = by(Flag::ExcludeTable) {
            return self.excluded(rule);
        }
        if by(Flag::Table).or(by(Flag::Include)).is_some() {
            return Selection::Chosen;
        }
        let schemas = line.iter().filter_map(|id| self.entries[id.0 as usize].schema.as_deref());
        let selections: Vec<Selection> = schemas.map(|schema| self.of_schema(schema)).collect();
        match selections.first() {
            Some(Selection::Open) if selections.contains(&Selection::Chosen) => Selection::Chosen,
            Some(selection) => selection.clone(),
            None => Selection::Open,
        }
    }

    /// A column's sequence goes where the column goes, but one that was itself asked for goes.
    fn of_sequence(&self, id: EntryId) -> Selection {
        let own = self.of_relation(id);
        let table = self.ties.owner_of_sequence(id).map(|table| self.of_relation(table));
        match (own, table) {
            (own, None) => own,
            (_, Some(excluded @ Selection::Excluded(_))) => excluded,
            (_, Some(Selection::Chosen)) => Selection::Chosen,
            (own, Some(Selection::Open)) => own,
        }
    }

    fn of_schema(&self, name: &str) -> Selection {
        if self.choice.has(Flag::Table) {
            return Selection::Open;
        }
        if let Some(rule) = self.matches.of_name(self.choice, name, Flag::ExcludeSchema) {
            return self.excluded(rule);
        }
        let chosen = match self.choice.has(Flag::Schema) {
            true => self.matches.of_name(self.choice, name, Flag::Schema).is_some(),
            false => !self.choice.has(Flag::Include),
        };
        if chosen { Selection::Chosen } else { Selection::Open }
    }

    fn of_extension(&self, name: &str) -> Selection {
        if let Some(rule) = self.matches.of_name(self.choice, name, Flag::ExcludeExtension) {
            return self.excluded(rule);
        }
        let chosen = match self.choice.has(Flag::Extension) {
            true => self.matches.of_name(self.choice, name, Flag::Extension).is_some(),
            false => !self.choice.is_part(),
        };
        if chosen { Selection::Chosen } else { Selection::Open }
    }

    fn excluded(&self, rule: usize) -> Selection {
        Selection::Excluded(self.choice.rules[rule].to_string())
    }

    fn is_without_rows(&self, id: EntryId) -> bool {
        let entry = &self.entries[id.0 as usize];
        let holds_rows =
            matches!(entry.kind, Kind::TableData | Kind::SequenceSet | Kind::MaterializedViewData);
        let flag = Flag::ExcludeTableData;
        holds_rows
            && !self.matches.about_rows(self.choice, &self.ties, self.entries, id, flag).is_empty()
    }
}

#[cfg(test)]
mod tests;
