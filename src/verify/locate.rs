//! Where two tables differ: which keys are missing, extra, changed or doubled on the target.
//!
//! Both sides send their rows in the order of their keys' text, byte by byte, and are merged:
//! memory stays at one row a side, whatever the table's size. The servers sort, which is dear, but
//! only tables that are known to differ come here.

use std::cmp::Ordering;
use std::fmt;

use crate::copy::{CopyStream, KeyedRow, KeyedRows, Progress, ReadPart};
use crate::error::Result;
use crate::pg::{QualifiedName, RowFormat, quote_ident};
use crate::toc::{Side, TableData};
use crate::wire::RawConnection;

/// So many keys of each sort are kept to be shown.
const SHOWN: usize = 10;

/// How the rows of a table differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Located {
    /// The table.
    pub table: Option<QualifiedName>,
    /// The key's columns; none where the table has no key: then only counts are known.
    pub key: Vec<String>,
    /// On the source only.
    pub missing: Differing,
    /// On the target only, or there more often.
    pub extra: Differing,
    /// On both, with other values.
    pub changed: Differing,
}

/// Rows that differ in one way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differing {
    /// How many.
    pub count: u64,
    /// The keys of the first of them, rendered for people.
    pub keys: Vec<String>,
}

impl Differing {
    fn add(&mut self, row: &KeyedRow) {
        self.count += 1;
        if self.keys.len() < SHOWN {
            self.keys.push(render(row));
        }
    }
}

/// Reads `table` on both sides and says where they differ.
pub async fn locate(
    table: &TableData,
    source: &mut RawConnection,
    target: &mut RawConnection,
) -> Result<Located> {
    let (reading, rereading) = (statement(table, Side::Source), statement(table, Side::Target));
    let keys = table.key.len().max(1);
    let columns = keys + table.columns.len();
    let doing =
        |side: &str| format!("looking on {side} for rows of {} that differ", table.relation);
    let (here, there) = (doing("the source"), doing("the target"));
    let part = |doing, copy_out| ReadPart {
        copy_out,
        stream: CopyStream { doing, format: RowFormat::Text, columns },
    };
    let (seen, read) = (Progress::default(), Progress::default());
    let mut ours = KeyedRows::start(source, &part(&here, &reading), keys, &seen).await?;
    let mut theirs = KeyedRows::start(target, &part(&there, &rereading), keys, &read).await?;
    let mut located = Located {
        table: Some(table.relation.clone()),
        key: table.key.iter().map(|column| column.name.clone()).collect(),
        ..Located::default()
    };
    let (mut our, mut their) = (ours.next().await?, theirs.next().await?);
    loop {
        let side = match (&our, &their) {
            (None, None) => return Ok(located),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(our), Some(their)) => our.key.cmp(&their.key),
        };
        match (side, &our, &their) {
            (Ordering::Less, Some(row), _) => {
                located.missing.add(row);
                our = ours.next().await?;
            }
            (Ordering::Greater, _, Some(row)) => {
                located.extra.add(row);
                their = theirs.next().await?;
            }
            (_, Some(one), Some(other)) => {
                if one.hash != other.hash {
                    located.changed.add(one);
                }
                (our, their) = (ours.next().await?, theirs.next().await?);
            }
            _ => return Ok(located),
        }
    }
}

/// The rows with their keys in front, in the order of the keys' bytes. A table without a key is
/// told apart by a digest of the whole row.
fn statement(table: &TableData, side: Side) -> String {
    let columns: Vec<String> = table.columns.iter().map(|name| quote_ident(name)).collect();
    let columns = columns.join(", ");
    let keys: Vec<String> = if table.key.is_empty() {
        vec![format!("pg_catalog.md5(ROW({columns})::text)")]
    } else {
        table.key.iter().map(|key| format!("{}::text", quote_ident(&key.name))).collect()
    };
    let order: Vec<String> =
        keys.iter().map(|key| format!("({key}) COLLATE pg_catalog.\"C\"")).collect();
    let list = if columns.is_empty() { String::new() } else { format!(", {columns}") };
    let conditions: Vec<&str> = table.conditions(side).collect();
    let condition = match conditions.as_slice() {
        [] => String::new(),
        all => format!(" WHERE ({})", all.join(") AND (")),
    };
    format!(
        "COPY (SELECT {}{list} FROM {}{condition} ORDER BY {}) TO STDOUT (FORMAT text)",
        keys.join(", "),
        table.source_sql(),
        order.join(", ")
    )
}

fn render(row: &KeyedRow) -> String {
    let parts: Vec<String> = row
        .key
        .iter()
        .map(|part| match part {
            Some(bytes) => String::from_utf8_lossy(bytes).escape_debug().to_string(),
            None => "NULL".to_owned(),
        })
        .collect();
    parts.join(", ")
}

impl Located {
    /// Whether the rows are the same as text.
    pub fn is_equal_as_text(&self) -> bool {
        [&self.missing, &self.extra, &self.changed].iter().all(|rows| rows.count == 0)
    }

    fn tell(&self, what: &str, rows: &Differing) -> String {
        let noun = if rows.count == 1 { "row" } else { "rows" };
        let told = format!("{} {noun} {what}", rows.count);
        if self.key.is_empty() {
            return format!("{told} (the table has no key to name them by)");
        }
        let more = if rows.count > SHOWN as u64 { ", …" } else { "" };
        let keys: Vec<String> = rows.keys.iter().map(|key| format!("({key})")).collect();
        format!("{told}, {} {}{more}", self.key.join(", "), keys.join(", "))
    }
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(table) = &self.table {
            write!(f, "{table}: ")?;
        }
        let sorts = [
            ("missing on the target", &self.missing),
            ("extra on the target", &self.extra),
            ("with other values", &self.changed),
        ];
        let some = sorts.into_iter().filter(|(_, differing)| differing.count > 0);
        let told: Vec<String> = some.map(|(what, rows)| self.tell(what, rows)).collect();
        match told.is_empty() {
            true => f.write_str("the rows are equal as text by now"),
            false => f.write_str(&told.join("; ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toc::test_table;

    #[test]
    fn rows_come_in_the_order_of_their_keys_bytes() {
        assert_eq!(
            statement(&test_table("t"), Side::Source),
            "COPY (SELECT \"id\"::text, \"id\", \"note\" FROM ONLY \"public\".\"t\" ORDER BY \
             (\"id\"::text) COLLATE pg_catalog.\"C\") TO STDOUT (FORMAT text)"
        );
    }

    #[test]
    fn a_difference_is_told_with_its_keys() {
        let located = Located {
            table: Some(QualifiedName::new("public", "t")),
            key: vec!["id".into()],
            missing: Differing { count: 2, keys: vec!["3".into(), "5".into()] },
            changed: Differing { count: 1, keys: vec!["7".into()] },
            ..Located::default()
        };
        assert_eq!(
            located.to_string(),
            "public.t: 2 rows missing on the target, id (3), (5); 1 row with other values, id (7)"
        );
    }
}
