//! Large objects: their owners and grants by group, their contents as rows in pieces.
//!
//! There may be millions, and nothing here is held for each of them but a bound for some hundreds.

use crate::error::{Error, Result};
use crate::pg::{QualifiedName, RowFormat};
use crate::toc::{
    ANY_LARGE_OBJECT, Entry, GROUP_KEY, KeyColumn, Kind, LARGE_OBJECTS_VIEW, LargeObjectSum,
    RowsOf, TableData, TableSize,
};
use crate::wire::Session;

use super::builder::Builder;
use super::grants::{self, Grantable, Target};

const READING: &str = "reading large objects";

/// So many are copied in a transaction at most. Setting an owner or a comment takes a lock for
/// each, and max_locks_per_transaction is 64 for each connection unless changed.
const CHUNK_OBJECTS: i64 = 250;
/// And so many bytes, if all were of the same size.
const CHUNK_BYTES: i64 = 32 << 20;

/// Adds an entry for each owner and set of grants, and one for the contents of all.
pub(super) async fn read(session: &Session, out: &mut Builder) -> Result<()> {
    let bounds = bounds(session).await?;
    if bounds.is_empty() {
        return Ok(());
    }
    for row in session.query(READING, &groups_sql(), &[]).await? {
        let (key, owner): (&str, &str) = (row.get(0), row.get(1));
        let target = Target {
            kind: Grantable::LargeObject,
            object: ANY_LARGE_OBJECT.to_owned(),
            column: None,
            owner,
            prefix: String::new(),
        };
        let (base, acl): (Vec<String>, Vec<String>) = (row.get(2), row.get(3));
        let Some(create) = grants::statements(&target, &base, &acl) else {
            out.unsupported(format!("large objects of {key}"), "their privileges can't be read");
            continue;
        };
        let sum: i128 = row.get::<_, &str>(5).parse().map_err(unreadable)?;
        let count: i64 = row.get(4);
        // What remains of a sum modulo 2^64 can be added on.
        let sum = LargeObjectSum { count: count.cast_unsigned(), digest: sum as u64 };
        out.add_part(Entry {
            owner: Some(owner.to_owned()),
            create,
            large_objects: Some(sum),
            ..Entry::new(Kind::LargeObjects, None, key)
        });
    }
    let size = "SELECT pg_catalog.pg_relation_size('pg_catalog.pg_largeobject')";
    let bytes: i64 = session.query_one(READING, size, &[]).await?.get(0);
    out.add_part(Entry {
        table: Some(Box::new(contents(bounds, bytes.cast_unsigned()))),
        ..Entry::new(Kind::LargeObjectData, None, "LARGE OBJECTS")
    });
    Ok(())
}

fn unreadable(error: std::num::ParseIntError) -> Error {
    Error::step(READING).because(error.to_string())
}

/// The contents of all, as rows of the view that the ledger has for them.
fn contents(key_bounds: Vec<String>, bytes: u64) -> TableData {
    let key = |name: &str, type_name: &str| KeyColumn {
        name: name.to_owned(),
        type_name: type_name.to_owned(),
    };
    TableData {
        relation: QualifiedName::new(LARGE_OBJECTS_VIEW.0, LARGE_OBJECTS_VIEW.1),
        rows_of: RowsOf::LargeObjects { groups: Vec::new() },
        columns: ["oid", "at", "piece"].map(str::to_owned).to_vec(),
        format: RowFormat::Binary,
        text_because: None,
        size: TableSize { pages: 0, bytes },
        key: vec![key("oid", "oid"), key("at", "bigint")],
        unlogged: false,
        heap: false,
        key_bounds,
        condition: None,
        filter: None,
        of_extension: false,
        in_foreign_keys: false,
        stands: false,
        archived: None,
    }
}

/// The first OID of each chunk, in order; none where there are no large objects.
async fn bounds(session: &Session) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT o.oid::text FROM \
         (SELECT m.oid, pg_catalog.row_number() OVER (ORDER BY m.oid) - 1 AS place, \
         pg_catalog.count(*) OVER () AS count FROM pg_catalog.pg_largeobject_metadata m) o \
         CROSS JOIN (SELECT pg_catalog.pg_relation_size('pg_catalog.pg_largeobject') AS bytes) s \
         WHERE o.place % least({CHUNK_OBJECTS}, \
         greatest(1, {CHUNK_BYTES} / greatest(1, s.bytes / o.count))) = 0 ORDER BY o.oid"
    );
    let rows = session.query(READING, &sql, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The digest is made of SHA-256, which every server computes alike.
fn groups_sql() -> String {
    format!(
        "SELECT {GROUP_KEY} AS key, pg_catalog.pg_get_userbyid(m.lomowner)::text, \
         pg_catalog.acldefault('L', m.lomowner)::text[], \
         coalesce(m.lomacl, pg_catalog.acldefault('L', m.lomowner))::text[], \
         pg_catalog.count(*), pg_catalog.sum(('x' || pg_catalog.left(pg_catalog.encode(\
         pg_catalog.sha256(pg_catalog.convert_to(\
         m.oid::text || coalesce(' ' || d.description, ''), 'UTF8')), 'hex'), 15)) \
         ::pg_catalog.bit(60)::pg_catalog.int8)::text \
         FROM pg_catalog.pg_largeobject_metadata m \
         LEFT JOIN pg_catalog.pg_description d ON d.objoid = m.oid AND d.objsubid = 0 \
         AND d.classoid = 'pg_catalog.pg_largeobject'::pg_catalog.regclass \
         GROUP BY m.lomowner, m.lomacl ORDER BY key"
    )
}
