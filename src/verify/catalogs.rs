//! Two tables of contents compared: every entry's definition, owner and grants.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::toc::adapt::as_told;
use crate::toc::{Entry, Kind, Toc, Token, counted, tokens, unquoted};

use super::icu_locales;
use super::operator_members::pooled;
use super::renderings::{settled, settled_statistics, settled_without_in};
use super::stand_ins::{joined, reads_nothing};

/// How the target's catalog differs from what is expected of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "difference")]
pub enum CatalogDifference {
    /// The target hasn't got it.
    Missing {
        /// The entry's title.
        entry: String,
    },
    /// The source hasn't got it.
    Unexpected {
        /// The entry's title.
        entry: String,
    },
    /// Both have it, defined otherwise.
    Differs {
        /// The entry's title.
        entry: String,
        /// What is expected.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Both have it, under different owners.
    Owner {
        /// The entry's title.
        entry: String,
        /// The owner expected.
        expected: String,
        /// The owner found.
        found: String,
    },
    /// The target has it, and it isn't whole.
    Damaged {
        /// The entry's title.
        entry: String,
        /// What is wrong, in the server's words.
        words: String,
    },
}

impl CatalogDifference {
    /// The title of the entry that it is about.
    pub fn entry(&self) -> &str {
        let (CatalogDifference::Missing { entry }
        | CatalogDifference::Unexpected { entry }
        | CatalogDifference::Differs { entry, .. }
        | CatalogDifference::Owner { entry, .. }
        | CatalogDifference::Damaged { entry, .. }) = self;
        entry
    }
}

impl fmt::Display for CatalogDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CatalogDifference::Missing { entry } => write!(f, "{entry} is missing on the target"),
            CatalogDifference::Unexpected { entry } => {
                write!(f, "{entry} is on the target only")
            }
            CatalogDifference::Differs { entry, expected, found } => write!(
                f,
                "{entry} differs:\n    expected: {}\n    found:    {}",
                expected.trim_end().replace('\n', "\n              "),
                found.trim_end().replace('\n', "\n              ")
            ),
            CatalogDifference::Owner { entry, expected, found } => {
                write!(f, "{entry} belongs to {found} instead of {expected}")
            }
            CatalogDifference::Damaged { entry, words } => {
                write!(f, "{entry} is damaged on the target: {words}")
            }
        }
    }
}

/// Compares what is expected of the target with what is there. Where the two servers are of
/// different majors, the texts they render of one and the same definition may differ: those kinds
/// are then compared by presence and owner only.
pub fn compare_catalogs(expected: &Toc, found: &Toc, same_major: bool) -> Vec<CatalogDifference> {
    let [expected, found] = [expected, found].map(|toc| match same_major {
        true => joined(toc.entries.iter().map(Cow::Borrowed).collect()),
        false => joined(pooled(toc)),
    });
    let entries = |joined| <[Cow<'_, Entry>]>::iter(joined).map(AsRef::as_ref);
    differences(entries(&expected), entries(&found), same_major)
}

fn differences<'e>(
    expected: impl Iterator<Item = &'e Entry>,
    found: impl Iterator<Item = &'e Entry>,
    same_major: bool,
) -> Vec<CatalogDifference> {
    let (expected, found) = (by_name(expected, same_major), by_name(found, same_major));
    let mut found: BTreeMap<&Name<'_>, _> = sharing_names(&found).collect();
    let mut differences = Vec::new();
    for (name, ours) in sharing_names(&expected) {
        match found.remove(name) {
            None => differences.push(CatalogDifference::Missing { entry: name.title.clone() }),
            Some(theirs) => {
                differences.extend(compare_entries(&name.title, ours, theirs, same_major));
            }
        }
    }
    let more = found.into_keys().map(|name| &name.title).filter(|title| !is_the_clusters(title));
    differences.extend(more.map(|entry| CatalogDifference::Unexpected { entry: entry.clone() }));
    differences
}

/// Whether an entry is about what other databases of the target's cluster may have brought: roles'
/// comments, and parameters' grants.
pub(super) fn is_the_clusters(title: &str) -> bool {
    title.starts_with("COMMENT ROLE ") || title.starts_with("ACL PARAMETER ")
}

