use super::*;
use crate::toc::Severity;

fn entry(kind: Kind, name: &str, needs: &[u32]) -> Entry {
    Entry {
        depends_on: needs.iter().copied().map(EntryId).collect(),
        ..Entry::new(kind, Some("s"), name)
    }
}

const CHOSEN: Selection = Selection::Chosen;
const OPEN: Selection = Selection::Open;

fn excluded() -> Selection {
    Selection::Excluded("--exclude-table s.t".to_owned())
}

fn closed(entries: &[Entry], selection: &[Selection], whole: bool) -> Closed {
    let (selection, without_rows) = (selection.to_vec(), HashSet::new());
    close(entries.to_vec(), &Choosing { selection, without_rows, whole })
}

fn titles(closed: &Closed) -> Vec<String> {
    closed.entries.iter().map(Entry::title).collect()
}

#[test]
fn definitions_come_along_and_nothing_else_does() {
    let entries = [
        entry(Kind::Type, "mood", &[]),
        entry(Kind::Type, "other", &[]),
        entry(Kind::Function, "f(mood)", &[0]),
        entry(Kind::Sequence, "q", &[]),
        entry(Kind::Table, "t", &[3]),
        entry(Kind::CheckConstraint, "t c", &[2, 4]),
        entry(Kind::SequenceSet, "q", &[3]),
        entry(Kind::TableData, "t", &[4]),
    ];
    let selection = [OPEN, OPEN, OPEN, OPEN, CHOSEN, OPEN, OPEN, OPEN];
    let closed = closed(&entries, &selection, false);
    assert_eq!(
        titles(&closed),
        [
            "TYPE s.mood",
            "FUNCTION s.f(mood)",
            "SEQUENCE s.q",
            "TABLE s.t",
            "CHECK CONSTRAINT s.t c",
            "SEQUENCE SET s.q",
            "TABLE DATA s.t"
        ]
    );
    assert_eq!(closed.entries[4].depends_on, [EntryId(1), EntryId(3)]);
    assert!(closed.findings.is_empty(), "{:?}", closed.findings);
    assert_eq!(closed.left.len(), 1);
}

#[test]
fn a_table_that_was_not_asked_for_is_refused_with_the_chain_to_it() {
    let entries = [
        entry(Kind::Table, "t", &[]),
        entry(Kind::Function, "f()", &[0]),
        entry(Kind::View, "v", &[1]),
    ];
    let closed = closed(&entries, &[OPEN, OPEN, CHOSEN], false);
    let [finding] = closed.findings.as_slice() else { panic!("{:?}", closed.findings) };
    assert_eq!((finding.severity, finding.object.as_str()), (Severity::Refusal, "VIEW s.v"));
    assert_eq!(finding.what, "needs FUNCTION s.f(), which needs TABLE s.t, which isn't chosen");
    let remedy = finding.remedy.as_deref().unwrap();
    assert!(remedy.contains("--include s.t") && remedy.contains("--exclude-table s.v"), "{remedy}");
}

#[test]
fn what_needs_an_excluded_thing_is_refused_by_the_flag_that_excludes_it() {
    let entries = [
        entry(Kind::Table, "t", &[]),
        entry(Kind::Table, "u", &[]),
        entry(Kind::Policy, "u only mine", &[0, 1]),
    ];
    let closed = closed(&entries, &[excluded(), CHOSEN, CHOSEN], true);
    let [finding] = closed.findings.as_slice() else { panic!("{:?}", closed.findings) };
    assert_eq!(finding.object, "POLICY s.u only mine");
    assert_eq!(finding.what, "needs TABLE s.t, which --exclude-table s.t leaves behind");
}

#[test]
fn a_foreign_key_to_a_table_left_behind_stays_with_it_and_is_told() {
    let entries = [
        entry(Kind::Table, "t", &[]),
        entry(Kind::Table, "u", &[]),
        entry(Kind::Constraint, "t t_pkey", &[0]),
        entry(Kind::FkConstraint, "u u_t_fkey", &[0, 1, 2]),
    ];
    let closed = closed(&entries, &[OPEN, CHOSEN, OPEN, OPEN], false);
    assert_eq!(titles(&closed), ["TABLE s.u"]);
    assert_eq!(closed.findings.len(), 1);
    assert_eq!(closed.findings[0].severity, Severity::Change);
    assert_eq!(closed.findings[0].object, "FK CONSTRAINT s.u u_t_fkey");
    assert!(closed.findings[0].remedy.as_deref().unwrap().contains("--include s.t "));
}

#[test]
fn foreign_keys_left_behind_say_the_same_whatever_table_they_refer_to() {
    let entries = [
        entry(Kind::Table, "t", &[]),
        entry(Kind::Table, "v", &[]),
        entry(Kind::Table, "u", &[]),
        entry(Kind::FkConstraint, "u u_t_fkey", &[0, 2]),
        entry(Kind::FkConstraint, "u u_v_fkey", &[1, 2]),
    ];
    let closed = closed(&entries, &[OPEN, OPEN, CHOSEN, OPEN, OPEN], false);
    let [one, other] = closed.findings.as_slice() else { panic!("{:?}", closed.findings) };
    assert_eq!(one.what, other.what);
    assert_ne!(one.remedy, other.remedy);
}

