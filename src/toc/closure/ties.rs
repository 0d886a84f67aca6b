//! How entries hang together: what stands for itself, what belongs to something, and what merely
//! goes along. Known from kinds, names and dependencies alone.

use std::collections::{HashMap, HashSet};

use crate::toc::{Entry, EntryId, Kind};

/// How an entry goes with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tie {
    /// It is chosen, or needed, for itself.
    Alone,
    /// It belongs to a relation or domain: it goes where that goes, and brings what it needs.
    PartOf(EntryId),
    /// It goes where everything that it is about goes, and brings nothing.
    About,
    /// A role, or a membership: it goes where an entry names it.
    Role,
}

/// The ties of a list of entries.
#[derive(Debug)]
pub struct Ties<'a> {
    entries: &'a [Entry],
    ties: Vec<Tie>,
    /// Partitions' parents.
    parents: HashMap<EntryId, EntryId>,
    /// Sequences' tables.
    owners: HashMap<EntryId, EntryId>,
}

impl<'a> Ties<'a> {
    /// Finds them.
    pub fn of(entries: &'a [Entry]) -> Ties<'a> {
        let mut ties = Ties {
            entries,
            ties: Vec::with_capacity(entries.len()),
            parents: HashMap::new(),
            owners: HashMap::new(),
        };
        for (id, entry) in (0..).map(EntryId).zip(entries) {
            let about = |kind: Kind| {
                entry.depends_on.iter().copied().find(|id| ties.entry(*id).kind == kind)
            };
            match entry.kind {
                Kind::TableAttach => {
                    let tables: Vec<EntryId> = ties.relations_of(entry).collect();
                    let child = tables.iter().copied().find(|id| is_named(ties.entry(*id), entry));
                    let parent = tables.iter().copied().find(|id| Some(*id) != child);
                    if let (Some(child), Some(parent)) = (child, parent) {
                        ties.parents.insert(child, parent);
                    }
                }
                Kind::SequenceOwnedBy => {
                    let table = ties.relations_of(entry).find(|id| {
                        matches!(ties.entry(*id).kind, Kind::Table | Kind::ForeignTable)
                    });
                    if let (Some(sequence), Some(table)) = (about(Kind::Sequence), table) {
                        ties.owners.insert(sequence, table);
                    }
                }
                // An archive of pg_dump's has identities apart from their tables.
                Kind::Sequence if entry.create.starts_with("ALTER TABLE ") => {
                    ties.owners.extend(about(Kind::Table).map(|table| (id, table)));
                }
                _ => {}
            }
        }
        ties.ties = entries.iter().map(|entry| ties.find(entry)).collect();
        ties
    }

    /// The table that a sequence belongs to.
    pub fn owner_of_sequence(&self, id: EntryId) -> Option<EntryId> {
        self.owners.get(&id).copied()
    }

    /// The entry itself, and the partitioned tables above it.
    pub fn lineage(&self, id: EntryId) -> Vec<EntryId> {
        let mut line = vec![id];
        let mut next = self.parents.get(&id);
        while let Some(&above) = next.filter(|above| !line.contains(above)) {
            line.push(above);
            next = self.parents.get(&above);
        }
        line
    }

    /// The table whose rows an entry of kind TABLE DATA holds, where that is an entry.
    pub fn table_of_rows(&self, id: EntryId) -> Option<EntryId> {
        let entry = self.entry(id);
        self.relations_of(entry).find(|table| is_named(self.entry(*table), entry))
    }

    pub(super) fn entry(&self, id: EntryId) -> &'a Entry {
        &self.entries[id.0 as usize]
    }

    pub(super) fn tie(&self, id: EntryId) -> Tie {
        self.ties[id.0 as usize]
    }

    /// What stands for itself in the place of `id`; none for what only goes along.
    pub(super) fn standing_for(&self, id: EntryId) -> Option<EntryId> {
        match self.tie(id) {
            Tie::Alone => Some(id),
            Tie::PartOf(owner) => Some(owner),
            Tie::About | Tie::Role => None,
        }
    }

    /// What `id` needs: what stands for itself, but never the table that one is a partition of, as
    /// a partition is a table of its own until it is attached.
    pub(super) fn needs(&self, id: EntryId) -> Vec<EntryId> {
        let own = self.standing_for(id);
        let above = own.map(|own| self.lineage(own)).unwrap_or_default();
        let mut seen: HashSet<EntryId> = above.into_iter().collect();
        let needs = self.entry(id).depends_on.iter().filter_map(|need| self.standing_for(*need));
        needs.filter(|need| seen.insert(*need)).collect()
    }

    /// What an entry that goes along is about.
    pub(super) fn subjects(&self, id: EntryId) -> Vec<EntryId> {
        let depends_on = self.entry(id).depends_on.iter().copied();
        depends_on.filter(|subject| self.tie(*subject) != Tie::About).collect()
    }

    fn relations_of(&self, entry: &Entry) -> impl Iterator<Item = EntryId> {
        entry.depends_on.iter().copied().filter(|id| has_parts(self.entry(*id).kind))
    }

    fn find(&self, entry: &Entry) -> Tie {
        match entry.kind {
            Kind::Role | Kind::RoleMembership => Tie::Role,
            Kind::TableAttach
            | Kind::IndexAttach
            | Kind::SequenceOwnedBy
            | Kind::TableData
            | Kind::SequenceSet
            | Kind::MaterializedViewData
            | Kind::LargeObjectData
            | Kind::UserMapping
            | Kind::WrapperValidator
            | Kind::PublicationTable
            | Kind::PublicationSchema
            | Kind::Comment
            | Kind::SecurityLabel
            | Kind::Acl => Tie::About,
            Kind::Default
            | Kind::ColumnStorage
            | Kind::CheckConstraint
            | Kind::Constraint
            | Kind::Index
            | Kind::Statistics
            | Kind::Rule
            | Kind::Trigger
            | Kind::FkConstraint
            | Kind::Policy
            | Kind::RowSecurity => self.owner(entry).map_or(Tie::Alone, Tie::PartOf),
            _ => Tie::Alone,
        }
    }

    /// pg_dump's tag of a part begins with its table's name; an index or statistics have their own.
    fn owner(&self, entry: &Entry) -> Option<EntryId> {
        let may_be_domain = entry.kind == Kind::CheckConstraint;
        let mut fits: Vec<EntryId> = self
            .relations_of(entry)
            .filter(|id| may_be_domain || self.entry(*id).kind != Kind::Domain)
            .collect();
        fits.sort_by_key(|id| {
            let relation = self.entry(*id);
            let rest = entry.name.strip_prefix(relation.name.as_str());
            let names_it = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
            (relation.schema != entry.schema, !names_it, usize::MAX - relation.name.len())
        });
        fits.first().copied()
    }
}

fn has_parts(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Table | Kind::ForeignTable | Kind::View | Kind::MaterializedView | Kind::Domain
    )
}

fn is_named(relation: &Entry, entry: &Entry) -> bool {
    relation.schema == entry.schema && relation.name == entry.name
}
