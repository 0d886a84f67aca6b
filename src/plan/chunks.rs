//! Which tables are split, which are gathered, and where.

use crate::toc::{ChunkRange, RowsOf, TableData};

use super::step::{Chunk, TableId};

/// Tables below this travel several to a transaction.
const SMALL: u64 = 4 << 20;
/// What a gathered transaction carries at most.
const GATHER_BYTES: u64 = 16 << 20;
/// How many tables a gathered transaction loads at most: each holds locks on the table, its TOAST
/// table and that one's index, and max_locks_per_transaction is 64 unless changed.
const GATHER_TABLES: usize = 64;
/// A chunk isn't made smaller than this: each costs a transaction and a commit.
const CHUNK_MIN: u64 = 32 << 20;
/// A chunk isn't made bigger than this: a crash loses at most one chunk a worker.
const CHUNK_MAX: u64 = 1 << 30;
/// So many chunks for each worker, so that none ends long after the others.
const CHUNKS_PER_JOB: u64 = 8;

/// How the source lets tables be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Splitting {
    /// By ctid ranges: TID range scans exist (PostgreSQL 14).
    Pages,
    /// By ranges of the key: a ctid range would scan the whole table.
    Keys,
}

/// The chunks of all tables, grouped as they are to be copied: each group is one step.
pub fn divide(tables: &[TableData], splitting: Splitting, jobs: usize) -> Vec<Vec<Chunk>> {
    let total: u64 = tables.iter().map(|table| table.size.bytes).sum();
    let wanted = (total / (jobs.max(1) as u64 * CHUNKS_PER_JOB)).clamp(CHUNK_MIN, CHUNK_MAX);
    let mut groups = Vec::new();
    let together: Vec<Chunk> = (tables.iter().zip(0..))
        .filter(|(table, _)| table.in_foreign_keys)
        .map(|(table, index)| Chunk {
            table: TableId(index),
            range: ChunkRange::Whole,
            bytes: table.size.bytes,
        })
        .collect();
    if !together.is_empty() {
        groups.push(together);
    }
    let mut gathered: Vec<Chunk> = Vec::new();
    let mut gathered_bytes = 0;
    for (index, table) in tables.iter().enumerate().filter(|(_, table)| !table.in_foreign_keys) {
        let id = TableId(index as u32);
        let bytes = table.size.bytes;
        let ranges = match table.rows_of {
            _ if table.archived.is_some() => archived_ranges(table, wanted),
            RowsOf::LargeObjects { .. } => at_every_bound(table),
            _ if bytes >= SMALL => split(table, splitting, wanted),
            _ => Vec::new(),
        };
        if !ranges.is_empty() {
            let each = bytes / ranges.len() as u64;
            let bytes_of = |range: &ChunkRange| archived_bytes(table, range).unwrap_or(each);
            let chunk = |range: ChunkRange| Chunk { table: id, bytes: bytes_of(&range), range };
            let chunks = ranges.into_iter().map(chunk);
            groups.extend(chunks.map(|chunk| vec![chunk]));
            continue;
        }
        if gathered.len() == GATHER_TABLES || gathered_bytes + bytes > GATHER_BYTES {
            groups.push(std::mem::take(&mut gathered));
            gathered_bytes = 0;
        }
        gathered_bytes += bytes;
        gathered.push(Chunk { table: id, range: ChunkRange::Whole, bytes });
    }
    if !gathered.is_empty() {
        groups.push(gathered);
    }
    groups
}

/// The ranges of one table.
fn split(table: &TableData, splitting: Splitting, wanted: u64) -> Vec<ChunkRange> {
    let parts = table.size.bytes.div_ceil(wanted);
    if parts < 2 || table.condition.is_some() {
        return vec![ChunkRange::Whole];
    }
    match splitting {
        Splitting::Pages if table.heap => by_pages(table.size.pages, parts),
        Splitting::Keys if table.heap => by_keys(table, parts),
        _ => vec![ChunkRange::Whole],
    }
}

