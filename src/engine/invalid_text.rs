//! Text that isn't valid in the encoding of its own database, as an old bug or a superuser may have
//! left it: the source reads it as it is, and the target, which checks what comes in, refuses it.

use crate::error::Error;
use crate::pg::{dollar_quote, quote_literal};
use crate::toc::{RowsOf, TableData};

/// The error with a query that finds such rows, where it came of text in one of `tables`, read by
/// connections in this encoding.
pub(super) fn explained(error: Error, tables: &[&TableData], client_encoding: &str) -> Error {
    if error.server_error().is_none_or(|server| server.sqlstate != "22021") {
        return error;
    }
    let message = error.message();
    let is_told =
        |table: &&&TableData| message.starts_with(&format!("copying {},", table.relation));
    match tables.iter().find(is_told) {
        Some(table) if !matches!(table.rows_of, RowsOf::LargeObjects { .. }) => error.hint(format!(
            "on the source: {} which warns of each such row's place (ctid); give these valid text, \
             then run again: it goes on from here",
            search(table, client_encoding)
        )),
        _ => error,
    }
}

/// The statement that finds the rows. Only a source in SQL_ASCII, which checks nothing itself, is
/// read in another encoding than UTF-8.
fn search(table: &TableData, client_encoding: &str) -> String {
    let encoding = match client_encoding {
        "UTF8" => "pg_catalog.getdatabaseencoding()".to_owned(),
        "SQL_ASCII" => quote_literal("UTF8"),
        other => quote_literal(other),
    };
    let block = format!(
        " DECLARE r record; BEGIN FOR r IN SELECT t.tableoid::pg_catalog.regclass AS part, \
         t.ctid AS place, pg_catalog.textsend(ROW(t.*)::pg_catalog.text) AS content FROM {} t LOOP \
         BEGIN PERFORM pg_catalog.convert_from(r.content, {encoding}); EXCEPTION WHEN \
         character_not_in_repertoire THEN RAISE WARNING '% %', r.part, r.place; END; END LOOP; \
         END ",
        table.source_sql()
    );
    format!("DO {};", dollar_quote(&block))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toc::test_table;

    #[test]
    fn a_name_cannot_end_the_statement() {
        let sql = search(&test_table("a$$; DROP TABLE b; --"), "UTF8");
        assert!(sql.starts_with("DO $q1$ ") && sql.ends_with(" END $q1$;"), "{sql}");
        assert!(search(&test_table("a"), "UTF8").starts_with("DO $$ "));
    }
}
