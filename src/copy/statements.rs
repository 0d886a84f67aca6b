//! The COPY statements of both ends (documentation: SQL command COPY).

use crate::pg::{QualifiedName, RowFormat, quote_ident, quote_literal};

/// Which rows of a table travel, and how: what both statements of a copy agree on.
#[derive(Debug, Clone, Copy)]
pub struct CopyTable<'a> {
    /// The table.
    pub relation: &'a QualifiedName,
    /// The columns in the order they travel, unquoted. The ends may have them in different orders,
    /// and generated ones can't be copied, so they are always listed.
    pub columns: &'a [String],
    /// The format of the rows.
    pub format: RowFormat,
    /// What stands after FROM to read them, where that isn't the table alone.
    pub from: Option<&'a str>,
    /// What text is encoded in on its way; none for the sessions' own encoding.
    pub encoding: Option<&'a str>,
}

/// Whether rows are written as if VACUUM FREEZE had been there. Only where the same transaction
/// created or truncated the table, and only on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freeze {
    /// Rows as an INSERT writes them.
    No,
    /// Rows frozen at once.
    Yes,
}

impl CopyTable<'_> {
    /// Reads the rows that meet every one of `conditions`: all of them where there is none. Rows
    /// of tables that inherit from this one aren't its own and don't travel with it.
    ///
    /// A whole table is read without a query around it, which costs the server less.
    pub fn copy_out(&self, conditions: &[&str]) -> String {
        let from = if conditions.is_empty() && self.from.is_none() {
            format!("{}{}", self.relation.sql(), self.column_list())
        } else {
            let only = || format!("ONLY {}", self.relation.sql());
            let whose = match conditions {
                [] => String::new(),
                some => format!(" WHERE ({})", some.join(") AND (")),
            };
            format!(
                "(SELECT {} FROM {}{whose})",
                self.quoted_columns(),
                self.from.map_or_else(only, str::to_owned),
            )
        };
        format!("COPY {from} TO STDOUT (FORMAT {}{})", self.format.sql(), self.encoding_option())
    }

    /// Writes the rows.
    pub fn copy_in(&self, freeze: Freeze) -> String {
        let freeze = match freeze {
            Freeze::No => "",
            Freeze::Yes => ", FREEZE",
        };
        format!(
            "COPY {}{} FROM STDIN (FORMAT {}{freeze}{})",
            self.relation.sql(),
            self.column_list(),
            self.format.sql(),
            self.encoding_option(),
        )
    }

    fn encoding_option(&self) -> String {
        let option = self.encoding.map(|name| format!(", ENCODING {}", quote_literal(name)));
        option.unwrap_or_default()
    }

    /// An empty list can't be written; without one COPY takes every column that isn't generated,
    /// and where nothing travels there is none (source: commands/copy.c, CopyGetAttnums).
    fn column_list(&self) -> String {
        if self.columns.is_empty() {
            return String::new();
        }
        format!(" ({})", self.quoted_columns())
    }

    fn quoted_columns(&self) -> String {
        let quoted: Vec<_> = self.columns.iter().map(|name| quote_ident(name)).collect();
        quoted.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<R>(columns: &[&str], format: RowFormat, f: impl Fn(CopyTable<'_>) -> R) -> R {
        let relation = QualifiedName::new("shop", "Or\"ders");
        let columns: Vec<_> = columns.iter().map(|&c| c.to_owned()).collect();
        f(CopyTable { relation: &relation, columns: &columns, format, from: None, encoding: None })
    }

    #[test]
    fn a_whole_table_is_copied_without_a_query() {
        let out = with(&["id", "Na\"me"], RowFormat::Binary, |t| t.copy_out(&[]));
        assert_eq!(out, r#"COPY "shop"."Or""ders" ("id", "Na""me") TO STDOUT (FORMAT binary)"#);
    }

    #[test]
    fn conditions_are_all_to_be_met() {
        let out =
            with(&["id", "b"], RowFormat::Text, |t| t.copy_out(&["a OR b", "ctid < '(5,0)'"]));
        assert_eq!(
            out,
            r#"COPY (SELECT "id", "b" FROM ONLY "shop"."Or""ders" WHERE (a OR b) AND (ctid < '(5,0)')) TO STDOUT (FORMAT text)"#
        );
    }

    #[test]
    fn what_is_more_than_a_table_is_read_by_a_query() {
        let out = with(&["a"], RowFormat::Text, |t| {
            CopyTable { from: Some("\"s\".\"root\""), ..t }.copy_out(&[])
        });
        assert_eq!(out, r#"COPY (SELECT "a" FROM "s"."root") TO STDOUT (FORMAT text)"#);
    }

    #[test]
    fn rows_are_frozen_only_where_it_is_said() {
        let plain = with(&["id"], RowFormat::Binary, |t| t.copy_in(Freeze::No));
        assert_eq!(plain, r#"COPY "shop"."Or""ders" ("id") FROM STDIN (FORMAT binary)"#);
        let frozen = with(&["id"], RowFormat::Text, |t| t.copy_in(Freeze::Yes));
        assert_eq!(frozen, r#"COPY "shop"."Or""ders" ("id") FROM STDIN (FORMAT text, FREEZE)"#);
    }

    #[test]
    fn a_table_without_columns_is_copied_too() {
        with(&[], RowFormat::Binary, |t| {
            assert_eq!(t.copy_out(&[]), r#"COPY "shop"."Or""ders" TO STDOUT (FORMAT binary)"#);
            assert_eq!(
                t.copy_out(&["true"]),
                r#"COPY (SELECT  FROM ONLY "shop"."Or""ders" WHERE (true)) TO STDOUT (FORMAT binary)"#
            );
            assert_eq!(
                t.copy_in(Freeze::No),
                r#"COPY "shop"."Or""ders" FROM STDIN (FORMAT binary)"#
            );
        });
    }

    #[test]
    fn texts_in_another_encoding_say_so_both_ways() {
        with(&["a"], RowFormat::Text, |t| {
            let t = CopyTable { encoding: Some("LATIN1"), ..t };
            assert!(t.copy_out(&[]).ends_with(" TO STDOUT (FORMAT text, ENCODING 'LATIN1')"));
            let copy_in = t.copy_in(Freeze::Yes);
            assert!(copy_in.ends_with("(FORMAT text, FREEZE, ENCODING 'LATIN1')"), "{copy_in}");
        });
    }
}
