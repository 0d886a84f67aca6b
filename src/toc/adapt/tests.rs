use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::pg::ServerVersion;
use crate::toc::Severity;
use crate::toc::target::{TargetExtension, TargetRole};
use crate::toc::{Entry, Kind};

fn target() -> TargetFacts {
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
        known_settings: BTreeSet::new(),
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
