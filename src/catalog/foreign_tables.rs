//! What foreign tables have beyond other tables: a server, and options of theirs and their columns'
//! (documentation: SQL command CREATE FOREIGN TABLE).

use std::collections::HashMap;

use crate::error::Result;
use crate::pg::quote_ident;
use crate::wire::Session;

use super::columns::Column;
use super::generic_options;
use super::relations::Relation;

/// The foreign tables' own properties, by table.
#[derive(Debug, Default)]
pub(super) struct ForeignTables {
    by_table: HashMap<u32, Placed>,
    /// By table and column.
    columns: HashMap<(u32, i16), Vec<String>>,
}

/// Where a foreign table's rows are.
#[derive(Debug)]
struct Placed {
    server: String,
    options: Vec<String>,
}

impl ForeignTables {
    pub(super) async fn read(session: &Session) -> Result<Self> {
        let sql = "SELECT t.ftrelid, s.srvname::text, coalesce(t.ftoptions, '{}') AS options \
                   FROM pg_catalog.pg_foreign_table t \
                   JOIN pg_catalog.pg_foreign_server s ON s.oid = t.ftserver";
        let rows = session.query("reading foreign tables", sql, &[]).await?;
        let placed = |row: &tokio_postgres::Row| Placed {
            server: row.get("srvname"),
            options: row.get("options"),
        };
        let by_table = rows.iter().map(|row| (row.get("ftrelid"), placed(row))).collect();
        let sql = "SELECT a.attrelid, a.attnum, a.attfdwoptions \
                   FROM pg_catalog.pg_attribute a \
                   WHERE a.attfdwoptions IS NOT NULL AND NOT a.attisdropped";
        let rows = session.query("reading foreign tables' columns", sql, &[]).await?;
        let columns = rows
            .iter()
            .map(|row| ((row.get("attrelid"), row.get("attnum")), row.get("attfdwoptions")))
            .collect();
        Ok(ForeignTables { by_table, columns })
    }

    /// What follows the columns of CREATE FOREIGN TABLE; nothing for a table of another kind.
    pub(super) fn clause(&self, table: &Relation) -> String {
        self.by_table.get(&table.oid).map_or_else(String::new, |placed| {
            let options = generic_options::clause(&placed.options);
            format!("\nSERVER {}{options}", quote_ident(&placed.server))
        })
    }

    /// The ALTER that gives a column its options: CREATE can't where the column is inherited.
    pub(super) fn column_options(&self, table: &Relation, column: &Column) -> String {
        self.columns.get(&(table.oid, column.number)).map_or_else(String::new, |options| {
            format!(
                "ALTER FOREIGN TABLE ONLY {} ALTER COLUMN {}{};\n",
                table.sql(),
                quote_ident(&column.name),
                generic_options::clause(options)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::relations::sample;
    use super::*;

    #[test]
    fn a_foreign_table_names_its_server_and_its_columns_options() {
        let placed = Placed { server: "S".to_owned(), options: vec!["schema_name=x".to_owned()] };
        let foreign = ForeignTables {
            by_table: [(1, placed)].into(),
            columns: [((1, 2), vec!["column_name=y".to_owned()])].into(),
        };
        let table = sample::table(1, "f");
        assert_eq!(foreign.clause(&table), "\nSERVER \"S\" OPTIONS (\"schema_name\" 'x')");
        assert_eq!(foreign.clause(&sample::table(2, "t")), "");
        let column = Column { number: 2, name: "c".to_owned(), ..Column::default() };
        assert_eq!(
            foreign.column_options(&table, &column),
            "ALTER FOREIGN TABLE ONLY \"s\".\"f\" ALTER COLUMN \"c\" \
             OPTIONS (\"column_name\" 'y');\n"
        );
    }
}
