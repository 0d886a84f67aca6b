use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::pg::ServerVersion;
use crate::toc::Severity;
use crate::toc::target::{MembershipOptions, PublicSchema, TargetExtension, TargetRole};
use crate::toc::{Entry, Kind};

pub(super) fn target() -> TargetFacts {
    TargetFacts {
        version: ServerVersion(160_000),
        user: "master".into(),
        superuser: false,
        create_role: true,
        create_database: true,
        database: "shop".into(),
        database_owner: "master".into(),
        roles: BTreeMap::from([
            ("master".into(), TargetRole { can_set: true, inherits: true, ..Default::default() }),
            ("rdsadmin".into(), TargetRole { superuser: true, ..Default::default() }),
        ]),
        extensions: BTreeMap::from([(
            "citext".into(),
            TargetExtension { trusted: true, ..Default::default() },
        )]),
        superuser_settings: BTreeSet::from(["log_statement".to_owned()]),
        known_settings: ["log_statement", "search_path", "work_mem"].map(str::to_owned).into(),
        holds: Default::default(),
    }
}

fn owned(kind: Kind, name: &str, owner: &str) -> Entry {
    let mut entry = Entry::new(kind, Some("public"), name);
    entry.owner = Some(owner.into());
    entry.drop = format!("DROP TABLE \"public\".\"{name}\";");
    entry
}

fn toc(entries: Vec<Entry>) -> Toc {
    Toc { entries }
}

#[test]
fn the_sources_superuser_stands_for_the_target_user_and_is_reported() {
    let adapted = adapt(&toc(vec![owned(Kind::Table, "t", "postgres")]), "postgres", &target());
    assert_eq!(adapted.toc.entries[0].owner.as_deref(), Some("master"));
    assert_eq!(adapted.findings.len(), 1, "{:?}", adapted.findings);
    assert!(adapted.join.is_empty());
}

#[test]
fn an_owner_brought_along_is_joined_and_left_again() {
    let role =
        Entry { create: "CREATE ROLE \"app\";\n".into(), ..Entry::new(Kind::Role, None, "app") };
    let adapted = adapt(&toc(vec![role, owned(Kind::Table, "t", "app")]), "postgres", &target());
    assert_eq!(adapted.join, ["GRANT \"app\" TO \"master\" WITH INHERIT TRUE, SET TRUE;\n"]);
    assert_eq!(adapted.leave, ["REVOKE \"app\" FROM \"master\";\n"]);
    assert!(adapted.findings.is_empty(), "{:?}", adapted.findings);
}

#[test]
fn an_owner_the_target_user_cannot_become_is_replaced_and_reported() {
    let adapted = adapt(&toc(vec![owned(Kind::Table, "t", "rdsadmin")]), "postgres", &target());
    assert_eq!(adapted.toc.entries[0].owner.as_deref(), Some("master"));
    assert_eq!(adapted.findings[0].severity, Severity::Change);
}

#[test]
fn grants_to_an_owner_the_target_user_cannot_become_are_told_with_what_it_owns() {
    let mut grant = Entry::new(Kind::Acl, Some("public"), "TABLE u");
    grant.create = "GRANT SELECT ON TABLE \"public\".\"u\" TO \"rdsadmin\";\n".into();
    let entries = vec![owned(Kind::Table, "t", "rdsadmin"), grant];
    let adapted = adapt(&toc(entries), "postgres", &target());
    assert!(adapted.toc.entries[1].create.contains("TO \"master\""));
    let told = &adapted.findings[0].what;
    assert!(told.contains("master takes its place in 1 other definition"), "{told}");
}

#[test]
fn settings_and_role_attributes_for_superusers_are_left_out_and_reported() {
    let mut database = Entry::new(Kind::DatabaseProperties, None, "shop");
    database.create = "ALTER DATABASE \"shop\" SET \"log_statement\" TO 'all';\n\
                       ALTER DATABASE \"shop\" SET \"work_mem\" TO '8MB';\n"
        .into();
    let mut role = Entry::new(Kind::Role, None, "app");
    role.create = "CREATE ROLE \"app\" WITH LOGIN;\nALTER ROLE \"app\" WITH BYPASSRLS;\n".into();
    let adapted = adapt(&toc(vec![role, database]), "postgres", &target());
    assert_eq!(adapted.findings.len(), 2, "{:?}", adapted.findings);
    assert_eq!(adapted.toc.entries[0].create, "CREATE ROLE \"app\" WITH LOGIN;\n");
    assert!(adapted.toc.entries[1].create.contains("work_mem"));
    assert!(!adapted.toc.entries[1].create.contains("log_statement"));
}

