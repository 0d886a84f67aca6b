//! Entries, and the list of them.

use serde::{Deserialize, Serialize};

use super::kind::{Kind, Section};
use super::large_objects::LargeObjectSum;
use super::table::TableData;

/// An entry's place in its [`Toc`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EntryId(pub u32);

/// Since when, and why, an entry can't be created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// The first major version that refuses it.
    pub since: u32,
    /// What about it is refused.
    pub why: String,
    /// What would mend that, on the source.
    pub mend: String,
}

/// What becomes of an operator with a one-sided link to its commutator or negator, on a server that
/// links operators both ways.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OneSided {
    /// It names one that names another: it is refused.
    Taken,
    /// It is named by one that it doesn't name, and comes to name it: by this SQL.
    Back(String),
}

/// One thing to move.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// The schema it lives in, unquoted; none for what lives in no schema.
    pub schema: Option<String>,
    /// pg_dump's tag, unquoted: a table's name; "orders orders_pkey" for what belongs to a table;
    /// "f(integer)" for a function; "TABLE orders" for a comment or a grant.
    pub name: String,
    /// The owning role, unquoted; none where the kind has no owner of its own.
    pub owner: Option<String>,
    /// The SQL that creates it: statements, each ended by `;` and a newline. Empty for data.
    /// Never sets the owner: that is derived from `drop`, as pg_restore does.
    pub create: String,
    /// What follows on a target of 15 or later, which must be told what an older source does unasked.
    #[serde(default)]
    pub since_15: String,
    /// Where its section comes before rows: it comes after all of them all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub after_rows: bool,
    /// It is on the target already: nothing creates it, and others stand on it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stands: bool,
    /// The major version from which on no server creates it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired: Option<Retired>,
    /// For an operator, what its links come to where they are mutual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_sided: Option<OneSided>,
    /// The SQL that drops it: `DROP kind name;`. Empty where dropping its parent does it.
    pub drop: String,
    /// What must be restored first.
    pub depends_on: Vec<EntryId>,
    /// What is known of the rows, for [`Kind::TableData`] of a live source. It is much, and most
    /// entries have none.
    pub table: Option<Box<TableData>>,
    /// What there is of them, for [`Kind::LargeObjects`].
    #[serde(default)]
    pub large_objects: Option<LargeObjectSum>,
}

impl Entry {
    /// An entry of `kind` with nothing but its name; the fields are filled in by struct update.
    pub fn new(kind: Kind, schema: Option<&str>, name: impl Into<String>) -> Self {
        Entry {
            kind,
            schema: schema.map(str::to_owned),
            name: name.into(),
            owner: None,
            create: String::new(),
            since_15: String::new(),
            after_rows: false,
            stands: false,
            retired: None,
            one_sided: None,
            drop: String::new(),
            depends_on: Vec::new(),
            table: None,
            large_objects: None,
        }
    }

    /// What ends the SQL of a definition that the server doesn't show whole to whoever reads it.
    pub const UNSHOWN: &str = "-- options are not shown to this user\n";

    /// Whether the SQL says all of the definition.
    pub fn is_shown(&self) -> bool {
        !self.create.ends_with(Entry::UNSHOWN)
    }

    /// The section it is restored in.
    pub fn section(&self) -> Section {
        self.kind.section()
    }

    /// The entry as people name it: `TABLE public.orders`.
    pub fn title(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{} {}.{}", self.kind, schema, self.name),
            // Their tags begin with the kind already.
            None if matches!(self.kind, Kind::Transform | Kind::UserMapping) => self.name.clone(),
            None => format!("{} {}", self.kind, self.name),
        }
    }

    /// The statement that gives it to `owner`, or none where the kind has no owner
    /// (source: pg_backup_archiver.c, _getObjectDescription).
    pub fn owner_sql(&self, owner: &str) -> Option<String> {
        let object = self.drop.strip_prefix("DROP ")?.trim_end().strip_suffix(';')?;
        self.owner.as_ref()?;
        Some(format!("ALTER {object} OWNER TO {};\n", crate::pg::quote_ident(owner)))
    }
}

/// The table of contents: entries in restoring order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Toc {
    /// The entries. An entry's [`EntryId`] is its index here.
    pub entries: Vec<Entry>,
}

impl Toc {
    /// The entries with their ids, in order.
    pub fn iter(&self) -> impl Iterator<Item = (EntryId, &Entry)> {
        self.entries.iter().enumerate().map(|(i, entry)| (EntryId(i as u32), entry))
    }

    /// Lets go of what is known of rows: a plan has it.
    pub fn forget_rows(&mut self) {
        for entry in &mut self.entries {
            entry.table = None;
        }
    }

    /// The entry with this id.
    ///
    /// # Panics
    /// If the id is another Toc's.
    pub fn entry(&self, id: EntryId) -> &Entry {
        &self.entries[id.0 as usize]
    }
}
