//! How much room the target needs: how much it has, only its administrator sees.

use crate::error::Result;
use crate::toc::Finding;

use super::sides::Sides;

/// Tells the source database's size.
pub(super) async fn findings(sides: &Sides<'_>) -> Result<Vec<Finding>> {
    let sql = "SELECT pg_catalog.pg_size_pretty(size), \
               pg_catalog.pg_size_pretty(size + size / 2) \
               FROM pg_catalog.pg_database_size(pg_catalog.current_database()) size";
    let row = sides.source.query_one("measuring the source database", sql, &[]).await?;
    let (size, room): (String, String) = (row.get(0), row.get(1));
    let what = format!(
        "the source database takes {size}; with WAL and the sorting of indexes, {room} should be \
         free on the target, which SQL doesn't tell"
    );
    let remedy = "look at the target's free disk (on RDS: FreeStorageSpace, storage autoscaling)";
    Ok(vec![Finding::note("disk", what).mend(remedy)])
}