#[test]
fn settings_that_the_target_has_no_more_are_left_out_for_a_superuser_too() {
    let mut database = Entry::new(Kind::DatabaseProperties, None, "shop");
    database.create = "ALTER DATABASE \"shop\" SET \"operator_precedence_warning\" TO 'on';\n\
                       ALTER DATABASE \"shop\" SET \"my.own\" TO 'x';\n"
        .into();
    let function = "CREATE FUNCTION s.f()\n RETURNS integer\n LANGUAGE sql\n LEAKPROOF\n SET \
                    vacuum_cleanup_index_scale_factor TO '0.2'\nAS $f$select 1$f$;\n";
    let function = made(Kind::Function, "f()", function, &[]);
    let of_super = TargetFacts { superuser: true, ..target() };
    let adapted = adapt(&toc(vec![database, function]), "postgres", &of_super);
    let [database, function] = adapted.toc.entries.as_slice() else { panic!("{adapted:?}") };
    assert_eq!(database.create, "ALTER DATABASE \"shop\" SET \"my.own\" TO 'x';\n");
    assert!(function.create.contains("LEAKPROOF\nAS "), "{}", function.create);
    assert_eq!(adapted.findings.len(), 2, "{:?}", adapted.findings);
}

#[test]
fn a_table_goes_without_lz4_where_the_target_has_none() {
    let create = "CREATE TABLE \"s\".\"t\" (\n    \"c\" text\n);\n";
    let lz4 = "ALTER TABLE ONLY \"s\".\"t\" ALTER COLUMN \"c\" SET COMPRESSION lz4;\n";
    let table = made(Kind::Table, "t", &format!("{create}{lz4}"), &[]);
    let mut target = target();
    assert!(adapt(&toc(vec![table.clone()]), "postgres", &target).findings.is_empty());
    target.holds.lacks_lz4 = true;
    let adapted = adapt(&toc(vec![table]), "postgres", &target);
    assert_eq!(adapted.toc.entries[0].create, create);
    assert_eq!(adapted.findings.len(), 1);
}

#[test]
fn an_extension_the_target_has_not_got_is_refused() {
    let adapted = adapt(
        &toc(vec![
            Entry::new(Kind::Extension, None, "citext"),
            Entry::new(Kind::Extension, None, "x"),
        ]),
        "postgres",
        &target(),
    );
    assert_eq!(adapted.findings.len(), 1);
    assert_eq!(adapted.findings[0].severity, Severity::Refusal);
}

#[test]
fn a_role_that_is_there_is_left_alone_and_its_dependents_keep_their_needs() {
    let mut table = owned(Kind::Table, "t", "master");
    table.depends_on = vec![EntryId(0)];
    let adapted =
        adapt(&toc(vec![Entry::new(Kind::Role, None, "master"), table]), "postgres", &target());
    assert_eq!(adapted.toc.entries.len(), 1);
    assert!(adapted.toc.entries[0].depends_on.is_empty());
}

/// An entry that creates something by this SQL.
fn made(kind: Kind, name: &str, create: &str, needs: &[u32]) -> Entry {
    Entry {
        create: create.into(),
        depends_on: needs.iter().copied().map(EntryId).collect(),
        ..Entry::new(kind, Some("s"), name)
    }
}

/// What is told, as `severity object: what`.
fn told(adapted: &Adapted) -> Vec<String> {
    let line =
        |finding: &Finding| format!("{:?} {}: {}", finding.severity, finding.object, finding.what);
    adapted.findings.iter().map(line).collect()
}

fn titles(adapted: &Adapted) -> Vec<String> {
    adapted.toc.entries.iter().map(Entry::title).collect()
}

