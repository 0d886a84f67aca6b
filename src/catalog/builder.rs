//! Entries while they are gathered: the families add them under their catalog ids, and the
//! dependencies in pg_depend are resolved to entries once all are there.

use std::collections::{HashMap, HashSet};

use crate::pg::Oid;
use crate::toc::{Entry, EntryId};

use super::stand_ins::StandIns;
use super::{LeftOut, Unsupported};

/// An object as pg_depend names it, its columns included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ObjectId {
    pub(super) class: Oid,
    pub(super) oid: Oid,
}

impl ObjectId {
    pub(super) fn new(class: Oid, oid: u32) -> Self {
        ObjectId { class, oid: Oid(oid) }
    }
}

/// The entries gathered so far.
#[derive(Debug, Default)]
pub(super) struct Builder {
    pub(super) entries: Vec<Entry>,
    /// Which entry creates which object. Several objects may be one entry's (a view and its rule,
    /// a table and its row type and its inline defaults).
    objects: HashMap<ObjectId, EntryId>,
    /// Dependencies that pg_depend doesn't hold, or that point the other way.
    extra: Vec<(EntryId, ObjectId)>,
    /// Dependencies on entries that create no object of their own.
    links: Vec<(EntryId, EntryId)>,
    pub(super) unsupported: Vec<Unsupported>,
    pub(super) left_out: Vec<LeftOut>,
    /// Objects that an extension brings: never entries of their own.
    pub(super) extension_members: HashSet<ObjectId>,
    /// Objects that need no entry: they were reported, or come with another.
    entryless: HashSet<ObjectId>,
    /// Views without their queries and functions without their bodies, for circles.
    pub(super) stand_ins: StandIns,
}

impl Builder {
    /// No entries yet; `extension_members` never become any.
    pub(super) fn new(extension_members: HashSet<ObjectId>) -> Self {
        Builder { extension_members, ..Builder::default() }
    }

    /// Adds the entry that creates `object`.
    pub(super) fn add(&mut self, object: ObjectId, entry: Entry) -> EntryId {
        let id = self.add_part(entry);
        self.objects.insert(object, id);
        id
    }

    /// Adds an entry that creates no object of its own (a comment, a grant, a table's rows).
    pub(super) fn add_part(&mut self, entry: Entry) -> EntryId {
        let id = EntryId(self.entries.len() as u32);
        self.entries.push(entry);
        id
    }

    /// Says that the entry `id` also creates `object`: what depends on that depends on `id`, and
    /// what that depends on `id` depends on.
    pub(super) fn also_creates(&mut self, id: EntryId, object: ObjectId) {
        self.objects.insert(object, id);
    }

    /// The entry that creates `object`, if one was added.
    pub(super) fn creator(&self, object: ObjectId) -> Option<EntryId> {
        self.objects.get(&object).copied()
    }

    /// Whether an extension brings `object`.
    pub(super) fn is_extension_member(&self, object: ObjectId) -> bool {
        self.extension_members.contains(&object)
    }

    /// Says that `object` needs no entry: it was reported, or comes with another.
    pub(super) fn needs_no_entry(&mut self, object: ObjectId) {
        self.entryless.insert(object);
    }

    /// Whether an entry or an extension creates `object`, or it needs none.
    pub(super) fn is_answered_for(&self, object: ObjectId) -> bool {
        self.objects.contains_key(&object)
            || self.is_extension_member(object)
            || self.entryless.contains(&object)
    }

    /// Says that the entry `id` needs `object`, whoever creates it.
    pub(super) fn needs(&mut self, id: EntryId, object: ObjectId) {
        self.extra.push((id, object));
    }

    /// Says that the entry `id` comes after the entry `first`.
    pub(super) fn comes_after(&mut self, id: EntryId, first: EntryId) {
        self.links.push((id, first));
    }

    /// Reports what can't be moved.
    pub(super) fn unsupported(&mut self, object: impl Into<String>, why: impl Into<String>) {
        self.unsupported.push(Unsupported { object: object.into(), why: why.into() });
    }

    /// Reports what isn't moved on purpose.
    pub(super) fn left_out(&mut self, object: impl Into<String>, why: impl Into<String>) {
        self.left_out.push(LeftOut { object: object.into(), why: why.into() });
    }

    /// The objects created by entries.
    pub(super) fn created(&self) -> impl Iterator<Item = (ObjectId, EntryId)> {
        self.objects.iter().map(|(object, id)| (*object, *id))
    }

    /// What [`Builder::needs`] was told.
    pub(super) fn extra_needs(&self) -> &[(EntryId, ObjectId)] {
        &self.extra
    }

    /// Adds the resolved `edges` (an entry, and what must come first) and those between entries
    /// to the entries, each once and none to itself.
    pub(super) fn settle(&mut self, edges: impl IntoIterator<Item = (EntryId, EntryId)>) {
        for (id, first) in edges.into_iter().chain(std::mem::take(&mut self.links)) {
            if id != first {
                self.entries[id.0 as usize].depends_on.push(first);
            }
        }
        for entry in &mut self.entries {
            entry.depends_on.sort_unstable();
            entry.depends_on.dedup();
        }
    }
}
