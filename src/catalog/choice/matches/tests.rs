use super::*;

fn entry(kind: Kind, schema: &str, name: &str, needs: &[u32]) -> Entry {
    Entry {
        depends_on: needs.iter().copied().map(EntryId).collect(),
        ..Entry::new(kind, Some(schema).filter(|schema| !schema.is_empty()), name)
    }
}

/// A schema with a table that has a sequence, a partitioned table, a view, a type; another one.
fn entries() -> Vec<Entry> {
    vec![
        entry(Kind::Schema, "", "a", &[]),
        entry(Kind::Table, "a", "t", &[0]),
        entry(Kind::Sequence, "a", "t_id_seq", &[0]),
        entry(Kind::SequenceOwnedBy, "a", "t_id_seq", &[1, 2]),
        entry(Kind::Table, "a", "p", &[0]),
        entry(Kind::Table, "b", "p1", &[4]),
        entry(Kind::TableAttach, "b", "p1", &[4, 5]),
        entry(Kind::TableData, "b", "p1", &[5]),
        entry(Kind::View, "b", "v", &[]),
        entry(Kind::Type, "b", "mood", &[]),
        entry(Kind::Extension, "", "x", &[]),
        entry(Kind::Cast, "", "CAST (a AS b)", &[]),
    ]
}

/// The titles of those that are chosen, and of those that are excluded, marked so, by rules whose
/// patterns are plain names.
fn said(rules: &[(Flag, &str)]) -> String {
    let rules: Vec<Rule> =
        rules.iter().map(|(flag, text)| Rule::new(*flag, text).unwrap()).collect();
    let mut matches = Matches::default();
    for (at, rule) in rules.iter().enumerate() {
        let text = rule.pattern.to_string();
        match text.split_once('.') {
            Some((schema, name)) => {
                matches.relations.entry(QualifiedName::new(schema, name)).or_default().push(at);
            }
            None => matches.names.entry(text).or_default().push(at),
        }
    }
    let entries = entries();
    let choosing = matches.choosing(&Choice::new(rules), &entries);
    let told = entries.iter().zip(&choosing.selection).filter_map(|(entry, selection)| {
        let about =
            matches!(entry.kind, Kind::SequenceOwnedBy | Kind::TableAttach | Kind::TableData);
        match selection {
            _ if about => None,
            Selection::Chosen => Some(entry.name.clone()),
            Selection::Excluded(_) => Some(format!("-{}", entry.name)),
            Selection::Open => None,
        }
    });
    let mut told: Vec<String> = told.collect();
    told.extend(choosing.whole.then(|| "whole".to_owned()));
    told.join(" ")
}

#[test]
fn schemas_are_chosen_with_all_in_them_and_partitions_elsewhere() {
    assert_eq!(said(&[(Flag::Schema, "a")]), "a t t_id_seq p p1");
    assert_eq!(said(&[(Flag::Schema, "b")]), "p1 v mood");
}

#[test]
fn excluding_leaves_a_whole_without_a_part() {
    assert_eq!(
        said(&[(Flag::ExcludeSchema, "b")]),
        "a t t_id_seq p -p1 -v -mood x CAST (a AS b) whole"
    );
    assert_eq!(
        said(&[(Flag::ExcludeTable, "a.t")]),
        "a -t -t_id_seq p p1 v mood x CAST (a AS b) whole"
    );
    assert_eq!(
        said(&[(Flag::ExcludeTable, "a.p")]),
        "a t t_id_seq -p -p1 v mood x CAST (a AS b) whole"
    );
    assert_eq!(
        said(&[(Flag::ExcludeExtension, "x")]),
        "a t t_id_seq p p1 v mood -x CAST (a AS b) whole"
    );
}

#[test]
fn tables_are_chosen_whatever_the_schemas_and_without_them() {
    assert_eq!(said(&[(Flag::Table, "a.t")]), "t t_id_seq");
    assert_eq!(said(&[(Flag::Table, "a.p"), (Flag::ExcludeSchema, "b")]), "p p1");
    assert_eq!(said(&[(Flag::Table, "a.t"), (Flag::Schema, "b")]), "t t_id_seq");
    assert_eq!(said(&[(Flag::Table, "a.t"), (Flag::ExcludeTable, "a.t")]), "-t -t_id_seq");
}

#[test]
fn including_adds_to_what_is_chosen_otherwise() {
    assert_eq!(said(&[(Flag::Include, "b.v")]), "v");
    assert_eq!(said(&[(Flag::Schema, "a"), (Flag::Include, "b.v")]), "a t t_id_seq p p1 v");
    assert_eq!(said(&[(Flag::Table, "a.t"), (Flag::Include, "b.v")]), "t t_id_seq v");
}

#[test]
fn extensions_alone_leave_the_schemas_chosen_but_not_the_rest() {
    assert_eq!(said(&[(Flag::Extension, "x")]), "a t t_id_seq p p1 v mood x");
    assert_eq!(said(&[(Flag::Extension, "y")]), "a t t_id_seq p p1 v mood");
}

#[test]
fn a_partitioned_tables_rows_are_its_partitions() {
    let rules = vec![Rule::new(Flag::ExcludeTableData, "a.p").unwrap()];
    let mut matches = Matches::default();
    matches.relations.insert(QualifiedName::new("a", "p"), vec![0]);
    let choosing = matches.choosing(&Choice::new(rules), &entries());
    assert_eq!(choosing.without_rows, HashSet::from([EntryId(7)]));
}

#[test]
fn a_row_filter_is_a_pattern_and_a_condition() {
    let rule = Rule::rows("app.\"a=b\" = x = '1'").unwrap();
    assert_eq!(rule.condition.as_deref(), Some("x = '1'"));
    assert_eq!(rule.to_string(), "--where app.\"a=b\"=x = '1'");
    for text in ["app.t", "app.t=", "=x", "a.b.c=x"] {
        assert!(Rule::rows(text).is_err(), "{text}");
    }
}

#[test]
fn equal_choices_have_equal_words_in_whatever_order_they_were_typed() {
    let rule = |flag, text: &str| Rule::new(flag, text).unwrap();
    let (a, b) = (rule(Flag::Schema, "a"), rule(Flag::ExcludeTable, "a.t"));
    assert_eq!(Choice::new(vec![a.clone(), b.clone()]).words(), Choice::new(vec![b, a]).words());
}

#[test]
fn what_was_to_go_must_match_and_what_was_not_to_is_told() {
    let choice = |flag| Choice::new(vec![Rule::new(flag, "x").unwrap()]);
    let nothing = Matches::default();
    assert!(nothing.idle(&choice(Flag::Table), "on the source").is_err());
    assert_eq!(
        nothing.idle(&choice(Flag::ExcludeTable), "on the source").unwrap(),
        ["--exclude-table x"]
    );
}
