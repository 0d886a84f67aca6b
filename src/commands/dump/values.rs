//! Values that text can't carry: a bytea takes two digits for each of its bytes, and no value or row
//! that COPY renders may have more than 1 GB (source: lib/stringinfo.c, enlargeStringInfo). A bytea
//! may lie within an array, a composite or a domain.

use std::collections::HashMap;

use crate::error::{Error, Kind, Result};
use crate::pg::{quote_ident, quote_literal};
use crate::toc::TableData;
use crate::wire::Session;

/// Smaller tables hold no such row, however well it is compressed, nor does a smaller value: LZ4
/// makes at most 255 bytes of one, and pglz fewer.
const SMALLEST: u64 = 2 << 20;
/// What a row of bytea values may have, in bytes.
const LONGEST: u64 = (1 << 29) - 1024;
/// What a bytea takes beyond its digits where it lies in another value, as if it were bytes of its
/// own: a comma, quotes, and backslashes that are doubled.
const AROUND: u64 = 5;
/// Types that are or hold a bytea.
const HOLDING: &str = "\
    WITH RECURSIVE holding(oid) AS ( \
        SELECT 'pg_catalog.bytea'::pg_catalog.regtype::pg_catalog.oid \
        UNION SELECT t.oid FROM holding h CROSS JOIN LATERAL ( \
            SELECT t.oid FROM pg_catalog.pg_type t WHERE t.typelem = h.oid AND t.typlen = -1 \
            UNION ALL SELECT t.oid FROM pg_catalog.pg_type t WHERE t.typbasetype = h.oid \
            UNION ALL SELECT c.reltype FROM pg_catalog.pg_attribute a \
            JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
            WHERE a.atttypid = h.oid AND a.attnum > 0 AND NOT a.attisdropped AND c.reltype <> 0) t)";

/// Refuses rows that are too long, by their tables.
pub(super) async fn refuse_too_long(session: &Session, tables: &[TableData]) -> Result<()> {
    let doing = "looking for values that text can't carry";
    let big = tables.iter().filter(|t| t.size.bytes >= SMALLEST && !t.holds_large_objects());
    let big: Vec<(String, &TableData)> = big.map(|t| (t.relation.sql(), t)).collect();
    if big.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = big.iter().map(|(name, _)| name.as_str()).collect();
    // A long value is kept out of line.
    let sql = format!(
        "{HOLDING} SELECT n.name, a.attname::pg_catalog.text, a.atttypid \
         FROM pg_catalog.unnest($1::pg_catalog.text[]) n(name) \
         JOIN pg_catalog.pg_class c ON c.oid = n.name::pg_catalog.regclass \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
         WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' \
         AND a.atttypid IN (SELECT oid FROM holding) AND (c.relkind = 'p' OR c.reltoastrelid <> 0 \
             AND pg_catalog.pg_relation_size(c.reltoastrelid) >= {SMALLEST}) \
         ORDER BY n.name, a.attnum"
    );
    let rows = session.query(doing, &sql, &[&names]).await?;
    if rows.is_empty() {
        return Ok(());
    }
    let types = Types::read(session, doing).await?;
    let mut lengths: HashMap<String, Vec<String>> = HashMap::new();
    for row in rows {
        let (table, column, type_oid): (String, &str, u32) = (row.get(0), row.get(1), row.get(2));
        lengths.entry(table).or_default().push(types.length_of_column(column, type_oid));
    }
    let mut found = Vec::new();
    for (name, table) in &big {
        let Some(lengths) = lengths.get(name) else { continue };
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

/// How a type holds a bytea.
enum Holds {
    Itself,
    /// As that type does, which it constrains.
    As(u32),
    /// In elements of that type.
    InElements(u32),
    /// In these fields, by name and type.
    InFields(Vec<(String, u32)>),
}

/// The types that hold a bytea.
struct Types(HashMap<u32, Holds>);

impl Types {
    async fn read(session: &Session, doing: &str) -> Result<Types> {
        let sql = format!(
            "{HOLDING} SELECT t.oid, t.typbasetype, \
                 CASE WHEN t.typlen = -1 THEN t.typelem ELSE 0::pg_catalog.oid END, \
                 ARRAY(SELECT a.attname::pg_catalog.text FROM pg_catalog.pg_attribute a \
                       WHERE {IS_FIELD} ORDER BY a.attnum), \
                 ARRAY(SELECT a.atttypid FROM pg_catalog.pg_attribute a \
                       WHERE {IS_FIELD} ORDER BY a.attnum) \
             FROM holding h JOIN pg_catalog.pg_type t ON t.oid = h.oid"
        );
        let rows = session.query(doing, &sql, &[]).await?;
        let holds = |row: &tokio_postgres::Row| match (row.get::<_, u32>(1), row.get::<_, u32>(2)) {
            (0, 0) => {
                let (names, types): (Vec<String>, Vec<u32>) = (row.get(3), row.get(4));
                match names.is_empty() {
                    true => Holds::Itself,
                    false => Holds::InFields(names.into_iter().zip(types).collect()),
                }
            }
            (0, element) => Holds::InElements(element),
            (base, _) => Holds::As(base),
        };
        Ok(Types(rows.iter().map(|row| (row.get(0), holds(row))).collect()))
    }

    /// The bytes in a column, in SQL. Only what may be long is taken apart: that takes reading it.
    fn length_of_column(&self, column: &str, type_oid: u32) -> String {
        let column = quote_ident(column);
        match self.0.get(&type_oid) {
            Some(Holds::Itself) => bytes(&column),
            _ => format!(
                "CASE WHEN pg_catalog.pg_column_size({column}) < {SMALLEST} THEN 0 ELSE {} END",
                self.length(&column, type_oid)
            ),
        }
    }

    /// The bytes in a value, and around them.
    fn length(&self, value: &str, type_oid: u32) -> String {
        match self.0.get(&type_oid) {
            None => "0".to_owned(),
            Some(Holds::Itself) => format!("{} + {AROUND}", bytes(value)),
            Some(Holds::As(base)) => self.length(value, *base),
            Some(Holds::InElements(element)) => format!(
                "(SELECT coalesce(pg_catalog.sum({}), 0)::pg_catalog.int8 \
                 FROM (SELECT pg_catalog.unnest({value}) AS v) e)",
                self.length("e.v", *element)
            ),
            Some(Holds::InFields(fields)) => {
                let field = |(name, type_oid): &(String, u32)| {
                    self.length(&format!("({value}).{}", quote_ident(name)), *type_oid)
                };
                format!("({})", fields.iter().map(field).collect::<Vec<_>>().join(" + "))
            }
        }
    }
}

/// A composite's fields that hold a bytea.
const IS_FIELD: &str = "a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped \
                        AND a.atttypid IN (SELECT oid FROM holding)";

fn bytes(value: &str) -> String {
    format!("coalesce(pg_catalog.octet_length({value}), 0)::pg_catalog.int8")
}