#[test]
fn rows_that_would_be_lost_are_a_refusal_with_the_whole_chain() {
    let entries = vec![
        made(Kind::Type, "b", "CREATE TYPE \"s\".\"b\" (\n    INPUT = \"s\".\"i\"\n);\n", &[]),
        made(Kind::Domain, "d", "CREATE DOMAIN \"s\".\"d\" AS \"s\".\"b\";\n", &[0]),
        made(Kind::Table, "t", "CREATE TABLE \"s\".\"t\" (\n    \"c\" \"s\".\"d\"\n);\n", &[1]),
        made(Kind::TableData, "t", "", &[2]),
        made(Kind::Comment, "TABLE t", "COMMENT ON TABLE \"s\".\"t\" IS 'x';\n", &[2]),
        made(Kind::Table, "kept", "CREATE TABLE \"s\".\"kept\" (\n);\n", &[]),
    ];
    let adapted = adapt(&toc(entries.clone()), "postgres", &target());
    assert_eq!(titles(&adapted), ["TABLE s.kept"]);
    assert_eq!(
        told(&adapted),
        [
            "Refusal rows of TABLE s.t: can't be copied: they need TABLE s.t, which needs DOMAIN \
             s.d, which needs TYPE s.b, which is left out",
            "Change DOMAIN s.d: left out, as it needs TYPE s.b, which is left out",
            "Change TABLE s.t: left out, as it needs DOMAIN s.d, which needs TYPE s.b, which is \
             left out",
            "Change TYPE s.b: left out, as a base type takes a superuser",
        ]
    );
    let super_target = TargetFacts { superuser: true, ..target() };
    let all = adapt(&toc(entries), "postgres", &super_target);
    assert_eq!((all.toc.entries.len(), all.findings.len()), (6, 0));
}

#[test]
fn a_routine_goes_without_a_transform_that_it_does_not_ask_for() {
    let transform = "CREATE TRANSFORM FOR integer LANGUAGE \"sql\" (FROM SQL WITH FUNCTION f);\n";
    let plain = "CREATE FUNCTION s.f(integer)\n RETURNS integer\n LANGUAGE sql\nRETURN 1\n;\n";
    let asks = plain.replace(" LANGUAGE", " TRANSFORM FOR TYPE integer\n LANGUAGE");
    let entries = vec![
        made(Kind::Transform, "TRANSFORM FOR integer LANGUAGE sql", transform, &[]),
        made(Kind::Function, "f(integer)", plain, &[0]),
        made(Kind::Function, "g(integer)", &asks, &[0]),
    ];
    let adapted = adapt(&toc(entries), "postgres", &target());
    assert_eq!(titles(&adapted), ["FUNCTION s.f(integer)"]);
}

#[test]
fn rows_whose_access_method_is_denied_are_kept_in_a_heap() {
    let method = Entry::new(Kind::AccessMethod, None, "columnar");
    let create = "CREATE TABLE \"s\".\"t\" (\n    \"c\" integer\n)\nUSING \"columnar\";\n";
    let entries =
        vec![method, made(Kind::Table, "t", create, &[0]), made(Kind::TableData, "t", "", &[1])];
    let adapted = adapt(&toc(entries), "postgres", &target());
    assert_eq!(titles(&adapted), ["TABLE s.t", "TABLE DATA s.t"]);
    assert_eq!(
        adapted.toc.entries[0].create,
        "CREATE TABLE \"s\".\"t\" (\n    \"c\" integer\n);\n"
    );
    assert!(told(&adapted).iter().all(|line| line.starts_with("Change")), "{:?}", told(&adapted));
}

#[test]
fn a_label_needs_its_provider_even_on_a_superusers_target() {
    let label = |provider: &str| {
        let sql = format!("SECURITY LABEL FOR \"{provider}\" ON TABLE \"s\".\"t\" IS 'x';\n");
        made(Kind::SecurityLabel, "TABLE t", &sql, &[])
    };
    let loaded = ["anon.maskschema", "sepgsql.permissive"].map(str::to_owned);
    let target = TargetFacts { superuser: true, known_settings: loaded.into(), ..target() };
    let entries = vec![label("anon"), label("selinux"), label("dummy")];
    let adapted = adapt(&toc(entries), "postgres", &target);
    assert_eq!(adapted.toc.entries.len(), 2);
    assert_eq!(
        told(&adapted),
        ["Change SECURITY LABEL s.TABLE t: left out, as the target has not loaded the label \
          provider dummy"]
    );
}

