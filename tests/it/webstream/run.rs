//! All steps by one command, which asks before each that changes something.

use super::hosts::{FILES, Installation};
use crate::trial::{ask, make_database};

const MADE: &str = "SELECT pg_catalog.count(*)::text FROM pg_catalog.pg_database \
     WHERE datname LIKE 'webstream%'";

const CLOSED: &str = "SELECT pg_catalog.bool_and(datconnlimit = 0)::text \
     FROM pg_catalog.pg_database WHERE datname LIKE 'webstream%'";

async fn small() -> Installation {
    let it = Installation::empty(15, 16).await;
    for name in ["webstream_iam", "webstream_metrics", "webstream_activity"] {
        let sql = "CREATE TABLE public.t AS SELECT 1 AS n";
        make_database(&it.source, name, sql).await;
    }
    it
}

fn words<'a>(it: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    ["run"].into_iter().chain(it.iter().map(String::as_str)).chain(more.iter().copied()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_asks_before_it_changes_anything_and_goes_on_where_it_stopped() {
    let it = small().await;
    let said = it.said();
    let authority = it.target.authority().display().to_string();
    let all = words(&said, &["--root-certificate", &authority]);
    let fits = it.text(FILES[0]);
    it.write(FILES[0], fits.replace("Pool Size=20", "Pool Size=500").as_bytes());
    let ended = it.answering(&all, "y\n");
    assert_eq!(ended.code, Some(3), "{}{}", ended.out, ended.said);
    assert!(ended.said.contains("stopping after check"), "{}", ended.said);
    it.write(FILES[0], fits.as_bytes());

    let ended = it.answering(&all, "no\n");
    assert_eq!(ended.code, Some(130), "{}{}", ended.out, ended.said);
    assert!(ended.said.contains("stopping before provision"), "{}", ended.said);
    assert_eq!(ask(&it.target, "postgres", MADE).await, "0");
    let ended = it.answering(&all, "");
    assert!(ended.said.contains("there is nobody to answer"), "{}", ended.said);

    let ended = it.answering(&all, "y\ny\nyes\nno\n");
    assert_eq!(ended.code, Some(130), "{}", ended.said);
    assert!(ended.out.contains("sc.exe stop SERVICE"), "{}", ended.out);
    assert!(ended.said.contains("stopping before repoint"), "{}", ended.said);
    // What it would write was shown.
    assert_eq!(ended.out.matches("  line ").count(), 8, "{}", ended.out);
    assert!(it.text(FILES[0]).contains("Host=127.0.0.1"));

    // What was said is known to who says it no more.
    let all = words(&said, &[]);
    let ended = it.answering(&all, "no\n");
    assert!(ended.out.contains("SSL Mode=VerifyFull"), "{}", ended.out);
    let ended = it.answering(&all, "y\nAnn\nno\n");
    assert_eq!(ended.code, Some(130), "{}", ended.said);
    assert!(ended.said.contains("stopping before retire"), "{}", ended.said);
    assert!(!ended.out.contains("== migrate =="), "{}", ended.out);
    let plan = it.text("gateway/pgconvoy.webstream.json");
    assert!(plan.contains("\"who\": \"Ann\""), "{plan}");
    assert_eq!(ask(&it.source, "postgres", CLOSED).await, "false");
    it.answering(&all, "y\n").fine();
    assert_eq!(ask(&it.source, "postgres", CLOSED).await, "true");
    assert!(it.answering(&all, "").fine().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_s_run_leaves_the_sign_in_to_a_person() {
    let it = small().await;
    let said = it.said();
    let ended = it.run(&words(&said, &["--yes", "--signed-in", "Bob"]));
    assert_eq!(ended.code, Some(2), "{}", ended.said);
    assert!(ended.said.contains("check isn't done"), "{}", ended.said);
    assert_eq!(ask(&it.target, "postgres", MADE).await, "0");
    let ended = it.run(&words(&said, &["--yes"]));
    assert_eq!(ended.code, Some(130), "{}", ended.said);
    assert!(ended.said.contains("--signed-in NAME"), "{}", ended.said);
    assert!(ended.out.contains("verifies nobody"), "{}", ended.out);
    assert_eq!(ask(&it.source, "postgres", CLOSED).await, "false");
    it.run(&words(&said, &["--yes", "--signed-in", "Bob"])).fine();
    assert_eq!(ask(&it.source, "postgres", CLOSED).await, "true");
}
