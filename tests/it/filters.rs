//! Parts of a database: what pg_dump would choose, closed over what it needs; rows by a condition;
//! and roles that become others.

use std::collections::BTreeSet;

use pgconvoy::commands::{
    self, Action, Choice, Event, Finding, Flag, Phase, Request, RoleMap, Rule, Severity,
};
use pgconvoy::error::Kind;
use pgconvoy::servers::Cluster;

use crate::migration::{migrate, moved, request};
use crate::{kit, migration, pg_dump, trial};

/// Two schemas that need each other a little, names that patterns stumble over, and public.
const SHOP: &str = r#"
    CREATE SCHEMA app; CREATE SCHEMA shared; CREATE SCHEMA other; CREATE SCHEMA "Odd.One";
    CREATE EXTENSION citext; CREATE EXTENSION hstore;
    CREATE TYPE shared.mood AS ENUM ('fine', 'bad');
    CREATE TYPE shared.spare AS (a int);
    CREATE FUNCTION shared.twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
    CREATE FUNCTION app.stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
    CREATE TABLE shared.countries (id int PRIMARY KEY, name text);
    INSERT INTO shared.countries SELECT i, 'country ' || i FROM generate_series(1, 9) i;
    CREATE TABLE app.customers (id serial PRIMARY KEY, name citext, mood shared.mood,
        country int, CHECK (shared.twice(id) > 0));
    INSERT INTO app.customers (name, country) SELECT 'n' || i, 1 + i % 9 FROM generate_series(1, 90) i;
    CREATE TABLE app.orders (id int PRIMARY KEY, customer int REFERENCES app.customers, placed date);
    INSERT INTO app.orders SELECT i, 1 + i % 90, '2024-01-01'::date + i % 366
        FROM generate_series(1, 2000) i;
    CREATE INDEX orders_by_day ON app.orders (placed);
    CREATE TRIGGER stamped BEFORE UPDATE ON app.orders FOR EACH ROW EXECUTE FUNCTION app.stamp();
    CREATE VIEW app.recent AS SELECT o.id, c.name FROM app.orders o JOIN app.customers c ON c.id = o.customer;
    CREATE MATERIALIZED VIEW app.counted AS SELECT count(*) FROM app.orders;
    CREATE SEQUENCE app.tickets; SELECT setval('app.tickets', 71);
    CREATE TABLE app.log (at date, said text) PARTITION BY RANGE (at);
    CREATE TABLE app.log_a PARTITION OF app.log FOR VALUES FROM ('2024-01-01') TO ('2024-07-01');
    CREATE TABLE other.log_b PARTITION OF app.log FOR VALUES FROM ('2024-07-01') TO ('2026-01-01');
    CREATE INDEX log_at ON app.log (at);
    INSERT INTO app.log SELECT '2024-01-01'::date + i, 'x' FROM generate_series(1, 700) i;
    CREATE TABLE other.orders (id int);
    CREATE TABLE other.tagged (tags hstore);
    CREATE TABLE "Odd.One"."T*x" (id int); CREATE TABLE "Odd.One".tax (id int);
    CREATE VIEW other.abroad AS SELECT name FROM shared.countries;
    CREATE TABLE orders (id int); CREATE TABLE a$b (id int);
"#;

fn rules(flags: &[&str]) -> Choice {
    let rule = |flag: &&str| {
        let (flag, text) = flag.split_once('=').unwrap();
        let flag = match flag {
            "--schema" => Flag::Schema,
            "--exclude-schema" => Flag::ExcludeSchema,
            "--table" => Flag::Table,
            "--include" => Flag::Include,
            "--exclude-table" => Flag::ExcludeTable,
            "--exclude-table-data" => Flag::ExcludeTableData,
            "--extension" => Flag::Extension,
            "--exclude-extension" => Flag::ExcludeExtension,
            "--where" => return Rule::rows(text).unwrap(),
            _ => panic!("{flag}"),
        };
        Rule::new(flag, text).unwrap()
    };
    Choice::new(flags.iter().map(rule).collect())
}