/// What comparing these definitions leaves out, for people.
pub fn uncompared(toc: &Toc, same_major: bool) -> Option<String> {
    let left = toc.entries.iter().filter(|e| counts(e) && rendered_by_server(e.kind)).count();
    (!same_major && left > 0).then(|| {
        format!(
            "{} (views, materialized views, rules) compared by name and owner only, as servers of \
             different majors render them differently",
            counted(left, "definition")
        )
    })
}

/// What tells entries apart: a title alone doesn't say where a schema's name ends.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Name<'e> {
    title: String,
    kind: Kind,
    schema: Option<&'e str>,
}

/// The entries by name, in its order.
fn by_name<'e>(
    entries: impl Iterator<Item = &'e Entry>,
    same_major: bool,
) -> Vec<(Name<'e>, &'e Entry)> {
    let name = |entry: &'e Entry| Name {
        title: if same_major { entry.title() } else { of_any_major(entry) },
        kind: entry.kind,
        schema: entry.schema.as_deref(),
    };
    let counted = entries.filter(|entry| counts(entry));
    let mut named: Vec<(Name<'_>, &Entry)> = counted.map(|entry| (name(entry), entry)).collect();
    named.sort_by(|(name, _), (other, _)| name.cmp(other));
    named
}

/// Entries that share a name (one object's grants by several roles, say) are compared together.
fn sharing_names<'n, 'e>(
    named: &'n [(Name<'e>, &'e Entry)],
) -> impl Iterator<Item = (&'n Name<'e>, &'n [(Name<'e>, &'e Entry)])> {
    named.chunk_by(|(name, _), (next, _)| name == next).map(|all| (&all[0].0, all))
}

/// The title, as every major renders it.
pub(super) fn of_any_major(entry: &Entry) -> String {
    let title = unquoted(&entry.title()).into_owned();
    if title.contains("PROCEDURE ") { without_in(&title) } else { title }
}

/// From 14 on a procedure's arguments say IN.
fn without_in(text: &str) -> String {
    text.replace("(IN ", "(").replace(", IN ", ", ")
}

/// Roles are the cluster's, not the database's; rows, sequence values and large objects have their
/// own comparison.
pub(super) fn counts(entry: &Entry) -> bool {
    let elsewhere = matches!(
        entry.kind,
        Kind::TableData | Kind::SequenceSet | Kind::LargeObjects | Kind::LargeObjectData
    );
    !elsewhere && !matches!(entry.kind, Kind::Role | Kind::RoleMembership)
}

fn rendered_by_server(kind: Kind) -> bool {
    matches!(kind, Kind::View | Kind::MaterializedView | Kind::Rule)
}

