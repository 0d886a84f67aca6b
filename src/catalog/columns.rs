//! pg_attribute: columns, and how each is written in its table's definition.

use std::collections::HashMap;

use tokio_postgres::Row;

use crate::error::Result;
use crate::pg::{Oid, QualifiedName, quote_ident};
use crate::wire::Session;

use super::inheritance::Inherited;
use super::relations::{Relation, RelationKind};
use super::reloptions;
use super::rendered::{rendered, rendered_if};
use super::scope::Scope;

/// A column.
#[derive(Debug, Clone, Default)]
pub(super) struct Column {
    pub(super) number: i16,
    pub(super) name: String,
    pub(super) type_oid: u32,
    /// With its modifier: `numeric(10,2)`.
    pub(super) type_name: String,
    /// Declared by the table itself, perhaps besides a parent.
    pub(super) local: bool,
    pub(super) not_null: bool,
    /// Quoted; none where it is the type's own.
    pub(super) collation: Option<String>,
    /// Its default, or the expression that generates it.
    pub(super) default: Option<Expression>,
    pub(super) generated: Option<Generated>,
    pub(super) storage: &'static str,
    /// The storage is the one that the type has by itself.
    pub(super) plainly_stored: bool,
    /// The type's values are compressed, unless the column says otherwise.
    pub(super) compressible: bool,
    pub(super) compression: Option<&'static str>,
    pub(super) statistics: Option<i32>,
    /// `n_distinct=…`.
    pub(super) options: Vec<String>,
}

/// An expression in pg_attrdef.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expression {
    pub(super) oid: u32,
    pub(super) sql: String,
}

/// How a generated column comes by its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Generated {
    Stored,
    Virtual,
}

impl Generated {
    fn sql(self) -> &'static str {
        match self {
            Generated::Stored => "STORED",
            Generated::Virtual => "VIRTUAL",
        }
    }
}

impl Column {
    /// Whether its values, which might be long, were told to stay in their rows as they are: an
    /// entry of its own, as longer ones may have come in before.
    pub(super) fn is_made_plain(&self) -> bool {
        !self.plainly_stored && self.storage == "PLAIN"
    }

    /// Whether the table's definition writes it: what a child merely inherits, it doesn't. A
    /// partition is created on its own and attached (source: pg_dump.c, shouldPrintColumn).
    pub(super) fn is_written(&self, table: &Relation) -> bool {
        self.local || table.is_partition
    }
}

/// The columns of all relations, in order; dropped ones are absent.
#[derive(Debug, Default)]
pub(super) struct Columns {
    by_relation: HashMap<u32, Vec<Column>>,
}

impl Columns {
    pub(super) async fn read(session: &Session, scope: &Scope) -> Result<Self> {
        let sql = columns_sql(scope, session.version().major());
        let mut columns = Columns::default();
        let take = |row: Row| {
            columns.add(row.get("attrelid"), from_row(&row)?);
            Ok(())
        };
        session.query_each("reading columns", &sql, &[], take).await?;
        Ok(columns)
    }

    /// From (relation, column) pairs, a relation's columns in order.
    #[cfg(test)]
    pub(super) fn new(columns: impl IntoIterator<Item = (u32, Column)>) -> Self {
        let mut all = Columns::default();
        for (relation, column) in columns {
            all.add(relation, column);
        }
        all
    }

    fn add(&mut self, relation: u32, column: Column) {
        self.by_relation.entry(relation).or_default().push(column);
    }

    pub(super) fn of(&self, relation: u32) -> &[Column] {
        self.by_relation.get(&relation).map_or(&[], Vec::as_slice)
    }

    pub(super) fn numbered(&self, relation: u32, number: i16) -> Option<&Column> {
        self.of(relation).iter().find(|column| column.number == number)
    }

    pub(super) fn named(&self, relation: u32, name: &str) -> Option<&Column> {
        self.of(relation).iter().find(|column| column.name == name)
    }
}

