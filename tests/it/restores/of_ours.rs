//! Archives of our own, and parts of them.

use pgconvoy::commands::{Choice, Flag, Rule};

use super::*;

/// Nothing of it needs `public`, which the target has all the same.
const APART: &str = "CREATE SCHEMA apart; CREATE TABLE apart.t (id int PRIMARY KEY);
    INSERT INTO apart.t SELECT generate_series(1, 10); CREATE TABLE public.u (a int)";

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_does_not_bring_public_is_restored_all_the_same() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    trial::make_database(&source, "shop", APART).await;
    kit::run(&target.conninfo("postgres"), "CREATE ROLE shop").await;
    let folder = tempfile::tempdir().unwrap();
    let (whole, part) = (folder.path().join("whole"), folder.path().join("part"));
    for (path, flags) in [(&whole, &[][..]), (&part, &["--schema=apart"])] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_pgconvoy"));
        program.arg("dump").args(flags).arg("--file").arg(path).arg("--source");
        let dumped = program.arg(source.superuser_conninfo("shop")).output().unwrap();
        assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
    }
    let rule = Rule::new(Flag::Schema, "apart").unwrap();
    let chosen = RestoredPart { choice: Choice::new(vec![rule]), ..RestoredPart::default() };
    for (path, part) in [(&whole, chosen), (&part, RestoredPart::default())] {
        let session = target.superuser_session("postgres").await.unwrap();
        session.execute("making it", "CREATE DATABASE shop").await.unwrap();
        let request = RestoreRequest { part, ..request(path, &target.conninfo("shop")) };
        assert_eq!(restored(&request).await.rows, 10);
        assert!(restored(&request).await.was_finished);
        drop_shop(&target).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_shows_what_patterns_choose_and_restores_the_same() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    make_shop(&source).await;
    make_roles(&target).await;
    let folder = tempfile::tempdir().unwrap();
    let path = shop_folder(&source, folder.path());
    for (flag, pattern, shown, hidden) in [
        (Flag::Table, "cust*", "TABLE DATA public customers", "BLOB"),
        (Flag::ExcludeTable, "visits*", "BLOB", "visits"),
    ] {
        let rules = vec![Rule::new(flag, pattern).unwrap()];
        let part = RestoredPart { choice: Choice::new(rules), ..RestoredPart::default() };
        let list = commands::list_archive(&path, &part).await.unwrap();
        assert!(list.contains(shown) && !list.contains(hidden), "{list}");
        let file = folder.path().join("list");
        std::fs::write(&file, &list).unwrap();
        let listed = RestoredPart { list: Some(file), ..RestoredPart::default() };
        let mut made = Vec::new();
        for part in [part, listed] {
            let request = RestoreRequest { part, ..request(&path, &target.conninfo("shop")) };
            let rows = restored(&request).await.rows;
            made.push((rows, pg_dump::schema(&target, "shop")));
            drop_shop(&target).await;
        }
        assert_eq!(made[0].0, made[1].0, "{pattern}");
        pg_dump::assert_equal(&made[0].1, &made[1].1, pattern);
    }
}
