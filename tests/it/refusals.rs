//! What a managed service's user may not do: the list that `check` predicts is held against what
//! happened, by the newest pg_dump's word on both sides.

use std::collections::{BTreeMap, BTreeSet};

use pgconvoy::catalog::target_facts;
use pgconvoy::commands::{Request, check};
use pgconvoy::servers::Cluster;
use pgconvoy::toc::adapt::adapt;
use pgconvoy::toc::{Entry, EntryId, Finding, Kind, Severity, Toc};

use crate::migration::{moved, request};
use crate::trial::{ask, change, make_database, run};
use crate::{kit, pg_dump};

/// The files of fixtures/objects that hold what is refused.
const FIXTURES: [&str; 3] = ["00_roles.sql", "70_refused.sql", "72_refused_kinds.sql"];

/// Roles that take more than the target user has, and a login role that owns nothing, but is a
/// member of a role that does.
const ROLES: &str = "
    CREATE ROLE refused_login LOGIN CONNECTION LIMIT 3 BYPASSRLS REPLICATION;
    ALTER ROLE refused_login SET log_statement = 'all';
    ALTER ROLE refused_login SET work_mem = '3MB';
    GRANT fixture_owner TO refused_login;
    ALTER ROLE fixture_reader SET work_mem = '4MB';";

/// The same role, otherwise.
const ROLES_OF_THE_TARGET: &str = "
    CREATE ROLE fixture_reader LOGIN; ALTER ROLE fixture_reader SET statement_timeout = '5s';
    CREATE ROLE of_the_target; GRANT of_the_target TO fixture_reader;";

pub(crate) async fn source(major: u32) -> Cluster {
    let source = source_of(major, &FIXTURES).await;
    change(&source, "refused", ROLES).await;
    source
}

/// A cluster whose database `refused` these files of fixtures/objects made.
async fn source_of(major: u32, files: &[&str]) -> Cluster {
    let source = kit::bundled(major).await;
    let session = source.superuser_session("postgres").await.unwrap();
    session.execute("making a database", "CREATE DATABASE refused").await.unwrap();
    for file in files {
        let path = format!("{}/fixtures/objects/{file}", env!("CARGO_MANIFEST_DIR"));
        let sql = std::fs::read_to_string(path).unwrap();
        kit::run(&source.superuser_conninfo("refused"), &for_major(&sql, major)).await;
    }
    source
}

/// The lines that are for this major version: see fixtures/objects/README.md.
fn for_major(sql: &str, major: u32) -> String {
    let mut wanted = true;
    let mut lines = String::new();
    for line in sql.lines() {
        if let Some(range) = line.strip_prefix("--@ ") {
            let (from, to) = range.trim().split_once("..").unwrap_or(("", ""));
            let bound = |text: &str, open: u32| text.parse().unwrap_or(open);
            wanted = (bound(from, 0)..=bound(to, u32::MAX)).contains(&major);
        } else if wanted {
            lines.push_str(line);
            lines.push('\n');
        }
    }
    lines
}

/// The items of a dump, by pg_dump's own headings, under the titles that findings give entries.
fn items(dump: &str) -> BTreeMap<String, String> {
    let mut items: BTreeMap<String, String> = BTreeMap::new();
    let mut title = String::new();
    let mut access_method = "";
    for line in dump.lines() {
        if let Some(set) = line.strip_prefix("SET default_table_access_method = ") {
            access_method = set;
        }
        let heading = line.strip_prefix("-- Name: ").and_then(|rest| {
            let (name, rest) = rest.split_once("; Type: ")?;
            let (kind, rest) = rest.split_once("; Schema: ")?;
            let (schema, _owner) = rest.split_once("; Owner: ")?;
            Some(match schema {
                // The tags of some begin with the kind already.
                "-" if ["TRANSFORM", "USER MAPPING"].contains(&kind) => name.to_owned(),
                "-" => format!("{kind} {name}"),
                _ => format!("{kind} {schema}.{name}"),
            })
        });
        match heading {
            Some(heading) => title = heading,
            // What a session is set to before an object says nothing of the object.
            None if line.is_empty() || line == "--" || line.starts_with("SET ") => {}
            None if line == "-- PostgreSQL database dump complete" => {}
            None => {
                let text = items.entry(title.clone()).or_default();
                text.push_str(line);
                text.push('\n');
                // What is set before the first table that has it holds for the next ones too.
                if line.starts_with("CREATE TABLE ") {
                    text.push_str(access_method);
                }
            }
        }
    }
    items
}