#[test]
fn a_partition_alone_is_a_table_of_its_own() {
    let entries = [
        entry(Kind::Table, "p", &[]),
        entry(Kind::Table, "p1", &[0]),
        entry(Kind::TableAttach, "p1", &[0, 1]),
        entry(Kind::Index, "p_i", &[0]),
        entry(Kind::Index, "p1_i", &[1, 2, 3]),
        entry(Kind::IndexAttach, "p1_i", &[3, 4]),
    ];
    let closed = closed(&entries, &[OPEN, CHOSEN, OPEN, OPEN, OPEN, OPEN], false);
    assert_eq!(titles(&closed), ["TABLE s.p1", "INDEX s.p1_i"]);
    let [finding] = closed.findings.as_slice() else { panic!("{:?}", closed.findings) };
    assert_eq!(finding.object, "TABLE ATTACH s.p1");
    assert_eq!(finding.severity, Severity::Change);
}

#[test]
fn a_cast_that_no_flag_can_name_stays_with_what_it_needs() {
    let cast = |needs: &[u32]| Entry { schema: None, ..entry(Kind::Cast, "CAST (a AS b)", needs) };
    let entries = [entry(Kind::Type, "a", &[]), cast(&[0]), cast(&[])];
    let closed = closed(&entries, &[excluded(), CHOSEN, CHOSEN], true);
    assert_eq!(titles(&closed), ["CAST CAST (a AS b)"]);
    assert_eq!(closed.findings[0].severity, Severity::Change);
}

#[test]
fn comments_and_grants_go_with_all_that_they_are_about() {
    let entries = [
        entry(Kind::Table, "t", &[]),
        entry(Kind::Table, "u", &[]),
        entry(Kind::Acl, "TABLE t", &[0]),
        entry(Kind::Acl, "COLUMN t.c", &[0, 2]),
        entry(Kind::Comment, "TABLE u", &[1]),
        entry(Kind::Acl, "PARAMETER x", &[]),
    ];
    let selection = [CHOSEN, OPEN, OPEN, OPEN, OPEN, OPEN];
    let part = closed(&entries, &selection, false);
    assert_eq!(titles(&part), ["TABLE s.t", "ACL s.TABLE t", "ACL s.COLUMN t.c"]);
    assert_eq!(titles(&closed(&entries, &selection, true)).len(), 4);
}

#[test]
fn roles_come_where_they_are_named_with_those_that_they_are_members_of() {
    let role = |name: &str| Entry { schema: None, ..entry(Kind::Role, name, &[]) };
    let mut table = entry(Kind::Table, "t", &[]);
    table.owner = Some("owner".to_owned());
    let grant = Entry {
        create: "GRANT SELECT ON TABLE \"s\".\"t\" TO \"reader\";\n".to_owned(),
        ..entry(Kind::Acl, "TABLE t", &[4])
    };
    let membership = Entry {
        create: "GRANT \"group\" TO \"reader\";\n".to_owned(),
        ..Entry::new(Kind::RoleMembership, None, "group TO reader")
    };
    let membership = Entry { depends_on: vec![EntryId(1), EntryId(2)], ..membership };
    let comment = Entry { schema: None, ..entry(Kind::Comment, "ROLE other", &[3]) };
    let entries = [
        role("owner"),
        role("reader"),
        role("group"),
        role("other"),
        table,
        grant,
        membership,
        comment,
    ];
    let mut selection = vec![OPEN; 8];
    selection[4] = CHOSEN;
    assert_eq!(
        titles(&closed(&entries, &selection, false)),
        [
            "ROLE owner",
            "ROLE reader",
            "ROLE group",
            "TABLE s.t",
            "ACL s.TABLE t",
            "ROLE MEMBERSHIP group TO reader"
        ]
    );
}

#[test]
fn what_belongs_to_the_whole_is_told_when_a_part_is_chosen() {
    let publication = Entry { schema: None, ..entry(Kind::Publication, "p", &[]) };
    let closed = closed(&[publication], &[OPEN], false);
    assert_eq!(closed.findings[0].severity, Severity::Note);
    assert!(closed.findings[0].what.contains("1 PUBLICATION"), "{}", closed.findings[0].what);
}

#[test]
fn an_index_belongs_to_its_table_whatever_domains_it_reads_and_public_is_always_there() {
    let schema = Entry { schema: None, ..entry(Kind::Schema, "public", &[]) };
    let entries = [
        schema,
        entry(Kind::Domain, "a_domain_of_a_long_name", &[]),
        entry(Kind::Table, "t", &[0]),
        entry(Kind::Index, "i", &[1, 2]),
        entry(Kind::CheckConstraint, "a_domain_of_a_long_name c", &[1]),
    ];
    let public = Selection::Excluded("--exclude-schema public".to_owned());
    let closed = closed(&entries, &[public, OPEN, CHOSEN, OPEN, OPEN], true);
    assert!(closed.findings.is_empty(), "{:?}", closed.findings);
    assert_eq!(
        titles(&closed),
        [
            "DOMAIN s.a_domain_of_a_long_name",
            "TABLE s.t",
            "INDEX s.i",
            "CHECK CONSTRAINT s.a_domain_of_a_long_name c"
        ]
    );
}
