//! Rows partitioned by a hash that differs between clusters find their partitions anew.

use crate::migration::request;
use crate::{kit, pg_dump, trial};

const FIXTURE: &str = include_str!("../../fixtures/objects/62_partition_root.sql");

#[tokio::test(flavor = "multi_thread")]
async fn rows_hashed_by_an_enum_move_into_the_partitions_they_belong_to_there() {
    for (from, target) in [(15, kit::rds_like(15).await), (12, kit::bundled(18).await)] {
        let source = kit::bundled(from).await;
        // The target's enums get other OIDs, and with them other hashes.
        trial::make_database(&source, "shop", FIXTURE).await;
        trial::run(&request(&source, &target, &["shop"])).await.clean();
        for table in ["moods", "days", "mixed"] {
            let all = format!(
                "SELECT count(*) || ' ' || sum(hashtextextended(t::text, 0)) \
                 FROM partition_root.{table} t"
            );
            let ours = trial::ask(&source, "shop", &all).await;
            assert_eq!(ours, trial::ask(&target, "shop", &all).await, "{table}");
        }
        // What a partition holds is found by its key: the pruned query looks into one only.
        let by_key = "SELECT string_agg(felt || ' ' || n, ', ' ORDER BY felt) FROM ( \
                      SELECT m.felt, (SELECT count(*) FROM partition_root.moods o \
                      WHERE o.felt = m.felt) AS n FROM partition_root.moods m GROUP BY 1) found";
        let ours = trial::ask(&source, "shop", by_key).await;
        assert_eq!(ours, trial::ask(&target, "shop", by_key).await);
        if from == 15 {
            let (ours, theirs) =
                (pg_dump::schema(&source, "shop"), pg_dump::schema(&target, "shop"));
            pg_dump::assert_equal(&ours, &theirs, "shop");
        }
    }
}
