//! `app.config.xml`: the databases that it names, and where they are; rewritten so that nothing else
//! in the file changes.

mod document;
mod edit;
mod masking;
mod npgsql;
mod pairs;
mod password_ref;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};

use super::repoint::ChangedLine;
use document::Document;
use edit::Edit;
use pairs::{Pair, Problem};

pub use npgsql::{ConnectionString, Keyword};
pub use password_ref::PasswordRef;

/// A configuration larger than this isn't one: the whole is held in memory.
const LARGEST: u64 = 16 << 20;

/// A host's configuration.
#[derive(Debug, Clone)]
pub struct Configuration {
    path: PathBuf,
    document: Document,
    pairs: Vec<Pair>,
}

/// What a configuration says of a database.
#[derive(Debug, Clone)]
pub struct Named {
    /// Its name.
    pub database: String,
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The role that the services are.
    pub username: String,
    /// Where its password is.
    pub password_ref: PasswordRef,
    /// How many connections a service opens at most, if that is said.
    pub pool: Option<u32>,
    /// All of the connection string.
    pub string: ConnectionString,
}

/// How a database is reached in future.
#[derive(Debug, Clone)]
pub struct Moved {
    /// The new settings; none takes one away.
    pub settings: Vec<(Keyword, Option<String>)>,
    /// Where the password is.
    pub password_ref: PasswordRef,
}

