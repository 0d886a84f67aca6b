//! Fragments of the queries that the object families share, and of reading their rows.

use tokio_postgres::Row;

use crate::pg::QualifiedName;

/// The kinds of relation that have an entry: of tables, views and sequences, not indexes, composite
/// types or TOAST tables (`relkind` in pg_class).
pub(super) const RELATION_KINDS: &str = "('r', 'p', 'v', 'm', 'S', 'f')";

/// The qualified name in a row that has its schema in the column `nspname`.
pub(super) fn qualified(row: &Row, name: &str) -> QualifiedName {
    QualifiedName::new(row.get::<_, String>("nspname"), row.get::<_, String>(name))
}

/// The condition that the object `oid` of `catalog` is nobody's part: neither an extension's
/// member nor brought along by another object, as a range's constructor functions are
/// (documentation: chapter "pg_depend", deptype).
pub(super) fn stands_alone(catalog: &str, oid: &str) -> String {
    format!(
        "not exists (select from pg_catalog.pg_depend part \
         where part.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass \
         and part.objid = {oid} and part.objsubid = 0 and part.deptype in ('e', 'i'))"
    )
}

/// The expression for a qualified name, both parts quoted.
pub(super) fn quoted(schema: &str, name: &str) -> String {
    format!("({} || '.' || {})", quoted_part(schema), quoted_part(name))
}

/// The expression for a name without a schema, quoted.
pub(super) fn quoted_part(name: &str) -> String {
    format!("'\"' || replace({name}::text, '\"', '\"\"') || '\"'")
}

/// The expression for the qualified name of the function `oid`, null where there is none. Unlike
/// regproc's text it doesn't depend on which other functions a version has.
pub(super) fn function_name(oid: &str) -> String {
    format!(
        "(select {} from pg_catalog.pg_proc fp \
         join pg_catalog.pg_namespace fn on fn.oid = fp.pronamespace where fp.oid = {oid})",
        quoted("fn.nspname", "fp.proname")
    )
}

/// The expression for the operator `oid` as SQL names it without its arguments, null where there
/// is none: `OPERATOR("s".===)`.
pub(super) fn operator_name(oid: &str) -> String {
    format!(
        "(select 'OPERATOR(\"' || replace(fn.nspname::text, '\"', '\"\"') || '\".' \
         || fo.oprname::text || ')' from pg_catalog.pg_operator fo \
         join pg_catalog.pg_namespace fn on fn.oid = fo.oprnamespace where fo.oid = {oid})"
    )
}

/// The expression for the names, in order, of the extensions that the object `oid` of `catalog`
/// is to be dropped with (`DEPENDS ON EXTENSION`).
pub(super) fn leaned_on(catalog: &str, oid: &str) -> String {
    format!(
        "array(select e.extname::text from pg_catalog.pg_depend lean \
         join pg_catalog.pg_extension e on e.oid = lean.refobjid \
         where lean.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass \
         and lean.objid = {oid} and lean.deptype = 'x' \
         and lean.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass \
         order by e.extname)"
    )
}
