//! What a restore says of the target's catalog: that it is what the archive was to make, or in what it
//! isn't.

use std::process::Command;

use pgconvoy::commands::{DatabaseReport, Phase, RestoreRequest};

use crate::resuming::started;
use crate::{kit, trial};

use super::{make_roles, make_shop, request, restore_until, restored, shop_folder};

/// What others do to the target before it is verified.
const MEDDLING: &str = "
    ALTER FUNCTION public.stamp() OWNER TO clerk;
    CREATE OR REPLACE FUNCTION public.stamp() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RETURN NEW; END $$;
    DROP INDEX public.by_text;
    CREATE VIEW public.more AS SELECT 1 AS one;
    COMMENT ON LARGE OBJECT 70002 IS 'it is small'";

async fn differing(request: &RestoreRequest) -> DatabaseReport {
    let report = restore_until(request, |_| false).await.unwrap();
    assert!(!report.verification.is_clean());
    report
}

fn told(report: &DatabaseReport) -> Vec<String> {
    let all = report.verification.catalog.iter().map(ToString::to_string);
    all.map(|words| words.lines().next().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_target_lacks_has_more_or_has_of_another_is_told_and_mended_by_hand() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    make_shop(&source).await;
    make_roles(&target).await;
    let folder = tempfile::tempdir().unwrap();
    let ours = folder.path().join("ours");
    let dumped = Command::new(env!("CARGO_BIN_EXE_pgconvoy"))
        .args(["dump", "--file"])
        .arg(&ours)
        .arg("--source")
        .arg(source.superuser_conninfo("shop"))
        .output()
        .unwrap();
    assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
    let theirs = shop_folder(&source, folder.path());
    for (path, is_ours) in [(ours, true), (theirs, false)] {
        let request = request(&path, &target.conninfo("shop"));
        restore_until(&request, started(Phase::Maintenance)).await.unwrap_err();
        trial::change(&target, "shop", MEDDLING).await;
        let report = differing(&request).await;
        let mut expected = vec![
            "FUNCTION public.stamp() belongs to clerk instead of shop",
            "INDEX public.by_text is missing on the target",
            "VIEW public.more is on the target only",
        ];
        if is_ours {
            expected.push("FUNCTION public.stamp() differs:");
        }
        let told = told(&report);
        for words in &expected {
            assert!(told.iter().any(|line| line.starts_with(words)), "{words}: {told:#?}");
        }
        assert!(told.iter().any(|line| line.starts_with("large objects of ")), "{told:#?}");
        let notes = report.verification.notes.concat();
        assert_eq!(notes.contains("compared by name and owner only"), !is_ours, "{notes}");
        let program = |verdict: i32, words: &str| {
            let output = Command::new(env!("CARGO_BIN_EXE_pgconvoy"))
                .args(["restore", "--target", &target.conninfo("shop")])
                .arg(&path)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned()
                + &String::from_utf8_lossy(&output.stdout);
            assert_eq!(output.status.code(), Some(verdict), "{said}");
            assert!(said.contains(words), "{said}");
        };
        program(1, "INDEX public.by_text is missing on the target");
        let mend = "
            ALTER FUNCTION public.stamp() OWNER TO shop;
            CREATE OR REPLACE FUNCTION public.stamp() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN NEW.stamp := -1; RETURN NEW; END $$;
            CREATE INDEX by_text ON public.\"Or\"\"ders (x)\" (md5(\"From (\"));
            DROP VIEW public.more;
            COMMENT ON LARGE OBJECT 70002 IS 'it''s big'";
        trial::change(&target, "shop", mend).await;
        restored(&request).await;
        let words = if is_ours { "and so are the catalogs" } else { "definitions are there" };
        program(0, words);
        super::drop_shop(&target).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_t_be_made_of_pg_dumps_words_is_left_out_told_and_mended_by_hand() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::bundled(15));
    make_shop(&source).await;
    make_roles(&target).await;
    // pg_dump doesn't say by which function of the system's a language is handled.
    let odd = "CREATE LANGUAGE odd HANDLER plpgsql_call_handler;
        CREATE FUNCTION in_odd() RETURNS integer LANGUAGE odd AS 'BEGIN RETURN 1; END';
        CREATE VIEW odds AS SELECT public.in_odd()";
    trial::change(&source, "shop", odd).await;
    let folder = tempfile::tempdir().unwrap();
    let request = request(&shop_folder(&source, folder.path()), &target.conninfo("shop"));
    let strict = super::refused(&RestoreRequest { strict: true, ..request.clone() }).await;
    assert!(strict.contains("odd"), "{strict}");
    for _ in 0..2 {
        let report = differing(&request).await;
        assert!(report.verification.tables.iter().all(|table| table.is_equal()));
        assert_eq!(
            told(&report),
            [
                "PROCEDURAL LANGUAGE odd is missing on the target",
                "FUNCTION public.in_odd() is missing on the target",
                "VIEW public.odds is missing on the target",
            ]
        );
        let left_out = report.changes.iter().filter(|change| change.what.contains("left out"));
        assert_eq!(left_out.count(), 3, "{:#?}", report.changes);
    }
    trial::change(&target, "shop", &format!("SET check_function_bodies = off; {odd}")).await;
    let report = restored(&request).await;
    assert!(!report.changes.iter().any(|change| change.what.contains("left out")));
}
