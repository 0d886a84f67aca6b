//! The kinds of object that no family reads yet: each such object is reported by name, so that
//! nothing is left out silently.

use crate::error::Result;
use crate::wire::Session;

use super::builder::Builder;
use super::scope::Scope;

/// Reports every object of a kind that isn't handled.
pub(super) async fn read(session: &Session, scope: &Scope, out: &mut Builder) -> Result<()> {
    let sql = query(scope);
    for row in session.query("looking for objects that are not handled", &sql, &[]).await? {
        let what: String = row.get("what");
        out.unsupported(row.get::<_, String>("object"), format!("{what} are not handled yet"));
    }
    Ok(())
}

fn query(scope: &Scope) -> String {
    let described = |catalog: &str| {
        format!(
            "pg_catalog.pg_describe_object('pg_catalog.{catalog}'::pg_catalog.regclass, o.oid, 0)"
        )
    };
    // An enum's hash is made from OIDs, which differ between clusters: the rows belong into other
    // partitions there (source: pg_dump.c, forcePartitionRootLoad).
    let hashed_enums = format!(
        "select 'partitions by the hash of an enum' as what, {} as object from pg_catalog.pg_class o \
         join pg_catalog.pg_namespace n on n.oid = o.relnamespace \
         join pg_catalog.pg_partitioned_table p on p.partrelid = o.oid and p.partstrat = 'h' \
         where exists (select from pg_catalog.pg_opclass c \
         where c.oid = any (p.partclass) and c.opcname = 'enum_ops') and {}",
        described("pg_class"),
        scope.schemas("n.nspname")
    );
    format!(
        "{hashed_enums} union all \
         select 'large objects', pg_catalog.count(*) || ' large objects' \
         from pg_catalog.pg_largeobject_metadata having pg_catalog.count(*) > 0 order by 1, 2"
    )
}
