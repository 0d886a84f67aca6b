//! How far a job is, for people.

use crate::commands::{PhaseStanding, Status};

use super::page::{Page, Tone};
use super::units;

/// Shows a database's status.
pub(super) fn show(page: &mut Page, status: &Status) {
    let Status { database, server, latency, job } = status;
    let title = format!("database {database}");
    page.line(0, Tone::Strong, &title);
    let server = format!(
        "PostgreSQL {server}, round trip {:.1} ms as a rule, {:.1} ms at the slowest",
        latency.median_ms, latency.slowest_ms
    );
    page.labelled("target", Tone::Plain, &server);
    let Some(job) = job else {
        let none = "none: there is no ledger (schema pgconvoy) in this database";
        page.labelled("job", Tone::Notable, none);
        return page.gap();
    };
    let (tone, state) = match (&job.sealed_at, job.running) {
        (Some(at), _) => (Tone::Good, format!("finished at {at}")),
        (None, true) => (Tone::Plain, "running now".to_owned()),
        (None, false) => {
            (Tone::Notable, "not running: the same `pgconvoy migrate` goes on".to_owned())
        }
    };
    page.labelled("job", tone, &format!("{state}; begun at {}", job.created_at));
    let number = |n: i64| u64::try_from(n).unwrap_or_default();
    for PhaseStanding { phase, done, steps: all, share } in &job.phases {
        let steps =
            format!("{} of {} steps", units::count(number(*done)), units::count(number(*all)));
        let share = if done == all { 1.0 } else { *share };
        let label = phase.replace('-', " ");
        page.labelled(&label, Tone::Plain, &format!("{steps}, {}", units::percent(share)));
    }
    let rows = units::counted(number(job.rows), "row", "rows");
    let copied = format!("{rows}, {}", units::bytes(number(job.bytes)));
    page.labelled("copied", Tone::Plain, &copied);
    if let Some(at) = &job.last_receipt_at {
        page.labelled("last step", Tone::Plain, &format!("done at {at}"));
    }
    page.gap();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::{Latency, Standing};

    fn render(job: Option<Standing>) -> String {
        let status = Status {
            database: "shop".into(),
            server: "15.4".into(),
            latency: Latency { median_ms: 0.21, slowest_ms: 1.0 },
            job,
        };
        let mut page = Page::new(false);
        show(&mut page, &status);
        page.into_text()
    }

    #[test]
    fn a_job_under_way_says_how_far_each_phase_is() {
        let phase = |name: &str, done, steps, share| PhaseStanding {
            phase: name.into(),
            done,
            steps,
            share,
        };
        let job = Standing {
            created_at: "2026-01-02 03:04:05+00".into(),
            sealed_at: None,
            running: false,
            phases: vec![phase("data", 3, 4, 0.81), phase("foreign-keys", 0, 2, 0.0)],
            rows: 12_345,
            bytes: 6_700_000,
            last_receipt_at: Some("2026-01-02 03:05:00+00".into()),
        };
        insta::assert_snapshot!(render(Some(job)), @r#"
        database shop
          target        PostgreSQL 15.4, round trip 0.2 ms as a rule, 1.0 ms at the slowest
          job           not running: the same `pgconvoy migrate` goes on; begun at 2026-01-02 03:04:05+00
          data          3 of 4 steps, 81 %
          foreign keys  0 of 2 steps, 0 %
          copied        12,345 rows, 6.70 MB
          last step     done at 2026-01-02 03:05:00+00
        "#);
    }

    #[test]
    fn where_there_is_no_ledger_that_is_said() {
        assert!(render(None).contains("there is no ledger"));
    }
}
