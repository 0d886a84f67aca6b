//! What a rehearsal predicts, for people.

use crate::commands::Rehearsed;

use super::json::ResultLine;
use super::page::{Page, Tone};
use super::run::Session;
use super::{summary, units};

impl Session<'_> {
    /// Shows what was rehearsed, and what the move will take.
    pub(super) fn webstream_rehearsed(&self, all: &[Rehearsed]) {
        for rehearsed in all {
            let clean = rehearsed.report.verification.is_clean();
            self.output.show(&ResultLine::Rehearsed { clean, rehearsed }, |page| {
                summary::rehearsed(page, &rehearsed.report);
                prediction(page, std::slice::from_ref(rehearsed));
                page.gap();
            });
        }
        if all.len() > 1 && !self.output.is_json() {
            let mut page = self.output.page();
            page.line(0, Tone::Strong, "the move as a whole");
            prediction(&mut page, all);
            self.output.put(page.into_text().as_bytes());
        }
    }
}

fn prediction(page: &mut Page, all: &[Rehearsed]) {
    let window: f64 = all.iter().map(|one| one.window_seconds).sum();
    let window = format!(
        "{}, verification and statistics included; the services' stop and start aside",
        units::seconds(window)
    );
    page.labelled("window", Tone::Good, &window);
    let bytes: i64 = all.iter().map(|one| one.target_bytes).sum();
    let log: Option<i64> = all.iter().map(|one| one.wal_bytes).sum();
    let log = match log {
        Some(log) => {
            format!(", and {} of write-ahead log meanwhile", units::bytes(log.unsigned_abs()))
        }
        None => String::new(),
    };
    let storage = format!("{} on the target{log}", units::bytes(bytes.unsigned_abs()));
    page.labelled("storage", Tone::Good, &storage);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::DatabaseReport;

    #[test]
    fn windows_and_sizes_are_added_up_and_a_log_that_is_not_told_is_left_out() {
        let rehearsed = |wal_bytes| Rehearsed {
            report: DatabaseReport::default(),
            window_seconds: 61.0,
            target_bytes: 3_000_000,
            wal_bytes,
        };
        let shown = |all: &[Rehearsed]| {
            let mut page = Page::new(false);
            prediction(&mut page, all);
            page.into_text()
        };
        let both = shown(&[rehearsed(Some(1_000_000)), rehearsed(Some(1_000_000))]);
        assert!(both.contains("2m 02s"), "{both}");
        assert!(both.contains("of write-ahead log"), "{both}");
        let one = shown(&[rehearsed(Some(1)), rehearsed(None)]);
        assert!(!one.contains("log"), "{one}");
    }
}
