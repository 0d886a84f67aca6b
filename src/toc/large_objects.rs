//! Large objects as rows: each travels in pieces, so that nobody ever holds one whole, and the
//! ways of tables' rows (chunks, receipts, fingerprints) are theirs as well.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::pg::{quote_ident, quote_literal};

use super::clauses::rewritten;
use super::sql::Token;

/// What a piece holds at most: 32 pages of pg_largeobject.
const PIECE_BYTES: u32 = 64 << 10;

/// The view of the ledger's, by schema and name, whose rows are the pieces.
pub(crate) const LARGE_OBJECTS_VIEW: (&str, &str) = ("pgconvoy", "large objects");

/// The words by which statements about a group name its large objects: no large object has this
/// OID.
pub(crate) const ANY_LARGE_OBJECT: &str = "LARGE OBJECT 0";

/// The key of the group that the row `m` of pg_largeobject_metadata belongs to, as an expression.
pub(crate) const GROUP_KEY: &str = "pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(m.lomowner)) \
     || coalesce(' ' || m.lomacl::text, '')";

/// Large objects of one owner and with the same grants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LargeObjectGroup {
    /// What the source calls it: its owner and privileges.
    pub key: String,
    /// Whom they are given to; none where they stay the target user's.
    pub owner: Option<String>,
    /// The grants, on `LARGE OBJECT 0`, which stands for each of them.
    pub grants: String,
}

/// What there is of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LargeObjectSum {
    /// How many.
    pub count: u64,
    /// The wrapping sum of a hash of each one's OID and comment.
    pub digest: u64,
}

impl LargeObjectSum {
    /// One large object's, as servers compute it: SHA-256 is the same everywhere.
    pub(crate) fn of(oid: u32, comment: Option<&str>) -> LargeObjectSum {
        let mut text = oid.to_string();
        if let Some(comment) = comment {
            text.push(' ');
            text.push_str(comment);
        }
        // The first 15 of its digits in base 16.
        let digest = Sha256::digest(text.as_bytes());
        let first = digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte)) >> 4;
        LargeObjectSum { count: 1, digest: first }
    }
}

impl std::ops::AddAssign for LargeObjectSum {
    fn add_assign(&mut self, more: Self) {
        self.count += more.count;
        self.digest = self.digest.wrapping_add(more.digest);
    }
}

/// A large object's OID, the key of its group, and its comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LargeObject {
    /// Its OID.
    pub(crate) oid: u32,
    /// [`GROUP_KEY`] of it.
    pub(crate) key: String,
    /// Its comment.
    pub(crate) comment: Option<String>,
}

/// The query whose rows are the pieces of all large objects: `oid`, `at`, `piece`. Even an empty
/// one has a piece.
///
/// A large object's size takes opening it, as nobody but a superuser may read pg_largeobject. That
/// is done within one subquery of the OID alone: one that depended on the descriptor, which is
/// given out again and again, would be answered from a Memoize node's cache.
pub(crate) fn pieces_sql() -> String {
    pieces(&format!("m.oid, p.at, pg_catalog.lo_get(m.oid, p.at, {PIECE_BYTES}) AS piece"))
}

/// The same without what the pieces hold, for counting them.
pub(crate) fn places_sql() -> String {
    pieces("m.oid, p.at")
}

fn pieces(columns: &str) -> String {
    // 262144 is INV_READ, 2 is SEEK_END (source: libpq/libpq-fs.h).
    format!(
        "SELECT {columns} FROM pg_catalog.pg_largeobject_metadata m \
         CROSS JOIN LATERAL (SELECT b.size, pg_catalog.lo_close(b.fd) AS closed \
         FROM (SELECT a.fd, pg_catalog.lo_lseek64(a.fd, 0, 2) AS size \
         FROM (SELECT pg_catalog.lo_open(m.oid, 262144) AS fd OFFSET 0) a OFFSET 0) b OFFSET 0) s \
         CROSS JOIN LATERAL pg_catalog.generate_series(\
         0::pg_catalog.int8, greatest(s.size - 1, 0), {PIECE_BYTES}) p(at)"
    )
}

