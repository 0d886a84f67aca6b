//! What users put into the system's own schemas. A target's are its own, so it doesn't move; what
//! would be lost with it is told (pg_dump loses it without a word: selectDumpableNamespace in
//! bin/pg_dump/pg_dump.c).

use crate::error::Result;
use crate::pg::Oid;
use crate::wire::Session;

use super::builder::Builder;
use super::fragments::stands_alone;

/// The catalogs looked through: relations that are more than a part of another, routines, types,
/// operators, collations.
const KINDS: [(&str, &str, &str); 5] = [
    ("pg_class", "relnamespace", "o.relkind in ('r', 'p', 'v', 'm', 'S', 'f')"),
    ("pg_proc", "pronamespace", "true"),
    ("pg_type", "typnamespace", "o.typelem = 0 and o.typrelid = 0"),
    ("pg_operator", "oprnamespace", "true"),
    ("pg_collation", "collnamespace", "true"),
];

/// Tells of each: tables, and what something else needs, stop the job.
pub(super) async fn tell(session: &Session, out: &mut Builder) -> Result<()> {
    let kinds: Vec<String> = KINDS.iter().map(|kind| kind_sql(*kind)).collect();
    let sql = format!(
        "select s.described, s.is_table or exists ( \
             select from pg_catalog.pg_depend d \
             where d.refclassid = s.classid and d.refobjid = s.oid and d.deptype = 'n') as needed \
         from ({}) s order by s.described",
        kinds.join(" union all ")
    );
    for row in &session.query("looking into the system's schemas", &sql, &[]).await? {
        let object: String = row.get("described");
        if row.get("needed") {
            let why = "it lies in a schema of the system's own, which doesn't move, and it holds \
                       rows or something needs it; ALTER … SET SCHEMA takes it to one that does";
            out.unsupported(object, why);
        } else {
            out.left_out(object, "it lies in a schema of the system's own");
        }
    }
    Ok(())
}

fn kind_sql((catalog, namespace, condition): (&str, &str, &str)) -> String {
    let is_table = match catalog {
        "pg_class" => "o.relkind in ('r', 'p', 'f', 'm')",
        _ => "false",
    };
    format!(
        "select o.tableoid as classid, o.oid, {is_table} as is_table, \
                pg_catalog.pg_describe_object(o.tableoid, o.oid, 0) as described \
         from pg_catalog.{catalog} o join pg_catalog.pg_namespace n on n.oid = o.{namespace} \
         where n.nspname in ('pg_catalog', 'information_schema') and n.oid < {first} \
         and o.oid >= {first} and {condition} and {}",
        stands_alone(catalog, "o.oid"),
        first = Oid::FIRST_NORMAL,
    )
}
