//! All steps: there, and back.

use std::fs;

use super::hosts::{FILES, Installation, count, files_beside};
use crate::trial::{ask, change};

/// A table of each database that its role reads.
const TABLES: [(&str, &str); 3] = [
    ("webstream_iam", "public.users"),
    ("webstream_metrics", "public.samples"),
    ("webstream_activity", "public.audit_trail"),
];

const MAY_LOG_IN: &str = "SELECT pg_catalog.string_agg(rolcanlogin::text, ' ' ORDER BY rolname) \
     FROM pg_catalog.pg_roles WHERE rolname IN ('webstream_iam', 'webstream_metrics', \
     'webstream_activity')";

async fn migrated(source: u32, target: u32) -> Installation {
    let it = Installation::new(source, target).await;
    it.provision().fine();
    it.step(&["backup"]).fine();
    let moved = it.step(&["migrate"]).fine();
    assert!(!moved.contains("stays as it is there"), "{moved}");
    assert!(moved.contains("`pgconvoy webstream rollback` lets"), "{moved}");
    assert!(!moved.contains("unfence"), "{moved}");
    let again = it.step(&["migrate"]).fine();
    assert_eq!(again.matches("already finished").count(), 3, "{again}");
    it.step(&["verify"]).fine();
    it.step(&["verify"]).fine();
    it
}

#[tokio::test(flavor = "multi_thread")]
async fn every_service_finds_its_rows_on_the_target_through_its_rewritten_configuration() {
    let it = migrated(15, 16).await;
    let before: Vec<String> = FILES.iter().map(|name| it.text(name)).collect();
    let authority = it.target.authority().display().to_string();
    let shown = it.step(&["repoint", "--dry-run", "--root-certificate", &authority]).fine();
    assert!(shown.contains("SSL Mode=VerifyFull") && !shown.contains("in;line"), "{shown}");
    assert_eq!(FILES.map(|name| it.text(name)).to_vec(), before);

    if cfg!(not(windows)) {
        let said = it.step(&["repoint", "--password-ref", "dpapi"]).refused();
        assert!(said.contains("only Windows") && said.contains("--password-ref env"), "{said}");
        assert_eq!(FILES.map(|name| it.text(name)).to_vec(), before);
    }

    let shown = it.step(&["repoint", "--root-certificate", &authority]).fine();
    let names =
        "'^(WEBSTREAM_ACTIVITY_PASSWORD|WEBSTREAM_IAM_PASSWORD|WEBSTREAM_METRICS_PASSWORD)='";
    assert!(shown.contains(names) && shown.contains("-Type MultiString"), "{shown}");
    for line in it.text("secrets.env").lines() {
        assert!(!shown.contains(line.split_once('=').unwrap().1), "a secret is shown");
    }
    let port = it.target.port();
    for (name, before) in FILES.iter().zip(&before) {
        for named in it.named(name) {
            assert_eq!((named.host.as_str(), named.port), ("localhost", port));
            let session = it.as_application(&named).await;
            let (_, table) = TABLES.iter().find(|(name, _)| *name == named.database).unwrap();
            let there = ask(
                &it.source,
                &named.database,
                &format!("SELECT pg_catalog.count(*)::text FROM {table}"),
            )
            .await;
            let here = count(&session, table).await;
            assert!(here > 0 && there == here.to_string(), "{table}: {there}, {here}");
        }
        assert_eq!(
            only_what_must(&it.text(name), port, &authority),
            only_what_must(before, port, &authority),
            "{name}"
        );
    }
    let reports = it.text(FILES[2]);
    assert!(reports.starts_with('\u{feff}') && !reports.replace("\r\n", "").contains('\n'));
    assert!(reports.contains("Username=webstream&#95;activity;Application Name=\"R&amp;D\""));

    let all = it.snapshot();
    for step in ["provision", "repoint", "status"] {
        let said = it.step(&[step]).fine();
        assert!(
            step != "repoint" || said.matches("leads to the target already").count() == 3,
            "{said}"
        );
    }
    assert_eq!(it.snapshot(), all);
    let status = it.step(&["status", "--json"]).fine();
    assert_eq!(status.matches("\"TLSv1.3").count(), 6, "{status}");

    it.step(&["retire"]).fine();
    it.step(&["retire"]).fine();
    assert_eq!(ask(&it.source, "postgres", MAY_LOG_IN).await, "false false false");
    let closed = "SELECT pg_catalog.bool_and(datconnlimit = 0)::text FROM pg_catalog.pg_database \
                  WHERE datname LIKE 'webstream%'";
    assert_eq!(ask(&it.source, "postgres", closed).await, "true");
    let read_only = "SELECT pg_catalog.current_setting('default_transaction_read_only')";
    assert_eq!(ask(&it.source, "webstream_iam", read_only).await, "on");
    let said = it.step(&["rollback"]).refused();
    assert!(said.contains("unretire"), "{said}");
    it.step(&["unretire"]).fine();
    let limit = "SELECT datconnlimit::text FROM pg_catalog.pg_database \
                 WHERE datname = 'webstream_metrics'";
    assert_eq!(ask(&it.source, "postgres", limit).await, "200");
    assert_eq!(ask(&it.source, "webstream_iam", read_only).await, "off");
    assert_eq!(it.snapshot(), all);
}