fn compare_entries(
    title: &str,
    ours: &[(Name<'_>, &Entry)],
    theirs: &[(Name<'_>, &Entry)],
    same_major: bool,
) -> Vec<CatalogDifference> {
    let mut differences = Vec::new();
    let ((mut expected, owners), (mut found, others)) = (texts(ours), texts(theirs));
    if !same_major {
        expected.iter_mut().chain(&mut found).for_each(newer_words_bare);
    }
    let shown = ours.iter().chain(theirs).all(|(_, entry)| entry.is_shown());
    let equal = match same_major {
        // What one side doesn't show can't be compared; its entry says so.
        _ if !shown => true,
        _ if ours[0].1.kind == Kind::Statistics => same_by(settled_statistics, &expected, &found),
        true => same(&expected, &found),
        // One that its stand-in was left in place of has the same name.
        false if ours[0].1.kind == Kind::View => {
            expected.iter().all(|text| reads_nothing(text))
                || !found.iter().any(|text| reads_nothing(text))
        }
        false if rendered_by_server(ours[0].1.kind) => true,
        false if ours[0].1.kind == Kind::Table => {
            let nameless = |texts: &[Cow<'_, str>]| -> Vec<String> {
                texts.iter().map(|text| without_made_up_names(text)).collect()
            };
            same(&nameless(&expected), &nameless(&found))
        }
        false if ours[0].1.kind == Kind::Collation => {
            same(&expected, &found)
                || icu_locales::same_but_for_form(&expected.concat(), &found.concat())
        }
        false if title.contains("PROCEDURE ") => same_by(settled_without_in, &expected, &found),
        false => same(&expected, &found),
    };
    if !equal {
        let entry = title.to_owned();
        differences.push(CatalogDifference::Differs {
            entry,
            expected: expected.concat(),
            found: found.concat(),
        });
    }
    if let Some((owner, other)) =
        owners.into_iter().zip(others).find(|(ours, theirs)| ours != theirs)
    {
        differences.push(CatalogDifference::Owner {
            entry: title.to_owned(),
            expected: owner.unwrap_or("nobody").to_owned(),
            found: other.unwrap_or("nobody").to_owned(),
        });
    }
    differences
}

/// Which names a server quotes depends on the words that it knows.
fn newer_words_bare(text: &mut Cow<'_, str>) {
    if let Cow::Owned(bare) = unquoted(text) {
        *text = Cow::Owned(bare);
    }
}

/// A NOT NULL has a name since 18, which the server makes up, cuts to length and numbers where
/// nobody gives it one (source: makeObjectName in commands/indexcmds.c).
fn without_made_up_names(sql: &str) -> String {
    let tokens: Vec<(usize, Token<'_>)> = tokens(sql).collect();
    let mut kept = String::new();
    let mut from = 0;
    for four in tokens.windows(4) {
        let [(start, word), (_, Token::Quoted(name)), (end, not), (_, null)] = four else {
            continue;
        };
        let made_up = name.trim_end_matches('"').trim_end_matches(|c: char| c.is_ascii_digit());
        if word.is_word("CONSTRAINT")
            && not.is_word("NOT")
            && null.is_word("NULL")
            && made_up.ends_with("_not_null")
        {
            kept.push_str(&sql[from..*start]);
            from = *end;
        }
    }
    kept + &sql[from..]
}

/// Whether texts mean the same, though one was rendered from the other.
fn same<T: AsRef<str>>(ours: &[T], theirs: &[T]) -> bool {
    same_by(settled, ours, theirs)
}

/// Whether texts are alike, or mean the same once they are settled.
fn same_by<T: AsRef<str>>(settled: Settled, ours: &[T], theirs: &[T]) -> bool {
    let same = |(ours, theirs): (&T, &T)| {
        let (ours, theirs) = (ours.as_ref(), theirs.as_ref());
        ours == theirs || settled(ours) == settled(theirs)
    };
    ours.len() == theirs.len() && ours.iter().zip(theirs).all(same)
}

/// How a definition's tokens are put in words that it keeps.
type Settled = for<'s> fn(&'s str) -> Vec<Token<'s>>;

/// The entries' texts, and their owners in the texts' order.
fn texts<'e>(entries: &[(Name<'_>, &'e Entry)]) -> (Vec<Cow<'e, str>>, Vec<Option<&'e str>>) {
    let mut texts: Vec<(Cow<'e, str>, Option<&str>)> =
        entries.iter().map(|(_, entry)| (as_told(entry), entry.owner.as_deref())).collect();
    texts.sort_unstable();
    texts.into_iter().unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toc(entries: &[(Kind, &str, &str)]) -> Toc {
        let entry = |(kind, name, create): &(Kind, &str, &str)| Entry {
            create: (*create).to_owned(),
            owner: Some("app".to_owned()),
            ..Entry::new(*kind, Some("s"), *name)
        };
        Toc { entries: entries.iter().map(entry).collect() }
    }

    #[test]
    fn a_missing_an_unexpected_and_a_changed_entry_are_each_named() {
        let expected = toc(&[(Kind::Index, "a", "x"), (Kind::Index, "b", "y")]);
        let found = toc(&[(Kind::Index, "b", "z"), (Kind::Index, "c", "y")]);
        let titles: Vec<String> =
            compare_catalogs(&expected, &found, true).iter().map(ToString::to_string).collect();
        assert_eq!(titles.len(), 3, "{titles:?}");
        assert!(titles[0].contains("INDEX s.a is missing"));
        assert!(titles[1].contains("INDEX s.b differs"));
        assert!(titles[2].contains("INDEX s.c is on the target only"));
    }

    #[test]
    fn entries_whose_titles_read_alike_are_compared_each_with_its_own() {
        let entry = |schema: &str, name: &str, owner: &str| Entry {
            owner: Some(owner.to_owned()),
            create: "x".to_owned(),
            ..Entry::new(Kind::Index, Some(schema), name)
        };
        let differences = |found: Vec<Entry>| {
            let expected = Toc { entries: vec![entry("a.b", "c", "p"), entry("a", "b.c", "q")] };
            let found = compare_catalogs(&expected, &Toc { entries: found }, true);
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(differences(vec![entry("a", "b.c", "q"), entry("a.b", "c", "p")]).is_empty());
        let swapped = differences(vec![entry("a", "b.c", "p"), entry("a.b", "c", "q")]);
        assert_eq!(swapped.len(), 2, "{swapped:?}");
        let one = differences(vec![entry("a", "b.c", "q"), entry("a", "b.c", "q")]);
        assert!(one.iter().any(|told| told == "INDEX a.b.c is missing on the target"), "{one:?}");
    }

    #[test]
    fn owners_of_all_that_shares_a_name_are_compared() {
        let grants = |owners: [&str; 2]| {
            let entry = |(create, owner): (&str, &str)| Entry {
                owner: Some(owner.to_owned()),
                create: create.to_owned(),
                ..Entry::new(Kind::Acl, Some("s"), "TABLE t")
            };
            Toc { entries: ["x", "y"].into_iter().zip(owners).map(entry).collect() }
        };
        let differences = |found| compare_catalogs(&grants(["p", "q"]), &grants(found), true).len();
        assert_eq!(differences(["p", "q"]), 0);
        assert_eq!(differences(["q", "p"]), 1);
        assert_eq!(differences(["p", "p"]), 1);
    }

    #[test]
    fn what_one_side_does_not_show_is_compared_by_presence() {
        let hidden = format!("x;\n{}", Entry::UNSHOWN);
        let expected = toc(&[(Kind::UserMapping, "m", "x OPTIONS (y);\n")]);
        let found = |create: &str| toc(&[(Kind::UserMapping, "m", create)]);
        assert!(compare_catalogs(&expected, &found(&hidden), true).is_empty());
        assert_eq!(compare_catalogs(&expected, &found("x;\n"), true).len(), 1);
        assert_eq!(compare_catalogs(&expected, &Toc::default(), true).len(), 1);
    }

    #[test]
    fn white_space_that_a_view_comes_back_with_is_no_difference() {
        let view = |sql| toc(&[(Kind::View, "v", sql)]);
        let differences = |a, b| compare_catalogs(&view(a), &view(b), true).len();
        assert_eq!(differences("FROM (VALUES (2,'y'))", "FROM ( VALUES (2,'y'))"), 0);
        assert_eq!(differences("FROM (VALUES (2,'y'))", "FROM ( VALUES (2,'y '))"), 1);
    }

    #[test]
    fn names_that_18_makes_up_for_not_null_count_only_within_a_major() {
        let table = |sql: &str| toc(&[(Kind::Table, "t", sql)]);
        let old = table("CREATE TABLE t (\"a\" text NOT NULL, \"b\" text NOT NULL)");
        let new = |name: &str| {
            table(&format!(
                "CREATE TABLE t (\"a\" text CONSTRAINT \"{name}\" NOT NULL, \"b\" text NOT NULL)"
            ))
        };
        assert!(compare_catalogs(&old, &new("cut_sho_not_null1"), false).is_empty());
        assert_eq!(compare_catalogs(&old, &new("cut_sho_not_null1"), true).len(), 1);
        assert_eq!(compare_catalogs(&old, &new("given"), false).len(), 1);
    }

    #[test]
    fn texts_the_servers_render_differently_count_only_within_a_major() {
        let (a, b) = (toc(&[(Kind::View, "v", "x")]), toc(&[(Kind::View, "v", "y")]));
        assert_eq!(compare_catalogs(&a, &b, true).len(), 1);
        assert!(compare_catalogs(&a, &b, false).is_empty());
    }

    #[test]
    fn a_stand_in_that_was_left_in_a_view_s_place_differs_in_any_major() {
        let view = |sql: &str| toc(&[(Kind::View, "v", &format!("CREATE VIEW s.v AS\n{sql};\n"))]);
        let whole = view(" SELECT NULL::integer AS a,\n    t.b\n   FROM s.t\n  GROUP BY t.b");
        let columns = "NULL::integer AS a,\n    (NULL::text COLLATE \"C\") AS b";
        let collated_first = "(NULL::text COLLATE \"C\") AS b,\n    NULL::integer AS a";
        for nothing in [columns, collated_first, ""] {
            let stand_in = view(&format!(" SELECT {nothing}"));
            for same_major in [true, false] {
                assert_eq!(compare_catalogs(&whole, &stand_in, same_major).len(), 1, "{nothing}");
                assert!(compare_catalogs(&stand_in, &stand_in, same_major).is_empty());
            }
        }
    }
}