/// What CREATE TABLE says of a column; `default` is the expression to be written, if any.
pub(super) fn definition(
    column: &Column,
    typed_table: bool,
    default: Option<&str>,
    not_null: Option<&str>,
) -> String {
    let mut sql = quote_ident(&column.name);
    if typed_table {
        sql.push_str(" WITH OPTIONS");
    } else {
        sql.push(' ');
        sql.push_str(&column.type_name);
        if let Some(collation) = &column.collation {
            sql.push_str(&format!(" COLLATE {collation}"));
        }
    }
    match (default, column.generated) {
        (Some(text), Some(kind)) => {
            sql.push_str(&format!(" GENERATED ALWAYS AS ({text}) {}", kind.sql()));
        }
        (Some(text), None) => sql.push_str(&format!(" DEFAULT {text}")),
        (None, _) => {}
    }
    if let Some(clause) = not_null {
        sql.push_str(&format!(" {clause}"));
    }
    sql
}

/// The ALTERs for what CREATE TABLE can't say of a column.
pub(super) fn alterations(table: &Relation, column: &Column, inherited: Inherited) -> String {
    let target = format!("{} ALTER COLUMN {}", table.alter_only(), quote_ident(&column.name));
    let mut sql = String::new();
    if let Some(statistics) = column.statistics {
        sql.push_str(&format!("{target} SET STATISTICS {statistics};\n"));
    }
    let is_apart = column.is_made_plain() && table.kind == RelationKind::Table;
    if (!column.plainly_stored || inherited.storage_differs) && !is_apart {
        sql.push_str(&format!("{target} SET STORAGE {};\n", column.storage));
    }
    match column.compression {
        Some(compression) => {
            sql.push_str(&format!("{target} SET COMPRESSION {compression};\n"));
        }
        None if inherited.compression_differs => {
            sql.push_str(&format!("{target} SET COMPRESSION default;\n"));
        }
        None => {}
    }
    if let Some(list) = reloptions::with_list(&column.options, &[]) {
        sql.push_str(&format!("{target} SET ({list});\n"));
    }
    sql
}

fn columns_sql(scope: &Scope, major: u32) -> String {
    let compression = match major {
        14.. => "a.attcompression::text",
        _ => "''::text",
    };
    format!(
        "SELECT a.attrelid, a.attnum, a.attname, a.atttypid, \
                pg_catalog.format_type(a.atttypid, a.atttypmod) AS type_name, \
                a.attislocal, a.attnotnull, a.attgenerated::text AS generated, \
                cn.nspname AS collation_schema, co.collname AS collation_name, \
                a.attstorage::text AS storage, \
                t.typstorage IN ('x', 'm') IS TRUE AS compressible, \
                a.attstorage IS NOT DISTINCT FROM t.typstorage AS plainly_stored, \
                {compression} AS compression, a.attstattarget::int4 AS statistics, a.attoptions, \
                d.oid AS default_oid, pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS default_sql \
         FROM pg_catalog.pg_attribute a \
         JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
         LEFT JOIN pg_catalog.pg_collation co \
                ON co.oid = a.attcollation AND a.attcollation <> t.typcollation \
         LEFT JOIN pg_catalog.pg_namespace cn ON cn.oid = co.collnamespace \
         LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
         WHERE a.attnum > 0 AND NOT a.attisdropped \
           AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.oid >= {} AND {} \
         ORDER BY a.attrelid, a.attnum",
        Oid::FIRST_NORMAL,
        scope.schemas("n.nspname"),
    )
}

