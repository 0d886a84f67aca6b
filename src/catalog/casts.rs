//! Casts (documentation: SQL command CREATE CAST).

use crate::error::Result;
use crate::pg::{Oid, class};
use crate::toc::{Entry, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::fragments::stands_alone;

/// Adds an entry for each of the users' casts. They live in no schema, nor has any an owner; what
/// a range's multirange brings along isn't one of them.
pub(super) async fn read(session: &Session, out: &mut Builder) -> Result<()> {
    for row in session.query("reading casts", &query(), &[]).await? {
        let cast = Cast {
            source: row.get("source"),
            target: row.get("target"),
            method: row.get("method"),
            function: row.get("function"),
            context: row.get("context"),
        };
        out.add(ObjectId::new(class::PG_CAST, row.get("oid")), cast.entry());
    }
    Ok(())
}

fn query() -> String {
    format!(
        "select c.oid, pg_catalog.format_type(c.castsource, null) as source, \
         pg_catalog.format_type(c.casttarget, null) as target, c.castmethod::text as method, \
         c.castcontext::text as context, case when c.castfunc <> 0 \
         then c.castfunc::pg_catalog.regprocedure::text end as function \
         from pg_catalog.pg_cast c where c.oid >= {} and {} order by source, target",
        Oid::FIRST_NORMAL,
        stands_alone("pg_cast", "c.oid")
    )
}

/// A cast; types and function are SQL.
#[derive(Debug)]
struct Cast {
    source: String,
    target: String,
    method: String,
    function: Option<String>,
    context: String,
}

impl Cast {
    fn entry(&self) -> Entry {
        let name = format!("CAST ({} AS {})", self.source, self.target);
        let how = match (self.method.as_str(), &self.function) {
            ("f", Some(function)) => format!("WITH FUNCTION {function}"),
            ("i", _) => "WITH INOUT".to_owned(),
            _ => "WITHOUT FUNCTION".to_owned(),
        };
        let context = match self.context.as_str() {
            "a" => " AS ASSIGNMENT",
            "i" => " AS IMPLICIT",
            _ => "",
        };
        Entry {
            create: format!("CREATE {name} {how}{context};\n"),
            drop: format!("DROP {name};"),
            ..Entry::new(Kind::Cast, None, name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(method: &str, function: Option<&str>, context: &str) -> String {
        let cast = Cast {
            source: "integer".to_owned(),
            target: "s.t".to_owned(),
            method: method.to_owned(),
            function: function.map(str::to_owned),
            context: context.to_owned(),
        };
        cast.entry().create
    }

    #[test]
    fn a_cast_says_how_and_when_it_applies() {
        assert_eq!(
            create("f", Some("s.f(integer)"), "e"),
            "CREATE CAST (integer AS s.t) WITH FUNCTION s.f(integer);\n"
        );
        assert_eq!(
            create("i", None, "a"),
            "CREATE CAST (integer AS s.t) WITH INOUT AS ASSIGNMENT;\n"
        );
        assert_eq!(
            create("b", None, "i"),
            "CREATE CAST (integer AS s.t) WITHOUT FUNCTION AS IMPLICIT;\n"
        );
    }
}
