//! This machine's clock, in UTC.

use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime, Time};

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

/// Seconds since 1970 of a time that [`now`] told.
pub(super) fn seconds(at: &str) -> Option<f64> {
    let number = |from: usize, to: usize| at.get(from..to)?.parse::<u16>().ok();
    let small = |from, to| u8::try_from(number(from, to)?).ok();
    let month = Month::try_from(small(5, 7)?).ok()?;
    let date = Date::from_calendar_date(i32::from(number(0, 4)?), month, small(8, 10)?).ok()?;
    let time = Time::from_hms(small(11, 13)?, small(14, 16)?, small(17, 19)?).ok()?;
    #[expect(clippy::cast_precision_loss, reason = "seconds of four-digit years")]
    let seconds = date.with_time(time).assume_utc().unix_timestamp() as f64;
    Some(seconds)
}

/// A time as [`now`] tells it.
pub(super) fn text(seconds: f64) -> String {
    format!("{}T{}Z", date(seconds), time_of_day(seconds))
}

/// A time for people: `2026-01-31 12:00:00`.
pub(super) fn shown(seconds: f64) -> String {
    format!("{} {}", date(seconds), time_of_day(seconds))
}

/// A date for people: `2026-01-31`.
pub(super) fn date(seconds: f64) -> String {
    let at = moment(seconds);
    format!("{:04}-{:02}-{:02}", at.year(), u8::from(at.month()), at.day())
}

/// A time of day for people: `12:00:00`.
pub(super) fn time_of_day(seconds: f64) -> String {
    let at = moment(seconds);
    format!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second())
}

fn moment(seconds: f64) -> OffsetDateTime {
    #[expect(clippy::cast_possible_truncation, reason = "times that a clock told")]
    let whole = seconds.floor() as i64;
    OffsetDateTime::from_unix_timestamp(whole).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_it_was_told() {
        assert_eq!(seconds("2027-01-15T08:00:00Z"), Some(1_800_000_000.0));
        assert_eq!(text(1_800_000_000.0), "2027-01-15T08:00:00Z");
        assert_eq!(shown(1_800_000_007.9), "2027-01-15 08:00:07");
        assert!(seconds(&now()).is_some_and(|now| now > 1_700_000_000.0));
        for nonsense in ["", "2027", "2027-13-15T08:00:00Z", "äöüäöüäöüäöüäöü"] {
            assert_eq!(seconds(nonsense), None, "{nonsense}");
        }
    }
}
