//! Whether the two versions go together.

use crate::pg::ServerVersion;
use crate::toc::Finding;

/// The majors whose catalogs are known.
const KNOWN: std::ops::RangeInclusive<u32> = 12..=18;

/// What the versions of source and target mean for the job.
pub(super) fn findings(source: ServerVersion, target: ServerVersion) -> Vec<Finding> {
    let mut found = Vec::new();
    if source.major() < *KNOWN.start() {
        let what = format!(
            "runs PostgreSQL {}; {} is the oldest that can be read",
            source.major(),
            KNOWN.start()
        );
        found.push(
            Finding::refusal("source server", what)
                .mend("upgrade the source with pg_upgrade first"),
        );
    }
    if target.major() < source.major() {
        let what = format!(
            "runs PostgreSQL {}, older than the source's {}: definitions of a newer version don't \
             load on an older one",
            target.major(),
            source.major()
        );
        found.push(
            Finding::refusal("target server", what)
                .mend(format!("choose a target of version {} or newer", source.major())),
        );
    }
    for (side, version) in [("source server", source), ("target server", target)] {
        if version.major() > *KNOWN.end() {
            let what = format!(
                "runs PostgreSQL {}, newer than {}, the newest this pgconvoy knows: properties \
                 that came since are not moved",
                version.major(),
                KNOWN.end()
            );
            found.push(Finding::note(side, what).mend("look for a newer pgconvoy"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toc::Severity;

    fn severities(source: u32, target: u32) -> Vec<Severity> {
        let version = |major| ServerVersion(major * 10_000);
        findings(version(source), version(target)).iter().map(|f| f.severity).collect()
    }

    #[test]
    fn the_target_must_be_as_new_as_the_source() {
        assert_eq!(severities(15, 15), []);
        assert_eq!(severities(13, 18), []);
        assert_eq!(severities(18, 17), [Severity::Refusal]);
    }

    #[test]
    fn a_source_too_old_is_refused_and_one_too_new_is_told() {
        assert_eq!(severities(11, 15), [Severity::Refusal]);
        assert_eq!(severities(18, 19), [Severity::Note]);
    }
}