/// Parts that follow each other in an archive, together as big as `wanted`; none where the table is
/// small. Large objects stay apart as the archive has them: what each of them gets besides
/// its contents takes a lock.
fn archived_ranges(table: &TableData, wanted: u64) -> Vec<ChunkRange> {
    let parts = table.archived.as_ref().map_or(&[][..], |archived| &archived.parts);
    let large_objects = table.holds_large_objects();
    let mut ranges: Vec<(u32, u32, u64)> = Vec::new();
    for (place, part) in (0..).zip(parts) {
        let goes_with = |&(from, _, bytes): &(u32, u32, u64)| {
            let alike = parts[from as usize].columns == part.columns;
            !large_objects && alike && bytes + part.bytes <= wanted
        };
        match ranges.pop_if(|last| goes_with(last)) {
            Some((from, _, bytes)) => ranges.push((from, place + 1, bytes + part.bytes)),
            None => ranges.push((place, place + 1, part.bytes)),
        }
    }
    match ranges.as_slice() {
        [_] if !large_objects && table.size.bytes < SMALL => Vec::new(),
        [_] if !large_objects => vec![ChunkRange::Whole],
        all => all.iter().map(|&(from, to, _)| ChunkRange::Archived { from, to }).collect(),
    }
}

/// How big a part of an archive's rows is.
fn archived_bytes(table: &TableData, range: &ChunkRange) -> Option<u64> {
    let parts = table.archived.as_ref()?.parts_of(range);
    Some(parts.iter().map(|part| part.bytes).sum())
}

/// The ranges between all bounds, open at both ends.
fn at_every_bound(table: &TableData) -> Vec<ChunkRange> {
    let Some(key) = table.key.first() else { return vec![ChunkRange::Whole] };
    ranges(&key.name, table.key_bounds.iter().skip(1))
}

/// Equal ranges of heap pages; the last is open, as the table may have grown since.
fn by_pages(pages: u64, parts: u64) -> Vec<ChunkRange> {
    let parts = parts.min(pages.max(1));
    let bound = |part: u64| pages * part / parts;
    (0..parts)
        .map(|part| ChunkRange::Pages {
            from: bound(part),
            to: (part + 1 < parts).then(|| bound(part + 1)),
        })
        .collect()
}

/// Ranges between the bounds that the source's own histogram of the key gives, open at both ends.
fn by_keys(table: &TableData, parts: u64) -> Vec<ChunkRange> {
    let bounds = &table.key_bounds;
    let (Some(key), true) = (table.key.first(), bounds.len() > 2) else {
        return vec![ChunkRange::Whole];
    };
    let inner = &bounds[1..bounds.len() - 1];
    let cuts = (parts - 1).min(inner.len() as u64);
    let mut picked: Vec<&String> = (1..=cuts)
        .map(|cut| &inner[((inner.len() as u64 * cut / (cuts + 1)) as usize).min(inner.len() - 1)])
        .collect();
    picked.dedup();
    ranges(&key.name, picked.into_iter())
}

