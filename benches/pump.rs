//! How fast the data plane is: `cargo bench --bench pump`.

mod peer;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use pgconvoy::copy::Fingerprint;
use tokio::runtime::Runtime;

use peer::Rows;

fn main() {
    divan::main();
}

/// Rows forwarded from one peer to another, fingerprint and checksum included. The peers' own work
/// is in the time, as is the kernel's.
#[divan::bench(args = [20, 120, 8 << 10, 1 << 20], sample_count = 20)]
fn forward(bencher: Bencher<'_, '_>, width: usize) {
    let rows = Rows { count: (64 << 20) / width, width };
    let runtime = Runtime::new().expect("a runtime");
    let (port, _serving) = peer::serve(rows).expect("a free port");
    let mut source = runtime.block_on(peer::connect(port));
    let mut target = runtime.block_on(peer::connect(port));
    bencher
        .counter(BytesCount::new(rows.count * rows.width))
        .counter(ItemsCount::new(rows.count))
        .bench_local(|| runtime.block_on(peer::copy(&mut source, &mut target)));
}

#[divan::bench(args = [20, 120, 8 << 10])]
fn fingerprint(bencher: Bencher<'_, '_>, width: usize) {
    let row = vec![b'x'; width];
    let count = (1 << 20) / width;
    bencher.counter(BytesCount::new(count * width)).bench_local(|| {
        let mut sum = Fingerprint::default();
        for _ in 0..count {
            sum.add_row(black_box(&row));
        }
        sum
    });
}
