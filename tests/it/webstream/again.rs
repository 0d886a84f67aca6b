//! A move that is begun anew, and what a step says once the services live on the target.

use super::hosts::{FILES, Installation};
use crate::trial::{ask, change, make_database};

const ROWS: &str = "SELECT pg_catalog.count(*)::text FROM public.child";

async fn small() -> Installation {
    let it = Installation::empty(15, 16).await;
    for name in ["webstream_iam", "webstream_metrics", "webstream_activity"] {
        let sql = "CREATE TABLE public.t (n int PRIMARY KEY); INSERT INTO public.t VALUES (1); \
                   CREATE TABLE public.child (n int REFERENCES public.t); \
                   INSERT INTO public.child VALUES (1)";
        make_database(&it.source, name, sql).await;
        let give = format!(
            "ALTER TABLE public.t OWNER TO {name}; ALTER TABLE public.child OWNER TO {name}"
        );
        change(&it.source, name, &give).await;
    }
    it
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_way_back_a_source_that_lived_on_is_moved_anew() {
    let it = small().await;
    let ended = it.step_told("verify");
    assert!(ended.refused().contains("run `pgconvoy webstream migrate` first"));
    it.provision().fine();
    it.step(&["migrate"]).fine();
    it.step(&["verify"]).fine();
    it.step(&["rollback"]).fine();
    change(&it.source, "webstream_metrics", "INSERT INTO public.child VALUES (1)").await;
    let ended = it.step(&["migrate"]);
    assert!(ended.said.contains("--restart"), "{}{}", ended.out, ended.said);
    it.step(&["migrate", "--restart"]).fine();
    assert_eq!(ask(&it.target, "webstream_metrics", ROWS).await, "2");
    it.step(&["verify"]).fine();
    it.step(&["repoint"]).fine();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_services_write_on_the_target_is_told_apart_from_a_bad_copy() {
    let it = small().await;
    it.provision().fine();
    it.step(&["migrate"]).fine();
    assert!(it.step(&["verify"]).fine().contains("sign-off"));
    let authority = it.target.authority().display().to_string();
    it.step(&["repoint", "--root-certificate", &authority]).fine();
    let report = files_ending(&it, ".html");
    let [report] = report.as_slice() else { panic!("{report:?}") };
    assert!(it.text(report).contains(">repoint<"));

    let named = it.named(FILES[0]);
    let metrics = named.iter().find(|named| named.database == "webstream_metrics").unwrap();
    let session = it.as_application(metrics).await;
    session.execute("writing", "INSERT INTO public.child VALUES (1)").await.unwrap();
    session.close().await;
    let ended = it.step(&["verify"]);
    assert_eq!(ended.code, Some(1), "{}{}", ended.out, ended.said);
    assert!(!ended.out.contains("sign-off"), "{}", ended.out);
    assert!(ended.said.contains("stay on record"), "{}", ended.said);

    it.step(&["retire"]).fine();
    let said = it.step(&["repoint"]).fine();
    assert_eq!(said.matches("leads to the target already").count(), 3, "{said}");
    // A later check verifies by what the services verify by.
    let said = it.step(&["check", "--json"]).out;
    assert!(said.contains("\"verified\":true"), "{said}");
}

fn files_ending(it: &Installation, end: &str) -> Vec<String> {
    let names = super::hosts::files_beside(&it.path(FILES[0]));
    names
        .into_iter()
        .filter(|name| name.ends_with(end))
        .map(|name| format!("gateway/{name}"))
        .collect()
}
