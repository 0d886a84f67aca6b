//! What the server renders, it may fail to render: `pg_get_*` answer NULL for an object that was
//! dropped after the snapshot was taken, as they read the catalog of now, and for a row that is
//! damaged; `format_type` calls such a type `???` (source: utils/adt/format_type.c). Either is told by the object's name; nothing goes on without its definition.

use tokio_postgres::Row;

use crate::error::{Error, Kind, Result};

use super::Unsupported;
use super::builder::Builder;

/// A column that holds what the server renders of `object`; an error where it holds NULL.
pub(super) fn rendered<'a>(
    row: &'a Row,
    column: &str,
    object: impl FnOnce() -> String,
) -> Result<&'a str> {
    let text: Option<&str> = row.get(column);
    text.filter(|text| is_known(text)).ok_or_else(|| unrendered(&object()))
}

/// The same of what an object has only where the column `whether` says so.
pub(super) fn rendered_if(
    row: &Row,
    whether: bool,
    column: &str,
    object: impl FnOnce() -> String,
) -> Result<Option<String>> {
    whether.then(|| rendered(row, column, object).map(str::to_owned)).transpose()
}

/// A column that holds a list of such; an error where one of them is NULL.
pub(super) fn rendered_all(
    row: &Row,
    column: &str,
    object: impl FnOnce() -> String,
) -> Result<Vec<String>> {
    let all: Vec<Option<String>> = row.get(column);
    let known = all.into_iter().map(|text| text.filter(|text| is_known(text)));
    known.collect::<Option<_>>().ok_or_else(|| unrendered(&object()))
}

/// A type that is really called so is quoted.
fn is_known(text: &str) -> bool {
    !matches!(text, "???" | "???[]")
}

fn unrendered(object: &str) -> Error {
    Error::new(Kind::Refused, format!("reading the definition of {object}"))
        .because(
            "the server gave none: it was dropped or changed while it was read, \
             or its row in the catalog is damaged",
        )
        .hint(
            "run the same command again while no definitions are changed; \
             if it stays, repair or drop the object on the source",
        )
}

/// Reports entries whose owner is no role any more: `pg_get_userbyid` makes up a name for it
/// (source: utils/adt/acl.c and misc.c).
pub(super) fn report_lost_owners(out: &mut Builder) {
    let lost = out.entries.iter().filter_map(|entry| {
        let owner = entry.owner.as_deref()?;
        let oid = owner.strip_prefix("unknown (OID=")?.strip_suffix(')')?;
        Some(Unsupported {
            object: entry.title(),
            why: format!("its owner, the role with OID {oid}, doesn't exist"),
        })
    });
    let lost: Vec<Unsupported> = lost.collect();
    out.unsupported.extend(lost);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toc::{Entry, Kind};

    #[test]
    fn an_object_of_nobodys_is_reported_by_name() {
        let mut out = Builder::default();
        for owner in ["app", "unknown (OID=16999)"] {
            out.add_part(Entry {
                owner: Some(owner.to_owned()),
                ..Entry::new(Kind::Table, Some("s"), owner)
            });
        }
        report_lost_owners(&mut out);
        assert_eq!(out.unsupported.len(), 1);
        assert_eq!(out.unsupported[0].object, "TABLE s.unknown (OID=16999)");
        assert!(out.unsupported[0].why.contains("16999"));
    }
}
