//! The versions and places of extensions. Whether the target has them at all, and lets its user
//! create them, adapting the table of contents tells.

use std::cmp::Ordering;

use crate::catalog::ExtensionFacts;
use crate::pg::quote_ident;
use crate::toc::{Finding, TargetFacts};

/// Compares the source's extensions with what the target has or would install.
pub(super) fn findings(source: &[ExtensionFacts], target: &TargetFacts) -> Vec<Finding> {
    source.iter().filter_map(|extension| version(extension, target)).collect()
}

fn version(extension: &ExtensionFacts, target: &TargetFacts) -> Option<Finding> {
    let there = target.extensions.get(&extension.name)?;
    let version = there.installed.as_ref().unwrap_or(&there.default_version);
    let object = format!("EXTENSION {}", extension.name);
    let (theirs, ours) = (&extension.version, version);
    match compare(theirs, ours) {
        Ordering::Equal => None,
        Ordering::Less => {
            let what = format!("will be version {ours}; the source's is {theirs}");
            Some(Finding::note(object, what))
        }
        Ordering::Greater => {
            let what = format!(
                "will be version {ours}, older than the source's {theirs}: what came since is \
                 missing"
            );
            let name = quote_ident(&extension.name);
            let remedy = match &there.installed {
                Some(_) if compare(&there.default_version, ours).is_gt() => {
                    format!("in the target database: ALTER EXTENSION {name} UPDATE;")
                }
                _ => format!(
                    "install version {theirs} of {} on the target server, or choose a newer server",
                    extension.name
                ),
            };
            Some(Finding::change(object, what).mend(remedy))
        }
    }
}

/// By numbers where both have them, as in 1.9 < 1.10; PostgreSQL itself gives versions no order.
fn compare(a: &str, b: &str) -> Ordering {
    let parts = |version: &str| -> Vec<(u64, String)> {
        let parts = version.split(|c: char| !c.is_ascii_alphanumeric());
        parts.map(|part| (part.parse().unwrap_or(0), part.to_owned())).collect()
    };
    parts(a).cmp(&parts(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        assert_eq!(compare("1.9", "1.10"), Ordering::Less);
        assert_eq!(compare("1.6", "1.6"), Ordering::Equal);
        assert_eq!(compare("3.4.2", "3.4"), Ordering::Greater);
    }
}
