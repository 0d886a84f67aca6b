//! Transactions that were prepared and forgotten.

use crate::error::Result;
use crate::pg::quote_literal;
use crate::toc::Finding;
use crate::wire::Session;

use super::gathered::named;
use super::sides::Sides;

/// Names the prepared transactions of either database.
pub(super) async fn findings(sides: &Sides<'_>) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    found.extend(judge(
        "source database",
        &read(&sides.source, sides.pair.source.database()).await?,
        "their changes are in no snapshot, so they are not moved, and a table they have locked \
         can hold the job up",
    ));
    found.extend(judge(
        "target database",
        &read(sides.target(), sides.target_name()).await?,
        "their locks can hold the job up, and they keep dead rows from being vacuumed",
    ));
    Ok(found)
}

fn judge(object: &str, prepared: &[String], why: &str) -> Option<Finding> {
    let first = prepared.first()?;
    let what = format!(
        "{} prepared transactions wait to be committed: {}; {why}",
        prepared.len(),
        named(prepared)
    );
    let gid = quote_literal(first);
    let remedy = format!("for each: COMMIT PREPARED {gid}; or ROLLBACK PREPARED {gid};");
    Some(Finding::change(object, what).mend(remedy))
}

async fn read(session: &Session, database: &str) -> Result<Vec<String>> {
    let sql = "SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE database = $1 ORDER BY prepared";
    let rows = session.query("looking for prepared transactions", sql, &[&database]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