/// The titles of what is missing or different.
fn differing(source: &str, target: &str) -> BTreeSet<String> {
    let (source, target) = (items(source), items(target));
    let titles = source.keys().chain(target.keys());
    titles.filter(|title| source.get(*title) != target.get(*title)).cloned().collect()
}

/// The findings that say the target will differ.
async fn predicted(request: &Request) -> Vec<Finding> {
    let checked = check(request).await.unwrap();
    let findings = checked.into_iter().flat_map(|checked| checked.findings);
    findings
        .inspect(|finding| assert_ne!(finding.severity, Severity::Refusal, "{finding}"))
        .filter(|finding| finding.severity == Severity::Change)
        .collect()
}

/// Whether a finding is about the cluster, or about an extension that initdb brings, which a
/// database's dump doesn't show.
fn is_about_the_cluster(finding: &Finding) -> bool {
    ["ROLE ", "ROLE MEMBERSHIP ", "owner ", "COMMENT EXTENSION plpgsql"]
        .iter()
        .any(|kind| finding.object.starts_with(kind))
}

/// Whether the difference in `title` is told: by a finding on it, or on what it is a part of.
fn is_told(title: &str, told: &BTreeSet<String>) -> bool {
    let whole = ["COMMENT ", "ACL "].iter().find_map(|kind| title.strip_prefix(kind));
    let part = whole.and_then(|rest| {
        // "ACL s.FUNCTION f(integer)" is a part of "FUNCTION s.f(integer)".
        let (schema, object) = rest.split_once('.')?;
        let (kind, name) = object.split_once(' ')?;
        Some(format!("{kind} {schema}.{name}"))
    });
    // Tables that a publication of all, or of a schema's, is spelled out to.
    let published = title.strip_prefix("PUBLICATION TABLE ").and_then(|rest| {
        let (schema, publication) = rest.split_once(' ')?.0.split_once('.')?;
        let of_schema = format!("PUBLICATION TABLES IN SCHEMA {schema}.{publication} {schema}");
        Some([format!("PUBLICATION {publication}"), of_schema])
    });
    if published.is_some_and(|by| by.iter().any(|object| told.contains(object))) {
        return true;
    }
    let data = title.replacen("MATERIALIZED VIEW DATA ", "MATERIALIZED VIEW ", 1);
    told.contains(title) || part.is_some_and(|part| told.contains(&part)) || told.contains(&data)
}

