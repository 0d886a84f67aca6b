//! The entries that were chosen, of all that were read.

use crate::error::{Error, Result};
use crate::toc::closure::close;
use crate::toc::{Entry, Finding, Kind};
use crate::wire::Session;

use super::builder::Builder;
use super::choice::Matches;
use super::scope::Scope;

/// Leaves of the gathered entries those that are chosen or needed. Returns what there is to say of
/// that, and the search_path that names without a schema were matched under.
pub(super) async fn choose(
    session: &Session,
    scope: &Scope,
    out: &mut Builder,
) -> Result<(Vec<Finding>, Option<String>)> {
    let choice = &scope.choice;
    if choice.is_everything() {
        return Ok((Vec::new(), None));
    }
    let path = match &scope.search_path {
        Some(path) => path.clone(),
        None => default_path(session).await?,
    };
    let matches = Matches::read(session, scope, &path).await?;
    // Where the path is given, another reading has found what matches already.
    let idle = if scope.search_path.is_none() {
        matches.idle(choice, "on the source")?
    } else {
        Vec::new()
    };
    let choosing = matches.choosing(choice, &out.entries);
    let rowless = matches.filter_rows(choice, &mut out.entries);
    if !rowless.is_empty() && scope.search_path.is_none() {
        return Err(Error::usage("choosing rows")
            .because(format!("{} matches no table that holds rows", rowless.join(", ")))
            .hint("name a table, or a partitioned one for all its partitions"));
    }
    let closed = close(std::mem::take(&mut out.entries), &choosing);
    out.entries = closed.entries;
    out.unsupported.retain(|object| !is_about(&object.object, &closed.left));
    out.left_out.retain(|object| !is_about(&object.object, &closed.left));
    let note = |what: String| Finding::note("filters", what);
    let mut findings = closed.findings;
    findings.extend(choice.beside_the_point().map(note));
    findings.extend(idle.iter().map(|rule| note(format!("{rule} matches nothing on the source"))));
    Ok((findings, Some(path)))
}

/// What the server gives every new session of this user: pg_dump matches under it
/// (source: pg_dump.c, expand_table_name_patterns).
async fn default_path(session: &Session) -> Result<String> {
    let sql = "SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'search_path'";
    let row = session.query_one("reading the default search_path", sql, &[]).await?;
    Ok(row.get(0))
}

/// Whether `object`, as people name it, is one that stays behind, belongs to one, or lies in a
/// schema that does.
fn is_about(object: &str, left: &[Entry]) -> bool {
    left.iter().any(|entry| match (&entry.kind, &entry.schema) {
        (Kind::Schema, _) => object.contains(&format!(" {}.", entry.name)),
        (_, Some(schema)) => object.ends_with(&format!(" {schema}.{}", entry.name)),
        _ => false,
    })
}
