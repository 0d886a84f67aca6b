//! In which format a table's rows travel: binary, unless a column's type lies or fails in it.
//!
//! A `reg*` value is sent as a bare OID, and arrays of user-defined types and composites embed
//! their types' OIDs: these differ between clusters (source: utils/adt/regproc.c, array_send in
//! arrayfuncs.c, record_send in rowtypes.c). So may what a user's own base type sends, for all one
//! can know; its text is what every dump relies on. Some types have no send or receive function at
//! all, and those of `oidvector`, `int2vector` and `tsquery` don't take an empty one back (source:
//! oidvectorrecv in utils/adt/oid.c, which wants one dimension, and an empty array has none; findoprnd
//! in utils/adt/tsquery.c, which wants an operand).

use std::collections::HashMap;

use tokio_postgres::Row;

use crate::error::Result;
use crate::pg::{Oid, RowFormat};
use crate::wire::Session;

use super::columns::Column;
use super::fragments::stands_alone;
use super::scope::Scope;

/// What matters of a type.
#[derive(Debug, Clone)]
struct TypeTraits {
    /// As people name it.
    name: String,
    shape: Shape,
    /// It has both a send and a receive function.
    binary: bool,
    /// It is one of the `reg*` types.
    object_reference: bool,
    /// It is a base type of the user's own making.
    homemade: bool,
    /// It is one of those whose binary input refuses an empty one.
    refuses_empty: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Plain,
    /// An array, by its element's type.
    Array(u32),
    /// A domain, range or multirange, by the type of what it wraps.
    Wraps(u32),
    Composite,
}

/// The types of all columns, and those they are made of.
#[derive(Debug, Default)]
pub(super) struct Types {
    by_oid: HashMap<u32, TypeTraits>,
}

impl Types {
    pub(super) async fn read(session: &Session, scope: &Scope) -> Result<Self> {
        let sql = types_sql(scope, session.version().major());
        let rows = session.query("reading column types", &sql, &[]).await?;
        Ok(Types { by_oid: rows.iter().map(|row| (row.get("oid"), from_row(row))).collect() })
    }

    /// The format for rows of `columns`, and why it isn't binary.
    pub(super) fn format<'a>(
        &self,
        columns: impl IntoIterator<Item = &'a Column>,
    ) -> (RowFormat, Option<String>) {
        for column in columns {
            if let Some(why) = self.why_text(column.type_oid) {
                let because = format!("column {} ({}): {why}", column.name, column.type_name);
                return (RowFormat::Text, Some(because));
            }
        }
        (RowFormat::Binary, None)
    }

    fn why_text(&self, oid: u32) -> Option<String> {
        let Some(traits) = self.by_oid.get(&oid) else {
            return Some("nothing is known of the type".to_owned());
        };
        let name = &traits.name;
        if traits.object_reference {
            return Some(format!("in binary {name} is an OID, which differs between clusters"));
        }
        if traits.refuses_empty {
            return Some(format!("in binary an empty {name} is refused"));
        }
        if !traits.binary {
            return Some(format!("{name} has no binary input or output"));
        }
        if traits.homemade {
            return Some(format!("what {name} holds in binary is known to its makers only"));
        }
        match traits.shape {
            Shape::Plain => None,
            Shape::Wraps(inner) => self.why_text(inner),
            Shape::Composite => Some(format!("in binary {name} embeds OIDs of types")),
            Shape::Array(element) if Oid(element) >= Oid::FIRST_NORMAL => {
                Some(format!("in binary {name} embeds the OID of its elements' type"))
            }
            Shape::Array(element) => self.why_text(element),
        }
    }
}