/// The large objects whose OIDs meet `condition` on a column `oid`: OID, key, comment.
pub(crate) fn objects_sql(condition: Option<&str>) -> String {
    format!(
        "SELECT oid, key, comment FROM (SELECT m.oid, {GROUP_KEY} AS key, \
         d.description AS comment FROM pg_catalog.pg_largeobject_metadata m \
         LEFT JOIN pg_catalog.pg_description d ON d.objoid = m.oid AND d.objsubid = 0 \
         AND d.classoid = 'pg_catalog.pg_largeobject'::pg_catalog.regclass) m \
         WHERE {} ORDER BY oid",
        condition.unwrap_or("true")
    )
}

/// Removes the large objects whose OIDs meet `condition`.
pub(crate) fn unlink_sql(condition: Option<&str>) -> String {
    format!(
        "SELECT pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata WHERE {};\n",
        condition.unwrap_or("true")
    )
}

/// The statements that give `objects` their owners, comments and grants; or the object whose group
/// isn't among `groups`.
pub(crate) fn settling<'o>(
    groups: &[LargeObjectGroup],
    objects: &'o [LargeObject],
) -> Result<Vec<String>, &'o LargeObject> {
    let mut of_group: Vec<Vec<u32>> = vec![Vec::new(); groups.len()];
    let mut statements = Vec::new();
    for object in objects {
        let index = groups.iter().position(|group| group.key == object.key).ok_or(object)?;
        let oid = object.oid;
        of_group[index].push(oid);
        if let Some(owner) = &groups[index].owner {
            statements.push(format!("ALTER LARGE OBJECT {oid} OWNER TO {}", quote_ident(owner)));
        }
        if let Some(comment) = &object.comment {
            let comment = quote_literal(comment);
            statements.push(format!("COMMENT ON LARGE OBJECT {oid} IS {comment}"));
        }
    }
    for (group, oids) in groups.iter().zip(of_group) {
        if !group.grants.is_empty() && !oids.is_empty() {
            statements.push(about(&group.grants, &oids));
        }
    }
    Ok(statements)
}

/// Statements on [`ANY_LARGE_OBJECT`] as statements on one large object.
pub(crate) fn about_large_object(sql: &str, oid: u32) -> String {
    about(sql, &[oid])
}

/// Statements on [`ANY_LARGE_OBJECT`] as statements on these: GRANT and REVOKE take a list.
fn about(sql: &str, oids: &[u32]) -> String {
    let list: Vec<String> = oids.iter().map(u32::to_string).collect();
    let list = list.join(", ");
    let mut named_next = false;
    rewritten(sql, |token| {
        let is_named = named_next && token == Token::Word("0");
        named_next = token.is_word("OBJECT");
        is_named.then(|| list.clone())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_from_a_new_large_object_takes_a_statement() {
        let group = |key: &str, owner: Option<&str>, grants: &str| LargeObjectGroup {
            key: key.to_owned(),
            owner: owner.map(str::to_owned),
            grants: grants.to_owned(),
        };
        let grants = "GRANT SELECT ON LARGE OBJECT 0 TO \"LARGE OBJECT 0\";\n";
        let groups = [group("me", None, ""), group("app {x}", Some("app"), grants)];
        let object = |oid, key: &str, comment: Option<&str>| LargeObject {
            oid,
            key: key.to_owned(),
            comment: comment.map(str::to_owned),
        };
        let objects = [
            object(1, "me", None),
            object(2, "app {x}", None),
            object(3, "me", Some("it's")),
            object(4, "app {x}", None),
        ];
        assert_eq!(
            settling(&groups, &objects).unwrap(),
            [
                "ALTER LARGE OBJECT 2 OWNER TO \"app\"",
                "COMMENT ON LARGE OBJECT 3 IS 'it''s'",
                "ALTER LARGE OBJECT 4 OWNER TO \"app\"",
                "GRANT SELECT ON LARGE OBJECT 2, 4 TO \"LARGE OBJECT 0\";\n",
            ]
        );
        assert_eq!(settling(&groups, &[object(9, "new", None)]).unwrap_err().oid, 9);
    }
}
