//! Which part of an archive is restored.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::archive::{Chosen, Contents, ItemSection, Part, items_of_list};
use crate::catalog::{Choice, choose_of_archive};
use crate::error::{Error, Result};
use crate::toc::{Entry, Finding};

/// Which part of an archive is restored; all of it where nothing is said.
#[derive(Debug, Clone, Default)]
pub struct RestoredPart {
    /// Whether rows, or all but rows.
    pub rows: Part,
    /// Only these sections, where there are any.
    pub sections: BTreeSet<ItemSection>,
    /// Only the entries that this file lists.
    pub list: Option<PathBuf>,
    /// What names choose of it.
    pub choice: Choice,
}

impl RestoredPart {
    /// The same of an archive.
    pub(super) fn chosen(&self, contents: &Contents) -> Result<Chosen> {
        let listed = match &self.list {
            None => None,
            Some(path) => {
                let within =
                    |error: Error| error.within(format_args!("--use-list {}", path.display()));
                let list = std::fs::read_to_string(path)
                    .map_err(|error| within(Error::usage("reading the list").io(error)))?;
                Some(items_of_list(&list, contents).map_err(within)?)
            }
        };
        Ok(Chosen { part: self.rows, sections: self.sections.clone(), listed })
    }

    /// By entry whether it is restored, where the archive's items are chosen `by_items`, and what there
    /// is to say of that. Names choose of all that there is, as rows go with their tables.
    pub(super) fn kept(
        &self,
        entries: &[Entry],
        by_items: Vec<bool>,
    ) -> Result<(Vec<bool>, Vec<Finding>)> {
        let (by_names, mut findings) = choose_of_archive(&self.choice, entries)?;
        let chosen = entries.iter().zip(&by_items).filter(|(_, chosen)| **chosen);
        let titles: BTreeSet<String> = chosen.map(|(entry, _)| entry.title()).collect();
        findings.retain(|found| found.object == "filters" || titles.contains(&found.object));
        let kept = by_items.into_iter().zip(by_names).map(|(item, name)| item && name);
        Ok((kept.collect(), findings))
    }

    /// The part in the words of the command line: equal for equal parts of an archive.
    pub(super) fn words(&self, chosen: &Chosen) -> Vec<String> {
        let mut words = Vec::new();
        match self.rows {
            Part::Everything => {}
            Part::Schema => words.push("--schema-only".to_owned()),
            Part::Data => words.push("--data-only".to_owned()),
        }
        let sections = self.sections.iter().filter_map(|section| section.name());
        words.extend(sections.map(|name| format!("--section {name}")));
        words.extend(chosen.listed.as_ref().map(|listed| {
            let ids: Vec<String> = listed.iter().map(|id| id.0.to_string()).collect();
            let sum = crc32fast::hash(ids.join(" ").as_bytes());
            format!("--use-list ({} entries, {sum:08x})", ids.len())
        }));
        words.extend(self.choice.words());
        words
    }
}
