//! This machine's clock, in UTC.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Now, to the second: `2026-01-31T12:00:00Z`.
pub(super) fn now() -> String {
    let now = OffsetDateTime::now_utc().replace_nanosecond(0);
    let text = now.ok().and_then(|now| now.format(&Rfc3339).ok());
    text.unwrap_or_default()
}

/// A time as a part of a file's name.
pub(super) fn stamp(at: &str) -> String {
    at.chars().filter(|c| c.is_ascii_alphanumeric()).collect()
}
