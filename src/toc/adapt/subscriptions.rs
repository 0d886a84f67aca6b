//! Subscriptions from older sources: what the source does because its version knows nothing else, a
//! newer target must be told, as its defaults are others (source: pg_dump.c, getSubscriptions).

use crate::toc::clauses::says;
use crate::toc::target::TargetFacts;
use crate::toc::{Entry, Kind};

/// The options, the versions that they came with, and what there was before.
const FORMER: [(&str, u32, &str); 2] =
    [("streaming", 14, "streaming = off"), ("run_as_owner", 16, "run_as_owner = true")];

/// The entry with the options that the target knows and the source didn't, at the end.
pub(super) fn fit(mut entry: Entry, target: &TargetFacts) -> Entry {
    if entry.kind != Kind::Subscription {
        return entry;
    }
    for (option, since, former) in FORMER {
        if says(&entry.create, option) || target.version.major() < since {
            continue;
        }
        if let Some(options) = entry.create.strip_suffix(");\n") {
            entry.create = format!("{options}, {former});\n");
        }
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::super::tests::target;
    use super::*;
    use crate::pg::ServerVersion;

    fn fitted(options: &str, major: u32) -> String {
        let entry = Entry {
            create: format!("CREATE SUBSCRIPTION \"streaming\" CONNECTION '' WITH ({options});\n"),
            ..Entry::new(Kind::Subscription, None, "s")
        };
        let target = TargetFacts { version: ServerVersion(major * 10_000), ..target() };
        let create = fit(entry, &target).create;
        create.split_once("WITH (").unwrap().1.trim_end_matches(");\n").to_owned()
    }

    #[test]
    fn a_newer_target_is_told_what_an_older_source_does_unasked() {
        assert_eq!(fitted("a", 13), "a");
        assert_eq!(fitted("a", 15), "a, streaming = off");
        assert_eq!(fitted("a", 18), "a, streaming = off, run_as_owner = true");
        assert_eq!(fitted("streaming = on", 18), "streaming = on, run_as_owner = true");
        let new = "streaming = parallel, run_as_owner = false";
        assert_eq!(fitted(new, 18), new);
    }
}