fn choosing(request: &Request, flags: &[&str]) -> Request {
    Request { choice: rules(flags), ..request.clone() }
}

/// The kinds that patterns choose among, in these tests.
const COMPARED: [&str; 9] = [
    "SCHEMA",
    "EXTENSION",
    "TYPE",
    "FUNCTION",
    "SEQUENCE",
    "TABLE",
    "VIEW",
    "MATERIALIZED VIEW",
    "TRIGGER",
];

/// What a plan creates.
async fn planned(request: &Request) -> BTreeSet<String> {
    let planned = commands::plan(request, None).await.unwrap().remove(0);
    let steps = planned.plan.steps.into_iter();
    let statements = steps.filter_map(|step| match step.action {
        Action::Apply { statements } => Some(statements),
        _ => None,
    });
    let titles = statements.flatten().map(|statement| statement.title);
    titles.filter(|title| COMPARED.iter().any(|kind| is_of(title, kind))).collect()
}

fn is_of(title: &str, kind: &str) -> bool {
    let other = [
        "TABLE ATTACH",
        "TABLE DATA",
        "MATERIALIZED VIEW DATA",
        "SEQUENCE OWNED BY",
        "SEQUENCE SET",
    ];
    title.strip_prefix(kind).is_some_and(|rest| rest.starts_with(' '))
        && !other.iter().any(|other| title.starts_with(other))
}

/// What pg_dump's comments say that it creates.
fn dumped(cluster: &Cluster, flags: &[&str]) -> BTreeSet<String> {
    let text = pg_dump::part(cluster, "shop", flags);
    let items = text.lines().filter_map(|line| {
        let rest = line.strip_prefix("-- Name: ")?;
        let (name, rest) = rest.split_once("; Type: ")?;
        let (kind, rest) = rest.split_once("; Schema: ")?;
        let (schema, _) = rest.split_once("; Owner: ")?;
        let schema = if schema == "-" { String::new() } else { format!("{schema}.") };
        Some(format!("{kind} {schema}{name}"))
    });
    items.filter(|title| COMPARED.iter().any(|kind| is_of(title, kind))).collect()
}

