//! The kinds of entry, under pg_dump's names, and the section and place each belongs to.

use std::fmt;

use serde::{Deserialize, Serialize};

/// When an entry is restored, relative to the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Section {
    /// Definitions that the data needs.
    PreData,
    /// Rows and sequence values.
    Data,
    /// Definitions that are cheaper, or only right, once the data is there.
    PostData,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $tag:literal in $section:ident,)*) => {
        /// What an entry creates. The order of the variants is pg_dump's order of restoring
        /// (source: pg_dump_sort.c, dbObjectTypePriority), and breaks ties when sorting.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Kind { $($(#[$doc])* $name,)* }

        impl Kind {
            /// pg_dump's name of the kind: an archive's `desc`.
            pub fn tag(self) -> &'static str {
                match self { $(Kind::$name => $tag,)* }
            }

            /// The kind that pg_dump calls so.
            pub fn of_tag(tag: &str) -> Option<Kind> {
                match tag { $($tag => Some(Kind::$name),)* _ => None }
            }

            /// The section the kind belongs to.
            pub fn section(self) -> Section {
                match self { $(Kind::$name => Section::$section,)* }
            }
        }
    };
}

kinds! {
    /// A role the database's objects name; cluster-wide.
    Role = "ROLE" in PreData,
    /// A role's membership in another; cluster-wide.
    RoleMembership = "ROLE MEMBERSHIP" in PreData,
    /// Settings and properties of the database itself (`ALTER DATABASE … SET`, connection limit).
    DatabaseProperties = "DATABASE PROPERTIES" in PreData,
    /// A schema.
    Schema = "SCHEMA" in PreData,
    /// A procedural language.
    Language = "PROCEDURAL LANGUAGE" in PreData,
    /// A collation.
    Collation = "COLLATION" in PreData,
    /// How a type travels between SQL and a procedural language.
    Transform = "TRANSFORM" in PreData,
    /// An extension.
    Extension = "EXTENSION" in PreData,
    /// A base type's name, for the functions that the type is then made of.
    ShellType = "SHELL TYPE" in PreData,
    /// An enum, composite, range or base type.
    Type = "TYPE" in PreData,
    /// A domain.
    Domain = "DOMAIN" in PreData,
    /// A conversion between types.
    Cast = "CAST" in PreData,
    /// A function.
    Function = "FUNCTION" in PreData,
    /// A procedure.
    Procedure = "PROCEDURE" in PreData,
    /// An aggregate.
    Aggregate = "AGGREGATE" in PreData,
    /// A table or index access method.
    AccessMethod = "ACCESS METHOD" in PreData,
    /// An operator.
    Operator = "OPERATOR" in PreData,
    /// An operator family.
    OperatorFamily = "OPERATOR FAMILY" in PreData,
    /// An operator class.
    OperatorClass = "OPERATOR CLASS" in PreData,
    /// A conversion between encodings.
    Conversion = "CONVERSION" in PreData,
    /// A text search parser.
    TsParser = "TEXT SEARCH PARSER" in PreData,
    /// A text search template.
    TsTemplate = "TEXT SEARCH TEMPLATE" in PreData,
    /// A text search dictionary.
    TsDictionary = "TEXT SEARCH DICTIONARY" in PreData,
    /// A text search configuration.
    TsConfiguration = "TEXT SEARCH CONFIGURATION" in PreData,
    /// A foreign data wrapper.
    ForeignDataWrapper = "FOREIGN DATA WRAPPER" in PreData,
    /// A foreign server.
    ForeignServer = "SERVER" in PreData,
    /// A role's identity on a foreign server.
    UserMapping = "USER MAPPING" in PreData,
    /// A sequence.
    Sequence = "SEQUENCE" in PreData,
    /// A table: plain, partitioned, partition or child.
    Table = "TABLE" in PreData,
    /// A table whose rows another server holds.
    ForeignTable = "FOREIGN TABLE" in PreData,
    /// A view.
    View = "VIEW" in PreData,
    /// A materialized view, without its rows.
    MaterializedView = "MATERIALIZED VIEW" in PreData,
    /// A partition's attachment to its parent.
    TableAttach = "TABLE ATTACH" in PreData,
    /// A sequence's owning column.
    SequenceOwnedBy = "SEQUENCE OWNED BY" in PreData,
    /// A column's default, kept apart from its table.
    Default = "DEFAULT" in PreData,
    /// A column's values being kept plain, apart from its table: pg_dump has it in the table.
    ColumnStorage = "COLUMN STORAGE" in PreData,
    /// Large objects of one owner and with the same grants, without their contents. The grants
    /// are on `LARGE OBJECT 0`, which stands for each.
    LargeObjects = "BLOB METADATA" in Data,
    /// A table's rows.
    TableData = "TABLE DATA" in Data,
    /// A sequence's value.
    SequenceSet = "SEQUENCE SET" in Data,
    /// The contents of large objects.
    LargeObjectData = "BLOBS" in Data,
    /// A primary key, unique or exclusion constraint.
    Constraint = "CONSTRAINT" in PostData,
    /// A check constraint, kept apart from its table.
    CheckConstraint = "CHECK CONSTRAINT" in PostData,
    /// An index.
    Index = "INDEX" in PostData,
    /// A partition index's attachment to the parent's.
    IndexAttach = "INDEX ATTACH" in PostData,
    /// Extended statistics.
    Statistics = "STATISTICS" in PostData,
    /// What checks a foreign data wrapper's options, apart from the wrapper: pg_dump has it in that.
    WrapperValidator = "FOREIGN DATA WRAPPER VALIDATOR" in PostData,
    /// A rewrite rule.
    Rule = "RULE" in PostData,
    /// A trigger.
    Trigger = "TRIGGER" in PostData,
    /// A foreign key.
    FkConstraint = "FK CONSTRAINT" in PostData,
    /// A row-security policy.
    Policy = "POLICY" in PostData,
    /// Row security switched on for a table.
    RowSecurity = "ROW SECURITY" in PostData,
    /// A publication.
    Publication = "PUBLICATION" in PostData,
    /// A table of a publication.
    PublicationTable = "PUBLICATION TABLE" in PostData,
    /// A schema of a publication.
    PublicationSchema = "PUBLICATION TABLES IN SCHEMA" in PostData,
    /// A subscription.
    Subscription = "SUBSCRIPTION" in PostData,
    /// A comment on anything; it goes with its object.
    Comment = "COMMENT" in PostData,
    /// A security label on anything.
    SecurityLabel = "SECURITY LABEL" in PostData,
    /// Grants on one object.
    Acl = "ACL" in PostData,
    /// Default privileges.
    DefaultAcl = "DEFAULT ACL" in PostData,
    /// An event trigger: it fires on definitions, so it comes when all of them are made.
    EventTrigger = "EVENT TRIGGER" in PostData,
    /// A materialized view's rows: its refresh.
    MaterializedViewData = "MATERIALIZED VIEW DATA" in PostData,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tag())
    }
}
