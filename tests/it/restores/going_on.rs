//! What a restore goes on with, what it refuses to go on with, and what it doesn't wait for.

use std::time::Duration;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_data_file_that_was_exchanged_is_noticed_once_its_rows_are_there() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    make_shop(&source).await;
    make_roles(&target).await;
    let folder = tempfile::tempdir().unwrap();
    let path = shop_folder(&source, folder.path());
    let file = biggest(&path);
    let whole = std::fs::read(&file).unwrap();
    let other = &whole[..whole.len() / 2];
    let request = RestoreRequest { jobs: Some(1), ..request(&path, &target.conninfo("shop")) };
    restore_until(&request, finished(Phase::Data, 1)).await.unwrap_err();
    let is_noticed = async || {
        std::fs::write(&file, other).unwrap();
        let words = refused(&request).await;
        let sizes = format!("{} bytes, not {}", other.len(), whole.len());
        assert!(words.contains("Or\"ders (x)") && words.contains(&sizes), "{words}");
        std::fs::write(&file, &whole).unwrap();
    };
    is_noticed().await;
    assert!(restored(&request).await.was_resumed);
    is_noticed().await;
    assert!(restored(&request).await.was_finished);
    assert_same_shop(&source, &target).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_large_objects_of_our_own_end_the_run_and_whole_ones_let_it_go_on() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    make_shop(&source).await;
    make_roles(&target).await;
    let folder = tempfile::tempdir().unwrap();
    // So many are read in several parts.
    for (number, more) in ["SELECT", "SELECT lo_create(80000 + i) FROM generate_series(1, 1500) i"]
        .into_iter()
        .enumerate()
    {
        trial::change(&source, "shop", more).await;
        let path = folder.path().join(number.to_string());
        let mut program = Command::new(env!("CARGO_BIN_EXE_pgconvoy"));
        program.args(["dump", "--compress=none", "--file"]).arg(&path).arg("--source");
        let dumped = program.arg(source.superuser_conninfo("shop")).output().unwrap();
        assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
        let file = path.join("blob_70002.dat");
        let whole = std::fs::read(&file).unwrap();
        for damaged in [&whole[..whole.len() - 1], &[&whole[1..], b"y"].concat()] {
            std::fs::write(&file, damaged).unwrap();
            let words = refused(&request(&path, &target.conninfo("shop"))).await;
            assert!(words.contains("large objects") && words.contains("damaged"), "{words}");
        }
        std::fs::write(&file, &whole).unwrap();
        assert!(restored(&request(&path, &target.conninfo("shop"))).await.was_resumed);
        assert_same_rows_of_shop(&source, &target).await;
        drop_shop(&target).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_was_never_reached_is_not_waited_for() {
    let source = kit::bundled(15).await;
    trial::make_database(&source, "shop", "CREATE TABLE t (a int)").await;
    let folder = tempfile::tempdir().unwrap();
    let path = shop_folder(&source, folder.path());
    let nobody = "host=127.0.0.1 port=1 user=nobody dbname=nothing sslmode=disable";
    let request = RestoreRequest { patience: Duration::from_secs(3), ..request(&path, nobody) };
    let mut notes = Vec::new();
    let restoring = restore_until(&request, |event| {
        notes.extend(matches!(event, Event::Note(_)).then(|| event.clone()));
        false
    });
    assert_eq!(restoring.await.unwrap_err().kind(), Kind::Connect);
    assert_eq!(notes, []);
}