/// A file's text with all that may change made equal: where pairs lead, and how.
fn only_what_must(text: &str, port: u16, authority: &str) -> String {
    let mut text = text.to_owned();
    for (new, nothing) in [
        (format!("SSL Mode=VerifyFull;Root Certificate={authority}"), ""),
        (format!("Port={port}"), "Port=…"),
        ("localhost".to_owned(), "127.0.0.1"),
        ("Password=&quot;in;line&quot;".to_owned(), ""),
    ] {
        text = text.replace(&new, nothing);
    }
    let is_port = |part: &&str| part.chars().next().is_some_and(|c| c.is_ascii_digit());
    let mut parts: Vec<String> = Vec::new();
    for part in text.split("Port=") {
        let rest = if is_port(&part) {
            part.trim_start_matches(|c: char| c.is_ascii_digit())
        } else {
            part
        };
        parts.push(rest.trim_start_matches('…').to_owned());
    }
    let mut text = parts.join("Port=");
    for name in ["IAM_PW", "METRICS_PW", "ACTIVITY_PW"] {
        text = text.replace(&format!("env:{name}"), "env:");
    }
    for name in ["IAM", "METRICS", "ACTIVITY"] {
        text = text.replace(&format!("env:WEBSTREAM_{name}_PASSWORD"), "env:");
    }
    text = text.replace("dpapi:AQAAANCMnd8=", "env:");
    // What is added or taken away stands at a string's end, with its semicolon.
    for end in ['<', '"', '\'', '\r'] {
        for _ in 0..2 {
            text = text.replace(&format!(";{end}"), &end.to_string());
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_puts_the_files_back_and_leaves_nothing_behind_unasked() {
    let it = migrated(15, 15).await;
    let before = FILES.map(|name| fs::read(it.path(name)).unwrap());
    assert_eq!(ask(&it.source, "postgres", MAY_LOG_IN).await, "false false false");
    let authority = it.target.authority().display().to_string();
    let said = it.step(&["repoint"]).fine();
    assert!(said.contains("SSL Mode=Require") && said.contains("verifies nobody"), "{said}");
    it.step(&["repoint", "--root-certificate", &authority]).fine();
    let after = FILES.map(|name| fs::read(it.path(name)).unwrap());
    assert_ne!(before, after);

    // A service writes to the target.
    let named = it.named(FILES[0]);
    let iam = named.iter().find(|named| named.database == "webstream_iam").unwrap();
    let session = it.as_application(iam).await;
    let sql = "INSERT INTO public.system_settings SELECT * FROM public.system_settings LIMIT 0; \
               CREATE TABLE public.newer AS SELECT 1 AS n; DELETE FROM public.activity_log";
    session.execute("writing", sql).await.unwrap();
    session.close().await;
    let said = it.step(&["rollback"]).refused();
    for word in ["public.activity_log", "newer", "--accept-loss", "nothing was changed"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert_eq!(FILES.map(|name| fs::read(it.path(name)).unwrap()), after);
    assert_eq!(ask(&it.source, "postgres", MAY_LOG_IN).await, "false false false");
    let said = it.step(&["migrate"]).refused();
    assert!(said.contains("lead to the target already"), "{said}");

    it.step(&["rollback", "--accept-loss"]).fine();
    assert_eq!(FILES.map(|name| fs::read(it.path(name)).unwrap()), before);
    assert_eq!(ask(&it.source, "postgres", MAY_LOG_IN).await, "true true true");
    let files = files_beside(&it.path(FILES[1]));
    let said = it.step(&["rollback"]).fine();
    assert!(said.contains("nothing to do"), "{said}");
    assert_eq!(files_beside(&it.path(FILES[1])), files);
    let said = it.step(&["repoint"]).refused();
    assert!(said.contains("no clean migration is on record"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_led_to_a_copy_that_is_behind() {
    let it = Installation::new(15, 15).await;
    let all = it.snapshot();
    it.provision().fine();
    assert!(it.step(&["repoint"]).refused().contains("no clean migration is on record"));
    it.step(&["migrate"]).fine();
    assert!(it.step(&["repoint"]).refused().contains("no clean verification is on record"));
    it.step(&["verify"]).fine();
    change(&it.source, "webstream_iam", "DELETE FROM public.activity_log").await;
    let said = it.step(&["repoint"]).refused();
    assert!(said.contains("webstream_iam: rows of public.activity_log"), "{said}");
    change(&it.source, "postgres", "ALTER ROLE webstream_iam LOGIN").await;
    let said = it.step(&["repoint"]).refused();
    assert!(said.contains("webstream_iam may log in to the bundled instance"), "{said}");
    for (path, bytes) in all {
        assert_eq!(fs::read(&path).unwrap(), bytes, "{}", path.display());
    }
    assert!(it.step(&["retire"]).refused().contains("the configurations still lead there"));
    it.step(&["rollback"]).fine();
    assert_eq!(ask(&it.source, "postgres", MAY_LOG_IN).await, "true true true");
}
