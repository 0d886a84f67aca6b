//! What a target makes of an archive's rows. An archive has values as they were rendered for
//! pg_dump: times in the zone of its session, floats as its version wrote them. Such rows are loaded
//! once more, into a temporary table, and read as the target renders them.

use std::sync::Arc;

use crate::copy::{self, CopyTable, Fingerprint, Freeze, LoadPart, Progress, ReadPart};
use crate::error::Result;
use crate::pg::{QualifiedName, quote_literal};
use crate::toc::TableData;
use crate::wire::{Conninfo, RawConnection};

use super::origin::ArchivedRows;
use super::rows::{encoding, stream};

/// The fingerprint of a table's rows in the archive, as the target renders them. Nothing of them
/// stays there.
pub async fn rendered(
    from: &Arc<ArchivedRows>,
    table: &TableData,
    target: &Conninfo,
    progress: &Progress,
) -> Result<Fingerprint> {
    let doing = format!("having the target render the archive's rows of {}", table.relation);
    let mut target = RawConnection::connect(target).await?;
    let columns: Vec<String> = target
        .query(&doing, &definitions(table))
        .await?
        .into_iter()
        .filter_map(|row| row.into_iter().next().flatten())
        .collect();
    let relation = QualifiedName::new("pg_temp", "rows of an archive");
    let sql = format!("BEGIN; CREATE TEMPORARY TABLE {} ({})", relation.sql(), columns.join(", "));
    target.execute(&doing, &sql).await?;
    let copy = CopyTable {
        relation: &relation,
        columns: &table.columns,
        format: table.format,
        from: None,
        encoding: encoding(table),
    };
    let parts = table.archived.as_ref().map_or(&[][..], |archived| &archived.parts);
    let copies: Vec<String> = parts
        .iter()
        .map(|part| {
            let columns = part.columns.as_deref().unwrap_or(&table.columns);
            CopyTable { columns, ..copy }.copy_in(Freeze::No)
        })
        .collect();
    let loads: Vec<LoadPart<'_>> =
        copies.iter().map(|copy_in| LoadPart { copy_in, stream: stream(table, &doing) }).collect();
    let mut reading = from.read(parts.iter().map(|part| vec![part.clone()]).collect());
    copy::load(&mut reading.blocks, &mut target, &loads, progress).await?;
    let part = ReadPart { copy_out: &copy.copy_out(&[]), stream: stream(table, &doing) };
    let read = copy::fingerprints(&mut target, &[part], progress).await?;
    target.execute(&doing, "ROLLBACK").await?;
    Ok(read.into_iter().sum())
}

/// The query for what the columns are.
fn definitions(table: &TableData) -> String {
    let names: Vec<String> = table.columns.iter().map(|name| quote_literal(name)).collect();
    let named = match names.is_empty() {
        true => "false".to_owned(),
        false => format!("a.attname IN ({})", names.join(", ")),
    };
    let relation = quote_literal(&table.relation.sql());
    format!(
        "SELECT pg_catalog.quote_ident(a.attname) || ' ' \
         || pg_catalog.format_type(a.atttypid, a.atttypmod) \
         FROM pg_catalog.pg_attribute a WHERE a.attnum > 0 AND NOT a.attisdropped AND {named} \
         AND a.attrelid = {relation}::pg_catalog.regclass ORDER BY a.attnum"
    )
}