#[tokio::test]
async fn the_same_is_chosen_as_by_pg_dump_and_what_that_needs_comes_along() {
    let source = kit::bundled(15).await;
    trial::make_database(&source, "shop", SHOP).await;
    let whole = request(&source, &source, &["shop"]);
    // The flags, and what comes along because it is needed.
    let mood = "TYPE shared.mood";
    let twice = "FUNCTION shared.twice(integer)";
    let (app, shared, other) = ("SCHEMA app", "SCHEMA shared", "SCHEMA other");
    let (citext, hstore) = ("EXTENSION citext", "EXTENSION hstore");
    let cases: &[(&[&str], &[&str])] = &[
        (&["--schema=app"], &[mood, twice, shared, other, citext, "TABLE other.log_b"]),
        (&["--schema=sh*"], &[]),
        (&["--schema=\"Odd\"*"], &[]),
        (&["--schema=\"Odd.One\""], &[]),
        (&["--schema=sh*", "--schema=other", "--exclude-table=other.log_b"], &[hstore]),
        (&["--exclude-schema=other"], &[]),
        (
            &["--exclude-schema=\"Odd.One\"", "--exclude-table=app.log", "--exclude-table=*.log_?"],
            &[],
        ),
        (&["--table=orders"], &[]),
        (&["--table=*.ORDERS"], &[app, other, "FUNCTION app.stamp()"]),
        (&["--table=a$b"], &[]),
        (&["--table=app.(orders|tickets)"], &[app, "FUNCTION app.stamp()"]),
        (&["--table=app.c*"], &[app, shared, mood, twice, citext]),
        (&["--table=\"Odd.One\".\"T*x\""], &["SCHEMA Odd.One"]),
        (&["--table=app.ticket[a-z]", "--exclude-table=orders"], &[app]),
        (&["--table=other.*", "--exclude-table=other.abroad"], &[other, hstore]),
        (&["--table=app.log_a", "--schema=shared"], &[app]),
        (&["--extension=citext"], &[hstore]),
        (&["--extension=hst*", "--exclude-table=app.recent"], &[citext]),
        (&["--exclude-extension=hstore", "--exclude-table=other.tagged"], &[]),
    ];
    let mut wrong = String::new();
    for (flags, along) in cases {
        let (ours, theirs) = (planned(&choosing(&whole, flags)).await, dumped(&source, flags));
        let along: BTreeSet<String> = along.iter().map(ToString::to_string).collect();
        // public is there already: pg_dump doesn't tell of it, and it comes with its owner.
        let more: BTreeSet<String> =
            ours.difference(&theirs).filter(|title| *title != "SCHEMA public").cloned().collect();
        let less: Vec<&String> = theirs.difference(&ours).collect();
        if !less.is_empty() || more != along {
            wrong.push_str(&format!("{flags:?}: too little: {less:?}; along: {more:?}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

async fn findings(request: &Request) -> Vec<Finding> {
    commands::check(request).await.unwrap().into_iter().flat_map(|c| c.findings).collect()
}

/// The only finding of this severity about a choice, and what mends it.
async fn one(request: &Request, severity: Severity, object: &str) -> (String, String) {
    let all = findings(request).await;
    let found = all.iter().find(|f| f.severity == severity && f.object == object);
    let finding = found.unwrap_or_else(|| panic!("{object}: {all:#?}"));
    (finding.what.clone(), finding.remedy.clone().unwrap_or_default())
}

#[tokio::test]
async fn what_is_missing_is_told_with_the_chain_to_it_and_nothing_is_touched() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::rds_like(15));
    trial::make_database(&source, "shop", SHOP).await;
    let whole = request(&source, &target, &["shop"]);

    let part = choosing(&whole, &["--schema=other"]);
    let (what, remedy) = one(&part, Severity::Refusal, "VIEW other.abroad").await;
    assert_eq!(what, "needs TABLE shared.countries, which isn't chosen");
    assert!(remedy.contains("--include shared.countries"), "{remedy}");
    assert!(remedy.contains("--exclude-table other.abroad"), "{remedy}");
    let (_, ended) = migrate(&part).await;
    let error = ended.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    assert!(error.to_string().contains("VIEW other.abroad"), "{error}");
    assert_eq!(
        trial::ask(
            &target,
            "postgres",
            "SELECT count(*)::text FROM pg_database WHERE datname = 'shop'"
        )
        .await,
        "0"
    );

    let without = choosing(&whole, &["--exclude-schema=shared"]);
    let (what, _) = one(&without, Severity::Refusal, "TABLE app.customers").await;
    assert_eq!(what, "needs TYPE shared.mood, which --exclude-schema shared leaves behind");

    let alone = choosing(&whole, &["--table=app.orders", "--table=app.log_a"]);
    let (what, remedy) =
        one(&alone, Severity::Change, "FK CONSTRAINT app.orders orders_customer_fkey").await;
    assert!(what.ends_with("needs the table that it refers to, which isn't chosen"), "{what}");
    assert!(remedy.contains("--include app.customers "), "{remedy}");
    one(&alone, Severity::Change, "TABLE ATTACH app.log_a").await;

    for flags in [&["--table=nowhere"][..], &["--table=other.order"], &["--where=app.recent=true"]]
    {
        let error = commands::check(&choosing(&whole, flags)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Usage, "{error}");
        assert!(error.to_string().contains(&flags[0].replacen('=', " ", 1)), "{error}");
    }
    let idle = choosing(&whole, &["--exclude-table=nowhere"]);
    let (what, _) = one(&idle, Severity::Note, "filters").await;
    assert!(what.contains("--exclude-table nowhere matches nothing"), "{what}");

    let wrong = choosing(&whole, &["--where=app.orders=plased > now()"]);
    let (what, _) = one(&wrong, Severity::Refusal, "TABLE app.orders").await;
    assert!(what.contains("plased"), "{what}");
    let breaking = choosing(&whole, &["--where=app.customers=id < 10"]);
    one(&breaking, Severity::Note, "FK CONSTRAINT app.orders orders_customer_fkey").await;
}

#[tokio::test]
async fn a_chosen_schema_comes_out_as_pg_dump_shows_it_and_verifies() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::rds_like(15));
    trial::make_database(&source, "shop", SHOP).await;
    let flags = ["--schema=app", "--exclude-table-data=app.log", "--exclude-table=app.counted"];
    let request = choosing(&request(&source, &target, &["shop"]), &flags);
    moved(&request).await;
    let dumped = |cluster: &Cluster| {
        pg_dump::part(cluster, "shop", &["--schema=app", "--exclude-table=app.counted"])
    };
    pg_dump::assert_equal(&comparable(&dumped(&source)), &comparable(&dumped(&target)), "shop");
    let count = "SELECT count(*)::text FROM app.log";
    assert_eq!(trial::ask(&target, "shop", count).await, "0");
    assert_eq!(trial::ask(&target, "shop", "SELECT last_value::text FROM app.tickets").await, "71");
    let report = verified(&request).await.unwrap();
    assert!(report, "the part differs");
}

/// Without what differs between any two servers.
fn comparable(text: &str) -> String {
    let lines = text.lines().filter(|line| {
        !line.starts_with("-- Dumped") && !line.contains("restrict ") && !line.contains("pg_attver")
    });
    lines.map(|line| format!("{line}\n")).collect()
}

/// Whether verifying finds both sides equal.
async fn verified(request: &Request) -> pgconvoy::error::Result<bool> {
    let reports = migration::verify(request).await?;
    Ok(reports.iter().all(|report| report.verification.is_clean()))
}

#[tokio::test]
async fn only_the_rows_that_meet_a_condition_move_and_verify_and_go_on_with_no_others() {
    let (source, target) = tokio::join!(kit::bundled(15), kit::rds_like(16));
    trial::make_database(&source, "shop", SHOP).await;
    let whole = request(&source, &target, &["shop"]);
    let flags = [
        "--where=app.customers=country <= 3",
        // The target, which has no more countries in it than these, couldn't tell.
        "--where=app.orders=customer IN (SELECT id FROM app.customers WHERE country <= 3)",
        "--where=app.orders=placed < '2024-06-01'",
        "--where=app.log=at >= '2024-06-01'",
    ];
    let part = choosing(&whole, &flags);
    // Cut off once rows are there, it goes on with the same rows, and with no others.
    let cut = trial::interrupt(&part, |event| {
        matches!(event, Event::StepFinished { phase: Phase::Data, .. })
    })
    .await;
    assert_eq!(cut.error().kind(), Kind::Interrupted, "{}", cut.error());
    let (_, ended) = migrate(&whole).await;
    let error = ended.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused, "{error}");
    assert!(error.to_string().contains("--where app.log=at >= '2024-06-01'"), "{error}");
    moved(&part).await;
    for (table, condition) in [
        ("app.customers", "country <= 3"),
        (
            "app.orders",
            "customer IN (SELECT id FROM app.customers WHERE country <= 3) AND placed < '2024-06-01'",
        ),
        ("app.log", "at >= '2024-06-01'"),
        ("shared.countries", "true"),
    ] {
        let sum = "SELECT count(*) || ' ' || sum(hashtextextended(t::text, 0)) FROM";
        let ours = trial::ask(&source, "shop", &format!("{sum} {table} t WHERE {condition}")).await;
        let theirs = trial::ask(&target, "shop", &format!("{sum} {table} t")).await;
        assert_eq!(ours, theirs, "{table}");
    }
    assert!(verified(&part).await.unwrap());
    assert!(!verified(&whole).await.unwrap());
    trial::change(&target, "shop", "INSERT INTO app.log VALUES ('2024-01-02', 'x')").await;
    assert!(!verified(&part).await.unwrap(), "a row that no filter lets through is none of ours");
}

