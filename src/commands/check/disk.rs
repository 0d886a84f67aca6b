//! How much room the target needs: how much it has, only its administrator sees.

use crate::error::Result;
use crate::toc::Finding;

use super::sides::Sides;

/// How big the source database is.
pub(super) struct Size {
    pub(super) bytes: i64,
    shown: String,
    /// Half as much again.
    with_room: String,
}

/// Measures the source database.
pub(super) async fn source_size(sides: &Sides<'_>) -> Result<Size> {
    let sql = "SELECT size, pg_catalog.pg_size_pretty(size), \
               pg_catalog.pg_size_pretty(size + size / 2) \
               FROM pg_catalog.pg_database_size(pg_catalog.current_database()) size";
    let row = sides.source.query_one("measuring the source database", sql, &[]).await?;
    Ok(Size { bytes: row.get(0), shown: row.get(1), with_room: row.get(2) })
}

/// Tells the source database's size.
pub(super) async fn findings(sides: &Sides<'_>) -> Result<Vec<Finding>> {
    let Size { shown: size, with_room: room, .. } = source_size(sides).await?;
    let what = format!(
        "the source database takes {size}; with WAL and the sorting of indexes, {room} should be \
         free on the target, which SQL doesn't tell"
    );
    let remedy = "look at the target's free disk (on RDS: FreeStorageSpace, storage autoscaling)";
    Ok(vec![Finding::note("disk", what).mend(remedy)])
}
