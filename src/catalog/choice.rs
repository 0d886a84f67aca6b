//! Which part of a database is asked for: rules as pg_dump has them. What they match is read
//! in `choice/matches.rs`, of an archive found in `choice/archived.rs`.

mod archived;
mod matches;

use std::fmt;

use crate::error::{Error, Result};

use super::pattern::Pattern;

pub use archived::choose_of_archive;
pub(super) use matches::Matches;

/// What a rule says of that which its pattern matches (documentation: pg_dump).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flag {
    /// Only these schemas, and what is in them.
    Schema,
    /// Not these schemas, nor what is in them.
    ExcludeSchema,
    /// Only these relations; schemas don't count then.
    Table,
    /// These relations, beside what is chosen otherwise.
    Include,
    /// Not these relations.
    ExcludeTable,
    /// No rows of these relations.
    ExcludeTableData,
    /// Only these extensions.
    Extension,
    /// Not these extensions.
    ExcludeExtension,
    /// Of these tables only the rows that meet the rule's condition.
    Where,
}

impl Flag {
    /// As it is typed.
    pub fn text(self) -> &'static str {
        match self {
            Flag::Schema => "--schema",
            Flag::ExcludeSchema => "--exclude-schema",
            Flag::Table => "--table",
            Flag::Include => "--include",
            Flag::ExcludeTable => "--exclude-table",
            Flag::ExcludeTableData => "--exclude-table-data",
            Flag::Extension => "--extension",
            Flag::ExcludeExtension => "--exclude-extension",
            Flag::Where => "--where",
        }
    }

    /// Whether a pattern that matches nothing says nothing either.
    fn leaves_behind(self) -> bool {
        matches!(
            self,
            Flag::ExcludeSchema
                | Flag::ExcludeTable
                | Flag::ExcludeTableData
                | Flag::ExcludeExtension
        )
    }

    fn pattern(self, text: &str) -> Result<Pattern> {
        match self {
            Flag::Schema | Flag::ExcludeSchema | Flag::Extension | Flag::ExcludeExtension => {
                Pattern::parse_name(text)
            }
            _ => Pattern::parse(text),
        }
    }
}

/// A flag with its pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    flag: Flag,
    pattern: Pattern,
    /// What rows have to meet, for [`Flag::Where`].
    condition: Option<String>,
}

impl Rule {
    /// A rule without a condition.
    pub fn new(flag: Flag, pattern: &str) -> Result<Rule> {
        let pattern = flag.pattern(pattern).map_err(|error| error.within(flag.text()))?;
        Ok(Rule { flag, pattern, condition: None })
    }

    /// `table=condition`. The first `=` outside double quotes ends the pattern.
    pub fn rows(text: &str) -> Result<Rule> {
        let mut quoted = false;
        let end = text.char_indices().find(|(_, c)| {
            quoted ^= *c == '"';
            *c == '=' && !quoted
        });
        let parts = end.map(|(at, _)| (text[..at].trim(), text[at + 1..].trim()));
        match parts {
            Some((pattern, condition)) if !condition.is_empty() => Ok(Rule {
                condition: Some(condition.to_owned()),
                ..Rule::new(Flag::Where, pattern)?
            }),
            _ => Err(Error::usage(format!("reading --where {text}"))
                .because("it isn't of the form table=condition")
                .hint("write it as --where \"app.orders=placed >= '2024-01-01'\"")),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.flag.text(), self.pattern)?;
        self.condition.iter().try_for_each(|condition| write!(f, "={condition}"))
    }
}

/// Which part of a database is asked for; all of it where there are no rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    rules: Vec<Rule>,
}

impl Choice {
    /// By these rules.
    pub fn new(rules: Vec<Rule>) -> Choice {
        Choice { rules }
    }

    /// Whether nothing was said, so that everything moves.
    pub fn is_everything(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rules as typed, in an order that doesn't depend on how they were typed: equal for equal
    /// choices.
    pub fn words(&self) -> Vec<String> {
        let mut words: Vec<String> = self.rules.iter().map(Rule::to_string).collect();
        words.sort();
        words.dedup();
        words
    }

    fn has(&self, flag: Flag) -> bool {
        self.rules.iter().any(|rule| rule.flag == flag)
    }

    /// Whether a part of the database is chosen, rather than all but a part.
    fn is_part(&self) -> bool {
        [Flag::Schema, Flag::Table, Flag::Include, Flag::Extension].iter().any(|f| self.has(*f))
    }

    /// What is odd about the rules themselves.
    pub(super) fn beside_the_point(&self) -> Option<String> {
        let schemas = self.has(Flag::Schema) || self.has(Flag::ExcludeSchema);
        (schemas && self.has(Flag::Table)).then(|| {
            "beside --table, --schema and --exclude-schema choose nothing, as with pg_dump; \
             --include adds relations to chosen schemas"
                .to_owned()
        })
    }
}
