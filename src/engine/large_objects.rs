//! Large objects on the target: how pieces become them, and what else each of them has.

use crate::error::{Error, Result};
use crate::toc::{self, ChunkRange, LargeObject, LargeObjectGroup, pieces_sql};
use crate::wire::RawConnection;

/// What a ledger has where large objects move: a view of the pieces of all there are, which takes
/// more of them. A first piece makes a large object, the others are put where they belong.
pub(super) fn view_sql() -> String {
    format!(
        "CREATE VIEW pgconvoy.\"large objects\" AS {};
CREATE FUNCTION pgconvoy.put_piece() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.at = 0 THEN
        PERFORM pg_catalog.lo_from_bytea(NEW.oid, NEW.piece);
    ELSE
        PERFORM pg_catalog.lo_put(NEW.oid, NEW.at, NEW.piece);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER put_piece INSTEAD OF INSERT ON pgconvoy.\"large objects\"
    FOR EACH ROW EXECUTE FUNCTION pgconvoy.put_piece();
",
        pieces_sql()
    )
}

/// The large objects of a range as the snapshot of `source` has them, without their contents.
pub(super) async fn read(
    source: &mut RawConnection,
    range: &ChunkRange,
) -> Result<Vec<LargeObject>> {
    let doing = "reading large objects' owners and grants";
    let rows = source.query(doing, &toc::objects_sql(range.condition().as_deref())).await?;
    let objects: Option<Vec<LargeObject>> = rows.into_iter().map(object).collect();
    objects.ok_or_else(|| Error::step(doing).because("a value is missing"))
}

/// The statements that give large objects their owners, comments and grants.
pub(super) fn settling(
    groups: &[LargeObjectGroup],
    objects: &[LargeObject],
) -> Result<Vec<String>> {
    toc::settling(groups, objects).map_err(|unknown| {
        Error::step("reading large objects' owners and grants").because(format!(
            "large object {} has got another owner or other grants since the job was planned",
            unknown.oid
        ))
    })
}

/// A checksum of what large objects are but for their contents: their receipt's CRC-32.
pub(super) fn crc32(objects: &[LargeObject]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for LargeObject { oid, key, comment } in objects {
        let comment = comment.as_deref().unwrap_or_default();
        hasher.update(format!("{oid}\0{key}\0{comment}\0").as_bytes());
    }
    hasher.finalize()
}

fn object(row: Vec<Option<String>>) -> Option<LargeObject> {
    let [oid, key, comment] = <[Option<String>; 3]>::try_from(row).ok()?;
    Some(LargeObject { oid: oid?.parse().ok()?, key: key?, comment })
}
