//! Numbers as people read them.

use std::time::Duration;

/// `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `3 tables`, `1 table`.
pub(super) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// `45.3 MB`: decimal units, as disks are sold.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(super) fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if number < 1000 {
        return format!("{number} B");
    }
    let mut amount = number as f64 / 1000.0;
    let mut unit = 0;
    // What would be rounded to 1000 is one of the next unit.
    while amount >= 999.5 && unit + 1 < UNITS.len() {
        amount /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(amount < 99.95) + usize::from(amount < 9.995);
    format!("{amount:.digits$} {}", UNITS[unit])
}

/// `0.4 s`, `12.3 s`, `2m 05s`, `3h 07m`.
pub(super) fn duration(time: Duration) -> String {
    let tenths = (time.as_millis() + 50) / 100;
    if tenths < 600 {
        return format!("{}.{} s", tenths / 10, tenths % 10);
    }
    let seconds = (time.as_millis() + 500) / 1000;
    match seconds {
        0..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// The same of a number of seconds.
pub(super) fn seconds(number: f64) -> String {
    duration(Duration::try_from_secs_f64(number).unwrap_or_default())
}

/// `45 %`; never 100 before all is done.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", (share * 100.0).clamp(0.0, 100.0).floor())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_by_thousands() {
        let grouped = [0, 7, 999, 1000, 123_456, 1_234_567].map(count);
        assert_eq!(grouped, ["0", "7", "999", "1,000", "123,456", "1,234,567"]);
        assert_eq!(counted(1, "row", "rows"), "1 row");
        assert_eq!(counted(0, "row", "rows"), "0 rows");
    }

    #[test]
    fn bytes_have_three_digits_at_most_and_a_unit() {
        let sizes = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (45_349_999, "45.3 MB"),
            (999_499, "999 kB"),
            (999_500, "1.00 MB"),
            (99_960_000, "100 MB"),
            (2_000_000_000, "2.00 GB"),
            (u64::MAX, "18447 PB"),
        ];
        for (number, text) in sizes {
            assert_eq!(bytes(number), text);
        }
    }

    #[test]
    fn durations_get_coarser_as_they_grow() {
        let times = [
            (0, "0.0 s"),
            (449, "0.4 s"),
            (59_949, "59.9 s"),
            (59_950, "1m 00s"),
            (125_000, "2m 05s"),
            (3_599_600, "1h 00m"),
            (11_220_000, "3h 07m"),
        ];
        for (millis, text) in times {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
        assert_eq!(seconds(-1.0), "0.0 s");
        assert_eq!(seconds(f64::NAN), "0.0 s");
    }

    #[test]
    fn a_share_is_rounded_down() {
        assert_eq!(
            [0.0, 0.5, 0.999, 1.0, 1.5].map(percent),
            ["0 %", "50 %", "99 %", "100 %", "100 %"]
        );
    }
}
