//! Windows for backups and maintenance, as AWS writes them, in UTC.

const DAY: i64 = 24 * 60;
const WEEK: i64 = 7 * DAY;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// When a window is open: minutes of the day or of the week that comes again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    begins: i64,
    lasts: i64,
    period: i64,
}

impl Window {
    /// Reads `07:00-08:00`, which is every day, or `sun:05:00-sun:06:00`.
    pub(super) fn read(text: &str) -> Option<Window> {
        let (from, to) = text.split_once('-')?;
        let ((begins, period), (ends, other)) = (minute(from)?, minute(to)?);
        (period == other).then(|| Window {
            begins,
            lasts: (ends - begins).rem_euclid(period),
            period,
        })
    }

    /// In how many minutes it opens, if that is before a job of `takes` minutes ends that begins now;
    /// none is left where it is open already. `now` is in minutes since 1970.
    pub(super) fn meets(&self, now: i64, takes: i64) -> Option<i64> {
        // 1970 began on a Thursday.
        let now = (now + 3 * DAY).rem_euclid(self.period);
        let since = (now - self.begins).rem_euclid(self.period);
        if since < self.lasts {
            return Some(0);
        }
        Some(self.period - since).filter(|left| *left < takes)
    }
}

/// The minute of the day, or of the week where a day is named; and how many there are.
fn minute(text: &str) -> Option<(i64, i64)> {
    let parts: Vec<&str> = text.trim().split(':').collect();
    let (day, hours, minutes, period) = match parts.as_slice() {
        [hours, minutes] => (0, hours, minutes, DAY),
        [day, hours, minutes] => {
            let day = day.to_ascii_lowercase();
            let before = DAYS.iter().zip(0_i64..).find(|(name, _)| **name == day)?.1;
            (before * DAY, hours, minutes, WEEK)
        }
        _ => return None,
    };
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    Some((day + hours * 60 + minutes, period))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Friday 2027-01-15, 08:00.
    const NOW: i64 = 1_800_000_000 / 60;

    fn meets(text: &str, takes: i64) -> Option<i64> {
        Window::read(text).unwrap().meets(NOW, takes)
    }

    #[test]
    fn a_job_meets_a_window_that_is_open_or_opens_before_it_ends() {
        assert_eq!(meets("07:30-08:30", 1), Some(0));
        assert_eq!(meets("09:00-10:00", 61), Some(60));
        assert_eq!(meets("09:00-10:00", 60), None);
        assert_eq!(meets("07:00-08:00", 600), None);
        assert_eq!(meets("23:30-00:30", 16 * 60), Some(15 * 60 + 30));
        assert_eq!(meets("fri:07:59-fri:08:29", 1), Some(0));
        assert_eq!(meets("sat:08:00-sat:08:30", DAY + 1), Some(DAY));
        assert_eq!(meets("thu:08:00-thu:09:00", 5 * DAY), None);
        // Over the week's end.
        assert_eq!(meets("sun:23:45-mon:00:15", 3 * DAY), Some(2 * DAY + 15 * 60 + 45));
    }

    #[test]
    fn what_is_no_window_is_none() {
        for text in
            ["", "07:00", "07:00-mon:08:00", "mon:07:00-08:00", "xxx:07:00-xxx:08:00", "a:b-c:d"]
        {
            assert_eq!(Window::read(text), None, "{text}");
        }
    }
}
