//! Access methods of tables and indexes (documentation: SQL command CREATE ACCESS METHOD).

use crate::error::Result;
use crate::pg::{Oid, class, quote_ident};
use crate::toc::{Entry, Kind};
use crate::wire::Session;

use super::builder::{Builder, ObjectId};
use super::fragments::{function_name, stands_alone};
use super::rendered::rendered;

/// Adds an entry for each access method that neither initdb nor an extension brings. They live in
/// no schema, nor has any an owner.
pub(super) async fn read(session: &Session, out: &mut Builder) -> Result<()> {
    let sql = format!(
        "select o.oid, o.amname::text, o.amtype::text, {} as handler \
         from pg_catalog.pg_am o where o.oid >= {} and {} order by o.amname",
        function_name("o.amhandler"),
        Oid::FIRST_NORMAL,
        stands_alone("pg_am", "o.oid")
    );
    for row in session.query("reading access methods", &sql, &[]).await? {
        let name: &str = row.get("amname");
        let handler = rendered(&row, "handler", || format!("access method {name}"))?;
        let entry = entry(name, row.get("amtype"), handler);
        out.add(ObjectId::new(class::PG_AM, row.get("oid")), entry);
    }
    Ok(())
}

fn entry(name: &str, kind: &str, handler: &str) -> Entry {
    let quoted = quote_ident(name);
    let kind = match kind {
        "t" => "TABLE",
        _ => "INDEX",
    };
    Entry {
        create: format!("CREATE ACCESS METHOD {quoted} TYPE {kind} HANDLER {handler};\n"),
        drop: format!("DROP ACCESS METHOD {quoted};"),
        ..Entry::new(Kind::AccessMethod, None, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_method_is_of_tables_or_of_indexes() {
        assert_eq!(
            entry("A", "t", "s.h").create,
            "CREATE ACCESS METHOD \"A\" TYPE TABLE HANDLER s.h;\n"
        );
        assert_eq!(
            entry("a", "i", "s.h").create,
            "CREATE ACCESS METHOD \"a\" TYPE INDEX HANDLER s.h;\n"
        );
        assert_eq!(entry("a", "i", "s.h").owner_sql("o"), None);
    }
}
