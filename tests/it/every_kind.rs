//! Every kind of object, between pairs of major versions: the copy is what pg_dump says the original
//! is, and what PostgreSQL's own restore would have made of it; and a copy of the copy is the same.
//!
//! `PGCONVOY_TEST_OBJECTS` (a comma list, such as `10,34_constraints`) runs only those files.

use pgconvoy::servers::Cluster;

use crate::migration::{moved, request};
use crate::oracle::{self, Side};
use crate::{kit, objects};

const DATABASE: &str = "objects";
/// Majors within which a copy is copied, too: the oldest, the bundled one and the newest.
const COPIED_TWICE: [u32; 3] = [12, 15, 18];

fn side(cluster: &Cluster) -> Side<'_> {
    Side { cluster, database: DATABASE }
}

async fn every_kind_moves(from: u32, to: u32) {
    let (source, target) = tokio::join!(kit::bundled(from), kit::bundled(to));
    objects::make(&source, DATABASE).await;
    moved(&request(&source, &target, &[DATABASE])).await;
    oracle::assert_same(side(&source), side(&target)).await;
    if from != to || !COPIED_TWICE.contains(&from) {
        return;
    }
    // What a migration makes is what it takes: nothing is lost or added from copy to copy.
    drop(source);
    let third = kit::bundled(to).await;
    moved(&request(&target, &third, &[DATABASE])).await;
    oracle::assert_same(side(&target), side(&third)).await;
}

macro_rules! pairs {
    ($($name:ident: $from:literal, $to:literal;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                every_kind_moves($from, $to).await;
            }
        )*
    };
}

pairs! {
    every_kind_moves_from_12_to_12: 12, 12;
    every_kind_moves_from_13_to_13: 13, 13;
    every_kind_moves_from_14_to_14: 14, 14;
    every_kind_moves_from_15_to_15: 15, 15;
    every_kind_moves_from_16_to_16: 16, 16;
    every_kind_moves_from_17_to_17: 17, 17;
    every_kind_moves_from_18_to_18: 18, 18;
    every_kind_moves_from_12_to_18: 12, 18;
    every_kind_moves_from_13_to_15: 13, 15;
    every_kind_moves_from_14_to_16: 14, 16;
    every_kind_moves_from_15_to_18: 15, 18;
    every_kind_moves_from_16_to_17: 16, 17;
}
