//! Values that text can't carry: a bytea takes two digits for each of its bytes, and no value or row
//! that COPY renders may have more than 1 GB (source: lib/stringinfo.c, enlargeStringInfo).

use crate::error::{Error, Kind, Result};
use crate::pg::{quote_ident, quote_literal};
use crate::toc::TableData;
use crate::wire::Session;

/// Smaller tables hold no such row, however well it is compressed: LZ4 makes at most 255 bytes of
/// one, and pglz fewer.
const SMALLEST: u64 = 2 << 20;
/// What a row of bytea values may have, in bytes.
const LONGEST: u64 = (1 << 29) - 1024;

/// Refuses rows that are too long, by their tables.
pub(super) async fn refuse_too_long(session: &Session, tables: &[TableData]) -> Result<()> {
    let doing = "looking for values that text can't carry";
    let big = tables.iter().filter(|t| t.size.bytes >= SMALLEST && !t.holds_large_objects());
    let big: Vec<(String, &TableData)> = big.map(|t| (t.relation.sql(), t)).collect();
    if big.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = big.iter().map(|(name, _)| name.as_str()).collect();
    let sql = "SELECT n.name, a.attname::text FROM pg_catalog.unnest($1::pg_catalog.text[]) n(name) \
               JOIN pg_catalog.pg_attribute a ON a.attrelid = n.name::pg_catalog.regclass \
               JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
               WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' \
               AND 'pg_catalog.bytea'::pg_catalog.regtype IN (t.oid, t.typbasetype) \
               ORDER BY n.name, a.attnum";
    let rows = session.query(doing, sql, &[&names]).await?;
    let columns: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let mut found = Vec::new();
    for (name, table) in &big {
        let lengths: Vec<String> = columns
            .iter()
            .filter(|(of, _)| of == name)
            .map(|(_, column)| {
                let column = quote_ident(column);
                format!("coalesce(pg_catalog.octet_length({column}), 0)::pg_catalog.int8")
            })
            .collect();
        if lengths.is_empty() {
            continue;
        }
        let sql = format!(
            "SELECT {} WHERE EXISTS (SELECT FROM {} WHERE {} > {LONGEST})",
            quote_literal(&table.relation.to_string()),
            table.source_sql(),
            lengths.join(" + ")
        );
        let rows = session.query(doing, &sql, &[]).await?;
        found.extend(rows.iter().map(|row| row.get::<_, String>(0)));
    }
    match found.is_empty() {
        true => Ok(()),
        false => Err(Error::new(Kind::Refused, doing)
            .because(format!(
                "rows with more than 512 MB of bytea in: {}; archives hold rows as text",
                found.join(", ")
            ))
            .hint("leave these rows out by --where or -T, or move them by `pgconvoy migrate`")),
    }
}
