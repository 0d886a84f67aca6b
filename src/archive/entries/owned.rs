//! How objects come to belong to their owners.

use crate::pg::quote_ident;
use crate::toc::Kind;

use super::Item;

/// How an object of a kind comes to belong to its owner (source: pg_backup_archiver.c,
/// _getObjectDescription).
pub(super) enum Owned {
    /// ALTER … OWNER with its name.
    ByName,
    /// ALTER … OWNER with what its DROP names.
    ByDrop,
    /// Its statements are made as the owner.
    Grants,
    /// Not at all.
    No,
}

pub(super) fn owned(kind: Kind) -> Owned {
    match kind {
        Kind::Collation
        | Kind::Conversion
        | Kind::Domain
        | Kind::ForeignTable
        | Kind::MaterializedView
        | Kind::Sequence
        | Kind::Statistics
        | Kind::Table
        | Kind::TsDictionary
        | Kind::TsConfiguration
        | Kind::Type
        | Kind::View
        | Kind::Language
        | Kind::Schema
        | Kind::EventTrigger
        | Kind::ForeignDataWrapper
        | Kind::ForeignServer
        | Kind::Publication
        | Kind::Subscription => Owned::ByName,
        Kind::Aggregate
        | Kind::Function
        | Kind::Operator
        | Kind::OperatorClass
        | Kind::OperatorFamily
        | Kind::Procedure => Owned::ByDrop,
        Kind::Acl | Kind::DefaultAcl => Owned::Grants,
        _ => Owned::No,
    }
}

pub(super) fn drop_sql(kind: Kind, item: &Item) -> String {
    let name = quote_ident(&item.tag);
    match &item.schema {
        Some(schema) => format!("DROP {kind} {}.{name};\n", quote_ident(schema)),
        None => format!("DROP {kind} {name};\n"),
    }
}