#[test]
fn secrets_of_mappings_and_subscriptions_are_never_told() {
    let mapping = made(
        Kind::UserMapping,
        "USER MAPPING postgres SERVER far",
        "CREATE USER MAPPING FOR \"postgres\" SERVER \"far\" OPTIONS (\n    \"sslkey\" 'secret'\n);\n",
        &[],
    );
    let subscription = made(
        Kind::Subscription,
        "sub",
        "CREATE SUBSCRIPTION \"sub\" CONNECTION 'password=secret' PUBLICATION \"p\" WITH (connect = \
         false);\n",
        &[],
    );
    let adapted = adapt(&toc(vec![mapping, subscription]), "postgres", &target());
    assert_eq!(adapted.findings.len(), 2, "{:?}", told(&adapted));
    assert!(adapted.findings.iter().all(|finding| !finding.to_string().contains("secret")));
}

#[test]
fn a_subscription_is_kept_for_who_may_and_has_a_password() {
    let may = TargetRole { can_set: true, inherits: true, ..Default::default() };
    let mut target = target();
    target.roles.insert("pg_create_subscription".into(), may);
    let subscription = |conninfo: &str| {
        let sql = format!(
            "CREATE SUBSCRIPTION \"sub\" CONNECTION '{conninfo}' PUBLICATION \"p\" WITH (connect = \
             false, slot_name = 'sub');\n"
        );
        adapt(&toc(vec![made(Kind::Subscription, "sub", &sql, &[])]), "postgres", &target)
    };
    assert_eq!(subscription("host=a password=b").toc.entries.len(), 1);
    assert_eq!(subscription("host=a").toc.entries.len(), 0);
}

#[test]
fn a_mapping_follows_the_role_that_stands_for_its_own() {
    let mapping = made(
        Kind::UserMapping,
        "USER MAPPING postgres SERVER FOR",
        "CREATE USER MAPPING FOR \"postgres\" SERVER \"postgres\";\n",
        &[],
    );
    let adapted = adapt(&toc(vec![mapping]), "postgres", &target());
    let entry = &adapted.toc.entries[0];
    assert_eq!(entry.create, "CREATE USER MAPPING FOR \"master\" SERVER \"postgres\";\n");
    assert_eq!(entry.name, "USER MAPPING master SERVER FOR");
}

#[test]
fn an_owner_below_the_target_user_is_refused_by_name() {
    let membership =
        made(Kind::RoleMembership, "master TO app", "GRANT \"master\" TO \"app\";\n", &[]);
    let role = made(Kind::Role, "app", "CREATE ROLE \"app\" WITH LOGIN;\n", &[]);
    let adapted =
        adapt(&toc(vec![role, membership, owned(Kind::Table, "t", "app")]), "postgres", &target());
    let refused: Vec<&Finding> =
        adapted.findings.iter().filter(|f| f.severity == Severity::Refusal).collect();
    assert_eq!(refused.len(), 1, "{:?}", told(&adapted));
    assert_eq!(refused[0].object, "role app");
}

#[test]
fn a_grantor_that_is_not_ours_to_be_is_told_and_the_membership_granted_all_the_same() {
    let membership = made(
        Kind::RoleMembership,
        "a TO b GRANTED BY c",
        "GRANT \"a\" TO \"b\" WITH ADMIN false, INHERIT true, SET true GRANTED BY \"c\";\n",
        &[],
    );
    let adapted = adapt(&toc(vec![membership]), "postgres", &target());
    assert_eq!(
        adapted.toc.entries[0].create,
        "GRANT \"a\" TO \"b\" WITH ADMIN false, INHERIT true, SET true;\n"
    );
    assert_eq!(adapted.findings.len(), 1);
}

#[test]
fn a_membership_that_is_there_is_compared() {
    let there = MembershipOptions { admin: false, inherit: Some(true), set: Some(false) };
    let mut target = target();
    target.holds.memberships.insert(("a".into(), "b".into()), there);
    let membership = |options: &str| {
        let sql = format!("GRANT \"a\" TO \"b\"{options};\n");
        let adapted =
            adapt(&toc(vec![made(Kind::RoleMembership, "a TO b", &sql, &[])]), "postgres", &target);
        assert!(adapted.toc.entries.is_empty());
        adapted.findings.len()
    };
    assert_eq!(membership(" WITH ADMIN false, INHERIT true, SET false"), 0);
    assert_eq!(membership(""), 0);
    assert_eq!(membership(" WITH ADMIN OPTION"), 1);
    assert_eq!(membership(" WITH ADMIN false, INHERIT true, SET true"), 1);
}

