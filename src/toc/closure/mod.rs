//! A part of a table of contents, closed over what it needs, or refused with the chain that is
//! missing.
//!
//! Definitions that are needed come along. A table comes only if it was chosen: one that came
//! without being asked for would bring rows nobody asked for, or none where some are expected. A
//! foreign key to a table that stays behind stays behind as well, as do objects that no choice can
//! name (a cast, a publication); each is told. All else that needs what stays behind is refused.

mod missing;
mod roles;
mod ties;

use std::collections::{HashMap, HashSet};

pub use ties::Ties;

use super::finding::Finding;
use super::{Entry, EntryId, Kind};
use ties::Tie;

/// What was said of an entry that stands for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// It goes.
    Chosen,
    /// It goes if it is needed.
    Open,
    /// It stays behind, by this flag, as typed.
    Excluded(String),
}

/// What was chosen of a list of entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choosing {
    /// For each entry what was said of it; only what stands for itself is asked.
    pub selection: Vec<Selection>,
    /// Rows, values and refreshes that stay behind.
    pub without_rows: HashSet<EntryId>,
    /// Whether what belongs to the database as a whole goes: its settings, grants on the system's
    /// own objects.
    pub whole: bool,
}

/// What is left of a list of entries.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Closed {
    /// The entries that go, renumbered.
    pub entries: Vec<Entry>,
    /// Those that don't.
    pub left: Vec<Entry>,
    /// What is refused, differs, or is worth knowing.
    pub findings: Vec<Finding>,
}

/// The chosen of `entries`, with what they need.
pub fn close(entries: Vec<Entry>, choosing: &Choosing) -> Closed {
    let (kept, findings) = kept(&entries, choosing);
    let (entries, left) = divided(entries, &kept);
    Closed { entries, left, findings }
}

/// By entry whether it is chosen or needed, and what is refused, differs, or is worth knowing.
pub fn kept(entries: &[Entry], choosing: &Choosing) -> (Vec<bool>, Vec<Finding>) {
    let ties = Ties::of(entries);
    let mut closing = Closing::new(&ties, choosing);
    closing.bring_chosen();
    closing.bring_yielding();
    closing.part_with_keys();
    closing.take_along(entries);
    let Closing { mut kept, mut findings, .. } = closing;
    for role in roles::named(entries, &kept) {
        kept[role.0 as usize] = true;
    }
    for (i, entry) in entries.iter().enumerate() {
        let about_role = ties.tie(EntryId(i as u32)) == Tie::About
            && entry.depends_on.first().is_some_and(|id| ties.tie(*id) == Tie::Role);
        kept[i] |= about_role && entry.depends_on.iter().all(|id| kept[id.0 as usize]);
    }
    if !choosing.whole {
        findings.extend(missing::of_the_whole(entries, &kept));
    }
    findings.sort();
    findings.dedup();
    (kept, findings)
}

struct Closing<'a> {
    ties: &'a Ties<'a>,
    choosing: &'a Choosing,
    kept: Vec<bool>,
    /// The parts of what stands for itself.
    parts: HashMap<EntryId, Vec<EntryId>>,
    /// For what was brought along, what it was needed by.
    needed_by: HashMap<EntryId, EntryId>,
    findings: Vec<Finding>,
}

/// A need that can't be met.
struct Unmet {
    by: EntryId,
    what: EntryId,
}

impl<'a> Closing<'a> {
    fn new(ties: &'a Ties<'a>, choosing: &'a Choosing) -> Self {
        let mut parts: HashMap<EntryId, Vec<EntryId>> = HashMap::new();
        for id in ids(choosing) {
            if let Tie::PartOf(owner) = ties.tie(id) {
                parts.entry(owner).or_default().push(id);
            }
        }
        let kept = vec![false; choosing.selection.len()];
        Closing { ties, choosing, kept, parts, needed_by: HashMap::new(), findings: Vec::new() }
    }

