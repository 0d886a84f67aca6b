//! What can't go well is refused in words that say where and what, and nothing is changed.

use super::hosts::{FILES, Installation};
use crate::kit;
use crate::trial::{ask, make_database};

/// A source with next to nothing in it.
async fn small(source: u32, target: u32) -> Installation {
    let it = Installation::empty(source, target).await;
    for name in ["webstream_iam", "webstream_metrics", "webstream_activity"] {
        let sql = "CREATE TABLE public.t AS SELECT 1 AS n";
        make_database(&it.source, name, sql).await;
    }
    it
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_is_not_understood_is_refused_by_every_step() {
    let it = small(15, 15).await;
    let good = it.text(FILES[0]);
    let pair = "<x><connectionString>Host=127.0.0.1;Database=webstream_iam;Username=webstream_iam\
                </connectionString><passwordRef>env:OTHER</passwordRef></x></configuration>";
    for (text, expected) in [
        (good.replace("</database>", ""), "isn't well-formed XML"),
        (good.replace("</configuration>", pair), "is named before, with other settings"),
        (good.replace("<passwordRef>env:IAM_PW</passwordRef>", ""), "line 6, column"),
        (good.replace("env:IAM_PW", "IAM_PW"), "begins with neither env: nor dpapi:"),
        (good.replace("Username=webstream_iam;", ""), "it has no Username"),
    ] {
        it.write(FILES[0], text.as_bytes());
        let before = it.snapshot();
        for step in ["provision", "migrate", "repoint", "status"] {
            let words: Vec<String> = it.said();
            let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
            words.insert(0, step);
            let said = it.run(&words).refused();
            assert!(said.contains(expected) && said.contains(FILES[0]), "{expected}: {said}");
        }
        assert_eq!(it.snapshot(), before);
    }
    let roles = "SELECT pg_catalog.count(*)::text FROM pg_catalog.pg_roles \
                 WHERE rolname LIKE 'webstream%'";
    assert_eq!(ask(&it.target, "postgres", roles).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_do_not_agree_on_a_role_are_refused() {
    let it = small(15, 15).await;
    let other = it.text(FILES[1]).replace("Username=webstream_iam", "Username=webstream_metrics");
    it.write(FILES[1], other.as_bytes());
    let said = it.provision().refused();
    assert!(said.contains("database webstream_iam is webstream_metrics's there"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_older_is_refused() {
    let it = small(16, 15).await;
    let before = it.snapshot();
    let said = it.provision().refused();
    assert!(said.contains("PostgreSQL 15, older than the bundled instance's 16"), "{said}");
    assert_eq!(it.snapshot(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_did_not_sign_the_targets_certificate_is_told() {
    let (it, other) = tokio::join!(small(15, 15), kit::rds_like(15));
    let words = it.said().join("\n");
    let wrong = words.replace(
        &it.target.authority().display().to_string(),
        &other.authority().display().to_string(),
    );
    let mut words: Vec<&str> = wrong.split('\n').collect();
    words.insert(0, "provision");
    let ended = it.run(&words);
    assert_eq!(ended.code, Some(4), "{}", ended.said);
    assert!(ended.said.contains("certificate"), "{}", ended.said);
    assert!(!it.path("secrets.env").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_may_not_be_written_keeps_all_from_being_written() {
    let it = small(15, 15).await;
    it.provision().fine();
    it.step(&["migrate"]).fine();
    it.step(&["verify"]).fine();
    let path = it.path(FILES[1]);
    let mut permissions = std::fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&path, permissions).unwrap();
    let before = it.snapshot();
    let said = it.step(&["repoint"]).refused();
    assert!(said.contains("worker") && said.contains("the file is read-only"), "{said}");
    assert_eq!(it.snapshot(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_that_is_not_set_is_named() {
    let it = small(15, 15).await;
    let words = it.said();
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    words.insert(0, "status");
    let ended = it.run(&words);
    assert_eq!(ended.code, Some(3), "{}", ended.said);
    assert!(ended.out.contains("there is no variable IAM_PW here"), "{}", ended.out);
    assert!(ended.out.contains("dpapi: token"), "{}", ended.out);
}