async fn what_is_predicted_happens(source_major: u32, target_major: u32) {
    let (source, target) = (source(source_major).await, kit::rds_like(target_major).await);
    change(&target, "postgres", ROLES_OF_THE_TARGET).await;
    change(&target, "postgres", "GRANT fixture_reader TO master WITH ADMIN OPTION").await;
    let request = request(&source, &target, &["refused"]);
    let changes = predicted(&request).await;

    // With --strict nothing is touched, and every finding is told.
    let strict = run(&Request { strict: true, ..request.clone() }).await;
    let refusal = strict.error().to_string();
    for finding in &changes {
        assert!(refusal.contains(&finding.object), "{finding}\nis not in\n{refusal}");
    }
    let made = "SELECT count(*)::text FROM pg_database d, pg_roles r \
                WHERE d.datname = 'refused' OR r.rolname = 'refused_login'";
    assert_eq!(ask(&target, "postgres", made).await, "0");

    let reports = moved(&request).await;
    assert_eq!(reports[0].changes, changes);

    let ours = pg_dump::schema(&source, "refused").replace("postgres", "master");
    // Before 15 `public` is, on either side, the superuser's who made the cluster.
    let theirs = pg_dump::schema(&target, "refused").replace("rdsadmin", "master");
    let differing = differing(&ours, &theirs);
    let in_the_database = changes.iter().filter(|finding| !is_about_the_cluster(finding));
    let told: BTreeSet<String> = in_the_database.map(|finding| finding.object.clone()).collect();
    let untold: Vec<&String> = differing.iter().filter(|title| !is_told(title, &told)).collect();
    assert!(untold.is_empty(), "different, but not told: {untold:#?}\ntold: {told:#?}");
    // A state is a part of what differs.
    let whole = |title: &String| title.replacen("state of subscription ", "SUBSCRIPTION ", 1);
    let idle: Vec<&String> = told.iter().filter(|t| !differing.contains(&whole(t))).collect();
    assert!(idle.is_empty(), "told, but not different: {idle:#?}\n{changes:#?}");

    // What the cluster's findings say is so.
    let cluster: Vec<String> = changes
        .iter()
        .filter(|finding| is_about_the_cluster(finding))
        .map(|finding| format!("{}: {}", finding.object, finding.what))
        .collect();
    let says = |words: &[&str]| {
        let found = cluster.iter().any(|line| words.iter().all(|word| line.contains(word)));
        assert!(found, "{words:?} is not in {cluster:#?}");
    };
    says(&["owner postgres"]);
    says(&["COMMENT EXTENSION plpgsql", "doesn't own the extension"]);
    let comment = "SELECT obj_description(oid, 'pg_extension') FROM pg_extension \
                   WHERE extname = 'plpgsql'";
    assert_ne!(ask(&target, "refused", comment).await, ask(&source, "refused", comment).await);
    says(&["ROLE refused_login", "BYPASSRLS"]);
    says(&["ROLE refused_login", "rds_replication"]);
    says(&["ROLE refused_login", "log_statement"]);
    says(&["ROLE fixture_reader", "LOGIN", "NOLOGIN"]);
    says(&["ROLE fixture_reader", "work_mem"]);
    says(&["ROLE fixture_reader", "statement_timeout"]);
    says(&["ROLE MEMBERSHIP of_the_target TO fixture_reader"]);
    assert_eq!(cluster.len(), 9, "{cluster:#?}");
    let login = "SELECT concat_ws(' ', r.rolcanlogin, r.rolbypassrls, r.rolreplication, \
                 r.rolconnlimit, r.rolconfig, pg_has_role(r.oid, 'fixture_owner', 'MEMBER'), \
                 pg_has_role(r.oid, 'rds_replication', 'MEMBER')) \
                 FROM pg_roles r WHERE rolname = 'refused_login'";
    assert_eq!(ask(&target, "refused", login).await, "t f f 3 {work_mem=3MB} t t");
    nothing_of_ours_is_left(&target).await;
}