    /// What is chosen, with all that it needs; what isn't to be had is refused.
    fn bring_chosen(&mut self) {
        let chosen = self.chosen(|kind| !yields(kind));
        let (brought, unmet) = self.reach(&chosen);
        self.keep(&brought);
        for unmet in &unmet {
            let path = self.path(unmet.by);
            let root = path.first().copied().unwrap_or(unmet.by);
            let selection = &self.choosing.selection[unmet.what.0 as usize];
            let titles = path.iter().map(|id| self.ties.entry(*id).title()).collect();
            let what = self.ties.entry(unmet.what);
            self.findings.push(missing::refusal(titles, self.ties.entry(root), what, selection));
        }
    }

    /// What no choice can name stays behind where it needs what stays behind.
    fn bring_yielding(&mut self) {
        for id in self.chosen(yields) {
            let (brought, unmet) = self.reach(&[id]);
            match unmet.first() {
                None => self.keep(&brought),
                Some(unmet) => self.stays(id, unmet.what),
            }
        }
    }

    /// A foreign key goes where both its tables go.
    fn part_with_keys(&mut self) {
        for id in ids(self.choosing) {
            if self.ties.entry(id).kind == Kind::FkConstraint && self.kept[id.0 as usize] {
                let lacks =
                    self.ties.needs(id).into_iter().find(|need| !self.kept[need.0 as usize]);
                if let Some(lacks) = lacks {
                    self.kept[id.0 as usize] = false;
                    self.stays(id, lacks);
                }
            }
        }
    }

    /// What goes where all that it is about goes.
    fn take_along(&mut self, entries: &[Entry]) {
        for id in ids(self.choosing).filter(|id| self.ties.tie(*id) == Tie::About) {
            let subjects = self.ties.subjects(id);
            let lacks = subjects.iter().copied().find(|subject| !self.kept[subject.0 as usize]);
            let goes = match subjects.as_slice() {
                [] => self.choosing.whole,
                _ => lacks.is_none(),
            };
            let has_rows_left = self.choosing.without_rows.contains(&id);
            self.kept[id.0 as usize] = goes && !has_rows_left;
            let Some(lacks) = lacks else { continue };
            let kind = entries[id.0 as usize].kind;
            let its_own = subjects.iter().any(|subject| {
                let subject_kept = self.kept[subject.0 as usize];
                let of_its_name = entries[subject.0 as usize].name == entries[id.0 as usize].name;
                let links = matches!(kind, Kind::TableAttach | Kind::SequenceOwnedBy);
                subject_kept && ((links && of_its_name) || kind == Kind::PublicationTable)
            });
            if its_own {
                self.stays(id, lacks);
            }
            if kind == Kind::TableData {
                self.refuse_rows_in_part(id, &subjects, lacks);
            }
        }
    }

    /// Rows that travel through a partitioned table do so with those of all its partitions.
    fn refuse_rows_in_part(&mut self, id: EntryId, subjects: &[EntryId], lacks: EntryId) {
        let Some(table) = subjects.iter().find(|subject| self.kept[subject.0 as usize]) else {
            return;
        };
        let titles = vec![self.ties.entry(id).title()];
        let selection = &self.choosing.selection[lacks.0 as usize];
        let (table, lacks) = (self.ties.entry(*table), self.ties.entry(lacks));
        self.findings.push(missing::refusal(titles, table, lacks, selection));
    }

    fn chosen(&self, of: impl Fn(Kind) -> bool) -> Vec<EntryId> {
        let alone = ids(self.choosing).filter(|id| self.ties.tie(*id) == Tie::Alone);
        alone
            .filter(|id| self.choosing.selection[id.0 as usize] == Selection::Chosen)
            .filter(|id| of(self.ties.entry(*id).kind))
            .collect()
    }

