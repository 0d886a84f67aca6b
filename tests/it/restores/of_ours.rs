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
