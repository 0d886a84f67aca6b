//! The written list of differences that are legitimate between a database and its migrated copy,
//! each with its reason. An item that the list covers isn't let off: it must be what PostgreSQL's own
//! programs make of the same database on the same target, or the original's in words that mean the
//! same.

use std::collections::{BTreeMap, BTreeSet};

use pgconvoy::commands::Finding;

use crate::archive::Key;
use crate::catalogs;
use crate::oracle::Side;

/// Items that may differ.
pub(crate) struct Legitimate {
    /// From which and to which major versions.
    between: fn(u32, u32) -> bool,
    /// The kinds of item, by pg_dump's names.
    kinds: &'static [&'static str],
    /// How the item's name begins; empty for any.
    begins: &'static str,
    /// Words of which both versions mean the same: the item may be as the original's but for them.
    alike: Option<[&'static str; 2]>,
    /// A reason that people can check.
    pub(crate) why: &'static str,
}

impl Legitimate {
    /// An item's text in the words of either version.
    pub(crate) fn in_same_words(&self, text: &str) -> String {
        match self.alike {
            Some([before, after]) => text.replace(before, after),
            None => text.to_owned(),
        }
    }
}

/// The list.
const LIST: &[Legitimate] = &[
    Legitimate {
        between: |_, _| true,
        kinds: &["COMMENT"],
        begins: "EXTENSION ",
        alike: None,
        why: "an extension's script comments on it, and no dump says that somebody took it away",
    },
    Legitimate {
        between: |_, _| true,
        kinds: &["STATISTICS"],
        begins: "",
        alike: None,
        why: "columns are listed as they stand in their table, where inherited ones come first",
    },
    Legitimate {
        between: |from, to| from < to,
        kinds: &["VIEW", "MATERIALIZED VIEW", "RULE"],
        begins: "",
        alike: None,
        why: "the server renders queries, and renders them otherwise in another version: \
              before 16 it qualifies columns more, from 16 on it says NO INDENT of XMLSERIALIZE",
    },
    Legitimate {
        between: |from, to| from < 14 && to >= 14,
        kinds: &["TYPE"],
        begins: "",
        alike: None,
        why: "ranges have a multirange since 14, which is created with them and named",
    },
    Legitimate {
        between: |from, to| from < 17 && to >= 17,
        kinds: &["ACL", "DEFAULT ACL"],
        begins: "",
        alike: Some(["SELECT,INSERT,REFERENCES,DELETE,TRIGGER,TRUNCATE,UPDATE ON", "ALL ON"]),
        why: "17 brought the privilege MAINTAIN: pg_dump lists what was ALL before, here it stays ALL",
    },
    Legitimate {
        between: |from, to| from < 14 && to >= 14,
        kinds: &["FUNCTION", "PROCEDURE"],
        begins: "",
        alike: None,
        why: "14 counts OUT arguments of procedures among those that name them",
    },
    Legitimate {
        between: |from, to| from < 14 && to >= 14,
        kinds: &["COMMENT", "ACL"],
        begins: "PROCEDURE ",
        alike: None,
        why: "14 counts OUT arguments of procedures among those that name them, and says IN then",
    },
    Legitimate {
        between: |from, to| from < 14 && to >= 14,
        kinds: &["OPERATOR CLASS", "OPERATOR FAMILY"],
        begins: "",
        alike: None,
        why: "14 ties to a class only the members that it can't be without, others to its family",
    },
    Legitimate {
        between: |from, to| from < 18 && to >= 18,
        kinds: &["TABLE"],
        begins: "",
        alike: None,
        why: "NOT NULL has a name since 18, and pg_dump says those that it had to shorten",
    },
];

/// Why this item may differ, if it may.
pub(crate) fn reason(key: &Key, from: u32, to: u32) -> Option<&'static Legitimate> {
    let covers = |entry: &&Legitimate| {
        (entry.between)(from, to)
            && entry.kinds.contains(&key.desc.as_str())
            && key.tag.starts_with(entry.begins)
    };
    LIST.iter().find(covers)
}

/// Whether the migration told that this table's columns come in another order: what a table inherits
/// comes first when it is created, and it may have become a child later. In PostgreSQL's own copy it
/// does so, too, which is what tells the new order.
pub(crate) fn is_told_column_order(key: &Key, told: &[Finding]) -> bool {
    let object = format!("column order of {}.{}", key.schema, key.tag);
    key.desc == "TABLE" && told.iter().any(|finding| finding.object == object)
}

/// The lines of a table's definition without their order, and the commas that follow all but the
/// last.
pub(crate) fn in_any_order(texts: &BTreeMap<&str, usize>) -> Vec<String> {
    let of_table = texts.keys().flat_map(|text| text.lines());
    let mut lines: Vec<String> =
        of_table.map(|line| line.trim_end_matches(',').to_owned()).collect();
    lines.sort();
    lines
}

/// The grants of schemas that once were public, where both sides' owner and grants are the same, read
/// from their catalogs. What initdb granted stands in pg_init_privs for good, whatever the schema is
/// called by now, and pg_dump leaves that out: the copy's schema is one like others, of which it says
/// everything.
pub(crate) async fn grants_of_renamed_public(original: Side<'_>, copy: Side<'_>) -> BTreeSet<Key> {
    let once_public = catalogs::lines(original, ONCE_PUBLIC).await;
    let ours = catalogs::lines(original, GRANTS_ON_SCHEMAS).await;
    let theirs = catalogs::lines(copy, GRANTS_ON_SCHEMAS).await;
    let same: BTreeSet<&String> = ours.iter().filter(|line| theirs.contains(line)).collect();
    let is_same = |tag: &String| same.iter().any(|line| line.starts_with(&format!("{tag}: ")));
    let key = |tag| Key { desc: "ACL".to_owned(), schema: String::new(), tag };
    once_public.into_iter().filter(is_same).map(key).collect()
}

const ONCE_PUBLIC: &str = r"
    select 'SCHEMA ' || pg_catalog.quote_ident(n.nspname)
    from pg_catalog.pg_namespace n
    join pg_catalog.pg_init_privs i
        on i.objoid = n.oid and i.classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
    where i.privtype = 'i' and n.nspname not in ('public', 'pg_catalog', 'information_schema')";

const GRANTS_ON_SCHEMAS: &str = r"
    select 'SCHEMA ' || pg_catalog.quote_ident(n.nspname) || ': '
           || pg_catalog.pg_get_userbyid(n.nspowner) || array(
               select item::text
               from pg_catalog.unnest(coalesce(n.nspacl,
                                               pg_catalog.acldefault('n', n.nspowner))) item
               order by 1)::text
    from pg_catalog.pg_namespace n";
