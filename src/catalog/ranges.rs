//! Range types (documentation: chapter "Range Types", SQL command CREATE TYPE).

use tokio_postgres::Row;

use crate::error::Result;
use crate::pg::{QualifiedName, class};
use crate::toc::{Entry, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::fragments::{function_name, quoted, quoted_part};
use super::rendered::rendered;
use super::scope::Scope;
use super::types::{self, Named, also_creates_type, listed};

/// Adds an entry for each of the user's ranges, which also creates its multirange and the
/// constructor functions of both.
pub(super) async fn read(session: &Session, scope: &Scope, out: &mut Builder) -> Result<()> {
    let major = session.version().major();
    // Multiranges, and with them their names, came with 14.
    let (multirange, joins) = if major >= 14 {
        (
            format!(
                ", {} as multirange, mt.oid as multirange_oid, mt.typarray as multirange_array",
                quoted("mn.nspname", "mt.typname")
            ),
            "join pg_catalog.pg_type mt on mt.oid = r.rngmultitypid \
             join pg_catalog.pg_namespace mn on mn.oid = mt.typnamespace",
        )
    } else {
        (
            ", null::text as multirange, 0::pg_catalog.oid as multirange_oid, \
             0::pg_catalog.oid as multirange_array"
                .to_owned(),
            "",
        )
    };
    let multirange_oid = if major >= 14 { "r.rngmultitypid" } else { "0" };
    // A default class of the user's own is named: of a domain it is never the one that would be found
    // (source: GetDefaultOpClass in commands/indexcmds.c looks at what a domain is over).
    let columns = format!(
        ", pg_catalog.format_type(r.rngsubtype, null) as subtype{multirange}, \
         case when not oc.opcdefault or ocn.nspname <> 'pg_catalog' then {opclass} end as opclass, \
         case when r.rngcollation <> st.typcollation then {collation} end as collation, \
         {canonical} as canonical, {difference} as difference, \
         array(select p.oid {constructors} and not {is_moved}) as constructors, \
         array(select p.oid {constructors} and {is_moved} order by p.oid) as moved_oids, \
         array(select pn.nspname::text {constructors} and {is_moved} order by p.oid) \
         as moved_schemas, \
         array(select p.proname || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) \
         || ')' {constructors} and {is_moved} order by p.oid) as moved_names, \
         array(select {moved} {constructors} and {is_moved} order by p.oid) as moved",
        constructors = constructors(multirange_oid),
        is_moved = "(p.proname, p.pronamespace) <> (ct.typname, t.typnamespace)",
        moved = moved_constructor(),
        opclass = quoted("ocn.nspname", "oc.opcname"),
        collation = quoted("cn.nspname", "co.collname"),
        canonical = function_name("r.rngcanonical"),
        difference = function_name("r.rngsubdiff"),
    );
    let joins = format!(
        "join pg_catalog.pg_range r on r.rngtypid = t.oid \
         left join pg_catalog.pg_type st on st.oid = r.rngsubtype \
         join pg_catalog.pg_opclass oc on oc.oid = r.rngsubopc \
         join pg_catalog.pg_namespace ocn on ocn.oid = oc.opcnamespace \
         left join (pg_catalog.pg_collation co \
         join pg_catalog.pg_namespace cn on cn.oid = co.collnamespace) on co.oid = r.rngcollation \
         {joins}"
    );
    let sql = types::query(scope, &columns, &joins, "t.typtype = 'r'");
    for row in session.query("reading range types", &sql, &[]).await? {
        let named = Named::of(&row);
        let range = Range {
            subtype: rendered(&row, "subtype", || format!("type {}", named.name))?.to_owned(),
            multirange: row
                .get::<_, Option<String>>("multirange")
                .filter(|name| *name != made_up_multirange(&named.name)),
            opclass: row.get("opclass"),
            collation: row.get("collation"),
            canonical: row.get("canonical"),
            difference: row.get("difference"),
        };
        let object = ObjectId::new(class::PG_TYPE, row.get("oid"));
        let id = types::add(out, &row, named.entry(&range.definition()));
        add_moved_constructors(&row, object, out);
        for column in ["multirange_oid", "multirange_array"] {
            also_creates_type(out, id, row.get(column));
        }
        for constructor in row.get::<_, Vec<u32>>("constructors") {
            out.also_creates(id, ObjectId::new(class::PG_PROC, constructor));
        }
    }
    Ok(())
}

/// Adds an entry for each constructor that isn't called as its type is: not everybody may change it,
/// as it is the bootstrap superuser's (source: makeRangeConstructors in commands/typecmds.c).
fn add_moved_constructors(row: &Row, range: ObjectId, out: &mut Builder) {
    let oids: Vec<u32> = row.get("moved_oids");
    let schemas: Vec<String> = row.get("moved_schemas");
    let names: Vec<String> = row.get("moved_names");
    let statements: Vec<String> = row.get("moved");
    for (((oid, schema), name), create) in oids.into_iter().zip(schemas).zip(names).zip(statements)
    {
        let entry = Entry { create, ..Entry::new(Kind::Function, Some(&schema), name) };
        let id = out.add(ObjectId::new(class::PG_PROC, oid), entry);
        out.needs(id, range);
    }
}

/// The functions `p` that came with a range or its multirange, the type `ct`.
fn constructors(multirange_oid: &str) -> String {
    format!(
        "from pg_catalog.pg_depend d \
         join pg_catalog.pg_proc p on p.oid = d.objid \
         join pg_catalog.pg_namespace pn on pn.oid = p.pronamespace \
         join pg_catalog.pg_type ct on ct.oid = d.refobjid \
         where d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass \
         and d.refobjid in (t.oid, {multirange_oid}) \
         and d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass \
         and d.deptype = 'i'"
    )
}

/// The expression for the statements that give a constructor the name and schema that it has. It is
/// created with its type's name in the range's schema, a multirange's too, but neither follows the
/// other when that changes; pg_dump leaves it out, and fails on what calls the function (source:
/// DefineRange in commands/typecmds.c).
fn moved_constructor() -> String {
    let alter = |name: &str| {
        format!(
            "'ALTER FUNCTION ' || {} || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid)",
            quoted("n.nspname", name)
        )
    };
    format!(
        "pg_catalog.concat(case when p.proname <> ct.typname \
         then {} || ') RENAME TO ' || {} || E';\\n' end, \
         case when p.pronamespace <> t.typnamespace \
         then {} || ') SET SCHEMA ' || {} || E';\\n' end)",
        alter("ct.typname"),
        quoted_part("p.proname"),
        alter("p.proname"),
        quoted_part("pn.nspname"),
    )
}

/// The name that a multirange gets where none is given, as SQL; mentioned, it would only tell
/// versions apart (source: makeMultirangeTypeName in catalog/pg_type.c).
fn made_up_multirange(range: &QualifiedName) -> String {
    let name = match range.name.contains("range") {
        true => range.name.replacen("range", "multirange", 1),
        false => format!("{}_multirange", range.name),
    };
    QualifiedName::new(&range.schema, name).sql()
}

/// A range type's properties, each as SQL; none where it is the default.
#[derive(Debug)]
struct Range {
    subtype: String,
    multirange: Option<String>,
    opclass: Option<String>,
    collation: Option<String>,
    canonical: Option<String>,
    difference: Option<String>,
}

impl Range {
    fn definition(&self) -> String {
        let options = [
            ("subtype", Some(&self.subtype)),
            ("multirange_type_name", self.multirange.as_ref()),
            ("subtype_opclass", self.opclass.as_ref()),
            ("collation", self.collation.as_ref()),
            ("canonical", self.canonical.as_ref()),
            ("subtype_diff", self.difference.as_ref()),
        ];
        let given =
            options.into_iter().filter_map(|(name, value)| Some(format!("{name} = {}", value?)));
        format!("RANGE ({})", listed(given))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_names_only_what_is_not_the_default() {
        let mut range = Range {
            subtype: "double precision".to_owned(),
            multirange: None,
            opclass: None,
            collation: None,
            canonical: None,
            difference: None,
        };
        assert_eq!(range.definition(), "RANGE (\n\tsubtype = double precision\n)");
        range.multirange = Some("\"s\".\"fs\"".to_owned());
        range.canonical = Some("s.c".to_owned());
        range.difference = Some("float8mi".to_owned());
        assert_eq!(
            range.definition(),
            "RANGE (\n\tsubtype = double precision,\n\
             \tmultirange_type_name = \"s\".\"fs\",\n\tcanonical = s.c,\n\tsubtype_diff = float8mi\n)"
        );
    }

    #[test]
    fn a_multiranges_made_up_name_says_range_once() {
        let made_up = |name| made_up_multirange(&QualifiedName::new("s", name));
        assert_eq!(made_up("rangeorange"), "\"s\".\"multirangeorange\"");
        assert_eq!(made_up("span"), "\"s\".\"span_multirange\"");
    }
}
