//! The report that a move is signed off with: made of real servers and their ledgers.

use std::process::Command;

use pgconvoy::servers::Cluster;
use pgconvoy::webstream::{Recipe, Said, SignedIn, renew_sign_off};
use pgconvoy::wire::Environment;

use crate::kit;
use crate::webstream_check::WebStream;

/// Takes a step; what it said in `--json`.
fn step(webstream: &WebStream, target: &Cluster, words: &[&str]) -> (Option<i32>, String) {
    let folder = webstream.folder.path();
    let secrets = format!("file:{}", folder.join("secrets.env").display());
    let output = Command::new(env!("CARGO_BIN_EXE_pgconvoy"))
        .arg("webstream")
        .args(words)
        .args(["--json", "--source", &webstream.source.conninfo("postgres")])
        .args(["--target", &target.conninfo("postgres"), "--secrets", &secrets])
        .arg("--config")
        .arg(webstream.configuration(""))
        .arg("--out")
        .arg(folder.join("out"))
        .output()
        .unwrap();
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// The report that `verify` names.
fn report(said: &str) -> String {
    let mut lines =
        said.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let path = lines.rfind(|line| line["event"] == "sign_off").unwrap();
    std::fs::read_to_string(path["path"].as_str().unwrap()).unwrap()
}

fn text(html: &str) -> String {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(html, options).unwrap();
    let texts = document.descendants().filter(|node| node.is_text()).filter_map(|n| n.text());
    texts.collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_leaves_a_report_of_all_that_moved_or_differs() {
    let (webstream, target) = tokio::join!(WebStream::start(15), kit::rds_like(15));
    let hostile = "CREATE TABLE \"</td><script>alert(1)</script>\" (a int)";
    let owner =
        webstream.source.conninfo_as("webstream_iam", "secret-webstream_iam", "webstream_iam");
    kit::run(&owner, hostile).await;
    let reader = "CREATE ROLE reader LOGIN; GRANT CONNECT ON DATABASE webstream_iam TO reader";
    kit::run(&webstream.source.conninfo("postgres"), reader).await;
    for words in [&["provision"][..], &["migrate"]] {
        let (code, said) = step(&webstream, &target, words);
        assert_eq!(code, Some(0), "{said}");
    }
    let (code, said) = step(&webstream, &target, &["verify"]);
    assert_eq!(code, Some(0), "{said}");
    let html = report(&said);
    let told = text(&html);
    let fingerprint = kit::ask(
        &target.superuser_conninfo("webstream_metrics"),
        "SELECT fingerprint FROM pgconvoy.receipt WHERE rows = 40 LIMIT 1",
    )
    .await;
    let locked_out = "role reader it was made without a password ALTER ROLE \"reader\" PASSWORD";
    for said in
        ["Equal. Tables: 3; rows: 40;", "public.samples", &fingerprint, "migrate", locked_out]
    {
        assert!(told.contains(said), "{said}: {told}");
    }
    assert!(told.contains("public.</td><script>alert(1)</script>"), "{told}");
    assert!(!html.contains("<script"), "{html}");
    let secrets = std::fs::read_to_string(webstream.folder.path().join("secrets.env")).unwrap();
    let passwords = secrets.lines().filter_map(|line| line.split_once('=')).map(|(_, p)| p);
    for secret in passwords.chain(["secret-webstream_iam"]) {
        assert!(!html.contains(secret.trim_matches('\'')), "a password is in the report");
    }

    // What is done later is told without comparing again.
    let configurations = vec![webstream.configuration("")];
    let remembered = Said { configurations, ..Said::default() };
    let mut recipe = Recipe::open(remembered, &Environment::default()).unwrap();
    let (at, who) = ("2030-01-02T03:04:05Z".to_owned(), "Ann".to_owned());
    recipe.record.done.signed_in = Some(SignedIn { at, who });
    let path = renew_sign_off(&recipe).unwrap().unwrap();
    let renewed = text(&std::fs::read_to_string(&path).unwrap());
    assert!(
        renewed.contains("Ann has signed in after the move: 2030-01-02 03:04:05."),
        "{renewed}"
    );
    assert!(renewed.contains(&fingerprint), "{renewed}");

    let change = "DELETE FROM samples WHERE value = 1";
    kit::run(&target.superuser_conninfo("webstream_metrics"), change).await;
    let (code, said) = step(&webstream, &target, &["verify"]);
    assert_eq!(code, Some(1), "{said}");
    let told = text(&report(&said));
    assert!(told.contains("Not equal.") && told.contains("39 rows on the target"), "{told}");
}
