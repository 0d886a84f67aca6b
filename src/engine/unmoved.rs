//! Whether the rows just read were those of the snapshot. TRUNCATE, and an ALTER TABLE that rewrites
//! its table, are not MVCC-safe: to an older snapshot the table is empty from then on (documentation:
//! "Caveats" of Concurrency Control). So is another table that has taken its name. And ranges of
//! ctids mean other rows once VACUUM FULL or CLUSTER has moved them.
//!
//! Reading takes a lock that keeps all these away, so what is asked while it is held has an answer
//! that held while the rows were read: before any receipt is written.

use crate::error::{Error, Result};
use crate::pg::quote_literal;
use crate::toc::{RowsOf, Side, TableData};
use crate::wire::RawConnection;

/// What a reading transaction begins with, once its snapshot is set: locks taken after a savepoint
/// go when it is rolled back to, while the snapshot stays. There may be more tables than locks.
pub(super) const SAVEPOINT: &str = "SAVEPOINT unlocked";
const UNLOCK: &str = "ROLLBACK TO SAVEPOINT unlocked";

/// Locks `tables` before they are read on a server whose COPY lets its lock go when it ends: up to
/// 12 (source: commands/copy.c, DoCopy).
pub(super) async fn hold(
    connection: &mut RawConnection,
    side: Side,
    tables: &[&TableData],
) -> Result<()> {
    let tables = relations(tables);
    if connection.version().major() > 12 || tables.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = tables.iter().map(|table| table.source_sql()).collect();
    let sql = format!("LOCK TABLE {} IN ACCESS SHARE MODE", names.join(", "));
    connection.execute(&format!("locking tables that are read on {side}"), &sql).await
}

/// Refuses the rows of `tables`, just read on `connection`, if one isn't the snapshot's any more;
/// else lets their locks go. `side` is the server's name in an error.
pub(super) async fn settle(
    connection: &mut RawConnection,
    side: Side,
    tables: &[&TableData],
) -> Result<()> {
    let tables = relations(tables);
    if tables.is_empty() {
        return Ok(());
    }
    let doing = format!("asking whether the tables read on {side} stayed the same");
    let moved: Vec<String> = connection
        .query(&doing, &moved_sql(&tables))
        .await?
        .into_iter()
        .filter_map(|row| row.into_iter().next().flatten())
        .collect();
    if !moved.is_empty() {
        return Err(Error::step(format!("reading {} on {side}", moved.join(", ")))
            .because(
                "truncated, rewritten, altered, renamed or replaced since the snapshot was taken: \
                 its rows can't be seen any more",
            )
            .hint("let that finish, then run the same command again"));
    }
    connection.execute("letting go of the locks on tables read", UNLOCK).await
}

/// Those whose rows a relation holds: large objects are MVCC-safe.
fn relations<'a>(tables: &[&'a TableData]) -> Vec<&'a TableData> {
    tables.iter().filter(|table| !table.holds_large_objects()).copied().collect()
}

/// Queries see the catalog of the snapshot; pg_relation_filenode, to_regclass and
/// pg_identify_object_as_address see the present one (source: utils/adt/dbsize.c,
/// catalog/objectaddress.c: by system cache).
fn moved_sql(tables: &[&TableData]) -> String {
    let values: Vec<String> = tables
        .iter()
        .map(|table| {
            let name = &table.relation;
            format!(
                "({}, {}, {}, {}, {})",
                quote_literal(&name.schema),
                quote_literal(&name.name),
                quote_literal(&name.sql()),
                quote_literal(&name.to_string()),
                table.rows_of == RowsOf::Partitions
            )
        })
        .collect();
    format!(
        "WITH RECURSIVE read(schema, name, sql, title, through) AS (VALUES {}), \
         held AS (SELECT read.*, c.oid FROM read \
             LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = read.schema::pg_catalog.name \
             LEFT JOIN pg_catalog.pg_class c \
                    ON c.relnamespace = n.oid AND c.relname = read.name::pg_catalog.name), \
         part(title, oid, through) AS (SELECT title, oid, through FROM held \
             UNION ALL SELECT p.title, i.inhrelid, true FROM part p \
             JOIN pg_catalog.pg_inherits i ON i.inhparent = p.oid AND p.through) \
         SELECT title FROM held \
         WHERE pg_catalog.to_regclass(sql) IS DISTINCT FROM oid::pg_catalog.regclass \
         UNION SELECT p.title FROM part p LEFT JOIN pg_catalog.pg_class c ON c.oid = p.oid \
         WHERE c.oid IS NULL \
            OR c.oid NOT IN (SELECT l.relation FROM pg_catalog.pg_locks l \
                             WHERE l.pid = pg_catalog.pg_backend_pid() AND l.granted \
                               AND l.locktype = 'relation' AND l.relation IS NOT NULL) \
            OR (c.relkind <> 'p' \
                AND pg_catalog.pg_relation_filenode(c.oid::pg_catalog.regclass) \
                    IS DISTINCT FROM c.relfilenode) \
            OR EXISTS (SELECT FROM pg_catalog.pg_attribute a \
                       WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
                         AND (pg_catalog.pg_identify_object_as_address( \
                                  'pg_catalog.pg_class'::pg_catalog.regclass, c.oid, a.attnum) \
                             ).object_names[3] IS DISTINCT FROM a.attname::text) \
         ORDER BY 1",
        values.join(", ")
    )
}