#[test]
fn public_goes_where_the_source_has_none_and_it_is_ours_and_empty() {
    let absent = Entry {
        create: "DROP SCHEMA IF EXISTS \"public\";\n".into(),
        ..Entry::new(Kind::Schema, None, "public")
    };
    let with = |owner: &str, is_empty| {
        let mut target = target();
        target.holds.public_schema = Some(PublicSchema { owner: owner.into(), is_empty });
        let adapted = adapt(&toc(vec![absent.clone()]), "postgres", &target);
        (adapted.toc.entries[0].create.starts_with("DROP"), adapted.findings.len())
    };
    assert_eq!(with("pg_database_owner", true), (true, 0));
    assert_eq!(with("pg_database_owner", false), (false, 1));
    assert_eq!(with("rdsadmin", true), (false, 1));
}

#[test]
fn a_public_that_is_somebody_elses_keeps_its_owner_grants_and_comment() {
    let mut target = target();
    target.version = ServerVersion(140_000);
    target.holds.public_schema = Some(PublicSchema { owner: "rdsadmin".into(), is_empty: true });
    let schema = Entry {
        create: "CREATE SCHEMA IF NOT EXISTS \"public\";\n".into(),
        drop: "DROP SCHEMA \"public\";".into(),
        owner: Some("app".into()),
        ..Entry::new(Kind::Schema, None, "public")
    };
    let grants = "REVOKE ALL ON SCHEMA \"public\" FROM PUBLIC;\n";
    let acl = Entry { create: grants.into(), ..Entry::new(Kind::Acl, None, "SCHEMA public") };
    let comment = Entry {
        create: "COMMENT ON SCHEMA \"public\" IS 'x';\n".into(),
        ..Entry::new(Kind::Comment, None, "SCHEMA public")
    };
    let role = made(Kind::Role, "app", "CREATE ROLE \"app\" WITH LOGIN;\n", &[]);
    let adapted = adapt(&toc(vec![role, schema, acl, comment]), "postgres", &target);
    assert_eq!(adapted.findings.len(), 3, "{:?}", told(&adapted));
    assert_eq!(adapted.toc.entries[1].owner_sql("rdsadmin"), None);
    assert!(adapted.join.is_empty(), "{:?}", adapted.join);
}

#[test]
fn a_comment_on_an_extension_is_its_owners_unless_it_is_the_same() {
    let comment = |text: &str| Entry {
        create: format!("COMMENT ON EXTENSION \"citext\" IS '{text}';\n"),
        ..Entry::new(Kind::Comment, None, "EXTENSION citext")
    };
    let mut target = target();
    let there = TargetExtension {
        comment: Some("same".into()),
        installed: Some("1".into()),
        ..Default::default()
    };
    target.extensions.insert("citext".into(), there.clone());
    let count = |target: &TargetFacts, text: &str| {
        let extension = Entry::new(Kind::Extension, None, "citext");
        let adapted = adapt(&toc(vec![extension, comment(text)]), "postgres", target);
        (adapted.toc.entries.len() - 1, adapted.findings.len())
    };
    assert_eq!(count(&target, "same"), (0, 0));
    assert_eq!(count(&target, "other"), (0, 1));
    let ours = TargetExtension { is_ours: true, ..there };
    target.extensions.insert("citext".into(), ours.clone());
    assert_eq!(count(&target, "other"), (1, 0));
    assert_eq!(count(&target, "same"), (1, 0), "it isn't the script's: an earlier run gave it");
    let scripted = TargetExtension { own_comment: Some("same".into()), ..ours };
    target.extensions.insert("citext".into(), scripted);
    assert_eq!(count(&target, "same"), (0, 0));
}

