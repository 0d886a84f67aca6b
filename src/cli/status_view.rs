//! How far a job is, for people.

use crate::commands::{Ending, Finished, PhaseStanding, Status, VerifyMode};

use super::page::{Page, Tone};
use super::units;

/// Shows a database's status.
pub(super) fn show(page: &mut Page, status: &Status) {
    let Status { database, server, latency, job, ending } = status;
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
    let number = |n: i64| u64::try_from(n).unwrap_or_default();
    page.labelled("job", tone, &format!("{state}; begun at {}", job.created_at));
    let again = number(job.begun_again.into());
    if again > 0 {
        page.labelled("gone on with", Tone::Plain, &units::counted(again, "time", "times"));
    }
    if let Some(at) = &job.cut_over_at {
        page.labelled("cut over", Tone::Good, &format!("in use since {at}"));
    }
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
    if let Some(ending) = ending {
        page.labelled("result", Tone::Good, &result(ending));
    }
    page.gap();
}

fn result(ending: &Ending) -> String {
    let Ending { verified, tables, changes, seconds } = ending;
    let tables = units::counted(*tables as u64, "table", "tables");
    let verdict = match verified {
        VerifyMode::Full => "every row read back and equal",
        VerifyMode::Counts => "rows counted, not compared",
        VerifyMode::None => "nothing compared",
    };
    let seconds = units::seconds(*seconds);
    let mut text = format!("{tables}, {verdict}; the last run took {seconds}");
    if *changes > 0 {
        let changes = units::counted(*changes as u64, "finding", "findings");
        text.push_str(&format!("; {changes} on what was changed or left out"));
    }
    text
}

/// Shows what finishing a database came to.
pub(super) fn finished(page: &mut Page, finished: &Finished) {
    let Finished { database, cut_over_at, was_recorded, ledger_dropped } = finished;
    page.line(0, Tone::Strong, &format!("database {database}"));
    if let Some(at) = cut_over_at {
        let again = if *was_recorded { ", as was on record already" } else { "" };
        let text = format!("in use since {at}{again}: no run touches it any more");
        match ledger_dropped {
            false => page.labelled("cut over", Tone::Good, &text),
            true => page.labelled("cut over", Tone::Plain, &format!("was in use since {at}")),
        }
    }
    if *ledger_dropped {
        let text = "removed (schema pgconvoy): nothing is on record any more";
        page.labelled("ledger", Tone::Good, text);
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
            ending: None,
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
            cut_over_at: None,
            begun_again: 2,
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
          gone on with  2 times
          data          3 of 4 steps, 81 %
          foreign keys  0 of 2 steps, 0 %
          copied        12,345 rows, 6.70 MB
          last step     done at 2026-01-02 03:05:00+00
        "#);
    }

    #[test]
    fn a_target_in_use_says_since_when() {
        let mut page = Page::new(false);
        let finished = Finished {
            database: "shop".into(),
            cut_over_at: Some("2026-01-02 03:04:05+00".into()),
            was_recorded: true,
            ledger_dropped: false,
        };
        super::finished(&mut page, &finished);
        super::finished(&mut page, &Finished { ledger_dropped: true, ..finished });
        insta::assert_snapshot!(page.into_text(), @r#"
        database shop
          cut over      in use since 2026-01-02 03:04:05+00,
                        as was on record already: no run touches it any more

        database shop
          cut over      was in use since 2026-01-02 03:04:05+00
          ledger        removed (schema pgconvoy): nothing is on record any more
        "#);
    }

    #[test]
    fn a_finished_job_says_what_it_came_to() {
        let ending =
            Ending { verified: VerifyMode::Full, tables: 1_200, changes: 1, seconds: 61.0 };
        assert_eq!(
            result(&ending),
            "1,200 tables, every row read back and equal; the last run took 1m 01s; 1 finding \
             on what was changed or left out"
        );
    }

    #[test]
    fn where_there_is_no_ledger_that_is_said() {
        assert!(render(None).contains("there is no ledger"));
    }
}