impl Configuration {
    /// Reads a file. Whatever isn't understood is named with its line and column.
    pub fn read(path: &Path) -> Result<Configuration> {
        let doing = format!("reading {}", path.display());
        let failed = |error| Error::new(Kind::Refused, &doing).io(error);
        if std::fs::metadata(path).map_err(failed)?.len() > LARGEST {
            return Err(Error::new(Kind::Refused, &doing)
                .because("it is too large for a configuration")
                .hint("give the app.config.xml that the services read"));
        }
        let bytes = std::fs::read(path).map_err(failed)?;
        Configuration::parse(path, &bytes)
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Configuration> {
        let shown = path.display().to_string();
        let document = Document::decode(bytes, &shown)?;
        let parsed = roxmltree::Document::parse(&document.text).map_err(|error| {
            Error::new(Kind::Refused, format!("reading {shown}"))
                .because(format!("it isn't well-formed XML: {error}"))
                .hint("mend it there, then run again")
        })?;
        let pairs = pairs::find(&parsed).map_err(|problems| refused(&shown, &parsed, &problems))?;
        let configuration = Configuration { path: path.to_owned(), document, pairs };
        let disagreeing = configuration.disagreeing();
        match (configuration.pairs.is_empty(), disagreeing.is_empty()) {
            (true, _) => Err(Error::new(Kind::Refused, format!("reading {shown}"))
                .because("there is no connectionString in it, neither element nor attribute")
                .hint("give the app.config.xml that the services read")),
            (false, true) => {
                configuration.named()?;
                Ok(configuration)
            }
            (false, false) => {
                let parsed = roxmltree::Document::parse(&configuration.document.text);
                let parsed = parsed.expect("it was parsed before");
                Err(refused(&shown, &parsed, &disagreeing))
            }
        }
    }

    /// Refuses to go on where the file isn't what was read any more.
    pub(in crate::webstream) fn refuse_edited(&self) -> Result<()> {
        let refused = || Error::new(Kind::Refused, format!("rewriting {}", self.path.display()));
        let now = std::fs::read(&self.path).map_err(|error| refused().io(error))?;
        match self.document.encode(&self.document.text).as_ref() == Some(&now) {
            true => Ok(()),
            false => Err(refused()
                .because("it was changed meanwhile")
                .hint("run the same again, so that what is new in it stays; nothing was written")),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The databases, each once.
    pub fn named(&self) -> Result<Vec<Named>> {
        let mut named: BTreeMap<String, Named> = BTreeMap::new();
        for pair in &self.pairs {
            let one = self.one(pair)?;
            named.entry(one.database.clone()).or_insert(one);
        }
        Ok(named.into_values().collect())
    }

    /// What is said under a name, wherever it stands: an element's text, an attribute, or an
    /// `<add key="NAME" value="…"/>`.
    pub(in crate::webstream) fn settings(&self, name: &str) -> Vec<String> {
        let Ok(parsed) = roxmltree::Document::parse(&self.document.text) else { return Vec::new() };
        let is_it = |said: &str| said.eq_ignore_ascii_case(name);
        let mut all = Vec::new();
        for element in parsed.descendants().filter(roxmltree::Node::is_element) {
            let named = element.attributes().filter(|attribute| is_it(attribute.name()));
            all.extend(named.map(|attribute| attribute.value().to_owned()));
            if is_it(element.tag_name().name()) {
                all.extend(element.text().map(str::to_owned));
            }
            if element.attribute("key").is_some_and(is_it) {
                all.extend(element.attribute("value").map(str::to_owned));
            }
        }
        all
    }

    /// The file's bytes with the databases where they are now. `moved` says so for each that moves;
    /// the other pairs stay.
    pub fn rewritten(&self, moved: &BTreeMap<String, Moved>) -> Result<Vec<u8>> {
        let mut edits: Vec<Edit> = Vec::new();
        for pair in &self.pairs {
            let database = pair.parsed.get(Keyword::Database).unwrap_or_default();
            let Some(moved) = moved.get(database) else { continue };
            edits.extend(pair.edits(moved).ok_or_else(|| self.not_writable(pair))?);
        }
        edits.sort_by_key(|edit| edit.range.start);
        let text = edit::applied(&self.document.text, &edits);
        let bytes = self.document.encode(&text).ok_or_else(|| {
            Error::new(Kind::Refused, format!("rewriting {}", self.path.display()))
                .because("a new setting has characters that the file's encoding hasn't")
                .hint("save the file as UTF-8, then run again")
        })?;
        self.refuse_wrong(&bytes, moved)?;
        Ok(bytes)
    }

    /// The lines in which new bytes of this file differ, without secrets.
    pub(in crate::webstream) fn changed_lines(&self, bytes: &[u8]) -> Result<Vec<ChangedLine>> {
        let after = Configuration::parse(&self.path, bytes)?;
        let (before, after) = (self.masked(self), after.masked(self));
        let pairs = before.lines().zip(after.lines()).enumerate();
        let changed = pairs.filter(|(_, (before, after))| before != after);
        let line = |(index, (before, after)): (usize, (&str, &str))| ChangedLine {
            number: index + 1,
            before: before.to_owned(),
            after: after.to_owned(),
        };
        Ok(changed.map(line).collect())
    }

    /// The text with passwords and tokens left out, and all that is said besides the pairs; that a token
    /// is another one than before is told.
    fn masked(&self, before: &Configuration) -> String {
        let mut edits: Vec<Edit> = Vec::new();
        for (pair, before) in self.pairs.iter().zip(&before.pairs) {
            let hidden = pair.parsed.hidden();
            edits.extend(hidden.iter().filter_map(|edit| pair.string.edit(edit)));
            if pair.password_ref.said.starts_with("dpapi:") {
                let before = &before.password_ref.said;
                let is_other = before.starts_with("dpapi:") && pair.password_ref.said != *before;
                let shown = if is_other { "dpapi:… (another)" } else { "dpapi:…" };
                edits.extend(pair.password_ref.replaced(shown));
            }
        }
        if let Ok(parsed) = roxmltree::Document::parse(&self.document.text) {
            let shown = |pair: &Pair| [pair.string.at, pair.password_ref.at];
            let shown: Vec<usize> = self.pairs.iter().flat_map(shown).collect();
            edits.extend(masking::others(&parsed, &shown));
        }
        edits.sort_by_key(|edit| edit.range.start);
        edit::applied(&self.document.text, &edits)
    }

    /// What was rewritten must say what was meant, of every database.
    fn refuse_wrong(&self, bytes: &[u8], moved: &BTreeMap<String, Moved>) -> Result<()> {
        let again = Configuration::parse(&self.path, bytes)?;
        let is_right = |pair: &Pair| {
            let database = pair.parsed.get(Keyword::Database).unwrap_or_default();
            moved.get(database).is_none_or(|moved| {
                pair.password_ref.said == moved.password_ref.to_string()
                    && moved
                        .settings
                        .iter()
                        .all(|(k, value)| pair.parsed.get(*k) == value.as_deref())
            })
        };
        match again.pairs.len() == self.pairs.len() && again.pairs.iter().all(is_right) {
            true => Ok(()),
            false => Err(Error::new(Kind::Refused, format!("rewriting {}", self.path.display()))
                .because("read again, it doesn't say what was meant")
                .hint("edit it by hand, and report this with the file's structure")),
        }
    }

    fn one(&self, pair: &Pair) -> Result<Named> {
        let get = |keyword| pair.parsed.get(keyword);
        let wrong = |what: &str| self.refuse(pair.string.at, what);
        let port = get(Keyword::Port).map_or(Ok(5432), str::parse);
        let port = port.map_err(|_| wrong("its Port is no port"))?;
        let pool = get(Keyword::MaximumPoolSize).or(pair.pool.as_deref()).map(str::parse);
        let pool = pool.transpose().map_err(|_| wrong("the size of its pool is no number"))?;
        let password_ref = pair.password_ref.said.parse();
        let password_ref = password_ref.map_err(|why| self.refuse(pair.password_ref.at, why))?;
        let said = |keyword| get(keyword).unwrap_or_default().to_owned();
        Ok(Named {
            database: said(Keyword::Database),
            host: said(Keyword::Host),
            port,
            username: said(Keyword::Username),
            password_ref,
            pool,
            string: pair.parsed.clone(),
        })
    }

    /// Pairs of one database that say different things.
    fn disagreeing(&self) -> Vec<Problem> {
        let mut first: BTreeMap<&str, &Pair> = BTreeMap::new();
        let mut problems = Vec::new();
        for pair in &self.pairs {
            let database = pair.parsed.get(Keyword::Database).unwrap_or_default();
            let before = *first.entry(database).or_insert(pair);
            let get = |pair: &Pair, keyword| pair.parsed.get(keyword).map(str::to_owned);
            let keywords = [Keyword::Host, Keyword::Port, Keyword::Username, Keyword::Password];
            let differs = keywords.iter().any(|k| get(pair, *k) != get(before, *k))
                || pair.password_ref.said != before.password_ref.said;
            if differs {
                let why = format!("database {database} is named before, with other settings");
                problems.push(Problem { at: pair.string.at, why });
            }
        }
        problems
    }

    fn not_writable(&self, pair: &Pair) -> Error {
        self.refuse(pair.string.at, "a new setting can't be written there")
    }

    fn refuse(&self, at: usize, why: &str) -> Error {
        let path = self.path.display().to_string();
        match roxmltree::Document::parse(&self.document.text) {
            Ok(parsed) => refused(&path, &parsed, &[Problem { at, why: why.to_owned() }]),
            Err(error) => Error::new(Kind::Refused, path).because(error.to_string()),
        }
    }
}

impl Pair {
    fn edits(&self, moved: &Moved) -> Option<Vec<Edit>> {
        let changes: Vec<(Keyword, Option<&str>)> =
            moved.settings.iter().map(|(keyword, value)| (*keyword, value.as_deref())).collect();
        let edits = self.parsed.changed(&changes);
        let mut edits: Vec<Edit> =
            edits.iter().map(|edit| self.string.edit(edit)).collect::<Option<_>>()?;
        let reference = moved.password_ref.to_string();
        if self.password_ref.said != reference {
            edits.push(self.password_ref.replaced(&reference)?);
        }
        Some(edits)
    }
}

fn refused(path: &str, parsed: &roxmltree::Document<'_>, problems: &[Problem]) -> Error {
    let lines = problems.iter().map(|problem| {
        let place = parsed.text_pos_at(problem.at);
        format!("line {}, column {}: {}", place.row, place.col, problem.why)
    });
    Error::new(Kind::Refused, format!("reading {path}"))
        .because(lines.collect::<Vec<_>>().join("\n"))
        .hint("mend it there, then run again; nothing was written")
}
