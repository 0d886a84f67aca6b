//! A repoint that is cut off between two files: the way back is on record before the first is replaced.

use std::fs;

use super::hosts::{FILES, Installation};
use crate::trial::{ask, make_database};

const MAY_LOG_IN: &str = "SELECT pg_catalog.bool_and(rolcanlogin)::text FROM pg_catalog.pg_roles \
     WHERE rolname LIKE 'webstream%'";

#[tokio::test(flavor = "multi_thread")]
async fn a_repoint_that_was_killed_among_its_files_is_led_back() {
    let it = Installation::empty(15, 15).await;
    for name in ["webstream_iam", "webstream_metrics", "webstream_activity"] {
        make_database(&it.source, name, "CREATE TABLE public.t AS SELECT 1 AS n").await;
    }
    let before = FILES.map(|name| fs::read(it.path(name)).unwrap());
    let text = || FILES.map(|name| fs::read(it.path(name)).unwrap());
    it.provision().fine();
    it.step(&["migrate"]).fine();
    it.step(&["verify"]).fine();
    // The second attempt goes on from the first one.
    for (passing, replaced) in [(1, 0), (3, 2)] {
        let point = format!("before replace configuration:{passing}");
        assert_eq!(it.killed_at(&point, &["repoint"]).code, None);
        let differing = text().iter().zip(&before).filter(|(now, then)| now != then).count();
        assert_eq!(differing, replaced);
    }
    assert_eq!(ask(&it.source, "postgres", MAY_LOG_IN).await, "false");
    // What was there before the first attempt is what it leads back to.
    it.step(&["rollback"]).fine();
    assert_eq!(text(), before);
    assert_eq!(ask(&it.source, "postgres", MAY_LOG_IN).await, "true");
}
