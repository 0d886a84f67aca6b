//! The written list of differences that are legitimate between a database and its migrated copy,
//! each with its reason. An item that the list covers isn't let off: it must be what PostgreSQL's own
//! programs make of the same database on the same target.

use crate::archive::Key;

/// Items that may differ.
pub(crate) struct Legitimate {
    /// From which and to which major versions.
    between: fn(u32, u32) -> bool,
    /// The kinds of item, by pg_dump's names.
    kinds: &'static [&'static str],
    /// How the item's name begins; empty for any.
    begins: &'static str,
    /// A reason that people can check.
    pub(crate) why: &'static str,
}

/// The list.
const LIST: &[Legitimate] = &[
    Legitimate {
        between: |_, _| true,
        kinds: &["COMMENT"],
        begins: "EXTENSION ",
        why: "an extension's script comments on it, and no dump says that somebody took it away",
    },
    Legitimate {
        between: |from, to| from < to,
        kinds: &["VIEW", "MATERIALIZED VIEW", "RULE"],
        begins: "",
        why: "the server renders queries, and renders them otherwise in another version: \
              before 16 it qualifies columns more, from 16 on it says NO INDENT of XMLSERIALIZE",
    },
    Legitimate {
        between: |from, to| from < 14 && to >= 14,
        kinds: &["TYPE"],
        begins: "",
        why: "ranges have a multirange since 14, which is created with them and named",
    },
    Legitimate {
        between: |from, to| from < 17 && to >= 17,
        kinds: &["ACL", "DEFAULT ACL"],
        begins: "",
        why: "17 brought the privilege MAINTAIN: ALL of before is a list without it from then on",
    },
    Legitimate {
        between: |from, to| from < 14 && to >= 14,
        kinds: &["FUNCTION", "PROCEDURE"],
        begins: "",
        why: "14 counts OUT arguments of procedures among those that name them",
    },
    Legitimate {
        between: |from, to| from < 14 && to >= 14,
        kinds: &["COMMENT", "ACL"],
        begins: "PROCEDURE ",
        why: "14 counts OUT arguments of procedures among those that name them, and says IN then",
    },
    Legitimate {
        between: |from, to| from < 14 && to >= 14,
        kinds: &["OPERATOR CLASS", "OPERATOR FAMILY"],
        begins: "",
        why: "14 ties to a class only the members that it can't be without, others to its family",
    },
    Legitimate {
        between: |from, to| from < 18 && to >= 18,
        kinds: &["TABLE"],
        begins: "",
        why: "NOT NULL has a name since 18, and pg_dump says those that it had to shorten",
    },
];

/// Why this item may differ, if it may.
pub(crate) fn reason(key: &Key, from: u32, to: u32) -> Option<&'static str> {
    let covers = |entry: &&Legitimate| {
        (entry.between)(from, to)
            && entry.kinds.contains(&key.desc.as_str())
            && key.tag.starts_with(entry.begins)
    };
    LIST.iter().find(covers).map(|entry| entry.why)
}
