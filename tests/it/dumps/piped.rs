//! Standard output as an archive: what else there is to say goes elsewhere.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_a_piped_archive_is_told_beside_it() {
    let cluster = kit::bundled(15).await;
    let owned = "CREATE TABLE t (a int)";
    trial::make_database(&cluster, "shop", owned).await;
    for flags in [&["--format=custom"][..], &["--format=plain", "--schema-only"]] {
        let output = run_piped(&cluster, "shop", flags);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.contains("ROLE shop"), "{flags:?}: {told}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("not in it"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_output_is_never_an_archive_and_json_in_one() {
    let cluster = kit::bundled(15).await;
    trial::make_database(&cluster, "shop", "CREATE TABLE t (a int)").await;
    let output = run_piped(&cluster, "shop", &["--format=custom", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("--json") && !told.contains("PGDMP"), "{told}");
}
