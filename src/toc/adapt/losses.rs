//! What is left out because the target denies it, and what is left out with it because it needs
//! that: each is told with the whole chain. Definitions may be lost and reported; rows never: where
//! a table can't be created, the job is refused.

use std::collections::BTreeMap;

use crate::toc::clauses::{name_after, says};
use crate::toc::finding::Finding;
use crate::toc::target::TargetFacts;
use crate::toc::{Entry, EntryId, Kind, Toc};

use super::denied::{self, Denial};

/// The longest definition that is told whole.
const TOLD: usize = 600;

/// The entries left out so far.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// Why: by what it is denied, or the entry that it needs and that is left out.
    left: BTreeMap<EntryId, Reason>,
}

#[derive(Debug)]
enum Reason {
    Denied,
    Needs(EntryId),
}

impl Losses {
    /// Whether the entry `id` of `toc` is left out; `entry` is that entry under the target's roles.
    pub(super) fn take(
        &mut self,
        id: EntryId,
        entry: &Entry,
        toc: &Toc,
        target: &TargetFacts,
        findings: &mut Vec<Finding>,
    ) -> bool {
        if let Some(denial) = denied::denial(entry, toc, target) {
            findings.push(told(entry, &denial));
            if carries_others(entry.kind) {
                self.left.insert(id, Reason::Denied);
            }
            return true;
        }
        let needed = entry.depends_on.iter().find(|needed| {
            self.left.contains_key(needed) && !does_without(entry, toc.entry(**needed).kind)
        });
        let Some(needed) = needed.copied().or_else(|| self.server_of(entry, toc)) else {
            return false;
        };
        self.left.insert(id, Reason::Needs(needed));
        findings.extend(self.told_with_chain(entry, needed, toc));
        true
    }

    /// A user mapping's server that is left out: pg_dump's archives tell no dependency on it
    /// (source: pg_dump.c, dumpUserMappings).
    fn server_of(&self, entry: &Entry, toc: &Toc) -> Option<EntryId> {
        if entry.kind != Kind::UserMapping {
            return None;
        }
        let server = name_after(&entry.create, "SERVER")?;
        self.left.keys().copied().find(|id| {
            let lost = toc.entry(*id);
            lost.kind == Kind::ForeignServer && lost.name == server
        })
    }

    /// Whether the entry is left out.
    pub(super) fn has(&self, id: EntryId) -> bool {
        self.left.contains_key(&id)
    }

    fn told_with_chain(&self, entry: &Entry, needed: EntryId, toc: &Toc) -> Option<Finding> {
        let chain = self.chain(needed, toc);
        match entry.kind {
            Kind::TableData => {
                let what = format!("can't be copied: they need {chain}");
                let title = Entry { kind: Kind::Table, ..entry.clone() }.title();
                let lost = toc.entry(self.first(needed));
                let mend = match lost.retired.as_ref() {
                    Some(retired) => format!("on the source, {}", retired.mend),
                    None => "let an administrator of the target make what is missing through an \
                             extension, or leave the table behind with --exclude"
                        .to_owned(),
                };
                Some(Finding::refusal(format!("rows of {title}"), what).mend(mend))
            }
            kind if goes_silently(kind) => None,
            _ => {
                let what = format!("left out, as it needs {chain}");
                Some(
                    Finding::change(entry.title(), what)
                        .mend("create it on the target once what it needs is there, in this order"),
                )
            }
        }
    }

    /// The end of the chain: what the target denies.
    fn first(&self, from: EntryId) -> EntryId {
        let mut at = from;
        while let Some(Reason::Needs(next)) = self.left.get(&at) {
            at = *next;
        }
        at
    }

    /// `TABLE s.t, which needs TYPE s.b, which is left out`.
    fn chain(&self, from: EntryId, toc: &Toc) -> String {
        let mut told = toc.entry(from).title();
        let mut at = from;
        while let Some(Reason::Needs(next)) = self.left.get(&at) {
            told.push_str(&format!(", which needs {}", toc.entry(*next).title()));
            at = *next;
        }
        told + ", which is left out"
    }
}

fn told(entry: &Entry, denial: &Denial) -> Finding {
    let finding = Finding::change(entry.title(), format!("left out, as {}", denial.why));
    finding.mend(match &denial.mend {
        Some(mend) => mend.clone(),
        None if entry.create.len() <= TOLD => {
            format!("as an administrator of the target: {}", entry.create.trim_end())
        }
        None => "create it as an administrator of the target".to_owned(),
    })
}

/// Whether what depends on an entry of this kind really needs it.
fn carries_others(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::Comment | Kind::Acl | Kind::DefaultAcl | Kind::SecurityLabel | Kind::RoleMembership
    )
}

/// Whether an entry can be had without what it depends on: rows are the same in a heap.
fn does_without(entry: &Entry, needed: Kind) -> bool {
    match (entry.kind, needed) {
        (Kind::Table | Kind::MaterializedView, Kind::AccessMethod) => true,
        // It only comes after the one that names it.
        (Kind::Operator, Kind::Operator) => true,
        (Kind::Function | Kind::Procedure, Kind::Transform) => !says_transform(&entry.create),
        _ => false,
    }
}

/// Whether a routine's definition asks for transforms. The server notes a dependency on each that
/// there is for its language and one of its types, used or not (source: ProcedureCreate in
/// catalog/pg_proc.c).
fn says_transform(create: &str) -> bool {
    says(create, "TRANSFORM FOR TYPE")
}

/// Parts of an entry, which the finding about that covers.
fn goes_silently(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Comment
            | Kind::Acl
            | Kind::SecurityLabel
            | Kind::SequenceSet
            | Kind::SequenceOwnedBy
            | Kind::MaterializedViewData
            | Kind::IndexAttach
            | Kind::WrapperValidator
    )
}
