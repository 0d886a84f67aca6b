//! Text in a query's result that isn't valid UTF-8. A server converts what it sends, but takes its
//! own UTF-8 for valid, and converts nothing in SQL_ASCII.

use std::error::Error as _;
use std::str::Utf8Error;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::error::{Error, Kind, Result};

/// Columns of catalog queries that say which object a row is about.
const NAMES: [&str; 5] = ["word", "schema", "relation", "name", "arguments"];

/// The row, unless one of its texts can't be read: that is refused by the object's name.
pub(super) fn legible(doing: &str, row: Row) -> Result<Row> {
    let illegible = (0..row.len()).find(|at| !is_legible(&row, *at));
    let Some(at) = illegible else { return Ok(row) };
    let column = row.columns()[at].name();
    let about: Vec<&str> = (0..row.len()).filter_map(|at| name(&row, at)).collect();
    Err(Error::new(Kind::Refused, doing)
        .because(format!("the {column} of {} isn't valid text in UTF-8", about.join(" ")))
        .hint(
            "on its server, replace it by valid text: with the command that sets it (COMMENT ON, \
             CREATE OR REPLACE, …), or drop the object and make it anew; then run again",
        ))
}

fn is_legible(row: &Row, at: usize) -> bool {
    let read = match *row.columns()[at].type_() {
        Type::TEXT | Type::NAME | Type::VARCHAR => row.try_get::<_, Option<&str>>(at).map(drop),
        Type::TEXT_ARRAY | Type::NAME_ARRAY => {
            row.try_get::<_, Option<Vec<Option<&str>>>>(at).map(drop)
        }
        _ => return true,
    };
    !read.is_err_and(|error| error.source().is_some_and(|cause| cause.is::<Utf8Error>()))
}

fn name(row: &Row, at: usize) -> Option<&str> {
    let column = &row.columns()[at];
    let is_text = matches!(*column.type_(), Type::TEXT | Type::NAME | Type::VARCHAR);
    let names = NAMES.contains(&column.name()) || column.name().ends_with("name");
    row.try_get::<_, Option<&str>>(at).ok().flatten().filter(|_| is_text && names)
}