    /// All that `roots` need and that isn't kept already, and what of that can't be had.
    fn reach(&mut self, roots: &[EntryId]) -> (Vec<EntryId>, Vec<Unmet>) {
        let mut brought: Vec<EntryId> = Vec::new();
        let mut seen = self.kept.clone();
        let mut unmet = Vec::new();
        let mut open = Vec::new();
        for &root in roots.iter().rev() {
            if !std::mem::replace(&mut seen[root.0 as usize], true) {
                open.push(root);
            }
        }
        while let Some(id) = open.pop() {
            brought.push(id);
            let parts = self.parts.get(&id).cloned().unwrap_or_default();
            for by in std::iter::once(id).chain(parts) {
                if self.ties.entry(by).kind == Kind::FkConstraint {
                    continue;
                }
                for need in self.ties.needs(by) {
                    if self.is_there_anyway(need) {
                        continue;
                    }
                    if !self.may_come(need) {
                        unmet.push(Unmet { by, what: need });
                    } else if !std::mem::replace(&mut seen[need.0 as usize], true) {
                        self.needed_by.insert(need, by);
                        open.push(need);
                    }
                }
            }
        }
        (brought, unmet)
    }

    /// Every database has a schema public.
    fn is_there_anyway(&self, id: EntryId) -> bool {
        let entry = self.ties.entry(id);
        let excluded = matches!(self.choosing.selection[id.0 as usize], Selection::Excluded(_));
        entry.kind == Kind::Schema && entry.name == "public" && excluded
    }

    fn may_come(&self, id: EntryId) -> bool {
        match &self.choosing.selection[id.0 as usize] {
            Selection::Chosen => true,
            Selection::Open => self.ties.entry(id).kind != Kind::Table,
            Selection::Excluded(_) => false,
        }
    }

    fn keep(&mut self, brought: &[EntryId]) {
        for id in brought {
            self.kept[id.0 as usize] = true;
            for part in self.parts.get(id).into_iter().flatten() {
                self.kept[part.0 as usize] = true;
            }
        }
    }

    /// From what was chosen to `by`, each needing the next.
    fn path(&self, by: EntryId) -> Vec<EntryId> {
        let mut path = vec![by];
        let mut at = by;
        loop {
            let own = self.ties.standing_for(at).unwrap_or(at);
            match self.needed_by.get(&own) {
                Some(&before) if !path.contains(&before) => {
                    // A part that needs something on behalf of what was brought: that is named.
                    if at != own {
                        path.push(own);
                    }
                    path.push(before);
                    at = before;
                }
                _ => break,
            }
        }
        path.reverse();
        path
    }

    fn stays(&mut self, id: EntryId, lacks: EntryId) {
        let selection = &self.choosing.selection[lacks.0 as usize];
        self.findings.push(missing::stays(self.ties.entry(id), self.ties.entry(lacks), selection));
    }
}

/// Kinds that no flag can name.
fn yields(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Cast
            | Kind::Transform
            | Kind::Language
            | Kind::AccessMethod
            | Kind::ForeignDataWrapper
            | Kind::ForeignServer
            | Kind::EventTrigger
            | Kind::Publication
            | Kind::Subscription
    )
}

fn ids(choosing: &Choosing) -> impl Iterator<Item = EntryId> + use<> {
    (0..choosing.selection.len() as u32).map(EntryId)
}

/// Those that are kept, renumbered, and the others.
fn divided(entries: Vec<Entry>, kept: &[bool]) -> (Vec<Entry>, Vec<Entry>) {
    let mut next = 0;
    let mut places = Vec::with_capacity(kept.len());
    for kept in kept {
        places.push(kept.then_some(EntryId(next)));
        next += u32::from(*kept);
    }
    let (mut going, mut left) = (Vec::with_capacity(next as usize), Vec::new());
    for (mut entry, kept) in entries.into_iter().zip(kept) {
        if *kept {
            let needs = entry.depends_on.iter();
            entry.depends_on = needs.filter_map(|id| places[id.0 as usize]).collect();
            going.push(entry);
        } else {
            left.push(entry);
        }
    }
    (going, left)
}

#[cfg(test)]
mod tests;