/// Neither memberships of the target user's own, but for what creating a role gives it since 16,
/// nor rights that were lent.
async fn nothing_of_ours_is_left(target: &Cluster) {
    let joined = "SELECT coalesce(string_agg(m.roleid::regrole::text, ' '), '') \
                  FROM pg_auth_members m WHERE m.member = 'master'::regrole \
                  AND m.roleid::regrole::text NOT IN ('rds_superuser', 'fixture_reader') \
                  AND pg_has_role('master', m.roleid, 'USAGE')";
    assert_eq!(ask(target, "refused", joined).await, "");
    let lent = "SELECT coalesce(string_agg(n.nspacl::text, ' '), '') FROM pg_namespace n \
                WHERE n.nspname !~ '^pg_' AND n.nspacl::text ~ 'fixture_owner=[^,]*C'";
    assert_eq!(ask(target, "refused", lent).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_check_predicts_for_an_rds_like_14_is_what_happens() {
    what_is_predicted_happens(13, 14).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_check_predicts_for_an_rds_like_15_is_what_happens() {
    what_is_predicted_happens(15, 15).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_check_predicts_for_an_rds_like_18_is_what_happens() {
    what_is_predicted_happens(15, 18).await;
}

/// The kinds of fixtures/objects/72_refused_kinds.sql.
const KINDS: [Kind; 30] = [
    Kind::Schema,
    Kind::ShellType,
    Kind::Type,
    Kind::Cast,
    Kind::Function,
    Kind::Operator,
    Kind::OperatorFamily,
    Kind::OperatorClass,
    Kind::Table,
    Kind::Index,
    Kind::AccessMethod,
    Kind::Conversion,
    Kind::Language,
    Kind::Transform,
    Kind::TsParser,
    Kind::TsTemplate,
    Kind::TsDictionary,
    Kind::TsConfiguration,
    Kind::ForeignDataWrapper,
    Kind::ForeignServer,
    Kind::UserMapping,
    Kind::ForeignTable,
    Kind::EventTrigger,
    Kind::Publication,
    Kind::PublicationTable,
    Kind::PublicationSchema,
    Kind::Subscription,
    Kind::Comment,
    Kind::View,
    Kind::Extension,
];

/// The entries of a dump made with [`pg_dump::with_dependencies`].
fn entries(dump: &str) -> Toc {
    let mut toc = Toc::default();
    let mut ids: BTreeMap<u32, EntryId> = BTreeMap::new();
    let (mut id, mut needs) = (0, Vec::new());
    let mut in_entry = false;
    for line in dump.lines() {
        if let Some(rest) = line.strip_prefix("-- TOC entry ") {
            id = rest.split(' ').next().unwrap().parse().unwrap();
            (needs, in_entry) = (Vec::new(), false);
        } else if let Some(rest) = line.strip_prefix("-- Dependencies: ") {
            needs = rest.split(' ').map(|id| id.parse::<u32>().unwrap()).collect();
        } else if let Some(rest) = line.strip_prefix("-- Name: ") {
            let (name, rest) = rest.split_once("; Type: ").unwrap();
            let (tag, rest) = rest.split_once("; Schema: ").unwrap();
            let schema = rest.split_once("; Owner: ").unwrap().0;
            let kind = KINDS.into_iter().find(|kind| kind.tag() == tag);
            let kind = kind.unwrap_or_else(|| panic!("kind {tag}"));
            ids.insert(id, EntryId(toc.entries.len() as u32));
            let mut entry = Entry::new(kind, Some(schema).filter(|s| *s != "-"), name);
            entry.depends_on = needs.iter().filter_map(|id| ids.get(id)).copied().collect();
            toc.entries.push(entry);
            in_entry = true;
        } else if in_entry
            && !line.is_empty()
            && !line.starts_with("--")
            && !line.starts_with("SET ")
        {
            let entry = toc.entries.last_mut().unwrap();
            entry.create.push_str(line);
            entry.create.push('\n');
        }
    }
    toc
}

/// What becomes of each kind, by pg_dump's own SQL: what is kept can be created, all of it.
async fn what_is_kept_can_be_created(source_major: u32, target_major: u32) {
    let source = source_of(source_major, &["00_roles.sql", "72_refused_kinds.sql"]).await;
    let secret = "ALTER USER MAPPING FOR fixture_owner SERVER refused_server \
                  OPTIONS (ADD secret 'never told')";
    change(&source, "refused", secret).await;
    let target = kit::rds_like(target_major).await;
    change(&target, "postgres", "CREATE ROLE fixture_owner").await;
    let session = kit::session(&target.conninfo("postgres")).await;
    let facts = target_facts(&session).await.unwrap();
    let toc = entries(&pg_dump::with_dependencies(&source, "refused"));
    let adapted = adapt(&toc, "postgres", &facts);

    for entry in &adapted.toc.entries {
        let created = session.execute(&entry.title(), &entry.create).await;
        assert!(created.is_ok(), "{}\n{}", created.unwrap_err(), entry.create);
    }
    let mut told: Vec<String> = Vec::new();
    for finding in &adapted.findings {
        assert_eq!(finding.severity, Severity::Change, "{finding}");
        assert!(!finding.to_string().contains("never told"), "{finding}");
        // This dump quotes whatever it can.
        told.push(finding.object.replace('"', ""));
    }
    let mut expected = vec![
        "ACCESS METHOD refused_heap",
        "CAST CAST (box AS macaddr)",
        "CAST CAST (refused_kinds.base AS integer)",
        "EVENT TRIGGER refused_watch",
        "FOREIGN DATA WRAPPER refused_wrapper",
        "FOREIGN TABLE refused_kinds.far",
        "FUNCTION refused_kinds.base_in(cstring)",
        "FUNCTION refused_kinds.base_out(refused_kinds.base)",
        "FUNCTION refused_kinds.in_language()",
        "FUNCTION refused_kinds.on_base(refused_kinds.base)",
        "INDEX refused_kinds.indexed_n",
        "OPERATOR CLASS refused_kinds.int_class",
        "OPERATOR FAMILY refused_kinds.moods",
        "PROCEDURAL LANGUAGE refused_language",
        "PUBLICATION refused_all",
        "SERVER refused_server",
        "SHELL TYPE refused_kinds.base",
        "SUBSCRIPTION refused_subscription",
        "TABLE refused_kinds.stored",
        "TEXT SEARCH DICTIONARY refused_kinds.lost_dictionary",
        "TEXT SEARCH PARSER refused_kinds.parser",
        "TEXT SEARCH TEMPLATE refused_kinds.template",
        "TRANSFORM FOR text LANGUAGE sql",
        "TYPE refused_kinds.base",
        "USER MAPPING fixture_owner SERVER refused_server",
    ];
    if source_major >= 15 {
        expected.push("PUBLICATION TABLES IN SCHEMA refused_kinds.refused_schema refused_kinds");
        expected.sort_unstable();
    }
    told.sort_unstable();
    assert_eq!(told, expected);
    let published = "SELECT string_agg(p.pubname || ':' || p.tablename, ' ' ORDER BY 1) \
                     FROM (SELECT pubname, tablename FROM pg_publication_tables ORDER BY 1, 2) p";
    let published = ask(&target, "postgres", published).await;
    let schema = match source_major {
        15.. => " refused_schema:indexed refused_schema:stored",
        _ => "",
    };
    let all = "refused_all:indexed refused_all:stored refused_one:indexed";
    assert_eq!(published, format!("{all}{schema}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_of_every_kind_can_be_created_on_an_rds_like_15() {
    what_is_kept_can_be_created(13, 15).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_of_every_kind_can_be_created_on_an_rds_like_17() {
    what_is_kept_can_be_created(15, 17).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_needs_a_search_path_is_named_before_its_index_is_left_out() {
    let (source, target) = (kit::bundled(15).await, kit::rds_like(17).await);
    make_database(
        &source,
        "paths",
        "CREATE TABLE public.words (word text); INSERT INTO words VALUES ('a');
         CREATE FUNCTION public.inner_one(text) RETURNS text LANGUAGE sql IMMUTABLE
             AS 'SELECT upper($1)';
         CREATE FUNCTION public.outer_one(text) RETURNS text LANGUAGE plpgsql IMMUTABLE
             AS 'BEGIN RETURN inner_one($1); END';
         CREATE FUNCTION public.harmless(text) RETURNS text LANGUAGE sql IMMUTABLE
             AS 'SELECT lower($1)';
         CREATE INDEX words_outer ON words (outer_one(word));
         CREATE INDEX words_harmless ON words (harmless(word));",
    )
    .await;
    let request = request(&source, &target, &["paths"]);
    let checked = check(&request).await.unwrap();
    let about = |finding: &&Finding| finding.object.starts_with("FUNCTION ");
    let found: Vec<&Finding> = checked[0].findings.iter().filter(about).collect();
    let [finding] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!(finding.object, "FUNCTION public.outer_one(text)");
    assert!(finding.what.contains("inner_one (in public)"), "{finding}");
    assert!(finding.what.contains("words_outer"), "{finding}");

    let watched = run(&request).await;
    watched.ended.as_ref().unwrap();
    let changes = &watched.reports[0].changes;
    let left_out = changes.iter().find(|change| change.object == "INDEX public.words_outer");
    assert!(left_out.unwrap().what.contains("inner_one"), "{changes:#?}");
    let mend = finding.remedy.as_deref().unwrap();
    let mend = mend.strip_prefix("on the source: ").unwrap().split_once("; or").unwrap().0;
    change(&source, "paths", mend).await;
    kit::run(&target.superuser_conninfo("postgres"), "DROP DATABASE paths").await;
    moved(&request).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_job_would_run_and_calls_a_function_left_out_is_refused_with_the_chain() {
    let (source, target) = (kit::bundled(15).await, kit::rds_like(17).await);
    make_database(&source, "calls", "CREATE TABLE public.words (word text)").await;
    change(
        &source,
        "calls",
        "INSERT INTO words VALUES ('a');
         CREATE FUNCTION public.in_internal(text) RETURNS text LANGUAGE internal IMMUTABLE
             AS 'upper';
         CREATE FUNCTION public.inner_one(text) RETURNS text LANGUAGE plpgsql IMMUTABLE
             SET search_path = public AS 'BEGIN RETURN in_internal($1); END';
         CREATE FUNCTION public.outer_one(text) RETURNS text LANGUAGE sql IMMUTABLE
             AS 'SELECT public.inner_one($1)';
         CREATE FUNCTION public.idle(text) RETURNS text LANGUAGE sql AS 'SELECT public.in_internal($1)';
         CREATE FUNCTION public.overloaded(int) RETURNS int LANGUAGE internal AS 'int4up';
         CREATE FUNCTION public.overloaded(text) RETURNS text LANGUAGE sql IMMUTABLE
             AS 'SELECT $1';
         CREATE FUNCTION public.harmless(text) RETURNS text LANGUAGE sql IMMUTABLE
             AS 'SELECT public.overloaded($1)';
         CREATE INDEX words_outer ON words (outer_one(word));
         CREATE INDEX words_harmless ON words (harmless(word));
         CREATE VIEW through AS SELECT outer_one(word) AS word FROM words;
         CREATE MATERIALIZED VIEW kept AS SELECT * FROM through;
         CREATE TABLE checked (word text CHECK (outer_one(word) <> 'B'),
             twice text GENERATED ALWAYS AS (outer_one(word)) STORED);",
    )
    .await;
    let request = request(&source, &target, &["calls"]);
    let checked = check(&request).await.unwrap();
    let told = |severity: Severity| {
        let findings = checked[0].findings.iter();
        let all = findings.filter(move |finding| finding.severity == severity);
        all.map(|finding| format!("{}: {}", finding.object, finding.what)).collect::<Vec<_>>()
    };
    let chain = "FUNCTION public.outer_one(text), which calls FUNCTION public.inner_one(text), \
                 which calls FUNCTION public.in_internal(text), which is left out: it would fail";
    assert_eq!(
        told(Severity::Refusal),
        [
            format!("CHECK CONSTRAINT public.checked checked_word_check: needs {chain}"),
            format!("INDEX public.words_outer: needs {chain}"),
            format!(
                "MATERIALIZED VIEW public.kept: needs VIEW public.through, which needs {chain}"
            ),
            format!("TABLE public.checked: needs {chain}"),
        ]
    );
    let idle = "FUNCTION public.idle(text): fails on the target when called, as it calls FUNCTION \
                public.in_internal(text)";
    assert!(told(Severity::Note).contains(&idle.to_owned()), "{:#?}", told(Severity::Note));

    // By itself, the index is what ends the job.
    change(&source, "calls", "DROP TABLE checked; DROP MATERIALIZED VIEW kept").await;
    assert_eq!(check(&request).await.unwrap()[0].stopping(false).count(), 1);
    change(&source, "calls", "DROP INDEX words_outer").await;
    moved(&request).await;
}