#[test]
fn a_publications_owner_is_lent_the_right_to_make_publications() {
    let mut publication = made(Kind::Publication, "p", "CREATE PUBLICATION \"p\";\n", &[]);
    publication.schema = None;
    publication.owner = Some("app".into());
    let role = made(Kind::Role, "app", "CREATE ROLE \"app\" WITH LOGIN;\n", &[]);
    let adapted = adapt(&toc(vec![role, publication]), "postgres", &target());
    assert_eq!(adapted.join.last().unwrap(), "GRANT CREATE ON DATABASE \"shop\" TO \"app\";\n");
    assert_eq!(adapted.take_back, ["REVOKE CREATE ON DATABASE \"shop\" FROM \"app\";\n"]);
}

#[test]
fn an_administrator_of_a_managed_server_may_more() {
    let entries = || {
        let trigger =
            "CREATE EVENT TRIGGER \"e\" ON ddl_command_end EXECUTE FUNCTION \"s\".\"f\"();\n";
        let publication = "CREATE PUBLICATION \"p\" FOR ALL TABLES;\n";
        toc(vec![
            made(Kind::Publication, "p", publication, &[]),
            made(Kind::EventTrigger, "e", trigger, &[]),
        ])
    };
    let mut target = target();
    assert_eq!(adapt(&entries(), "postgres", &target).findings.len(), 2);
    let member = TargetRole { inherits: true, ..Default::default() };
    target.roles.insert("rds_superuser".into(), member);
    target.known_settings.insert("rds.extensions".into());
    let adapted = adapt(&entries(), "postgres", &target);
    assert_eq!((adapted.toc.entries.len(), adapted.findings.len()), (2, 0));
}

#[test]
fn what_a_newer_major_creates_no_more_is_left_out_even_for_a_superuser() {
    let entries = || {
        let postfix =
            "CREATE OPERATOR \"s\".!!! (\n    FUNCTION = s.f,\n    LEFTARG = integer\n);\n";
        let whole = "CREATE TYPE \"s\".\"t\" (\n    INTERNALLENGTH = variable,\n    ELEMENT = integer\n);\n";
        let fixed =
            "CREATE TYPE \"s\".\"u\" (\n    INTERNALLENGTH = 8,\n    ELEMENT = integer\n);\n";
        let prefix =
            "CREATE OPERATOR \"s\".!! (\n    FUNCTION = s.f,\n    RIGHTARG = integer\n);\n";
        toc(vec![
            made(Kind::Operator, "!!!", postfix, &[]),
            made(Kind::Type, "t", whole, &[]),
            made(Kind::Type, "u", fixed, &[]),
            made(Kind::Operator, "!!", prefix, &[]),
            made(Kind::View, "v", "CREATE VIEW \"s\".\"v\" AS SELECT 1;\n", &[0]),
        ])
    };
    let mut target = target();
    target.superuser = true;
    target.version = ServerVersion(180_000);
    let adapted = adapt(&entries(), "postgres", &target);
    let left: Vec<String> = adapted.toc.entries.iter().map(Entry::title).collect();
    assert_eq!(left, ["TYPE s.u", "OPERATOR s.!!"], "{:?}", told(&adapted));
    assert_eq!(adapted.findings.len(), 3, "{:?}", told(&adapted));
    target.version = ServerVersion(130_000);
    assert_eq!(adapt(&entries(), "postgres", &target).toc.entries.len(), 5);
}

#[test]
fn large_objects_that_their_owner_may_not_read_are_refused() {
    let entry = |create: &str| Entry {
        owner: Some("app".to_owned()),
        create: create.to_owned(),
        ..Entry::new(Kind::LargeObjects, None, "app {app=w/app}")
    };
    let refused = |create: &str, superuser: bool| {
        let toc = Toc { entries: vec![entry(create)] };
        let target = TargetFacts { superuser, ..target() };
        let adapted = adapt(&toc, "postgres", &target);
        adapted.findings.iter().any(|finding| finding.severity == Severity::Refusal)
    };
    let revoke = "REVOKE ALL ON LARGE OBJECT 0 FROM \"app\";\n";
    let write = format!("{revoke}GRANT UPDATE ON LARGE OBJECT 0 TO \"app\";\n");
    let read = format!("{revoke}GRANT SELECT ON LARGE OBJECT 0 TO \"app\";\n");
    assert!(refused(revoke, false) && refused(&write, false));
    assert!(!refused(&read, false) && !refused(&write, true) && !refused("", false));
}
