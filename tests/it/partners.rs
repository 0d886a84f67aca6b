//! Definitions that name what another one must answer to: operators their commutators and negators,
//! wrappers the validators of their options.

use crate::foretold::{assert_tells, told};
use crate::migration::request;
use crate::trial::{ask, change, make_database, run};
use crate::{kit, pg_dump};

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_whose_commutator_has_another_partner_moves_to_servers_that_make_none_such() {
    let (source, target) = (kit::bundled(12).await, kit::bundled(18).await);
    let operators = "
        CREATE OPERATOR === (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int);
        CREATE OPERATOR =#= (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int, COMMUTATOR = ===);
        CREATE OPERATOR =##= (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int, COMMUTATOR = ===);
        CREATE OPERATOR @ (FUNCTION = int4lt, LEFTARG = int, RIGHTARG = int);
        CREATE OPERATOR !@ (FUNCTION = int4ge, LEFTARG = int, RIGHTARG = int, NEGATOR = @);
        CREATE OPERATOR !!@ (FUNCTION = int4ge, LEFTARG = int, RIGHTARG = int, NEGATOR = @);";
    make_database(&source, "shop", operators).await;
    run(&request(&source, &target, &["shop"])).await.clean();
    let links =
        "SELECT string_agg(concat_ws(' ', oid::regoper, oprcom::regoper, oprnegate::regoper),
                 ', ' ORDER BY oprname COLLATE \"C\") FROM pg_operator WHERE oid >= 16384";
    let ours = ask(&source, "shop", links).await;
    assert_eq!(ask(&target, "shop", links).await, ours);
}

#[tokio::test(flavor = "multi_thread")]
async fn options_that_came_before_their_wrappers_validator_move() {
    let (source, target) = (kit::bundled(15).await, kit::bundled(18).await);
    make_database(&source, "shop", "").await;
    let foreign = "CREATE FOREIGN DATA WRAPPER w OPTIONS (a '1');
         CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (b '2');
         CREATE USER MAPPING FOR PUBLIC SERVER s OPTIONS (krbsrvname 'k');
         CREATE FOREIGN TABLE f (n int OPTIONS (c '3')) SERVER s OPTIONS (d '4');
         ALTER FOREIGN DATA WRAPPER w VALIDATOR postgresql_fdw_validator";
    change(&source, "shop", foreign).await;
    run(&request(&source, &target, &["shop"])).await.clean();
    let (ours, theirs) = (pg_dump::schema(&source, "shop"), pg_dump::schema(&target, "shop"));
    pg_dump::assert_equal(&ours, &theirs, "shop");
}

/// Operators that name one which doesn't name them: it has another partner, is the system's, was
/// never made, or names nothing.
const ONE_SIDED: &str = "
    CREATE OPERATOR === (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int);
    CREATE OPERATOR =#= (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int, COMMUTATOR = ===);
    CREATE OPERATOR =##= (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int, COMMUTATOR = ===);
    CREATE OPERATOR ==== (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int,
        COMMUTATOR = OPERATOR(pg_catalog.=));
    CREATE OPERATOR <<@ (FUNCTION = int4lt, LEFTARG = int, RIGHTARG = int, COMMUTATOR = @>>);
    CREATE OPERATOR <<@@ (FUNCTION = int4lt, LEFTARG = int, RIGHTARG = int, COMMUTATOR = @>>);
    CREATE OPERATOR <<# (FUNCTION = int4lt, LEFTARG = int, RIGHTARG = int, COMMUTATOR = #>>,
        NEGATOR = #>=);
    CREATE OPERATOR #>> (FUNCTION = int4gt, LEFTARG = int, RIGHTARG = int);
    CREATE OPERATOR #>= (FUNCTION = int4ge, LEFTARG = int, RIGHTARG = int);";

#[tokio::test(flavor = "multi_thread")]
async fn operators_that_name_one_which_does_not_name_them_move_or_are_told() {
    let source = kit::bundled(12).await;
    make_database(&source, "shop", "").await;
    change(&source, "shop", ONE_SIDED).await;
    for major in [15, 18] {
        let target = kit::bundled(major).await;
        let version = ask(&target, "postgres", "SHOW server_version_num").await;
        let version: u32 = version.parse().unwrap();
        let links_both_ways = (150_020..160_000).contains(&version);
        let mut expected = Vec::new();
        if links_both_ways {
            expected.extend(["=##=: left out", "#>>: is created with", "#>=: is created with"]);
        }
        if links_both_ways || major >= 17 {
            expected.extend(["====: left out", "<<@@: left out"]);
        }
        let said = told(&source, &target, "shop").await;
        for what in &expected {
            assert_tells(&said, &format!("Change OPERATOR public.{what}"));
        }
        let about_operators = said.iter().filter(|line| line.contains("OPERATOR public."));
        assert_eq!(about_operators.count(), expected.len(), "{version}: {said:#?}");
        run(&request(&source, &target, &["shop"])).await.clean();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_the_systems_operator_is_told_and_taken_off_where_it_takes_a_superuser() {
    let source = kit::bundled(12).await;
    make_database(&source, "shop", "").await;
    // The system's has no partner: it gets one, and loses it again.
    let operators = "
        CREATE OPERATOR ||| (FUNCTION = textcat, LEFTARG = text, RIGHTARG = text,
            COMMUTATOR = OPERATOR(pg_catalog.||));
        CREATE OPERATOR |=| (FUNCTION = texteq, LEFTARG = text, RIGHTARG = text,
            NEGATOR = OPERATOR(pg_catalog.||));
        CREATE OPERATOR ==== (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int,
            COMMUTATOR = OPERATOR(pg_catalog.=));";
    change(&source, "shop", operators).await;
    for major in [12, 15, 18] {
        let target = kit::rds_like(major).await;
        let said = told(&source, &target, "shop").await;
        assert_tells(&said, "Change OPERATOR public.|||");
        assert_tells(&said, "Change OPERATOR public.|=|");
        assert_tells(&said, "Change OPERATOR public.====");
        run(&request(&source, &target, &["shop"])).await.clean();
    }
}