/// The types that columns have, and what those are made of, all the way down. What `typelem` names
/// is an array's element only in types of variable length (source: catalog/pg_type.h).
fn types_sql(scope: &Scope, major: u32) -> String {
    let multirange = match major {
        14.. => {
            "UNION ALL SELECT r.rngtypid FROM pg_catalog.pg_range r \
                      WHERE r.rngmultitypid = t.oid"
        }
        _ => "",
    };
    format!(
        "WITH RECURSIVE parts(oid, part) AS ( \
             SELECT t.oid, p.part FROM pg_catalog.pg_type t CROSS JOIN LATERAL ( \
                 SELECT t.typbasetype AS part WHERE t.typtype = 'd' \
                 UNION ALL SELECT t.typelem WHERE t.typelem <> 0 AND t.typlen = -1 \
                 UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r \
                      WHERE r.rngtypid = t.oid \
                 {multirange}) p), \
         used(oid) AS ( \
             SELECT a.atttypid FROM pg_catalog.pg_attribute a \
             JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND {} \
             UNION \
             SELECT parts.part FROM used JOIN parts ON parts.oid = used.oid) \
         SELECT t.oid, pg_catalog.format_type(t.oid, NULL) AS name, t.typtype::text AS typtype, \
                (SELECT part FROM parts WHERE parts.oid = t.oid LIMIT 1) AS part, \
                t.typelem <> 0 AND t.typlen = -1 AND t.typtype = 'b' AS is_array, \
                t.typsend <> 0 AND t.typreceive <> 0 AS binary, \
                t.typname LIKE 'reg%' AND t.oid < {} AS object_reference, \
                t.typtype = 'b' AND t.oid >= {} AND {} AS homemade, \
                t.oid IN ('pg_catalog.oidvector'::pg_catalog.regtype, \
                          'pg_catalog.int2vector'::pg_catalog.regtype, \
                          'pg_catalog.tsquery'::pg_catalog.regtype) AS refuses_empty \
         FROM used JOIN pg_catalog.pg_type t ON t.oid = used.oid",
        scope.schemas("n.nspname"),
        Oid::FIRST_NORMAL,
        Oid::FIRST_NORMAL,
        stands_alone("pg_type", "t.oid"),
    )
}

fn from_row(row: &Row) -> TypeTraits {
    let part: Option<u32> = row.get("part");
    let shape = match (row.get("typtype"), part) {
        ("c" | "p", _) => Shape::Composite,
        (_, Some(part)) if row.get("is_array") => Shape::Array(part),
        (_, Some(part)) => Shape::Wraps(part),
        (_, None) => Shape::Plain,
    };
    TypeTraits {
        name: row.get("name"),
        shape,
        binary: row.get("binary"),
        object_reference: row.get("object_reference"),
        homemade: row.get("homemade"),
        refuses_empty: row.get("refuses_empty"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: u32 = 20_000;

    fn types() -> Types {
        let one = |oid: u32, name: &str, shape, binary, object_reference| {
            let traits = TypeTraits {
                name: name.to_owned(),
                shape,
                binary,
                object_reference,
                homemade: name == "s.made",
                refuses_empty: name == "oidvector",
            };
            (oid, traits)
        };
        Types {
            by_oid: [
                one(23, "integer", Shape::Plain, true, false),
                one(1007, "integer[]", Shape::Array(23), true, false),
                one(2205, "regclass", Shape::Plain, true, true),
                one(2210, "regclass[]", Shape::Array(2205), true, false),
                one(30, "oidvector", Shape::Array(26), true, false),
                one(26, "oid", Shape::Plain, true, false),
                one(1013, "oidvector[]", Shape::Array(30), true, false),
                one(1033, "aclitem", Shape::Plain, false, false),
                one(USER, "s.mood", Shape::Plain, true, false),
                one(USER + 1, "s.mood[]", Shape::Array(USER), true, false),
                one(USER + 2, "s.numbers", Shape::Wraps(1007), true, false),
                one(USER + 3, "s.classes", Shape::Wraps(2210), true, false),
                one(USER + 4, "s.pair", Shape::Composite, true, false),
                one(USER + 6, "s.made", Shape::Plain, true, false),
                one(USER + 7, "s.of_made", Shape::Wraps(USER + 6), true, false),
                one(USER + 5, "s.pairrange", Shape::Wraps(USER + 4), true, false),
            ]
            .into(),
        }
    }

    #[test]
    fn binary_is_for_types_whose_bytes_mean_the_same_everywhere() {
        let types = types();
        for oid in [23, 26, 1007, USER, USER + 2] {
            assert_eq!(types.why_text(oid), None, "{oid}");
        }
        for oid in [30, 1013, 2205, 2210, 1033, USER + 1, USER + 3, USER + 4, USER + 5, USER + 7, 1]
        {
            assert!(types.why_text(oid).is_some(), "{oid}");
        }
    }

    #[test]
    fn the_reason_for_text_names_column_and_type() {
        let column = Column {
            name: "moods".to_owned(),
            type_name: "s.mood[]".to_owned(),
            type_oid: USER + 1,
            ..Column::default()
        };
        let (format, because) = types().format([&column]);
        assert_eq!(format, RowFormat::Text);
        assert_eq!(
            because.unwrap(),
            "column moods (s.mood[]): in binary s.mood[] embeds the OID of its elements' type"
        );
    }
}