/// Roles wherever a database names one.
const ROLES: &str = "
    RESET ROLE;
    CREATE ROLE anna NOLOGIN; CREATE ROLE berta LOGIN; CREATE ROLE clara NOLOGIN;
    GRANT anna TO berta;
    GRANT CREATE, USAGE ON SCHEMA public TO anna, berta;
    ALTER ROLE berta IN DATABASE named SET work_mem = '7MB';
    CREATE TABLE bosses (id int);
    SET ROLE anna;
    CREATE TABLE things (id int PRIMARY KEY, whose text);
    INSERT INTO things SELECT i, 'x' FROM generate_series(1, 10) i;
    GRANT SELECT ON things TO berta WITH GRANT OPTION;
    GRANT UPDATE (whose) ON things TO clara;
    ALTER TABLE things ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON things TO berta, clara USING (whose = current_user);
    CREATE VIEW anna AS SELECT 'anna' AS me;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO berta;
    CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
    REVOKE ALL ON FUNCTION f() FROM PUBLIC;
    RESET ROLE; SET ROLE berta;
    GRANT SELECT ON things TO clara;
    RESET ROLE;
";

#[tokio::test]
async fn roles_that_become_others_own_grant_and_hold_the_same() {
    let (source, target) = tokio::join!(kit::bundled(16), kit::rds_like(16));
    trial::make_database(&source, "named", ROLES).await;
    let map = ["anna=zoe", "berta=yvonne", "postgres=ursula"].map(str::to_owned);
    let roles = RoleMap::parse(&map).unwrap();
    let request = Request { roles, ..request(&source, &target, &["named"]) };

    let (what, remedy) = one(&request, Severity::Refusal, "role ursula").await;
    assert!(what.contains("--map-role") && remedy.contains("CREATE ROLE \"ursula\""), "{what}");
    let master = kit::session(&target.conninfo("postgres")).await;
    master.execute("making a role", "CREATE ROLE ursula").await.unwrap();

    moved(&request).await;
    assert!(verified(&request).await.unwrap());
    let ours = pg_dump::schema(&source, "named");
    // The view of the role's name, and its text, stay.
    let renamed = ours
        .replace("TO anna;", "TO zoe;")
        .replace("FROM anna;", "FROM zoe;")
        .replace("AUTHORIZATION anna;", "AUTHORIZATION zoe;")
        .replace("ROLE anna ", "ROLE zoe ")
        .replace("Owner: anna", "Owner: zoe")
        .replace("berta", "yvonne")
        .replace("OWNER TO postgres", "OWNER TO ursula")
        .replace("Owner: postgres", "Owner: ursula");
    pg_dump::assert_equal(&renamed, &pg_dump::schema(&target, "named"), "named");
    let members = "SELECT string_agg(m.member::regrole || ' in ' || m.roleid::regrole, ', ' ORDER BY 1) \
                   FROM pg_auth_members m WHERE m.roleid = 'zoe'::regrole \
                   AND m.member = 'yvonne'::regrole";
    assert_eq!(trial::ask(&target, "named", members).await, "yvonne in zoe");
    let setting =
        "SELECT setconfig::text FROM pg_db_role_setting WHERE setrole = 'yvonne'::regrole";
    assert_eq!(trial::ask(&target, "named", setting).await, "{work_mem=7MB}");
    let old = "SELECT count(*)::text FROM pg_roles WHERE rolname IN ('anna', 'berta')";
    assert_eq!(trial::ask(&target, "named", old).await, "0");

    let unmapped = Request { roles: RoleMap::default(), ..request.clone() };
    let (_, ended) = migrate(&unmapped).await;
    assert!(ended.unwrap_err().to_string().contains("--map-role anna=zoe"));
    // As nobody there is the old owner, the rows may not even be readable.
    assert!(!matches!(verified(&unmapped).await, Ok(true)));
    let unknown = RoleMap::parse(&["nobody=zoe".to_owned()]).unwrap();
    let error = commands::check(&Request { roles: unknown, ..request }).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Usage, "{error}");
}

#[tokio::test]
async fn a_pattern_that_is_no_regular_expression_is_told_in_the_servers_words() {
    let source = kit::bundled(15).await;
    trial::make_database(&source, "shop", "").await;
    let error =
        commands::plan(&choosing(&request(&source, &source, &["shop"]), &["--table=a["]), None)
            .await
            .unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.to_string().contains("brackets [] not balanced"), "{error}");
}