fn from_row(row: &Row) -> Result<Column> {
    let default_oid: Option<u32> = row.get("default_oid");
    let column = || {
        let (column, relation): (&str, u32) = (row.get("attname"), row.get("attrelid"));
        format!("column {column} of the relation with OID {relation}")
    };
    let default_sql = rendered_if(row, default_oid.is_some(), "default_sql", || {
        format!("the default of {}", column())
    })?;
    Ok(Column {
        number: row.get("attnum"),
        name: row.get("attname"),
        type_oid: row.get("atttypid"),
        type_name: rendered(row, "type_name", column)?.to_owned(),
        local: row.get("attislocal"),
        not_null: row.get("attnotnull"),
        collation: row
            .get::<_, Option<String>>("collation_schema")
            .zip(row.get::<_, Option<String>>("collation_name"))
            .map(|(schema, name)| QualifiedName::new(schema, name).sql()),
        default: default_oid.zip(default_sql).map(|(oid, sql)| Expression { oid, sql }),
        generated: match row.get("generated") {
            "s" => Some(Generated::Stored),
            "v" => Some(Generated::Virtual),
            _ => None,
        },
        storage: storage_name(row.get("storage")),
        plainly_stored: row.get("plainly_stored"),
        compressible: row.get("compressible"),
        compression: compression_name(row.get("compression")),
        statistics: row.get::<_, Option<i32>>("statistics").filter(|&target| target >= 0),
        options: users_options(row.get("attoptions")),
    })
}

/// What ALTER COLUMN … SET was told. The minor releases of November 2026 keep a version of the
/// column's definition among the options: the server's own, and refused by any release before
/// them, so pg_dump doesn't show it either (seen in 15.20).
fn users_options(options: Option<Vec<String>>) -> Vec<String> {
    let mut options = options.unwrap_or_default();
    options.retain(|option| !option.starts_with("pg_attver="));
    options
}

fn storage_name(code: &str) -> &'static str {
    match code {
        "p" => "PLAIN",
        "e" => "EXTERNAL",
        "m" => "MAIN",
        _ => "EXTENDED",
    }
}

fn compression_name(code: &str) -> Option<&'static str> {
    Some(match code {
        "p" => "pglz",
        "l" => "lz4",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::relations::sample;
    use super::*;

    fn column(name: &str, type_name: &str) -> Column {
        Column {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
            local: true,
            ..Column::default()
        }
    }

    #[test]
    fn a_definition_has_type_collation_default_and_not_null() {
        let text =
            Column { collation: Some("pg_catalog.\"C\"".to_owned()), ..column("a b", "text") };
        assert_eq!(
            definition(&text, false, Some("'x'::text"), Some("NOT NULL")),
            "\"a b\" text COLLATE pg_catalog.\"C\" DEFAULT 'x'::text NOT NULL"
        );
        let sum = Column { generated: Some(Generated::Virtual), ..column("sum", "integer") };
        assert_eq!(
            definition(&sum, false, Some("a + b"), None),
            "\"sum\" integer GENERATED ALWAYS AS (a + b) VIRTUAL"
        );
        assert_eq!(
            definition(&column("t", "integer"), true, Some("1"), None),
            "\"t\" WITH OPTIONS DEFAULT 1"
        );
    }

    #[test]
    fn the_servers_own_column_option_is_not_the_users() {
        let stored = ["pg_attver=31235040", "n_distinct=5"].map(str::to_owned);
        assert_eq!(users_options(Some(stored.into())), ["n_distinct=5"]);
        assert!(users_options(None).is_empty());
    }

    #[test]
    fn what_create_table_cannot_say_is_altered() {
        let fat = Column {
            statistics: Some(500),
            storage: storage_name("e"),
            compression: compression_name("l"),
            options: vec!["n_distinct=-0.5".to_owned()],
            ..column("c", "bytea")
        };
        assert_eq!(
            alterations(&sample::table(1, "t"), &fat, Inherited::default()),
            "ALTER TABLE ONLY \"s\".\"t\" ALTER COLUMN \"c\" SET STATISTICS 500;\n\
             ALTER TABLE ONLY \"s\".\"t\" ALTER COLUMN \"c\" SET STORAGE EXTERNAL;\n\
             ALTER TABLE ONLY \"s\".\"t\" ALTER COLUMN \"c\" SET COMPRESSION lz4;\n\
             ALTER TABLE ONLY \"s\".\"t\" ALTER COLUMN \"c\" SET (\"n_distinct\"='-0.5');\n"
        );
    }
}