/// The ranges of a column that inner bounds divide it into.
fn ranges<'b>(column: &str, bounds: impl Iterator<Item = &'b String>) -> Vec<ChunkRange> {
    let edges: Vec<Option<&String>> =
        std::iter::once(None).chain(bounds.map(Some)).chain([None]).collect();
    edges
        .windows(2)
        .map(|edge| ChunkRange::Keys {
            column: column.to_owned(),
            from: edge[0].cloned(),
            to: edge[1].cloned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toc::{Archived, ArchivedPart, test_table};

    fn table(megabytes: u64) -> TableData {
        let mut table = test_table(&format!("t{megabytes}"));
        table.size.bytes = megabytes << 20;
        table.size.pages = megabytes * 128;
        table
    }

    #[test]
    fn page_ranges_touch_each_other_and_the_last_is_open() {
        let ranges = by_pages(1001, 4);
        let mut next = 0;
        for (index, range) in ranges.iter().enumerate() {
            let ChunkRange::Pages { from, to } = range else { panic!("{range:?}") };
            assert_eq!(*from, next);
            assert_eq!(to.is_none(), index == 3);
            next = to.unwrap_or(0);
        }
    }

    #[test]
    fn key_ranges_cover_everything_between_the_histogram_bounds() {
        let mut big = table(1000);
        big.key_bounds = (0..=100).map(|n| (n * 10).to_string()).collect();
        let ranges = by_keys(&big, 4);
        assert_eq!(ranges.len(), 4);
        let mut edge = None;
        for range in &ranges {
            let ChunkRange::Keys { from, to, .. } = range else { panic!("{range:?}") };
            assert_eq!(*from, edge);
            edge = to.clone();
        }
        assert_eq!(edge, None);
    }

    #[test]
    fn small_tables_are_gathered_and_big_ones_split() {
        let mut tables = vec![table(1000)];
        tables.extend((0..100).map(|_| table(1)));
        let groups = divide(&tables, Splitting::Pages, 2);
        let (split, gathered): (Vec<_>, Vec<_>) = groups.iter().partition(|g| g.len() == 1);
        assert!(split.len() > 8, "{}", split.len());
        assert_eq!(gathered.iter().map(|group| group.len()).sum::<usize>(), 100);
        assert!(gathered.iter().all(|group| group.len() <= 16));
    }

    #[test]
    fn large_objects_are_divided_at_every_bound_however_small_they_are() {
        let mut objects = table(0);
        objects.rows_of = RowsOf::LargeObjects { groups: Vec::new() };
        objects.key_bounds = ["20", "30", "40"].map(str::to_owned).to_vec();
        let groups = divide(&[table(1), objects], Splitting::Pages, 2);
        let conditions: Vec<Option<String>> =
            groups.iter().flatten().map(|chunk| chunk.range.condition()).collect();
        let told: Vec<&str> = conditions.iter().flatten().map(String::as_str).collect();
        assert_eq!(told, ["\"id\" < '30'", "\"id\" >= '30' AND \"id\" < '40'", "\"id\" >= '40'"]);
        assert_eq!(groups.len(), 4);
    }

    #[test]
    fn an_archives_chunks_are_taken_together_up_to_a_size_and_a_single_one_is_the_whole() {
        let part = |megabytes: u64| ArchivedPart {
            item: 7,
            chunk: None,
            bytes: megabytes << 20,
            columns: None,
        };
        let archived = |parts: &[u64]| {
            let mut table = table(parts.iter().sum());
            table.archived =
                Some(Archived { parts: parts.iter().copied().map(part).collect(), encoding: None });
            table
        };
        let tables = [archived(&[20, 10, 20, 40]), archived(&[900]), archived(&[1, 1])];
        let groups = divide(&tables, Splitting::Pages, 20);
        let ranges = |table: u32| {
            let chunks = groups.iter().flatten().filter(|chunk| chunk.table == TableId(table));
            chunks.map(|chunk| (chunk.range.clone(), chunk.bytes >> 20)).collect::<Vec<_>>()
        };
        let range = |from, to| ChunkRange::Archived { from, to };
        assert_eq!(ranges(0), [(range(0, 2), 30), (range(2, 3), 20), (range(3, 4), 40)]);
        assert_eq!(ranges(1), [(ChunkRange::Whole, 900)]);
        assert_eq!(ranges(2), [(ChunkRange::Whole, 2)]);
    }

    #[test]
    fn tables_between_which_foreign_keys_stand_are_copied_together_and_in_order() {
        let bound = |megabytes| TableData { in_foreign_keys: true, ..table(megabytes) };
        let groups = divide(&[table(1), bound(1000), table(2), bound(3)], Splitting::Pages, 2);
        let ids = |group: &[Chunk]| group.iter().map(|c| c.table.0).collect::<Vec<_>>();
        let ids: Vec<Vec<u32>> = groups.iter().map(|group| ids(group)).collect();
        assert_eq!(ids, [vec![1, 3], vec![0, 2]]);
    }

    #[test]
    fn a_table_without_statistics_of_its_key_stays_whole_on_an_old_source() {
        let groups = divide(&[table(5000)], Splitting::Keys, 2);
        assert_eq!(groups.len(), 1);
        assert_eq!(groups[0][0].range, ChunkRange::Whole);
    }
}
