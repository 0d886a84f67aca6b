//! How fast a table of contents is put into order: `cargo bench --bench toc`.

use divan::Bencher;
use pgconvoy::toc::{Entry, EntryId, Kind, in_restoring_order};

fn main() {
    divan::main();
}

/// A table, its rows, a key and an index, over and over.
#[divan::bench(args = [100_000], sample_count = 10)]
fn sort(bencher: Bencher<'_, '_>, count: u32) {
    bencher.with_inputs(|| entries(count)).bench_local_values(in_restoring_order);
}

fn entries(count: u32) -> Vec<Entry> {
    const KINDS: [Kind; 4] = [Kind::Table, Kind::TableData, Kind::Constraint, Kind::Index];
    let entry = |number: u32| {
        let table = number - number % 4;
        let depends_on = (number != table).then_some(EntryId(table)).into_iter().collect();
        let name = format!("t{}", (count - table) / 4);
        Entry { depends_on, ..Entry::new(KINDS[number as usize % 4], Some("public"), name) }
    };
    (0..count).map(entry).collect()
}
